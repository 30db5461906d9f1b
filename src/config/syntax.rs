//! Text to syntax tree: JSON with comments and trailing commas, and nothing laxer.
//!
//! A text that is no JSON yields one error, since what follows the first cannot be trusted. Then
//! the whole tree is surveyed for what JSON forbids and the parser lets pass: a key given twice,
//! of which one value would win in silence, a line that ends within a text, and foreign blanks.

use std::collections::HashSet;
use std::iter;

use jsonc_parser::ast::{Object, StringLit, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::tokens::TokenAndRange;
use jsonc_parser::{
    CollectOptions, CommentCollectionStrategy, ParseOptions, ParseStringErrorKind, parse_to_ast,
};

use super::reader::Reader;
use super::wording::{join, quoted};

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The keys of these objects may be secrets, or hold one by mistake.
const KEYS_NOT_SHOWN: [&str; 2] = ["api_keys", "custom_headers"];

/// The tree of `text`, or `None` after the reason was noted.
pub(super) fn tree<'t>(text: &'t str, reader: &mut Reader<'_>) -> Option<Value<'t>> {
    // With comments among them, the tokens tell what stands between: nothing but blanks.
    let collect = CollectOptions {
        comments: CommentCollectionStrategy::AsTokens,
        tokens: true,
    };
    match parse_to_ast(text, &collect, &OPTIONS) {
        Ok(parsed) => {
            survey_blanks(text, &parsed.tokens.unwrap_or_default(), reader);
            if parsed.value.is_none() {
                reader.error_at(None, "", "found an empty file, expected an object", None);
            }
            parsed.value
        }
        Err(error) => {
            reader.error_at(Some(error.range().start), "", describe(error.kind()), None);
            None
        }
    }
}

/// Notes blanks that JSON does not have, such as those that come along from a web page.
fn survey_blanks(text: &str, tokens: &[TokenAndRange<'_>], reader: &mut Reader<'_>) {
    let ends = tokens.iter().map(|token| token.range.end);
    let starts = tokens.iter().map(|token| token.range.start);
    let gaps = iter::once(0).chain(ends).zip(starts.chain([text.len()]));
    for (from, to) in gaps {
        let foreign = |c: &char| !matches!(c, ' ' | '\t' | '\n' | '\r');
        if let Some((i, c)) = text[from..to].char_indices().find(|(_, c)| foreign(c)) {
            let message = format!("found the blank U+{:04X}, expected a space", u32::from(c));
            reader.error_at(Some(from + i), "", message, None);
        }
    }
}

/// Notes everything in the tree that JSON forbids although it can be parsed.
pub(super) fn survey(root: &Value<'_>, text: &str, reader: &mut Reader<'_>) {
    Survey {
        text,
        reader,
        path: Vec::new(),
    }
    .value(root);
}

struct Survey<'s, 'e> {
    text: &'s str,
    reader: &'s mut Reader<'e>,
    path: Vec<Step<'s>>,
}

enum Step<'s> {
    Key(&'s str),
    Index(usize),
}

impl<'s> Survey<'s, '_> {
    // Recursion is bounded: the parser refuses values that are nested some hundred levels deep.
    fn value(&mut self, value: &'s Value<'_>) {
        match value {
            Value::StringLit(literal) => self.literal(literal),
            Value::Object(object) => self.object(object),
            Value::Array(array) => {
                for (i, element) in array.elements.iter().enumerate() {
                    self.path.push(Step::Index(i));
                    self.value(element);
                    self.path.pop();
                }
            }
            Value::NumberLit(_) | Value::BooleanLit(_) | Value::NullKeyword(_) => {}
        }
    }

    fn object(&mut self, object: &'s Object<'_>) {
        let shown =
            !matches!(self.path.last(), Some(Step::Key(key)) if KEYS_NOT_SHOWN.contains(key));
        let mut seen = HashSet::new();
        for property in &object.properties {
            let key = property.name.as_str();
            if !seen.insert(key) {
                let name = if shown {
                    quoted(key)
                } else {
                    "a key".to_owned()
                };
                self.error(
                    property.name.start(),
                    &format!("found {name} a second time, expected each key once"),
                );
            }
            if shown {
                self.path.push(Step::Key(key));
            }
            self.value(&property.value);
            if shown {
                self.path.pop();
            }
        }
    }

    fn literal(&mut self, literal: &StringLit<'_>) {
        let raw = literal.text(self.text);
        if let Some(i) = raw.find(|c: char| c < ' ') {
            let message = match raw.as_bytes()[i] {
                b'\n' | b'\r' => "found the end of the line within a text, expected `\"`",
                b'\t' => "found a tab within a text, expected `\\t`",
                _ => {
                    "found a control character within a text, expected an escape such as `\\u0000`"
                }
            };
            self.error(literal.range.start + i, message);
        }
    }

    fn error(&mut self, at: usize, message: &str) {
        let path = self
            .path
            .iter()
            .fold(String::new(), |path, step| match step {
                Step::Key(key) => join(&path, key),
                Step::Index(i) => format!("{path}[{i}]"),
            });
        self.reader.error_at(Some(at), &path, message, None);
    }
}

/// What the parser met. Nothing from the file is repeated: a syntax error may be a key without quotes.
fn describe(kind: &ParseErrorKind) -> &'static str {
    use ParseErrorKind as Kind;
    match kind {
        Kind::UnexpectedWord => "found a word without quotes, expected a value",
        Kind::ExpectedStringObjectProperty => "found a key without quotes, expected `\"`",
        Kind::SingleQuotedStringsNotAllowed => "found `'`, expected `\"`",
        Kind::ExpectedColonAfterObjectKey => "found no `:` after a key, expected `:`",
        Kind::ExpectedObjectValue => "found the end of the file, expected a value",
        Kind::ExpectedComma => "found no `,` after a value, expected `,`",
        Kind::MultipleRootJsonValues => {
            "found more after the end of the object, expected the end of the file"
        }
        Kind::UnexpectedCloseBrace => "found `}`, expected a value",
        Kind::UnexpectedCloseBracket => "found `]`, expected a value",
        Kind::UnexpectedColon => "found `:`, expected a value",
        Kind::UnexpectedComma => "found `,`, expected a value",
        Kind::UnexpectedTokenInObject => "found no key, expected a key in quotes or `}`",
        Kind::UnexpectedToken => "found a character that has no meaning here, expected a value",
        Kind::UnterminatedArray => "found the end of the file, expected the `]` for this `[`",
        Kind::UnterminatedObject => "found the end of the file, expected the `}` for this `{`",
        Kind::UnterminatedCommentBlock => {
            "found the end of the file, expected the `*/` for this `/*`"
        }
        Kind::NestingDepthExceeded => "found values that are nested too deeply",
        Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::HexadecimalNumbersNotAllowed
        | Kind::NonFiniteNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed => {
            "found no JSON number, expected a number such as 10 or 0.5"
        }
        Kind::String(ParseStringErrorKind::UnterminatedStringLiteral) => {
            "found the end of the file, expected the `\"` that ends this text"
        }
        Kind::String(_) => {
            "found an escape that JSON does not have, expected one such as `\\n`, `\\\\` or `\\u00e9`"
        }
        Kind::CommentsNotAllowed | Kind::TrailingCommasNotAllowed => {
            "found something that is no JSON"
        }
    }
}
