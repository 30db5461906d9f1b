//! What the model may call, both ways.

use serde_json::{Map, Value, json};

use super::input::{note, note_rest, note_type};
use crate::chat::{Failure, Grammar, Request, Tool, ToolChoice};
use crate::protocol::tree::{Fields, set};

/// Reads the tools, and which of them must be called.
///
/// # Errors
/// Something has the wrong type, or a tool must be called that only the vendor has.
pub(super) fn decode(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    let mut foreign = false;
    for tool in fields.objects("tools")? {
        foreign |= !decode_tool(tool, None, request)?;
    }
    request.tool_choice = match fields.peek("tool_choice") {
        None => None,
        Some(Value::String(_)) => Some(match fields.required_text("tool_choice")?.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" if foreign && request.tools.is_empty() => return Err(vendors_own()),
            "required" => ToolChoice::Any,
            _ => return Err(fields.wrong("tool_choice", "must be auto, none or required")),
        }),
        Some(_) => match fields.object("tool_choice")? {
            Some(choice) => Some(decode_choice(choice, &mut request.dropped)?),
            None => None,
        },
    };
    Ok(())
}

/// Reads a tool, or a group of them. `false`: it is the vendor's own, and was left out.
fn decode_tool(
    mut fields: Fields,
    namespace: Option<&str>,
    request: &mut Request,
) -> Result<bool, Failure> {
    let kind = fields.required_text("type")?;
    if kind == "namespace" && namespace.is_none() {
        let name = fields.required_text("name")?;
        for tool in fields.objects("tools")? {
            decode_tool(tool, Some(&name), request)?;
        }
        note_rest(&mut request.dropped, fields);
        return Ok(true);
    }
    let custom = match kind.as_str() {
        "function" => None,
        "custom" => Some(decode_grammar(&mut fields)?),
        _ => {
            note_type(&mut request.dropped, "tools[]", &kind);
            return Ok(false);
        }
    };
    let schema = fields.take("parameters");
    if schema.as_ref().is_some_and(|schema| !schema.is_object()) {
        return Err(fields.wrong("parameters", "must be an object"));
    }
    request.tools.push(Tool {
        name: fields.required_text("name")?,
        namespace: namespace.map(str::to_owned),
        description: fields.text("description")?,
        schema,
        strict: fields.flag("strict")?,
        custom,
    });
    note_rest(&mut request.dropped, fields);
    Ok(true)
}

fn decode_grammar(fields: &mut Fields) -> Result<Grammar, Failure> {
    let Some(mut format) = fields.object("format")? else {
        return Ok(Grammar::default());
    };
    let definition = match format.required_text("type")?.as_str() {
        "text" => None,
        "grammar" => Some(format.required_text("definition")?),
        _ => return Err(format.wrong("type", "must be text or grammar")),
    };
    Ok(Grammar { definition })
}

fn decode_choice(mut choice: Fields, dropped: &mut Vec<String>) -> Result<ToolChoice, Failure> {
    match choice.required_text("type")?.as_str() {
        "function" | "custom" => Ok(ToolChoice::Tool(choice.required_text("name")?)),
        "allowed_tools" => {
            let must = match choice.required_text("mode")?.as_str() {
                "auto" => false,
                "required" => true,
                _ => return Err(choice.wrong("mode", "must be auto or required")),
            };
            let mut names = Vec::new();
            for mut tool in choice.objects("tools")? {
                match tool.text("type")?.as_deref() {
                    Some("function" | "custom") | None => names.push(tool.required_text("name")?),
                    Some(_) => note(dropped, "tool_choice.tools"),
                }
            }
            if names.is_empty() {
                return Err(vendors_own());
            }
            Ok(ToolChoice::Allowed(must, names))
        }
        _ => Err(vendors_own()),
    }
}

fn vendors_own() -> Failure {
    let message = "a tool that runs at the vendor cannot be called elsewhere";
    Failure::inexpressible("tool_choice", message)
}

/// Writes the tools, and which of them must be called.
pub(super) fn encode(request: &Request, body: &mut Map<String, Value>) {
    // Without tools a choice is an error.
    if request.tools.is_empty() {
        return;
    }
    let mut tools: Vec<Value> = Vec::new();
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for tool in &request.tools {
        let Some(namespace) = tool.namespace.as_deref() else {
            tools.push(encode_tool(tool));
            continue;
        };
        let known = groups.iter().find(|(name, _)| *name == namespace);
        let at = known.map_or(tools.len(), |(_, at)| *at);
        if known.is_none() {
            groups.push((namespace, at));
            tools.push(json!({
                "type": "namespace",
                "name": namespace,
                "description": format!("The tools of {namespace}."),
                "tools": [],
            }));
        }
        if let Some(Value::Array(group)) =
            tools.get_mut(at).and_then(|group| group.get_mut("tools"))
        {
            group.push(encode_tool(tool));
        }
    }
    body.insert("tools".to_owned(), tools.into());
    let choice = request.tool_choice.as_ref();
    set(
        body,
        "tool_choice",
        choice.map(|choice| encode_choice(choice, &request.tools)),
    );
    set(body, "parallel_tool_calls", request.parallel_tools);
}

fn encode_tool(tool: &Tool) -> Value {
    let mut out = Map::new();
    let kind = if tool.custom.is_some() {
        "custom"
    } else {
        "function"
    };
    set(&mut out, "type", Some(kind));
    set(&mut out, "name", Some(tool.name.as_str()));
    set(&mut out, "description", tool.description.as_deref());
    if let Some(grammar) = &tool.custom {
        let definition = grammar.definition.as_deref();
        let format = definition.map(|definition| {
            json!({
                "type": "grammar",
                "syntax": syntax(definition),
                "definition": definition,
            })
        });
        set(&mut out, "format", format);
    } else {
        let none = || json!({"type": "object", "properties": {}});
        set(
            &mut out,
            "parameters",
            Some(tool.schema.clone().unwrap_or_else(none)),
        );
        // Where nothing is said this dialect, unlike all others, is strict and makes every argument
        // required.
        set(&mut out, "strict", Some(tool.strict.unwrap_or(false)));
    }
    Value::Object(out)
}

/// In which language a grammar is: a Lark grammar must have a rule named `start`.
fn syntax(definition: &str) -> &'static str {
    let is_start = |line: &str| {
        let rule = line.trim_start().trim_start_matches(['?', '!']);
        let after = rule.strip_prefix("start");
        after.is_some_and(|after| after.trim_start().starts_with([':', '.']))
    };
    if definition.lines().any(is_start) {
        "lark"
    } else {
        "regex"
    }
}

fn encode_choice(choice: &ToolChoice, tools: &[Tool]) -> Value {
    let entry = |name: &String| {
        let is_custom = |tool: &Tool| tool.name == *name && tool.custom.is_some();
        let kind = if tools.iter().any(is_custom) {
            "custom"
        } else {
            "function"
        };
        json!({"type": kind, "name": name})
    };
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Tool(name) => entry(name),
        ToolChoice::Allowed(must, names) => json!({
            "type": "allowed_tools",
            "mode": if *must { "required" } else { "auto" },
            "tools": names.iter().map(entry).collect::<Vec<_>>(),
        }),
    }
}
