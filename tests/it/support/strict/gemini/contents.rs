//! What was said: turns, calls and their responses, signatures.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::super::{Checked, base64, ensure, list, object, one_of, text};
use super::function_name;

/// What stands for a signature that nobody has.
const DUMMY: &str = "skip_thought_signature_validator";

pub fn contents(contents: &[Value]) -> Checked {
    let is_model = |content: &Value| content["role"] == "model";
    ensure(
        !is_model(&contents[0]),
        "contents",
        "begin with the model's",
    )?;
    ensure(
        !contents.last().is_some_and(is_model),
        "contents",
        "end with the model's",
    )?;
    let says = |content: &Value| {
        let parts = content["parts"].as_array();
        parts.is_some_and(|parts| {
            parts
                .iter()
                .any(|part| part.get("functionResponse").is_none())
        })
    };
    // Signatures are asked for since the user last said something.
    let begun = contents
        .iter()
        .rposition(|content| !is_model(content) && says(content));
    let mut open: Vec<(&Value, &Value)> = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let at = &format!("contents[{index}]");
        object(content, at, &["role", "parts"])?;
        if let Some(role) = content.get("role") {
            one_of(role, at, &["user", "model", "function"])?;
        }
        let parts = list(&content["parts"], at)?;
        let mut answered = Vec::new();
        let mut called = Vec::new();
        for part in parts {
            self::part(part, is_model(content), at)?;
            if let Some(call) = part.get("functionCall") {
                let signed = part.get("thoughtSignature").is_some();
                let needed = called.is_empty() && begun.is_some_and(|begun| index > begun);
                ensure(
                    signed || !needed,
                    at,
                    "functionCall is missing a thought_signature",
                )?;
                called.push((&call["name"], &call["id"]));
            }
            if let Some(response) = part.get("functionResponse") {
                answered.push((&response["name"], &response["id"]));
            }
        }
        ensure(
            answered == open,
            at,
            &format!("function responses {answered:?} are not those of the calls {open:?}"),
        )?;
        open = called;
    }
    ensure(open.is_empty(), "contents", "end with calls")
}

fn part(part: &Value, of_model: bool, at: &str) -> Checked {
    const DATA: [&str; 7] = [
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
    ];
    let known = [
        &DATA[..],
        &[
            "thought",
            "thoughtSignature",
            "videoMetadata",
            "mediaResolution",
        ],
    ]
    .concat();
    let members = object(part, at, &known)?;
    let kinds = DATA
        .iter()
        .filter(|kind| members.contains_key(**kind))
        .count();
    ensure(kinds == 1, at, "a part is of exactly one kind")?;
    if let Some(signature) = part.get("thoughtSignature") {
        ensure(of_model, at, "the user signs nothing")?;
        ensure(
            is_signature(signature),
            at,
            &format!("invalid thought_signature {signature}"),
        )?;
    } else if let Some(said) = part.get("text") {
        ensure(
            said.as_str().is_some_and(|said| !said.is_empty()),
            at,
            "has an empty text",
        )?;
    }
    if let Some(data) = part.get("inlineData") {
        object(data, at, &["mimeType", "data", "displayName"])?;
        text(&data["mimeType"], at)?;
        let url_safe = URL_SAFE.decode(text(&data["data"], at)?).is_ok();
        ensure(
            url_safe || base64(&data["data"], at).is_ok(),
            at,
            "is no base64",
        )?;
    }
    if let Some(call) = part.get("functionCall") {
        ensure(of_model, at, "the user calls nothing")?;
        object(call, at, &["id", "name", "args"])?;
        function_name(&call["name"])?;
        ensure(
            call["args"].is_object() || call["args"].is_null(),
            at,
            "args are no object",
        )?;
    }
    if let Some(response) = part.get("functionResponse") {
        ensure(!of_model, at, "the model responds to nothing")?;
        object(
            response,
            at,
            &[
                "id",
                "name",
                "response",
                "parts",
                "willContinue",
                "scheduling",
            ],
        )?;
        function_name(&response["name"])?;
        ensure(
            response["response"].is_object(),
            at,
            "response is no object",
        )?;
    }
    Ok(())
}

/// Whether it is what the recorded answers hold, in either alphabet, or the stand-in.
fn is_signature(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    text == DUMMY
        || decoded
            .is_ok_and(|bytes| bytes == DUMMY.as_bytes() || bytes.starts_with(b"\x0a\x96\x01"))
}
