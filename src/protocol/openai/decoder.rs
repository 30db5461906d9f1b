//! A provider's chat stream, read into the common language.
//!
//! Servers differ much in how they send calls: whole, in pieces, with or without a number, with the name in every
//! piece, several at once. What comes out is one block after the other.

use std::collections::VecDeque;

use serde_json::Value;

use super::response::{arguments, body, finish, is_error, logprobs, signature};
use super::{is_done, usage};
use crate::chat::{Block, Event, Failure, FinishReason, Signed};
use crate::protocol::codec::Decoder;
use crate::protocol::error;

/// Reads a chat stream.
#[derive(Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    /// What kind of block is open, unless it is a call.
    open: Option<Block>,
    /// Calls that are not complete, the oldest first; of them only that one has been told of.
    calls: VecDeque<Call>,
    called: bool,
    /// Whether anything of an answer was said.
    said: bool,
    finished: bool,
    closed: bool,
}

struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    custom: bool,
    signature: Option<Signed>,
    /// All of them.
    arguments: String,
    /// How much of them was told.
    told: usize,
    /// Whether it was told of at all.
    begun: bool,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.closed {
            return;
        }
        if is_done(data) {
            // Some servers mark the end alone.
            if !self.finished && self.said {
                self.finish_with("", out);
            }
            return self.close(out);
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
            let what = "upstream's stream holds an event that is not valid JSON";
            return self.fail(Failure::upstream(what), out);
        };
        let choice = &chunk["choices"][0];
        if is_error(&chunk) || is_error(choice) || chunk.is_array() {
            return self.fail(error::reported(data), out);
        }
        if !std::mem::replace(&mut self.started, true) {
            out.push(Event::Start);
        }
        // What comes behind the end is no part of the answer.
        if !self.finished {
            self.delta(choice, out);
        }
        if let Some(usage) = usage::of_tree(&chunk["usage"]) {
            out.push(Event::Usage(usage));
        }
        if let Some(reason) = choice["finish_reason"].as_str()
            && !reason.is_empty()
        {
            self.finish_with(reason, out);
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        // Of an answer that was cut nothing is ended: half a call must not look like one.
        self.close(out);
    }
}

