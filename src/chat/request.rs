//! What a client asks for, in nobody's dialect: a conversation and how it is to go on.
//!
//! The richest of the dialects gave the measure, so that translating drops detail, which is easy, and
//! never invents structure, which is not. JSON Schemas are carried as they are: they are a language of
//! their own, common to all.

use serde_json::Value;

/// A conversation that is to be continued.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Instructions that come before the conversation, in order.
    pub system: Vec<String>,
    /// The conversation so far.
    pub turns: Vec<Turn>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls at once; `None` leaves that to the provider.
    pub parallel_tools: Option<bool>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// How the next token is drawn.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What form the answer has.
    pub format: Format,
    /// How long the model should think; `None` leaves that to the provider.
    pub effort: Option<Effort>,
    /// Whether the client wants to see what the model thinks.
    pub include_thoughts: bool,
    /// Whether log probabilities are wanted, and of how many alternatives.
    pub logprobs: Option<u64>,
    /// How many answers; 1 unless the client says so.
    pub choices: u64,
    /// Whether the provider is to stream. Set for each attempt.
    pub stream: bool,
    /// Whether the provider is to tell usage at the end of its stream. Set for each attempt.
    pub ask_usage: bool,
    /// Who is behind the request, as the client calls him.
    pub user: Option<String>,
    /// Names of what the client said and its common form cannot hold: harmless, but worth a line for who looks for it.
    pub dropped: Vec<String>,
}

/// How the next token is drawn. What is `None` is the provider's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// From 0; OpenAI and Gemini go to 2, Anthropic to 1.
    pub temperature: Option<f64>,
    /// The least likely tokens are left out beyond this sum.
    pub top_p: Option<f64>,
    /// Only so many of the likeliest.
    pub top_k: Option<u64>,
    /// The same seed, as far as possible the same answer.
    pub seed: Option<i64>,
    /// Against tokens that were used at all.
    pub presence_penalty: Option<f64>,
    /// Against tokens by how often they were used.
    pub frequency_penalty: Option<f64>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions in the midst of a conversation. Those at its head are in [`Request::system`].
    System,
    /// Whoever asks, and the tools that he runs.
    User,
    /// The model.
    Assistant,
}

/// What one side says before the other does.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// A piece of what is said.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// A picture, a document, a sound.
    Media(Media),
    /// What the model thought, and the proof that it did.
    Thinking {
        /// As text; may be a summary, or empty.
        text: String,
        /// Without it some providers do not take it back.
        signature: Option<Signed>,
    },
    /// What the model thought, unreadable to all but who made it.
    Redacted(Signed),
    /// The model calls a tool.
    Call(ToolCall),
    /// What the tool said.
    Result(ToolResult),
    /// The model declines, in words.
    Refusal(String),
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// By which its result is known. Empty where a dialect has none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The group that the tool was offered in (`responses` alone has those).
    pub namespace: Option<String>,
    /// A JSON object as text, just as the model wrote it; for a custom tool any text.
    pub arguments: String,
    /// Whether it takes text instead of an object.
    pub custom: bool,
    /// What has to be handed back along with the call.
    pub signature: Option<Signed>,
}

/// What a tool said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolResult {
    /// Of the call. Empty where a dialect has none.
    pub id: String,
    /// The tool; where a dialect does not tell, it is filled in from the call.
    pub name: Option<String>,
    /// Text and media.
    pub content: Vec<Part>,
    /// Whether it failed.
    pub is_error: bool,
    /// Whether the call was of a custom tool.
    pub custom: bool,
}

/// A picture, a document or a sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// What it is.
    pub kind: MediaKind,
    /// Where it is.
    pub source: Source,
    /// Its media type, such as `image/png`, where that is known.
    pub mime: Option<String>,
    /// The file's name.
    pub name: Option<String>,
    /// How closely an image is to be looked at (OpenAI's word).
    pub detail: Option<String>,
}

/// What a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A document, such as a PDF.
    Document,
    /// A sound.
    Audio,
}

/// Where a medium is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Here, in base64 as it came.
    Base64(String),
    /// At a URL, for the provider to fetch.
    Url(String),
    /// At the vendor, known by an id that nobody else can use.
    File(Vendor, String),
}

/// Who made something that only he can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google.
    Google,
}

/// Something opaque that is only ever sent back to who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Who made it.
    pub origin: Vendor,
    /// As it came.
    pub blob: String,
}

/// Something that the model may call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tool {
    /// By which it is called.
    pub name: String,
    /// The group that it is offered in.
    pub namespace: Option<String>,
    /// What it is good for.
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` if it takes none, or text.
    pub schema: Option<Value>,
    /// Whether the arguments must follow the schema.
    pub strict: Option<bool>,
    /// It takes text, of this grammar if one is given, instead of an object.
    pub custom: Option<Grammar>,
}

/// What the text of a custom tool looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grammar {
    /// The grammar in its own language; `None` for any text.
    pub definition: Option<String>,
}

/// Whether tools may, must or must not be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None of them.
    None,
    /// At least one.
    Any,
    /// This one.
    Tool(String),
    /// One or more of these: must (`true`) or may be called.
    Allowed(bool, Vec<String>),
}

/// What form the answer has.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// OpenAI wants a name for it.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// JSON Schema.
        schema: Value,
        /// Whether it must be followed to the letter.
        strict: Option<bool>,
    },
}

/// How long a model should think. In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words are the vendors' own")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The vendors' word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        }
    }

    /// What a word means, in any case of its letters.
    pub fn of_word(word: &str) -> Option<Effort> {
        use Effort::{High, Low, Max, Medium, Minimal, None as Nothing, XHigh};
        [Nothing, Minimal, Low, Medium, High, XHigh, Max]
            .into_iter()
            .find(|effort| effort.word().eq_ignore_ascii_case(word))
    }

    /// What a bound on the tokens of thinking means, where a dialect has that instead of a word.
    pub fn of_budget(tokens: u64) -> Effort {
        match tokens {
            0 => Effort::None,
            1..=1024 => Effort::Minimal,
            1025..=4096 => Effort::Low,
            4097..=12_288 => Effort::Medium,
            12_289..=24_576 => Effort::High,
            _ => Effort::XHigh,
        }
    }
}

impl Turn {
    /// A turn of this role.
    pub fn new(role: Role, parts: Vec<Part>) -> Turn {
        Turn { role, parts }
    }
}

impl Part {
    /// A text.
    pub fn text(text: impl Into<String>) -> Part {
        Part::Text(text.into())
    }
}
