//! What travels in headers: keys and a provider's custom headers. Messages never show a value.

use std::collections::HashSet;

use super::expand;
use super::node::{Node, is_remark};
use super::reader::Reader;
use super::wording::quoted;
use crate::secret::Secret;

const EXPECTED_KEY: &str = "a key";
const EXPECTED_NAME: &str = "letters, digits and any of !#$%&'*+-.^_`|~";
const EXPECTED_VALUE: &str = "visible ASCII characters, spaces and tabs";

/// Headers that are not a configuration's to set, in lower case, and why. Names that end with `-` stand
/// for all that begin so.
const NOT_CUSTOM: [(&str, &str); 10] = [
    ("connection", HOP_BY_HOP),
    ("keep-alive", HOP_BY_HOP),
    ("te", HOP_BY_HOP),
    ("trailer", HOP_BY_HOP),
    ("transfer-encoding", HOP_BY_HOP),
    ("upgrade", HOP_BY_HOP),
    ("proxy-", HOP_BY_HOP),
    (
        "expect",
        "asks for a consent that the gateway does not wait for",
    ),
    ("content-length", "follows from the body that is sent"),
    (
        "accept-encoding",
        "would bring compressed answers, which the gateway cannot read in passing",
    ),
];

const HOP_BY_HOP: &str = "concerns a connection, and those are the gateway's own";

/// A key that may be left empty, which is the same as none. A variable that happens to be empty is not
/// "left empty": a gateway must not open because its key got lost.
pub(super) fn optional_key(node: Node<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    let node = node.secret();
    let text = reader.text(&node, EXPECTED_KEY)?;
    if text.is_empty()
        && let Some(name) = node.text().and_then(expand::without_default)
    {
        reader.error_with(
            &node,
            format!(
                "found {}, which is empty, expected a key",
                quoted(&format!("${{{name}}}"))
            ),
            Some(format!("`${{{name}:-}}` says that it may be")),
        );
    }
    check_key(&text, &node, reader);
    (!text.is_empty()).then(|| Secret::new(text))
}

/// A key that must be given.
pub(super) fn required_key(node: Node<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    let node = node.secret();
    let text = reader.filled_text(&node, EXPECTED_KEY)?;
    check_key(&text, &node, reader);
    Some(Secret::new(text))
}

/// Headers by name.
pub(super) fn custom(node: Option<Node<'_>>, reader: &mut Reader<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    let mut names = HashSet::new();
    let Some(node) = node.map(Node::secret) else {
        return headers;
    };
    let entries = reader.entries(Some(node.clone()), "an object of header names and values");
    for entry in entries {
        if is_remark(entry.key) {
            continue;
        }
        if !is_header_name(entry.key) {
            // Not shown, nor in the path: it may be a whole header line with its secret.
            let found = "found a name that no header can have";
            let message = format!("{found}, expected {EXPECTED_NAME}");
            reader.error_at(Some(entry.at), &node.path, message, None);
            continue;
        }
        if !names.insert(entry.key.to_ascii_lowercase()) {
            let name = quoted(entry.key);
            reader.key_error(
                &entry,
                format!("found {name} a second time, expected each header once"),
            );
        }
        if let Some(reason) = not_custom(entry.key) {
            let name = quoted(entry.key);
            reader.key_error(
                &entry,
                format!("found {name}, which {reason}, expected another header"),
            );
        }
        let Some(value) = reader.text(&entry.value, "a text") else {
            continue;
        };
        if is_header_value(&value) {
            headers.push((entry.key.to_owned(), Secret::new(value)));
        } else {
            let found = "found a text that no header can hold";
            reader.error(&entry.value, format!("{found}, expected {EXPECTED_VALUE}"));
        }
    }
    headers
}

/// Why a header is not a configuration's to set, if it is not.
fn not_custom(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let is_meant = |known: &str| name == known || known.ends_with('-') && name.starts_with(known);
    NOT_CUSTOM
        .into_iter()
        .find(|(known, _)| is_meant(known))
        .map(|(_, reason)| reason)
}

/// Whether `key` is what examples and templates hold instead of a key.
pub(super) fn is_placeholder(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words = || key.split(['-', '_', ' ']);
    words().any(|word| word == "your" || word.len() >= 3 && word.bytes().all(|b| b == b'x'))
        || key.starts_with('<') && key.ends_with('>')
        || matches!(
            key.as_str(),
            "changeme" | "change-me" | "sk-..." | "placeholder" | "api-key"
        )
}

/// Notes what is wrong with a key.
pub(super) fn check_key(text: &str, node: &Node<'_>, reader: &mut Reader<'_>) {
    if text.trim() != text {
        reader.error(
            node,
            "found a key with blanks or line breaks around it, expected none",
        );
    } else if !is_header_value(text) {
        let found = "found a key that no header can hold";
        reader.error(node, format!("{found}, expected {EXPECTED_VALUE}"));
    } else if !reader.switched_off && is_placeholder(text) {
        reader.warn(node, "found a placeholder, expected a real key", None);
    }
}

/// A token of RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(legal)
}

/// RFC 9110, section 5.5, without its obsolete bytes beyond ASCII.
fn is_header_value(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_are_told_from_others() {
        for name in ["Connection", "TE", "proxy-authorization", "Accept-Encoding"] {
            assert!(not_custom(name).is_some(), "{name}");
        }
        for name in [
            "Host",
            "Authorization",
            "X-Team",
            "proxy",
            "tea",
            "Content-Type",
        ] {
            assert!(not_custom(name).is_none(), "{name}");
        }
    }

    #[test]
    fn placeholders_are_told_from_keys() {
        for placeholder in [
            "sk-your-api-key",
            "your-api-key",
            "YOUR_API_KEY_HERE",
            "your-gateway-key",
            "sk-xxx",
            "sk-xxxxxxxxxxxxxxxx",
            "sk-proj-xxx",
            "<api key>",
            "changeme",
        ] {
            assert!(is_placeholder(placeholder), "{placeholder}");
        }
        for key in [
            "",
            "k",
            "sk-ant-REDACTED",
            "yourself-1",
            "sk-1xxx",
            "xx",
            "client",
        ] {
            assert!(!is_placeholder(key), "{key}");
        }
    }
}
