//! Names of models and providers as names of files: reversible, unmistakable, harmless.
//!
//! Lower-case letters, digits, `-`, `_` and inner dots stay as they are; every other byte becomes
//! `%` and two hexadecimal digits. Upper-case letters are escaped too, so that names which differ
//! only in case stay apart on disks that do not tell them apart. Names too long for a file keep
//! their beginning and get a digest of the whole, after a `~` that no other name contains.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The sub-folder of the journal, which no model may be mistaken for.
pub(super) const JOURNAL: &str = "journal";

/// A file name may have 255 bytes; this leaves room for `.json.corrupt-<seconds>`.
const LEN_MAX: usize = 200;

/// What of a long name is kept before the digest.
const PREFIX_LEN: usize = 120;

/// The name of the file or folder for `name`.
pub(super) fn escape(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut escaped = String::with_capacity(bytes.len());
    for (i, &byte) in bytes.iter().enumerate() {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => i > 0 || name != JOURNAL,
            // At the front it hides the file or names a folder, at the end Windows drops it.
            b'.' => i > 0 && i + 1 < bytes.len(),
            _ => false,
        };
        if plain {
            escaped.push(char::from(byte));
        } else {
            push_hex(&mut escaped, "%", byte);
        }
    }
    if escaped.is_empty() {
        escaped.push('%');
    }
    if escaped.len() > LEN_MAX {
        escaped.truncate(PREFIX_LEN);
        escaped.push('~');
        for &byte in Sha256::digest(bytes).iter() {
            push_hex(&mut escaped, "", byte);
        }
    }
    escaped
}

fn push_hex(text: &mut String, before: &str, byte: u8) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{before}{byte:02x}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn natural_names_stay_and_dangerous_ones_do_not() {
        for (name, escaped) in [
            ("gpt-4o", "gpt-4o"),
            ("provider-1", "provider-1"),
            ("claude-3.5_sonnet", "claude-3.5_sonnet"),
            ("GPT", "%47%50%54"),
            ("gpt-*", "gpt-%2a"),
            ("", "%"),
            (".", "%2e"),
            ("..", "%2e%2e"),
            ("../../etc/passwd", "%2e.%2f..%2fetc%2fpasswd"),
            ("..\\x", "%2e.%5cx"),
            (".hidden", "%2ehidden"),
            ("end.", "end%2e"),
            ("journal", "%6aournal"),
            ("journals", "journals"),
            ("a%2e", "a%252e"),
            ("~", "%7e"),
            ("c:\0", "c%3a%00"),
            ("模型", "%e6%a8%a1%e5%9e%8b"),
        ] {
            assert_eq!(escape(name), escaped);
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let long = "m".repeat(300);
        let escaped = escape(&long);
        assert_eq!(escaped.len(), PREFIX_LEN + 1 + 64);
        assert_ne!(escaped, escape(&format!("{long}x")));
        assert_eq!(escape(&"m".repeat(200)), "m".repeat(200));
    }

    /// What [`escape`] did, undone; only for names that were not cut.
    fn unescape(escaped: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = escaped.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'%' {
                bytes.push(byte);
            } else if let Some((hex, after)) = rest.split_at_checked(2) {
                bytes.push(u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap());
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-cA-C./%~*é]{0,6}",
            "\\PC{0,80}",
            "[aA.]{195,210}",
            "(?i)journal",
        ]
    }

    proptest! {
        #[test]
        fn escaping_is_injective_also_without_case(one in name(), other in name()) {
            let (a, b) = (escape(&one), escape(&other));
            prop_assert_eq!(one == other, a.to_uppercase() == b.to_uppercase());
        }

        #[test]
        fn escaped_names_are_reversible_and_harmless(name in name()) {
            let escaped = escape(&name);
            prop_assert!(escaped.len() <= LEN_MAX && !escaped.is_empty());
            prop_assert!(!escaped.starts_with('.') && !escaped.ends_with('.'));
            prop_assert!(escaped.bytes().all(|b| b"abcdefghijklmnopqrstuvwxyz0123456789-_.%~".contains(&b)));
            prop_assert_ne!(&escaped, JOURNAL);
            if !escaped.contains('~') {
                prop_assert_eq!(unescape(&escaped), name);
            }
        }
    }
}
