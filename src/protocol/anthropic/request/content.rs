//! Blocks of content as clients send them.

use serde_json::Value;

use crate::chat::{
    Failure, Media, MediaKind, Part, Role, Signed, Source, ToolCall, ToolResult, Vendor,
};
use crate::protocol::anthropic::sign::{self, Kept};
use crate::protocol::media;
use crate::protocol::tree::{self, Fields};

/// Members of blocks that mean nothing to anybody else, and that are on so many blocks that they are not worth a
/// word each.
const MARKS: [&str; 3] = ["cache_control", "citations", "caller"];

/// Reads blocks and notes what has no counterpart.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Names of what was left out.
    pub(super) dropped: Vec<String>,
    /// Proofs of calls that came in thinking blocks.
    proofs: Vec<(String, Signed)>,
}

impl Reader {
    /// What one side says, from a text or from blocks.
    ///
    /// # Errors
    /// It is neither, or a block is not as it should be.
    pub(super) fn parts(
        &mut self,
        content: Value,
        path: &str,
        role: Role,
    ) -> Result<Vec<Part>, Failure> {
        let blocks = match content {
            Value::String(text) => return Ok(vec![Part::Text(text)]),
            Value::Array(blocks) => blocks,
            _ => return Err(tree::wrong(path, "must be a string or an array of blocks")),
        };
        let mut parts = Vec::with_capacity(blocks.len());
        for (at, block) in blocks.into_iter().enumerate() {
            let block = Fields::of(block, &format!("{path}[{at}]"))?;
            self.block(block, role, &mut parts)?;
        }
        if role == Role::Assistant {
            self.hand_out_proofs(&mut parts);
        }
        Ok(parts)
    }

    fn block(
        &mut self,
        mut block: Fields,
        role: Role,
        parts: &mut Vec<Part>,
    ) -> Result<(), Failure> {
        block.ignore(&MARKS);
        let kind = block.required_text("type")?;
        let speaker = match kind.as_str() {
            "tool_use" | "thinking" | "redacted_thinking" => Some(Role::Assistant),
            "tool_result" => Some(Role::User),
            _ => None,
        };
        if speaker.is_some_and(|speaker| speaker != role) {
            return Err(block.wrong("type", "does not belong into a message of this role"));
        }
        match kind.as_str() {
            "text" => parts.push(Part::Text(block.required_text("text")?)),
            "image" => {
                let source = source(&mut block)?;
                self.media(MediaKind::Image, source, parts)?;
            }
            "document" => self.document(&mut block, parts)?,
            "search_result" => self.search_result(&mut block, parts)?,
            "thinking" => self.thinking(&mut block, parts)?,
            "redacted_thinking" => {
                let blob = block.required_text("data")?;
                let origin = Vendor::Anthropic;
                parts.push(Part::Redacted(Signed { origin, blob }));
            }
            "tool_use" => parts.push(Part::Call(call(&mut block)?)),
            "tool_result" => {
                let result = self.result(&mut block)?;
                parts.push(Part::Result(result));
            }
            // Blocks of tools that ran at the vendor, and blocks of tomorrow: what text they hold is kept.
            _ => {
                self.dropped.push(block.path(&kind));
                let texts = block.take("content").map(texts_of).unwrap_or_default();
                parts.extend(texts.into_iter().map(Part::Text));
                return Ok(());
            }
        }
        self.dropped.extend(block.rest());
        Ok(())
    }

    /// Gives each call the proof that came in a block of its own.
    fn hand_out_proofs(&mut self, parts: &mut [Part]) {
        for (id, signed) in self.proofs.drain(..) {
            let mut calls = parts.iter_mut().filter_map(|part| match part {
                Part::Call(call) => Some(call),
                _ => None,
            });
            if let Some(call) = calls.find(|call| call.id == id) {
                call.signature = Some(signed);
            }
        }
    }

    fn thinking(&mut self, block: &mut Fields, parts: &mut Vec<Part>) -> Result<(), Failure> {
        let text = block.text("thinking")?.unwrap_or_default();
        let signature = block.text("signature")?.unwrap_or_default();
        match sign::kept(text, &signature) {
            Kept::Part(part) => parts.push(part),
            Kept::OfCall(id, signed) => self.proofs.push((id, signed)),
        }
        Ok(())
    }

