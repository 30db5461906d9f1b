//! Failures as clients of this dialect expect them.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::openai;

/// The member that refers to an answer that the vendor would have kept.
pub(super) const PREVIOUS: &str = "previous_response_id";

/// The HTTP status and the body that tell a client of a failure: OpenAI's, which has no place for a
/// request's id.
pub(crate) fn render(failure: &Failure, _request_id: &str) -> (u16, Bytes) {
    let (status, body) = openai::render(failure);
    if failure.param.as_deref() == Some(PREVIOUS)
        && let Ok(mut said) = serde_json::from_slice::<Value>(&body)
        && let Some(code) = said.pointer_mut("/error/code")
    {
        // By this code clients know that sending everything again helps.
        *code = "previous_response_not_found".into();
        return (status, said.to_string().into());
    }
    (status, body)
}

/// The `error` of an answer that failed.
pub(super) fn object(failure: &Failure) -> Value {
    json!({"code": code(failure), "message": message(failure)})
}

/// The word by which a client decides whether to try again.
fn code(failure: &Failure) -> &'static str {
    match (failure.kind, failure.side) {
        (FailureKind::ContextTooLong, _) => "context_length_exceeded",
        (FailureKind::QuotaExhausted, _) => "insufficient_quota",
        (FailureKind::RateLimited, _) => "rate_limit_exceeded",
        (FailureKind::InvalidRequest, Side::Client) => "invalid_prompt",
        _ => "server_error",
    }
}

/// The text. Codex reads from it how long to wait: an event has no headers.
fn message(failure: &Failure) -> String {
    let said = &failure.message;
    match failure.retry_after {
        Some(delay)
            if failure.kind == FailureKind::RateLimited && !said.contains("try again in") =>
        {
            format!("{said}; please try again in {}s", delay.as_secs_f64())
        }
        _ => said.clone(),
    }
}
