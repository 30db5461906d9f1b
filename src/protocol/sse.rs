//! Server-sent events as bytes: cuts a stream into frames, however the network cut it before.
//!
//! A frame is what one event occupies on the wire, up to and including the blank line that ends it.
//! Frames keep their exact bytes, because most of them are handed on untouched; their meaning is
//! looked up only when someone asks. Not here: decoding text, reconnecting, `id` and `retry`.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

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

/// Writes a frame: an event's name if the dialect has those, and its data on one line.
///
/// The three line ends of Unicode are escaped: google-genai takes U+0085, U+2028 and U+2029 for ends of lines and fails.
pub(crate) fn write(out: &mut Vec<u8>, event: Option<&str>, data: &serde_json::Value) {
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(event.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    write_json(out, data);
    out.extend_from_slice(b"\n\n");
}

/// Writes JSON on one line that no reader of lines takes for two.
pub(crate) fn write_json(out: &mut Vec<u8>, data: &serde_json::Value) {
    let start = out.len();
    // Writing a tree to memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, data);
    if let Some(escaped) = escape_line_ends(&out[start..]) {
        out.truncate(start);
        out.extend_from_slice(&escaped);
    }
}

/// JSON with the line ends of Unicode, which can only be within its strings, as escapes; `None` if it has none.
pub(crate) fn escape_line_ends(json: &[u8]) -> Option<Vec<u8>> {
    const ENDS: [(&[u8], &[u8]); 3] = [
        (b"\xC2\x85", b"\\u0085"),
        (b"\xE2\x80\xA8", b"\\u2028"),
        (b"\xE2\x80\xA9", b"\\u2029"),
    ];
    memchr2(0xC2, 0xE2, json)?;
    let is_there = |end: &[u8]| memchr::memmem::find(json, end).is_some();
    if !ENDS.iter().any(|(end, _)| is_there(end)) {
        return None;
    }
    let mut escaped = Vec::with_capacity(json.len() + 16);
    let mut rest = json;
    while let Some(byte) = rest.first() {
        match ENDS.iter().find(|(end, _)| rest.starts_with(end)) {
            Some((end, escape)) => {
                escaped.extend_from_slice(escape);
                rest = &rest[end.len()..];
            }
            None => {
                escaped.push(*byte);
                rest = &rest[1..];
            }
        }
    }
    Some(escaped)
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event is longer than {} MiB", FRAME_MAX >> 20)
    }
}

impl std::error::Error for Oversized {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
        let mut reader = FrameReader::new();
        let mut frames = Vec::new();
        for chunk in chunks {
            reader.push(Bytes::copy_from_slice(chunk));
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames.extend(reader.finish());
        frames
    }

