//! Whole answers.

use super::super::sign::DUMMY;
use serde_json::{Value, json};

use super::{call, reply, signed, thinking};
use crate::chat::{FailureKind, FinishReason, Logprob, Part, Response, Usage, Vendor};
use crate::protocol::gemini::{decode_request, decode_response, encode_response};

fn answer(parts: Value, reason: &str) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}]})
}

fn usage() -> Usage {
    Usage {
        input: 10,
        output: 7,
        total: 17,
        cached: 2,
        reasoning: 3,
        ..Usage::default()
    }
}

#[test]
fn an_answer_has_parts_a_reason_and_a_price() {
    let mut body = answer(
        json!([
            {"text": "hm", "thought": true},
            {"text": "a"},
            {"text": "b"},
            {"functionCall": {"id": "1", "name": "f", "args": {"x": 1.0}}, "thoughtSignature": "AAAA"},
            {"function_call": {"name": "g"}},
        ]),
        "STOP",
    );
    body["usageMetadata"] = json!({
        "promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "cachedContentTokenCount": 2,
        "totalTokenCount": 17,
    });
    let expected = Response {
        parts: vec![
            thinking("hm", None),
            Part::text("ab"),
            call(
                "1",
                "f",
                r#"{"x":1.0}"#,
                Some(signed(Vendor::Google, "AAAA")),
            ),
            call("", "g", "{}", None),
        ],
        logprobs: vec![],
        finish: FinishReason::ToolUse.into(),
        usage: Some(usage()),
    };
    assert_eq!(decode_response(body).unwrap(), expected);
}

#[test]
fn every_end_is_understood() {
    let text = json!([{"text": "a"}]);
    let calls = json!([{"functionCall": {"name": "f"}}]);
    for (parts, reason, expected) in [
        (&text, "STOP", FinishReason::Stop),
        (&calls, "STOP", FinishReason::ToolUse),
        (&calls, "MAX_TOKENS", FinishReason::Length),
        (&text, "MAX_TOKENS", FinishReason::Length),
        (&text, "SAFETY", FinishReason::Filter),
        (&text, "OTHER", FinishReason::Stop),
        (&text, "CONTINUATION", FinishReason::Pause),
        (&text, "MALFORMED_FUNCTION_CALL", FinishReason::Stop),
        (&calls, "UNEXPECTED_TOOL_CALL", FinishReason::ToolUse),
    ] {
        let response = decode_response(answer(parts.clone(), reason)).unwrap();
        assert_eq!(response.finish.reason, expected, "{reason}");
    }
}

#[test]
fn an_answer_may_be_empty() {
    for (body, expected) in [
        (
            json!({"promptFeedback": {"blockReason": "SAFETY"}}),
            FinishReason::Filter,
        ),
        (
            json!({"prompt_feedback": {"block_reason": "OTHER"}, "candidates": []}),
            FinishReason::Filter,
        ),
        (
            json!({"candidates": [{"finishReason": "MAX_TOKENS"}]}),
            FinishReason::Length,
        ),
        (
            json!({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}),
            FinishReason::Stop,
        ),
        (
            json!({"candidates": [{"content": {"parts": []}}]}),
            FinishReason::Stop,
        ),
    ] {
        let response = decode_response(body).unwrap();
        assert_eq!((response.parts, response.finish.reason), (vec![], expected));
    }
}

#[test]
fn a_call_that_cannot_be_read_is_a_failure_unless_there_is_an_answer() {
    for (parts, failed) in [
        (json!([]), true),
        (json!([{"text": "hm", "thought": true}]), true),
        (json!([{"text": "a"}]), false),
    ] {
        let mut body = answer(parts, "MALFORMED_FUNCTION_CALL");
        body["candidates"][0]["finishMessage"] = "Malformed function call: print(secret)".into();
        match decode_response(body) {
            Ok(_) => assert!(!failed),
            Err(failure) => {
                assert!(failed);
                assert_eq!(failure.message, "Malformed function call: print(secret)");
                assert!(!failure.for_log().contains("secret"));
            }
        }
    }
}

#[test]
fn what_is_no_answer_is_the_providers_fault() {
    for (body, kind) in [
        (json!({}), FailureKind::BadUpstream),
        (json!([]), FailureKind::BadUpstream),
        (json!("hi"), FailureKind::BadUpstream),
        (json!({"candidates": []}), FailureKind::BadUpstream),
        (
            json!({"error": {"code": 429, "message": "slow"}}),
            FailureKind::RateLimited,
        ),
        (
            json!([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]),
            FailureKind::BadUpstream,
        ),
    ] {
        assert_eq!(
            decode_response(body.clone()).unwrap_err().kind,
            kind,
            "{body}"
        );
    }
}

