//! The items of a provider's answer.

use serde_json::Value;

use crate::chat::{Finish, FinishReason, Logprob, Part, Signed, ToolCall, Vendor};

/// Where in an item a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    /// A part of a message's content, by its index.
    Content(u64),
    /// The item itself.
    Whole,
}

/// A part of an item.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) slot: Slot,
    pub(super) part: Part,
    pub(super) logprobs: Vec<Logprob>,
}

/// The parts of a complete item; none if it is nothing that we know.
pub(super) fn parts(item: &Value) -> Vec<Placed> {
    let whole = |part: Part| {
        vec![Placed {
            slot: Slot::Whole,
            part,
            logprobs: Vec::new(),
        }]
    };
    match text(&item["type"]) {
        "message" => content(&item["content"]),
        "reasoning" => match thinking(item) {
            Some(part) => whole(part),
            None => Vec::new(),
        },
        "function_call" | "custom_tool_call" => {
            let mut call = call(item);
            call.arguments = match (call.custom, &item["arguments"]) {
                (true, _) => text(&item["input"]).to_owned(),
                (false, Value::String(arguments)) => arguments.clone(),
                (false, Value::Null) => String::new(),
                // Text by the book, but some servers send the object.
                (false, object) => object.to_string(),
            };
            whole(Part::Call(call))
        }
        _ => Vec::new(),
    }
}

/// A call without its arguments.
pub(super) fn call(item: &Value) -> ToolCall {
    let id = item["call_id"].as_str().or(item["id"].as_str());
    ToolCall {
        id: id.unwrap_or_default().to_owned(),
        name: text(&item["name"]).to_owned(),
        namespace: item["namespace"].as_str().map(str::to_owned),
        arguments: String::new(),
        custom: item["type"] == "custom_tool_call",
        signature: None,
    }
}

fn content(content: &Value) -> Vec<Placed> {
    let parts = content.as_array().map_or(&[][..], Vec::as_slice);
    let placed = parts.iter().zip(0..).filter_map(|(part, index)| {
        let part_of = |name: &str| part[name].as_str().map(str::to_owned);
        Some(Placed {
            slot: Slot::Content(index),
            part: match text(&part["type"]) {
                "output_text" | "text" => Part::Text(part_of("text")?),
                "refusal" => Part::Refusal(part_of("refusal")?),
                _ => return None,
            },
            logprobs: logprobs(&part["logprobs"]),
        })
    });
    placed.collect()
}

/// What was thought: in full by open models, in summary by the vendor's own, or unreadable.
fn thinking(item: &Value) -> Option<Part> {
    let texts = |name: &str| {
        let parts = item[name].as_array().map_or(&[][..], Vec::as_slice);
        let texts: Vec<&str> = parts.iter().map(|part| text(&part["text"])).collect();
        texts.join("\n\n")
    };
    let mut text = texts("summary");
    if text.is_empty() {
        text = texts("content");
    }
    let sealed = item["encrypted_content"].as_str();
    let signature = sealed.filter(|blob| !blob.is_empty()).map(|blob| Signed {
        origin: Vendor::OpenAi,
        blob: blob.to_owned(),
    });
    let says_something = !text.is_empty() || signature.is_some();
    says_something.then_some(Part::Thinking { text, signature })
}

/// Log probabilities of a text.
pub(super) fn logprobs(list: &Value) -> Vec<Logprob> {
    let elements = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let read = |item: &Value| {
        Some((
            item["token"].as_str()?.to_owned(),
            item["logprob"].as_f64()?,
        ))
    };
    let items = elements(list).into_iter().filter_map(|item| {
        let (token, logprob) = read(&item)?;
        let top = elements(&item["top_logprobs"]);
        Some(Logprob {
            token,
            logprob,
            top: top.iter().filter_map(read).collect(),
        })
    });
    items.collect()
}

/// Why an answer ended, which is to say: in what state it is.
pub(super) fn finish(response: &Value, has_calls: bool) -> Finish {
    let reason = match text(&response["status"]) {
        "incomplete" => match text(&response["incomplete_details"]["reason"]) {
            "content_filter" => FinishReason::Filter,
            _ => FinishReason::Length,
        },
        _ if has_calls => FinishReason::ToolUse,
        _ => FinishReason::Stop,
    };
    reason.into()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
