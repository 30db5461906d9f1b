//! Changes to a request, as splices: which bytes give way to which.
//!
//! Not here: when a change is needed. That is for [`Call::encode`](super::Call::encode) to know.

use std::borrow::Cow;

use bytes::Bytes;

use crate::protocol::json::{Cursor, Fault, Span};

/// The client's `stream_options`.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) member: Member,
    members: usize,
    include_usage: Option<Member>,
    pub(super) wants_usage: bool,
    /// Anything that is neither an object nor `null` is left for the provider to refuse.
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Object,
    Null,
    Nonsense,
}

/// A member of an object: where its key begins, and its value.
#[derive(Clone, Copy)]
pub(super) struct Member {
    key: usize,
    value: Span,
}

/// A stretch of the body and what stands in its place upstream.
pub(super) struct Edit {
    at: Span,
    text: Cow<'static, str>,
}

impl Options {
    /// Reads `stream_options`; also whether it says twice if usage is wanted.
    pub(super) fn read(
        cursor: &mut Cursor<'_>,
        key: usize,
        body: &[u8],
    ) -> Result<(Options, bool), Fault> {
        let holds = match cursor.peek() {
            b'{' => Holds::Object,
            b'n' => Holds::Null,
            _ => Holds::Nonsense,
        };
        let start = cursor.at();
        let (mut members, mut include_usage, mut wants_usage, mut repeats) =
            (0, None, false, false);
        if holds == Holds::Object {
            cursor.members(|cursor, key| {
                members += 1;
                let value = cursor.value()?;
                if &*key.name() == b"include_usage" {
                    wants_usage = &body[value.start..value.end] == b"true";
                    let member = Member {
                        key: key.at(),
                        value,
                    };
                    repeats |= include_usage.replace(member).is_some();
                }
                Ok(())
            })?;
        } else {
            cursor.skip()?;
        }
        let value = Span {
            start,
            end: cursor.at(),
        };
        let options = Options {
            member: Member { key, value },
            members,
            include_usage,
            wants_usage,
            holds,
        };
        Ok((options, repeats))
    }

    /// What must change so that usage is told.
    pub(super) fn asking(&self) -> Option<Edit> {
        let value = self.member.value;
        match (self.holds, self.include_usage) {
            _ if self.wants_usage => None,
            (Holds::Object, Some(member)) => Some(Edit::new(member.value, "true")),
            (Holds::Object, None) => {
                let inside = value.start + 1;
                let at = Span {
                    start: inside,
                    end: inside,
                };
                Some(Edit::new(
                    at,
                    match self.members {
                        0 => r#""include_usage":true"#,
                        _ => r#""include_usage":true,"#,
                    },
                ))
            }
            (Holds::Null, _) => Some(Edit::new(value, r#"{"include_usage":true}"#)),
            (Holds::Nonsense, _) => None,
        }
    }

    /// What must change so that a provider without the option does not stumble over it.
    pub(super) fn not_asking(&self, body: &[u8]) -> Option<Edit> {
        let include_usage = self.include_usage?;
        Some(match self.members {
            1 => Edit::removing(self.member, body),
            _ => Edit::removing(include_usage, body),
        })
    }
}

impl Edit {
    pub(super) fn new(at: Span, text: impl Into<Cow<'static, str>>) -> Edit {
        Edit {
            at,
            text: text.into(),
        }
    }

    /// Takes out a member with the comma that it leaves over.
    pub(super) fn removing(member: Member, body: &[u8]) -> Edit {
        let after = skip_blanks(body, member.value.end);
        Edit::removing_towards(member, body, body.get(after) == Some(&b','))
    }

    /// Takes out a member with the comma behind it, or with the one before it.
    fn removing_towards(member: Member, body: &[u8], behind: bool) -> Edit {
        let skip = |at| skip_blanks(body, at);
        let after = skip(member.value.end);
        let at = if behind {
            Span {
                start: member.key,
                end: skip(after + 1),
            }
        } else {
            let before = body[..member.key].trim_ascii_end();
            Span {
                start: before.strip_suffix(b",").unwrap_or(before).len(),
                end: member.value.end,
            }
        };
        Edit::new(at, "")
    }
}

/// Where the blanks from `at` on end.
fn skip_blanks(body: &[u8], at: usize) -> usize {
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    at + body[at..].iter().take_while(blank).count()
}

/// What takes the members of these names out of a body. The model is always there, so something is left.
pub(super) fn members(body: &[u8], names: &[String]) -> Vec<Edit> {
    let mut found: Vec<Member> = Vec::new();
    let mut kept = Vec::new();
    let mut cursor = Cursor::new(body);
    // It was read before, and found in order.
    let _ = cursor.members(|cursor, key| {
        let member = Member {
            key: key.at(),
            value: cursor.value()?,
        };
        let name = key.name();
        match names.iter().any(|dropped| dropped.as_bytes() == &*name) {
            true => found.push(member),
            false => kept.push(member.key),
        }
        Ok(())
    });
    // Each takes a comma along, the one before it where nothing that stays follows.
    let last_kept = kept.last().copied().unwrap_or_default();
    found
        .iter()
        .map(|member| Edit::removing_towards(*member, body, member.key < last_kept))
        .collect()
}

/// Where a body of Gemini's repeats the model that its URL names: the vendor wants both to agree.
pub(super) fn repeated_models(body: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    // It was read before, and found in order.
    let _ = note_models(&mut Cursor::new(body), &mut found);
    found
}

fn note_models(cursor: &mut Cursor<'_>, found: &mut Vec<Span>) -> Result<(), Fault> {
    if cursor.peek() != b'{' {
        return cursor.skip();
    }
    cursor.members(|cursor, key| match &*key.name() {
        b"model" if cursor.peek() == b'"' => {
            found.push(cursor.value()?);
            Ok(())
        }
        b"requests" if cursor.peek() == b'[' => {
            cursor.elements(|cursor| note_models(cursor, found))
        }
        b"generateContentRequest" | b"generate_content_request" => note_models(cursor, found),
        _ => cursor.skip(),
    })
}

/// What puts a model into a body that names none.
pub(super) fn named(body: &[u8], model: &str) -> Option<Edit> {
    let start = memchr::memchr(b'{', body)? + 1;
    let is_empty = body[start..].trim_ascii_start().first() == Some(&b'}');
    let model = serde_json::Value::from(model);
    let comma = if is_empty { "" } else { "," };
    let at = Span { start, end: start };
    Some(Edit::new(at, format!("\"model\":{model}{comma}")))
}

/// The body with each edit's text in its place, in pieces: what stays is a slice of the body, because
/// a prompt may be large and copying it once more is felt.
pub(super) fn splice(body: &Bytes, mut edits: Vec<Edit>) -> Vec<Bytes> {
    // What is added behind a value comes before what is taken out behind it.
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
    let mut from = 0;
    for Edit { at, text } in edits {
        pieces.push(body.slice(from..at.start));
        pieces.push(match text {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        });
        from = at.end;
    }
    pieces.push(body.slice(from..));
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
