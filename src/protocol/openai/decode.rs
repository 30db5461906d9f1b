//! A client's chat request, read into the common language.

use serde_json::Value;

use crate::chat::{
    Effort, Failure, Format, Grammar, Media, MediaKind, Part, Request, Role, Sampling, Source,
    Tool, ToolCall, ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::media;
use crate::protocol::signature::unwrap;
use crate::protocol::tree::{Fields, wrong};

/// Reads a request.
///
/// # Errors
/// Something has the wrong type, or a role or a kind of content that does not exist.
pub(crate) fn decode_request(body: Value) -> Result<Request, Failure> {
    let fields = Fields::root(body)?;
    match fields.peek("messages") {
        Some(_) => decode_members(fields),
        None => Err(fields.wrong("messages", "is missing")),
    }
}

/// Reads all members of a request that there are.
pub(super) fn decode_members(mut fields: Fields) -> Result<Request, Failure> {
    let mut request = Request {
        max_tokens: fields.count("max_completion_tokens")?,
        sampling: sampling(&mut fields)?,
        stop: stop(&mut fields)?,
        format: format(&mut fields)?,
        effort: effort(&mut fields)?,
        logprobs: logprobs(&mut fields)?,
        choices: fields.count("n")?.unwrap_or(1).max(1),
        parallel_tools: fields.flag("parallel_tool_calls")?,
        user: fields.text("user")?,
        ..Request::default()
    };
    // There is no word for it here. Models that think are asked to when they are told how much.
    request.include_thoughts = request.effort.is_some_and(|effort| effort != Effort::None);
    let older = fields.count("max_tokens")?;
    request.max_tokens = request.max_tokens.or(older);
    for tool in fields.objects("tools")? {
        request
            .tools
            .extend(self::tool(tool, &mut request.dropped)?);
    }
    for function in fields.objects("functions")? {
        request.tools.push(self::function(function)?);
    }
    request.tool_choice = tool_choice(&mut fields)?;
    refuse_other_outputs(&mut fields)?;
    for message in fields.objects("messages")? {
        self::message(message, &mut request)?;
    }
    if request.user.is_none() {
        request.user = fields.text("safety_identifier")?;
    }
    fields.ignore(&["model", "stream", "stream_options"]);
    request.dropped.extend(fields.rest());
    Ok(request)
}

fn sampling(fields: &mut Fields) -> Result<Sampling, Failure> {
    Ok(Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        // Not OpenAI's, but many servers of its dialect know it.
        top_k: fields.count("top_k")?,
        seed: fields.take("seed").and_then(|seed| seed.as_i64()),
        presence_penalty: fields.number("presence_penalty")?,
        frequency_penalty: fields.number("frequency_penalty")?,
    })
}

/// A text or a list of them.
pub(super) fn stop(fields: &mut Fields) -> Result<Vec<String>, Failure> {
    match fields.peek("stop") {
        Some(Value::String(_)) => Ok(fields.text("stop")?.into_iter().collect()),
        _ => {
            let path = fields.path("stop");
            let texts = fields.list("stop")?.into_iter().map(|text| match text {
                Value::String(text) => Ok(text),
                _ => Err(wrong(&path, "must be a string or an array of strings")),
            });
            texts.collect()
        }
    }
}

fn format(fields: &mut Fields) -> Result<Format, Failure> {
    let Some(mut format) = fields.object("response_format")? else {
        return Ok(Format::Text);
    };
    match format.required_text("type")?.as_str() {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::JsonObject),
        "json_schema" => {
            let Some(mut schema) = format.object("json_schema")? else {
                return Err(format.wrong("json_schema", "is missing"));
            };
            Ok(Format::JsonSchema {
                name: schema.text("name")?,
                description: schema.text("description")?,
                strict: schema.flag("strict")?,
                schema: schema
                    .take("schema")
                    .unwrap_or_else(|| Value::Object(Default::default())),
            })
        }
        _ => Err(format.wrong("type", "must be text, json_object or json_schema")),
    }
}

fn effort(fields: &mut Fields) -> Result<Option<Effort>, Failure> {
    let Some(word) = fields.text("reasoning_effort")? else {
        return Ok(None);
    };
    let effort = Effort::of_word(&word);
    effort
        .map(Some)
        .ok_or_else(|| fields.wrong("reasoning_effort", "is no known effort"))
}

fn logprobs(fields: &mut Fields) -> Result<Option<u64>, Failure> {
    let top = fields.count("top_logprobs")?;
    Ok(match fields.flag("logprobs")? {
        Some(true) => Some(top.unwrap_or(0)),
        _ => None,
    })
}

