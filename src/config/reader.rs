//! A typed reader over the syntax tree that goes on after a mistake and reports them all.
//!
//! Each method takes a place in the file and returns its meaning, or `None` after it noted what is
//! wrong there; whoever reads puts a default in the gap and continues. A file is accepted only if
//! nothing was noted, so such a default is never used. What the keys mean is not known here.

use std::io;
use std::path::Path;
use std::time::Duration;

use jsonc_parser::ast::{ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::Outside;
use super::expand::{Fault, expand};
use super::node::{Entry, Fields, Keys, Node, is_remark};
use super::number::{WHOLE_MAX, is_number, whole_number};
use super::problem::Problem;
use super::wording::{begins_like_a_key, did_you_mean, join, nearest, quoted};
use crate::clock::UnixMillis;

/// The longest time that may be configured, in seconds: a year.
const SECONDS_MAX: f64 = 31_536_000.0;

/// Reads values and gathers what is wrong with them.
pub(super) struct Reader<'e> {
    strict: bool,
    outside: &'e Outside<'e>,
    /// Whether what is read is switched off. Then an unset variable or a missing file is no mistake, and
    /// reads as `None`.
    pub(super) switched_off: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
}

/// A problem before its place is counted in lines and columns.
struct Finding {
    /// Byte offset in the text; `None` when it has no place there.
    at: Option<usize>,
    path: String,
    message: String,
    hint: Option<String>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(strict: bool, outside: &'e Outside<'e>) -> Reader<'e> {
        Reader {
            strict,
            outside,
            switched_off: false,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The value of an environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.outside.env)(name)
    }

    /// Whether an environment variable is set and not empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| !value.is_empty())
    }

    /// When the file is read.
    pub(super) fn now(&self) -> UnixMillis {
        self.outside.now
    }

    /// What another file holds.
    pub(super) fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        (self.outside.file)(path)
    }

    /// Whether any error was noted so far.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// All errors and all warnings, each in the order of the file.
    pub(super) fn finish(self, file: &str, text: &str) -> (Vec<Problem>, Vec<Problem>) {
        (
            place(self.errors, file, text),
            place(self.warnings, file, text),
        )
    }

    /// Notes an error at `node`.
    pub(super) fn error(&mut self, node: &Node<'_>, message: impl Into<String>) {
        self.error_with(node, message, None);
    }

    /// Notes an error at `node` and what to try.
    pub(super) fn error_with(
        &mut self,
        node: &Node<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.error_at(Some(node.at()), &node.path, message, hint);
    }

    /// Notes an error in the key of `entry`.
    pub(super) fn key_error(&mut self, entry: &Entry<'_>, message: impl Into<String>) {
        self.error_at(Some(entry.at), &entry.value.path, message, None);
    }

    /// Notes an error at a byte offset, or without a place.
    pub(super) fn error_at(
        &mut self,
        at: Option<usize>,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.errors.push(Finding {
            at,
            path: path.to_owned(),
            message: message.into(),
            hint,
        });
    }

    /// Notes something at `node` that is probably not meant.
    pub(super) fn warn(
        &mut self,
        node: &Node<'_>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.warnings.push(Finding {
            at: Some(node.at()),
            path: node.path.clone(),
            message: message.into(),
            hint,
        });
    }

    /// Notes a key that is not read: a warning, or an error when strict.
    pub(super) fn unread_key(&mut self, at: usize, path: String, what: &str, hint: Option<String>) {
        let (list, message) = if self.strict {
            (&mut self.errors, what.to_owned())
        } else {
            (&mut self.warnings, format!("{what}, ignored"))
        };
        list.push(Finding {
            at: Some(at),
            path,
            message,
            hint,
        });
    }

    /// Notes that `node` is not what it should be.
    pub(super) fn wrong(&mut self, node: &Node<'_>, expected: &str) {
        self.error(node, format!("found {}, expected {expected}", node.shown()));
    }

    /// An object with known keys. The keys that it should not have are noted at once.
    pub(super) fn fields<'a>(
        &mut self,
        node: &Node<'a>,
        keys: &'static Keys,
        expected: &str,
    ) -> Option<Fields<'a>> {
        let Value::Object(object) = node.value else {
            self.wrong(node, expected);
            return None;
        };
        for property in &object.properties {
            let key = property.name.as_str();
            if keys.read.contains(&key) || keys.word(key).is_some() || is_remark(key) {
                continue;
            }
            let (at, path) = (property.name.start(), join(&node.path, key));
            if keys.refuse(key) {
                if !matches!(property.value, Value::NullKeyword(_)) {
                    let message = format!("found a key of another form, expected {expected}");
                    self.error_at(Some(at), &path, message, None);
                }
            } else if !keys.unsupported.contains(&key) {
                let known = keys.read.iter().chain(keys.words).chain(keys.unsupported);
                let hint = nearest(key, known.copied());
                self.unread_key(at, path, "found an unknown key", did_you_mean(hint));
            } else if !matches!(property.value, Value::NullKeyword(_)) {
                self.unread_key(at, path, "not supported by this version", None);
            }
        }
        Some(Fields {
            object,
            path: node.path.clone(),
            keys,
        })
    }

    /// The value of `key`, which must be there.
    pub(super) fn required<'a>(
        &mut self,
        fields: &Fields<'a>,
        key: &'static str,
        expected: &str,
    ) -> Option<Node<'a>> {
        let node = fields.find(key);
        if node.is_none() {
            let names = fields.object.properties.iter().map(|p| p.name.as_str());
            let unknown = names.filter(|name| !fields.keys.contain(name) && !is_remark(name));
            self.error_at(
                Some(fields.object.range.start),
                &join(&fields.path, key),
                format!("found nothing, expected {expected}"),
                nearest(key, unknown).map(|name| format!("rename {}?", quoted(name))),
            );
        }
        node
    }

    /// An object whose keys are its author's to choose.
    pub(super) fn entries<'a>(&mut self, node: Option<Node<'a>>, expected: &str) -> Vec<Entry<'a>> {
        let Some(node) = node else { return Vec::new() };
        let Value::Object(object) = node.value else {
            self.wrong(&node, expected);
            return Vec::new();
        };
        let entry = |property: &'a ObjectProp<'a>| Entry {
            key: property.name.as_str(),
            at: property.name.start(),
            value: Node {
                value: &property.value,
                path: join(&node.path, property.name.as_str()),
                secret: node.secret,
            },
        };
        object.properties.iter().map(entry).collect()
    }

    /// The elements of an array.
    pub(super) fn elements<'a>(&mut self, node: Option<Node<'a>>, expected: &str) -> Vec<Node<'a>> {
        let Some(node) = node else { return Vec::new() };
        let Value::Array(array) = node.value else {
            self.wrong(&node, expected);
            return Vec::new();
        };
        let element = |(i, value)| Node {
            value,
            path: format!("{}[{i}]", node.path),
            secret: node.secret,
        };
        array.elements.iter().enumerate().map(element).collect()
    }

    /// A text with its variables expanded.
    pub(super) fn text(&mut self, node: &Node<'_>, expected: &str) -> Option<String> {
        let Value::StringLit(literal) = node.value else {
            self.wrong(node, expected);
            return None;
        };
        match expand(&literal.value, self.outside.env) {
            Ok(text) => Some(text.into_owned()),
            Err(faults) => {
                for fault in faults {
                    self.fault(node, &fault);
                }
                None
            }
        }
    }

    fn fault(&mut self, node: &Node<'_>, fault: &Fault<'_>) {
        let (message, hint) = match fault {
            Fault::Unset(_) if self.switched_off => return,
            // Somebody may have put the key itself between the braces.
            Fault::Unset(name) if begins_like_a_key(name) => (
                "found a `${…}`, but the environment has no such variable".to_owned(),
                "between the braces stands a name, not a key".to_owned(),
            ),
            Fault::Unset(name) => (
                format!("found `${{{name}}}`, but the environment has no {name}"),
                format!("set it, or give a default: `${{{name}:-default}}`"),
            ),
            Fault::Malformed(found) => (
                format!("found {found}, expected `${{NAME}}` or `${{NAME:-default}}`"),
                "write `$${` for a literal `${`".to_owned(),
            ),
        };
        self.error_with(node, message, Some(hint));
    }

    /// A text that is not empty.
    pub(super) fn filled_text(&mut self, node: &Node<'_>, expected: &str) -> Option<String> {
        let text = self.text(node, expected)?;
        if text.is_empty() {
            self.error(node, format!("found an empty text, expected {expected}"));
            return None;
        }
        Some(text)
    }

    /// A name: not empty, and fit to be printed in one line.
    pub(super) fn name(&mut self, node: &Node<'_>, expected: &str) -> Option<String> {
        let name = self.filled_text(node, expected)?;
        if name.contains(char::is_control) {
            self.error(
                node,
                format!("found a control character, expected {expected}"),
            );
            return None;
        }
        Some(name)
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, node: Option<Node<'_>>) -> Option<bool> {
        let node = node?;
        let flag = node.flag();
        if flag.is_none() {
            let is_flag = |text: &str| matches!(text, "true" | "false");
            self.wrong_literal(&node, "true or false", is_flag);
        }
        flag
    }

    /// A whole number of `min` or more that fits `T`.
    pub(super) fn whole<T: TryFrom<u64>>(&mut self, node: Option<Node<'_>>, min: u64) -> Option<T> {
        let node = node?;
        let number = match node.value {
            Value::NumberLit(literal) => whole_number(literal.value).filter(|n| *n >= min),
            _ => None,
        };
        let Some(number) = number else {
            let expected = format!("a whole number of {min} or more");
            self.wrong_literal(&node, &expected, is_number);
            return None;
        };
        let fitting = T::try_from(number).ok().filter(|_| number <= WHOLE_MAX);
        if fitting.is_none() {
            self.wrong(&node, "a smaller number");
        }
        fitting
    }

    /// A time, written as a number of seconds above 0.
    pub(super) fn seconds(&mut self, node: Option<Node<'_>>) -> Option<Duration> {
        let node = node?;
        let duration = match node.value {
            Value::NumberLit(literal) => literal
                .value
                .parse()
                .ok()
                .filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds))
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .filter(|duration| !duration.is_zero()),
            _ => None,
        };
        if duration.is_none() {
            let expected = "a number of seconds, above 0 and at most 31536000";
            self.wrong_literal(&node, expected, is_number);
        }
        duration
    }

    /// As [`Reader::wrong`]; where the right thing was put in quotes, the hint says so.
    fn wrong_literal(&mut self, node: &Node<'_>, expected: &str, fits: impl Fn(&str) -> bool) {
        let quoted = matches!(node.value, Value::StringLit(text) if fits(text.value.trim()));
        self.error_with(
            node,
            format!("found {}, expected {expected}", node.shown()),
            quoted.then(|| "write it without quotes".to_owned()),
        );
    }
}

/// Sorts findings by place and turns offsets into lines and columns in one pass over the text.
fn place(mut findings: Vec<Finding>, file: &str, text: &str) -> Vec<Problem> {
    findings.sort_by_key(|finding| finding.at);
    let (mut seen, mut line, mut column) = (0, 1, 1);
    let mut place = |at: usize| {
        for c in text[seen..at].chars() {
            if c == '\n' {
                (line, column) = (line + 1, 1);
            } else {
                column += 1;
            }
        }
        seen = at;
        (line, column)
    };
    findings
        .into_iter()
        .map(|finding| {
            let (line, column) = finding.at.map_or((0, 0), &mut place);
            Problem {
                file: file.to_owned(),
                line,
                column,
                path: finding.path,
                message: finding.message,
                hint: finding.hint,
            }
        })
        .collect()
}
