//! The items of an answer as clients get them: the same in a stream, at its end, and in a whole answer.

use serde_json::{Map, Value, json};

use super::seal::{self, Sealed};
use crate::chat::{Logprob, Part, Signed, ToolCall};
use crate::protocol::tree::set;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Function,
    Custom,
}

impl Kind {
    /// The kind of item that a call is.
    pub(super) fn of_call(call: &ToolCall) -> Kind {
        if call.custom {
            Kind::Custom
        } else {
            Kind::Function
        }
    }

    /// The id of the item at `index` of the answer with this id.
    pub(super) fn id(self, reply: &str, index: usize) -> String {
        let prefix = match self {
            Kind::Message => "msg",
            Kind::Reasoning => "rs",
            Kind::Function => "fc",
            Kind::Custom => "ctc",
        };
        format!("{prefix}_{reply}{index}")
    }
}

/// A message.
pub(super) fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({
        "type": "message",
        "id": id,
        "status": status,
        "role": "assistant",
        "content": content,
    })
}

/// A text within a message.
pub(super) fn text(text: &str, logprobs: &[Value]) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs})
}

/// A refusal within a message.
pub(super) fn refusal(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// The summary of what was thought. There is one, as signatures hold only for the whole text.
pub(super) fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// What was thought. It goes without a status, as at the vendor.
pub(super) fn reasoning(id: &str, text: &str, sealed: Option<&Sealed>) -> Value {
    let mut item = Map::new();
    set(&mut item, "type", Some("reasoning"));
    set(&mut item, "id", Some(id));
    let summary = (!text.is_empty()).then(|| summary(text));
    set(&mut item, "summary", Some(Vec::from_iter(summary)));
    set(&mut item, "encrypted_content", sealed.map(seal::close));
    Value::Object(item)
}

/// A call with what is known of its arguments.
pub(super) fn call(id: &str, status: &str, call: &ToolCall, arguments: &str) -> Value {
    let (kind, member) = if call.custom {
        ("custom_tool_call", "input")
    } else {
        ("function_call", "arguments")
    };
    let mut item = Map::new();
    set(&mut item, "type", Some(kind));
    set(&mut item, "id", Some(id));
    set(&mut item, "call_id", Some(call.id.as_str()));
    set(&mut item, "name", Some(call.name.as_str()));
    set(&mut item, "namespace", call.namespace.as_deref());
    set(&mut item, member, Some(arguments));
    set(&mut item, "status", Some(status));
    Value::Object(item)
}

/// What proves a call has no place in it: an item of reasoning carries it, after the call and with its id.
pub(super) fn proof(call: &ToolCall) -> Option<Sealed> {
    let signed = call.signature.clone()?;
    Some(Sealed::Call(call.id.clone(), signed))
}

/// The arguments of a complete call. None at all are an empty object, unless the tool takes any text.
pub(super) fn arguments(call: &ToolCall) -> &str {
    if !call.custom && call.arguments.trim().is_empty() {
        "{}"
    } else {
        &call.arguments
    }
}

/// The event of a call whose arguments grow or are done.
pub(super) fn call_event(call: &ToolCall, what: &str) -> &'static str {
    match (call.custom, what) {
        (false, "delta") => "response.function_call_arguments.delta",
        (false, _) => "response.function_call_arguments.done",
        (true, "delta") => "response.custom_tool_call_input.delta",
        (true, _) => "response.custom_tool_call_input.done",
    }
}

/// Log probabilities of a text.
pub(super) fn logprobs(logprobs: &[Logprob]) -> Vec<Value> {
    let one = |token: &str, logprob: f64| json!({"token": token, "bytes": token.as_bytes(), "logprob": logprob});
    let written = logprobs.iter().map(|item| {
        let mut written = one(&item.token, item.logprob);
        let top = item.top.iter().map(|(token, logprob)| one(token, *logprob));
        written["top_logprobs"] = top.collect();
        written
    });
    written.collect()
}

/// All items of a whole answer.
pub(super) fn items(parts: Vec<Part>, logprobs_of_text: &[Logprob], reply: &str) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    // Texts that follow each other are one message.
    let mut content: Vec<Value> = Vec::new();
    // They are told for all texts together; clients find them in the first.
    let mut logprobs = logprobs(logprobs_of_text);
    for part in parts {
        match part {
            Part::Text(said) => content.push(text(&said, &std::mem::take(&mut logprobs))),
            Part::Refusal(said) => content.push(refusal(&said)),
            Part::Thinking { text, signature } => {
                end_message(&mut items, &mut content, reply);
                let id = Kind::Reasoning.id(reply, items.len());
                let sealed = signature.map(Sealed::Thought);
                items.push(reasoning(&id, &text, sealed.as_ref()));
            }
            Part::Redacted(signed) => {
                end_message(&mut items, &mut content, reply);
                items.push(redacted(signed, reply, items.len()));
            }
            Part::Call(made) => {
                end_message(&mut items, &mut content, reply);
                let id = Kind::of_call(&made).id(reply, items.len());
                items.push(call(&id, "completed", &made, arguments(&made)));
                if let Some(proof) = proof(&made) {
                    let id = Kind::Reasoning.id(reply, items.len());
                    items.push(reasoning(&id, "", Some(&proof)));
                }
            }
            // No part of an answer.
            Part::Media(_) | Part::Result(_) => {}
        }
    }
    end_message(&mut items, &mut content, reply);
    items
}

fn redacted(signed: Signed, reply: &str, index: usize) -> Value {
    let id = Kind::Reasoning.id(reply, index);
    reasoning(&id, "", Some(&Sealed::Redacted(signed)))
}

fn end_message(items: &mut Vec<Value>, content: &mut Vec<Value>, reply: &str) {
    if !content.is_empty() {
        let id = Kind::Message.id(reply, items.len());
        items.push(message(&id, "completed", std::mem::take(content)));
    }
}
