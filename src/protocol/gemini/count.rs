//! `countTokens`: how long a prompt is.

use serde_json::{Map, Value, json};

use super::{names, request, resource};
use crate::chat::{Failure, Request};
use crate::protocol::codec::Addressee;
use crate::protocol::tree::wrong;

/// The body by which a provider is asked: the whole request, so that instructions and tools count.
///
/// # Errors
/// The prompt holds what the dialect has no words for.
pub(crate) fn count_request(asked: &Request, to: Addressee<'_>) -> Result<Value, Failure> {
    let prompt = Request {
        choices: 1,
        ..asked.clone()
    };
    let Value::Object(body) = request::encode_request(&prompt, to)?.body else {
        return Ok(Value::Null);
    };
    let mut counted = Map::new();
    counted.insert("model".into(), resource(to.model).into());
    let of_prompt = |(name, _): &(String, Value)| name != "generationConfig";
    counted.extend(body.into_iter().filter(of_prompt));
    Ok(json!({"generateContentRequest": counted}))
}

/// A client's question: a whole request, or the contents alone.
///
/// # Errors
/// It is malformed.
pub(crate) fn decode_count_request(mut body: Value) -> Result<Request, Failure> {
    names::normalise(&mut body);
    match body.get_mut("generateContentRequest").map(Value::take) {
        None | Some(Value::Null) => request::decode_request(body),
        Some(whole @ Value::Object(_)) => request::decode_request(whole),
        Some(_) => Err(wrong("generateContentRequest", "must be an object")),
    }
}

/// What a provider counted.
pub(crate) fn read_count(answer: &Value) -> Option<u64> {
    let count = answer.get("totalTokens").or(answer.get("total_tokens"))?;
    count.as_u64().or_else(|| count.as_str()?.parse().ok())
}

/// The answer for a client.
pub(crate) fn write_count(tokens: u64) -> Value {
    json!({"totalTokens": tokens})
}
