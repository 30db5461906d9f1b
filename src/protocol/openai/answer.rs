//! Judging a whole answer: status 200 alone is not success.
//!
//! Not here: whether the answer is any good. A provider may say nothing in proper form.

use super::chunk::{is_error_object, is_error_reason};
use super::{Endpoint, usage};
use crate::chat::{Failure, Usage};
use crate::protocol::error;
use crate::protocol::json::{Cursor, Fault, is_truthy};

/// What the members of an answer say about it.
#[derive(Default)]
struct Found {
    is_object: bool,
    is_error: bool,
    /// How many choices or vectors there are; `None` without an array of them.
    items: Option<usize>,
    usage: Option<Usage>,
}

/// Whether the body of a successful response is an answer, and what it cost if it tells.
///
/// # Errors
/// The upstream's failure when the body is anything else: nothing, a web page, damaged JSON, an error.
pub fn judge(
    endpoint: Endpoint,
    content_type: Option<&str>,
    body: &[u8],
) -> Result<Option<Usage>, Failure> {
    let fail = |what: &str| Err(Failure::upstream(what));
    expect_json(content_type, body)?;
    let found = match Found::read(endpoint, body) {
        Ok(found) => found,
        Err(fault) if fault.is_cut(body) => return fail("upstream's answer is cut off"),
        Err(_) => return fail("upstream's answer is not valid JSON"),
    };
    if found.is_error {
        return Err(error::reported(body));
    }
    match (found.items, endpoint) {
        _ if !found.is_object => fail("upstream's answer is not a JSON object"),
        (Some(0), Endpoint::Embeddings) => fail("upstream's answer holds no embedding"),
        (None, Endpoint::Embeddings) => fail("upstream's answer has no `data`"),
        (Some(0), _) => fail("upstream's answer holds no choice"),
        (None, _) => fail("upstream's answer has no `choices`"),
        (Some(_), _) => Ok(found.usage),
    }
}

/// Sorts out what is not even an attempt at an answer, and not worth being parsed.
///
/// # Errors
/// The upstream's failure when the body is empty, or a web page.
pub(crate) fn expect_json(content_type: Option<&str>, body: &[u8]) -> Result<(), Failure> {
    match body.trim_ascii_start().first() {
        None => Err(Failure::upstream("upstream answered with an empty body")),
        Some(b'<') => Err(Failure::upstream("upstream answered with a web page")),
        Some(_) if content_type.is_some_and(is_html) => {
            Err(Failure::upstream("upstream answered with a web page"))
        }
        Some(_) => Ok(()),
    }
}

impl Found {
    fn read(endpoint: Endpoint, body: &[u8]) -> Result<Found, Fault> {
        let mut found = Found::default();
        let mut cursor = Cursor::new(body);
        match cursor.peek() {
            b'{' => {
                found.is_object = true;
                found.object(endpoint, &mut cursor)?;
            }
            // Google wraps its errors in an array.
            b'[' => cursor.elements(|cursor| match cursor.peek() {
                b'{' => found.object(endpoint, cursor),
                _ => cursor.skip(),
            })?,
            _ => cursor.skip()?,
        }
        cursor.end()?;
        Ok(found)
    }

