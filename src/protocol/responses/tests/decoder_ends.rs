//! How a provider's stream ends.

use serde_json::{Value, json};

use crate::chat::{Event, FailureKind, FinishReason, Part, Usage};
use crate::protocol::codec::Decoder;
use crate::protocol::responses::StreamDecoder;

use super::decoder::{added, arguments, completed, event, function, text_delta};
use super::{assert_legal, collect, events};

#[test]
fn every_end_is_understood() {
    let cut = |kind: &str, response: Value| {
        [
            text_delta(0, "hi"),
            event(kind, json!({"response": response})),
        ]
    };
    for (stream, expected) in [
        (
            cut(
                "incomplete",
                json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
            ),
            FinishReason::Length,
        ),
        (
            cut(
                "incomplete",
                json!({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}),
            ),
            FinishReason::Filter,
        ),
        (cut("incomplete", json!({})), FinishReason::Length),
        (
            cut("completed", json!({"status": "completed"})),
            FinishReason::Stop,
        ),
        (cut("completed", Value::Null), FinishReason::Stop),
    ] {
        let response = collect(&stream).unwrap();
        assert_eq!(response.finish.reason, expected);
        assert_eq!(response.parts, [Part::text("hi")]);
        assert_eq!(response.usage, None::<Usage>);
    }
}

#[test]
fn the_end_closes_the_answer_and_nothing_follows() {
    let seen = events(&[
        text_delta(0, "hi"),
        completed(),
        text_delta(0, "more"),
        completed(),
    ]);
    assert!(matches!(
        &seen[..],
        [
            Event::Start,
            Event::Begin(_),
            Event::Delta(_),
            Event::End,
            Event::Usage(_),
            Event::Finish(_),
            Event::Close
        ]
    ));
}

#[test]
fn a_stream_that_breaks_off_has_no_end() {
    let seen = events(&[
        added(0, function(0)),
        added(1, function(1)),
        arguments(1, "{}"),
    ]);
    assert!(
        !seen
            .iter()
            .any(|event| matches!(event, Event::Finish(_) | Event::Close))
    );
    let begun = seen.iter().filter(|event| matches!(event, Event::Begin(_)));
    assert_eq!(begun.count(), 2, "what was held back is told");
}

#[test]
fn failures_are_told_in_many_ways() {
    let limited = json!({"code": "rate_limit_exceeded", "message": "slow down"});
    for (data, kind, message) in [
        (
            event(
                "failed",
                json!({"response": {"status": "failed", "error": limited}}),
            ),
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            event(
                "completed",
                json!({"response": {"status": "failed", "error": limited}}),
            ),
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null, "sequence_number": 3}),
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            json!({"type": "error", "error": limited}),
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            json!({"error": limited}),
            FailureKind::RateLimited,
            "slow down",
        ),
        (
            json!({"error": "broken"}),
            FailureKind::BadUpstream,
            "broken",
        ),
        (
            event(
                "failed",
                json!({"response": {"error": {"code": "context_length_exceeded", "message": "too long"}}}),
            ),
            FailureKind::ContextTooLong,
            "too long",
        ),
        (
            event("failed", json!({"response": null})),
            FailureKind::BadUpstream,
            "upstream reported an error",
        ),
        (
            event("cancelled", json!({})),
            FailureKind::BadUpstream,
            "upstream's answer is cancelled",
        ),
    ] {
        let failure = collect(&[text_delta(0, "hi"), data.clone(), completed()]).unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (kind, message),
            "{data}"
        );
    }
}

#[test]
fn a_failure_that_comes_first_commits_to_nothing() {
    let seen = events(&[event(
        "failed",
        json!({"response": {"error": {"code": "server_error"}}}),
    )]);
    assert!(matches!(seen[..], [Event::Failed(_)]));
}

#[test]
fn what_is_no_json_is_a_failure() {
    let mut decoder = StreamDecoder::default();
    let mut out = Vec::new();
    for data in [&b""[..], b"[DONE]", b"{\"type\"", b"{}"] {
        decoder.decode(data, &mut out);
    }
    decoder.end(&mut out);
    assert_legal(&out);
    let [Event::Failed(failure)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(
        failure.message,
        "upstream's stream holds an event that is not valid JSON"
    );
}
