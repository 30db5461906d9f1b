//! What a client asks for.

use serde_json::Value;

use super::{config, part};
use crate::chat::{Failure, Part, Request, Role, Tool, ToolChoice, Turn};
use crate::protocol::gemini::{names, schema};
use crate::protocol::tree::{Fields, wrong};

/// What only Google keeps, and without which the request means something else.
const KEPT_BY_GOOGLE: [&str; 2] = ["cachedContent", "continuationToken"];

/// A client's request.
///
/// # Errors
/// It is malformed, or refers to what only Google has.
pub(crate) fn decode_request(mut body: Value) -> Result<Request, Failure> {
    names::normalise(&mut body);
    let mut fields = Fields::root(body)?;
    for name in KEPT_BY_GOOGLE {
        if fields.peek(name).is_some() {
            let message = format!("`{name}` refers to what is kept at another vendor");
            return Err(Failure::inexpressible(name, message));
        }
    }
    let mut request = Request {
        choices: 1,
        ..Request::default()
    };
    read_instructions(&mut fields, &mut request)?;
    let contents = fields.objects("contents")?;
    if contents.is_empty() {
        return Err(wrong("contents", "is missing"));
    }
    for content in contents {
        read_turn(content, &mut request)?;
    }
    for tool in fields.objects("tools")? {
        read_tools(tool, &mut request)?;
    }
    if let Some(choice) = fields.object("toolConfig")? {
        read_choice(choice, &mut request)?;
    }
    if let Some(wishes) = fields.object("generationConfig")? {
        config::read(wishes, &mut request)?;
    }
    // The model is in the URL.
    fields.ignore(&["model"]);
    request.dropped.extend(fields.rest());
    Ok(request)
}

/// `systemInstruction`: by Google's word a content, with some clients a string.
fn read_instructions(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    const NAME: &str = "systemInstruction";
    let text = match fields.take(NAME) {
        None => return Ok(()),
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => joined(&parts),
        Some(Value::Object(content)) => match content.get("parts") {
            Some(Value::Array(parts)) => joined(parts),
            Some(part) => joined(std::slice::from_ref(part)),
            None => String::new(),
        },
        Some(_) => return Err(fields.wrong(NAME, "must be an object")),
    };
    if !text.is_empty() {
        request.system.push(text);
    }
    Ok(())
}

fn joined(parts: &[Value]) -> String {
    let texts = parts
        .iter()
        .filter_map(|part| part["text"].as_str().or(part.as_str()));
    texts.collect::<Vec<_>>().join("\n")
}

fn read_turn(mut content: Fields, request: &mut Request) -> Result<(), Failure> {
    let role = content.text("role")?.unwrap_or_default().to_lowercase();
    let role = match role.as_str() {
        "" | "user" | "function" | "tool" => Role::User,
        "model" | "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(content.wrong("role", "must be user or model")),
    };
    let mut parts = Vec::new();
    for part in content.objects("parts")? {
        part::read(part, &mut parts, &mut request.dropped)?;
    }
    request.dropped.extend(content.rest());
    if role == Role::System && request.turns.is_empty() {
        let texts = parts.into_iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        });
        request.system.extend(texts);
    } else {
        request.turns.push(Turn::new(role, parts));
    }
    Ok(())
}

/// One element of `tools`: functions, or a tool that Google runs itself.
fn read_tools(mut tool: Fields, request: &mut Request) -> Result<(), Failure> {
    for mut function in tool.objects("functionDeclarations")? {
        let openapi = function.take("parameters").map(schema::from_openapi);
        request.tools.push(Tool {
            name: function.required_text("name")?,
            description: function.text("description")?,
            schema: function.take("parametersJsonSchema").or(openapi),
            ..Tool::default()
        });
        // What a tool answers, and whether that is waited for, is told to no one else.
        function.ignore(&["response", "responseJsonSchema", "behavior"]);
        request.dropped.extend(function.rest());
    }
    request.dropped.extend(tool.rest());
    Ok(())
}

fn read_choice(mut choice: Fields, request: &mut Request) -> Result<(), Failure> {
    if let Some(mut calling) = choice.object("functionCallingConfig")? {
        let names = config::texts(&mut calling, "allowedFunctionNames")?;
        let mode = calling.text("mode")?.unwrap_or_default().to_uppercase();
        request.tool_choice = match (mode.as_str(), names) {
            ("" | "MODE_UNSPECIFIED", names) if names.is_empty() => None,
            ("" | "MODE_UNSPECIFIED" | "AUTO" | "VALIDATED", names) => Some(if names.is_empty() {
                ToolChoice::Auto
            } else {
                ToolChoice::Allowed(false, names)
            }),
            ("NONE", _) => Some(ToolChoice::None),
            ("ANY", mut names) => Some(match names.len() {
                0 => ToolChoice::Any,
                1 => ToolChoice::Tool(names.remove(0)),
                _ => ToolChoice::Allowed(true, names),
            }),
            _ => return Err(calling.wrong("mode", "must be AUTO, ANY, NONE or VALIDATED")),
        };
        request.dropped.extend(calling.rest());
    }
    request.dropped.extend(choice.rest());
    Ok(())
}