/// Sounds as an answer cannot be translated, and would be missed.
fn refuse_other_outputs(fields: &mut Fields) -> Result<(), Failure> {
    let modalities = fields.list("modalities")?;
    if modalities.iter().any(|modality| modality != "text") || fields.take("audio").is_some() {
        let message = "this provider answers with text alone";
        return Err(Failure::inexpressible("modalities", message));
    }
    Ok(())
}

fn tool(mut tool: Fields, dropped: &mut Vec<String>) -> Result<Option<Tool>, Failure> {
    match tool.text("type")?.as_deref() {
        Some("function") | None => {
            let function = tool.object("function")?;
            let function = function.ok_or_else(|| tool.wrong("function", "is missing"))?;
            Ok(Some(self::function(function)?))
        }
        Some("custom") => {
            let custom = tool.object("custom")?;
            let mut custom = custom.ok_or_else(|| tool.wrong("custom", "is missing"))?;
            let definition = match custom.object("format")? {
                Some(mut format) => match format.object("grammar")? {
                    Some(mut grammar) => grammar.text("definition")?,
                    None => None,
                },
                None => None,
            };
            Ok(Some(Tool {
                name: custom.required_text("name")?,
                description: custom.text("description")?,
                custom: Some(Grammar { definition }),
                ..Tool::default()
            }))
        }
        // Something that the vendor itself runs.
        Some(_) => {
            dropped.push(tool.path("type"));
            Ok(None)
        }
    }
}

fn function(mut function: Fields) -> Result<Tool, Failure> {
    Ok(Tool {
        name: function.required_text("name")?,
        description: function.text("description")?,
        schema: function.take("parameters"),
        strict: function.flag("strict")?,
        ..Tool::default()
    })
}

fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, Failure> {
    let (name, value) = match (fields.take("tool_choice"), fields.take("function_call")) {
        (Some(value), _) => ("tool_choice", value),
        (None, Some(value)) => ("function_call", value),
        (None, None) => return Ok(None),
    };
    let unknown = || fields.wrong(name, "is none of the known choices");
    let named = |holder: &Value| holder["name"].as_str().map(str::to_owned);
    Ok(Some(match &value {
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Any,
            _ => return Err(unknown()),
        },
        Value::Object(_) => {
            let allowed = &value["allowed_tools"];
            if let Some(tools) = allowed["tools"].as_array() {
                let names = tools
                    .iter()
                    .filter_map(|tool| named(&tool["function"]).or_else(|| named(&tool["custom"])));
                return Ok(Some(ToolChoice::Allowed(
                    allowed["mode"] == "required",
                    names.collect(),
                )));
            }
            let name = named(&value["function"])
                .or_else(|| named(&value["custom"]))
                .or_else(|| named(&value));
            ToolChoice::Tool(name.ok_or_else(unknown)?)
        }
        _ => return Err(unknown()),
    }))
}

fn message(mut message: Fields, request: &mut Request) -> Result<(), Failure> {
    let role = message.required_text("role")?;
    let content = content(&mut message)?;
    let turn = match role.as_str() {
        "system" | "developer" => {
            if request.turns.is_empty() {
                request.system.extend(texts(content));
                return Ok(());
            }
            Turn::new(Role::System, content)
        }
        "user" => Turn::new(Role::User, content),
        "assistant" => Turn::new(Role::Assistant, said(&mut message, content)?),
        "tool" | "function" => {
            let result = ToolResult {
                id: message.text("tool_call_id")?.unwrap_or_default(),
                name: message.text("name")?,
                content,
                ..ToolResult::default()
            };
            Turn::new(Role::User, vec![Part::Result(result)])
        }
        _ => {
            let what = "must be system, developer, user, assistant or tool";
            return Err(message.wrong("role", what));
        }
    };
    request.turns.push(turn);
    Ok(())
}

fn texts(parts: Vec<Part>) -> impl Iterator<Item = String> {
    parts.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    })
}

/// A message's content: text, or a list of parts.
fn content(message: &mut Fields) -> Result<Vec<Part>, Failure> {
    if let Some(Value::String(_)) = message.peek("content") {
        let text = message.text("content")?;
        return Ok(text.map(Part::Text).into_iter().collect());
    }
    let parts = message.objects("content")?.into_iter();
    parts.map(part).collect()
}

