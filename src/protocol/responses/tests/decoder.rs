//! A provider's stream.

use serde_json::{Value, json};

use crate::chat::{Event, FinishReason, Logprob, Part, Vendor};
use crate::protocol::codec::Decoder;
use crate::protocol::responses::StreamDecoder;

use super::{call, collect, custom, thinking, usage};

pub(super) fn event(kind: &str, members: Value) -> Value {
    let mut event = members;
    event["type"] = format!("response.{kind}").into();
    event
}

pub(super) fn added(index: u64, item: Value) -> Value {
    event(
        "output_item.added",
        json!({"output_index": index, "item": item}),
    )
}

fn done(index: u64, item: Value) -> Value {
    event(
        "output_item.done",
        json!({"output_index": index, "item": item}),
    )
}

pub(super) fn completed() -> Value {
    event(
        "completed",
        json!({"response": {"status": "completed", "output": [], "usage": {
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15}}}),
    )
}

pub(super) fn text_delta(index: u64, delta: &str) -> Value {
    event(
        "output_text.delta",
        json!({"output_index": index, "content_index": 0, "delta": delta}),
    )
}

pub(super) fn function(index: u64) -> Value {
    json!({"type": "function_call", "id": format!("fc_{index}"), "call_id": format!("call_{index}"),
        "name": "f", "arguments": ""})
}

pub(super) fn arguments(index: u64, delta: &str) -> Value {
    event(
        "function_call_arguments.delta",
        json!({"output_index": index, "delta": delta}),
    )
}

fn parts(stream: &[Value]) -> Vec<Part> {
    collect(stream).unwrap().parts
}

#[test]
fn the_vendor_s_own_stream_is_understood() {
    let stream = [
        event("created", json!({"response": {"id": "resp_1"}})),
        event("in_progress", json!({"response": {"id": "resp_1"}})),
        added(
            0,
            json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "early"}),
        ),
        event(
            "reasoning_summary_part.added",
            json!({"output_index": 0, "summary_index": 0}),
        ),
        event(
            "reasoning_summary_text.delta",
            json!({"output_index": 0, "summary_index": 0, "delta": "a"}),
        ),
        event(
            "reasoning_summary_text.done",
            json!({"output_index": 0, "summary_index": 0, "text": "a"}),
        ),
        event(
            "reasoning_summary_text.delta",
            json!({"output_index": 0, "summary_index": 1, "delta": "b"}),
        ),
        done(
            0,
            json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA+/=", "summary": [
            {"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}),
        ),
        added(1, json!({"type": "web_search_call", "id": "ws_1"})),
        event("web_search_call.searching", json!({"output_index": 1})),
        done(1, json!({"type": "web_search_call", "id": "ws_1"})),
        added(2, json!({"type": "message", "id": "msg_1", "content": []})),
        event(
            "content_part.added",
            json!({"output_index": 2, "content_index": 0, "part": {"type": "output_text", "text": ""}}),
        ),
        event(
            "output_text.delta",
            json!({"output_index": 2, "content_index": 0, "delta": "h", "obfuscation": "x",
            "logprobs": [{"token": "h", "logprob": -0.5, "top_logprobs": [{"token": "H", "logprob": -1.5}]}]}),
        ),
        text_delta(2, "i"),
        event(
            "output_text.done",
            json!({"output_index": 2, "content_index": 0, "text": "hi"}),
        ),
        event(
            "content_part.done",
            json!({"output_index": 2, "content_index": 0, "part": {"type": "output_text", "text": "hi"}}),
        ),
        event(
            "refusal.delta",
            json!({"output_index": 2, "content_index": 1, "delta": "no"}),
        ),
        event(
            "refusal.done",
            json!({"output_index": 2, "content_index": 1, "refusal": "no"}),
        ),
        done(
            2,
            json!({"type": "message", "id": "msg_1", "content": [
            {"type": "output_text", "text": "hi"}, {"type": "refusal", "refusal": "no"}]}),
        ),
        added(3, function(3)),
        arguments(3, "{\"a\""),
        arguments(3, ":1}"),
        event(
            "function_call_arguments.done",
            json!({"output_index": 3, "arguments": "{\"a\":1}"}),
        ),
        done(
            3,
            json!({"type": "function_call", "call_id": "call_3", "name": "f", "arguments": "{\"a\":1}"}),
        ),
        added(
            4,
            json!({"type": "custom_tool_call", "id": "ctc_4", "call_id": "call_4", "name": "say", "input": ""}),
        ),
        event(
            "custom_tool_call_input.delta",
            json!({"output_index": 4, "delta": "x"}),
        ),
        event(
            "custom_tool_call_input.done",
            json!({"output_index": 4, "input": "x"}),
        ),
        done(
            4,
            json!({"type": "custom_tool_call", "call_id": "call_4", "name": "say", "input": "x"}),
        ),
        completed(),
    ];
    let response = collect(&stream).unwrap();
    assert_eq!(
        response.parts,
        [
            thinking("a\n\nb", Some(Vendor::OpenAi)),
            Part::text("hi"),
            Part::Refusal("no".into()),
            call("call_3", "f", "{\"a\":1}"),
            custom("call_4", "say", "x"),
        ]
    );
    let logprob = Logprob {
        token: "h".into(),
        logprob: -0.5,
        top: vec![("H".into(), -1.5)],
    };
    assert_eq!(response.logprobs, [logprob]);
    assert_eq!(response.finish.reason, FinishReason::ToolUse);
    assert_eq!(response.usage, Some(usage()));
}

