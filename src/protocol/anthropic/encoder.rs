//! A client's stream.

use serde_json::{Map, Value, json};

use super::{ending, error, response, sign, usage};
use crate::chat::{Block, Event, Failure, Finish, FinishReason, Signed, Usage};
use crate::protocol::{Encoder, Reply, sse};

/// Writes a client's stream.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    reply: Reply,
    started: bool,
    /// Whatever comes now, the client has been told of the end.
    ended: bool,
    open: Option<Open>,
    /// How many blocks were begun: the client counts along.
    blocks: u64,
    called: bool,
    finish: Finish,
    usage: Option<Usage>,
}

/// The block that is open.
#[derive(Debug)]
struct Open {
    block: Block,
    /// Whether the client knows of it. A text of nothing but blanks, which some models write before their calls,
    /// is never mentioned, because the vendor would refuse it when the client sends it back.
    begun: bool,
    /// Blanks at the beginning of a text, until more comes.
    blanks: String,
    /// The proof of thoughts, which is their last word.
    signature: Option<Signed>,
}

impl Open {
    fn of(block: Block) -> Open {
        Open {
            block,
            begun: false,
            blanks: String::new(),
            signature: None,
        }
    }
}

impl StreamEncoder {
    /// Writes this answer.
    pub(crate) fn new(reply: Reply) -> StreamEncoder {
        StreamEncoder {
            reply,
            started: false,
            ended: false,
            open: None,
            blocks: 0,
            called: false,
            finish: Finish::default(),
            usage: None,
        }
    }
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Failed(failure) => self.fail(&failure, out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => self.finish = finish,
            Event::Logprobs(_) => {}
            Event::Start => self.start(out),
            Event::Begin(block) => {
                self.end(out);
                self.open = Some(Open::of(block));
            }
            Event::Delta(text) => self.delta(&text, out),
            Event::Signature(signed) => self.sign(signed, out),
            Event::End => self.end(out),
            Event::Close => self.close(out),
            Event::Untold => {}
        }
    }
}

impl StreamEncoder {
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let mut message = response::head(&self.reply);
        for name in ["stop_reason", "stop_sequence", "stop_details"] {
            message.insert(name.into(), Value::Null);
        }
        // The true numbers come at the end, and the beginning does not wait for them.
        message.insert("usage".into(), usage::write(None));
        write(out, &json!({"type": "message_start", "message": message}));
    }

    fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let open = self.open.get_or_insert(Open::of(Block::Text));
        let (kind, name) = match &open.block {
            Block::Text | Block::Refusal => ("text_delta", "text"),
            Block::Thinking => ("thinking_delta", "thinking"),
            Block::Call { .. } => ("input_json_delta", "partial_json"),
            Block::Redacted(_) => return,
        };
        if kind == "text_delta" && !open.begun {
            open.blanks.push_str(text);
            if text.trim().is_empty() {
                return;
            }
            let text = std::mem::take(&mut open.blanks);
            self.begin(out);
            return self.write_delta(&json!({"type": kind, name: text}), out);
        }
        self.begin(out);
        self.write_delta(&json!({"type": kind, name: text}), out);
    }

    fn sign(&mut self, signed: Signed, out: &mut Vec<u8>) {
        let Some(open) = &mut self.open else { return };
        match &open.block {
            Block::Thinking => open.signature = Some(signed),
            // It goes in a block of its own, before the call as long as nothing of that was written.
            Block::Call { id, .. } => {
                let Some(carrier) = sign::of_call(id, &signed) else {
                    return;
                };
                if open.begun {
                    open.signature = Some(signed);
                } else {
                    self.carry(&carrier, out);
                }
            }
            _ => {}
        }
    }

    /// Tells the client of the open block, if it was not told yet.
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        let Some(open) = self.open.as_mut().filter(|open| !open.begun) else {
            return;
        };
        open.begun = true;
        let block = match &open.block {
            Block::Text | Block::Refusal => json!({"type": "text", "text": ""}),
            Block::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Block::Call { id, name, .. } => {
                self.called = true;
                json!({"type": "tool_use", "id": id, "name": name, "input": {}})
            }
            Block::Redacted(signed) => {
                let block = sign::redacted(signed);
                return self.carry(&block, out);
            }
        };
        self.write_start(&block, out);
    }

    /// Ends the open block.
    fn end(&mut self, out: &mut Vec<u8>) {
        let Some(open) = &self.open else { return };
        let says_something = match &open.block {
            Block::Text | Block::Refusal => false,
            Block::Thinking => open.signature.is_some(),
            Block::Call { .. } | Block::Redacted(_) => true,
        };
        if says_something {
            self.begin(out);
        }
        let Some(open) = self.open.take().filter(|open| open.begun) else {
            return;
        };
        match (open.block, open.signature) {
            (Block::Redacted(_), _) => {}
            (Block::Call { id, .. }, Some(signed)) => {
                self.write_stop(out);
                let carrier = sign::of_call(&id, &signed);
                carrier.iter().for_each(|carrier| self.carry(carrier, out));
            }
            (_, signature) => {
                if let Some(signed) = signature {
                    let signature = sign::of_thoughts(&signed);
                    let delta = json!({"type": "signature_delta", "signature": signature});
                    self.write_delta(&delta, out);
                }
                self.write_stop(out);
            }
        }
    }

    /// Writes a block that carries something through the client. The signature of thoughts comes in a delta, as
    /// clients do not look for it elsewhere.
    fn carry(&mut self, block: &Value, out: &mut Vec<u8>) {
        self.start(out);
        match block.get("signature") {
            Some(signature) => {
                let empty = json!({"type": "thinking", "thinking": "", "signature": ""});
                self.write_start(&empty, out);
                let delta = json!({"type": "signature_delta", "signature": signature});
                self.write_delta(&delta, out);
            }
            None => self.write_start(block, out),
        }
        self.write_stop(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.end(out);
        self.ended = true;
        // A provider may say `stop` where it made calls: a client that believed it would not run them.
        if self.called && self.finish.reason == FinishReason::Stop {
            self.finish.reason = FinishReason::ToolUse;
        }
        let delta: Map<_, _> = ending(&self.finish)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let usage = usage::write(self.usage);
        write(
            out,
            &json!({"type": "message_delta", "delta": delta, "usage": usage}),
        );
        write(out, &json!({"type": "message_stop"}));
    }

    fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        self.ended = true;
        write(out, &error::event(failure));
    }

    fn write_start(&mut self, block: &Value, out: &mut Vec<u8>) {
        let index = self.blocks;
        self.blocks += 1;
        write(
            out,
            &json!({"type": "content_block_start", "index": index, "content_block": block}),
        );
    }

    fn write_delta(&self, delta: &Value, out: &mut Vec<u8>) {
        let index = self.blocks.saturating_sub(1);
        write(
            out,
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
    }

    fn write_stop(&self, out: &mut Vec<u8>) {
        let index = self.blocks.saturating_sub(1);
        write(out, &json!({"type": "content_block_stop", "index": index}));
    }
}

/// An event. Its name is its type; the official clients skip events without a name.
fn write(out: &mut Vec<u8>, event: &Value) {
    sse::write(out, event["type"].as_str(), event);
}
