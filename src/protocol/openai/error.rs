//! Failures as OpenAI's clients expect them.
//!
//! What a provider calls unauthorized or forbidden concerns *our* key. A client must never see that as its
//! own 401, or its user is asked to log in again.

use bytes::Bytes;
use serde::Serialize;

use crate::chat::{Failure, FailureKind, Side};

#[derive(Serialize)]
struct Envelope<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
}

/// The HTTP status and the body that tell a client of a failure.
///
/// A failure that carries the provider's own answer to the client's mistake is better handed on as it
/// came; that is the caller's choice, not made here.
pub fn render(failure: &Failure) -> (u16, Bytes) {
    let (status, _, _) = class(failure);
    (status, envelope(failure).into())
}

/// The event that ends a broken stream.
pub fn error_event(failure: &Failure) -> Bytes {
    let body = envelope(failure);
    [b"data: ", &body[..], b"\n\n"].concat().into()
}

/// Status, type and code by which a client knows what to do.
fn class(failure: &Failure) -> (u16, &'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    use FailureKind as Kind;
    match (failure.kind, failure.side) {
        // Whatever a provider holds against us is not the client's to fix.
        (
            Kind::Unauthenticated | Kind::Forbidden | Kind::UnknownModel | Kind::NotFound,
            Side::Upstream,
        ) => (502, SERVER, None),
        (Kind::InvalidRequest | Kind::Inexpressible, _) => (400, INVALID, None),
        (Kind::Unauthenticated, _) => (401, INVALID, Some("invalid_api_key")),
        (Kind::Forbidden, _) => (403, INVALID, None),
        (Kind::UnknownModel, _) => (404, INVALID, Some("model_not_found")),
        (Kind::NotFound, _) => (404, INVALID, None),
        (Kind::MethodNotAllowed, _) => (405, INVALID, None),
        (Kind::TooLarge, _) => (413, INVALID, None),
        (Kind::UnsupportedMedia, _) => (415, INVALID, None),
        (Kind::ContextTooLong, _) => (400, INVALID, Some("context_length_exceeded")),
        (Kind::QuotaExhausted, _) => (429, "insufficient_quota", Some("insufficient_quota")),
        (Kind::RateLimited, _) => (429, "requests", Some("rate_limit_exceeded")),
        (Kind::Unavailable, _) => (503, SERVER, None),
        (Kind::Timeout, Side::Client) => (408, INVALID, None),
        (Kind::Timeout, _) => (504, SERVER, Some("timeout")),
        (Kind::BadUpstream, _) => (502, SERVER, None),
        (Kind::Internal, _) => (500, SERVER, None),
    }
}

fn envelope(failure: &Failure) -> Vec<u8> {
    let (_, r#type, code) = class(failure);
    let envelope = Envelope {
        error: Error {
            message: &failure.message,
            r#type,
            param: failure.param.as_deref(),
            code,
            resets_at: failure.resets_at.map(|moment| moment.rfc3339()),
        },
    };
    // Strings and options always serialize.
    serde_json::to_vec(&envelope).unwrap_or_default()
}
