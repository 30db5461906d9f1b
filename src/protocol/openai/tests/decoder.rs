//! Streams of providers, read into the common language.

use serde_json::json;

use super::*;
use crate::chat::{Block, Event};
use crate::protocol::Decoder;

/// What the choices of a stream mean, to be read as a line.
fn line(choices: &[Value]) -> String {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    for choice in choices {
        let chunk = json!({"choices": [choice]}).to_string();
        decoder.decode(chunk.as_bytes(), &mut events);
    }
    decoder.end(&mut events);
    let word = |event: &Event| match event {
        Event::Begin(Block::Call { id, name, .. }) => format!("call:{id}:{name}"),
        Event::Begin(block) => format!("{block:?}"),
        Event::Delta(text) => format!("+{text}"),
        Event::Signature(signed) => format!("sign:{}", signed.blob),
        Event::Finish(finish) => format!("{:?}", finish.reason),
        other => format!("{other:?}"),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn says(delta: Value) -> Value {
    json!({"index": 0, "delta": delta})
}

fn calls(piece: Value) -> Value {
    says(json!({"tool_calls": [piece]}))
}

fn ends(reason: &str) -> Value {
    json!({"index": 0, "delta": {}, "finish_reason": reason})
}

#[test]
fn half_a_call_is_never_ended() {
    let begun =
        calls(json!({"index": 0, "id": "1", "function": {"name": "f", "arguments": "{\"a"}}));
    assert_eq!(line(&[begun]), "Start call:1:f +{\"a");
}

#[test]
fn what_comes_behind_the_end_is_no_part_of_the_answer() {
    let stream = [
        says(json!({"content": "a"})),
        ends("stop"),
        says(json!({"content": "b"})),
    ];
    assert_eq!(line(&stream), "Start Text +a End Stop Close");
}

#[test]
fn each_call_keeps_its_own_signature() {
    let signed = |id: &str| {
        let extra = json!({"google": {"thought_signature": id}});
        calls(
            json!({"id": id, "function": {"name": "f", "arguments": "{}"}, "extra_content": extra}),
        )
    };
    assert_eq!(
        line(&[signed("1"), signed("2"), ends("stop")]),
        "Start call:1:f sign:1 +{} End call:2:f sign:2 +{} End ToolUse Close"
    );
}

#[test]
fn the_kind_that_a_call_is_not_may_be_null() {
    let piece = json!({"index": 0, "id": "1", "custom": null, "function": {"name": "f", "arguments": {"a": 1}}});
    assert_eq!(
        line(&[calls(piece), ends("stop")]),
        "Start call:1:f +{\"a\":1} End ToolUse Close"
    );
}

#[test]
fn an_empty_word_on_a_call_that_is_complete_makes_no_other() {
    let stream = [
        calls(json!({"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}})),
        calls(json!({"index": 1, "id": "2", "function": {"name": "g", "arguments": "{}"}})),
        calls(json!({"index": 0, "function": {"arguments": ""}})),
        ends("tool_calls"),
    ];
    assert_eq!(
        line(&stream),
        "Start call:1:f +{} End call:2:g +{} End ToolUse Close"
    );
}
