//! Server-sent events as bytes: cuts a stream into frames, however the network cut it before.
//!
//! A frame is what one event occupies on the wire, up to and including the blank line that ends it.
//! Frames keep their exact bytes, because most of them are handed on untouched; their meaning is
//! looked up only when someone asks. Not here: decoding text, reconnecting, `id` and `retry`.

mod write;

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

pub(crate) use write::{escape_line_ends, write, write_json};

/// The longest frame we read. Images come in one; nothing honest comes near this.
pub const FRAME_MAX: usize = 8 * 1024 * 1024;

/// Cuts a stream of bytes into frames.
///
/// Push a chunk, then take frames until there are none. Line ends may be `\n`, `\r\n` or `\r`, also
/// mixed, and a chunk may end anywhere, also within a line end or a character.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The beginning of a frame, brought by earlier chunks.
    carried: BytesMut,
    /// What is left of the newest chunk.
    chunk: Bytes,
    place: Place,
    /// Lines of the current frame so far, without the blank one that ends it.
    lines: usize,
}

/// One event as it came: its lines and the blank line after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    lines: usize,
}

/// A frame grew beyond [`FRAME_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized;

/// Where in a frame the next byte falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the first byte of a line that follows `\n`, or of a frame.
    #[default]
    LineStart,
    /// Within a line that is not blank.
    Line,
    /// After the `\r` of such a line; a `\n` would belong to it.
    LineCr,
    /// After a blank line's `\r`, in a frame that ends its lines with `\n`: a `\n` will follow.
    BlankCr,
    /// After a frame that ended with `\r\r`. It is complete and was handed out, since a stream that
    /// ends its lines with `\r` may now be silent for long. A `\n` would still belong to that `\r`.
    FrameCr,
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// Adds the next bytes of the stream. All frames of the earlier ones must have been taken.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "frames were left behind");
        self.chunk = chunk;
    }

    /// The next whole frame: a slice of the chunk if it lies within one, else a copy.
    ///
    /// # Errors
    /// When the current frame is longer than [`FRAME_MAX`]; the stream cannot be read further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Oversized> {
        let end = self.scan();
        if self.carried.len() + end.unwrap_or(self.chunk.len()) > FRAME_MAX {
            return Err(Oversized);
        }
        let Some(end) = end else {
            self.carried.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        let last = self.chunk.split_to(end);
        let bytes = if self.carried.is_empty() {
            last
        } else {
            self.carried.extend_from_slice(&last);
            self.carried.split().freeze()
        };
        Ok(Some(Frame {
            bytes,
            lines: std::mem::take(&mut self.lines),
        }))
    }

    /// At the end of the stream: the frame that no blank line has ended, if there is one.
    pub fn finish(&mut self) -> Option<Frame> {
        let bytes = self.carried.split().freeze();
        let unended = usize::from(self.place == Place::Line);
        let lines = std::mem::take(&mut self.lines) + unended;
        self.place = Place::LineStart;
        (!bytes.is_empty()).then_some(Frame { bytes, lines })
    }

    /// How many bytes of an unfinished frame earlier chunks have brought.
    pub fn carried(&self) -> usize {
        self.carried.len()
    }

    /// Where the current frame ends in the chunk; `None` if it goes on.
    fn scan(&mut self) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = self.chunk.get(at) {
            let (place, step) = match (self.place, byte) {
                (Place::Line, _) => {
                    let end = memchr2(b'\n', b'\r', &self.chunk[at..])?;
                    self.lines += 1;
                    match self.chunk[at + end] {
                        b'\n' => (Place::LineStart, end + 1),
                        _ => (Place::LineCr, end + 1),
                    }
                }
                (Place::LineStart | Place::BlankCr, b'\n') => {
                    self.place = Place::LineStart;
                    return Some(at + 1);
                }
                (Place::BlankCr, _) => {
                    self.place = Place::LineStart;
                    return Some(at);
                }
                (Place::LineStart, b'\r') => (Place::BlankCr, 1),
                (Place::LineCr, b'\r') => {
                    self.place = Place::FrameCr;
                    return Some(at + 1);
                }
                (Place::LineCr | Place::FrameCr, b'\n') => (Place::LineStart, 1),
                (Place::FrameCr, b'\r') => (Place::BlankCr, 1),
                (Place::LineStart | Place::LineCr | Place::FrameCr, _) => (Place::Line, 1),
            };
            self.place = place;
            at += step;
        }
        None
    }
}

impl Frame {
    /// Its exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its exact bytes, for keeps.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Its data lines joined with `\n`; `None` if it has none.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        if let Some(data) = self.data_line() {
            return Some(Cow::Borrowed(data));
        }
        let mut data: Option<Cow<'_, [u8]>> = None;
        for line in lines(&self.bytes) {
            let Some(value) = data_of(line) else { continue };
            match &mut data {
                None => data = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        }
        data
    }

    /// The data of a frame that is a single data line, as nearly all are: found without searching.
    pub fn data_line(&self) -> Option<&[u8]> {
        if self.lines != 1 {
            return None;
        }
        let mut line = self.bytes.strip_prefix(b"data:")?;
        while let [rest @ .., b'\n' | b'\r'] = line {
            line = rest;
        }
        Some(line.strip_prefix(b" ").unwrap_or(line))
    }

    /// Whether it says nothing: comments, or not even those.
    pub fn is_comment_only(&self) -> bool {
        lines(&self.bytes).all(|line| matches!(line, [] | [b':', ..]))
    }

    /// What must be added to end a frame that the end of the stream has cut short of its blank line.
    pub fn closing(&self) -> &'static [u8] {
        let without_end = match &*self.bytes {
            [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n' | b'\r'] => rest,
            _ => return b"\n\n",
        };
        match (without_end.last(), self.bytes.last()) {
            (None | Some(b'\n' | b'\r'), _) => b"",
            (_, Some(b'\n')) => b"\n",
            // This would complete a lone `\r` to a line end before it adds the blank line.
            _ => b"\n\n",
        }
    }
}

/// The lines of a frame without their ends. A byte order mark, which only the first may bear, is left out.
fn lines(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = frame.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(frame);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        rest = match after {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
            [] => after,
        };
        Some(line)
    })
}

/// The value of a data line.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        [] => Some(b""),
        _ => None,
    }
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event is longer than {} MiB", FRAME_MAX >> 20)
    }
}

impl std::error::Error for Oversized {}

#[cfg(test)]
mod tests;
