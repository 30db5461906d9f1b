//! A cursor over JSON text: it reads what it is asked for and steps over the rest.
//!
//! The hot path needs a few members of each document and their places in the bytes, so it builds no
//! tree and copies nothing. Every byte stepped over is checked against the grammar (RFC 8259), hence
//! reaching [`Cursor::end`] means the document is valid JSON. Deliberately not checked: that strings
//! are valid UTF-8, which costs more than all the rest and is the business of whoever reads them.
//!
//! What every token goes through is inlined by force: it saves a quarter of the instructions.

mod scan;

use std::borrow::Cow;

use scan::{plain_length, skip_usual};

/// A string with an escape beyond this many bytes is taken for a text, which has many.
const LONG: usize = 128;

/// How often a text may turn out not to be usual before that is no longer tried.
const TRIES: u8 = 8;

/// Deepest nesting we follow; the same as `serde_json`'s, so what passes here can be read there.
const DEPTH_MAX: u8 = 128;

/// A place in JSON text, moving forward.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    depth: u8,
}

/// A stretch of bytes of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its first byte.
    pub(crate) start: usize,
    /// The byte after its last.
    pub(crate) end: usize,
}

/// The name of an object's member.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    document: &'a [u8],
    quoted: Quoted<'a>,
}

/// A string as it is written in the document.
#[derive(Clone, Copy)]
pub(crate) struct Quoted<'a> {
    /// What stands between the quotes, escapes untouched.
    pub(crate) inner: &'a [u8],
    /// From the opening quote to the closing one, both included.
    pub(crate) span: Span,
    escaped: bool,
}

