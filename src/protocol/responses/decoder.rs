//! A provider's stream.
//!
//! Deltas are what counts. Where a server leaves them out, the full text of what is done takes their place.

use std::collections::HashMap;

use serde_json::Value;

use super::item::{self, Placed, Slot, text};
use super::response::{failed, reported};
use super::sequence::{Place, Sequence};
use super::usage;
use crate::chat::{Block, Event, Failure, FinishReason, Part, ToolCall};
use crate::protocol::codec::Decoder;
use crate::protocol::error;

/// Reads a provider's stream.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    has_started: bool,
    is_over: bool,
    blocks: Sequence,
    /// Which item an id belongs to, for servers that leave indices out.
    items: HashMap<String, u64>,
    /// The last item that was announced.
    latest: u64,
    /// Of items of reasoning, the list and the part of it that came last.
    thoughts: HashMap<u64, (Thoughts, u64)>,
    has_calls: bool,
}

/// Which of its lists an item of reasoning is read from. Both say the same at different length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thoughts {
    Summary,
    Full,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, data: &[u8], out: &mut Vec<Event>) {
        // Some servers end the stream like that of chat completions.
        if self.is_over || matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return;
        }
        match serde_json::from_slice(data) {
            Ok(event) => self.event(&event, data, out),
            Err(_) => {
                let message = "upstream's stream holds an event that is not valid JSON";
                self.fail(Failure::upstream(message), out);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if !self.is_over {
            self.blocks.end_all(out);
        }
    }
}

