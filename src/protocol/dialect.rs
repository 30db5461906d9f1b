//! Which dialect somebody speaks, and with what accent.

/// The dialects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI Chat Completions, with legacy completions, embeddings and what else goes through as it is.
    #[default]
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini.
    Gemini,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 4] = [
        Protocol::OpenAi,
        Protocol::Responses,
        Protocol::Anthropic,
        Protocol::Gemini,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::OpenAi => "openai",
            Protocol::Responses => "responses",
            Protocol::Anthropic => "anthropic",
            Protocol::Gemini => "gemini",
        }
    }
}

/// How a provider speaks its dialect: servers that call themselves compatible differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Dialect {
    /// Which dialect.
    pub protocol: Protocol,
    /// The bound on an answer where the dialect demands one and the client gave none (Anthropic).
    pub default_max_tokens: u64,
    /// By which name the bound goes (OpenAI).
    pub max_tokens_field: MaxTokensField,
    /// Whether to ask for usage in streams (OpenAI).
    pub include_usage: bool,
    /// How thinking is asked for (Anthropic, Gemini).
    pub thinking_style: ThinkingStyle,
    /// In which language schemas are (Gemini).
    pub schema_style: SchemaStyle,
    /// What is never sent, by the names of [`DROPPABLE`](Self::DROPPABLE).
    pub drop_params: Vec<String>,
    /// The `anthropic-version` of translated requests.
    pub anthropic_version: String,
    /// What stands for the signature of a call that has lost its own (Gemini). Empty: nothing.
    pub dummy_signature: String,
}

/// By which name the bound on an answer goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_tokens`, which every compatible server knows.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's reasoning models insist on.
    MaxCompletionTokens,
}

/// How thinking is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkingStyle {
    /// By a word.
    #[default]
    Effort,
    /// By a number of tokens, as older models want it.
    Budget,
}

/// In which language schemas are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaStyle {
    /// JSON Schema.
    #[default]
    JsonSchema,
    /// The subset of OpenAPI that older Gemini models know.
    OpenApi,
}

impl Dialect {
    /// What [`drop_params`](Self::drop_params) may name.
    pub const DROPPABLE: [&'static str; 12] = [
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "logprobs",
        "effort",
        "response_format",
        "parallel_tool_calls",
        "user",
    ];

    /// This dialect without an accent.
    pub fn plain(protocol: Protocol) -> Dialect {
        Dialect {
            protocol,
            default_max_tokens: 8192,
            max_tokens_field: MaxTokensField::default(),
            include_usage: true,
            thinking_style: ThinkingStyle::default(),
            schema_style: SchemaStyle::default(),
            drop_params: Vec::new(),
            anthropic_version: "2023-06-01".to_owned(),
            dummy_signature: "skip_thought_signature_validator".to_owned(),
        }
    }
}

impl Default for Dialect {
    fn default() -> Dialect {
        Dialect::plain(Protocol::default())
    }
}
