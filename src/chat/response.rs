//! A whole answer in nobody's dialect, and the way from there to a stream and back.

use super::event::{Block, Event, Finish, FinishReason, Logprob};
use super::failure::Failure;
use super::request::{Part, ToolCall};
use super::usage::Usage;

/// The longest piece of text in one event of a stream that was an answer, in bytes.
const PIECE_MAX: usize = 4096;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// What the model says: text, thoughts, calls, refusals.
    pub parts: Vec<Part>,
    /// Log probabilities of its text.
    pub logprobs: Vec<Logprob>,
    /// How it ended.
    pub finish: Finish,
    /// What it cost, if the provider told.
    pub usage: Option<Usage>,
}

/// Puts the events of a stream together.
#[derive(Debug, Default)]
pub struct Collector {
    response: Response,
    open: Option<Part>,
    finished: bool,
    closed: bool,
    failure: Option<Failure>,
}

impl Response {
    /// A provider may say `stop` where it made calls: a client that believed it would not run them.
    pub fn settle_finish(&mut self) {
        let calls = self.parts.iter().any(|part| matches!(part, Part::Call(_)));
        if calls && self.finish.reason == FinishReason::Stop {
            self.finish.reason = FinishReason::ToolUse;
        }
    }

    /// The stream that this answer might have been.
    pub fn into_events(self) -> Vec<Event> {
        let mut events = vec![Event::Start];
        let mut logprobs = Some(self.logprobs).filter(|logprobs| !logprobs.is_empty());
        for part in self.parts {
            let (block, text, signature) = match part {
                Part::Text(text) => (Block::Text, text, None),
                Part::Refusal(text) => (Block::Refusal, text, None),
                Part::Thinking { text, signature } => (Block::Thinking, text, signature),
                Part::Redacted(signed) => (Block::Redacted(signed), String::new(), None),
                Part::Call(call) => (
                    Block::Call {
                        id: call.id,
                        name: call.name,
                        namespace: call.namespace,
                        custom: call.custom,
                    },
                    call.arguments,
                    call.signature,
                ),
                // No part of an answer.
                Part::Media(_) | Part::Result(_) => continue,
            };
            if block == Block::Text
                && let Some(logprobs) = logprobs.take()
            {
                events.extend([Event::Begin(block), Event::Logprobs(logprobs)]);
            } else {
                events.push(Event::Begin(block));
            }
            events.extend(pieces(&text).map(|piece| Event::Delta(piece.to_owned())));
            events.extend(signature.map(Event::Signature));
            events.push(Event::End);
        }
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::Finish(self.finish));
        events.push(Event::Close);
        events
    }
}

impl Collector {
    /// Takes the next event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Start | Event::Untold => {}
            Event::Begin(block) => {
                self.end();
                self.open = Some(begun(block));
            }
            Event::Delta(more) => match &mut self.open {
                Some(Part::Text(text) | Part::Refusal(text) | Part::Thinking { text, .. }) => {
                    text.push_str(&more);
                }
                Some(Part::Call(call)) => call.arguments.push_str(&more),
                _ => {}
            },
            Event::Signature(signed) => match &mut self.open {
                Some(Part::Thinking { signature, .. }) => *signature = Some(signed),
                Some(Part::Call(call)) => call.signature = Some(signed),
                _ => {}
            },
            Event::Logprobs(more) => self.response.logprobs.extend(more),
            Event::End => self.end(),
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::Finish(finish) => {
                self.finished = true;
                self.response.finish = finish;
            }
            Event::Close => self.closed = true,
            Event::Failed(failure) => {
                self.failure.get_or_insert(failure);
            }
        }
    }

    /// Whether the answer is whole, however the stream goes on.
    pub fn is_complete(&self) -> bool {
        self.finished
    }

    /// Whether nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The provider's failure, if it failed.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The answer.
    ///
    /// # Errors
    /// The provider failed, or its stream broke off.
    pub fn finish(mut self) -> Result<Response, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !self.finished {
            return Err(Failure::upstream("upstream broke its stream off"));
        }
        self.end();
        self.response.settle_finish();
        Ok(self.response)
    }

    fn end(&mut self) {
        self.response.parts.extend(self.open.take());
    }
}

fn begun(block: Block) -> Part {
    match block {
        Block::Text => Part::Text(String::new()),
        Block::Refusal => Part::Refusal(String::new()),
        Block::Thinking => Part::Thinking {
            text: String::new(),
            signature: None,
        },
        Block::Redacted(signed) => Part::Redacted(signed),
        Block::Call {
            id,
            name,
            namespace,
            custom,
        } => Part::Call(ToolCall {
            id,
            name,
            namespace,
            custom,
            ..ToolCall::default()
        }),
    }
}

/// Text in pieces of at most 4 KiB, cut between characters.
pub(crate) fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let mut end = PIECE_MAX.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_streamed_is_the_answer() {
        let response = Response {
            parts: vec![
                Part::Thinking {
                    text: "hm".into(),
                    signature: None,
                },
                Part::text("ü".repeat(5000)),
                Part::Call(ToolCall {
                    id: "1".into(),
                    name: "f".into(),
                    arguments: "{}".into(),
                    ..ToolCall::default()
                }),
            ],
            logprobs: Vec::new(),
            finish: FinishReason::ToolUse.into(),
            usage: Some(Usage {
                input: 1,
                output: 2,
                total: 3,
                ..Usage::default()
            }),
        };
        let mut collector = Collector::default();
        for event in response.clone().into_events() {
            collector.take(event);
        }
        assert!(collector.is_closed());
        assert_eq!(collector.finish().unwrap(), response);
    }

    #[test]
    fn a_stream_without_an_end_is_no_answer() {
        let mut collector = Collector::default();
        for event in [
            Event::Start,
            Event::Begin(Block::Text),
            Event::Delta("hi".into()),
        ] {
            collector.take(event);
        }
        assert!(collector.finish().is_err());
    }
}
