//! Errors on their way out, and those of providers.

use std::time::Duration;

use super::*;
use crate::chat::{FailureKind, Side, Span};
use crate::clock::UnixMillis;
use crate::protocol::error::{decode, reported};

fn decoded(status: u16, body: &str) -> Failure {
    decode(
        status,
        Some("application/json"),
        Some(Bytes::copy_from_slice(body.as_bytes())),
        None,
    )
}

#[test]
fn every_kind_has_its_status_type_and_code() {
    use FailureKind as Kind;
    for (kind, side, status, r#type, code) in [
        (
            Kind::InvalidRequest,
            Side::Client,
            400,
            "invalid_request_error",
            Value::Null,
        ),
        (
            Kind::Unauthenticated,
            Side::Client,
            401,
            "invalid_request_error",
            "invalid_api_key".into(),
        ),
        (
            Kind::Unauthenticated,
            Side::Upstream,
            502,
            "server_error",
            Value::Null,
        ),
        (
            Kind::Forbidden,
            Side::Client,
            403,
            "invalid_request_error",
            Value::Null,
        ),
        (
            Kind::Forbidden,
            Side::Upstream,
            502,
            "server_error",
            Value::Null,
        ),
        (
            Kind::UnknownModel,
            Side::Client,
            404,
            "invalid_request_error",
            "model_not_found".into(),
        ),
        (
            Kind::UnknownModel,
            Side::Upstream,
            502,
            "server_error",
            Value::Null,
        ),
        (
            Kind::NotFound,
            Side::Client,
            404,
            "invalid_request_error",
            Value::Null,
        ),
        (
            Kind::MethodNotAllowed,
            Side::Client,
            405,
            "invalid_request_error",
            Value::Null,
        ),
        (
            Kind::TooLarge,
            Side::Client,
            413,
            "invalid_request_error",
            Value::Null,
        ),
        (
            Kind::ContextTooLong,
            Side::Client,
            400,
            "invalid_request_error",
            "context_length_exceeded".into(),
        ),
        (
            Kind::QuotaExhausted,
            Side::Gateway,
            429,
            "insufficient_quota",
            "insufficient_quota".into(),
        ),
        (
            Kind::RateLimited,
            Side::Gateway,
            429,
            "requests",
            "rate_limit_exceeded".into(),
        ),
        (
            Kind::Unavailable,
            Side::Gateway,
            503,
            "server_error",
            Value::Null,
        ),
        (
            Kind::Timeout,
            Side::Upstream,
            504,
            "server_error",
            "timeout".into(),
        ),
        (
            Kind::BadUpstream,
            Side::Upstream,
            502,
            "server_error",
            Value::Null,
        ),
        (
            Kind::Internal,
            Side::Gateway,
            500,
            "server_error",
            Value::Null,
        ),
    ] {
        let (found, body) = render(&Failure::new(kind, side, "what \"went\" wrong"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(found, status, "{kind:?}");
        let expected = serde_json::json!({"error": {
            "message": "what \"went\" wrong", "type": r#type, "param": null, "code": code,
        }});
        assert_eq!(body, expected, "{kind:?}");
    }
}

#[test]
fn param_and_reset_are_told() {
    let mut failure = Failure::invalid("no").about("model");
    failure.resets_at = Some(UnixMillis::from_secs(0));
    let (_, body) = render(&failure);
    assert_eq!(
        &body[..],
        br#"{"error":{"message":"no","type":"invalid_request_error","param":"model","code":null,"resets_at":"1970-01-01T00:00:00Z"}}"#
    );
}

#[test]
fn an_error_event_is_one_line_of_data() {
    let event = error_event(&Failure::upstream("the provider\nbroke off"));
    assert_eq!(
        &event[..],
        b"data: {\"error\":{\"message\":\"the provider\\nbroke off\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
    );
}

#[test]
fn statuses_and_texts_are_understood() {
    use FailureKind as Kind;
    use Side::{Client, Upstream};
    let no_model = r#"{"error":{"message":"The model `x` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
    for (status, body, kind, side) in [
        (408, "", Kind::Timeout, Upstream),
        (500, "", Kind::BadUpstream, Upstream),
        (502, "<html>", Kind::BadUpstream, Upstream),
        (529, "{}", Kind::BadUpstream, Upstream),
        (302, "", Kind::BadUpstream, Upstream),
        (401, "{}", Kind::Unauthenticated, Upstream),
        (402, "{}", Kind::QuotaExhausted, Upstream),
        (403, "{}", Kind::Forbidden, Upstream),
        (429, "{}", Kind::RateLimited, Upstream),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Kind::QuotaExhausted,
            Upstream,
        ),
        (
            429,
            r#"{"error":{"message":"no","type":"insufficient_quota","code":429}}"#,
            Kind::QuotaExhausted,
            Upstream,
        ),
        (
            429,
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            Kind::QuotaExhausted,
            Upstream,
        ),
        (
            429,
            r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED"}}"#,
            Kind::RateLimited,
            Upstream,
        ),
        (404, no_model, Kind::UnknownModel, Upstream),
        (
            404,
            r#"{"error":"model 'llama9' not found, try pulling it first"}"#,
            Kind::UnknownModel,
            Upstream,
        ),
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource is missing."}}"#,
            Kind::UnknownModel,
            Upstream,
        ),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-x"}}"#,
            Kind::UnknownModel,
            Upstream,
        ),
        (
            404,
            r#"{"error":{"message":"No endpoints found for x/y.","code":404}}"#,
            Kind::UnknownModel,
            Upstream,
        ),
        (404, r#"{"detail":"Not Found"}"#, Kind::NotFound, Client),
        (404, "", Kind::NotFound, Client),
        (
            400,
            r#"{"error":{"message":"too much","code":"context_length_exceeded"}}"#,
            Kind::ContextTooLong,
            Client,
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#,
            Kind::ContextTooLong,
            Client,
        ),
        (
            422,
            r#"{"message":"Prompt is too long"}"#,
            Kind::ContextTooLong,
            Client,
        ),
        (
            413,
            r#"{"error":{"message":"input exceeds the maximum number of tokens"}}"#,
            Kind::ContextTooLong,
            Client,
        ),
        (
            413,
            r#"{"error":{"message":"Request too large","type":"tokens","code":"rate_limit_exceeded"}}"#,
            Kind::RateLimited,
            Upstream,
        ),
        (413, "", Kind::TooLarge, Client),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
            Kind::Unauthenticated,
            Upstream,
        ),
        (
            400,
            r#"{"error":{"message":"`n` is too big"}}"#,
            Kind::InvalidRequest,
            Client,
        ),
        (422, "{}", Kind::InvalidRequest, Client),
        (418, "", Kind::InvalidRequest, Client),
    ] {
        let failure = decoded(status, body);
        assert_eq!(
            (failure.kind, failure.side),
            (kind, side),
            "{status} {body}"
        );
        assert_eq!(failure.upstream_status(), Some(status));
    }
}

