//! A request for a provider of this dialect, written from the common language.
//!
//! Most of those are not OpenAI, so the oldest form that says it is used: text as a string, `max_tokens`.

use serde_json::{Map, Value, json};

use super::foreign::takes_signatures;
use crate::chat::{
    Failure, Format, Media, MediaKind, Part, Request, Role, Signed, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::dialect::MaxTokensField;
use crate::protocol::media::{data_url, text_of_file};
use crate::protocol::signature::wrap;
use crate::protocol::tree::set;

/// The most texts that end an answer.
const STOPS_MAX: usize = 4;

/// The longest name of a user, in bytes.
const USER_MAX: usize = 64;

/// Writes a request.
///
/// # Errors
/// A file or a sound is at a URL, which this dialect has for images alone.
pub(crate) fn encode_request(request: &Request, to: Addressee<'_>) -> Result<Outbound, Failure> {
    let mut parts = request.turns.iter().flat_map(|turn| &turn.parts);
    if parts.any(is_remote_file) {
        let message = "this provider takes files in the request alone, and no URL of one";
        return Err(Failure::inexpressible("file_url", message));
    }
    let mut body = Map::new();
    let mut dropped = Vec::new();
    body.insert("model".into(), to.model.into());
    body.insert(
        "messages".into(),
        messages(request, takes_signatures(to.model)).into(),
    );
    let limit = match to.dialect.max_tokens_field {
        MaxTokensField::MaxTokens => "max_tokens",
        MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
    };
    set(&mut body, limit, request.max_tokens);
    let sampling = &request.sampling;
    set(
        &mut body,
        "temperature",
        sampling.temperature.map(|t| t.clamp(0.0, 2.0)),
    );
    set(&mut body, "top_p", sampling.top_p);
    set(&mut body, "seed", sampling.seed);
    set(&mut body, "presence_penalty", sampling.presence_penalty);
    set(&mut body, "frequency_penalty", sampling.frequency_penalty);
    if sampling.top_k.is_some() {
        dropped.push("top_k");
    }
    if request.stop.len() > STOPS_MAX {
        dropped.push("stop");
    }
    let stop: Vec<&str> = request
        .stop
        .iter()
        .take(STOPS_MAX)
        .map(String::as_str)
        .collect();
    if !stop.is_empty() {
        body.insert("stop".into(), stop.into());
    }
    if let Some(top) = request.logprobs {
        body.insert("logprobs".into(), true.into());
        set(&mut body, "top_logprobs", Some(top).filter(|top| *top > 0));
    }
    set(&mut body, "response_format", format(&request.format));
    set(
        &mut body,
        "reasoning_effort",
        request.effort.map(|effort| effort.word()),
    );
    match &request.user {
        // Claude Code's is longer than OpenAI allows.
        Some(user) if user.len() > USER_MAX => dropped.push("user"),
        user => set(&mut body, "user", user.clone()),
    }
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request.tools.iter().map(tool).collect();
        body.insert("tools".into(), tools.into());
        set(
            &mut body,
            "tool_choice",
            request.tool_choice.as_ref().map(tool_choice),
        );
        set(&mut body, "parallel_tool_calls", request.parallel_tools);
    }
    if request.stream {
        body.insert("stream".into(), true.into());
        if request.ask_usage {
            body.insert("stream_options".into(), json!({ "include_usage": true }));
        }
    }
    Ok(Outbound {
        body: Value::Object(body),
        dropped,
    })
}

fn is_remote_file(part: &Part) -> bool {
    match part {
        Part::Media(media) => {
            media.kind != MediaKind::Image && matches!(media.source, Source::Url(_))
        }
        Part::Result(result) => result.content.iter().any(is_remote_file),
        _ => false,
    }
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({ "type": "json_object" })),
        Format::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut inner = Map::new();
            inner.insert("name".into(), name.as_deref().unwrap_or("response").into());
            set(&mut inner, "description", description.clone());
            inner.insert("schema".into(), schema.clone());
            set(&mut inner, "strict", *strict);
            Some(json!({ "type": "json_schema", "json_schema": inner }))
        }
    }
}

fn tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".into(), tool.name.clone().into());
    set(&mut function, "description", tool.description.clone());
    let nothing = || json!({ "type": "object", "properties": {} });
    let schema = tool.schema.clone().unwrap_or_else(nothing);
    function.insert("parameters".into(), schema);
    set(&mut function, "strict", tool.strict);
    json!({ "type": "function", "function": function })
}

fn tool_choice(choice: &ToolChoice) -> Value {
    let named = |name: &String| json!({ "type": "function", "function": { "name": name } });
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Tool(name) => named(name),
        ToolChoice::Allowed(must, names) => {
            let tools: Vec<Value> = names.iter().map(named).collect();
            let mode = if *must { "required" } else { "auto" };
            json!({ "type": "allowed_tools", "allowed_tools": { "mode": mode, "tools": tools } })
        }
    }
}

fn messages(request: &Request, signs: bool) -> Vec<Value> {
    let mut messages = Vec::new();
    if !request.system.is_empty() {
        messages.push(json!({ "role": "system", "content": request.system.join("\n\n") }));
    }
    for turn in &request.turns {
        match turn.role {
            Role::System => {
                messages.push(json!({ "role": "system", "content": text_of(&turn.parts, "\n\n") }))
            }
            Role::User => user(turn, &mut messages),
            Role::Assistant => messages.push(assistant(turn, signs)),
        }
    }
    messages
}

