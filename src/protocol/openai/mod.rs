//! The OpenAI dialect: chat completions, legacy completions and embeddings.
//! Spec: <https://platform.openai.com/docs/api-reference>
//!
//! Both sides of it: what clients send us and what providers answer. Most bytes pass untouched; what
//! must be known (the model, the usage, whether an answer is one) is read where it stands.
//!
//! Quirks: a stream reports usage only when asked, in a chunk without choices; errors may come with
//! status 200, also in mid-stream; `[DONE]` is not JSON, and some providers omit it; compatible
//! servers add fields, comments and chunks without choices at will.

mod answer;
mod chunk;
mod completions;
mod decode;
mod decoder;
pub(crate) mod embed;
mod encode;
mod encoder;
mod error;
mod foreign;
mod gather;
mod passed;
mod response;
mod stream;
mod synthesize;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use answer::expect_json;
pub use answer::judge;
pub(crate) use completions::{CompletionEncoder, decode_completion, encode_completion};
pub(crate) use decode::decode_request;
pub(crate) use decoder::StreamDecoder;
pub(crate) use encode::encode_request;
pub(crate) use encoder::StreamEncoder;
pub use error::{error_event, render};
pub(crate) use foreign::{takes_signatures, without_foreign};
pub use gather::Gather;
pub(crate) use passed::{judge_passed, read_passed_event};
pub(crate) use response::{decode_response, encode_response};
pub use stream::Relay;
pub use synthesize::synthesize;

use serde_json::Value;

/// What a client may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A conversation is continued.
    ChatCompletions,
    /// A text is continued (legacy).
    Completions,
    /// Texts are turned into vectors.
    Embeddings,
}

impl Endpoint {
    /// Its path below the version prefix, on both sides.
    pub const fn path(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "/chat/completions",
            Endpoint::Completions => "/completions",
            Endpoint::Embeddings => "/embeddings",
        }
    }

    /// The `object` of its answers.
    const fn answer_object(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "chat.completion",
            Endpoint::Completions => "text_completion",
            Endpoint::Embeddings => "list",
        }
    }

    /// The `object` of the chunks of its streams; embeddings have none.
    const fn chunk_object(self) -> &'static str {
        match self {
            Endpoint::ChatCompletions => "chat.completion.chunk",
            Endpoint::Completions | Endpoint::Embeddings => self.answer_object(),
        }
    }
}

/// Whether the data of an event is the mark that ends a stream.
fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

/// Whether a value is `null` or empty.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
