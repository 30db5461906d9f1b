//! Whatever comes, nothing here panics.

use super::*;

/// What stands where something else should.
fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("text"),
        json!([]),
        json!([null, 1, "a", {}, []]),
        json!({}),
        json!({"type": 1}),
        json!({"type": "text"}),
        json!([{"type": "tool_use"}, {"type": "thinking"}, {"type": "image", "source": {}}]),
    ]
}

/// The tree with an odd thing in each place of it, one after the other.
fn spoiled(tree: &Value) -> Vec<Value> {
    let mut all = odd();
    match tree {
        Value::Object(members) => {
            for (name, value) in members {
                all.extend(spoiled(value).into_iter().map(|value| {
                    let mut members = members.clone();
                    members.insert(name.clone(), value);
                    members.into()
                }));
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                all.extend(spoiled(value).into_iter().map(|value| {
                    let mut items = items.clone();
                    items[at] = value;
                    items.into()
                }));
            }
        }
        _ => {}
    }
    all
}

#[test]
fn odd_requests_are_refused_or_written() {
    let request = json!({
        "system": [{"type": "text", "text": "s"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "document", "source": {"type": "text", "data": "d"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "", "signature": "ge:call:1:x"},
                {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": [
                {"type": "text", "text": "r"}]}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "max_tokens": 1, "temperature": 1, "stop_sequences": ["x"], "metadata": {"user_id": "u"},
    });
    for body in spoiled(&request) {
        let Ok(request) = decode_request(body) else {
            continue;
        };
        for dialect in [Dialect::plain(Protocol::Anthropic), budgets()] {
            let written = encode_request(&request, to(&dialect));
            let counted = count_request(&request, to(&dialect));
            assert!(written.is_err() || counted.is_ok());
        }
    }
}

#[test]
fn odd_answers_are_failures_or_answers() {
    let answer = json!({
        "type": "message",
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"},
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}},
                    {"type": "redacted_thinking", "data": "d"}],
        "stop_reason": "end_turn", "stop_sequence": "x",
        "usage": {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}},
        "error": null,
    });
    for body in spoiled(&answer) {
        if let Ok(response) = decode_response(body) {
            encode_response(response, &reply());
        }
    }
}

#[test]
fn odd_streams_never_break_the_grammar() {
    let stream = json!([
        {"type": "message_start", "message": {"usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "1", "name": "f"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "thinking", "signature": "s"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "thinking_delta", "thinking": "t"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]);
    for stream in spoiled(&stream) {
        let Value::Array(data) = stream else { continue };
        let events = decoded(&data);
        check_grammar(&events);
        frames(&encoded(events));
    }
    decoded_bytes(&[b"", b"\xff\xfe", b"[DONE]", b"null", b"{"]);
    decoded_bytes(&[b"[DONE]", b"null"]);
    decoded_bytes(&[b"null", b"7", b"\"x\"", b"[]"]);
}

fn check_grammar(events: &[Event]) {
    let mut is_open = false;
    let mut is_over = false;
    for (at, event) in events.iter().enumerate() {
        assert!(!is_over, "something follows the end: {events:?}");
        match event {
            Event::Start => assert_eq!(at, 0),
            Event::Begin(_) => {
                assert!(at > 0 && !is_open, "{events:?}");
                is_open = true;
            }
            Event::Delta(_) | Event::Signature(_) => assert!(is_open, "{events:?}"),
            Event::End => {
                assert!(is_open, "{events:?}");
                is_open = false;
            }
            Event::Finish(_) => assert!(!is_open, "{events:?}"),
            Event::Close | Event::Failed(_) => is_over = true,
            Event::Usage(_) | Event::Logprobs(_) | Event::Untold => {}
        }
    }
}
