//! A client's stream.
//!
//! What was announced and what is done must agree in ids, types and indices: clients' libraries put the answer
//! together from the pieces, and Codex keeps only the items that are done.

use serde_json::Value;

use super::envelope::{Envelope, State, unfinished};
use super::output::{self, Kind};
use super::seal::Sealed;
use super::wire::{Members, Wire};
use crate::chat::{Block, Event, Failure, FinishReason, Logprob, Signed, ToolCall, Usage};
use crate::protocol::codec::{Encoder, Reply};

/// Writes a client's stream.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    reply: String,
    envelope: Envelope,
    wire: Wire,
    has_started: bool,
    is_over: bool,
    /// The items that are done.
    output: Vec<Value>,
    open: Option<Open>,
    usage: Option<Usage>,
    finish: FinishReason,
}

/// The item that is open.
#[derive(Debug)]
enum Open {
    /// It stays open between its parts, until something else begins.
    Message {
        content: Vec<Value>,
        part: Option<Said>,
    },
    Reasoning {
        text: String,
        signature: Option<Signed>,
    },
    Call(ToolCall),
}

/// The part of a message that is open.
#[derive(Debug, Default)]
struct Said {
    is_refusal: bool,
    text: String,
    logprobs: Vec<Value>,
    /// Those of the next delta.
    waiting: Vec<Value>,
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.is_over {
            return;
        }
        self.start(out);
        match event {
            Event::Start => {}
            Event::Begin(block) => self.begin(block, out),
            Event::Delta(delta) => self.grow(&delta, out),
            Event::Signature(signed) => self.sign(signed),
            Event::Logprobs(logprobs) => self.weigh(&logprobs),
            Event::End => self.end_part(out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(finish) => {
                self.end_item(out);
                self.finish = finish.reason;
            }
            Event::Close => self.close(out),
            Event::Failed(failure) => self.fail(&failure, out),
            Event::Untold => {}
        }
    }
}

