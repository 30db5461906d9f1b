//! How many tokens a text is, roughly, where nobody has told us.
//!
//! Four ASCII bytes are about one token, and so is each other character (Chinese comes to 1.1 with
//! current vocabularies). A real tokenizer would cost tens of megabytes and milliseconds; providers
//! report the true number with nearly every answer anyway.

use std::ops::AddAssign;

use memchr::{memchr, memmem};

/// What an image, a sound or a file within a prompt counts, whatever its size in bytes.
pub(crate) const MEDIA_TOKENS: u64 = 1000;

/// How many bytes are counted side by side.
const ROW: usize = 32;

/// After so many a count of one byte may be full.
const ROWS_MAX: usize = 255;

/// The estimate for one text, or for JSON, whose keys and marks then count along.
pub fn estimate_tokens(text: &[u8]) -> u64 {
    let mut tally = Tally::default();
    tally.add(text);
    tally.tokens()
}

/// Text counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    ascii: u64,
    wide: u64,
}

impl Tally {
    /// Adds text as it stands in JSON: UTF-8, or ASCII with `\uXXXX` for every other character.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.ascii += text.len() as u64;
        // Both tests are many times faster than the counts, which most texts do not need.
        if !text.is_ascii() {
            let (bytes, characters) = beyond_ascii(text);
            self.ascii -= bytes;
            self.wide += characters;
        }
        // Setting up the second search costs more than most texts are worth.
        if let Some(at) = memchr(b'\\', text)
            && memmem::find(&text[at..], b"\\u").is_some()
        {
            let escapes = unicode_escapes(&text[at..]);
            self.ascii = self.ascii.saturating_sub(6 * escapes);
            self.wide += escapes;
        }
    }

    /// The estimate: a quarter of the ASCII bytes and 1.1 per other character, both rounded up.
    pub(crate) fn tokens(&self) -> u64 {
        self.ascii.div_ceil(4) + (self.wide * 11).div_ceil(10)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.ascii += other.ascii;
        self.wide += other.wide;
    }
}

// Both count in as many bytes side by side as the compiler likes, over so few rows that none overflows.

/// How many bytes are not ASCII, and how many characters they make: as many as do not go on with one.
fn beyond_ascii(text: &[u8]) -> (u64, u64) {
    let (mut bytes, mut characters) = (0, 0);
    let mut add = |beyond: &[u8], going_on: &[u8]| {
        let sum = |counts: &[u8]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        bytes += sum(beyond);
        characters += sum(beyond) - sum(going_on);
    };
    let is_beyond = |byte: u8| u8::from(byte.cast_signed() < 0);
    let is_going_on = |byte: u8| u8::from(byte.cast_signed() < -0x40);
    let (rows, rest) = text.as_chunks::<ROW>();
    for rows in rows.chunks(ROWS_MAX) {
        let (mut beyond, mut going_on) = ([0u8; ROW], [0u8; ROW]);
        for row in rows {
            for (at, byte) in row.iter().enumerate() {
                beyond[at] += is_beyond(*byte);
                going_on[at] += is_going_on(*byte);
            }
        }
        add(&beyond, &going_on);
    }
    for byte in rest {
        add(&[is_beyond(*byte)], &[is_going_on(*byte)]);
    }
    (bytes, characters)
}

/// How often `\u` occurs. One behind an escaped backslash is counted too: rare, and harmless here.
fn unicode_escapes(text: &[u8]) -> u64 {
    let next = text.get(1..).unwrap_or_default();
    let mut escapes = 0;
    for (here, next) in text.chunks(ROWS_MAX).zip(next.chunks(ROWS_MAX)) {
        let pairs = here.iter().zip(next);
        let found: u8 = pairs
            .map(|(a, b)| u8::from(*a == b'\\') & u8::from(*b == b'u'))
            .sum();
        escapes += u64::from(found);
    }
    escapes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> u64 {
        let mut tally = Tally::default();
        tally.add(text.as_bytes());
        tally.tokens()
    }

    #[test]
    fn estimates_follow_the_alphabet() {
        for (text, expected) in [
            ("", 0),
            ("a", 1),
            ("abcd", 1),
            ("abcde", 2),
            ("你", 2),
            ("你好你好你好你好你好", 11),
            ("ab你好", 1 + 3),
            (r"\u4f60\u597d", 3),
            (r"\u4f60ab", 1 + 2),
        ] {
            assert_eq!(tokens(text), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_counted_whole() {
        assert_eq!(tokens(&"word".repeat(10_000)), 10_000);
        assert_eq!(tokens(&"你".repeat(10_000)), 11_000);
        assert_eq!(tokens(&r"\u4f60".repeat(10_000)), 11_000);
    }

    #[test]
    fn pieces_count_as_their_sum() {
        let mut tally = Tally::default();
        for piece in ["he", "llo ", "wor", "ld, 你", "好"] {
            tally.add(piece.as_bytes());
        }
        assert_eq!(tally.tokens(), tokens("hello world, 你好"));
    }
}
