//! A stream handed on: as it comes, or in another dialect. And what was seen going by.
//!
//! Four ways, one for each need: OpenAI's own streams are many and are read with great economy; those of the other
//! dialects are decoded, and either handed on as they came or encoded anew; what is no stream of a model's
//! words goes through unread.

mod coded;
mod unread;

use std::collections::VecDeque;

use bytes::Bytes;

use super::openai;
use super::seen::Seen;
use crate::chat::{Failure, Usage};

pub(super) use coded::{Coded, Interrupted, Output, is_whole};
pub(super) use unread::Unread;

/// Hands a provider's stream on to a client.
pub struct Relay(Way);

#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and needs no allocation so"
)]
enum Way {
    OpenAi(openai::Relay),
    Coded(Box<Coded>),
    Unread(Box<Unread>),
}

impl Relay {
    pub(super) fn openai(relay: openai::Relay) -> Relay {
        Relay(Way::OpenAi(relay))
    }

    pub(super) fn coded(coded: Coded) -> Relay {
        Relay(Way::Coded(Box::new(coded)))
    }

    pub(super) fn unread(unread: Unread) -> Relay {
        Relay(Way::Unread(Box::new(unread)))
    }

    /// Takes what arrived, however it was cut, and adds to `out` what the client may have now.
    pub fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        match &mut self.0 {
            Way::OpenAi(relay) => relay.push(chunk, out),
            Way::Coded(relay) => relay.push(chunk, out),
            Way::Unread(relay) => relay.push(chunk, out),
        }
    }

    /// The upstream has ended. Adds what was held back of an answer that is whole.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        match &mut self.0 {
            Way::OpenAi(relay) => relay.finish(out),
            Way::Coded(relay) => relay.finish(out),
            Way::Unread(relay) => relay.finish(),
        }
    }

    /// What ends a stream that failed under the client's eyes, in its dialect; `None` where only the end of the
    /// connection can say it.
    pub fn broken(&mut self, failure: &Failure) -> Option<Bytes> {
        match &mut self.0 {
            Way::OpenAi(_) => Some(openai::error_event(failure)),
            Way::Coded(relay) => Some(relay.broken(failure)),
            Way::Unread(relay) => relay.broken(failure),
        }
    }

    /// What may be sent while the provider is silent, so that nobody in between hangs up; `None` where clients
    /// stumble over it.
    pub fn keep_alive(&self) -> Option<Bytes> {
        const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");
        match &self.0 {
            Way::OpenAi(_) => Some(COMMENT),
            Way::Coded(relay) => relay.keep_alive(),
            Way::Unread(relay) => relay.reads_events().then_some(COMMENT),
        }
    }

    /// What has gone by.
    pub fn seen(&self) -> &Seen {
        match &self.0 {
            Way::OpenAi(relay) => relay.seen(),
            Way::Coded(relay) => relay.seen(),
            Way::Unread(relay) => relay.seen(),
        }
    }

    /// What the answer cost so far.
    pub fn usage(&self) -> Usage {
        match &self.0 {
            Way::OpenAi(relay) => relay.usage(),
            Way::Coded(relay) => relay.usage(),
            Way::Unread(relay) => relay.usage(),
        }
    }
}