impl StreamDecoder {
    fn delta(&mut self, choice: &Value, out: &mut Vec<Event>) {
        let delta = match &choice["delta"] {
            Value::Object(_) => &choice["delta"],
            // A few servers send a whole message in their only chunk.
            _ => &choice["message"],
        };
        for name in ["reasoning_content", "reasoning"] {
            if let Some(text) = delta[name].as_str().filter(|text| !text.is_empty()) {
                self.grow(Block::Thinking, text, out);
                break;
            }
        }
        let likelihoods = logprobs(&choice["logprobs"]);
        match &delta["content"] {
            Value::String(text) if !text.is_empty() => {
                self.turn_to(Block::Text, out);
                if !likelihoods.is_empty() {
                    out.push(Event::Logprobs(likelihoods));
                }
                out.push(Event::Delta(text.clone()));
            }
            Value::Array(parts) => {
                let texts = parts.iter().filter_map(|part| part["text"].as_str());
                for text in texts.filter(|text| !text.is_empty()) {
                    self.grow(Block::Text, text, out);
                }
            }
            _ => {}
        }
        if let Some(text) = delta["refusal"].as_str().filter(|text| !text.is_empty()) {
            self.grow(Block::Refusal, text, out);
        }
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            self.call(piece, out);
        }
        if delta["function_call"].is_object() {
            let piece = serde_json::json!({ "index": 0, "function": delta["function_call"] });
            self.call(&piece, out);
        }
        // Text of the legacy kind, from servers that mix the two up.
        if let Some(text) = choice["text"].as_str().filter(|text| !text.is_empty()) {
            self.grow(Block::Text, text, out);
        }
    }

    fn grow(&mut self, block: Block, text: &str, out: &mut Vec<Event>) {
        self.turn_to(block, out);
        out.push(Event::Delta(text.to_owned()));
    }

    /// Makes this kind of block the open one.
    fn turn_to(&mut self, block: Block, out: &mut Vec<Event>) {
        self.end_calls(out);
        if self.open.as_ref() != Some(&block) {
            self.end_block(out);
            out.push(Event::Begin(block.clone()));
            self.open = Some(block);
            self.said = true;
        }
    }

    fn end_block(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::End);
        }
    }

    /// A piece of a call, added to the one it belongs to: by its number, its id, or as it is the last.
    fn call(&mut self, piece: &Value, out: &mut Vec<Event>) {
        self.end_block(out);
        let index = piece["index"].as_u64();
        let id = piece["id"].as_str().unwrap_or_default();
        let (body, custom, name) = body(piece);
        let text = arguments(&body[name]);
        let continues = |call: &Call| {
            let is_other = !id.is_empty() && !call.id.is_empty() && call.id != id;
            // Without a number a new id is a new call, and no id the last one.
            !is_other
                && (index.is_none() || call.index == index)
                && (index.is_some() || id.is_empty() || call.id == id)
        };
        let at = match (index, id.is_empty()) {
            (None, true) => self.calls.len().checked_sub(1),
            _ => self.calls.iter().rposition(continues),
        };
        // The last, empty word on a call that is complete.
        if at.is_none() && id.is_empty() && body["name"].is_null() && text.trim().is_empty() {
            return;
        }
        self.called = true;
        self.said = true;
        let at = at.unwrap_or_else(|| {
            self.calls.push_back(Call {
                index,
                id: id.to_owned(),
                name: String::new(),
                custom,
                signature: None,
                arguments: String::new(),
                told: 0,
                begun: false,
            });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        // Neither comes in pieces, but some servers repeat them.
        if call.id.is_empty() {
            call.id = id.to_owned();
        }
        if call.name.is_empty() {
            call.name = body["name"].as_str().unwrap_or_default().to_owned();
        }
        call.arguments.push_str(&text);
        call.signature = signature(piece).or(call.signature.take());
        self.tell(out);
    }

    /// Tells of the oldest call; of the next only when that one is complete.
    fn tell(&mut self, out: &mut Vec<Event>) {
        while let Some(call) = self.calls.front_mut() {
            if call.name.is_empty() {
                return;
            }
            call.tell(out);
            let is_complete = self.calls.len() > 1 && self.calls[0].is_complete();
            if !is_complete {
                return;
            }
            self.calls.pop_front();
            out.push(Event::End);
        }
    }

    /// No call grows any more.
    fn end_calls(&mut self, out: &mut Vec<Event>) {
        while let Some(mut call) = self.calls.pop_front() {
            call.tell(out);
            out.push(Event::End);
        }
    }

    fn finish_with(&mut self, reason: &str, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.end_calls(out);
        self.end_block(out);
        let mut finish = finish(reason);
        if self.called && finish.reason == FinishReason::Stop {
            finish.reason = FinishReason::ToolUse;
        }
        out.push(Event::Finish(finish));
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.finished && !std::mem::replace(&mut self.closed, true) {
            out.push(Event::Close);
        }
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.closed = true;
        out.push(Event::Failed(failure));
    }
}

impl Call {
    fn tell(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.push(Event::Begin(Block::Call {
                id: self.id.clone(),
                name: self.name.clone(),
                namespace: None,
                custom: self.custom,
            }));
        }
        out.extend(self.signature.take().map(Event::Signature));
        // Blanks alone are no arguments.
        let says_any = self.custom || !self.arguments.trim().is_empty();
        if says_any && self.told < self.arguments.len() {
            out.push(Event::Delta(self.arguments[self.told..].to_owned()));
            self.told = self.arguments.len();
        }
    }

    /// Whether its arguments are all there is of them: an object of JSON is. Free text may always go on.
    fn is_complete(&self) -> bool {
        !self.custom
            && self.arguments.trim_start().starts_with('{')
            && serde_json::from_str::<serde::de::IgnoredAny>(&self.arguments).is_ok()
    }
}
