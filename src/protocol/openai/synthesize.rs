//! A plain answer as the stream that it might have been.
//!
//! For providers that cannot stream, and clients that want a stream. Nothing is invented: each member
//! of the answer appears in one chunk or, if it is long text, in several.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Endpoint, says_nothing, usage};
use crate::chat::{Failure, FailureKind, Side, Usage, pieces};
use crate::protocol::estimate::Tally;

/// The members that every chunk repeats.
const REPEATED: [&str; 5] = [
    "id",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
];

/// Turns the body of a plain answer into a whole stream, `[DONE]` included.
///
/// With `include_usage` the usage is told at its end: the provider's, else an estimate for which
/// `prompt_tokens` is the prompt's.
///
/// # Errors
/// The upstream's failure when the body is not an answer; [`judge`](super::judge) says more about why.
pub fn synthesize(
    endpoint: Endpoint,
    body: &[u8],
    include_usage: bool,
    prompt_tokens: u64,
) -> Result<Bytes, Failure> {
    if endpoint == Endpoint::Embeddings {
        let message = "embeddings are not streamed";
        return Err(Failure::new(FailureKind::Internal, Side::Gateway, message));
    }
    let not_an_answer = || Failure::upstream("upstream's answer is not one that can be streamed");
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(body) else {
        return Err(not_an_answer());
    };
    let Some(Value::Array(choices)) = answer.shift_remove("choices") else {
        return Err(not_an_answer());
    };
    let told = answer.shift_remove("usage").filter(Value::is_object);
    let mut stream = Stream::new(endpoint, answer);
    for (position, choice) in choices.into_iter().enumerate() {
        let Value::Object(choice) = choice else {
            return Err(not_an_answer());
        };
        match endpoint {
            Endpoint::ChatCompletions => stream.chat(choice, position),
            Endpoint::Completions | Endpoint::Embeddings => stream.text(choice, position),
        }
    }
    if include_usage {
        let estimate = || usage::write(&Usage::estimate(prompt_tokens, stream.said.tokens()));
        let usage = told.map_or_else(estimate, |told| told.to_string());
        stream.chunk("", &format!(",\"usage\":{usage}"));
    }
    stream.out.extend_from_slice(b"data: [DONE]\n\n");
    Ok(stream.out.into())
}

/// The stream as far as it is written.
struct Stream {
    out: Vec<u8>,
    /// The members that every chunk repeats, as text.
    head: String,
    /// The answer's other members, for the first chunk.
    once: String,
    /// Text of the answer.
    said: Tally,
}

/// What chunks of one choice have in common.
struct Frame {
    index: Value,
    /// Whether the provider speaks of `logprobs` at all.
    has_logprobs: bool,
}

impl Stream {
    fn new(endpoint: Endpoint, answer: Map<String, Value>) -> Stream {
        let mut head = format!("\"object\":\"{}\"", endpoint.chunk_object());
        let mut once = String::new();
        for (name, value) in &answer {
            let member = match name.as_str() {
                "object" => continue,
                name if REPEATED.contains(&name) => &mut head,
                _ => &mut once,
            };
            member.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
        }
        Stream {
            out: Vec::new(),
            head,
            once,
            said: Tally::default(),
        }
    }