impl StreamEncoder {
    /// For this reply.
    pub(crate) fn new(reply: Reply) -> StreamEncoder {
        StreamEncoder {
            envelope: Envelope::new(&reply),
            reply: reply.id,
            wire: Wire::default(),
            has_started: false,
            is_over: false,
            output: Vec::new(),
            open: None,
            usage: None,
            finish: FinishReason::Stop,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.has_started {
            return;
        }
        self.has_started = true;
        let response = self.envelope.write(State::Running, &[]);
        let said = Members::default().with("response", response);
        self.wire.write(out, "response.created", said.clone());
        self.wire.write(out, "response.in_progress", said);
    }

    fn begin(&mut self, block: Block, out: &mut Vec<u8>) {
        match block {
            Block::Text => self.begin_part(false, out),
            Block::Refusal => self.begin_part(true, out),
            Block::Thinking => {
                let signature = None;
                let text = String::new();
                self.begin_item(Open::Reasoning { text, signature }, out);
            }
            Block::Redacted(signed) => self.reasoning_item(&Sealed::Redacted(signed), out),
            Block::Call {
                id,
                name,
                namespace,
                custom,
            } => self.begin_item(
                Open::Call(ToolCall {
                    id,
                    name,
                    namespace,
                    custom,
                    ..ToolCall::default()
                }),
                out,
            ),
        }
    }

    /// Begins a part of a message, and the message if there is none.
    fn begin_part(&mut self, is_refusal: bool, out: &mut Vec<u8>) {
        self.end_part(out);
        if !matches!(self.open, Some(Open::Message { .. })) {
            let (content, part) = (Vec::new(), None);
            self.begin_item(Open::Message { content, part }, out);
        }
        let place = self.place();
        if let Some(Open::Message { content, part }) = &mut self.open {
            let said = Said {
                is_refusal,
                ..Said::default()
            };
            let added = place
                .with("content_index", content.len())
                .with("part", said.written());
            self.wire.write(out, "response.content_part.added", added);
            *part = Some(said);
        }
    }

    fn begin_item(&mut self, open: Open, out: &mut Vec<u8>) {
        self.end_item(out);
        let id = open.kind().id(&self.reply, self.output.len());
        let item = match &open {
            Open::Message { .. } => output::message(&id, "in_progress", Vec::new()),
            Open::Reasoning { .. } => output::reasoning(&id, "", None),
            Open::Call(call) => output::call(&id, "in_progress", call, ""),
        };
        self.open = Some(open);
        self.item_event("response.output_item.added", &item, out);
    }

    /// An item of reasoning that holds nothing to be read.
    fn reasoning_item(&mut self, sealed: &Sealed, out: &mut Vec<u8>) {
        self.end_item(out);
        let id = Kind::Reasoning.id(&self.reply, self.output.len());
        let added = output::reasoning(&id, "", None);
        self.item_event("response.output_item.added", &added, out);
        let item = output::reasoning(&id, "", Some(sealed));
        self.item_event("response.output_item.done", &item, out);
        self.output.push(item);
    }

    fn grow(&mut self, delta: &str, out: &mut Vec<u8>) {
        if delta.is_empty() {
            return;
        }
        let says_nowhere = match &self.open {
            None => true,
            Some(Open::Message { part, .. }) => part.is_none(),
            _ => false,
        };
        if says_nowhere {
            self.begin_part(false, out);
        }
        let place = self.place();
        let (event, said) = match &mut self.open {
            Some(Open::Message {
                content,
                part: Some(part),
            }) => {
                part.text.push_str(delta);
                let said = place
                    .with("content_index", content.len())
                    .with("delta", delta);
                if part.is_refusal {
                    ("response.refusal.delta", said)
                } else {
                    let logprobs = std::mem::take(&mut part.waiting);
                    part.logprobs.extend_from_slice(&logprobs);
                    (
                        "response.output_text.delta",
                        said.with("logprobs", logprobs),
                    )
                }
            }
            Some(Open::Reasoning { text, .. }) => {
                let place = place.with("summary_index", 0);
                if text.is_empty() {
                    let part = output::summary("");
                    let added = place.clone().with("part", part);
                    self.wire
                        .write(out, "response.reasoning_summary_part.added", added);
                }
                text.push_str(delta);
                (
                    "response.reasoning_summary_text.delta",
                    place.with("delta", delta),
                )
            }
            Some(Open::Call(call)) => {
                call.arguments.push_str(delta);
                (
                    output::call_event(call, "delta"),
                    place.with("delta", delta),
                )
            }
            _ => return,
        };
        self.wire.write(out, event, said);
    }

    fn sign(&mut self, signed: Signed) {
        match &mut self.open {
            Some(Open::Reasoning { signature, .. }) => *signature = Some(signed),
            Some(Open::Call(call)) => call.signature = Some(signed),
            _ => {}
        }
    }

    fn weigh(&mut self, logprobs: &[Logprob]) {
        if let Some(Open::Message {
            part: Some(part), ..
        }) = &mut self.open
        {
            part.waiting.extend(output::logprobs(logprobs));
        }
    }

    /// Ends a block. A message may go on.
    fn end_part(&mut self, out: &mut Vec<u8>) {
        let place = self.place();
        let Some(Open::Message { content, part }) = &mut self.open else {
            return self.end_item(out);
        };
        let Some(mut said) = part.take() else { return };
        said.logprobs.append(&mut said.waiting);
        let place = place.with("content_index", content.len());
        let (event, done) = if said.is_refusal {
            (
                "response.refusal.done",
                place.clone().with("refusal", said.text.as_str()),
            )
        } else {
            let done = place.clone().with("text", said.text.as_str());
            (
                "response.output_text.done",
                done.with("logprobs", said.logprobs.clone()),
            )
        };
        self.wire.write(out, event, done);
        let written = said.written();
        let done = place.with("part", written.clone());
        self.wire.write(out, "response.content_part.done", done);
        content.push(written);
    }

    fn end_item(&mut self, out: &mut Vec<u8>) {
        if let Some(Open::Message { .. }) = self.open {
            self.end_part(out);
        }
        let place = self.place();
        let Some(open) = self.open.take() else { return };
        let id = open.kind().id(&self.reply, self.output.len());
        let mut proof = None;
        let item = match open {
            Open::Message { content, .. } => output::message(&id, "completed", content),
            Open::Reasoning { text, signature } => {
                if !text.is_empty() {
                    let place = place.with("summary_index", 0);
                    let done = place.clone().with("text", text.as_str());
                    self.wire
                        .write(out, "response.reasoning_summary_text.done", done);
                    let done = place.with("part", output::summary(&text));
                    self.wire
                        .write(out, "response.reasoning_summary_part.done", done);
                }
                let sealed = signature.map(Sealed::Thought);
                output::reasoning(&id, &text, sealed.as_ref())
            }
            Open::Call(call) => {
                self.end_call(place, &call, out);
                proof = output::proof(&call);
                output::call(&id, "completed", &call, output::arguments(&call))
            }
        };
        self.item_event("response.output_item.done", &item, out);
        self.output.push(item);
        if let Some(proof) = proof {
            self.reasoning_item(&proof, out);
        }
    }

    fn end_call(&mut self, place: Members, call: &ToolCall, out: &mut Vec<u8>) {
        let arguments = output::arguments(call);
        // Clients that put the pieces together must come to the same.
        if !call.custom && call.arguments.trim().is_empty() {
            let delta = place.clone().with("delta", arguments);
            self.wire
                .write(out, output::call_event(call, "delta"), delta);
        }
        let done = if call.custom {
            place.with("input", arguments)
        } else {
            place
                .with("arguments", arguments)
                .with("name", call.name.as_str())
        };
        self.wire.write(out, output::call_event(call, "done"), done);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.end_item(out);
        self.is_over = true;
        let state = State::Ended(self.finish, self.usage);
        let event = if unfinished(self.finish).is_some() {
            "response.incomplete"
        } else {
            "response.completed"
        };
        let response = self.envelope.write(state, &self.output);
        self.wire
            .write(out, event, Members::default().with("response", response));
    }

    fn fail(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        self.is_over = true;
        let state = State::Failed(failure, self.usage);
        let response = self.envelope.write(state, &self.output);
        self.wire.write(
            out,
            "response.failed",
            Members::default().with("response", response),
        );
    }
}

impl StreamEncoder {
    /// Where the open item is, or would be.
    fn place(&self) -> Members {
        let index = self.output.len();
        let id = self
            .open
            .as_ref()
            .map(|open| open.kind().id(&self.reply, index));
        let members = match id {
            Some(id) => Members::default().with("item_id", id),
            None => Members::default(),
        };
        members.with("output_index", index)
    }

    /// An event about a whole item.
    fn item_event(&mut self, event: &str, item: &Value, out: &mut Vec<u8>) {
        let members = Members::default().with("output_index", self.output.len());
        self.wire
            .write(out, event, members.with("item", item.clone()));
    }
}

impl Open {
    fn kind(&self) -> Kind {
        match self {
            Open::Message { .. } => Kind::Message,
            Open::Reasoning { .. } => Kind::Reasoning,
            Open::Call(call) => Kind::of_call(call),
        }
    }
}

impl Said {
    fn written(&self) -> Value {
        if self.is_refusal {
            output::refusal(&self.text)
        } else {
            output::text(&self.text, &self.logprobs)
        }
    }
}
