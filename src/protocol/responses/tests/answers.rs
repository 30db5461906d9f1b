//! Whole answers.

use serde_json::{Value, json};

use crate::chat::{Failure, FailureKind, FinishReason, Part, Response, Usage, Vendor};
use crate::protocol::responses::{decode_response, encode_response, write_count};

use super::{answers, call, collect, custom, reply, signed, stream, thinking, usage};

fn failure(body: Value) -> Failure {
    decode_response(body).unwrap_err()
}

fn write(parts: Vec<Part>) -> Value {
    let response = Response {
        parts,
        ..Response::default()
    };
    encode_response(response, &reply(&json!({})))
}

#[test]
fn an_answer_of_the_vendor_is_understood() {
    let response = decode_response(json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": null,
        "incomplete_details": null, "model": "gpt-5", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"},
                {"type": "summary_text", "text": "b"}], "encrypted_content": "gAAA+/="},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation"}], "logprobs": []},
                {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "say", "input": "x"},
        ],
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15},
    }))
    .unwrap();
    assert_eq!(
        response.parts,
        [
            thinking("a\n\nb", Some(Vendor::OpenAi)),
            Part::text("hi"),
            Part::Refusal("no".into()),
            call("call_1", "f", "{\"a\":1}"),
            custom("call_2", "say", "x"),
        ]
    );
    assert_eq!(response.finish.reason, FinishReason::ToolUse);
    assert_eq!(response.usage, Some(usage()));
}

#[test]
fn open_models_think_in_the_open() {
    let response = decode_response(json!({"output": [
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "hi"}]},
    ]}))
    .unwrap();
    assert_eq!(response.parts, [thinking("hm", None), Part::text("hi")]);
    assert_eq!(response.usage, None);
}

#[test]
fn the_state_tells_why_an_answer_ended() {
    let calls = json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]);
    let cut = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}, "output": calls});
    for (body, expected) in [
        (
            json!({"status": "completed", "output": []}),
            FinishReason::Stop,
        ),
        (
            json!({"status": "completed", "output": calls}),
            FinishReason::ToolUse,
        ),
        (cut("max_output_tokens"), FinishReason::Length),
        (cut("content_filter"), FinishReason::Filter),
        (
            json!({"status": "incomplete", "output": []}),
            FinishReason::Length,
        ),
    ] {
        let response = decode_response(body).unwrap();
        assert_eq!(response.finish.reason, expected);
    }
}

#[test]
fn usage_need_not_be_whole() {
    let read = |usage: Value| {
        let body = json!({"output": [], "usage": usage});
        decode_response(body).unwrap().usage
    };
    assert_eq!(read(json!({})), None);
    assert_eq!(read(json!(null)), None);
    let expected = Usage {
        input: 1,
        output: 2,
        total: 3,
        ..Usage::default()
    };
    assert_eq!(
        read(json!({"input_tokens": 1, "output_tokens": 2.0})),
        Some(expected)
    );
}

#[test]
fn success_that_tells_of_a_failure_is_one() {
    let limited = failure(json!({"status": "failed", "output": [],
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}}));
    assert_eq!(limited.kind, FailureKind::RateLimited);
    assert_eq!(limited.message, "slow down");
    for body in [
        json!({"status": "failed", "error": null, "output": []}),
        json!({"error": {"message": "x"}}),
        json!({"error": "x"}),
        json!({"status": "cancelled", "output": []}),
        json!({"status": "in_progress", "output": []}),
        json!({"status": "queued", "output": []}),
        json!({}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(failure(body).kind, FailureKind::BadUpstream);
    }
}

#[test]
fn an_answer_repeats_the_request() {
    let asked = json!({
        "model": "other", "input": "hi", "instructions": "be brief", "max_output_tokens": 9, "temperature": 0.5,
        "top_p": 0.9, "user": "u", "metadata": {"a": "b"}, "parallel_tool_calls": false,
        "tools": [{"type": "web_search", "odd": 1.0}], "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}}, "reasoning": {"effort": "low"}, "store": true,
        "truncation": "auto", "top_logprobs": 2,
    });
    let response = Response {
        parts: vec![Part::text("hi")],
        usage: Some(usage()),
        ..Response::default()
    };
    let answer = encode_response(response, &reply(&asked));
    for name in [
        "instructions",
        "max_output_tokens",
        "temperature",
        "top_p",
        "user",
        "metadata",
        "parallel_tool_calls",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "top_logprobs",
    ] {
        assert_eq!(answer[name], asked[name], "{name}");
    }
    for (name, expected) in [
        ("id", json!("resp_abc")),
        ("object", json!("response")),
        ("created_at", json!(1_700_000_000)),
        ("status", json!("completed")),
        ("model", json!("smart")),
        ("store", json!(false)),
        ("truncation", json!("disabled")),
        (
            "usage",
            json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15}),
        ),
    ] {
        assert_eq!(answer[name], expected, "{name}");
    }
    for name in ["error", "incomplete_details", "previous_response_id"] {
        assert_eq!(answer.get(name), Some(&Value::Null), "{name}");
    }
}

