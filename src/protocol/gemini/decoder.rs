//! A provider's stream: each event is an answer of its own that holds only what is new.

use serde_json::Value;

use super::finish::{self, Ending};
use super::request::arguments;
use super::usage::Told;
use super::{names, sign};
use crate::chat::{Block, Event, Failure, FinishReason, Logprob};
use crate::protocol::codec::Decoder;
use crate::protocol::error;

/// Reads a provider's stream. An answer that came whole is one event of it.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    state: State,
    open: Option<Open>,
    usage: Told,
    /// Of text that is still to come.
    logprobs: Vec<Logprob>,
    called: bool,
    said: bool,
    /// Whether anything came that might have been an answer.
    answered: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    #[default]
    Awaited,
    Begun,
    Finished,
    /// Closed, or failed.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

impl Decoder for StreamDecoder {
    fn decode(&mut self, data: &[u8], out: &mut Vec<Event>) {
        if self.state == State::Over
            || data.trim_ascii().is_empty()
            || data.trim_ascii() == b"[DONE]"
        {
            return;
        }
        match serde_json::from_slice(data) {
            Ok(event) => self.take(event, out),
            Err(_) => self.fail(
                Failure::upstream("upstream's stream holds an event that is not valid JSON"),
                out,
            ),
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if self.state == State::Finished {
            out.push(Event::Close);
            self.state = State::Over;
        }
    }
}

impl StreamDecoder {
    /// Takes an event that is JSON.
    pub(super) fn take(&mut self, event: Value, out: &mut Vec<Event>) {
        if self.state == State::Over {
            return;
        }
        let mut event = match event {
            // Google wraps the error that is all of a stream.
            Value::Array(events) => {
                for event in events {
                    if event.is_object() {
                        self.take(event, out);
                    }
                }
                return;
            }
            Value::Object(_) => event,
            _ => return,
        };
        if event.get("error").is_some_and(|error| !error.is_null()) {
            let failure = error::reported(event.to_string().as_bytes());
            return self.fail(failure, out);
        }
        names::normalise(&mut event);
        if self.state == State::Awaited {
            self.state = State::Begun;
            out.push(Event::Start);
        }
        let candidate = first_candidate(&mut event);
        let ending = match &candidate {
            Some(candidate) => {
                self.answered = true;
                candidate["finishReason"].as_str().and_then(finish::read)
            }
            None => blocked(&event).then_some(Ending::Finished(FinishReason::Filter)),
        };
        let mut message = None;
        if let Some(mut candidate) = candidate {
            self.logprobs.extend(logprobs(&candidate["logprobsResult"]));
            if let Value::Array(parts) = take(&mut take(&mut candidate, "content"), "parts") {
                for part in parts {
                    self.part(part, out);
                }
            }
            message = candidate["finishMessage"].as_str().map(str::to_owned);
        }
        if let Some(usage) = self.usage.take(&event["usageMetadata"]) {
            out.push(Event::Usage(usage));
        }
        if let Some(ending) = ending {
            self.finish(ending, message, out);
        }
    }

    /// The end of what was sent whole. One that gives an answer, but no reason for its end, has ended.
    pub(super) fn conclude(&mut self, out: &mut Vec<Event>) {
        if self.state == State::Begun && self.answered {
            self.finish(Ending::Finished(FinishReason::Stop), None, out);
        }
        self.end(out);
    }

    fn part(&mut self, mut part: Value, out: &mut Vec<Event>) {
        // What comes behind the end is no part of the answer.
        if self.state != State::Begun {
            return;
        }
        let proof = match take(&mut part, "thoughtSignature") {
            Value::String(proof) if !proof.is_empty() => Some(proof),
            _ => None,
        };
        if part.get("inlineData").is_some_and(Value::is_object) {
            out.push(Event::Untold);
        }
        let call = take(&mut part, "functionCall");
        if call.is_object() {
            return self.call(call, proof, out);
        }
        match take(&mut part, "text") {
            Value::String(text) if part["thought"] == Value::Bool(true) => {
                if !text.is_empty() {
                    self.enter(Open::Thinking, out);
                    out.push(Event::Delta(text));
                }
                self.prove(proof, out);
            }
            Value::String(text) => {
                // It is the proof of what came before, but text that already flows is not cut for it.
                if self.open == Some(Open::Text) {
                    self.text(text, out);
                    self.prove(proof, out);
                } else {
                    self.prove(proof, out);
                    self.text(text, out);
                }
            }
            _ => self.prove(proof, out),
        }
    }

