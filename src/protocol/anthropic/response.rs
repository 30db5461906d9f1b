//! Whole answers.

use serde_json::{Map, Value, json};

use super::{ending, finish_of, sign, usage};
use crate::chat::{Failure, Part, Response, Signed, ToolCall, Vendor};
use crate::protocol::{Reply, error, tree};

/// What a provider answers.
///
/// # Errors
/// It reports an error although it says that all went well, or what it sends is no message.
pub(crate) fn decode_response(body: Value) -> Result<Response, Failure> {
    if is_error(&body) {
        return Err(error::reported(body.to_string().as_bytes()));
    }
    let told = |name: &str| body.get(name).is_some_and(|value| !value.is_null());
    if !told("content") && !told("stop_reason") {
        return Err(Failure::upstream("upstream's answer is no message"));
    }
    let mut counts = usage::Counts::default();
    counts.take(&body["usage"]);
    let mut response = Response {
        finish: finish_of(
            body["stop_reason"].as_str().unwrap_or_default(),
            body["stop_sequence"].as_str(),
        ),
        usage: counts.total(),
        ..Response::default()
    };
    response.parts = match &body["content"] {
        Value::Array(blocks) => blocks.iter().filter_map(part).collect(),
        Value::String(text) if !text.is_empty() => vec![Part::text(text)],
        _ => Vec::new(),
    };
    response.settle_finish();
    Ok(response)
}

/// What a client is answered.
pub(crate) fn encode_response(mut response: Response, reply: &Reply) -> Value {
    response.settle_finish();
    let mut message = head(reply);
    let content = response.parts.into_iter().flat_map(blocks);
    message.insert("content".into(), content.collect());
    for (name, value) in ending(&response.finish) {
        message.insert(name.into(), value);
    }
    message.insert("usage".into(), usage::write(response.usage));
    message.into()
}

/// What a message is before anything is said in it.
pub(super) fn head(reply: &Reply) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), format!("msg_{}", reply.id).into()),
        ("type".to_owned(), "message".into()),
        ("role".to_owned(), "assistant".into()),
        ("model".to_owned(), reply.model.as_str().into()),
        ("content".to_owned(), json!([])),
    ])
}

/// Whether it is an error that stands where an answer should. Servers that imitate the dialect may send another
/// vendor's error.
pub(super) fn is_error(said: &Value) -> bool {
    said["type"] == "error" || said.get("error").is_some_and(|error| !error.is_null())
}

/// What the vendor made and only the vendor can use; `None` where servers that make nothing send an empty text.
pub(super) fn own(blob: &Value) -> Option<Signed> {
    let blob = blob.as_str().filter(|blob| !blob.is_empty())?;
    Some(Signed {
        origin: Vendor::Anthropic,
        blob: blob.to_owned(),
    })
}

/// A block of an answer. The blocks of tools that run at the vendor have no counterpart, and we never offer those.
fn part(block: &Value) -> Option<Part> {
    let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
    match block["type"].as_str()? {
        "text" => Some(text("text"))
            .filter(|text| !text.is_empty())
            .map(Part::Text),
        "thinking" => Some(Part::Thinking {
            text: text("thinking"),
            signature: own(&block["signature"]),
        }),
        "redacted_thinking" => own(&block["data"]).map(Part::Redacted),
        "tool_use" => Some(Part::Call(ToolCall {
            id: text("id"),
            name: text("name"),
            arguments: input(&block["input"]),
            ..ToolCall::default()
        })),
        _ => None,
    }
}

/// The arguments of a call as text.
pub(super) fn input(input: &Value) -> String {
    match input {
        Value::Null => "{}".to_owned(),
        // Some servers forget to parse what their model wrote.
        Value::String(text) if text.trim().is_empty() => "{}".to_owned(),
        Value::String(text) => text.clone(),
        input => input.to_string(),
    }
}

/// What a part of an answer looks like. A text of nothing but blanks, which some models write before their calls,
/// would be refused when the client sends it back.
fn blocks(part: Part) -> Vec<Value> {
    match part {
        Part::Text(text) | Part::Refusal(text) if !text.trim().is_empty() => {
            vec![json!({"type": "text", "text": text})]
        }
        Part::Thinking { text, signature } if !text.is_empty() || signature.is_some() => {
            let signature = signature.as_ref().map(sign::of_thoughts);
            vec![json!({
                "type": "thinking",
                "thinking": text,
                "signature": signature.unwrap_or_default(),
            })]
        }
        Part::Redacted(signed) => vec![sign::redacted(&signed)],
        Part::Call(call) => {
            let proof = call.signature.as_ref();
            let proof = proof.and_then(|signed| sign::of_call(&call.id, signed));
            let input = tree::arguments(&call.arguments);
            let call =
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input});
            proof.into_iter().chain([call]).collect()
        }
        _ => Vec::new(),
    }
}