    fn result(&mut self, block: &mut Fields) -> Result<ToolResult, Failure> {
        let path = block.path("content");
        let id = block.required_text("tool_use_id")?;
        let is_error = block.flag("is_error")?.unwrap_or(false);
        let content = match block.take("content") {
            Some(content) => self.parts(content, &path, Role::System)?,
            None => Vec::new(),
        };
        Ok(ToolResult {
            id,
            content,
            is_error,
            ..ToolResult::default()
        })
    }

    /// A document: a file, or text that is written out.
    fn document(&mut self, block: &mut Fields, parts: &mut Vec<Part>) -> Result<(), Failure> {
        let title = block.text("title")?;
        parts.extend(block.text("context")?.map(Part::Text));
        let mut source = source(block)?;
        match source.required_text("type")?.as_str() {
            "text" => {
                source.ignore(&["media_type"]);
                parts.push(Part::Text(titled(title, &source.required_text("data")?)));
            }
            "content" => {
                let path = source.path("content");
                parts.extend(title.map(Part::Text));
                if let Some(content) = source.take("content") {
                    parts.extend(self.parts(content, &path, Role::System)?);
                }
            }
            kind => {
                let mut document = medium(MediaKind::Document, kind, &mut source)?;
                document.name = title;
                parts.push(Part::Media(document));
            }
        }
        self.dropped.extend(source.rest());
        Ok(())
    }

    fn media(
        &mut self,
        kind: MediaKind,
        mut source: Fields,
        parts: &mut Vec<Part>,
    ) -> Result<(), Failure> {
        let form = source.required_text("type")?;
        parts.push(Part::Media(medium(kind, &form, &mut source)?));
        self.dropped.extend(source.rest());
        Ok(())
    }

    /// What somebody found, with the place where he found it.
    fn search_result(&mut self, block: &mut Fields, parts: &mut Vec<Part>) -> Result<(), Failure> {
        let title = block.text("title")?;
        let source = block.text("source")?;
        let texts = block.take("content").map(texts_of).unwrap_or_default();
        let lines = title.into_iter().chain(source).chain(texts);
        parts.push(Part::Text(lines.collect::<Vec<_>>().join("\n")));
        Ok(())
    }
}

fn source(block: &mut Fields) -> Result<Fields, Failure> {
    let source = block.object("source")?;
    source.ok_or_else(|| block.wrong("source", "is missing"))
}

/// A medium by the form of its source.
fn medium(kind: MediaKind, form: &str, source: &mut Fields) -> Result<Media, Failure> {
    let media_type = source.text("media_type")?.as_deref().map(media::usual);
    let place = match form {
        "base64" => Source::Base64(source.required_text("data")?),
        "url" => {
            let mut medium = media::of_url(kind, &source.required_text("url")?);
            medium.mime = medium.mime.or(media_type);
            return Ok(medium);
        }
        "file" => Source::File(Vendor::Anthropic, source.required_text("file_id")?),
        _ => return Err(source.wrong("type", "is unknown")),
    };
    Ok(Media {
        kind,
        source: place,
        mime: media_type,
        name: None,
        detail: None,
    })
}

fn call(block: &mut Fields) -> Result<ToolCall, Failure> {
    let arguments = match block.take("input") {
        None => "{}".to_owned(),
        Some(input @ Value::Object(_)) => input.to_string(),
        Some(_) => return Err(block.wrong("input", "must be an object")),
    };
    Ok(ToolCall {
        id: block.required_text("id")?,
        name: block.required_text("name")?,
        arguments,
        ..ToolCall::default()
    })
}

/// A text under its title.
fn titled(title: Option<String>, text: &str) -> String {
    match title {
        Some(title) => format!("{title}\n\n{text}"),
        None => text.to_owned(),
    }
}

/// The texts in a tree of blocks.
fn texts_of(content: Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(items) => items.into_iter().flat_map(texts_of).collect(),
        Value::Object(mut members) => {
            let inner = ["text", "content", "stdout", "stderr"];
            let inner = inner
                .into_iter()
                .filter_map(|name| members.shift_remove(name));
            inner
                .flat_map(texts_of)
                .filter(|text| !text.is_empty())
                .collect()
        }
        _ => Vec::new(),
    }
}