#[test]
fn what_libraries_insist_on_is_there_however_little_was_asked() {
    let mut no_json = reply(&json!({}));
    no_json.asked = "nonsense".into();
    let odd = reply(
        &json!({"tools": {}, "tool_choice": 1, "parallel_tool_calls": "x", "metadata": null}),
    );
    for reply in [no_json, odd] {
        let answer = encode_response(Response::default(), &reply);
        for (name, expected) in [
            ("tools", json!([])),
            ("tool_choice", json!("auto")),
            ("parallel_tool_calls", json!(true)),
            ("output", json!([])),
            ("metadata", json!({})),
            ("text", json!({"format": {"type": "text"}})),
        ] {
            assert_eq!(answer[name], expected, "{name}");
        }
        assert_eq!(answer["usage"]["input_tokens_details"]["cached_tokens"], 0);
        assert_eq!(
            answer["usage"]["output_tokens_details"]["reasoning_tokens"],
            0
        );
    }
}

#[test]
fn runs_of_parts_become_items() {
    let answer = write(vec![
        thinking("hm", None),
        Part::text("a"),
        Part::text("b"),
        Part::Refusal("no".into()),
        call("c", "f", ""),
        custom("d", "say", ""),
        Part::text("e"),
    ]);
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let message = |id: &str, content: Value| json!({"type": "message", "id": id, "status": "completed", "role": "assistant", "content": content});
    assert_eq!(
        answer["output"],
        json!([
            {"type": "reasoning", "id": "rs_abc0", "summary": [{"type": "summary_text", "text": "hm"}]},
            message("msg_abc1", json!([text("a"), text("b"), {"type": "refusal", "refusal": "no"}])),
            {"type": "function_call", "id": "fc_abc2", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_abc3", "call_id": "d", "name": "say", "input": "", "status": "completed"},
            message("msg_abc4", json!([text("e")])),
        ])
    );
}

#[test]
fn signatures_of_others_travel_marked() {
    let mut with_proof = call("c", "f", "{}");
    if let Part::Call(call) = &mut with_proof {
        call.signature = Some(signed(Vendor::Google));
    }
    let answer = write(vec![
        thinking("hm", Some(Vendor::Anthropic)),
        thinking("", Some(Vendor::OpenAi)),
        Part::Redacted(signed(Vendor::Anthropic)),
        with_proof,
    ]);
    let sealed: Vec<_> = answer["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["encrypted_content"].as_str())
        .collect();
    assert_eq!(
        sealed,
        [
            Some("an:gAAA+/="),
            Some("gAAA+/="),
            Some("an:redacted:gAAA+/="),
            None,
            Some("ge:call:c:gAAA+/="),
        ]
    );
    assert_eq!(answer["output"][4]["summary"], json!([]));
}

#[test]
fn every_end_has_its_state() {
    for (reason, status, detail) in [
        (FinishReason::Stop, "completed", None),
        (FinishReason::StopSequence, "completed", None),
        (FinishReason::ToolUse, "completed", None),
        (FinishReason::Pause, "completed", None),
        (
            FinishReason::Length,
            "incomplete",
            Some("max_output_tokens"),
        ),
        (
            FinishReason::ContextFull,
            "incomplete",
            Some("max_output_tokens"),
        ),
        (FinishReason::Filter, "incomplete", Some("content_filter")),
    ] {
        let response = Response {
            finish: reason.into(),
            ..Response::default()
        };
        let whole = encode_response(response.clone(), &reply(&json!({})));
        let streamed = stream(response.into_events(), &json!({}));
        let last = streamed.last().unwrap();
        assert_eq!(last["type"], format!("response.{status}"));
        for answer in [&whole, &last["response"]] {
            assert_eq!(answer["status"], status, "{reason:?}");
            assert_eq!(
                answer["incomplete_details"]["reason"].as_str(),
                detail,
                "{reason:?}"
            );
        }
    }
}

#[test]
fn an_answer_survives_the_dialect() {
    for response in answers() {
        let whole = encode_response(response.clone(), &reply(&json!({})));
        assert_eq!(decode_response(whole).unwrap(), response);
    }
}

#[test]
fn a_streamed_answer_is_the_whole_answer() {
    let asked = json!({"instructions": "x", "tools": [{"type": "function", "name": "f"}]});
    for response in answers() {
        let whole = encode_response(response.clone(), &reply(&asked));
        let streamed = stream(response.clone().into_events(), &asked);
        assert_eq!(streamed.last().unwrap()["response"], whole);
        assert_eq!(collect(&streamed).unwrap(), response);
    }
}

#[test]
fn a_count_is_an_object_of_its_own() {
    let expected = json!({"object": "response.input_tokens", "input_tokens": 7});
    assert_eq!(write_count(7), expected);
}
