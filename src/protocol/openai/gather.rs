//! A stream gathered into the plain answer that it would have been.
//!
//! For providers that only stream, and clients that want no stream. Text that came in pieces is joined,
//! lists are continued, and for all else the last word counts; so members that nobody has heard of yet
//! arrive too. Unlike the other lane this one is made of trees: it is rarely taken, and the pieces
//! must be put together anyway.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::chunk::Chunk;
use super::{Endpoint, is_done, says_nothing};
use crate::chat::{Failure, Usage};
use crate::protocol::error;
use crate::protocol::estimate::Tally;
use crate::protocol::gather::RECEIVED_MAX;
use crate::protocol::sse::{Frame, FrameReader};

/// Gathers a provider's stream.
#[derive(Debug)]
pub struct Gather {
    endpoint: Endpoint,
    prompt_tokens: u64,
    frames: FrameReader,
    /// Bytes so far.
    received: usize,
    /// The members of the answer, in the order in which they were first seen.
    answer: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    usage: Option<Usage>,
    text: Tally,
    /// Whether anything was said but roles.
    meaningful: bool,
    done: bool,
}

/// One choice of the answer.
#[derive(Debug, Default)]
struct Choice {
    members: Map<String, Value>,
    message: Map<String, Value>,
    calls: Vec<ToolCall>,
}

/// One call among a message's `tool_calls`.
#[derive(Debug)]
struct ToolCall {
    index: u64,
    members: Value,
}

impl Gather {
    /// At the beginning of a stream. `prompt_tokens` is our estimate of the prompt.
    pub fn new(endpoint: Endpoint, prompt_tokens: u64) -> Gather {
        Gather {
            endpoint,
            prompt_tokens,
            frames: FrameReader::new(),
            received: 0,
            answer: Map::new(),
            choices: BTreeMap::new(),
            usage: None,
            text: Tally::default(),
            meaningful: false,
            done: false,
        }
    }

    /// Whether `[DONE]` has come: what may follow is none of the answer.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the answer is whole, however the stream goes on.
    pub fn is_complete(&self) -> bool {
        self.done || !self.choices.is_empty() && self.choices.values().all(Choice::is_finished)
    }

