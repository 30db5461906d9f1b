//! Anthropic Messages.

use std::collections::HashSet;

use serde_json::Value;

use super::{Checked, base64, ensure, list, name, object, one_of, schema, text, within};

const KNOWN: [&str; 24] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "inference_geo",
    "speed",
    "diagnostics",
    "fallbacks",
    "user_profile_id",
];
const COUNTED: [&str; 9] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
];
/// The first version that refuses what the older one forgave.
const STRICT_VERSION: &str = "2026-10-21";

pub fn request(body: &Value, version: &str, counts: bool) -> Checked {
    match counts {
        true => object(body, "body", &COUNTED)?,
        false => object(body, "body", &KNOWN)?,
    };
    text(&body["model"], "model")?;
    if !counts {
        let max_tokens = body["max_tokens"].as_u64();
        ensure(
            max_tokens.is_some_and(|tokens| tokens >= 1),
            "max_tokens",
            "is required",
        )?;
    }
    within(body, "temperature", 0.0, 1.0)?;
    within(body, "top_p", 0.0, 1.0)?;
    let samples = ["temperature", "top_p", "top_k"]
        .iter()
        .any(|name| body.get(*name).is_some());
    ensure(
        !samples || version < STRICT_VERSION,
        "temperature",
        "is refused by this version",
    )?;
    if let Some(stops) = body.get("stop_sequences") {
        for stop in stops.as_array().ok_or("stop_sequences: is no list")? {
            text(stop, "stop_sequences")?;
        }
    }
    if let Some(metadata) = body.get("metadata") {
        object(metadata, "metadata", &["user_id"])?;
    }
    system(body)?;
    output_config(body)?;
    tools(body)?;
    let thinks = thinking(body, samples, counts)?;
    messages(list(&body["messages"], "messages")?, version, thinks)
}

fn system(body: &Value) -> Checked {
    match body.get("system") {
        None => Ok(()),
        Some(Value::String(said)) => ensure(!said.is_empty(), "system", "is empty"),
        Some(blocks) => {
            for block in list(blocks, "system")? {
                object(
                    block,
                    "system",
                    &["type", "text", "cache_control", "citations"],
                )?;
                one_of(&block["type"], "system", &["text"])?;
                text(&block["text"], "system")?;
            }
            Ok(())
        }
    }
}

fn output_config(body: &Value) -> Checked {
    let Some(config) = body.get("output_config") else {
        return Ok(());
    };
    object(
        config,
        "output_config",
        &["effort", "format", "task_budget"],
    )?;
    if let Some(effort) = config.get("effort") {
        one_of(effort, "effort", &["low", "medium", "high", "xhigh", "max"])?;
    }
    if let Some(format) = config.get("format").filter(|format| !format.is_null()) {
        object(format, "format", &["type", "schema"])?;
        one_of(&format["type"], "format", &["json_schema"])?;
        schema::closed(&format["schema"], "format.schema")?;
    }
    Ok(())
}

fn tools(body: &Value) -> Checked {
    let Some(tools) = body.get("tools") else {
        return ensure(
            body.get("tool_choice").is_none(),
            "tool_choice",
            "needs tools",
        );
    };
    let mut names = HashSet::new();
    for tool in list(tools, "tools")? {
        let called = name(&tool["name"], "tool.name", "_-", 128)?;
        ensure(names.insert(called), "tools", "tool names must be unique")?;
        if matches!(tool["type"].as_str(), None | Some("custom")) {
            let known = [
                "type",
                "name",
                "description",
                "input_schema",
                "strict",
                "cache_control",
                "defer_loading",
                "eager_input_streaming",
                "input_examples",
            ];
            object(tool, called, &known)?;
            schema::of_object(&tool["input_schema"], called)?;
        }
    }
    if let Some(choice) = body.get("tool_choice") {
        let kinds = ["auto", "any", "tool", "none"];
        let kind = one_of(&choice["type"], "tool_choice", &kinds)?;
        let known: &[&str] = match kind {
            "none" => &["type"],
            "tool" => &["type", "name", "disable_parallel_tool_use"],
            _ => &["type", "disable_parallel_tool_use"],
        };
        object(choice, "tool_choice", known)?;
        if kind == "tool" {
            let known = choice["name"]
                .as_str()
                .is_some_and(|name| names.contains(name));
            ensure(known, "tool_choice", "names no tool")?;
        }
    }
    Ok(())
}

/// Whether it thinks with a budget, which asks more of the messages.
fn thinking(body: &Value, samples: bool, counts: bool) -> Result<bool, String> {
    let Some(thinking) = body.get("thinking") else {
        return Ok(false);
    };
    let kinds = ["enabled", "adaptive", "disabled", "between_tools"];
    let kind = one_of(&thinking["type"], "thinking", &kinds)?;
    let known: &[&str] = match kind {
        "enabled" => &["type", "budget_tokens", "display"],
        _ => &["type", "display"],
    };
    object(thinking, "thinking", known)?;
    if kind == "disabled" {
        return Ok(false);
    }
    ensure(
        !samples,
        "thinking",
        "goes with no temperature, top_p or top_k",
    )?;
    let choice = body["tool_choice"]["type"].as_str().unwrap_or("auto");
    ensure(
        ["auto", "none"].contains(&choice),
        "tool_choice",
        "may not be forced while thinking",
    )?;
    if kind == "enabled" {
        let budget = thinking["budget_tokens"].as_u64().unwrap_or(0);
        ensure(budget >= 1024, "budget_tokens", "is less than 1024")?;
        let room = counts
            || body["max_tokens"]
                .as_u64()
                .is_some_and(|most| budget < most);
        ensure(room, "budget_tokens", "is not less than max_tokens")?;
    }
    Ok(kind == "enabled")
}

