//! The Gemini dialect: `generateContent`, `streamGenerateContent`, `countTokens` and the embeddings.
//! Spec: <https://ai.google.dev/api/generate-content>
//!
//! Quirks: the model stands in the URL and so does the wish for a stream; members come in `camelCase` and in
//! `snake_case`; unknown members are refused; calls come whole, may lack ids, and leave the finish reason at
//! `STOP`; a stream has no end mark, and without `alt=sse` is one JSON array; proofs of thinking stand on the part
//! that follows it, or on a call, and must return there.

mod count;
mod decoder;
pub(crate) mod embed;
mod encoder;
mod error;
mod finish;
mod foreign;
mod names;
mod parts;
mod request;
mod response;
mod schema;
mod sign;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use count::{count_request, decode_count_request, read_count, write_count};
pub(crate) use decoder::StreamDecoder;
pub(crate) use encoder::StreamEncoder;
pub(crate) use error::render;
pub(crate) use foreign::{may_have_foreign, without_foreign};
pub(crate) use request::{decode_request, encode_request};
pub(crate) use response::{decode_response, encode_response};

/// A model's name as Google's bodies have it.
fn resource(model: &str) -> String {
    let named = ["models/", "tunedModels/"];
    if named.iter().any(|prefix| model.starts_with(prefix)) {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}
