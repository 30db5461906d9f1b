//! A conversation as the items that a provider is to get.
//!
//! Items have no ids here: a provider insists on ids that it gave itself, and is content without any.

use serde_json::{Map, Value, json};

use super::content;
use crate::chat::{Failure, Part, Role, Signed, ToolCall, ToolResult, Turn, Vendor};
use crate::protocol::tree::set;

/// Writes the items of a conversation.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: Vec<Value>,
    /// A message that is not yet complete, and whose it is.
    message: Option<(&'static str, Vec<Value>)>,
    /// What was left out.
    dropped: Vec<&'static str>,
}

impl Items {
    /// Adds a turn.
    pub(super) fn turn(&mut self, turn: &Turn) -> Result<(), Failure> {
        for part in &turn.parts {
            match turn.role {
                Role::Assistant => self.said(part)?,
                Role::User => self.asked("user", part)?,
                Role::System => self.asked("developer", part)?,
            }
        }
        self.end_message();
        Ok(())
    }

    /// Adds instructions.
    pub(super) fn instruct(&mut self, system: &[String]) {
        for text in system {
            self.speak("developer", content::text(text));
        }
        self.end_message();
    }

    /// All of them, and what was left out.
    pub(super) fn finish(self) -> (Vec<Value>, Vec<&'static str>) {
        (self.items, self.dropped)
    }

    /// A part of what the model said.
    fn said(&mut self, part: &Part) -> Result<(), Failure> {
        match part {
            Part::Text(text) => {
                self.speak("assistant", json!({"type": "output_text", "text": text}))
            }
            Part::Refusal(text) => {
                self.speak("assistant", json!({"type": "refusal", "refusal": text}))
            }
            Part::Thinking {
                text,
                signature: Some(signed),
            } => self.reasoning(text, signed),
            Part::Redacted(signed) => self.reasoning("", signed),
            // Nobody takes thoughts without proof.
            Part::Thinking {
                signature: None, ..
            } => self.drop("thinking"),
            Part::Call(call) => self.add(self::call(call)),
            // The model's own messages hold text alone: what it drew is shown to it again.
            Part::Media(media) => self.speak("user", content::encode(media)?),
            Part::Result(result) => self.result(result)?,
        }
        Ok(())
    }

    /// A part of what somebody else said.
    fn asked(&mut self, role: &'static str, part: &Part) -> Result<(), Failure> {
        match part {
            Part::Text(text) | Part::Refusal(text) => self.speak(role, content::text(text)),
            Part::Media(media) => self.speak(role, content::encode(media)?),
            Part::Result(result) => self.result(result)?,
            Part::Call(call) => self.add(self::call(call)),
            Part::Thinking { .. } | Part::Redacted(_) => self.drop("thinking"),
        }
        Ok(())
    }

    fn reasoning(&mut self, text: &str, signed: &Signed) {
        if signed.origin != Vendor::OpenAi {
            self.drop("thinking");
            return;
        }
        let mut summary = Vec::new();
        if !text.is_empty() {
            summary.push(json!({"type": "summary_text", "text": text}));
        }
        self.add(json!({
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": signed.blob,
        }));
    }

    fn result(&mut self, result: &ToolResult) -> Result<(), Failure> {
        if result.is_error {
            self.drop("is_error");
        }
        let kind = if result.custom {
            "custom_tool_call_output"
        } else {
            "function_call_output"
        };
        let output = output(result)?;
        self.add(json!({"type": kind, "call_id": result.id, "output": output}));
        Ok(())
    }

    /// Adds to the message of this role, or begins it.
    fn speak(&mut self, role: &'static str, part: Value) {
        match &mut self.message {
            Some((open, parts)) if *open == role => parts.push(part),
            _ => {
                self.end_message();
                self.message = Some((role, vec![part]));
            }
        }
    }

    fn add(&mut self, item: Value) {
        self.end_message();
        self.items.push(item);
    }

    fn end_message(&mut self) {
        if let Some((role, content)) = self.message.take() {
            let message = json!({"type": "message", "role": role, "content": content});
            self.items.push(message);
        }
    }

    fn drop(&mut self, name: &'static str) {
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
    }
}

fn call(call: &ToolCall) -> Value {
    let mut item = Map::new();
    let (kind, member) = if call.custom {
        ("custom_tool_call", "input")
    } else {
        ("function_call", "arguments")
    };
    let arguments = match call.arguments.as_str() {
        empty if !call.custom && empty.trim().is_empty() => "{}",
        arguments => arguments,
    };
    set(&mut item, "type", Some(kind));
    set(&mut item, "call_id", Some(call.id.as_str()));
    set(&mut item, "name", Some(call.name.as_str()));
    set(&mut item, "namespace", call.namespace.as_deref());
    set(&mut item, member, Some(arguments));
    Value::Object(item)
}

/// What a tool said: text, unless there is more than that. Not every server knows the array.
fn output(result: &ToolResult) -> Result<Value, Failure> {
    let texts: Option<Vec<&str>> = result.content.iter().map(plain).collect();
    if let Some(texts) = texts {
        let text = texts.join("\n\n");
        // There is no field for it: a failure without a word would pass for success.
        let is_mute = result.is_error && text.is_empty();
        return Ok(if is_mute {
            "Error: ".into()
        } else {
            text.into()
        });
    }
    let mut parts = Vec::new();
    for part in &result.content {
        match part {
            Part::Media(media) => parts.push(content::encode(media)?),
            other => parts.extend(plain(other).map(content::text)),
        }
    }
    Ok(parts.into())
}

fn plain(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) | Part::Refusal(text) => Some(text),
        _ => None,
    }
}
