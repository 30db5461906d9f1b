//! A client's request: read once, without building a tree, and written again by splicing.
//!
//! What the gateway does not have to change reaches the provider byte for byte: key order, number
//! forms and fields that nobody has heard of yet all survive. Not here: judging the request. Whether
//! messages are there and make sense is the provider's to say.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use memchr::memmem;

use super::Endpoint;
use super::edit::{Edit, Options, splice};
use crate::chat::Failure;
use crate::protocol::estimate::{MEDIA_TOKENS, Tally};
use crate::protocol::json::{Cursor, Fault, Key, Span};

/// Longest name of a model, in bytes: it is compared with others, shown and logged.
const MODEL_MAX: usize = 1024;

/// How far into a string the `;base64,` of a data URL may be.
const DATA_URL_HEAD: usize = 128;

/// The least length of a bare base64 string that we take for a sound or a file.
const BARE_MEDIA_MIN: usize = 64;

/// A client's request.
#[derive(Clone)]
pub struct Call {
    /// What was called.
    pub endpoint: Endpoint,
    /// The request as it came.
    pub body: Bytes,
    /// The model that the client asks for.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether the client wants usage told at the end of the stream.
    pub include_usage: bool,
    /// What the prompt costs in tokens, estimated.
    pub prompt_tokens: u64,
    /// The most tokens that the answer may have, over all choices; `None` if the client set no bound.
    pub max_tokens: Option<u64>,
    /// How many choices the client asks for, over all prompts; 1 unless it says so.
    pub choices: u64,
    places: Places,
}

/// What a provider is to be asked for, where that may differ from what the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether it shall stream.
    pub stream: bool,
    /// Whether it shall tell usage at the end of the stream.
    pub ask_usage: bool,
}

/// Where in the body stands what may have to change.
#[derive(Clone)]
struct Places {
    model: Span,
    stream: Option<Span>,
    options: Option<Options>,
}

/// What one pass over the body finds.
#[derive(Default)]
struct Found {
    is_object: bool,
    model: Option<(Span, Option<String>)>,
    stream: Option<(Span, Option<bool>)>,
    options: Option<Options>,
    max_tokens: Option<Option<u64>>,
    max_completion_tokens: Option<Option<u64>>,
    choices: Option<Option<u64>>,
    /// How many prompts there are: a legacy completion may have a list of them, each with choices of its own.
    prompts: u64,
    prompt: Tally,
    /// Tokens of the prompt that are not text.
    other_tokens: u64,
    duplicate: Option<&'static str>,
    /// A name that is given in other letters than small ones.
    miswritten: Option<&'static str>,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// A failure of the client's when the body is not a JSON object, names no model, or is ambiguous
    /// or of the wrong type where the gateway must understand it.
    pub fn open(endpoint: Endpoint, body: Bytes) -> Result<Call, Failure> {
        let found = Found::read(endpoint, &body).map_err(|fault| {
            let place = fault.describe(&body);
            Failure::invalid(format!("the body is not valid JSON: {place}"))
        })?;
        if !found.is_object {
            return Err(Failure::invalid("the body must be a JSON object"));
        }
        if let Some(name) = found.duplicate {
            let message = format!("`{name}` is given more than once");
            return Err(Failure::invalid(message).about(name));
        }
        if let Some(name) = found.miswritten {
            return Err(wrong(
                name,
                "must be written in small letters: some providers read it in any",
            ));
        }
        let (model_at, model) = match found.model {
            Some((_, Some(model))) if model.is_empty() => {
                return Err(wrong("model", "must not be empty"));
            }
            Some((_, Some(model))) if model.len() > MODEL_MAX => {
                return Err(wrong("model", "is longer than 1024 bytes"));
            }
            Some((at, Some(model))) => (at, model),
            Some((_, None)) => return Err(wrong("model", "must be a string")),
            None => return Err(wrong("model", "is missing")),
        };
        let stream = match found.stream {
            Some((_, Some(stream))) => stream,
            Some((_, None)) => return Err(wrong("stream", "must be true or false")),
            None => false,
        };
        let max_tokens = found.max_completion_tokens.flatten();
        let max_tokens = max_tokens.or(found.max_tokens.flatten());
        let choices = found.choices.flatten().unwrap_or(1).max(1);
        let choices = choices.saturating_mul(found.prompts.max(1));
        Ok(Call {
            endpoint,
            model,
            stream,
            include_usage: found.options.as_ref().is_some_and(|o| o.wants_usage),
            prompt_tokens: found.prompt.tokens() + found.other_tokens,
            max_tokens: max_tokens.map(|tokens| tokens.saturating_mul(choices)),
            choices,
            places: Places {
                model: model_at,
                stream: found.stream.map(|(at, _)| at),
                options: found.options,
            },
            body,
        })
    }

