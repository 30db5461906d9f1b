//! The items of a conversation, read one by one.

use std::collections::HashSet;

use serde_json::Value;

use super::content;
use crate::chat::{Failure, Part, Request, Role, Signed, ToolCall, ToolResult, Turn};
use crate::protocol::responses::seal::{self, Sealed};
use crate::protocol::tree::Fields;

/// The longest type of an item that is worth a line.
const TYPE_MAX: usize = 64;

/// What the items read so far say.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Vec<String>,
    turns: Vec<Turn>,
    dropped: Vec<String>,
    /// Calls that were left out: their results go as well, though they may look like those of functions.
    left_out: HashSet<String>,
    /// Signatures of calls, each with the call's id.
    signatures: Vec<(String, Signed)>,
}

impl Conversation {
    /// Reads the next item.
    pub(super) fn take(&mut self, mut item: Fields) -> Result<(), Failure> {
        let kind = match item.text("type")? {
            Some(kind) => kind,
            None if item.peek("role").is_some() => "message".to_owned(),
            // Nothing but an id is how some clients write a reference.
            None if item.peek("id").is_some() => "item_reference".to_owned(),
            None => return Err(item.wrong("type", "is missing")),
        };
        match kind.as_str() {
            "item_reference" => {
                let path = item.path("");
                let message =
                    "item references are not supported by this gateway; send the full input";
                return Err(Failure::inexpressible(path.trim_end_matches('.'), message));
            }
            "message" => self.message(&mut item)?,
            "function_call" => self.call(&mut item, false)?,
            "custom_tool_call" => self.call(&mut item, true)?,
            "function_call_output" => self.result(&mut item, false)?,
            "custom_tool_call_output" => self.result(&mut item, true)?,
            "reasoning" => self.reasoning(&mut item)?,
            // What the vendor's own tools did means nothing to others.
            other => {
                note_type(&mut self.dropped, "input[]", other);
                let call = item.text("call_id")?.or(item.text("id")?);
                self.left_out.extend(call);
                return Ok(());
            }
        }
        item.ignore(&["id", "status", "phase"]);
        note_rest(&mut self.dropped, item);
        Ok(())
    }

    /// Hands over what was read.
    pub(super) fn finish(mut self, request: &mut Request) {
        for (id, signed) in self.signatures {
            let parts = self.turns.iter_mut().flat_map(|turn| &mut turn.parts);
            let mut calls = parts.filter_map(|part| match part {
                Part::Call(call) => Some(call),
                _ => None,
            });
            if let Some(call) = calls.find(|call| call.id == id) {
                call.signature = Some(signed);
            }
        }
        request.system.append(&mut self.system);
        request.turns = self.turns;
        request.dropped.append(&mut self.dropped);
    }

    fn message(&mut self, item: &mut Fields) -> Result<(), Failure> {
        let role = match item.required_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            _ => {
                let what = "must be user, assistant, system or developer";
                return Err(item.wrong("role", what));
            }
        };
        let parts = content::decode(item, "content", &mut self.dropped)?;
        if role != Role::System || !self.turns.is_empty() {
            self.add(role, parts);
            return Ok(());
        }
        for part in parts {
            match part {
                Part::Text(text) => self.system.push(text),
                _ => note(&mut self.dropped, "input[].content[]"),
            }
        }
        Ok(())
    }

    fn call(&mut self, item: &mut Fields, custom: bool) -> Result<(), Failure> {
        let arguments = if custom {
            item.text("input")?
        } else {
            // Text by the book, but some clients send the object.
            item.take("arguments").map(into_text)
        };
        let call = ToolCall {
            id: item.required_text("call_id")?,
            name: item.required_text("name")?,
            namespace: item.text("namespace")?,
            arguments: arguments.unwrap_or_default(),
            custom,
            signature: None,
        };
        self.add(Role::Assistant, vec![Part::Call(call)]);
        Ok(())
    }

    fn result(&mut self, item: &mut Fields, custom: bool) -> Result<(), Failure> {
        let id = item.required_text("call_id")?;
        if self.left_out.contains(&id) {
            item.ignore(&["output"]);
            return Ok(());
        }
        let content = match item.peek("output") {
            Some(Value::String(_) | Value::Array(_)) | None => {
                content::decode(item, "output", &mut self.dropped)?
            }
            Some(_) => item
                .take("output")
                .map(into_text)
                .map(Part::Text)
                .into_iter()
                .collect(),
        };
        let result = ToolResult {
            id,
            name: None,
            content,
            is_error: false,
            custom,
        };
        self.add(Role::User, vec![Part::Result(result)]);
        Ok(())
    }

    fn reasoning(&mut self, item: &mut Fields) -> Result<(), Failure> {
        let mut texts = Vec::new();
        for name in ["summary", "content"] {
            let mut of_name = Vec::new();
            for mut part in item.objects(name)? {
                of_name.extend(part.text("text")?);
            }
            // What was thought in full may come beside its summary.
            if texts.is_empty() {
                texts = of_name;
            }
        }
        let text = texts.join("\n\n");
        let sealed = item.text("encrypted_content")?;
        let sealed = sealed.filter(|sealed| !sealed.is_empty());
        let part = match sealed.as_deref().map(seal::open) {
            None if text.is_empty() => return Ok(()),
            None => Part::Thinking {
                text,
                signature: None,
            },
            Some(Sealed::Thought(signed)) => Part::Thinking {
                text,
                signature: Some(signed),
            },
            Some(Sealed::Redacted(signed)) => Part::Redacted(signed),
            Some(Sealed::Call(id, signed)) => {
                self.signatures.push((id, signed));
                return Ok(());
            }
        };
        self.add(Role::Assistant, vec![part]);
        Ok(())
    }

    /// Items of one side that follow each other are one turn.
    fn add(&mut self, role: Role, mut parts: Vec<Part>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.append(&mut parts),
            _ if parts.is_empty() => {}
            _ => self.turns.push(Turn::new(role, parts)),
        }
    }
}

/// Notes once that something was left out.
pub(super) fn note(dropped: &mut Vec<String>, name: &str) {
    if !dropped.iter().any(|known| known == name) {
        dropped.push(name.to_owned());
    }
}

/// Notes that something of this type was left out, wherever it stood.
pub(super) fn note_type(dropped: &mut Vec<String>, place: &str, kind: &str) {
    let is_word = kind.len() <= TYPE_MAX
        && kind
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let kind = if is_word { kind } else { "?" };
    note(dropped, &format!("{place} {kind}"));
}

/// Notes what nobody took, once for all elements of a list: a long conversation says the same of each.
pub(super) fn note_rest(dropped: &mut Vec<String>, fields: Fields) {
    for path in fields.rest() {
        let mut name = String::with_capacity(path.len());
        let mut within = false;
        for character in path.chars() {
            within &= character.is_ascii_digit();
            if !within {
                name.push(character);
            }
            within |= character == '[';
        }
        note(dropped, &name);
    }
}

/// A string as it is, all else as JSON.
fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
