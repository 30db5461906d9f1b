//! Nonsense of every sort is answered, not died of.

use serde_json::{Map, Value, json};

use crate::chat::Event;
use crate::protocol::codec::Decoder;
use crate::protocol::responses::{StreamDecoder, decode_request, decode_response};

use super::{assert_legal, stream};

/// Names that mean something somewhere.
const NAMES: [&str; 30] = [
    "type",
    "input",
    "output",
    "content",
    "item",
    "delta",
    "text",
    "id",
    "call_id",
    "role",
    "name",
    "tools",
    "arguments",
    "summary",
    "encrypted_content",
    "response",
    "status",
    "error",
    "usage",
    "output_index",
    "content_index",
    "summary_index",
    "item_id",
    "part",
    "logprobs",
    "reasoning",
    "include",
    "format",
    "tool_choice",
    "input_tokens",
];

/// Words that mean something somewhere.
const WORDS: [&str; 30] = [
    "message",
    "user",
    "assistant",
    "developer",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "reasoning",
    "input_text",
    "output_text",
    "refusal",
    "input_image",
    "input_file",
    "function",
    "custom",
    "namespace",
    "an:call:x:y",
    "completed",
    "incomplete",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.refusal.delta",
    "response.refusal.done",
    "é你\u{2028}",
];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 6 } else { 12 }) {
            0 => Value::Null,
            1 => json!(self.roll(2) == 0),
            2 => json!(self.roll(3)),
            3 => json!(-1.5e300),
            4 | 5 => json!(WORDS[self.roll(WORDS.len())]),
            6 | 7 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect(),
            _ => self.object(depth),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let mut members = Map::new();
        for _ in 0..self.roll(8) {
            members.insert(
                NAMES[self.roll(NAMES.len())].to_owned(),
                self.value(depth - 1),
            );
        }
        Value::Object(members)
    }
}

#[test]
fn nonsense_is_no_request_and_no_answer() {
    let mut dice = Dice(1);
    for _ in 0..5000 {
        let value = dice.value(5);
        let _ = decode_request(json!({"input": value.clone(), "tools": [value.clone()]}));
        let _ = decode_request(value.clone());
        let _ = decode_response(json!({"output": [value.clone()]}));
        let _ = decode_response(value);
    }
}

#[test]
fn nonsense_in_a_stream_becomes_legal_events() {
    let mut dice = Dice(2);
    for _ in 0..1000 {
        let mut decoder = StreamDecoder::default();
        let mut out = Vec::new();
        for _ in 0..20 {
            let mut data = dice.object(4);
            data["type"] = WORDS[dice.roll(WORDS.len())].into();
            if dice.roll(2) == 0 {
                data["delta"] = "x".into();
                data["item"] = dice.object(4);
                data["item"]["type"] = WORDS[dice.roll(10)].into();
            }
            data["error"] = Value::Null;
            decoder.decode(data.to_string().as_bytes(), &mut out);
        }
        if dice.roll(2) == 0 {
            decoder.decode(b"{\"type\":\"response.completed\"}", &mut out);
        }
        decoder.end(&mut out);
        assert_legal(&out);
        stream(out, &dice.value(3));
    }
}

#[test]
fn bytes_of_any_kind_do_no_harm() {
    let mut dice = Dice(3);
    let whole = br#"{"type":"response.output_text.delta","delta":"\u00e9"}"#;
    for _ in 0..5000 {
        let mut data = whole.to_vec();
        let at = dice.roll(data.len());
        data[at] = u8::try_from(dice.roll(256)).unwrap();
        data.truncate(dice.roll(data.len() + 1));
        let mut out: Vec<Event> = Vec::new();
        let mut decoder = StreamDecoder::default();
        decoder.decode(&data, &mut out);
        decoder.end(&mut out);
        assert_legal(&out);
    }
}
