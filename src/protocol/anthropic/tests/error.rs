//! Failures as clients see them.

use super::*;

#[test]
fn every_kind_has_its_status_and_type() {
    use FailureKind as Kind;
    use Side::{Client, Gateway, Upstream};
    for (kind, side, status, r#type) in [
        (Kind::InvalidRequest, Client, 400, "invalid_request_error"),
        (Kind::Inexpressible, Gateway, 400, "invalid_request_error"),
        (Kind::ContextTooLong, Client, 400, "invalid_request_error"),
        (Kind::Unauthenticated, Client, 401, "authentication_error"),
        (Kind::Unauthenticated, Upstream, 502, "api_error"),
        (Kind::Forbidden, Client, 403, "permission_error"),
        (Kind::Forbidden, Upstream, 502, "api_error"),
        (Kind::UnknownModel, Client, 404, "not_found_error"),
        (Kind::UnknownModel, Upstream, 502, "api_error"),
        (Kind::NotFound, Client, 404, "not_found_error"),
        (Kind::NotFound, Upstream, 502, "api_error"),
        (Kind::MethodNotAllowed, Client, 405, "invalid_request_error"),
        (Kind::TooLarge, Client, 413, "request_too_large"),
        (Kind::UnsupportedMedia, Client, 415, "invalid_request_error"),
        (Kind::QuotaExhausted, Gateway, 429, "rate_limit_error"),
        (Kind::RateLimited, Upstream, 429, "rate_limit_error"),
        (Kind::Unavailable, Gateway, 529, "overloaded_error"),
        (Kind::Timeout, Client, 408, "timeout_error"),
        (Kind::Timeout, Upstream, 504, "timeout_error"),
        (Kind::BadUpstream, Upstream, 502, "api_error"),
        (Kind::Internal, Gateway, 500, "api_error"),
    ] {
        let (seen, body) = render(&Failure::new(kind, side, "it failed"), "req_1");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (seen, body["error"]["type"].as_str()),
            (status, Some(r#type)),
            "{kind:?} {side:?}"
        );
        assert_eq!(body["type"], "error");
        assert_eq!(body["request_id"], "req_1");
    }
}

#[test]
fn the_whole_body_is_what_the_vendor_sends() {
    let (_, body) = render(&Failure::invalid("`messages` is missing"), "req_1");
    assert_eq!(
        body,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"`messages` is missing"},"request_id":"req_1"}"#
    );
}

#[test]
fn an_agent_learns_in_the_vendors_words_that_its_prompt_is_too_long() {
    for (said, told) in [
        (
            "maximum context length is 128000",
            "prompt is too long: maximum context length is 128000",
        ),
        (
            "Prompt is too long: 210000 tokens",
            "Prompt is too long: 210000 tokens",
        ),
    ] {
        let failure = Failure::new(FailureKind::ContextTooLong, Side::Client, said);
        let (_, body) = render(&failure, "r");
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["message"], told);
    }
}