#[test]
fn the_message_is_the_providers_where_it_is_one() {
    for (body, expected) in [
        (r#"{"error":{"message":" too hot "}}"#, "too hot"),
        (r#"{"error":"too hot"}"#, "too hot"),
        (
            r#"{"object":"error","message":"too hot","code":400}"#,
            "too hot",
        ),
        (
            r#"{"detail":[{"loc":["body"],"msg":"too hot"}]}"#,
            "too hot",
        ),
        (r#"[{"error":{"message":"too hot"}}]"#, "too hot"),
        (r#"{"errors":[{"message":"too hot"}]}"#, "too hot"),
        (r#"{"error":{"message":""},"message":"too hot"}"#, "too hot"),
        (
            r#"{"error":{"message":"<html>no</html>"}}"#,
            "upstream returned HTTP 400",
        ),
        ("<html>no</html>", "upstream returned HTTP 400"),
        ("", "upstream returned HTTP 400"),
        ("{}", "upstream returned HTTP 400"),
    ] {
        assert_eq!(decoded(400, body).message, expected, "{body}");
    }
    let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(501));
    assert_eq!(
        decoded(400, &long).message,
        format!("{}...", "é".repeat(500))
    );
}

#[test]
fn a_refused_key_is_not_quoted() {
    let failure = decoded(
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-secret"}}"#,
    );
    assert_eq!(failure.message, "provider authentication failed (HTTP 401)");
    assert_eq!(render(&failure).0, 502);
}

#[test]
fn the_param_is_taken_over_for_the_client() {
    let failure = decoded(400, r#"{"error":{"message":"no","param":"n"}}"#);
    assert_eq!(failure.param.as_deref(), Some("n"));
}

#[test]
fn headers_tell_when_to_retry_and_else_the_body() {
    let body = r#"[{"error":{"details":[{},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7.5s"}]}}]"#;
    assert_eq!(
        decoded(429, body).retry_after,
        Some(Duration::from_millis(7500))
    );
    let told = Some(Duration::from_secs(2));
    let failure = decode(429, None, Some(Bytes::from(body)), told);
    assert_eq!(failure.retry_after, told);
    let absurd = r#"{"error":{"details":[{"retryDelay":"-1s"}]}}"#;
    assert_eq!(decoded(429, absurd).retry_after, None);
}

#[test]
fn a_refusal_says_which_window_is_spent() {
    let google = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"quota","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"},{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"retryDelay":"17s"}]}}]"#;
    let groq = r#"{"error":{"message":"Rate limit reached on tokens per minute (TPM)","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let openrouter =
        r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429}}"#;
    for (body, expected) in [
        (google, Some(Span::Day)),
        (groq, Some(Span::Minute)),
        (openrouter, Some(Span::Day)),
        (r#"{"error":{"message":"slow down","code":429}}"#, None),
    ] {
        let failure = decoded(429, body);
        assert_eq!(failure.spent, expected, "{body}");
        assert_eq!(reported(body.as_bytes()).spent, expected, "{body}");
    }
    // The window ends later than the provider thinks it may be asked again.
    assert_eq!(
        decoded(429, google).retry_after,
        Some(Duration::from_secs(17))
    );
    // Who complains about something else spent nothing.
    assert_eq!(decoded(400, groq).spent, Some(Span::Minute));
    assert_eq!(decoded(400, openrouter).spent, None);
    assert_eq!(decoded(500, google).spent, None);
}

