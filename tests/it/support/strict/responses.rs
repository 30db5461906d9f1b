//! OpenAI Responses.

use std::collections::HashSet;

use serde_json::Value;

use super::{Checked, ensure, holds, image_url, list, name, object, one_of, text, within};

const KNOWN: [&str; 32] = [
    "model",
    "input",
    "instructions",
    "background",
    "context_management",
    "conversation",
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "client_metadata",
    "prompt_cache_options",
];
const COUNTED: [&str; 11] = [
    "model",
    "input",
    "instructions",
    "conversation",
    "parallel_tool_calls",
    "previous_response_id",
    "reasoning",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

pub fn request(body: &Value, counts: bool) -> Checked {
    match counts {
        true => object(body, "body", &COUNTED)?,
        false => object(body, "body", &KNOWN)?,
    };
    text(&body["model"], "model")?;
    ensure(
        !holds(body, "cache_control"),
        "cache_control",
        "is another vendor's",
    )?;
    within(body, "max_output_tokens", 16.0, 1e7)?;
    within(body, "temperature", 0.0, 2.0)?;
    within(body, "top_p", 0.0, 1.0)?;
    if let Some(reasoning) = body.get("reasoning").filter(|value| !value.is_null()) {
        let known = ["effort", "summary", "generate_summary", "context", "mode"];
        object(reasoning, "reasoning", &known)?;
    }
    if let Some(shape) = body.get("text") {
        object(shape, "text", &["format", "verbosity"])?;
        let words = ["text", "json_object", "json_schema"];
        let format = &shape["format"];
        if !format.is_null()
            && one_of(&format["type"], "text.format.type", &words)? == "json_schema"
        {
            let known = ["type", "name", "schema", "strict", "description"];
            object(format, "text.format", &known)?;
            name(&format["name"], "text.format.name", "_-", 64)?;
            ensure(
                format["schema"].is_object(),
                "text.format.schema",
                "is no schema",
            )?;
        }
    }
    tools(body)?;
    match &body["input"] {
        Value::String(input) => ensure(!input.is_empty(), "input", "is empty"),
        input => items(list(input, "input")?),
    }
}

fn tools(body: &Value) -> Checked {
    let Some(tools) = body.get("tools") else {
        let chosen = body
            .get("tool_choice")
            .is_some_and(|choice| choice != "auto" && choice != "none");
        return ensure(!chosen, "tool_choice", "needs tools");
    };
    let mut names = HashSet::new();
    for tool in list(tools, "tools")? {
        if tool["type"] == "function" {
            let known = [
                "type",
                "name",
                "description",
                "parameters",
                "strict",
                "defer_loading",
            ];
            object(tool, "tool", &known)?;
            let called = name(&tool["name"], "tool.name", "_-", 64)?;
            ensure(names.insert(called), "tools", "has a name twice")?;
            super::schema::of_object(&tool["parameters"], called)?;
        } else {
            text(&tool["type"], "tool.type")?;
        }
    }
    Ok(())
}

fn items(items: &[Value]) -> Checked {
    let mut calls = HashSet::new();
    let mut open = HashSet::new();
    let mut after_reasoning = false;
    for (index, item) in items.iter().enumerate() {
        let at = &format!("input[{index}]");
        let kind = item["type"].as_str().unwrap_or("message");
        if after_reasoning {
            let thought_for = ["message", "function_call", "custom_tool_call", "reasoning"];
            ensure(
                thought_for.contains(&kind),
                at,
                "reasoning without its required following item",
            )?;
        }
        after_reasoning = kind == "reasoning";
        match kind {
            "message" => message(item, at)?,
            "function_call" => {
                let known = [
                    "type",
                    "id",
                    "call_id",
                    "name",
                    "arguments",
                    "status",
                    "namespace",
                ];
                object(item, at, &known)?;
                prefixed(item, "fc", at)?;
                name(&item["name"], at, "_-", 64)?;
                let arguments = text(&item["arguments"], at)?;
                ensure(
                    serde_json::from_str::<Value>(arguments).is_ok(),
                    at,
                    "arguments are no JSON",
                )?;
                let id = name(&item["call_id"], at, "_-", 64)?;
                ensure(
                    calls.insert(id),
                    at,
                    &format!("the call_id {id:?} comes twice"),
                )?;
                open.insert(id);
            }
            "function_call_output" => {
                object(item, at, &["type", "id", "call_id", "output", "status"])?;
                let id = text(&item["call_id"], at)?;
                ensure(
                    open.remove(id),
                    at,
                    &format!("no tool call found for {id:?}"),
                )?;
                let output = &item["output"];
                ensure(output.is_string() || output.is_array(), at, "has no output")?;
            }
            "reasoning" => {
                let known = [
                    "type",
                    "id",
                    "summary",
                    "content",
                    "encrypted_content",
                    "status",
                ];
                object(item, at, &known)?;
                prefixed(item, "rs", at)?;
                ensure(item["summary"].is_array(), at, "has no summary")?;
                let sealed = item["encrypted_content"].as_str();
                let own = sealed.is_none_or(|sealed| sealed.starts_with("gAAAA"));
                ensure(own, at, "encrypted_content could not be verified")?;
            }
            _ => {}
        }
    }
    ensure(!after_reasoning, "input", "ends with reasoning")?;
    ensure(
        open.is_empty(),
        "input",
        &format!("no tool output found for {open:?}"),
    )
}

fn message(item: &Value, at: &str) -> Checked {
    object(
        item,
        at,
        &["type", "id", "role", "content", "status", "phase"],
    )?;
    prefixed(item, "msg", at)?;
    let roles = ["user", "system", "developer", "assistant"];
    let role = one_of(&item["role"], at, &roles)?;
    if let Some(said) = item["content"].as_str() {
        return ensure(!said.is_empty(), at, "is empty");
    }
    let kinds: &[&str] = match role {
        "assistant" => &["output_text", "refusal"],
        _ => &["input_text", "input_image", "input_file"],
    };
    for part in list(&item["content"], at)? {
        match one_of(&part["type"], at, kinds)? {
            "input_text" => {
                object(part, at, &["type", "text"])?;
                text(&part["text"], at)?;
            }
            "output_text" => {
                object(part, at, &["type", "text", "annotations", "logprobs"])?;
                text(&part["text"], at)?;
            }
            "input_image" => {
                object(part, at, &["type", "image_url", "file_id", "detail"])?;
                if part.get("image_url").is_some() {
                    image_url(&part["image_url"], at)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// An id may be missing, but not of another make.
fn prefixed(item: &Value, prefix: &str, at: &str) -> Checked {
    match &item["id"] {
        Value::Null => Ok(()),
        id => {
            let own = id.as_str().is_some_and(|id| id.starts_with(prefix));
            ensure(
                own,
                at,
                &format!("the id {id} does not begin with {prefix:?}"),
            )
        }
    }
}
