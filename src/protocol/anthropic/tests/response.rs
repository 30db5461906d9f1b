//! Whole answers.

use super::*;

fn message(content: Value, stop_reason: &str) -> Value {
    json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude", "content": content,
        "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5,
                  "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 7},
                  "service_tier": "standard"},
    })
}

fn usage() -> Usage {
    Usage {
        input: 18,
        output: 20,
        total: 38,
        cached: 5,
        cache_written: 3,
        reasoning: 7,
        estimated: false,
    }
}

#[test]
fn an_answer_is_read_block_by_block() {
    let response = decode_response(message(
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "Hello!", "citations": null},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "text", "text": ""},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": 2}},
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
        ]),
        "tool_use",
    ))
    .unwrap();
    assert_eq!(
        response,
        Response {
            parts: vec![
                thought("hm", Some(signed(Vendor::Anthropic, "EqQB"))),
                Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
                Part::text("Hello!"),
                call("toolu_1", "f", r#"{"b":1,"a":2}"#),
                call("toolu_2", "g", "{}"),
            ],
            finish: FinishReason::ToolUse.into(),
            usage: Some(usage()),
            ..Response::default()
        }
    );
}

#[test]
fn every_ending_has_its_word_both_ways() {
    for (word, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::StopSequence),
        ("max_tokens", FinishReason::Length),
        ("tool_use", FinishReason::ToolUse),
        ("refusal", FinishReason::Filter),
        ("pause_turn", FinishReason::Pause),
        ("model_context_window_exceeded", FinishReason::ContextFull),
    ] {
        let response = decode_response(message(json!([]), word)).unwrap();
        assert_eq!(response.finish.reason, reason);
        assert_eq!(encode_response(response, &reply())["stop_reason"], word);
    }
    let unheard_of = decode_response(message(json!([]), "tired")).unwrap();
    assert_eq!(unheard_of.finish.reason, FinishReason::Stop);
}

#[test]
fn a_provider_that_stops_with_calls_waits_for_their_results() {
    let called = json!([{"type": "tool_use", "id": "1", "name": "f", "input": {}}]);
    for (word, expected) in [
        ("end_turn", FinishReason::ToolUse),
        ("max_tokens", FinishReason::Length),
    ] {
        let response = decode_response(message(called.clone(), word)).unwrap();
        assert_eq!(response.finish.reason, expected);
    }
}

#[test]
fn servers_that_imitate_the_vendor_are_understood() {
    for (body, parts) in [
        (
            json!({"content": "plain", "stop_reason": "end_turn"}),
            vec![Part::text("plain")],
        ),
        (json!({"content": null, "stop_reason": "end_turn"}), vec![]),
        (json!({"content": []}), vec![]),
        (
            json!({"content": [{"type": "thinking", "thinking": "hm", "signature": ""}]}),
            vec![thought("hm", None)],
        ),
        (
            json!({"content": [{"type": "tool_use", "name": "f", "input": "{\"a\":1}"}, 7, {"text": "x"}]}),
            vec![call("", "f", r#"{"a":1}"#)],
        ),
        (
            json!({"content": [], "usage": {"input_tokens": 0, "output_tokens": 0}}),
            vec![],
        ),
    ] {
        let response = decode_response(body).unwrap();
        assert_eq!(response.parts, parts);
        assert_eq!(response.usage, None);
    }
}

#[test]
fn what_is_no_answer_is_a_failure_of_the_provider() {
    for (body, expected) in [
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "Overloaded",
        ),
        (json!({"error": {"message": "broken"}}), "broken"),
        (json!({"choices": []}), "upstream's answer is no message"),
        (json!("hello"), "upstream's answer is no message"),
    ] {
        let failure = decode_response(body).unwrap_err();
        assert_eq!(failure.message, expected);
        assert_eq!(failure.side, Side::Upstream);
    }
}

#[test]
fn an_answer_is_written_with_all_that_the_clients_types_demand() {
    let response = Response {
        parts: vec![
            thought("hm", None),
            Part::text("Hello!"),
            Part::text("\n\n"),
            Part::Refusal("But no.".into()),
            call("call_1", "f", r#"{"b":1,"a":2}"#),
            call("call_2", "g", ""),
            call("call_3", "h", "not json"),
        ],
        finish: FinishReason::Stop.into(),
        usage: Some(usage()),
        ..Response::default()
    };
    assert_eq!(
        encode_response(response, &reply()),
        json!({
            "id": "msg_a1", "type": "message", "role": "assistant", "model": "asked-for",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "Hello!"},
                {"type": "text", "text": "But no."},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"b": 1, "a": 2}},
                {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
                {"type": "tool_use", "id": "call_3", "name": "h", "input": {"_raw": "not json"}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null, "stop_details": null,
            "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5,
                      "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 7}},
        })
    );
}

#[test]
fn an_empty_answer_is_one() {
    let response = Response {
        finish: FinishReason::Filter.into(),
        ..Response::default()
    };
    let body = encode_response(response, &reply());
    assert_eq!(body["content"], json!([]));
    assert_eq!(body["stop_details"]["type"], "refusal");
    assert_eq!(
        (
            &body["usage"]["input_tokens"],
            &body["usage"]["output_tokens"]
        ),
        (&json!(0), &json!(0))
    );
}

#[test]
fn cached_tokens_never_make_the_rest_negative() {
    let response = Response {
        usage: Some(Usage {
            input: 3,
            cached: 5,
            ..Usage::default()
        }),
        ..Response::default()
    };
    assert_eq!(
        encode_response(response, &reply())["usage"]["input_tokens"],
        0
    );
}

#[test]
fn what_other_vendors_sign_travels_in_thinking_blocks() {
    let google = || signed(Vendor::Google, "CiQB");
    let proven = Part::Call(ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some(google()),
        ..ToolCall::default()
    });
    let empty =
        |signature: &str| json!({"type": "thinking", "thinking": "", "signature": signature});
    for (part, expected) in [
        (
            thought("hm", Some(google())),
            json!([{"type": "thinking", "thinking": "hm", "signature": "ge:CiQB"}]),
        ),
        (
            thought("", Some(signed(Vendor::OpenAi, "gAAA"))),
            json!([empty("oa:gAAA")]),
        ),
        (
            Part::Redacted(signed(Vendor::OpenAi, "gAAA")),
            json!([empty("oa:redacted:gAAA")]),
        ),
        (
            Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
            json!([{"type": "redacted_thinking", "data": "EmwK"}]),
        ),
        (
            proven,
            json!([empty("ge:call:a:CiQB"), {"type": "tool_use", "id": "a", "name": "f", "input": {}}]),
        ),
    ] {
        let response = Response {
            parts: vec![part.clone()],
            ..Response::default()
        };
        let content = encode_response(response, &reply())["content"].clone();
        assert_eq!(content, expected);
        // And the client brings it back.
        let turns = read_messages(json!([{"role": "assistant", "content": content}]));
        assert_eq!(turns, [assistant(vec![part])]);
    }
}
