//! Sounds, pictures and what else is handed on unread. Events are only looked at: for errors, and for their cost.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chat::{Failure, Usage};
use crate::protocol::error;
use crate::protocol::openai;
use crate::protocol::seen::Seen;
use crate::protocol::sse::{Frame, FrameReader};

/// Hands bytes on.
pub(in crate::protocol) struct Unread {
    /// Where these are events that can be looked at.
    frames: Option<FrameReader>,
    reads_events: bool,
    seen: Seen,
    prompt_tokens: u64,
}

impl Unread {
    /// At the beginning of an answer, which may be a stream of events.
    pub(in crate::protocol) fn new(reads_events: bool, prompt_tokens: u64) -> Unread {
        Unread {
            frames: reads_events.then(FrameReader::new),
            reads_events,
            seen: Seen::default(),
            prompt_tokens,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        let was_meaningful = self.seen.meaningful;
        if let Some(frames) = &mut self.frames {
            frames.push(chunk.clone());
            loop {
                match frames.next_frame() {
                    Ok(Some(frame)) => look(&frame, &mut self.seen),
                    Ok(None) => break,
                    // Too long to be looked at is not too long to be handed on.
                    Err(_) => {
                        self.frames = None;
                        break;
                    }
                }
                if self.seen.failure.is_some() {
                    break;
                }
            }
        } else {
            self.seen.meaningful |= !chunk.is_empty();
        }
        // An error behind the first words is the client's to read.
        if self.seen.failure.is_none() || was_meaningful {
            out.push_back(chunk);
        }
    }

    /// The transport says whether that was all.
    pub(super) fn finish(&mut self) {
        if let Some(frame) = self.frames.as_mut().and_then(FrameReader::finish) {
            look(&frame, &mut self.seen);
        }
        self.seen.finished = self.seen.meaningful;
    }

    pub(super) fn broken(&self, failure: &Failure) -> Option<Bytes> {
        self.reads_events.then(|| openai::error_event(failure))
    }

    pub(super) fn reads_events(&self) -> bool {
        self.reads_events
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn usage(&self) -> Usage {
        self.seen.usage(self.prompt_tokens)
    }
}

/// Looks at an event: whether it is an error, and what it tells of the cost.
fn look(frame: &Frame, seen: &mut Seen) {
    let Some(data) = frame.data().filter(|data| !data.trim_ascii().is_empty()) else {
        return;
    };
    let (is_error, usage) = openai::read_passed_event(&data);
    if is_error {
        seen.failure = Some(error::reported(&data));
    } else {
        seen.meaningful = true;
        seen.usage = usage.or(seen.usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(unread: &mut Unread, text: &'static str) -> usize {
        let mut out = VecDeque::new();
        unread.push(Bytes::from_static(text.as_bytes()), &mut out);
        out.len()
    }

    #[test]
    fn the_last_event_tells_the_cost() {
        let mut unread = Unread::new(true, 7);
        assert_eq!(pushed(&mut unread, "data: {\"delta\":\"a\"}\n\n"), 1);
        assert_eq!(unread.usage().total, 7);
        let done =
            "data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}\n\n";
        assert_eq!(pushed(&mut unread, done), 1);
        unread.finish();
        let usage = unread.usage();
        assert_eq!((usage.input, usage.output, usage.total), (3, 4, 7));
        assert!(!usage.estimated && unread.seen().finished);
    }

    #[test]
    fn an_error_is_seen_wherever_it_stands() {
        const ERROR: &str = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        let mut first = Unread::new(true, 0);
        assert_eq!(pushed(&mut first, ERROR), 0);
        assert!(first.seen().failure.is_some());
        let mut later = Unread::new(true, 0);
        assert_eq!(pushed(&mut later, "data: {}\n\n"), 1);
        assert_eq!(pushed(&mut later, ERROR), 1);
        assert!(later.seen().failure.is_some());
    }
}
