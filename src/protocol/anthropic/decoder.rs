//! A provider's stream.
//!
//! The vendor sends one block after the other; servers that imitate it may begin a block before the last one has
//! ended, or not end it at all. The first open block is passed on as it grows, the others wait for their turn.

use std::collections::VecDeque;

use serde_json::Value;

use super::{finish_of, response, usage};
use crate::chat::{Block, Event, Failure};
use crate::protocol::{Decoder, error};

/// Reads a provider's stream.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    stage: Stage,
    /// In the order in which they began. The first one is passed on at once.
    blocks: VecDeque<Open>,
    counts: usage::Counts,
}

/// How far the stream has come. In order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Silent,
    Started,
    Finished,
    /// Whatever comes now means nothing.
    Closed,
}

/// A block that has begun.
#[derive(Debug)]
struct Open {
    index: u64,
    /// The arguments of a call for which no delta has come yet.
    input: Option<String>,
    /// What waits for earlier blocks to end.
    waiting: Vec<Event>,
    ended: bool,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.stage == Stage::Closed {
            return;
        }
        // OpenAI's mark at the end, which some servers send in every dialect.
        if data.trim_ascii() == b"[DONE]" {
            return self.end(out);
        }
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            let failure =
                Failure::upstream("upstream's stream holds an event that is not valid JSON");
            return self.fail(failure, out);
        };
        if response::is_error(&event) {
            return self.fail(error::reported(data), out);
        }
        let index = event["index"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                self.start(out);
                self.count(&event["message"]["usage"], out);
            }
            "content_block_start" => self.begin(index, &event["content_block"], out),
            "content_block_delta" => self.grow(index, &event["delta"], out),
            "content_block_stop" => self.stop(index, out),
            "message_delta" => self.message_delta(&event, out),
            "message_stop" => {
                self.start(out);
                // A mark of the end without a reason: the answer is as whole as it will get.
                self.finish("end_turn", None, out);
                self.stage = Stage::Closed;
                out.push(Event::Close);
            }
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        match self.stage {
            Stage::Finished => out.push(Event::Close),
            Stage::Started => {
                self.blocks.iter_mut().rev().skip(1).for_each(Open::end);
                self.pass_on(out);
            }
            Stage::Silent | Stage::Closed => {}
        }
        self.stage = Stage::Closed;
    }
}

impl StreamDecoder {
    fn start(&mut self, out: &mut Vec<Event>) {
        if self.stage == Stage::Silent {
            self.stage = Stage::Started;
            out.push(Event::Start);
        }
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.stage = Stage::Closed;
        out.push(Event::Failed(failure));
    }

    fn count(&mut self, told: &Value, out: &mut Vec<Event>) {
        if told.is_object() {
            self.counts.take(told);
            out.extend(self.counts.total().map(Event::Usage));
        }
    }

    fn message_delta(&mut self, event: &Value, out: &mut Vec<Event>) {
        self.start(out);
        let delta = &event["delta"];
        if let Some(reason) = delta["stop_reason"].as_str() {
            self.finish(reason, delta["stop_sequence"].as_str(), out);
        }
        self.count(&event["usage"], out);
    }

    fn finish(&mut self, reason: &str, stop_sequence: Option<&str>, out: &mut Vec<Event>) {
        if self.stage >= Stage::Finished {
            return;
        }
        for block in &mut self.blocks {
            block.end();
        }
        self.pass_on(out);
        self.stage = Stage::Finished;
        out.push(Event::Finish(finish_of(reason, stop_sequence)));
    }

    /// A block begins. Some servers put into its beginning what belongs into a delta.
    fn begin(&mut self, index: u64, block: &Value, out: &mut Vec<Event>) {
        let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        let (kind, start) = match block["type"].as_str().unwrap_or_default() {
            "text" => (Block::Text, text("text")),
            "thinking" => (Block::Thinking, text("thinking")),
            "redacted_thinking" => match response::own(&block["data"]) {
                Some(signed) => (Block::Redacted(signed), String::new()),
                None => return,
            },
            "tool_use" => (
                Block::Call {
                    id: text("id"),
                    name: text("name"),
                    namespace: None,
                    custom: false,
                },
                String::new(),
            ),
            // Tools that run at the vendor; we never offer those.
            _ => return,
        };
        let input = matches!(kind, Block::Call { .. }).then(|| response::input(&block["input"]));
        let signature = response::own(&block["signature"]).filter(|_| kind == Block::Thinking);
        if !self.open(index, kind, input, out) {
            return;
        }
        if !start.is_empty() {
            self.say(index, Event::Delta(start), out);
        }
        if let Some(signed) = signature {
            self.say(index, Event::Signature(signed), out);
        }
    }

    fn open(
        &mut self,
        index: u64,
        kind: Block,
        input: Option<String>,
        out: &mut Vec<Event>,
    ) -> bool {
        self.start(out);
        if self.stage >= Stage::Finished {
            return false;
        }
        // The index is used again: the earlier block is over.
        self.stop(index, out);
        self.blocks.push_back(Open {
            index,
            input,
            waiting: Vec::new(),
            ended: false,
        });
        self.say(index, Event::Begin(kind), out);
        true
    }

    fn grow(&mut self, index: u64, delta: &Value, out: &mut Vec<Event>) {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        let (name, begun) = match delta["type"].as_str().unwrap_or_default() {
            "text_delta" => ("text", Some(Block::Text)),
            "thinking_delta" => ("thinking", Some(Block::Thinking)),
            "input_json_delta" => ("partial_json", None),
            "signature_delta" => {
                if let Some(signed) = response::own(&delta["signature"]) {
                    self.say(index, Event::Signature(signed), out);
                }
                return;
            }
            _ => return,
        };
        let text = text(name);
        if text.is_empty() {
            return;
        }
        let known = self
            .blocks
            .iter_mut()
            .find(|block| block.index == index && !block.ended);
        match known {
            Some(block) => block.input = None,
            // Text without a beginning is still text.
            None => {
                let Some(kind) = begun else { return };
                if !self.open(index, kind, None, out) {
                    return;
                }
            }
        }
        self.say(index, Event::Delta(text.to_owned()), out);
    }

    /// What happens in a block: known at once if it is the first one.
    fn say(&mut self, index: u64, event: Event, out: &mut Vec<Event>) {
        let mut blocks = self.blocks.iter_mut().enumerate();
        match blocks.find(|(_, block)| block.index == index && !block.ended) {
            Some((0, _)) => out.push(event),
            Some((_, block)) => block.waiting.push(event),
            None => {}
        }
    }

    fn stop(&mut self, index: u64, out: &mut Vec<Event>) {
        for block in &mut self.blocks {
            if block.index == index {
                block.end();
            }
        }
        self.pass_on(out);
    }

    /// Passes on what has waited for blocks that have ended.
    fn pass_on(&mut self, out: &mut Vec<Event>) {
        while let Some(first) = self.blocks.front_mut() {
            out.append(&mut first.waiting);
            if !first.ended {
                return;
            }
            self.blocks.pop_front();
        }
    }
}

impl Open {
    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.waiting.extend(self.input.take().map(Event::Delta));
            self.waiting.push(Event::End);
        }
    }
}