    fn check(stream: &str, expected: &[(&str, Option<&str>)]) {
        let frames = frames(&[stream.as_bytes()]);
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| {
                let data = frame
                    .data()
                    .map(|data| String::from_utf8_lossy(&data).into_owned());
                (String::from_utf8_lossy(frame.bytes()).into_owned(), data)
            })
            .collect();
        let seen: Vec<_> = seen
            .iter()
            .map(|(b, d)| (b.as_str(), d.as_deref()))
            .collect();
        assert_eq!(seen, expected, "{stream:?}");
    }

    #[test]
    fn frames_end_with_their_blank_line() {
        check(
            "data: a\n\ndata: b\n\n",
            &[("data: a\n\n", Some("a")), ("data: b\n\n", Some("b"))],
        );
        check(
            "data:a\r\n\r\ndata:b\r\n\r\n",
            &[("data:a\r\n\r\n", Some("a")), ("data:b\r\n\r\n", Some("b"))],
        );
        check(
            "data: a\r\rdata: b\r\r",
            &[("data: a\r\r", Some("a")), ("data: b\r\r", Some("b"))],
        );
        check(
            "data: a\n\r\ndata: b\r\n\n",
            &[("data: a\n\r\n", Some("a")), ("data: b\r\n\n", Some("b"))],
        );
        check(
            "\n\ndata: a\n\n",
            &[("\n", None), ("\n", None), ("data: a\n\n", Some("a"))],
        );
    }

    #[test]
    fn data_lines_are_found_and_joined() {
        check(
            "data: a\ndata:b\ndata\n\n",
            &[("data: a\ndata:b\ndata\n\n", Some("a\nb\n"))],
        );
        check("data:  two\n\n", &[("data:  two\n\n", Some(" two"))]);
        check("data:\n\n", &[("data:\n\n", Some(""))]);
        check("database: x\n\n", &[("database: x\n\n", None)]);
        check(
            "event: e\nid: 1\ndata: a\n\n",
            &[("event: e\nid: 1\ndata: a\n\n", Some("a"))],
        );
        check(": note\ndata: a\n\n", &[(": note\ndata: a\n\n", Some("a"))]);
        check("\u{feff}data: a\n\n", &[("\u{feff}data: a\n\n", Some("a"))]);
    }

    #[test]
    fn the_last_frame_may_lack_its_blank_line() {
        for (stream, closing) in [
            ("data: a", "\n\n"),
            ("data: a\n", "\n"),
            ("data: a\r\n", "\n"),
            ("data: a\r", "\n\n"),
            ("data: a\r\n\r", ""),
            ("data: a\n\r", ""),
        ] {
            let frames = frames(&[stream.as_bytes()]);
            assert_eq!(frames.len(), 1, "{stream:?}");
            assert_eq!(frames[0].data().as_deref(), Some(&b"a"[..]), "{stream:?}");
            assert_eq!(frames[0].closing(), closing.as_bytes(), "{stream:?}");
        }
        assert_eq!(frames(&[b"data: a\r\r", b"\n"]).len(), 2);
    }

    #[test]
    fn comments_are_told_apart() {
        let only = |stream: &str| frames(&[stream.as_bytes()])[0].is_comment_only();
        assert!(only(": ping\n\n"));
        assert!(only(":\r\n: more\r\n\r\n"));
        assert!(only("\n"));
        assert!(!only(": ping\ndata: a\n\n"));
        assert!(!only("event: ping\n\n"));
    }

    #[test]
    fn what_is_written_is_one_line_to_every_reader() {
        let mut out = Vec::new();
        let text = "a\u{85}b\u{2028}c\u{2029}d\né你";
        write(&mut out, Some("e"), &serde_json::json!({ "t": text }));
        let frames = frames(&[&out]);
        let data = frames[0].data().unwrap();
        assert_eq!(
            data.as_ref(),
            r#"{"t":"a\u0085b\u2028c\u2029d\né你"}"#.as_bytes()
        );
        let read: serde_json::Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(read["t"], text);
    }

    #[test]
    fn a_frame_within_one_chunk_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
        let mut reader = FrameReader::new();
        reader.push(chunk.clone());
        reader.next_frame().unwrap();
        let second = reader.next_frame().unwrap().unwrap();
        assert_eq!(second.bytes().as_ptr(), chunk[9..].as_ptr());
    }

    #[test]
    fn a_stream_of_lone_carriage_returns_is_not_delayed() {
        let mut reader = FrameReader::new();
        reader.push(Bytes::from_static(b"data: a\r\r"));
        assert!(reader.next_frame().unwrap().is_some());
    }

    #[test]
    fn frames_are_bounded_also_when_they_come_in_pieces() {
        let piece = Bytes::from(vec![b'x'; FRAME_MAX / 4]);
        let mut reader = FrameReader::new();
        for _ in 0..4 {
            reader.push(piece.clone());
            assert_eq!(reader.next_frame(), Ok(None));
        }
        reader.push(Bytes::from_static(b"\n\n"));
        assert_eq!(reader.next_frame(), Err(Oversized));

        let mut reader = FrameReader::new();
        reader.push(Bytes::from(
            [vec![b'x'; FRAME_MAX], b"\n\n".to_vec()].concat(),
        ));
        assert_eq!(reader.next_frame(), Err(Oversized));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            stream in r"(data: ?|: |data|é你|[a-z]|\n|\r|\r\n){0,40}",
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut start = 0;
            let mut chunks = Vec::new();
            for cut in cuts {
                chunks.push(&bytes[start..cut]);
                start = cut;
            }
            let whole = frames(&[bytes]);
            prop_assert_eq!(&frames(&chunks), &whole);
            let joined: Vec<u8> = whole.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
            prop_assert_eq!(&joined[..], bytes, "nothing is lost");
        }

        #[test]
        fn data_is_the_same_by_either_way(line in r"data:[ a-z:]{0,8}", end in r"\n\n|\r\n\r\n|\r\r|\n|") {
            let stream = format!("{line}{end}");
            for frame in frames(&[stream.as_bytes()]) {
                let slow: Vec<u8> = lines(frame.bytes()).filter_map(data_of).flatten().copied().collect();
                prop_assert_eq!(frame.data_line(), Some(&slow[..]));
            }
        }
    }
}
