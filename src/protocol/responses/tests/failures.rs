//! Failures as clients get them.

use serde_json::{Value, json};

use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::responses::{decode_request, render};

fn read(failure: &Failure) -> (u16, Value) {
    let (status, body) = render(failure, "req_1");
    (status, serde_json::from_slice(&body).unwrap())
}

#[test]
fn an_answer_that_we_do_not_keep_is_refused_in_the_vendor_s_words() {
    let failure =
        decode_request(json!({"previous_response_id": "resp_1", "input": "hi"})).unwrap_err();
    let message = "previous_response_id is not supported by this gateway; send the full input";
    assert_eq!(
        read(&failure),
        (
            400,
            json!({"error": {"message": message, "type": "invalid_request_error",
                "param": "previous_response_id", "code": "previous_response_not_found"}})
        )
    );
}

#[test]
fn failures_are_openai_s() {
    for (failure, expected) in [
        (
            Failure::invalid("no").about("input"),
            (
                400,
                json!({"error": {"message": "no", "type": "invalid_request_error", "param": "input", "code": null}}),
            ),
        ),
        (
            Failure::new(FailureKind::RateLimited, Side::Upstream, "slow"),
            (
                429,
                json!({"error": {"message": "slow", "type": "requests", "param": null, "code": "rate_limit_exceeded"}}),
            ),
        ),
        (
            Failure::new(FailureKind::Unauthenticated, Side::Upstream, "x"),
            (
                502,
                json!({"error": {"message": "x", "type": "server_error", "param": null, "code": null}}),
            ),
        ),
    ] {
        assert_eq!(read(&failure), expected);
    }
}