fn messages(messages: &[Value], version: &str, thinks: bool) -> Checked {
    let mut known = HashSet::new();
    let mut open: HashSet<&str> = HashSet::new();
    let mut before = "assistant";
    // The running loop of tools began after the last message that is more than results.
    let says_more = |message: &Value| {
        let blocks = message["content"].as_array();
        blocks.is_none_or(|blocks| blocks.iter().any(|block| block["type"] != "tool_result"))
    };
    let begun = messages
        .iter()
        .rposition(|message| message["role"] == "user" && says_more(message));
    for (index, message) in messages.iter().enumerate() {
        let at = &format!("messages[{index}]");
        object(message, at, &["role", "content"])?;
        let role = match version < STRICT_VERSION {
            true => one_of(&message["role"], at, &["user", "assistant"])?,
            false => one_of(&message["role"], at, &["user", "assistant", "system"])?,
        };
        ensure(
            role == "system" || role != before,
            at,
            "roles must alternate, user first",
        )?;
        before = if role == "system" { before } else { role };
        if role != "user" {
            ensure(
                open.is_empty(),
                at,
                &format!("tool_use without tool_result: {open:?}"),
            )?;
        }
        if let Value::String(said) = &message["content"] {
            ensure(!said.trim().is_empty(), at, "is blank")?;
            ensure(
                open.is_empty(),
                at,
                &format!("tool_use without tool_result: {open:?}"),
            )?;
            continue;
        }
        let blocks = list(&message["content"], at)?;
        let mut results_over = false;
        for block in blocks {
            let kind = self::block(block, role, at)?;
            if kind == "tool_use" {
                let id = name(&block["id"], at, "_-", 256)?;
                ensure(known.insert(id), at, "tool_use ids must be unique")?;
                open.insert(id);
            }
            if kind == "tool_result" {
                ensure(!results_over, at, "tool_result must come first")?;
                let id = text(&block["tool_use_id"], at)?;
                ensure(
                    open.remove(id),
                    at,
                    &format!("{id:?} has no tool_use before it"),
                )?;
            } else {
                results_over = true;
            }
        }
        if role == "user" {
            ensure(
                open.is_empty(),
                at,
                &format!("tool_use without tool_result: {open:?}"),
            )?;
        }
        let calls = role == "assistant" && blocks.iter().any(|block| block["type"] == "tool_use");
        if thinks && calls && begun.is_some_and(|begun| index > begun) {
            let first = blocks[0]["type"].as_str().unwrap_or_default();
            let thought = ["thinking", "redacted_thinking"].contains(&first);
            ensure(thought, at, "expected thinking before tool_use")?;
        }
    }
    ensure(before == "user", "messages", "end with the assistant's")
}

/// The type of a block that may stand in a message of this role.
fn block<'a>(block: &'a Value, role: &str, at: &str) -> Result<&'a str, String> {
    let kinds: &[&str] = match role {
        "assistant" => &["text", "thinking", "redacted_thinking", "tool_use"],
        "system" => &["text"],
        _ => &["text", "image", "document", "search_result", "tool_result"],
    };
    let kind = one_of(&block["type"], at, kinds)?;
    match kind {
        "text" => {
            object(block, at, &["type", "text", "cache_control", "citations"])?;
            text(&block["text"], at)?;
        }
        "thinking" => {
            object(block, at, &["type", "thinking", "signature"])?;
            let signature = block["signature"].as_str().unwrap_or_default();
            // As all in the recorded answers begin.
            ensure(
                signature.starts_with("EqQB"),
                at,
                "invalid signature in thinking block",
            )?;
        }
        "tool_use" => {
            object(
                block,
                at,
                &["type", "id", "name", "input", "cache_control", "caller"],
            )?;
            name(&block["name"], at, "_-", 200)?;
            ensure(block["input"].is_object(), at, "input is no object")?;
        }
        "image" => {
            object(block, at, &["type", "source", "cache_control"])?;
            let source = &block["source"];
            if one_of(&source["type"], at, &["base64", "url", "file"])? == "base64" {
                object(source, at, &["type", "media_type", "data"])?;
                let mimes = ["image/jpeg", "image/png", "image/gif", "image/webp"];
                one_of(&source["media_type"], at, &mimes)?;
                base64(&source["data"], at)?;
            }
        }
        "tool_result" => {
            let known = [
                "type",
                "tool_use_id",
                "content",
                "is_error",
                "cache_control",
            ];
            object(block, at, &known)?;
            for part in block["content"].as_array().into_iter().flatten() {
                let kinds = [
                    "text",
                    "image",
                    "document",
                    "search_result",
                    "tool_reference",
                ];
                if one_of(&part["type"], at, &kinds)? == "text" {
                    text(&part["text"], at)?;
                }
            }
        }
        _ => {}
    }
    Ok(kind)
}
