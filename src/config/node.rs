//! A place in the file: a value, and how one gets there. Nothing is judged here.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use super::wording::{join, may_be_secret, shortened};

/// One value of the file and how one gets there.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value<'a>,
    pub(super) path: String,
    /// Whether messages must not repeat it.
    pub(super) secret: bool,
}

/// A key that the file's author chose, and its value.
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    /// Where the key stands, as a byte offset.
    pub(super) at: usize,
    pub(super) value: Node<'a>,
}

/// An object whose keys are known.
pub(super) struct Fields<'a> {
    pub(super) object: &'a Object<'a>,
    pub(super) path: String,
    pub(super) keys: &'static Keys,
}

/// The keys that an object may have.
pub(super) struct Keys {
    /// Those that are read.
    pub(super) read: &'static [&'static str],
    /// Those that other versions of the gateway read, and that can be ignored.
    pub(super) unsupported: &'static [&'static str],
    /// Those that are read too, in lower case, however they are cased: people write `RPM`.
    pub(super) words: &'static [&'static str],
    /// Those that belong elsewhere, in lower case, and without which something else would be done than what
    /// is meant.
    pub(super) refused: &'static [&'static str],
}

impl<'a> Node<'a> {
    /// The value that the file consists of.
    pub(super) fn root(value: &'a Value<'a>) -> Node<'a> {
        Node {
            value,
            path: String::new(),
            secret: false,
        }
    }

    /// The same value, which messages must not repeat.
    pub(super) fn secret(self) -> Node<'a> {
        Node {
            secret: true,
            ..self
        }
    }

    /// Where it stands, as a byte offset.
    pub(super) fn at(&self) -> usize {
        self.value.start()
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::NullKeyword(_))
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(self.value, Value::Array(_))
    }

    /// Whether it is yes or no, where it is one of them.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::BooleanLit(literal) => Some(literal.value),
            _ => None,
        }
    }

    /// The number as it is written.
    pub(super) fn number(&self) -> Option<&'a str> {
        match self.value {
            Value::NumberLit(number) => Some(number.value),
            _ => None,
        }
    }

    /// The text as it is written, with its variables not expanded.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::StringLit(text) => Some(&text.value),
            _ => None,
        }
    }

    /// What stands here, for a message: as written, so that the value of a variable is not shown. A text
    /// only where it is surely no key that slipped into the wrong line.
    pub(super) fn shown(&self) -> String {
        match self.value {
            Value::StringLit(_) if self.secret => "a text".to_owned(),
            Value::NumberLit(_) if self.secret => "a number".to_owned(),
            Value::StringLit(text) if text.value.is_empty() => "an empty text".to_owned(),
            Value::StringLit(text) if may_be_secret(&text.value) => {
                format!("a text of {} characters", text.value.chars().count())
            }
            Value::StringLit(text) => format!("{:?}", text.value),
            Value::NumberLit(number) => shortened(number.value),
            Value::BooleanLit(literal) => literal.value.to_string(),
            Value::NullKeyword(_) => "null".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "an array".to_owned(),
        }
    }
}

impl<'a> Fields<'a> {
    /// The value of `key`; null is as good as absent.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.find(key).filter(|node| !node.is_null())
    }

    /// The value of `key`, null included.
    pub(super) fn find(&self, key: &'static str) -> Option<Node<'a>> {
        debug_assert!(
            self.keys.contain(key),
            "{key} is missing in the list of keys"
        );
        self.object.get(key).map(|property| Node {
            value: &property.value,
            path: join(&self.path, key),
            secret: false,
        })
    }

    /// Those of its words that stand there, in the order of the file: each as it is known, and as it was
    /// written. Null is as good as absent.
    pub(super) fn words(&self) -> Vec<(&'static str, Entry<'a>)> {
        let word = |property: &'a ObjectProp<'a>| {
            let key = property.name.as_str();
            let entry = Entry {
                key,
                at: property.name.start(),
                value: Node {
                    value: &property.value,
                    path: join(&self.path, key),
                    secret: false,
                },
            };
            Some((self.keys.word(key)?, entry)).filter(|(_, entry)| !entry.value.is_null())
        };
        self.object.properties.iter().filter_map(word).collect()
    }
}

impl Keys {
    /// No keys at all.
    pub(super) const NONE: Keys = Keys {
        read: &[],
        unsupported: &[],
        words: &[],
        refused: &[],
    };

    pub(super) fn contain(&self, key: &str) -> bool {
        self.read.contains(&key)
            || self.unsupported.contains(&key)
            || self.word(key).is_some()
            || self.refuse(key)
    }

    /// Which of the words `key` is.
    pub(super) fn word(&self, key: &str) -> Option<&'static str> {
        let mut words = self.words.iter();
        words.find(|word| word.eq_ignore_ascii_case(key)).copied()
    }

    /// Whether `key` is one of the refused, however it is cased.
    pub(super) fn refuse(&self, key: &str) -> bool {
        self.refused
            .iter()
            .any(|refused| refused.eq_ignore_ascii_case(key))
    }
}

/// Whether a key inside an object is its author's remark: `"_note"`, `"$comment"`, `"//"`.
pub(super) fn is_remark(key: &str) -> bool {
    key.starts_with(['_', '$']) || key.starts_with("//")
}
