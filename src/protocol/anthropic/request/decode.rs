//! What a client asks for.

use serde_json::Value;

use super::content::Reader;
use crate::chat::{Effort, Failure, Format, Part, Request, Role, Sampling, Tool, ToolChoice, Turn};
use crate::protocol::tree::Fields;

/// With these words begins what Claude Code tells Anthropic before its instructions. It differs from request to
/// request, so that no cache of prompts would ever be hit, and means nothing to anybody else.
const BILLING: &str = "x-anthropic-billing-header:";

/// Reads a client's request, also one to count tokens.
///
/// # Errors
/// A member has the wrong type, or the client insists on what only Anthropic has.
pub(crate) fn decode_request(body: Value) -> Result<Request, Failure> {
    let mut fields = Fields::root(body)?;
    let mut reader = Reader::default();
    let mut request = Request {
        choices: 1,
        max_tokens: fields.count("max_tokens")?,
        stop: texts(&mut fields, "stop_sequences")?,
        stream: fields.flag("stream")?.unwrap_or(false),
        sampling: Sampling {
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.count("top_k")?,
            ..Sampling::default()
        },
        ..Request::default()
    };
    // The model is known from elsewhere.
    fields.ignore(&["model"]);
    system(&mut fields, &mut reader, &mut request)?;
    messages(&mut fields, &mut reader, &mut request)?;
    let vendors = tools(&mut fields, &mut reader, &mut request)?;
    tool_choice(&mut fields, &mut reader, &mut request, &vendors)?;
    thinking(&mut fields, &mut reader, &mut request)?;
    output_config(&mut fields, &mut reader, &mut request)?;
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.text("user_id")?;
        reader.dropped.extend(metadata.rest());
    }
    request.dropped = reader.dropped;
    request.dropped.extend(fields.rest());
    Ok(request)
}

fn system(fields: &mut Fields, reader: &mut Reader, request: &mut Request) -> Result<(), Failure> {
    let Some(system) = fields.take("system") else {
        return Ok(());
    };
    let mut texts = instructions(reader.parts(system, "system", Role::System)?);
    if texts.first().is_some_and(|text| text.starts_with(BILLING)) {
        texts.remove(0);
    }
    request.system = texts;
    Ok(())
}

/// Instructions are text and nothing else.
fn instructions(parts: Vec<Part>) -> Vec<String> {
    let texts = parts.into_iter().filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    texts.filter(|text| !text.is_empty()).collect()
}

fn messages(
    fields: &mut Fields,
    reader: &mut Reader,
    request: &mut Request,
) -> Result<(), Failure> {
    if fields.peek("messages").is_none() {
        return Err(fields.wrong("messages", "is missing"));
    }
    for mut message in fields.objects("messages")? {
        let role = match message.required_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(message.wrong("role", "must be user, assistant or system")),
        };
        let path = message.path("content");
        let content = message.take("content");
        let content = content.ok_or_else(|| message.wrong("content", "is missing"))?;
        let parts = reader.parts(content, &path, role)?;
        match role {
            Role::System if request.turns.is_empty() => request.system.extend(instructions(parts)),
            Role::System => {
                let parts = instructions(parts).into_iter().map(Part::Text);
                request.turns.push(Turn::new(role, parts.collect()));
            }
            _ => request.turns.push(Turn::new(role, parts)),
        }
        message.ignore(&["cache_control"]);
        reader.dropped.extend(message.rest());
    }
    Ok(())
}

/// Reads the tools, and gives the names of those that only Anthropic knows: they run there, or their schema is
/// known to its models by heart.
fn tools(
    fields: &mut Fields,
    reader: &mut Reader,
    request: &mut Request,
) -> Result<Vec<String>, Failure> {
    let mut vendors = Vec::new();
    for mut tool in fields.objects("tools")? {
        let kind = tool.text("type")?;
        if kind.is_some_and(|kind| kind != "custom") {
            reader.dropped.push(tool.path("type"));
            vendors.extend(tool.text("name")?);
            continue;
        }
        request.tools.push(Tool {
            name: tool.required_text("name")?,
            description: tool.text("description")?,
            schema: tool.take("input_schema"),
            strict: tool.flag("strict")?,
            ..Tool::default()
        });
        tool.ignore(&["cache_control"]);
        reader.dropped.extend(tool.rest());
    }
    Ok(vendors)
}

fn tool_choice(
    fields: &mut Fields,
    reader: &mut Reader,
    request: &mut Request,
    vendors: &[String],
) -> Result<(), Failure> {
    let Some(mut choice) = fields.object("tool_choice")? else {
        return Ok(());
    };
    request.tool_choice = Some(match choice.required_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" => ToolChoice::Any,
        "tool" => ToolChoice::Tool(choice.required_text("name")?),
        _ => return Err(choice.wrong("type", "must be auto, any, tool or none")),
    });
    let insists = match &request.tool_choice {
        Some(ToolChoice::Tool(name)) => vendors.contains(name),
        Some(ToolChoice::Any) => request.tools.is_empty() && !vendors.is_empty(),
        _ => false,
    };
    if insists {
        return Err(Failure::inexpressible(
            "tool_choice",
            "`tool_choice` asks for a tool that only Anthropic has",
        ));
    }
    let disabled = choice.flag("disable_parallel_tool_use")?;
    request.parallel_tools = disabled.map(|disabled| !disabled);
    reader.dropped.extend(choice.rest());
    Ok(())
}

fn thinking(
    fields: &mut Fields,
    reader: &mut Reader,
    request: &mut Request,
) -> Result<(), Failure> {
    let Some(mut thinking) = fields.object("thinking")? else {
        return Ok(());
    };
    let budget = thinking.count("budget_tokens")?;
    let shown = thinking
        .text("display")?
        .is_none_or(|word| word != "omitted");
    match thinking.required_text("type")?.as_str() {
        "disabled" => request.effort = Some(Effort::None),
        kind => {
            let budget = budget.filter(|_| kind == "enabled");
            request.effort = budget.map(Effort::of_budget);
            request.include_thoughts = shown;
        }
    }
    reader.dropped.extend(thinking.rest());
    Ok(())
}

fn output_config(
    fields: &mut Fields,
    reader: &mut Reader,
    request: &mut Request,
) -> Result<(), Failure> {
    // Before `output_config` the format stood for itself.
    let mut format = fields.object("output_format")?;
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(word) = config.text("effort")? {
            let effort = Effort::of_word(&word);
            let effort = effort.ok_or_else(|| config.wrong("effort", "is unknown"))?;
            // Who switched thinking off meant something else by it.
            if request.effort != Some(Effort::None) {
                request.effort = Some(effort);
            }
        }
        format = config.object("format")?.or(format);
        reader.dropped.extend(config.rest());
    }
    if let Some(mut format) = format {
        if format.required_text("type")? != "json_schema" {
            return Err(format.wrong("type", "must be json_schema"));
        }
        let schema = format.take("schema");
        request.format = Format::JsonSchema {
            name: None,
            description: None,
            schema: schema.ok_or_else(|| format.wrong("schema", "is missing"))?,
            strict: None,
        };
        reader.dropped.extend(format.rest());
    }
    Ok(())
}

fn texts(fields: &mut Fields, name: &str) -> Result<Vec<String>, Failure> {
    let items = fields.list(name)?.into_iter();
    let texts = items.map(|item| match item {
        Value::String(text) => Ok(text),
        _ => Err(fields.wrong(name, "must be an array of strings")),
    });
    texts.collect()
}