#[test]
fn full_texts_stand_in_for_deltas_that_never_came() {
    let message = json!({"type": "message", "content": [
        {"type": "output_text", "text": "hi"}, {"type": "refusal", "refusal": "no"}]});
    let said = [Part::text("hi"), Part::Refusal("no".into())];
    let complete =
        json!({"type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{}"});
    for (stream, expected) in [
        (vec![done(0, message.clone()), completed()], said.to_vec()),
        (
            vec![event(
                "completed",
                json!({"response": {"status": "completed", "output": [message]}}),
            )],
            said.to_vec(),
        ),
        (
            vec![
                event(
                    "output_text.done",
                    json!({"output_index": 0, "content_index": 0, "text": "hi"}),
                ),
                done(0, message.clone()),
                completed(),
            ],
            said.to_vec(),
        ),
        (
            vec![text_delta(0, "hi"), done(0, message), completed()],
            said.to_vec(),
        ),
        (
            vec![done(0, complete.clone()), completed()],
            vec![call("call_0", "f", "{}")],
        ),
        (
            vec![
                added(0, function(0)),
                done(0, complete.clone()),
                completed(),
            ],
            vec![call("call_0", "f", "{}")],
        ),
        (
            vec![
                added(0, function(0)),
                event(
                    "function_call_arguments.done",
                    json!({"output_index": 0, "arguments": "{}"}),
                ),
                done(0, complete),
                completed(),
            ],
            vec![call("call_0", "f", "{}")],
        ),
        (
            vec![
                done(
                    0,
                    json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}),
                ),
                done(
                    1,
                    json!({"type": "reasoning", "summary": [], "encrypted_content": "gAAA+/="}),
                ),
                done(2, json!({"type": "reasoning", "summary": []})),
                completed(),
            ],
            vec![thinking("hm", None), thinking("", Some(Vendor::OpenAi))],
        ),
    ] {
        assert_eq!(parts(&stream), expected);
    }
}

#[test]
fn thoughts_are_read_from_one_list() {
    let delta = |kind: &str, delta: &str| event(kind, json!({"output_index": 0, "delta": delta}));
    let stream = [
        delta("reasoning_text.delta", "in full"),
        delta("reasoning_summary_text.delta", "in short"),
        delta("reasoning_text.delta", "!"),
        completed(),
    ];
    assert_eq!(parts(&stream), [thinking("in full!", None)]);
}

#[test]
fn calls_that_come_at_once_are_told_one_by_one() {
    let stream = [
        added(0, function(0)),
        added(1, function(1)),
        arguments(1, "{\"b\":"),
        arguments(0, "{\"a\":"),
        added(2, function(2)),
        arguments(1, "2}"),
        done(
            1,
            json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"b\":2}"}),
        ),
        arguments(0, "1}"),
        done(
            0,
            json!({"type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{\"a\":1}"}),
        ),
        arguments(2, "{}"),
        completed(),
    ];
    assert_eq!(
        parts(&stream),
        [
            call("call_0", "f", "{\"a\":1}"),
            call("call_1", "f", "{\"b\":2}"),
            call("call_2", "f", "{}"),
        ]
    );
    // What can be told is told at once.
    let mut decoder = StreamDecoder::default();
    let mut out = Vec::new();
    for data in &stream[..4] {
        decoder.decode(data.to_string().as_bytes(), &mut out);
    }
    assert!(
        matches!(&out[..], [Event::Start, Event::Begin(_), Event::Delta(delta)] if delta == "{\"a\":")
    );
}

#[test]
fn ids_stand_in_for_indices() {
    let stream = [
        event("output_item.added", json!({"item": function(0)})),
        event("output_item.added", json!({"item": function(1)})),
        event(
            "function_call_arguments.delta",
            json!({"item_id": "fc_0", "delta": "{\"a\":1}"}),
        ),
        event(
            "function_call_arguments.delta",
            json!({"item_id": "fc_1", "delta": "{}"}),
        ),
        event("output_item.done", json!({"item": function(0)})),
        event("output_item.done", json!({"item": function(1)})),
        completed(),
    ];
    assert_eq!(
        parts(&stream),
        [call("call_0", "f", "{\"a\":1}"), call("call_1", "f", "{}")]
    );
}
