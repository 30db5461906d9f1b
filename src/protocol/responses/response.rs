//! Whole answers.

use serde_json::{Value, json};

use super::envelope::{Envelope, State};
use super::{item, output, usage};
use crate::chat::{Failure, Part, Response};
use crate::protocol::codec::Reply;
use crate::protocol::error;

/// Reads a provider's answer.
///
/// # Errors
/// It is none, or says that the provider failed.
#[expect(
    clippy::needless_pass_by_value,
    reason = "all dialects read answers by one signature"
)]
pub(crate) fn decode_response(body: Value) -> Result<Response, Failure> {
    if let Some(failure) = failed(&body) {
        return Err(failure);
    }
    let Some(items) = body["output"].as_array() else {
        return Err(Failure::upstream("upstream's answer has no `output`"));
    };
    let mut response = Response::default();
    for placed in items.iter().flat_map(item::parts) {
        response.logprobs.extend(placed.logprobs);
        response.parts.push(placed.part);
    }
    let has_calls = response
        .parts
        .iter()
        .any(|part| matches!(part, Part::Call(_)));
    response.finish = item::finish(&body, has_calls);
    response.usage = usage::read(&body["usage"]);
    Ok(response)
}

/// The failure that an answer tells of, if it does.
pub(super) fn failed(answer: &Value) -> Option<Failure> {
    let told = match &answer["error"] {
        Value::Null | Value::Bool(false) => None,
        error => Some(error),
    };
    match item::text(&answer["status"]) {
        "failed" => Some(reported(told.unwrap_or(&Value::Null))),
        // Nobody waits for what is not there yet.
        state @ ("cancelled" | "queued" | "in_progress") if told.is_none() => {
            Some(Failure::upstream(format!("upstream's answer is {state}")))
        }
        _ => told.map(reported),
    }
}

/// What an error object means.
pub(super) fn reported(error: &Value) -> Failure {
    error::reported(json!({"error": error}).to_string().as_bytes())
}

/// Writes an answer for a client.
pub(crate) fn encode_response(mut response: Response, reply: &Reply) -> Value {
    response.settle_finish();
    let items = output::items(response.parts, &response.logprobs, &reply.id);
    let state = State::Ended(response.finish.reason, response.usage);
    Envelope::new(reply).write(state, &items)
}
