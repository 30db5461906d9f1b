//! A client's chat stream, written from the common language.

use serde_json::{Map, Value, json};

use super::encode::extra;
use super::response::{finish_reason, write_logprobs};
use super::{error_event, usage};
use crate::chat::{Block, Event, Finish, FinishReason, Logprob, Usage};
use crate::protocol::codec::{Encoder, Reply};
use crate::protocol::sse;

/// Writes a chat stream.
pub(crate) struct StreamEncoder {
    reply: Reply,
    started: bool,
    open: Option<Open>,
    /// How many calls there were.
    calls: u64,
    /// The first piece of a call, which may get a signature yet.
    first: Option<Value>,
    logprobs: Vec<Logprob>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    ended: bool,
}

enum Open {
    Text,
    Thinking,
    Refusal,
    Call {
        custom: bool,
        /// An object without members arrives as one, too.
        is_empty: bool,
    },
    Other,
}

impl StreamEncoder {
    /// At the beginning of a stream.
    pub(crate) fn new(reply: Reply) -> StreamEncoder {
        StreamEncoder {
            reply,
            started: false,
            open: None,
            calls: 0,
            first: None,
            logprobs: Vec::new(),
            finish: None,
            usage: None,
            ended: false,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            self.delta(json!({ "role": "assistant", "content": "" }), out);
        }
    }

    fn delta(&mut self, delta: Value, out: &mut Vec<u8>) {
        let logprobs = write_logprobs(&std::mem::take(&mut self.logprobs));
        self.choice(delta, logprobs, Value::Null, out);
    }

    fn choice(&self, delta: Value, logprobs: Value, finish: Value, out: &mut Vec<u8>) {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish });
        self.chunk(json!([choice]), None, out);
    }

    fn chunk(&self, choices: Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let mut chunk = Map::new();
        chunk.insert("id".into(), format!("chatcmpl-{}", self.reply.id).into());
        chunk.insert("object".into(), "chat.completion.chunk".into());
        chunk.insert("created".into(), self.reply.created.into());
        chunk.insert("model".into(), self.reply.model.clone().into());
        chunk.insert("choices".into(), choices);
        if let Some(usage) = usage {
            chunk.insert("usage".into(), usage);
        }
        sse::write(out, None, &Value::Object(chunk));
    }

    fn begin(&mut self, block: Block, out: &mut Vec<u8>) {
        self.end(out);
        self.open = Some(match block {
            Block::Text => Open::Text,
            Block::Thinking => Open::Thinking,
            Block::Refusal => Open::Refusal,
            Block::Redacted(_) => Open::Other,
            Block::Call {
                id, name, custom, ..
            } => {
                let mut call = json!({ "index": self.calls, "id": id });
                match custom {
                    true => {
                        call["type"] = "custom".into();
                        call["custom"] = json!({ "name": name, "input": "" });
                    }
                    false => {
                        call["type"] = "function".into();
                        call["function"] = json!({ "name": name, "arguments": "" });
                    }
                }
                self.calls += 1;
                self.first = Some(call);
                Open::Call {
                    custom,
                    is_empty: true,
                }
            }
        });
    }

    /// Writes the first piece of a call that waits.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if let Some(call) = self.first.take() {
            self.delta(json!({ "tool_calls": [call] }), out);
        }
    }

    fn grow(&mut self, text: String, out: &mut Vec<u8>) {
        self.flush(out);
        let index = self.calls.saturating_sub(1);
        let delta = match &mut self.open {
            Some(Open::Thinking) => json!({ "reasoning_content": text }),
            Some(Open::Refusal) => json!({ "refusal": text }),
            Some(Open::Call { custom, is_empty }) => {
                *is_empty = false;
                let piece = match custom {
                    true => json!({ "index": index, "custom": { "input": text } }),
                    false => json!({ "index": index, "function": { "arguments": text } }),
                };
                json!({ "tool_calls": [piece] })
            }
            Some(Open::Other) => return,
            Some(Open::Text) | None => json!({ "content": text }),
        };
        self.delta(delta, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let is_bare = matches!(
            self.open,
            Some(Open::Call {
                custom: false,
                is_empty: true
            })
        );
        if is_bare {
            self.grow("{}".to_owned(), out);
        }
        self.flush(out);
        self.open = None;
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.end(out);
        let reason = self.finish.take().unwrap_or_default().reason;
        let reason = match reason {
            FinishReason::Stop if self.calls > 0 => FinishReason::ToolUse,
            other => other,
        };
        self.choice(json!({}), Value::Null, finish_reason(reason).into(), out);
        if let Some(usage) = self.usage.filter(|_| self.reply.include_usage) {
            self.chunk(json!([]), Some(usage::to_tree(&usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.ended = true;
    }
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start => self.start(out),
            Event::Begin(block) => {
                self.start(out);
                self.begin(block, out);
            }
            Event::Delta(text) => {
                self.start(out);
                self.grow(text, out);
            }
            // Proofs of thoughts have no place here, nor one that comes late.
            Event::Signature(signed) => {
                if let Some(call) = &mut self.first {
                    call["extra_content"] = extra(&signed);
                }
            }
            Event::Logprobs(logprobs) => self.logprobs = logprobs,
            Event::Untold => {}
            Event::End => self.end(out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => self.finish = Some(finish),
            Event::Close => {
                self.start(out);
                self.close(out);
            }
            Event::Failed(failure) => {
                self.ended = true;
                out.extend_from_slice(&error_event(&failure));
            }
        }
    }
}