    /// Takes what arrived, however it was cut.
    ///
    /// # Errors
    /// The upstream's failure when the stream holds an error or something that is not a chunk.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.received += chunk.len();
        if self.received > RECEIVED_MAX {
            let mib = RECEIVED_MAX >> 20;
            return Err(Failure::upstream(format!(
                "upstream's answer is longer than {mib} MiB"
            )));
        }
        self.frames.push(chunk);
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.take(&frame)?,
                Ok(None) => return Ok(()),
                Err(oversized) => return Err(Failure::upstream(oversized.to_string())),
            }
        }
    }

    /// The upstream has ended: the body of the plain answer, and what it cost.
    ///
    /// # Errors
    /// The upstream's failure when the stream broke off.
    pub fn finish(mut self) -> Result<(Bytes, Usage), Failure> {
        if let Some(frame) = self.frames.finish()
            && let Some(data) = frame.data()
            && (is_done(&data) || Chunk::read(&data).is_ok())
        {
            self.take(&frame)?;
        }
        if self.choices.is_empty() || self.done && !self.meaningful {
            return Err(Failure::upstream(
                "upstream ended its stream without an answer",
            ));
        }
        if !self.is_complete() {
            return Err(Failure::upstream("upstream broke its stream off"));
        }
        let estimate = || Usage::estimate(self.prompt_tokens, self.text.tokens());
        let usage = self.usage.unwrap_or_else(estimate);
        let endpoint = self.endpoint;
        let choices = self
            .choices
            .into_iter()
            .map(|(index, choice)| choice.assemble(endpoint, index));
        let choices = Value::Array(choices.collect());
        let mut answer = self.answer;
        answer.insert("object".into(), endpoint.answer_object().into());
        answer.insert("choices".into(), choices);
        if self.usage.is_none() {
            answer.shift_remove("usage");
        }
        Ok((Value::Object(answer).to_string().into(), usage))
    }

    fn take(&mut self, frame: &Frame) -> Result<(), Failure> {
        let Some(data) = frame.data() else {
            return Ok(());
        };
        if self.done || data.trim_ascii().is_empty() {
            return Ok(());
        }
        if is_done(&data) {
            self.done = true;
            return Ok(());
        }
        let nonsense =
            || Failure::upstream("upstream's stream holds an event that is not valid JSON");
        let chunk = Chunk::read(&data).map_err(|_| nonsense())?;
        if chunk.is_error {
            return Err(error::reported(&data));
        }
        self.text += chunk.said.text;
        self.meaningful |= chunk.is_meaningful();
        self.usage = chunk.usage.or(self.usage);
        if let Value::Object(chunk) = serde_json::from_slice(&data).map_err(|_| nonsense())? {
            self.merge(chunk);
        }
        Ok(())
    }

    fn merge(&mut self, chunk: Map<String, Value>) {
        for (name, value) in chunk {
            match (name.as_str(), value) {
                ("choices", Value::Array(choices)) => {
                    self.answer.entry(name).or_insert(Value::Null);
                    for (position, choice) in choices.into_iter().enumerate() {
                        let Value::Object(choice) = choice else {
                            continue;
                        };
                        let index = choice.get("index").and_then(Value::as_u64);
                        let index = index.unwrap_or(position as u64);
                        self.choices.entry(index).or_default().merge(choice);
                    }
                }
                // Padding of streams, against those who measure packets.
                ("obfuscation", _) => {}
                // Azure's first chunk has them, but empty.
                ("id" | "created" | "model", value) => {
                    let held = self.answer.entry(name).or_insert(Value::Null);
                    if says_nothing(held) || *held == 0 {
                        *held = value;
                    }
                }
                (_, value) => replace(&mut self.answer, name, value),
            }
        }
    }
}

impl Choice {
    fn merge(&mut self, choice: Map<String, Value>) {
        for (name, value) in choice {
            match (name.as_str(), value) {
                ("delta", Value::Object(delta)) => {
                    self.members.entry("message").or_insert(Value::Null);
                    self.merge_delta(delta);
                }
                ("delta", _) => {}
                ("text" | "logprobs", value) => {
                    let held = self.members.entry(name.clone()).or_insert(Value::Null);
                    append(&name, held, value);
                }
                (_, value) => replace(&mut self.members, name, value),
            }
        }
    }

    fn merge_delta(&mut self, delta: Map<String, Value>) {
        for (name, mut value) in delta {
            match (name.as_str(), &mut value) {
                ("tool_calls", Value::Array(pieces)) => {
                    self.message.entry(name).or_insert(Value::Array(Vec::new()));
                    for piece in pieces {
                        self.merge_call(piece.take());
                    }
                    continue;
                }
                ("function_call", function) => write_arguments(function),
                _ => {}
            }
            let held = self.message.entry(name.clone()).or_insert(Value::Null);
            append(&name, held, value);
        }
    }