fn part(mut part: Fields) -> Result<Part, Failure> {
    let kind = part.required_text("type")?;
    match kind.as_str() {
        "text" | "input_text" | "output_text" => Ok(Part::Text(part.required_text("text")?)),
        "refusal" => Ok(Part::Refusal(part.required_text("refusal")?)),
        "image_url" => image(&mut part),
        "input_audio" => {
            let audio = part.object("input_audio")?;
            let mut audio = audio.ok_or_else(|| part.wrong("input_audio", "is missing"))?;
            let format = audio.text("format")?.unwrap_or_else(|| "wav".to_owned());
            Ok(Part::Media(Media {
                kind: MediaKind::Audio,
                source: Source::Base64(audio.required_text("data")?),
                mime: Some(match format.as_str() {
                    "mp3" => "audio/mpeg".to_owned(),
                    other => format!("audio/{other}"),
                }),
                name: None,
                detail: None,
            }))
        }
        "file" => {
            let file = part.object("file")?;
            let file = file.ok_or_else(|| part.wrong("file", "is missing"))?;
            self::file(file)
        }
        _ => Err(part.wrong("type", "is no known kind of content")),
    }
}

fn image(part: &mut Fields) -> Result<Part, Failure> {
    let (url, detail) = match part.peek("image_url") {
        // Some programs leave the object out.
        Some(Value::String(_)) => (part.required_text("image_url")?, None),
        _ => {
            let image = part.object("image_url")?;
            let mut image = image.ok_or_else(|| part.wrong("image_url", "is missing"))?;
            (image.required_text("url")?, image.text("detail")?)
        }
    };
    Ok(Part::Media(Media {
        detail,
        ..media::of_url(MediaKind::Image, &url)
    }))
}

fn file(mut file: Fields) -> Result<Part, Failure> {
    let name = file.text("filename")?;
    let by_name = name.as_deref().and_then(media::mime_of_path);
    let (source, mime) = match (file.text("file_data")?, file.text("file_id")?) {
        (Some(data), _) => match media::split_data_url(&data) {
            Some((mime, payload)) => (
                Source::Base64(payload.to_owned()),
                mime.map(media::usual).or(by_name),
            ),
            None => (Source::Base64(data), by_name),
        },
        (None, Some(id)) => (Source::File(Vendor::OpenAi, id), by_name),
        (None, None) => return Err(file.wrong("file_data", "is missing")),
    };
    Ok(Part::Media(Media {
        kind: MediaKind::Document,
        source,
        mime: mime.or_else(|| Some("application/pdf".to_owned())),
        name,
        detail: None,
    }))
}

/// What an assistant said: thoughts, words, refusals, calls.
fn said(message: &mut Fields, content: Vec<Part>) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    let thought = message.text("reasoning_content")?;
    let thought = match thought {
        Some(thought) => Some(thought),
        None => message.take("reasoning").and_then(|thought| match thought {
            Value::String(thought) => Some(thought),
            _ => None,
        }),
    };
    parts.extend(thought.map(|text| Part::Thinking {
        text,
        signature: None,
    }));
    parts.extend(content);
    parts.extend(message.text("refusal")?.map(Part::Refusal));
    for call in message.objects("tool_calls")? {
        parts.push(Part::Call(self::call(call)?));
    }
    if let Some(mut function) = message.object("function_call")? {
        parts.push(Part::Call(ToolCall {
            name: function.required_text("name")?,
            arguments: arguments(&mut function, "arguments"),
            ..ToolCall::default()
        }));
    }
    Ok(parts)
}

fn call(mut call: Fields) -> Result<ToolCall, Failure> {
    let id = call.text("id")?.unwrap_or_default();
    // Where Google's servers of this dialect have it, and we for clients of theirs.
    let signature = call
        .take("extra_content")
        .and_then(|extra| Some(extra["google"]["thought_signature"].as_str()?.to_owned()))
        .filter(|blob| !blob.is_empty())
        .map(|blob| unwrap(&blob, Vendor::Google));
    let (mut body, custom, text) = match (call.object("function")?, call.object("custom")?) {
        (Some(function), _) => (function, false, "arguments"),
        (None, Some(custom)) => (custom, true, "input"),
        (None, None) => return Err(call.wrong("function", "is missing")),
    };
    Ok(ToolCall {
        id,
        name: body.required_text("name")?,
        arguments: arguments(&mut body, text),
        custom,
        signature,
        namespace: None,
    })
}

/// Arguments are text. Some servers and programs write the object instead.
fn arguments(body: &mut Fields, name: &str) -> String {
    match body.take(name) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
