//! A client's stream: server-sent events, or one array that comes piece by piece. There is no mark at its end.

use serde_json::{Value, json};

use super::parts::{self, Parts};
use super::{error, finish, usage};
use crate::chat::{Block, Event, Finish, Logprob, ToolCall, Usage};
use crate::protocol::codec::{Encoder, Reply};
use crate::protocol::sse;

/// Writes a client's stream.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    reply: Reply,
    parts: Parts,
    open: Open,
    logprobs: Vec<Logprob>,
    usage: Option<Usage>,
    finish: Finish,
    /// Whether the array has begun.
    begun: bool,
    over: bool,
}

#[derive(Debug, Default)]
enum Open {
    /// Text, or nothing: what comes unannounced is text.
    #[default]
    Text,
    Thinking,
    /// Calls are only ever sent whole.
    Call(ToolCall),
    /// Whatever comes has no words.
    Mute,
}

impl StreamEncoder {
    /// A stream at its beginning.
    pub(crate) fn new(reply: Reply) -> StreamEncoder {
        StreamEncoder {
            reply,
            parts: Parts::default(),
            open: Open::default(),
            logprobs: Vec::new(),
            usage: None,
            finish: Finish::default(),
            begun: false,
            over: false,
        }
    }

    fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        let mut parts = Vec::new();
        match &mut self.open {
            Open::Text => self.parts.text(text, &mut parts),
            Open::Thinking => self.parts.thought(text, &mut parts),
            Open::Call(call) => call.arguments.push_str(text),
            Open::Mute => {}
        }
        self.send(parts, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Open::Call(call) = std::mem::take(&mut self.open) {
            let mut parts = Vec::new();
            self.parts.call(&call, &mut parts);
            self.send(parts, out);
        }
    }

    /// One event for some parts.
    fn send(&mut self, parts: Vec<Value>, out: &mut Vec<u8>) {
        if parts.is_empty() {
            return;
        }
        let candidate = self.candidate(parts);
        let event = parts::answer(candidate, &self.reply);
        self.write(&event.into(), out);
    }

    fn candidate(&mut self, parts: Vec<Value>) -> Value {
        let mut candidate = json!({
            "content": {"role": "model", "parts": parts},
            "index": 0,
        });
        if !self.logprobs.is_empty() {
            let logprobs = std::mem::take(&mut self.logprobs);
            candidate["logprobsResult"] = parts::logprobs(&logprobs);
        }
        candidate
    }

    /// The last event: why the answer ended, and what it cost. Clients stumble over one without a part.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.end(out);
        let mut parts = Vec::new();
        self.parts.flush(&mut parts);
        if parts.is_empty() {
            parts.push(parts::empty(None));
        }
        let mut candidate = self.candidate(parts);
        candidate["finishReason"] = finish::write(self.finish.reason).into();
        let mut event = parts::answer(candidate, &self.reply);
        let usage = usage::write(self.usage.as_ref());
        event.insert("usageMetadata".into(), usage);
        self.write(&event.into(), out);
        self.finish_array(out);
    }

    fn write(&mut self, event: &Value, out: &mut Vec<u8>) {
        if !self.reply.array {
            return sse::write(out, None, event);
        }
        out.extend_from_slice(if self.begun { b",\r\n" } else { b"[" });
        self.begun = true;
        sse::write_json(out, event);
    }

    fn finish_array(&mut self, out: &mut Vec<u8>) {
        if self.reply.array {
            out.push(b']');
        }
        self.over = true;
    }
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Untold => {}
            Event::Start => {}
            Event::Begin(block) => {
                self.end(out);
                self.open = match block {
                    Block::Text | Block::Refusal => Open::Text,
                    Block::Thinking => Open::Thinking,
                    Block::Redacted(signed) => {
                        self.parts.redacted(&signed);
                        Open::Mute
                    }
                    Block::Call { id, name, .. } => Open::Call(ToolCall {
                        id,
                        name,
                        ..ToolCall::default()
                    }),
                };
            }
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(signed) => match &mut self.open {
                Open::Call(call) => call.signature = Some(signed),
                _ => self.parts.proof(&signed),
            },
            Event::Logprobs(logprobs) => self.logprobs.extend(logprobs),
            Event::End => self.end(out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => self.finish = finish,
            Event::Close => self.close(out),
            Event::Failed(failure) => {
                self.write(&error::object(&failure), out);
                self.finish_array(out);
            }
        }
    }
}
