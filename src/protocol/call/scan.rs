//! One pass over a body that builds no tree: finds what must be known, and where it stands.

use std::borrow::Cow;

use memchr::memmem;

use super::edit::Options;
use crate::protocol::dialect::Protocol;
use crate::protocol::endpoint::Endpoint;
use crate::protocol::estimate::{MEDIA_TOKENS, Tally};
use crate::protocol::json::{Cursor, Fault, Key, Span, is_truthy};
use crate::protocol::openai;

/// How far into a string the `;base64,` of a data URL may be.
const DATA_URL_HEAD: usize = 128;

/// The least length of a bare base64 string that we take for a sound or a file.
const BARE_MEDIA_MIN: usize = 64;

/// What one pass over the body finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) is_object: bool,
    pub(super) model: Option<(Span, Option<String>)>,
    pub(super) stream: Option<(Span, Option<bool>)>,
    pub(super) options: Option<Options>,
    pub(super) max_tokens: Option<Option<u64>>,
    pub(super) max_completion_tokens: Option<Option<u64>>,
    pub(super) choices: Option<Option<u64>>,
    /// How many prompts there are: a legacy completion may have a list of them, each with choices of its own.
    pub(super) prompts: u64,
    pub(super) prompt: Tally,
    /// Tokens of the prompt that are not text.
    pub(super) other_tokens: u64,
    /// A member that refers to what a provider keeps (Responses).
    pub(super) state: Option<&'static str>,
    /// Whether some call has `extra_content`, which Google's servers alone know.
    pub(super) extra_content: bool,
    pub(super) duplicate: Option<&'static str>,
    /// A name that is given in other letters than small ones.
    pub(super) miswritten: Option<&'static str>,
}

impl Found {
    pub(super) fn read(endpoint: Endpoint, body: &[u8]) -> Result<Found, Fault> {
        let mut found = Found::default();
        let mut cursor = Cursor::new(body);
        if cursor.peek() == b'{' {
            found.is_object = true;
            let streams = endpoint.streams_by_body();
            // Gemini's URLs name the model.
            let names_model = endpoint.protocol() != Protocol::Gemini;
            cursor.members(|cursor, key| match &*key.name() {
                b"model" if names_model => {
                    let model = read_string(cursor, body)?;
                    found.once("model", |found| &mut found.model, model);
                    Ok(())
                }
                b"stream" if streams => {
                    let stream = read_bool(cursor, body)?;
                    found.once("stream", |found| &mut found.stream, stream);
                    Ok(())
                }
                b"stream_options" if matches!(endpoint, Endpoint::OpenAi(_)) && streams => {
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
                b"max_completion_tokens" | b"max_output_tokens" => {
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
                    if endpoint == Endpoint::OpenAi(openai::Endpoint::Completions) {
                        found.prompts = items;
                    }
                    Ok(())
                }
                b"messages"
                | b"input"
                | b"contents"
                | b"tools"
                | b"system"
                | b"instructions"
                | b"systemInstruction"
                | b"system_instruction"
                | b"suffix"
                | b"functions"
                | b"response_format"
                | b"content"
                | b"requests"
                | b"documents"
                | b"query"
                | b"generateContentRequest" => found.prompt(cursor, body).map(drop),
                b"generationConfig" | b"generation_config" if cursor.peek() == b'{' => {
                    found.generation_config(cursor)
                }
                b"previous_response_id" | b"conversation" if endpoint == Endpoint::Responses => {
                    if is_truthy(cursor.raw()?) {
                        found.state = Some(match &*key.name() {
                            b"conversation" => "conversation",
                            _ => "previous_response_id",
                        });
                    }
                    Ok(())
                }
                name => {
                    // Some servers do not tell `Model` from `model`, and would take another model than
                    // the one that was chosen, or stream unasked.
                    if names_model && is_other_case(name, b"model") {
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

    /// Gemini's place for the bound on the answer.
    fn generation_config(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        cursor.members(|cursor, key| {
            match &*key.name() {
                b"maxOutputTokens" | b"max_output_tokens" => {
                    self.max_tokens = Some(read_count(cursor)?);
                }
                b"candidateCount" | b"candidate_count" => self.choices = Some(read_count(cursor)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })
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
        let mut notes = Notes::default();
        let mut items = 0;
        if is_list {
            cursor.elements(|cursor| {
                items += u64::from(matches!(cursor.peek(), b'"' | b'['));
                note_media(cursor, None, &mut notes)
            })?;
        } else {
            note_media(cursor, None, &mut notes)?;
        }
        self.extra_content |= notes.extra_content;
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
        for span in notes.media {
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

/// What is noted of a value.
#[derive(Default)]
struct Notes {
    /// Strings that hold an image, a sound or a file.
    media: Vec<Span>,
    extra_content: bool,
}

/// Steps over a value and notes the strings in it that hold an image, a sound or a file.
fn note_media(
    cursor: &mut Cursor<'_>,
    key: Option<Key<'_>>,
    notes: &mut Notes,
) -> Result<(), Fault> {
    match cursor.peek() {
        b'{' => cursor.members(|cursor, key| {
            notes.extra_content |= key.is(b"extra_content");
            note_media(cursor, Some(key), notes)
        }),
        b'[' => cursor.elements(|cursor| note_media(cursor, key, notes)),
        b'"' => {
            let quoted = cursor.string()?;
            if is_media(key, quoted.inner) {
                notes.media.push(quoted.span);
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
