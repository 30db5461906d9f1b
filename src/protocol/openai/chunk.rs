//! One chunk of a stream: what it says, and a cheap way to see that it only adds to the answer.
//!
//! Not here: what follows from it. See [`Relay`](super::Relay) and [`Gather`](super::Gather).

use super::usage;
use crate::chat::Usage;
use crate::protocol::estimate::Tally;
use crate::protocol::json::{Cursor, Fault, is_truthy};

/// The longest beginning worth remembering, in bytes.
const LEAD_MAX: usize = 1024;

/// What a chunk says.
#[derive(Debug, Default)]
pub(super) struct Chunk<'a> {
    /// How many choices it has.
    pub(super) choices: usize,
    /// What it adds to the answer.
    pub(super) said: Said,
    /// Whether it gives a `finish_reason`.
    pub(super) finished: bool,
    /// The number of each of its choices, and whether that one ends.
    pub(super) ends: Vec<(u64, bool)>,
    /// Whether it is an error, whatever else it holds.
    pub(super) is_error: bool,
    /// The usage it tells.
    pub(super) usage: Option<Usage>,
    /// Its `id` as written.
    pub(super) id: Option<&'a [u8]>,
    /// Its `created` as written.
    pub(super) created: Option<&'a [u8]>,
    /// Its `model` as written.
    pub(super) model: Option<&'a [u8]>,
    /// Where the text of its last choice stands.
    piece_at: usize,
}

/// What a chunk adds to the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Said {
    /// Whether it adds anything at all; a role or an empty text is nothing.
    pub(super) anything: bool,
    /// The text of it.
    pub(super) text: Tally,
}

/// How the chunks of a stream begin.
///
/// As a rule they are alike up to the piece of text that each adds: same id, same model, same keys.
/// Where a chunk begins with bytes that were read before, reading them again would say the same, so
/// only what follows is looked at.
#[derive(Debug, Default)]
pub(super) struct Lead(Vec<u8>);