#[test]
fn an_error_inside_an_answer_says_what_it_is() {
    use FailureKind as Kind;
    use Side::{Client, Upstream};
    for (body, kind, side, message) in [
        (
            r#"{"error":{"message":"slow down","code":429}}"#,
            Kind::RateLimited,
            Upstream,
            "slow down",
        ),
        (
            r#"{"error":{"message":"slow down","code":"429"}}"#,
            Kind::RateLimited,
            Upstream,
            "slow down",
        ),
        (
            r#"[{"error":{"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]"#,
            Kind::RateLimited,
            Upstream,
            "slow down",
        ),
        (
            r#"{"error":{"message":"pay","type":"insufficient_quota"}}"#,
            Kind::QuotaExhausted,
            Upstream,
            "pay",
        ),
        (
            r#"{"error":{"message":"pay","code":429,"type":"insufficient_quota"}}"#,
            Kind::QuotaExhausted,
            Upstream,
            "pay",
        ),
        (
            r#"{"error":{"message":"bad key sk-1","type":"authentication_error"}}"#,
            Kind::Unauthenticated,
            Upstream,
            "provider authentication failed",
        ),
        (
            r#"{"choices":[{"error":{"message":"slow down","code":429}}]}"#,
            Kind::RateLimited,
            Upstream,
            "slow down",
        ),
        (
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            Kind::ContextTooLong,
            Client,
            "too long",
        ),
        // What may be the client's fault may as well be the provider's, who said 200.
        (
            r#"{"error":{"message":"no","code":400}}"#,
            Kind::BadUpstream,
            Upstream,
            "no",
        ),
        (
            r#"{"error":{"message":"overloaded","code":502}}"#,
            Kind::BadUpstream,
            Upstream,
            "overloaded",
        ),
        (
            r#"{"error":{"message":"what","code":"surprise"}}"#,
            Kind::BadUpstream,
            Upstream,
            "what",
        ),
        (
            r#"{"error":true}"#,
            Kind::BadUpstream,
            Upstream,
            "upstream reported an error",
        ),
    ] {
        let failure = reported(body.as_bytes());
        assert_eq!(
            (failure.kind, failure.side, failure.message.as_str()),
            (kind, side, message),
            "{body}"
        );
    }
    let slow = r#"{"error":{"code":429,"message":"x","details":[{"retryDelay":"3s"}]}}"#;
    let told = reported(slow.as_bytes()).retry_after;
    assert_eq!(told, Some(Duration::from_secs(3)));
}

#[test]
fn an_error_that_cannot_be_read_has_its_status() {
    let failure = decode(422, Some("application/json"), None, None);
    assert_eq!(failure.upstream_status(), Some(422));
    assert_eq!(failure.message, "upstream returned HTTP 422");
    assert_eq!(render(&failure).0, 400);
}
