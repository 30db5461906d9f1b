//! What a client's `parts` say.

use serde_json::Value;

use crate::chat::{Failure, Media, Part, Source, ToolCall, ToolResult, Vendor};
use crate::protocol::gemini::sign::{self, Proof};
use crate::protocol::media;
use crate::protocol::tree::Fields;

/// Adds what one of a client's parts says, and the names of what has no meaning elsewhere.
pub(super) fn read(
    mut part: Fields,
    parts: &mut Vec<Part>,
    dropped: &mut Vec<String>,
) -> Result<(), Failure> {
    let thought = part.flag("thought")?.unwrap_or(false);
    let proof = part.text("thoughtSignature")?;
    let proof = proof.and_then(|proof| sign::of_client(&proof));
    part.ignore(&["videoMetadata", "mediaResolution", "partMetadata"]);
    if let Some(text) = part.text("text")? {
        if thought {
            parts.push(Part::Thinking {
                text,
                signature: None,
            });
            prove(parts, proof);
        } else {
            let carrier = text.is_empty() && proof.is_some();
            prove(parts, proof);
            if !carrier {
                parts.push(Part::Text(text));
            }
        }
    } else if let Some(call) = part.object("functionCall")? {
        let mut call = read_call(call, dropped)?;
        match proof {
            Some(Proof::Signature(signed)) if signed.origin == Vendor::Google => {
                call.signature = Some(signed);
            }
            proof => prove(parts, proof),
        }
        parts.push(Part::Call(call));
    } else {
        prove(parts, proof);
        if let Some(result) = part.object("functionResponse")? {
            parts.push(Part::Result(read_result(result, dropped)?));
        } else if let Some(medium) = read_medium(&mut part)? {
            parts.push(Part::Media(medium));
        } else {
            parts.extend(read_code(&mut part)?);
        }
    }
    dropped.extend(part.rest());
    Ok(())
}

/// A proof belongs to the thinking before it, of which a client may have kept nothing but that.
fn prove(parts: &mut Vec<Part>, proof: Option<Proof>) {
    match (proof, parts.last_mut()) {
        (None, _) => {}
        (Some(Proof::Redacted(signed)), _) => parts.push(Part::Redacted(signed)),
        (
            Some(Proof::Signature(signed)),
            Some(Part::Thinking {
                signature: signature @ None,
                ..
            }),
        ) => *signature = Some(signed),
        (Some(Proof::Signature(signed)), _) => parts.push(Part::Thinking {
            text: String::new(),
            signature: Some(signed),
        }),
    }
}

fn read_call(mut call: Fields, dropped: &mut Vec<String>) -> Result<ToolCall, Failure> {
    let read = ToolCall {
        id: call.text("id")?.unwrap_or_default(),
        name: call.required_text("name")?,
        arguments: arguments(call.take("args")),
        ..ToolCall::default()
    };
    dropped.extend(call.rest());
    Ok(read)
}

/// Arguments as text. Some servers and clients have them as text already.
pub(in crate::protocol::gemini) fn arguments(args: Option<Value>) -> String {
    match args {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::String(text)) => text,
        Some(args) => args.to_string(),
    }
}

fn read_result(mut result: Fields, dropped: &mut Vec<String>) -> Result<ToolResult, Failure> {
    let mut read = ToolResult {
        id: result.text("id")?.unwrap_or_default(),
        name: result.text("name")?,
        ..ToolResult::default()
    };
    if let Some(response) = result.take("response") {
        let (text, is_error) = said(response);
        read.is_error = is_error;
        read.content.push(Part::Text(text));
    }
    for mut part in result.objects("parts")? {
        let medium = read_medium(&mut part)?;
        read.content.extend(medium.map(Part::Media));
        dropped.extend(part.rest());
    }
    result.ignore(&["willContinue", "scheduling"]);
    dropped.extend(result.rest());
    Ok(read)
}

/// What a tool said, as text, and whether that is an error.
fn said(response: Value) -> (String, bool) {
    let Value::Object(members) = &response else {
        let text = response.as_str().map(str::to_owned);
        return (text.unwrap_or_else(|| response.to_string()), false);
    };
    let mut alone = members.iter().take(2);
    let (Some((name, value)), None) = (alone.next(), alone.next()) else {
        return (response.to_string(), false);
    };
    match (name.as_str(), value) {
        ("output" | "result", Value::String(text)) => (text.clone(), false),
        ("error", Value::String(text)) => (text.clone(), true),
        ("error", value) => (value.to_string(), true),
        _ => (response.to_string(), false),
    }
}

fn read_medium(part: &mut Fields) -> Result<Option<Media>, Failure> {
    if let Some(mut inline) = part.object("inlineData")? {
        let mime = media::usual(&inline.required_text("mimeType")?);
        let data = inline.required_text("data")?;
        return Ok(Some(Media {
            kind: media::kind_of(&mime),
            source: Source::Base64(payload(data)),
            mime: Some(mime),
            name: inline.text("displayName")?,
            detail: None,
        }));
    }
    let Some(mut file) = part.object("fileData")? else {
        return Ok(None);
    };
    let uri = file.required_text("fileUri")?;
    let told = file.text("mimeType")?.map(|mime| media::usual(&mime));
    let mime = told.clone().or_else(|| media::mime_of_path(&uri));
    let kind = media::kind_of(mime.as_deref().unwrap_or_default());
    let mut medium = media::of_url(kind, &uri);
    if is_of_google(&uri) {
        medium.source = Source::File(Vendor::Google, uri);
    }
    medium.mime = told.or(medium.mime);
    medium.name = file.text("displayName")?;
    Ok(Some(medium))
}

/// A file that was uploaded to Google, which nobody else can read.
fn is_of_google(uri: &str) -> bool {
    uri.starts_with("gs://") || uri.contains("generativelanguage.googleapis.com/")
}

/// A payload in the standard alphabet: Google's SDKs send the one for URLs, other vendors do not take it.
fn payload(data: String) -> String {
    if data.len().is_multiple_of(4) && memchr::memchr2(b'-', b'_', data.as_bytes()).is_none() {
        data
    } else {
        sign::standard(&data)
    }
}

/// Code that Google ran, and what it printed: the only words of a tool that nobody else has.
fn read_code(part: &mut Fields) -> Result<Option<Part>, Failure> {
    if let Some(mut code) = part.object("executableCode")? {
        let language = code.text("language")?.unwrap_or_default().to_lowercase();
        let text = code.text("code")?.unwrap_or_default();
        return Ok(Some(Part::Text(format!("```{language}\n{text}\n```"))));
    }
    let Some(mut result) = part.object("codeExecutionResult")? else {
        return Ok(None);
    };
    Ok(result.text("output")?.map(Part::Text))
}