    /// Writes a chunk with these choices and further members.
    fn chunk(&mut self, choices: &str, more: &str) {
        let once = std::mem::take(&mut self.once);
        let head = &self.head;
        let text = format!("data: {{{head},\"choices\":[{choices}]{once}{more}}}\n\n");
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a piece of a choice.
    fn piece(&mut self, frame: &Frame, name: &str, value: Value, logprobs: Value) {
        let mut choice = Map::new();
        choice.insert("index".into(), frame.index.clone());
        choice.insert(name.into(), value);
        if frame.has_logprobs {
            choice.insert("logprobs".into(), logprobs);
        }
        choice.insert("finish_reason".into(), Value::Null);
        self.chunk(&Value::Object(choice).to_string(), "");
    }

    /// Writes the end of a choice: its reason, and what else the provider said of it.
    fn end(&mut self, frame: Frame, name: &str, value: Value, rest: Map<String, Value>) {
        let mut choice = Map::new();
        choice.insert("index".into(), frame.index);
        choice.insert(name.into(), value);
        choice.extend(rest);
        self.chunk(&Value::Object(choice).to_string(), "");
    }

    /// A choice of a chat completion.
    fn chat(&mut self, mut choice: Map<String, Value>, position: usize) {
        let frame = Frame::of(&mut choice, position);
        let message = match choice.shift_remove("message") {
            Some(Value::Object(message)) => message,
            _ => Map::new(),
        };
        let mut first = Map::new();
        first.insert("role".into(), "assistant".into());
        first.insert("content".into(), Value::Null);
        let mut rest = Vec::new();
        for (name, value) in message {
            if says_nothing(&value) || name == "role" {
                first.insert(name, value);
            } else {
                if name == "content" && value.is_string() {
                    first.insert("content".into(), "".into());
                }
                rest.push((name, value));
            }
        }
        // One thinks before one speaks.
        rest.sort_by_key(|(name, _)| !name.starts_with("reasoning"));
        self.delta(&frame, Value::Object(first));

        for (name, value) in rest {
            match (name.as_str(), value) {
                ("content", Value::String(text)) => {
                    self.said.add(text.as_bytes());
                    for piece in pieces(&text) {
                        let logprobs = choice.get_mut("logprobs").map(Value::take);
                        let delta = json!({ "content": piece });
                        self.piece(&frame, "delta", delta, logprobs.unwrap_or_default());
                    }
                }
                ("tool_calls", Value::Array(calls)) => {
                    for (index, call) in calls.into_iter().enumerate() {
                        self.call(&frame, index, call);
                    }
                }
                ("function_call", Value::Object(mut function)) => {
                    let arguments = take_text(&mut function, "arguments");
                    self.delta(&frame, json!({ "function_call": function }));
                    for piece in pieces(&arguments) {
                        self.delta(&frame, json!({ "function_call": { "arguments": piece } }));
                    }
                }
                (_, Value::String(text)) => {
                    self.said.add(text.as_bytes());
                    for piece in pieces(&text) {
                        self.delta(&frame, json!({ name.as_str(): piece }));
                    }
                }
                (_, value) => self.delta(&frame, json!({ name.as_str(): value })),
            }
        }
        self.end(frame, "delta", json!({}), choice);
    }

    /// A call: who is called, then with which arguments.
    fn call(&mut self, frame: &Frame, index: usize, call: Value) {
        let Value::Object(call) = call else { return };
        let mut first = Map::new();
        first.insert("index".into(), index.into());
        first.extend(call);
        first.insert("index".into(), index.into());
        let mut arguments = None;
        for (kind, name) in [("function", "arguments"), ("custom", "input")] {
            if let Some(Value::Object(body)) = first.get_mut(kind) {
                arguments = Some((kind, name, take_text(body, name)));
            }
        }
        self.delta(frame, json!({ "tool_calls": [first] }));
        if let Some((kind, name, text)) = arguments {
            for piece in pieces(&text) {
                let piece = json!({ "index": index, kind: { name: piece } });
                self.delta(frame, json!({ "tool_calls": [piece] }));
            }
            self.said.add(text.as_bytes());
        }
    }

    /// A choice of a legacy completion.
    fn text(&mut self, mut choice: Map<String, Value>, position: usize) {
        let frame = Frame::of(&mut choice, position);
        if let Some(Value::String(text)) = choice.shift_remove("text") {
            self.said.add(text.as_bytes());
            for piece in pieces(&text) {
                let logprobs = choice.get_mut("logprobs").map(Value::take);
                self.piece(&frame, "text", piece.into(), logprobs.unwrap_or_default());
            }
        }
        self.end(frame, "text", "".into(), choice);
    }

    fn delta(&mut self, frame: &Frame, delta: Value) {
        self.piece(frame, "delta", delta, Value::Null);
    }
}

impl Frame {
    fn of(choice: &mut Map<String, Value>, position: usize) -> Frame {
        Frame {
            index: choice.shift_remove("index").unwrap_or(position.into()),
            has_logprobs: choice.contains_key("logprobs"),
        }
    }
}

/// Takes a call's arguments out and leaves an empty text. None at all are an empty object, and those
/// that some servers send as an object become text.
fn take_text(body: &mut Map<String, Value>, name: &str) -> String {
    match body.insert(name.into(), "".into()) {
        Some(Value::String(text)) if !text.is_empty() => text,
        Some(Value::String(_) | Value::Null) | None if name == "arguments" => "{}".into(),
        Some(Value::String(_) | Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}
