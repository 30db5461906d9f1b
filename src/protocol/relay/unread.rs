//! Sounds, pictures and what else is handed on unread. Of events only the first is looked at: it may be an error.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chat::{Failure, Usage};
use crate::protocol::error;
use crate::protocol::openai;
use crate::protocol::seen::Seen;
use crate::protocol::sse::FrameReader;

/// Hands bytes on.
pub(in crate::protocol) struct Unread {
    /// Where these are events, as long as none has been looked at.
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
        if let Some(frames) = &mut self.frames {
            frames.push(chunk.clone());
            while let Ok(Some(frame)) = frames.next_frame() {
                let Some(data) = frame.data().filter(|data| !data.trim_ascii().is_empty()) else {
                    continue;
                };
                if openai::is_error_event(&data) {
                    self.seen.failure = Some(error::reported(&data));
                    return;
                }
                self.seen.meaningful = true;
            }
            if self.seen.meaningful {
                self.frames = None;
            }
        } else {
            self.seen.meaningful |= !chunk.is_empty();
        }
        out.push_back(chunk);
    }

    /// The transport says whether that was all.
    pub(super) fn finish(&mut self) {
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
        Usage::estimate(self.prompt_tokens, 0)
    }
}