#[test]
fn an_array_is_an_answer_in_pieces() {
    let first = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}}]});
    let body = json!([first, answer(json!([{"text": "b"}]), "STOP")]);
    assert_eq!(decode_response(body).unwrap().parts, [Part::text("ab")]);
}

#[test]
fn of_several_answers_the_first_counts() {
    let body = json!({"candidates": [
        {"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"},
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
    ]});
    assert_eq!(decode_response(body).unwrap().parts, [Part::text("a")]);
}

#[test]
fn a_client_gets_what_google_would_say() {
    let response = Response {
        parts: vec![
            thinking("hm", None),
            Part::text("a"),
            Part::Refusal("no".into()),
            call("1", "f", r#"{"x":1.0}"#, None),
        ],
        logprobs: vec![],
        finish: FinishReason::ToolUse.into(),
        usage: Some(usage()),
    };
    let expected = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"text": "a"},
                {"text": "no"},
                {"functionCall": {"id": "1", "name": "f", "args": {"x": serde_json::from_str::<Value>("1.0").unwrap()}}, "thoughtSignature": DUMMY},
            ]},
            "finishReason": "STOP",
            "index": 0,
        }],
        "modelVersion": "m",
        "responseId": "r1",
        "usageMetadata": {
            "promptTokenCount": 10, "candidatesTokenCount": 4, "totalTokenCount": 17, "cachedContentTokenCount": 2,
            "thoughtsTokenCount": 3,
        },
    });
    assert_eq!(encode_response(response, &reply()), expected);
}

#[test]
fn a_client_who_throws_thoughts_away_keeps_their_proof() {
    let anthropic = |blob: &str| Some(signed(Vendor::Anthropic, blob));
    for (what, parts, expected) in [
        (
            "on the text",
            vec![thinking("hm", anthropic("a")), Part::text("x")],
            json!([{"text": "hm", "thought": true}, {"text": "x", "thoughtSignature": "YW46YQ=="}]),
        ),
        (
            "on the call",
            vec![thinking("hm", anthropic("a")), call("1", "f", "{}", None)],
            json!([
                {"text": "hm", "thought": true},
                {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "YW46YQ=="},
            ]),
        ),
        (
            "on nothing",
            vec![thinking("hm", anthropic("a"))],
            json!([{"text": "hm", "thought": true}, {"text": "", "thoughtSignature": "YW46YQ=="}]),
        ),
        (
            "each on its own part",
            vec![
                thinking("", anthropic("a")),
                Part::Redacted(signed(Vendor::Anthropic, "b")),
                call("1", "f", "{}", None),
            ],
            json!([
                {"text": "", "thoughtSignature": "YW46YQ=="},
                {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "YW46cmVkYWN0ZWQ6Yg=="},
            ]),
        ),
        (
            "beside a signature of the call's own",
            vec![
                thinking("", Some(signed(Vendor::Google, "AAAA"))),
                call("1", "f", "{}", Some(signed(Vendor::Google, "BBBB"))),
            ],
            json!([
                {"text": "", "thoughtSignature": "AAAA"},
                {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "BBBB"},
            ]),
        ),
    ] {
        let response = Response {
            parts: parts.clone(),
            ..Response::default()
        };
        let body = encode_response(response, &reply());
        let content = &body["candidates"][0]["content"];
        assert_eq!(content["parts"], expected, "{what}");
        let request = decode_request(json!({"contents": [content]})).unwrap();
        assert_eq!(request.turns[0].parts, parts, "{what}");
    }
}

#[test]
fn probabilities_are_told_both_ways() {
    let response = Response {
        parts: vec![Part::text("ab")],
        logprobs: vec![
            Logprob {
                token: "a".into(),
                logprob: -0.5,
                top: vec![("a".into(), -0.5), ("c".into(), -1.5)],
            },
            Logprob {
                token: "b".into(),
                logprob: -0.25,
                top: vec![],
            },
        ],
        finish: FinishReason::Stop.into(),
        usage: None,
    };
    let body = encode_response(response.clone(), &reply());
    let expected = json!({
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -0.25}],
        "topCandidates": [
            {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "c", "logProbability": -1.5}]},
            {"candidates": []},
        ],
    });
    assert_eq!(body["candidates"][0]["logprobsResult"], expected);
    let decoded = decode_response(body).unwrap();
    assert_eq!(decoded.logprobs, response.logprobs);
}
