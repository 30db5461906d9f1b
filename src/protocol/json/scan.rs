//! Looking for the end of a string, many bytes at a time.

use memchr::memchr2;

/// How many bytes of a text are judged at once.
pub(super) const ROW: usize = 64;

/// How far the text of a string goes on from `from`, behind an escape, without anything but plain bytes and
/// the escapes that most texts have. Stops somewhat before what is neither.
pub(super) fn skip_usual(text: &[u8], from: usize) -> usize {
    // Behind an escaped backslash nothing is escaped, which is not seen below.
    if text[from - 1] == b'\\' {
        return from;
    }
    let (rows, _) = text[from..].as_chunks::<ROW>();
    let (before, _) = text[from - 1..].as_chunks::<ROW>();
    let usual = rows
        .iter()
        .zip(before)
        .take_while(|(row, before)| is_usual(row, before));
    let at = from + usual.count() * ROW;
    // Not into the middle of an escape.
    at - usize::from(text[at - 1] == b'\\')
}

/// Whether a row of bytes, given with that of the bytes `before` each, holds no end of a string, no control
/// character and only the commonest escapes. Without an early exit, so that the compiler judges many at once.
#[inline(always)]
fn is_usual(row: &[u8; ROW], before: &[u8; ROW]) -> bool {
    let unusual = row
        .iter()
        .zip(before)
        .fold(false, |unusual, (&byte, &before)| {
            let is_quote = byte == b'"';
            let is_escaped = before == b'\\';
            let is_common = is_quote | (byte == b'n') | (byte == b't') | (byte == b'r');
            unusual | (byte < 0x20) | (is_escaped & !is_common) | (is_quote & !is_escaped)
        });
    !unusual
}

/// How many bytes there are before the next quote, backslash or control character.
///
/// Keys and most values are short, so the first words are looked at without calling anything; what is
/// longer is worth a vectorised search.
#[inline(always)]
pub(super) fn plain_length(text: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    const WORDS_MAX: usize = 8;
    let mut plain = 0;
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<WORD>()
        && plain < WORDS_MAX * WORD
    {
        let special = specials(u64::from_le_bytes(*word));
        if special != 0 {
            return plain + special.trailing_zeros() as usize / WORD;
        }
        plain += WORD;
        rest = after;
    }
    let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let is_control = |byte: &u8| *byte < 0x20;
    let searched = &rest[..length];
    // First without an early exit, so that the compiler can test many bytes at once.
    if searched
        .iter()
        .fold(false, |any, byte| any | is_control(byte))
    {
        return plain + searched.iter().take_while(|byte| !is_control(byte)).count();
    }
    plain + length
}

/// The top bit of each byte that is a quote, a backslash or a control character. Bytes above the
/// lowest one marked may be marked without reason, since the subtractions borrow from them.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7)
}