impl StreamDecoder {
    fn event(&mut self, event: &Value, data: &[u8], out: &mut Vec<Event>) {
        let kind = text(&event["type"]);
        let is_error = kind == "error"
            || kind.is_empty() && !matches!(event["error"], Value::Null | Value::Bool(false));
        if is_error {
            return self.fail(error::reported(data), out);
        }
        let Some(kind) = kind.strip_prefix("response.") else {
            return;
        };
        if kind == "failed" {
            return self.fail(reported(&event["response"]["error"]), out);
        }
        if !self.has_started {
            self.has_started = true;
            out.push(Event::Start);
        }
        match kind {
            "output_item.added" => self.added(event, out),
            "output_text.delta" => self.grow(event, Block::Text, out),
            "refusal.delta" => self.grow(event, Block::Refusal, out),
            "output_text.done" => self.complete(event, "text", Block::Text, out),
            "refusal.done" => self.complete(event, "refusal", Block::Refusal, out),
            "reasoning_summary_text.delta" => self.think(event, Thoughts::Summary, out),
            "reasoning_text.delta" => self.think(event, Thoughts::Full, out),
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                let place = self.place(event, Slot::Whole);
                self.blocks_push(place, &event["delta"], out);
            }
            "function_call_arguments.done" => self.called(event, "arguments", out),
            "custom_tool_call_input.done" => self.called(event, "input", out),
            "output_item.done" => {
                let index = self.index(event);
                self.done(index, &event["item"], out);
            }
            "completed" | "incomplete" | "cancelled" => self.finish(kind, event, out),
            _ => {}
        }
    }

    /// An item is announced. All but calls show with their first delta what they are.
    fn added(&mut self, event: &Value, out: &mut Vec<Event>) {
        let item = &event["item"];
        let index = event["output_index"]
            .as_u64()
            .unwrap_or(self.items.len() as u64);
        self.latest = index;
        if let Some(id) = item["id"].as_str() {
            self.items.insert(id.to_owned(), index);
        }
        if let "function_call" | "custom_tool_call" = text(&item["type"]) {
            self.call(index, item::call(item), out);
        }
    }

    fn call(&mut self, item: u64, call: ToolCall, out: &mut Vec<Event>) {
        self.has_calls = true;
        let slot = Slot::Whole;
        self.blocks
            .begin(Place { item, slot }, block(Part::Call(call)), out);
    }

    /// A message grows.
    fn grow(&mut self, event: &Value, block: Block, out: &mut Vec<Event>) {
        let place = self.content_place(event);
        self.blocks.begin(place, block, out);
        let logprobs = item::logprobs(&event["logprobs"]);
        if !logprobs.is_empty() {
            self.blocks.push(place, Event::Logprobs(logprobs), out);
        }
        self.blocks_push(place, &event["delta"], out);
    }

    /// A part of a message is complete.
    fn complete(&mut self, event: &Value, member: &str, block: Block, out: &mut Vec<Event>) {
        let place = self.content_place(event);
        if !self.blocks.has_grown(place) && !text(&event[member]).is_empty() {
            self.blocks.begin(place, block, out);
            self.blocks_push(place, &event[member], out);
        }
        self.blocks.end(place, out);
    }

    /// Thoughts grow. A blank line parts what the provider sends in parts.
    fn think(&mut self, event: &Value, list: Thoughts, out: &mut Vec<Event>) {
        let place = self.place(event, Slot::Whole);
        let index = match list {
            Thoughts::Summary => &event["summary_index"],
            Thoughts::Full => &event["content_index"],
        };
        let index = index.as_u64().unwrap_or(0);
        let before = self.thoughts.entry(place.item).or_insert((list, index));
        if before.0 != list {
            return;
        }
        let is_next = before.1 != index;
        before.1 = index;
        self.blocks.begin(place, Block::Thinking, out);
        if is_next {
            self.blocks
                .push(place, Event::Delta("\n\n".to_owned()), out);
        }
        self.blocks_push(place, &event["delta"], out);
    }

    /// The arguments of a call are complete.
    fn called(&mut self, event: &Value, member: &str, out: &mut Vec<Event>) {
        let place = self.place(event, Slot::Whole);
        if !self.blocks.has_grown(place) {
            self.blocks_push(place, &event[member], out);
        }
        self.blocks.end(place, out);
    }

    /// An item is complete.
    fn done(&mut self, item: u64, complete: &Value, out: &mut Vec<Event>) {
        for Placed {
            slot,
            part,
            logprobs,
        } in item::parts(complete)
        {
            let place = Place { item, slot };
            let (said, signature) = match &part {
                Part::Text(text) | Part::Refusal(text) => (text.clone(), None),
                Part::Thinking { text, signature } => (text.clone(), signature.clone()),
                Part::Call(call) => (call.arguments.clone(), None),
                _ => continue,
            };
            self.has_calls |= matches!(part, Part::Call(_));
            let has_grown = self.blocks.has_grown(place);
            // An empty text is nothing, a call without arguments is a call.
            if !self.blocks.has_begun(place)
                && (!said.is_empty() || signature.is_some() || matches!(part, Part::Call(_)))
            {
                self.blocks.begin(place, block(part), out);
            }
            if !has_grown && !said.is_empty() {
                if !logprobs.is_empty() {
                    self.blocks.push(place, Event::Logprobs(logprobs), out);
                }
                self.blocks.push(place, Event::Delta(said), out);
            }
            if let Some(signed) = signature {
                self.blocks.push(place, Event::Signature(signed), out);
            }
        }
        self.blocks.end_item(item, out);
    }

    /// The answer has ended.
    fn finish(&mut self, kind: &str, event: &Value, out: &mut Vec<Event>) {
        let response = &event["response"];
        if let Some(failure) = failed(response) {
            return self.fail(failure, out);
        }
        if kind == "cancelled" {
            return self.fail(Failure::upstream("upstream's answer is cancelled"), out);
        }
        if self.blocks.is_untouched() {
            // A server that sends nothing but the end.
            let items = response["output"].as_array().map_or(&[][..], Vec::as_slice);
            for (complete, index) in items.iter().zip(0..) {
                self.done(index, complete, out);
            }
        }
        self.blocks.end_all(out);
        out.extend(usage::read(&response["usage"]).map(Event::Usage));
        let mut finish = item::finish(response, self.has_calls);
        if kind == "incomplete" && response["status"].is_null() {
            finish = FinishReason::Length.into();
        }
        out.extend([Event::Finish(finish), Event::Close]);
        self.is_over = true;
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.is_over = true;
        out.push(Event::Failed(failure));
    }

    fn blocks_push(&mut self, place: Place, delta: &Value, out: &mut Vec<Event>) {
        let delta = text(delta);
        if !delta.is_empty() {
            self.blocks.push(place, Event::Delta(delta.to_owned()), out);
        }
    }

    /// The index of the item that an event is about.
    fn index(&self, event: &Value) -> u64 {
        let by_id = |id: &Value| self.items.get(id.as_str()?).copied();
        event["output_index"]
            .as_u64()
            .or_else(|| by_id(&event["item_id"]))
            .or_else(|| by_id(&event["item"]["id"]))
            .unwrap_or(self.latest)
    }

    fn place(&self, event: &Value, slot: Slot) -> Place {
        let item = self.index(event);
        Place { item, slot }
    }

    fn content_place(&self, event: &Value) -> Place {
        let index = event["content_index"].as_u64().unwrap_or(0);
        self.place(event, Slot::Content(index))
    }
}

/// The block that a part is.
fn block(part: Part) -> Block {
    match part {
        Part::Refusal(_) => Block::Refusal,
        Part::Thinking { .. } => Block::Thinking,
        Part::Call(call) => Block::Call {
            id: call.id,
            name: call.name,
            namespace: call.namespace,
            custom: call.custom,
        },
        _ => Block::Text,
    }
}
