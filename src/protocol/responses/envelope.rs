//! The object around an answer, which repeats much of the request.

use serde_json::{Map, Value, json};

use super::error;
use crate::chat::{Failure, FinishReason, Usage};
use crate::protocol::codec::Reply;
use crate::protocol::responses::usage;

/// What is the same in every state of an answer.
#[derive(Debug)]
pub(super) struct Envelope {
    id: String,
    created: i64,
    model: String,
    asked: Map<String, Value>,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum State<'a> {
    /// It has begun.
    Running,
    /// It has ended.
    Ended(FinishReason, Option<Usage>),
    /// It was ended by this.
    Failed(&'a Failure, Option<Usage>),
}

impl Envelope {
    /// For this reply. Reads the client's request.
    pub(super) fn new(reply: &Reply) -> Envelope {
        // It was read before, and is of interest for what it says alone.
        let asked = match serde_json::from_slice(&reply.asked) {
            Ok(Value::Object(asked)) => asked,
            _ => Map::new(),
        };
        Envelope {
            id: format!("resp_{}", reply.id),
            created: reply.created,
            model: reply.model.clone(),
            asked,
        }
    }

    /// The answer in this state.
    pub(super) fn write(&self, state: State<'_>, output: &[Value]) -> Value {
        let (status, error, reason, usage) = match state {
            State::Running => ("in_progress", Value::Null, None, Value::Null),
            State::Ended(finish, usage) => {
                let reason = unfinished(finish);
                let status = if reason.is_some() {
                    "incomplete"
                } else {
                    "completed"
                };
                (status, Value::Null, reason, usage::write(usage))
            }
            State::Failed(failure, usage) => {
                let usage = usage.map_or(Value::Null, |usage| usage::write(Some(usage)));
                ("failed", error::object(failure), None, usage)
            }
        };
        json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": false,
            "error": error,
            "incomplete_details": reason.map(|reason| json!({"reason": reason})),
            "instructions": self.asked("instructions"),
            "max_output_tokens": self.asked("max_output_tokens"),
            "model": self.model,
            "output": output,
            "parallel_tool_calls": self.or("parallel_tool_calls", Value::is_boolean, true),
            // We keep nothing, whatever was asked.
            "previous_response_id": null,
            "reasoning": self.or("reasoning", Value::is_object, json!({"effort": null, "summary": null})),
            "store": false,
            "temperature": self.asked("temperature"),
            "text": self.or("text", Value::is_object, json!({"format": {"type": "text"}})),
            "tool_choice": self.or("tool_choice", |choice| choice.is_string() || choice.is_object(), "auto"),
            "tools": self.or("tools", Value::is_array, json!([])),
            "top_logprobs": self.or("top_logprobs", Value::is_number, 0),
            "top_p": self.asked("top_p"),
            "truncation": "disabled",
            "usage": usage,
            "user": self.asked("user"),
            "metadata": self.or("metadata", Value::is_object, json!({})),
        })
    }

    /// A member of the request, or `null`.
    fn asked(&self, name: &str) -> Value {
        self.asked.get(name).cloned().unwrap_or_default()
    }

    /// A member of the request if it is what clients' libraries insist on, else the default.
    fn or(&self, name: &str, fits: fn(&Value) -> bool, default: impl Into<Value>) -> Value {
        let asked = self.asked.get(name).filter(|value| fits(value));
        asked.cloned().unwrap_or_else(|| default.into())
    }
}

/// Why an answer is not whole, if it is not.
pub(super) fn unfinished(reason: FinishReason) -> Option<&'static str> {
    match reason {
        FinishReason::Length | FinishReason::ContextFull => Some("max_output_tokens"),
        FinishReason::Filter => Some("content_filter"),
        FinishReason::Stop
        | FinishReason::StopSequence
        | FinishReason::ToolUse
        | FinishReason::Pause => None,
    }
}
