//! `${NAME}` and `${NAME:-default}` inside a text.
//!
//! Works on values that were already parsed, so that no variable can inject JSON. Defaults do not
//! nest, and `$NAME` without braces is plain text.

use std::borrow::Cow;

/// Why a text could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault<'t> {
    /// `${NAME}` without a default, and no such variable.
    Unset(&'t str),
    /// The braces do not hold what they should; the words say what was found.
    Malformed(&'static str),
}

/// Replaces each placeholder by its variable; the default serves when the variable is unset or
/// empty, as in a shell. `$${` stands for a literal `${`.
///
/// # Errors
/// Every fault of the text, in order.
pub(super) fn expand<'t>(
    text: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, Vec<Fault<'t>>> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut expanded = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some(end) = after.find('}') else {
            faults.push(Fault::Malformed("`${` without its `}`"));
            rest = "";
            break;
        };
        match value_of(&after[..end], env) {
            Ok(value) => expanded.push_str(&value),
            Err(fault) => faults.push(fault),
        }
        rest = &after[end + 1..];
    }
    expanded.push_str(rest);
    if faults.is_empty() {
        Ok(Cow::Owned(expanded))
    } else {
        Err(faults)
    }
}

/// The first variable of `text` that has no default, if it has one: whoever wrote it expects a value.
pub(super) fn without_default(text: &str) -> Option<&str> {
    text.split("${")
        .skip(1)
        .filter_map(|after| after.split_once('}'))
        .map(|(inside, _)| inside)
        .find(|inside| !inside.contains(":-"))
}

/// The value of what stands between the braces.
fn value_of<'t>(
    inside: &'t str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Cow<'t, str>, Fault<'t>> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable_name(name) {
        return Err(Fault::Malformed(
            "`${…}` that holds no name of an environment variable",
        ));
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(Fault::Malformed("a `${…}` within the default of another"));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(Cow::Owned(value)),
        (Some(value), Some(_)) if !value.is_empty() => Ok(Cow::Owned(value)),
        (_, Some(default)) => Ok(Cow::Borrowed(default)),
        (None, None) => Err(Fault::Unset(name)),
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("k-1".into()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("a${KEY}\"".into()),
            _ => None,
        }
    }

    #[test]
    fn placeholders_become_their_values() {
        for (text, expected) in [
            ("", ""),
            ("plain $KEY", "plain $KEY"),
            ("${KEY}", "k-1"),
            ("a${KEY}b${KEY}c", "ak-1bk-1c"),
            ("${NONE:-d}", "d"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-d}", "d"),
            ("${KEY:-d}", "k-1"),
            ("${NONE:-a:-b}", "a:-b"),
            ("$${KEY}", "${KEY}"),
            ("$$${KEY}", "$${KEY}"),
            ("$${", "${"),
            ("é${KEY}é", "ék-1é"),
            ("${TRICKY}", "a${KEY}\""),
        ] {
            assert_eq!(expand(text, &env).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_without_a_default_is_found() {
        for (text, expected) in [
            ("", None),
            ("plain", None),
            ("${A:-}", None),
            ("${A}", Some("A")),
            ("${A:-}${B}", Some("B")),
        ] {
            assert_eq!(without_default(text), expected, "{text}");
        }
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(
            expand("${A}-${KEY}-${B}", &env).unwrap_err(),
            [Fault::Unset("A"), Fault::Unset("B")]
        );
        for text in [
            "${",
            "x${KEY",
            "${}",
            "${a b}",
            "${1A}",
            "${A:-${B}}",
            "${-x}",
        ] {
            let faults = expand(text, &env).unwrap_err();
            assert!(matches!(faults[..], [Fault::Malformed(_)]), "{text}");
        }
    }
}
