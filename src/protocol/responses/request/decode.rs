//! What clients ask for.

use serde_json::Value;

use super::input::Conversation;
use super::tools;
use crate::chat::{Effort, Failure, Format, Request, Sampling, Turn};
use crate::chat::{Part, Role};
use crate::protocol::responses::error::PREVIOUS;
use crate::protocol::tree::Fields;

/// Reads a client's request.
///
/// # Errors
/// It is wrong, or it means something that only the vendor can do.
pub(crate) fn decode_request(body: Value) -> Result<Request, Failure> {
    let mut fields = Fields::root(body)?;
    refuse_state(&fields)?;
    // Whoever called has read the model. That nothing is stored is what he hears in the answer.
    fields.ignore(&["model", "store", "background"]);
    let mut request = Request {
        choices: 1,
        ..Request::default()
    };
    if let Some(text) = fields.text("instructions")? {
        request.system.push(text);
    }
    converse(&mut fields, &mut request)?;
    tools::decode(&mut fields, &mut request)?;
    request.parallel_tools = fields.flag("parallel_tool_calls")?;
    request.max_tokens = fields.count("max_output_tokens")?;
    request.sampling = Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        ..Sampling::default()
    };
    request.stream = fields.flag("stream")?.unwrap_or_default();
    if let Some(user) = fields.text("user")? {
        request.user = Some(user);
    } else {
        request.user = fields.text("safety_identifier")?;
    }
    reason(&mut fields, &mut request)?;
    include(&mut fields, &mut request)?;
    shape(&mut fields, &mut request)?;
    request.dropped.extend(fields.rest());
    Ok(request)
}

/// We keep no answers and run nothing in the background; a provider of this dialect may.
fn refuse_state(fields: &Fields) -> Result<(), Failure> {
    const FULL_INPUT: &str = "is not supported by this gateway; send the full input";
    for (name, message) in [
        (PREVIOUS, format!("{PREVIOUS} {FULL_INPUT}")),
        ("conversation", format!("conversation {FULL_INPUT}")),
        ("prompt", format!("prompt {FULL_INPUT}")),
    ] {
        if fields.peek(name).is_some() {
            return Err(Failure::inexpressible(name, message));
        }
    }
    if fields.peek("background") == Some(&Value::Bool(true)) {
        let message = "background is not supported by this gateway; wait for the answer";
        return Err(Failure::inexpressible("background", message));
    }
    Ok(())
}

/// The conversation.
fn converse(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    match fields.peek("input") {
        None => Err(fields.wrong("input", "is missing")),
        Some(Value::String(_)) => {
            let text = fields.required_text("input")?;
            let turn = Turn::new(Role::User, vec![Part::Text(text)]);
            request.turns.push(turn);
            Ok(())
        }
        Some(Value::Array(_)) => {
            let mut conversation = Conversation::default();
            for item in fields.objects("input")? {
                conversation.take(item)?;
            }
            conversation.finish(request);
            Ok(())
        }
        Some(_) => Err(fields.wrong("input", "must be a string or an array")),
    }
}

/// Whether the model should think, and whether that is to be seen.
fn reason(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    let Some(mut reasoning) = fields.object("reasoning")? else {
        return Ok(());
    };
    if let Some(word) = reasoning.text("effort")? {
        let effort = Effort::of_word(&word);
        request.effort = Some(effort.ok_or_else(|| reasoning.wrong("effort", "is unknown"))?);
    }
    for name in ["summary", "generate_summary"] {
        let summary = reasoning.text(name)?;
        request.include_thoughts |= summary.is_some_and(|word| word != "none");
    }
    request.dropped.extend(reasoning.rest());
    Ok(())
}

/// What else the answer is to hold.
fn include(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    for wanted in fields.list("include")? {
        match wanted.as_str() {
            Some("reasoning.encrypted_content") => request.include_thoughts = true,
            Some("message.output_text.logprobs") => {
                request.logprobs = Some(fields.count("top_logprobs")?.unwrap_or(0));
            }
            Some(_) => super::input::note(&mut request.dropped, "include"),
            None => return Err(fields.wrong("include", "must be an array of strings")),
        }
    }
    Ok(())
}

/// What form the answer has.
fn shape(fields: &mut Fields, request: &mut Request) -> Result<(), Failure> {
    let Some(mut text) = fields.object("text")? else {
        return Ok(());
    };
    if let Some(mut format) = text.object("format")? {
        request.format = match format.required_text("type")?.as_str() {
            "text" => Format::Text,
            "json_object" => Format::JsonObject,
            "json_schema" => Format::JsonSchema {
                name: format.text("name")?,
                description: format.text("description")?,
                schema: format
                    .take("schema")
                    .ok_or_else(|| format.wrong("schema", "is missing"))?,
                strict: format.flag("strict")?,
            },
            _ => {
                let what = "must be text, json_object or json_schema";
                return Err(format.wrong("type", what));
            }
        };
        request.dropped.extend(format.rest());
    }
    request.dropped.extend(text.rest());
    Ok(())
}