    /// The request for a provider that knows the model as `model`, in pieces that follow each other.
    ///
    /// The very same bytes if nothing has to change; else every byte that does not have to change.
    pub fn encode(&self, model: &str, shape: Shape) -> Vec<Bytes> {
        let mut edits = Vec::new();
        // Members that the client did not write go right behind the model, which is always there.
        let mut added = String::new();
        let stream = shape.stream && self.endpoint != Endpoint::Embeddings;
        if stream != self.stream {
            match self.places.stream {
                Some(at) => edits.push(Edit::new(at, if stream { "true" } else { "false" })),
                None => added.push_str(r#","stream":true"#),
            }
        }
        match (&self.places.options, stream) {
            (None, true) if shape.ask_usage => {
                added.push_str(r#","stream_options":{"include_usage":true}"#);
            }
            (Some(options), true) if shape.ask_usage => edits.extend(options.asking()),
            (Some(options), true) => edits.extend(options.not_asking(&self.body)),
            // Without a stream the option is an error at most providers.
            (Some(options), false) if self.stream => {
                edits.push(Edit::removing(options.member, &self.body));
            }
            _ => {}
        }
        let mut at = self.places.model;
        if model == self.model {
            at.start = at.end;
        } else {
            added.insert_str(0, &serde_json::Value::from(model).to_string());
        }
        if !added.is_empty() {
            edits.push(Edit::new(at, added));
        }
        splice(&self.body, edits)
    }
}

// The prompt belongs to the client and must not end up in a log.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("include_usage", &self.include_usage)
            .field("prompt_tokens", &self.prompt_tokens)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

impl Found {
    fn read(endpoint: Endpoint, body: &[u8]) -> Result<Found, Fault> {
        let mut found = Found::default();
        let mut cursor = Cursor::new(body);
        if cursor.peek() == b'{' {
            found.is_object = true;
            let streams = endpoint != Endpoint::Embeddings;
            cursor.members(|cursor, key| match &*key.name() {
                b"model" => {
                    let model = read_string(cursor, body)?;
                    found.once("model", |found| &mut found.model, model);
                    Ok(())
                }
                b"stream" if streams => {
                    let stream = read_bool(cursor, body)?;
                    found.once("stream", |found| &mut found.stream, stream);
                    Ok(())
                }
                b"stream_options" if streams => {
                    let (options, repeats) = Options::read(cursor, key.at(), body)?;
                    found.once("stream_options", |found| &mut found.options, options);
                    if repeats {
                        found.duplicate = Some("stream_options.include_usage");
                    }
                    Ok(())
                }
                b"max_tokens" => {
                    let limit = read_count(cursor)?;
                    found.once("max_tokens", |found| &mut found.max_tokens, limit);
                    Ok(())
                }
                b"max_completion_tokens" => {
                    let limit = read_count(cursor)?;
                    found.once(
                        "max_completion_tokens",
                        |found| &mut found.max_completion_tokens,
                        limit,
                    );
                    Ok(())
                }
                b"n" => {
                    let choices = read_count(cursor)?;
                    found.once("n", |found| &mut found.choices, choices);
                    Ok(())
                }
                b"prompt" => {
                    let items = found.prompt(cursor, body)?;
                    if endpoint == Endpoint::Completions {
                        found.prompts = items;
                    }
                    Ok(())
                }
                b"messages" | b"suffix" | b"input" | b"tools" | b"functions"
                | b"response_format" => found.prompt(cursor, body).map(drop),
                name => {
                    // Some servers do not tell `Model` from `model`, and would take another model than
                    // the one that was chosen, or stream unasked.
                    if is_other_case(name, b"model") {
                        found.miswritten = Some("model");
                    } else if streams && is_other_case(name, b"stream") {
                        found.miswritten = Some("stream");
                    }
                    cursor.skip()
                }
            })?;
        } else {
            cursor.skip()?;
        }
        cursor.end()?;
        Ok(found)
    }

    /// Notes a member that two readers could understand differently if it came twice.
    fn once<T>(
        &mut self,
        name: &'static str,
        slot: impl FnOnce(&mut Found) -> &mut Option<T>,
        value: T,
    ) {
        if slot(self).replace(value).is_some() {
            self.duplicate = Some(name);
        }
    }

    /// Counts a part of the body that the model will read. Says how many texts or lists it is a list of.
    fn prompt(&mut self, cursor: &mut Cursor<'_>, body: &[u8]) -> Result<u64, Fault> {
        let is_list = cursor.peek() == b'[';
        let start = cursor.at();
        let mut media = Vec::new();
        let mut items = 0;
        if is_list {
            cursor.elements(|cursor| {
                items += u64::from(matches!(cursor.peek(), b'"' | b'['));
                note_media(cursor, None, &mut media)
            })?;
        } else {
            note_media(cursor, None, &mut media)?;
        }
        let part = &body[start..cursor.at()];
        let first = part
            .iter()
            .find(|byte| !matches!(byte, b'[' | b' ' | b'\n' | b'\r' | b'\t'));
        if part[0] == b'[' && first.is_some_and(u8::is_ascii_digit) {
            // Tokens already, as a list of numbers or a list of such lists.
            self.other_tokens += memchr::memchr_iter(b',', part).count() as u64 + 1;
            return Ok(items);
        }
        let mut from = start;
        for span in media {
            self.prompt.add(&body[from..span.start]);
            self.other_tokens += MEDIA_TOKENS;
            from = span.end;
        }
        self.prompt.add(&body[from..cursor.at()]);
        Ok(items)
    }
}

/// Whether a key is `name`, but for the case of its letters. The long s is one of s, too.
fn is_other_case(key: &[u8], name: &[u8]) -> bool {
    key.len() == name.len() && key.eq_ignore_ascii_case(name)
        || name[0] == b's'
            && key
                .strip_prefix("ſ".as_bytes())
                .is_some_and(|rest| rest.eq_ignore_ascii_case(&name[1..]))
}

fn wrong(param: &str, what: &str) -> Failure {
    Failure::invalid(format!("`{param}` {what}")).about(param)
}

/// Where a value stands, and its text if it is a string of valid Unicode.
fn read_string(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<(Span, Option<String>), Fault> {
    if cursor.peek() != b'"' {
        return Ok((cursor.value()?, None));
    }
    let quoted = cursor.string()?;
    Ok((quoted.span, quoted.decode(body).map(Cow::into_owned)))
}

/// Where a value stands, and its truth if it is `true`, `false` or `null`, which stands for `false`.
fn read_bool(cursor: &mut Cursor<'_>, body: &[u8]) -> Result<(Span, Option<bool>), Fault> {
    let span = cursor.value()?;
    let truth = match &body[span.start..span.end] {
        b"true" => Some(true),
        b"false" | b"null" => Some(false),
        _ => None,
    };
    Ok((span, truth))
}

/// A whole number. Anything else is the provider's to refuse.
fn read_count(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Fault> {
    let raw = cursor.raw()?;
    Ok(std::str::from_utf8(raw)
        .ok()
        .and_then(|text| text.parse().ok()))
}

/// Steps over a value and notes the strings in it that hold an image, a sound or a file.
fn note_media(
    cursor: &mut Cursor<'_>,
    key: Option<Key<'_>>,
    media: &mut Vec<Span>,
) -> Result<(), Fault> {
    match cursor.peek() {
        b'{' => cursor.members(|cursor, key| note_media(cursor, Some(key), media)),
        b'[' => cursor.elements(|cursor| note_media(cursor, key, media)),
        b'"' => {
            let quoted = cursor.string()?;
            if is_media(key, quoted.inner) {
                media.push(quoted.span);
            }
            Ok(())
        }
        _ => cursor.skip(),
    }
}

/// Whether a string is a data URL, or the bare payload of `input_audio` or `file`.
fn is_media(key: Option<Key<'_>>, text: &[u8]) -> bool {
    if text.starts_with(b"data:") {
        let head = &text[..text.len().min(DATA_URL_HEAD)];
        return memmem::find(head, b";base64,").is_some();
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-\\".contains(byte);
    text.len() >= BARE_MEDIA_MIN
        && key.is_some_and(|key| matches!(&*key.name(), b"data" | b"file_data"))
        && text[..BARE_MEDIA_MIN].iter().all(is_base64)
}