    fn text(&mut self, text: String, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.said = true;
        self.enter(Open::Text, out);
        if !self.logprobs.is_empty() {
            out.push(Event::Logprobs(std::mem::take(&mut self.logprobs)));
        }
        out.push(Event::Delta(text));
    }

    fn call(&mut self, mut call: Value, proof: Option<String>, out: &mut Vec<Event>) {
        // A piece of a call that came in pieces, which nobody asked for, has no name.
        let Value::String(name) = take(&mut call, "name") else {
            return;
        };
        self.leave(out);
        self.called = true;
        self.said = true;
        let id = match take(&mut call, "id") {
            Value::String(id) => id,
            _ => String::new(),
        };
        out.extend([
            Event::Begin(Block::Call {
                id,
                name,
                namespace: None,
                custom: false,
            }),
            Event::Delta(arguments(Some(take(&mut call, "args")))),
        ]);
        out.extend(proof.map(|proof| Event::Signature(sign::google(proof))));
        out.push(Event::End);
    }

    /// A proof belongs to the thinking before it. Where none was shown, it is all that there is of it.
    fn prove(&mut self, proof: Option<String>, out: &mut Vec<Event>) {
        let Some(proof) = proof else {
            return;
        };
        self.enter(Open::Thinking, out);
        out.push(Event::Signature(sign::google(proof)));
        // What is thought from here on has a proof of its own.
        self.leave(out);
    }

    fn finish(&mut self, ending: Ending, message: Option<String>, out: &mut Vec<Event>) {
        if self.state != State::Begun {
            return;
        }
        let reason = match ending {
            Ending::Broken if !self.said => {
                let message = message.filter(|message| !message.trim().is_empty());
                let unexplained = "upstream's model made a call that cannot be read";
                let mut failure =
                    Failure::upstream(message.unwrap_or_else(|| unexplained.to_owned()));
                // The provider's message quotes what the model wrote.
                failure.label = Some(unexplained.into());
                return self.fail(failure, out);
            }
            Ending::Broken => FinishReason::Stop,
            Ending::Finished(reason) => reason,
        };
        self.leave(out);
        let reason = match reason {
            FinishReason::Stop if self.called => FinishReason::ToolUse,
            reason => reason,
        };
        out.push(Event::Finish(reason.into()));
        self.state = State::Finished;
    }

    fn enter(&mut self, block: Open, out: &mut Vec<Event>) {
        if self.open == Some(block) {
            return;
        }
        self.leave(out);
        self.open = Some(block);
        out.push(Event::Begin(match block {
            Open::Text => Block::Text,
            Open::Thinking => Block::Thinking,
        }));
    }

    fn leave(&mut self, out: &mut Vec<Event>) {
        out.extend(self.open.take().map(|_| Event::End));
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Event>) {
        self.state = State::Over;
        out.push(Event::Failed(failure));
    }
}

/// A member, if this is an object that has it.
fn take(value: &mut Value, name: &str) -> Value {
    value.get_mut(name).map(Value::take).unwrap_or_default()
}

/// The first answer; there may be more only where somebody asked for them.
fn first_candidate(event: &mut Value) -> Option<Value> {
    let candidates = event.get_mut("candidates")?.as_array_mut()?;
    let candidates = candidates.iter_mut();
    let mut first = candidates
        .filter(|candidate| candidate.is_object() && candidate["index"].as_u64().unwrap_or(0) == 0);
    first.next().map(Value::take)
}

/// Whether the prompt was found improper.
fn blocked(event: &Value) -> bool {
    let reason = event["promptFeedback"]["blockReason"].as_str();
    reason.is_some_and(|reason| {
        !reason.is_empty() && !reason.eq_ignore_ascii_case("BLOCK_REASON_UNSPECIFIED")
    })
}

fn logprobs(said: &Value) -> Vec<Logprob> {
    let read = |candidate: &Value| {
        let token = candidate["token"].as_str()?.to_owned();
        Some((token, candidate["logProbability"].as_f64()?))
    };
    let Some(chosen) = said["chosenCandidates"].as_array() else {
        return Vec::new();
    };
    let chosen = chosen.iter().enumerate().filter_map(|(at, candidate)| {
        let (token, logprob) = read(candidate)?;
        let top = said["topCandidates"][at]["candidates"].as_array();
        let top = top.map_or(&[][..], Vec::as_slice);
        Some(Logprob {
            token,
            logprob,
            top: top.iter().filter_map(read).collect(),
        })
    });
    chosen.collect()
}