/// Results first, each a message; what they show follows all of them, as a tool's message holds text alone.
fn user(turn: &Turn, messages: &mut Vec<Value>) {
    let mut rest: Vec<&Part> = Vec::new();
    let mut shown: Vec<&Part> = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Result(result) => {
                messages.push(tool_message(result));
                let media = result.content.iter();
                shown.extend(media.filter(|part| matches!(part, Part::Media(_))));
            }
            other => rest.push(other),
        }
    }
    shown.extend(rest);
    if !shown.is_empty() {
        messages.push(json!({ "role": "user", "content": content(&shown) }));
    }
}

fn tool_message(result: &ToolResult) -> Value {
    let pieces = result.content.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Media(media) => Some(match media.kind {
            MediaKind::Image => "[image]",
            MediaKind::Document => "[file]",
            MediaKind::Audio => "[audio]",
        }),
        _ => None,
    });
    let text = pieces.collect::<Vec<_>>().join("\n");
    let text = match (result.is_error, text.is_empty()) {
        (true, true) => "Error: the tool failed".to_owned(),
        _ => text,
    };
    json!({ "role": "tool", "tool_call_id": result.id, "content": text })
}

/// Text alone as a string, because many servers know nothing else.
fn content(parts: &[&Part]) -> Value {
    let only_text = parts.iter().all(|part| matches!(part, Part::Text(_)));
    if only_text {
        return text_of(parts.iter().copied(), "\n\n").into();
    }
    parts.iter().filter_map(|part| self::part(part)).collect()
}

fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        // Files here are PDFs; what is text can be said as that.
        Part::Media(media) => Some(match text_of_file(media) {
            Some(text) => json!({ "type": "text", "text": text }),
            None => self::media(media),
        }),
        _ => None,
    }
}

fn media(media: &Media) -> Value {
    let mime = media.mime.as_deref();
    match (media.kind, &media.source) {
        (MediaKind::Audio, Source::Base64(data)) => {
            let format = match mime {
                Some("audio/mpeg" | "audio/mp3") => "mp3",
                Some(mime) => mime.strip_prefix("audio/").unwrap_or("wav"),
                None => "wav",
            };
            json!({ "type": "input_audio", "input_audio": { "data": data, "format": format.trim_start_matches("x-") } })
        }
        (MediaKind::Document, Source::Base64(data)) => {
            let name = media.name.as_deref().unwrap_or("document.pdf");
            let url = data_url(mime, data);
            json!({ "type": "file", "file": { "filename": name, "file_data": url } })
        }
        (_, Source::File(_, id)) => json!({ "type": "file", "file": { "file_id": id } }),
        (_, Source::Url(url)) => image(url, media.detail.as_deref()),
        (MediaKind::Image, Source::Base64(data)) => {
            image(&data_url(mime, data), media.detail.as_deref())
        }
    }
}

fn image(url: &str, detail: Option<&str>) -> Value {
    let mut image = Map::new();
    image.insert("url".into(), url.into());
    set(&mut image, "detail", detail);
    json!({ "type": "image_url", "image_url": image })
}

fn assistant(turn: &Turn, signs: bool) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), "assistant".into());
    let text = text_of(&turn.parts, "");
    let refusal: String = turn.parts.iter().filter_map(refused).collect();
    let calls = turn.parts.iter().filter_map(|part| call(part, signs));
    let calls: Vec<Value> = calls.collect();
    let content = match text.is_empty() {
        true if !calls.is_empty() || !refusal.is_empty() => Value::Null,
        _ => text.into(),
    };
    message.insert("content".into(), content);
    if !refusal.is_empty() {
        message.insert("refusal".into(), refusal.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), calls.into());
    }
    Value::Object(message)
}

fn refused(part: &Part) -> Option<&str> {
    match part {
        Part::Refusal(text) => Some(text),
        _ => None,
    }
}

fn call(part: &Part, signs: bool) -> Option<Value> {
    let Part::Call(call) = part else { return None };
    let mut call = call.clone();
    call.signature = call.signature.filter(|_| signs);
    Some(tool_call(&call))
}

/// A call as messages have it, on both sides.
pub(super) fn tool_call(call: &ToolCall) -> Value {
    let mut value = match call.custom {
        true => json!({
            "id": call.id, "type": "custom",
            "custom": { "name": call.name, "input": call.arguments },
        }),
        false => {
            let arguments = match call.arguments.trim().is_empty() {
                true => "{}",
                false => &call.arguments,
            };
            json!({
                "id": call.id, "type": "function",
                "function": { "name": call.name, "arguments": arguments },
            })
        }
    };
    if let Some(signature) = &call.signature {
        value["extra_content"] = extra(signature);
    }
    value
}

/// Where Google's own servers of this dialect put the signature of a call.
pub(super) fn extra(signature: &Signed) -> Value {
    json!({ "google": { "thought_signature": wrap(signature, Vendor::Google) } })
}

fn text_of<'a>(parts: impl IntoIterator<Item = &'a Part>, between: &str) -> String {
    let texts = parts.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(between)
}
