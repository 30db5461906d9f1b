//! Failures as Gemini's clients expect them: a status of Google's remote procedure calls.
//!
//! What a provider holds against us is not the client's to fix, so it is never shown as the client's own 401 or 404.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chat::{Failure, FailureKind, Side};

/// The HTTP status and the body that tell a client of a failure.
pub(crate) fn render(failure: &Failure, _request_id: &str) -> (u16, Bytes) {
    let (code, _) = class(failure);
    (code, object(failure).to_string().into())
}

/// The error object: the body of an answer, and the last element of a stream.
pub(super) fn object(failure: &Failure) -> Value {
    let (code, status) = class(failure);
    let mut error = json!({"code": code, "message": failure.message, "status": status});
    let details = details(failure);
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({ "error": error })
}

/// The code and the status by which a client knows what to do.
fn class(failure: &Failure) -> (u16, &'static str) {
    use FailureKind as Kind;
    match (failure.kind, failure.side) {
        (
            Kind::Unauthenticated | Kind::Forbidden | Kind::UnknownModel | Kind::NotFound,
            Side::Upstream,
        ) => (502, "INTERNAL"),
        (Kind::InvalidRequest | Kind::Inexpressible | Kind::ContextTooLong, _) => {
            (400, "INVALID_ARGUMENT")
        }
        (Kind::Unauthenticated, _) => (401, "UNAUTHENTICATED"),
        (Kind::Forbidden, _) => (403, "PERMISSION_DENIED"),
        (Kind::UnknownModel | Kind::NotFound, _) => (404, "NOT_FOUND"),
        (Kind::MethodNotAllowed, _) => (405, "INVALID_ARGUMENT"),
        (Kind::TooLarge, _) => (413, "INVALID_ARGUMENT"),
        (Kind::UnsupportedMedia, _) => (415, "INVALID_ARGUMENT"),
        (Kind::QuotaExhausted | Kind::RateLimited, _) => (429, "RESOURCE_EXHAUSTED"),
        (Kind::Unavailable, _) => (503, "UNAVAILABLE"),
        (Kind::Timeout, Side::Client) => (408, "DEADLINE_EXCEEDED"),
        (Kind::Timeout, _) => (504, "DEADLINE_EXCEEDED"),
        (Kind::BadUpstream, _) => (502, "INTERNAL"),
        (Kind::Internal, _) => (500, "INTERNAL"),
    }
}

fn details(failure: &Failure) -> Vec<Value> {
    let mut details = Vec::new();
    if let Some(field) = failure.param.as_deref() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": failure.message}],
        }));
    }
    if let Some(moment) = failure.resets_at {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "QUOTA_EXHAUSTED",
            "domain": "api-gateway",
            "metadata": {"resetsAt": moment.rfc3339()},
        }));
    }
    if let Some(delay) = failure.retry_after {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": seconds(delay),
        }));
    }
    details
}

/// A duration as Google writes it: `7s`, `7.500s`.
fn seconds(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        millis => format!("{}.{millis:03}s", duration.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(failure: &Failure) -> (u16, Value) {
        let (status, body) = render(failure, "id");
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn every_kind_has_a_status() {
        use FailureKind as Kind;
        for (kind, side, code, status) in [
            (Kind::InvalidRequest, Side::Client, 400, "INVALID_ARGUMENT"),
            (Kind::Inexpressible, Side::Gateway, 400, "INVALID_ARGUMENT"),
            (Kind::ContextTooLong, Side::Client, 400, "INVALID_ARGUMENT"),
            (Kind::Unauthenticated, Side::Client, 401, "UNAUTHENTICATED"),
            (Kind::Unauthenticated, Side::Upstream, 502, "INTERNAL"),
            (Kind::Forbidden, Side::Client, 403, "PERMISSION_DENIED"),
            (Kind::Forbidden, Side::Upstream, 502, "INTERNAL"),
            (Kind::UnknownModel, Side::Gateway, 404, "NOT_FOUND"),
            (Kind::UnknownModel, Side::Upstream, 502, "INTERNAL"),
            (Kind::NotFound, Side::Client, 404, "NOT_FOUND"),
            (Kind::NotFound, Side::Upstream, 502, "INTERNAL"),
            (
                Kind::MethodNotAllowed,
                Side::Client,
                405,
                "INVALID_ARGUMENT",
            ),
            (Kind::TooLarge, Side::Client, 413, "INVALID_ARGUMENT"),
            (
                Kind::UnsupportedMedia,
                Side::Client,
                415,
                "INVALID_ARGUMENT",
            ),
            (
                Kind::QuotaExhausted,
                Side::Gateway,
                429,
                "RESOURCE_EXHAUSTED",
            ),
            (Kind::RateLimited, Side::Upstream, 429, "RESOURCE_EXHAUSTED"),
            (Kind::Unavailable, Side::Gateway, 503, "UNAVAILABLE"),
            (Kind::Timeout, Side::Client, 408, "DEADLINE_EXCEEDED"),
            (Kind::Timeout, Side::Upstream, 504, "DEADLINE_EXCEEDED"),
            (Kind::BadUpstream, Side::Upstream, 502, "INTERNAL"),
            (Kind::Internal, Side::Gateway, 500, "INTERNAL"),
        ] {
            let (http, body) = rendered(&Failure::new(kind, side, "no"));
            let expected = json!({"error": {"code": code, "message": "no", "status": status}});
            assert_eq!((http, body), (code, expected), "{kind:?} {side:?}");
        }
    }

    #[test]
    fn a_client_learns_when_to_try_again() {
        let mut failure = Failure::new(FailureKind::RateLimited, Side::Upstream, "slow down");
        for (millis, expected) in [(7000, "7s"), (7500, "7.500s"), (20, "0.020s")] {
            failure.retry_after = Some(Duration::from_millis(millis));
            let (_, body) = rendered(&failure);
            let detail = &body["error"]["details"][0];
            assert_eq!(detail["@type"], "type.googleapis.com/google.rpc.RetryInfo");
            assert_eq!(detail["retryDelay"], expected);
        }
    }

    #[test]
    fn a_client_learns_which_field_is_wrong() {
        let failure = Failure::invalid("`contents` is missing").about("contents");
        let (_, body) = rendered(&failure);
        let detail = &body["error"]["details"][0];
        assert_eq!(detail["fieldViolations"][0]["field"], "contents");
    }
}