impl<'a> Chunk<'a> {
    /// Reads the data of one event.
    pub(super) fn read(data: &'a [u8]) -> Result<Chunk<'a>, Fault> {
        let mut chunk = Chunk::default();
        let mut cursor = Cursor::new(data);
        match cursor.peek() {
            b'{' => chunk.object(&mut cursor)?,
            // Google wraps its errors in an array.
            b'[' => cursor.elements(|cursor| match cursor.peek() {
                b'{' => chunk.object(cursor),
                _ => cursor.skip(),
            })?,
            _ => cursor.skip()?,
        }
        cursor.end()?;
        Ok(chunk)
    }

    fn object(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        cursor.members(|cursor, key| {
            match &*key.name() {
                b"choices" if cursor.peek() == b'[' => {
                    cursor.elements(|cursor| self.choice(cursor))?;
                }
                b"usage" => self.usage = usage::read(cursor)?.or(self.usage),
                b"error" => self.is_error |= is_truthy(cursor.raw()?),
                b"object" => self.is_error |= is_error_object(cursor.raw()?),
                b"id" => self.id = Some(cursor.raw()?),
                b"created" => self.created = Some(cursor.raw()?),
                b"model" => self.model = Some(cursor.raw()?),
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }

    fn choice(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        self.choices += 1;
        if cursor.peek() != b'{' {
            return cursor.skip();
        }
        let mut index = self.choices as u64 - 1;
        let (mut ends, mut is_error) = (false, false);
        cursor.members(|cursor, key| match &*key.name() {
            b"delta" if cursor.peek() == b'{' => {
                self.piece_at = cursor.at();
                self.said.delta(cursor)
            }
            b"text" if cursor.peek() == b'"' => {
                self.piece_at = cursor.at();
                self.said.text(cursor)
            }
            b"index" => {
                let told = std::str::from_utf8(cursor.raw()?).ok();
                index = told.and_then(|told| told.parse().ok()).unwrap_or(index);
                Ok(())
            }
            b"finish_reason" => {
                let reason = cursor.raw()?;
                ends = is_reason(reason);
                is_error |= is_error_reason(reason);
                Ok(())
            }
            b"error" => {
                is_error |= is_truthy(cursor.raw()?);
                Ok(())
            }
            _ => cursor.skip(),
        })?;
        self.is_error |= is_error;
        self.finished |= ends;
        self.ends.push((index, ends));
        Ok(())
    }

    /// Whether it holds anything of the answer itself, or its end.
    pub(super) fn is_meaningful(&self) -> bool {
        self.said.anything || self.finished
    }
}

impl Said {
    fn delta(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        cursor.members(|cursor, key| match &*key.name() {
            b"content" | b"reasoning_content" | b"reasoning" | b"refusal" => self.text(cursor),
            b"tool_calls" | b"function_call" => {
                let raw = cursor.raw()?;
                if is_truthy(raw) {
                    self.anything = true;
                    self.called(&mut Cursor::new(raw))?;
                }
                Ok(())
            }
            b"audio" => {
                self.anything |= is_truthy(cursor.raw()?);
                Ok(())
            }
            _ => cursor.skip(),
        })
    }

    /// A piece of text; a few servers send lists of parts instead.
    fn text(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if cursor.peek() == b'"' {
            let text = cursor.string()?.inner;
            self.anything |= !text.is_empty();
            self.text.add(text);
        } else {
            let raw = cursor.raw()?;
            if is_truthy(raw) {
                self.anything = true;
                self.text.add(raw);
            }
        }
        Ok(())
    }

    /// A piece of a call: of all that, names and arguments are what the model wrote.
    fn called(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match cursor.peek() {
            b'{' => cursor.members(|cursor, key| match &*key.name() {
                b"name" | b"arguments" | b"input" => self.text(cursor),
                _ => self.called(cursor),
            }),
            b'[' => cursor.elements(|cursor| self.called(cursor)),
            _ => cursor.skip(),
        }
    }
}

impl Lead {
    /// Remembers how a chunk began that was read and did nothing but add to the answer.
    pub(super) fn learn(&mut self, chunk: &Chunk<'_>, data: &[u8]) {
        let only_adds = !chunk.finished && !chunk.is_error && chunk.usage.is_none();
        if only_adds && chunk.choices == 1 && chunk.piece_at <= LEAD_MAX {
            self.0.clear();
            self.0.extend_from_slice(&data[..chunk.piece_at]);
        }
    }

    /// What a chunk adds to the answer if it begins as known and does nothing else; `None` if it must
    /// be read.
    pub(super) fn follow(&self, data: &[u8]) -> Option<Said> {
        if self.0.is_empty() {
            return None;
        }
        let mut cursor = Cursor::new(data.strip_prefix(&self.0[..])?);
        let mut said = Said::default();
        match cursor.peek() {
            b'{' => said.delta(&mut cursor).ok()?,
            b'"' => said.text(&mut cursor).ok()?,
            _ => return None,
        }
        let rest = cursor.tail(|cursor, key| {
            let matters = match &*key.name() {
                b"finish_reason" => is_reason(cursor.raw()?),
                b"usage" | b"error" => is_truthy(cursor.raw()?),
                b"object" => is_error_object(cursor.raw()?),
                b"delta" | b"text" => true,
                _ => return cursor.skip(),
            };
            match matters {
                true => Err(cursor.fault("nothing that matters")),
                false => Ok(()),
            }
        });
        rest.is_ok().then_some(said)
    }
}

/// Whether a `finish_reason` is one. Some servers write an empty string where others write `null`.
fn is_reason(raw: &[u8]) -> bool {
    matches!(raw, [b'"', _, _, ..])
}

/// Whether an `object` says that this is an error. Old servers put its members beside it.
pub(super) fn is_error_object(raw: &[u8]) -> bool {
    raw == b"\"error\""
}

/// Whether a `finish_reason` says that a choice came to no good end, as OpenRouter has it.
pub(super) fn is_error_reason(raw: &[u8]) -> bool {
    raw == b"\"error\""
}
