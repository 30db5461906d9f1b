//! Messages for a provider.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::thinking::is_proven;
use crate::chat::{
    Failure, Media, MediaKind, Part, Role, Source, ToolCall, ToolResult, Turn, Vendor,
};
use crate::protocol::{media, tree};

/// The pictures that the vendor's models can see.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// How the base64 of well-known files begins, for who does not say what they are.
const BEGINNINGS: [(&str, &str); 5] = [
    ("iVBOR", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
];

/// Writes messages and notes what was left out.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// Instructions from the midst of the conversation: most servers take those at its head only.
    pub(super) system: Vec<String>,
    /// What was left out.
    pub(super) dropped: Vec<&'static str>,
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    role: &'static str,
    content: Vec<Value>,
}

impl Writer {
    /// Writes a turn.
    ///
    /// # Errors
    /// It holds something that cannot be shown to the vendor's models.
    pub(super) fn turn(&mut self, turn: &Turn) -> Result<(), Failure> {
        let role = match turn.role {
            Role::System => {
                let texts = turn.parts.iter().filter_map(|part| match part {
                    Part::Text(text) if !text.is_empty() => Some(text.clone()),
                    _ => None,
                });
                self.system.extend(texts);
                return Ok(());
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut content = Vec::with_capacity(turn.parts.len());
        for part in &turn.parts {
            content.extend(self.block(part, turn.role)?);
        }
        match self.messages.last_mut() {
            // A turn that was nothing but thoughts of others has left its neighbours side by side.
            Some(last) if last.role == role => last.content.append(&mut content),
            _ if content.is_empty() => {}
            _ => self.messages.push(Message { role, content }),
        }
        Ok(())
    }

    /// All messages.
    pub(super) fn take_messages(&mut self) -> Value {
        self.trim_end();
        let messages = std::mem::take(&mut self.messages).into_iter();
        messages
            .map(|message| json!({"role": message.role, "content": message.content}))
            .collect()
    }

    /// The vendor refuses to go on with an answer that ends in blanks.
    fn trim_end(&mut self) {
        let last = self.messages.last_mut();
        let Some(last) = last.filter(|last| last.role == "assistant") else {
            return;
        };
        let block = last.content.last_mut();
        if let Some(Value::String(text)) = block.and_then(|block| block.get_mut("text")) {
            text.truncate(text.trim_end().len());
        }
    }

    fn block(&mut self, part: &Part, role: Role) -> Result<Option<Value>, Failure> {
        Ok(match part {
            Part::Text(text) | Part::Refusal(text) => text_block(text),
            Part::Media(_) if role == Role::Assistant => {
                self.drop("media in an assistant's turn");
                text_block("[media]")
            }
            Part::Media(medium) => Some(media_block(medium)?),
            Part::Thinking { text, signature } if is_proven(part) => {
                let signature = signature.as_ref().map(|signed| signed.blob.as_str());
                Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
            }
            Part::Redacted(signed) if is_proven(part) => {
                Some(json!({"type": "redacted_thinking", "data": signed.blob}))
            }
            Part::Thinking { .. } | Part::Redacted(_) => {
                self.drop("thinking");
                None
            }
            Part::Call(call) => Some(call_block(call)),
            Part::Result(result) => Some(self.result_block(result)?),
        })
    }

    fn result_block(&mut self, result: &ToolResult) -> Result<Value, Failure> {
        let mut block = Map::new();
        block.insert("type".into(), "tool_result".into());
        block.insert("tool_use_id".into(), result.id.as_str().into());
        let mut content = Vec::with_capacity(result.content.len());
        for part in &result.content {
            content.extend(self.block(part, Role::User)?);
        }
        // The vendor wants to know what went wrong.
        if content.is_empty() && result.is_error {
            content.extend(text_block("error"));
        }
        match &mut content[..] {
            [] => {}
            [only] if only["type"] == "text" => {
                block.insert("content".into(), only["text"].take());
            }
            _ => {
                block.insert("content".into(), content.into());
            }
        }
        // Of a failure the vendor takes nothing but words, and what is to be seen says more than the mark.
        let is_told = result
            .content
            .iter()
            .all(|part| matches!(part, Part::Text(_)));
        if result.is_error && !is_told {
            self.drop("is_error");
        } else if result.is_error {
            block.insert("is_error".into(), true.into());
        }
        Ok(block.into())
    }

    fn drop(&mut self, what: &'static str) {
        if !self.dropped.contains(&what) {
            self.dropped.push(what);
        }
    }
}

/// Text; one of nothing but blanks would be refused.
pub(super) fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn call_block(call: &ToolCall) -> Value {
    let input = tree::arguments(&call.arguments);
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

fn media_block(medium: &Media) -> Result<Value, Failure> {
    let kind = match medium.kind {
        MediaKind::Image => "image",
        MediaKind::Document => "document",
        MediaKind::Audio => {
            let message = "models of this provider cannot hear audio";
            return Err(Failure::inexpressible("messages", message));
        }
    };
    let mut block = Map::new();
    block.insert("type".into(), kind.into());
    let source = match &medium.source {
        Source::Url(url) => json!({"type": "url", "url": url}),
        Source::File(Vendor::Anthropic, id) => json!({"type": "file", "file_id": id}),
        Source::File(..) => {
            let message = "a file at another vendor cannot be used by this provider";
            return Err(Failure::inexpressible("messages", message));
        }
        Source::Base64(data) => inline(medium, data)?,
    };
    block.insert("source".into(), source);
    if medium.kind == MediaKind::Document {
        tree::set(
            &mut block,
            "title",
            medium.name.as_deref().filter(|name| !name.is_empty()),
        );
    }
    Ok(block.into())
}

/// A medium that is here.
fn inline(medium: &Media, data: &str) -> Result<Value, Failure> {
    let data = standard(data);
    let mime = media_type(medium, &data);
    let is_image = medium.kind == MediaKind::Image;
    match mime.as_deref() {
        Some(mime) if is_image && IMAGES.contains(&mime) => {}
        Some("application/pdf") if !is_image => {}
        Some(mime) if !is_image && is_text(mime) => {
            let bytes = STANDARD.decode(data.as_bytes());
            let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| {
                Failure::invalid("a text file in the conversation is not UTF-8 in base64")
            })?;
            return Ok(json!({"type": "text", "media_type": "text/plain", "data": text}));
        }
        mime => {
            let mime = mime.unwrap_or("an unknown type");
            let message = format!("this provider cannot read files of {mime}");
            return Err(Failure::inexpressible("messages", message));
        }
    }
    Ok(json!({"type": "base64", "media_type": mime, "data": data}))
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/") || mime == "application/json" || mime == "application/xml"
}

fn media_type<'a>(medium: &'a Media, data: &str) -> Option<Cow<'a, str>> {
    let told = medium
        .mime
        .as_deref()
        .filter(|mime| *mime != "application/octet-stream");
    if let Some(told) = told {
        return Some(told.into());
    }
    let mut beginnings = BEGINNINGS.iter();
    if let Some((_, mime)) = beginnings.find(|(beginning, _)| data.starts_with(beginning)) {
        return Some((*mime).into());
    }
    medium
        .name
        .as_deref()
        .and_then(media::mime_of_path)
        .map(Cow::from)
}

/// Base64 in the only alphabet that the vendor reads, and padded. Google's clients write the one for URLs.
fn standard(data: &str) -> Cow<'_, str> {
    let missing = data.len().wrapping_neg() % 4;
    if missing == 0 && memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() {
        return data.into();
    }
    let mut standard = data.replace('-', "+").replace('_', "/");
    standard.extend(std::iter::repeat_n('=', missing));
    standard.into()
}