    fn object(&mut self, endpoint: Endpoint, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let items: &[u8] = match endpoint {
            Endpoint::Embeddings => b"data",
            Endpoint::ChatCompletions | Endpoint::Completions => b"choices",
        };
        cursor.members(|cursor, key| {
            match &*key.name() {
                b"error" => self.is_error |= is_truthy(cursor.raw()?),
                b"object" => self.is_error |= is_error_object(cursor.raw()?),
                b"usage" => self.usage = usage::read(cursor)?,
                name if name == items && cursor.peek() == b'[' => {
                    self.items = Some(0);
                    cursor.elements(|cursor| self.item(cursor))?;
                }
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }
}

impl Found {
    /// A choice or a vector, if it is one.
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if cursor.peek() != b'{' {
            return cursor.skip();
        }
        self.items = self.items.map(|items| items + 1);
        cursor.members(|cursor, key| {
            match &*key.name() {
                b"error" => self.is_error |= is_truthy(cursor.raw()?),
                b"finish_reason" => self.is_error |= is_error_reason(cursor.raw()?),
                _ => cursor.skip()?,
            }
            Ok(())
        })
    }
}

fn is_html(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("text/html")
        || essence.eq_ignore_ascii_case("application/xhtml+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::FailureKind;

    const CHAT: Endpoint = Endpoint::ChatCompletions;

    fn failure(body: &str) -> String {
        let failure = judge(CHAT, Some("application/json"), body.as_bytes()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadUpstream);
        failure.message
    }

    #[test]
    fn answers_pass_and_tell_their_usage() {
        let told = Some((2, 3, 5));
        for (endpoint, body, expected) in [
            (
                CHAT,
                r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}"#,
                told,
            ),
            (
                CHAT,
                " {\"usage\": null, \"error\": null, \"choices\": [{}]}\n",
                None,
            ),
            (CHAT, r#"{"choices":[{}],"error":{}}"#, None),
            (Endpoint::Completions, r#"{"choices":[{"text":""}]}"#, None),
            (
                Endpoint::Embeddings,
                r#"{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":4,"total_tokens":4}}"#,
                Some((4, 0, 4)),
            ),
        ] {
            let usage = judge(endpoint, None, body.as_bytes()).unwrap();
            assert_eq!(
                usage.map(|u| (u.input, u.output, u.total)),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_fails() {
        for (body, expected) in [
            ("", "upstream answered with an empty body"),
            (" \r\n", "upstream answered with an empty body"),
            ("<!doctype html><html>", "upstream answered with a web page"),
            ("data: {}\n\n", "upstream's answer is not valid JSON"),
            (
                "{\"choices\":[{}]} x",
                "upstream's answer is not valid JSON",
            ),
            (
                "{\"choices\":[{}]}{}",
                "upstream's answer is not valid JSON",
            ),
            ("{\"choices\":[{}", "upstream's answer is cut off"),
            (
                "{\"choices\":[{\"message\":{\"content\":\"h",
                "upstream's answer is cut off",
            ),
            (
                "{\"choices\":[{\"message\":{\"content\":\"h\\",
                "upstream's answer is cut off",
            ),
            (
                "{\"choices\":[{}],\"error\":nul",
                "upstream's answer is cut off",
            ),
            ("[]", "upstream's answer is not a JSON object"),
            ("\"ok\"", "upstream's answer is not a JSON object"),
            ("{}", "upstream's answer has no `choices`"),
            (r#"{"choices":null}"#, "upstream's answer has no `choices`"),
            (r#"{"choices":{}}"#, "upstream's answer has no `choices`"),
            (r#"{"choices":[]}"#, "upstream's answer holds no choice"),
            (r#"{"error":{"message":"overloaded"}}"#, "overloaded"),
            (r#"{"choices":[{}],"error":"overloaded"}"#, "overloaded"),
            (r#"[{"error":{"message":"overloaded"}}]"#, "overloaded"),
            (r#"{"object":"error","message":"overloaded"}"#, "overloaded"),
            (r#"{"error":true}"#, "upstream reported an error"),
            (r#"{"choices":[null]}"#, "upstream's answer holds no choice"),
            (
                r#"{"choices":[{"error":{"code":502,"message":"overloaded"},"message":{"content":""}}]}"#,
                "overloaded",
            ),
            (
                r#"{"choices":[{"finish_reason":"error","message":{"content":""}}]}"#,
                "upstream reported an error",
            ),
        ] {
            assert_eq!(failure(body), expected, "{body}");
        }
    }

    #[test]
    fn embeddings_must_hold_vectors() {
        for (body, expected) in [
            (r#"{"choices":[{}]}"#, "upstream's answer has no `data`"),
            (r#"{"data":[]}"#, "upstream's answer holds no embedding"),
        ] {
            let failure = judge(Endpoint::Embeddings, None, body.as_bytes()).unwrap_err();
            assert_eq!(failure.message, expected);
        }
    }

    #[test]
    fn a_web_page_is_known_by_its_type() {
        let failure = judge(
            CHAT,
            Some("Text/HTML; charset=utf-8"),
            b"{\"choices\":[{}]}",
        )
        .unwrap_err();
        assert_eq!(failure.message, "upstream answered with a web page");
    }
}
