//! What can be called: by clients here, by us at providers.

use super::dialect::Protocol;
use super::openai;

/// What is called, in one of the dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// What of OpenAI's older API is understood.
    OpenAi(openai::Endpoint),
    /// What of it goes through as it is.
    Passed(Passed),
    /// OpenAI Responses: a conversation is continued.
    Responses,
    /// OpenAI Responses: the tokens of a request are counted.
    InputTokens,
    /// Anthropic: a conversation is continued.
    Messages,
    /// Anthropic: the tokens of a request are counted.
    CountMessages,
    /// Gemini, whose URLs name the model and what is to be done with it.
    Gemini(Action),
}

/// Endpoints of OpenAI's API of which only the model's name is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the paths say it")]
pub enum Passed {
    ImageGenerations,
    ImageEdits,
    ImageVariations,
    Speech,
    Transcriptions,
    Translations,
    Moderations,
    Rerank,
}

/// What is done with a Gemini model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "Google's words")]
pub enum Action {
    GenerateContent,
    StreamGenerateContent,
    CountTokens,
    EmbedContent,
    BatchEmbedContents,
}

impl Endpoint {
    /// The dialect it belongs to.
    pub const fn protocol(self) -> Protocol {
        match self {
            Endpoint::OpenAi(_) | Endpoint::Passed(_) => Protocol::OpenAi,
            Endpoint::Responses | Endpoint::InputTokens => Protocol::Responses,
            Endpoint::Messages | Endpoint::CountMessages => Protocol::Anthropic,
            Endpoint::Gemini(_) => Protocol::Gemini,
        }
    }

    /// Its path below the version prefix, where that does not depend on the model.
    pub const fn path(self) -> Option<&'static str> {
        Some(match self {
            Endpoint::OpenAi(endpoint) => endpoint.path(),
            Endpoint::Passed(passed) => passed.path(),
            Endpoint::Responses => "/responses",
            Endpoint::InputTokens => "/responses/input_tokens",
            Endpoint::Messages => "/messages",
            Endpoint::CountMessages => "/messages/count_tokens",
            Endpoint::Gemini(_) => return None,
        })
    }

    /// What a log calls it.
    pub const fn shown(self) -> &'static str {
        match self {
            Endpoint::Gemini(action) => action.word(),
            // All others have a path.
            other => match other.path() {
                Some(path) => path,
                None => "",
            },
        }
    }

    /// Whether it makes vectors, which are numbers, and are not billed as tokens.
    pub const fn embeds(self) -> bool {
        matches!(
            self,
            Endpoint::OpenAi(openai::Endpoint::Embeddings)
                | Endpoint::Gemini(Action::EmbedContent | Action::BatchEmbedContents)
        )
    }

    /// Whether it counts tokens, and asks for no answer.
    pub const fn counts(self) -> bool {
        matches!(
            self,
            Endpoint::InputTokens | Endpoint::CountMessages | Endpoint::Gemini(Action::CountTokens)
        )
    }

    /// Whether a request of it may ask for a stream, by a member of its body.
    pub(crate) const fn streams_by_body(self) -> bool {
        match self {
            Endpoint::OpenAi(_) | Endpoint::Gemini(_) => {
                matches!(
                    self,
                    Endpoint::OpenAi(
                        openai::Endpoint::ChatCompletions | openai::Endpoint::Completions
                    )
                )
            }
            Endpoint::Responses | Endpoint::Messages => true,
            Endpoint::Passed(passed) => matches!(
                passed,
                Passed::ImageGenerations | Passed::ImageEdits | Passed::Transcriptions
            ),
            Endpoint::InputTokens | Endpoint::CountMessages => false,
        }
    }

    /// Where a model's conversation is continued, in this dialect.
    pub const fn of_conversations(protocol: Protocol, stream: bool) -> Endpoint {
        match protocol {
            Protocol::OpenAi => Endpoint::OpenAi(openai::Endpoint::ChatCompletions),
            Protocol::Responses => Endpoint::Responses,
            Protocol::Anthropic => Endpoint::Messages,
            Protocol::Gemini if stream => Endpoint::Gemini(Action::StreamGenerateContent),
            Protocol::Gemini => Endpoint::Gemini(Action::GenerateContent),
        }
    }
}

impl Passed {
    /// All of them.
    pub const ALL: [Passed; 8] = [
        Passed::ImageGenerations,
        Passed::ImageEdits,
        Passed::ImageVariations,
        Passed::Speech,
        Passed::Transcriptions,
        Passed::Translations,
        Passed::Moderations,
        Passed::Rerank,
    ];

    /// Its path below the version prefix.
    pub const fn path(self) -> &'static str {
        match self {
            Passed::ImageGenerations => "/images/generations",
            Passed::ImageEdits => "/images/edits",
            Passed::ImageVariations => "/images/variations",
            Passed::Speech => "/audio/speech",
            Passed::Transcriptions => "/audio/transcriptions",
            Passed::Translations => "/audio/translations",
            Passed::Moderations => "/moderations",
            Passed::Rerank => "/rerank",
        }
    }

    /// The model of a request that names none, where the API has one for that case.
    pub const fn default_model(self) -> Option<&'static str> {
        match self {
            Passed::Moderations => Some("omni-moderation-latest"),
            _ => None,
        }
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 5] = [
        Action::GenerateContent,
        Action::StreamGenerateContent,
        Action::CountTokens,
        Action::EmbedContent,
        Action::BatchEmbedContents,
    ];

    /// Google's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Action::GenerateContent => "generateContent",
            Action::StreamGenerateContent => "streamGenerateContent",
            Action::CountTokens => "countTokens",
            Action::EmbedContent => "embedContent",
            Action::BatchEmbedContents => "batchEmbedContents",
        }
    }

    /// What a word means.
    pub fn of_word(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.word() == word)
    }
}

impl From<openai::Endpoint> for Endpoint {
    fn from(endpoint: openai::Endpoint) -> Endpoint {
        Endpoint::OpenAi(endpoint)
    }
}