    /// Adds a piece of a call to the one it belongs to. Servers disagree on how to tell: most number
    /// the calls, some give the id only, some number every call 0.
    fn merge_call(&mut self, mut piece: Value) {
        if !piece.is_object() {
            return;
        }
        if let Some(function) = piece.get_mut("function") {
            write_arguments(function);
        }
        let index = piece["index"].as_u64();
        let id = piece["id"].as_str().filter(|id| !id.is_empty());
        let continues = |call: &ToolCall| {
            let is_other = match (id, call.members["id"].as_str()) {
                (Some(id), Some(held)) => !held.is_empty() && held != id,
                (Some(_), None) => index.is_none(),
                (None, _) => false,
            };
            !is_other && index.is_none_or(|index| index == call.index)
        };
        let position = match (index, id) {
            (None, None) => self.calls.len().checked_sub(1),
            _ => self.calls.iter().rposition(continues),
        };
        match position {
            Some(position) => append("tool_calls", &mut self.calls[position].members, piece),
            None => {
                let next = self.calls.last().map_or(0, |call| call.index + 1);
                self.calls.push(ToolCall {
                    index: index.unwrap_or(next),
                    members: piece,
                });
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.members
            .get("finish_reason")
            .is_some_and(Value::is_string)
    }

    fn assemble(mut self, endpoint: Endpoint, index: u64) -> Value {
        if endpoint == Endpoint::ChatCompletions {
            self.message.entry("role").or_insert("assistant".into());
            self.message.entry("content").or_insert(Value::Null);
            if !self.calls.is_empty() {
                self.calls.sort_by_key(|call| call.index);
                let calls = self.calls.into_iter().map(ToolCall::assemble).collect();
                self.message
                    .insert("tool_calls".into(), Value::Array(calls));
            }
            self.members
                .insert("message".into(), Value::Object(self.message));
        }
        self.members.insert("index".into(), index.into());
        Value::Object(self.members)
    }
}

impl ToolCall {
    fn assemble(mut self) -> Value {
        if let Value::Object(call) = &mut self.members {
            call.shift_remove("index");
            if let Some(Value::Object(function)) = call.get_mut("function") {
                // What a plain answer says of a function without parameters.
                let arguments = function.entry("arguments").or_insert(Value::Null);
                if arguments.is_null() || *arguments == "" {
                    *arguments = "{}".into();
                }
                call.entry("type").or_insert("function".into());
            }
        }
        self.members
    }
}

/// The last word counts, unless it is none.
fn replace(members: &mut Map<String, Value>, name: String, value: Value) {
    let held = members.entry(name).or_insert(Value::Null);
    if held.is_null() || !says_nothing(&value) {
        *held = value;
    }
}

/// Continues a value with a piece of it. `name` is the member's name, or its list's.
fn append(name: &str, held: &mut Value, piece: Value) {
    match (held, piece) {
        (_, Value::Null) => {}
        (Value::String(held), Value::String(piece)) => {
            // Names do not come in pieces, but some servers repeat them.
            match name {
                "id" | "type" | "role" | "name" | "url" | "format" if !held.is_empty() => {}
                _ => held.push_str(&piece),
            }
        }
        (Value::Object(held), Value::Object(piece)) => {
            for (name, value) in piece {
                let held = held.entry(name.clone()).or_insert(Value::Null);
                append(&name, held, value);
            }
        }
        (Value::Array(held), Value::Array(pieces)) => {
            for piece in pieces {
                let index = piece.get("index").filter(|index| index.is_u64());
                let same = |item: &&mut Value| index.is_some() && item.get("index") == index;
                match held.iter_mut().find(same) {
                    Some(item) => append(name, item, piece),
                    None => held.push(piece),
                }
            }
        }
        // Content is text or a list of parts. Some servers send the one, then the other.
        (held @ Value::String(_), Value::Array(parts)) if name == "content" => {
            let text = std::mem::take(held);
            *held = Value::Array(Vec::new());
            append(name, held, text);
            append(name, held, Value::Array(parts));
        }
        (Value::Array(parts), Value::String(text)) if name == "content" => {
            match parts.last_mut().and_then(text_of) {
                Some(held) => held.push_str(&text),
                None if text.is_empty() => {}
                None => parts.push(json!({ "type": "text", "text": text })),
            }
        }
        (held, piece) => *held = piece,
    }
}

/// The text of a part of a message that is one.
fn text_of(part: &mut Value) -> Option<&mut String> {
    match part.get_mut("text") {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Arguments are text. Some servers send the object instead.
fn write_arguments(function: &mut Value) {
    if let Some(arguments) = function.get_mut("arguments")
        && !matches!(arguments, Value::Null | Value::String(_))
    {
        *arguments = arguments.to_string().into();
    }
}
