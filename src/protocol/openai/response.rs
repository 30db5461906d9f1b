//! Whole chat answers, to and from the common language.

use serde_json::{Map, Value, json};

use super::encode::tool_call;
use super::usage;
use crate::chat::{Failure, Finish, FinishReason, Logprob, Part, Response, ToolCall, Vendor};
use crate::protocol::codec::Reply;
use crate::protocol::error;
use crate::protocol::json::is_truthy;
use crate::protocol::signature::unwrap;

/// Reads a provider's answer.
///
/// # Errors
/// It is an error, or no answer.
pub(crate) fn decode_response(body: Value) -> Result<Response, Failure> {
    let choice = &body["choices"][0];
    if is_error(&body) || is_error(choice) || body.is_array() {
        return Err(error::reported(body.to_string().as_bytes()));
    }
    if !choice.is_object() {
        return Err(Failure::upstream("upstream's answer has no `choices`"));
    }
    let message = &choice["message"];
    let mut parts = Vec::new();
    let thought = ["reasoning_content", "reasoning"]
        .iter()
        .find_map(|name| text(&message[*name]));
    parts.extend(thought.map(|text| Part::Thinking {
        text,
        signature: None,
    }));
    match &message["content"] {
        Value::Array(pieces) => parts.extend(pieces.iter().filter_map(content_part)),
        other => parts.extend(text(other).map(Part::Text)),
    }
    parts.extend(text(&message["refusal"]).map(Part::Refusal));
    let calls = message["tool_calls"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    parts.extend(calls.iter().map(|call| Part::Call(self::call(call))));
    if message["function_call"].is_object() {
        let whole = json!({ "function": message["function_call"] });
        parts.push(Part::Call(call(&whole)));
    }
    let mut response = Response {
        parts,
        logprobs: logprobs(&choice["logprobs"]),
        finish: finish(choice["finish_reason"].as_str().unwrap_or_default()),
        usage: usage::of_tree(&body["usage"]),
    };
    response.settle_finish();
    Ok(response)
}

/// Whether an answer, a chunk or a choice tells of an error.
pub(super) fn is_error(holder: &Value) -> bool {
    let told = holder
        .get("error")
        .is_some_and(|error| is_truthy(error.to_string().as_bytes()));
    told || holder["object"] == "error" || holder["finish_reason"] == "error"
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn content_part(part: &Value) -> Option<Part> {
    match part["type"].as_str() {
        Some("refusal") => text(&part["refusal"]).map(Part::Refusal),
        _ => text(&part["text"]).map(Part::Text),
    }
}

fn call(call: &Value) -> ToolCall {
    let (body, custom, name) = body(call);
    ToolCall {
        id: text(&call["id"]).unwrap_or_default(),
        name: text(&body["name"]).unwrap_or_default(),
        arguments: arguments(&body[name]),
        custom,
        namespace: None,
        signature: signature(call),
    }
}

/// What is called, whether that takes text, and under which name its input stands. Some servers write `null` for
/// the kind that it is not.
pub(super) fn body(call: &Value) -> (&Value, bool, &'static str) {
    match &call["custom"] {
        custom @ Value::Object(_) => (custom, true, "input"),
        _ => (&call["function"], false, "arguments"),
    }
}

/// Google's signature of a call, where its servers of this dialect have it.
pub(super) fn signature(call: &Value) -> Option<crate::chat::Signed> {
    let blob = call["extra_content"]["google"]["thought_signature"].as_str()?;
    (!blob.is_empty()).then(|| unwrap(blob, Vendor::Google))
}

/// Arguments are text. Some servers send the object instead.
pub(super) fn arguments(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What a `finish_reason` means. Unknown ones are taken for a good end.
pub(super) fn finish(reason: &str) -> Finish {
    match reason {
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolUse,
        "content_filter" => FinishReason::Filter,
        _ => FinishReason::Stop,
    }
    .into()
}

/// The `finish_reason` for an end.
pub(super) fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::Pause => "stop",
        FinishReason::Length | FinishReason::ContextFull => "length",
        FinishReason::ToolUse => "tool_calls",
        FinishReason::Filter => "content_filter",
    }
}

/// Log probabilities of a choice or a chunk.
pub(super) fn logprobs(value: &Value) -> Vec<Logprob> {
    let entry = |value: &Value| {
        let token = value["token"].as_str()?.to_owned();
        Some((token, value["logprob"].as_f64()?))
    };
    let content = value["content"].as_array().map_or(&[][..], Vec::as_slice);
    let entries = content.iter().filter_map(|item| {
        let (token, logprob) = entry(item)?;
        let top = item["top_logprobs"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        Some(Logprob {
            token,
            logprob,
            top: top.iter().filter_map(entry).collect(),
        })
    });
    entries.collect()
}

/// The same, written; `null` for none.
pub(super) fn write_logprobs(logprobs: &[Logprob]) -> Value {
    if logprobs.is_empty() {
        return Value::Null;
    }
    let entry = |token: &str, logprob: f64| json!({ "token": token, "logprob": logprob, "bytes": token.as_bytes() });
    let content = logprobs.iter().map(|item| {
        let mut value = entry(&item.token, item.logprob);
        let top = item
            .top
            .iter()
            .map(|(token, logprob)| entry(token, *logprob));
        value["top_logprobs"] = top.collect();
        value
    });
    json!({ "content": content.collect::<Value>(), "refusal": null })
}

/// Writes an answer for a client.
pub(crate) fn encode_response(response: Response, reply: &Reply) -> Value {
    let (mut said, mut thought, mut refusal) = (String::new(), String::new(), String::new());
    let mut calls = Vec::new();
    for part in &response.parts {
        match part {
            Part::Text(text) => said.push_str(text),
            Part::Thinking { text, .. } => thought.push_str(text),
            Part::Refusal(text) => refusal.push_str(text),
            Part::Call(call) => calls.push(tool_call(call)),
            Part::Redacted(_) | Part::Media(_) | Part::Result(_) => {}
        }
    }
    let some = |text: String| match text.is_empty() {
        true => Value::Null,
        false => text.into(),
    };
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let content = match calls.is_empty() && refusal.is_empty() {
        true => said.into(),
        false => some(said),
    };
    message.insert("content".into(), content);
    message.insert("refusal".into(), some(refusal));
    if !thought.is_empty() {
        message.insert("reasoning_content".into(), thought.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    let mut body = Map::new();
    body.insert("id".into(), format!("chatcmpl-{}", reply.id).into());
    body.insert("object".into(), "chat.completion".into());
    body.insert("created".into(), reply.created.into());
    body.insert("model".into(), reply.model.clone().into());
    body.insert(
        "choices".into(),
        json!([{
            "index": 0,
            "message": message,
            "logprobs": write_logprobs(&response.logprobs),
            "finish_reason": finish_reason(response.finish.reason),
        }]),
    );
    if let Some(usage) = &response.usage {
        body.insert("usage".into(), usage::to_tree(usage));
    }
    Value::Object(body)
}