/// Where a document stops being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The first byte that does not fit; the length of the document if it ends too early.
    pub(crate) at: usize,
    /// What would have been right there.
    pub(crate) expected: &'static str,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// How far into the text it is.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next, which tells its type; 0 at the end of the text.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> u8 {
        while let Some(&byte) = self.text.get(self.at) {
            // As a rule there are no blanks.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Steps over one value of any type.
    pub(crate) fn value(&mut self) -> Result<Span, Fault> {
        let first = self.peek();
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' => self.members(|cursor, _| cursor.skip())?,
            b'[' => self.elements(Cursor::skip)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => return Err(self.fault("a value")),
        }
        Ok(Span {
            start,
            end: self.at,
        })
    }

    /// Steps over one value whose place does not matter.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        self.value().map(drop)
    }

    /// The bytes of one value of any type.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Fault> {
        let span = self.value()?;
        Ok(&self.text[span.start..span.end])
    }

    /// Reads an object; `member` must step over the value of each key it is given.
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(&mut Cursor<'a>, Key<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(b'{', "an object")?;
        if self.peek() == b'}' {
            return self.close();
        }
        loop {
            if self.peek() != b'"' {
                return Err(self.fault("a key in quotes"));
            }
            let key = self.key()?;
            member(self, key)?;
            match self.peek() {
                b',' => self.at += 1,
                b'}' => return self.close(),
                _ => return Err(self.fault("a comma or a closing brace")),
            }
        }
    }

    /// Reads an array; `element` must step over one value each time it is called.
    pub(crate) fn elements(
        &mut self,
        mut element: impl FnMut(&mut Cursor<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(b'[', "an array")?;
        if self.peek() == b']' {
            return self.close();
        }
        loop {
            element(self)?;
            match self.peek() {
                b',' => self.at += 1,
                b']' => return self.close(),
                _ => return Err(self.fault("a comma or a closing bracket")),
            }
        }
    }

    /// Reads on from between two values to the end of the text, through all brackets that close:
    /// `member` is given what further members the objects around this place have, as in
    /// [`members`](Cursor::members). Whether the right brackets close is not checked.
    pub(crate) fn tail(
        &mut self,
        mut member: impl FnMut(&mut Cursor<'a>, Key<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        loop {
            match self.peek() {
                b',' | b'}' | b']' => self.at += 1,
                b'"' => {
                    let key = self.key()?;
                    member(self, key)?;
                }
                _ => return self.end(),
            }
        }
    }

    /// Reads the string that [`peek`](Cursor::peek) has announced.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Quoted<'a>, Fault> {
        let start = self.at;
        let mut at = start + 1;
        let mut escaped = false;
        let mut tries = TRIES;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let plain = plain_length(rest);
            at += plain;
            self.at = at;
            match rest.get(plain) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Quoted {
                        inner: &self.text[start + 1..at],
                        span: Span {
                            start,
                            end: self.at,
                        },
                        escaped,
                    });
                }
                Some(b'\\') => {
                    at += self.escape(&rest[plain + 1..])?;
                    escaped = true;
                    // One escape after the other is slow where there are hundreds.
                    if at - start > LONG && tries > 0 {
                        let from = at;
                        at = skip_usual(self.text, from);
                        tries -= u8::from(at == from);
                    }
                }
                Some(_) => return Err(self.fault("an escape instead of a control character")),
                None => return Err(self.fault("a closing quote")),
            }
        }
    }

    /// Makes sure that nothing follows.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            0 if self.at == self.text.len() => Ok(()),
            _ => Err(self.fault("nothing more")),
        }
    }

    /// A fault at the present place.
    pub(crate) fn fault(&self, expected: &'static str) -> Fault {
        Fault {
            at: self.at,
            expected,
        }
    }

    /// Reads the key that `peek` has announced, and its colon.
    #[inline(always)]
    fn key(&mut self) -> Result<Key<'a>, Fault> {
        let quoted = self.string()?;
        if self.peek() != b':' {
            return Err(self.fault("a colon"));
        }
        self.at += 1;
        Ok(Key {
            document: self.text,
            quoted,
        })
    }

    fn open(&mut self, bracket: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != bracket {
            return Err(self.fault(expected));
        }
        if self.depth == DEPTH_MAX {
            return Err(self.fault("less deep nesting"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    /// The length of the escape whose backslash is followed by `rest`.
    fn escape(&self, rest: &[u8]) -> Result<usize, Fault> {
        match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(2),
            [b'u', hex @ ..] if hex.len() >= 4 && hex[..4].iter().all(u8::is_ascii_hexdigit) => {
                Ok(6)
            }
            [] => Err(Fault {
                at: self.text.len(),
                expected: "the rest of an escape",
            }),
            _ => Err(self.fault("a valid escape")),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        self.at += rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        Err(self.fault("`true`, `false` or `null`"))
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.at += usize::from(self.text[self.at] == b'-');
        if self.text.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.fault("a digit"));
        }
        self.at += count;
        Ok(())
    }
}

impl<'a> Quoted<'a> {
    /// The text it stands for; `None` if it is not valid Unicode.
    pub(crate) fn decode(&self, document: &'a [u8]) -> Option<Cow<'a, str>> {
        if self.escaped {
            let quoted = &document[self.span.start..self.span.end];
            serde_json::from_slice(quoted).ok().map(Cow::Owned)
        } else {
            std::str::from_utf8(self.inner).ok().map(Cow::Borrowed)
        }
    }
}

impl<'a> Key<'a> {
    /// The name without quotes and escapes. One that cannot be decoded is nobody's and stays as written.
    pub(crate) fn name(&self) -> Cow<'a, [u8]> {
        if self.quoted.escaped
            && let Some(name) = self.quoted.decode(self.document)
        {
            return Cow::Owned(name.into_owned().into_bytes());
        }
        Cow::Borrowed(self.quoted.inner)
    }

    /// Whether it is written like this, without escapes.
    pub(crate) fn is(&self, name: &[u8]) -> bool {
        self.quoted.inner == name
    }

    /// Where its opening quote is.
    pub(crate) fn at(&self) -> usize {
        self.quoted.span.start
    }
}

impl Fault {
    /// Whether the document stopped before it was complete.
    pub(crate) fn is_cut(&self, document: &[u8]) -> bool {
        self.at >= document.len()
    }

    /// For people: what was expected, at which line and column (both from 1, in bytes).
    pub(crate) fn describe(&self, document: &[u8]) -> String {
        let before = &document[..self.at.min(document.len())];
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = match memchr::memrchr(b'\n', before) {
            Some(newline) => self.at - newline,
            None => self.at + 1,
        };
        format!("expected {} at line {line} column {column}", self.expected)
    }
}

/// Whether a value counts as something said: not `null`, `false`, `0`, `""`, `{}` or `[]`.
pub(crate) fn is_truthy(raw: &[u8]) -> bool {
    match raw {
        b"null" | b"false" | b"0" | b"\"\"" => false,
        [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] => {
            !inner.iter().all(u8::is_ascii_whitespace)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
