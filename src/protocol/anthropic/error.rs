//! Failures as Anthropic's clients expect them.
//!
//! What a provider calls unauthorized or forbidden concerns *our* key. A client must never see that as its own
//! 401, or its user is asked to log in again.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chat::{Failure, FailureKind, Side};

/// By these words an agent knows that it has to shorten its conversation.
const TOO_LONG: &str = "prompt is too long";

/// The HTTP status and the body that tell a client of a failure.
pub(crate) fn render(failure: &Failure, request_id: &str) -> (u16, Bytes) {
    let (status, _) = class(failure);
    let mut body = event(failure);
    body["request_id"] = request_id.into();
    (status, body.to_string().into())
}

/// The event that ends a broken stream; it is named `error`.
pub(super) fn event(failure: &Failure) -> Value {
    let (_, kind) = class(failure);
    json!({"type": "error", "error": {"type": kind, "message": message(failure)}})
}

/// Status and type by which a client knows what to do.
fn class(failure: &Failure) -> (u16, &'static str) {
    const INVALID: &str = "invalid_request_error";
    const SERVER: &str = "api_error";
    use FailureKind as Kind;
    match (failure.kind, failure.side) {
        // Whatever a provider holds against us is not the client's to fix.
        (
            Kind::Unauthenticated | Kind::Forbidden | Kind::UnknownModel | Kind::NotFound,
            Side::Upstream,
        ) => (502, SERVER),
        (Kind::InvalidRequest | Kind::Inexpressible | Kind::ContextTooLong, _) => (400, INVALID),
        (Kind::Unauthenticated, _) => (401, "authentication_error"),
        (Kind::Forbidden, _) => (403, "permission_error"),
        (Kind::UnknownModel | Kind::NotFound, _) => (404, "not_found_error"),
        (Kind::MethodNotAllowed, _) => (405, INVALID),
        (Kind::TooLarge, _) => (413, "request_too_large"),
        (Kind::UnsupportedMedia, _) => (415, INVALID),
        // The vendor's own `billing_error` would tell the client of a bill that it does not pay.
        (Kind::QuotaExhausted | Kind::RateLimited, _) => (429, "rate_limit_error"),
        // The vendor's own number: its clients wait and try again.
        (Kind::Unavailable, _) => (529, "overloaded_error"),
        (Kind::Timeout, Side::Client) => (408, "timeout_error"),
        (Kind::Timeout, _) => (504, "timeout_error"),
        (Kind::BadUpstream, _) => (502, SERVER),
        (Kind::Internal, _) => (500, SERVER),
    }
}

fn message(failure: &Failure) -> Cow<'_, str> {
    let said = &failure.message;
    if failure.kind == FailureKind::ContextTooLong && !said.to_lowercase().contains(TOO_LONG) {
        return format!("{TOO_LONG}: {said}").into();
    }
    said.into()
}
