//! A value that must not be seen: provider keys, client keys, header values.
//!
//! [`Secret`] has no `Display` and no `Serialize`, and its `Debug` prints `***`, so that a log line
//! or an error that carries one by accident shows nothing. Whoever needs the text says so with
//! [`Secret::expose`].

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A text that logs, errors and answers never show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<Arc<str>>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a key: compared in constant time, and of one length whatever the key's length is.
#[derive(Clone)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of `key`.
    pub fn of(key: &str) -> KeyDigest {
        KeyDigest(Sha256::digest(key.as_bytes()).into())
    }

    /// A digest that somebody else has made: 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<KeyDigest> {
        let mut digest = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(KeyDigest(digest))
    }

    /// Its first `digits` hexadecimal digits: enough to tell keys apart, and too few to find one.
    pub fn short(&self, digits: usize) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.chars().take(digits.min(16)).collect()
    }

    /// By what it is found in a table. A digest gives nothing of its key away.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Whether `presented` is the key. Takes as long for a near miss as for a far one.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.ct_eq(&KeyDigest::of(presented).0).into()
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &KeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyDigest {}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyDigest, Secret};

    #[test]
    fn only_the_very_key_matches() {
        let digest = KeyDigest::of("sk-Key");
        assert!(digest.matches("sk-Key"));
        for wrong in ["", "sk-key", " sk-Key", "sk-Key ", "sk-Ke", "sk-Key1"] {
            assert!(!digest.matches(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_digest_is_read_from_64_digits_and_nothing_else() {
        let digest = "514e6a06127089720870830207ef84ca51275756ef9a4a4e14c9c47c0faa5b44";
        let read = KeyDigest::from_hex(digest).unwrap();
        assert!(read == KeyDigest::of("sk-digest-0123456789abcde"));
        for wrong in [
            "",
            &digest[1..],
            &digest.replacen("51", "+1", 1),
            &"ü".repeat(32),
        ] {
            assert!(KeyDigest::from_hex(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn debug_never_shows_the_text() {
        let shown = format!("{:?}", Some(Secret::new("sk-live-1234")));
        assert_eq!(shown, "Some(***)");
    }
}
