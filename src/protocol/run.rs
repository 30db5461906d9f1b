//! Frames that follow each other in a chunk, handed on as one slice of it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::sse::Frame;

/// Frames of one chunk that follow each other, so that they can go on as one slice of it.
pub(super) struct Run {
    chunk: Bytes,
    /// What of the next frame earlier chunks have brought.
    carried: usize,
    start: usize,
    end: usize,
}

impl Run {
    pub(super) fn new(chunk: Bytes, carried: usize) -> Run {
        Run {
            chunk,
            carried,
            start: 0,
            end: 0,
        }
    }

    pub(super) fn extend(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) {
        if self.carried > 0 {
            self.skip(&frame, out);
            out.push_back(frame.into_bytes());
        } else {
            self.end += frame.bytes().len();
        }
    }

    pub(super) fn skip(&mut self, frame: &Frame, out: &mut VecDeque<Bytes>) {
        let length = frame.bytes().len() - std::mem::take(&mut self.carried);
        self.flush(out);
        self.end += length;
        self.start = self.end;
    }

    /// Hands on what has come together. Says whether that was anything.
    pub(super) fn flush(&mut self, out: &mut VecDeque<Bytes>) -> bool {
        let is_any = self.start < self.end;
        if is_any {
            out.push_back(self.chunk.slice(self.start..self.end));
        }
        self.start = self.end;
        is_any
    }
}
