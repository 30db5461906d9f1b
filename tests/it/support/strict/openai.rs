//! OpenAI Chat Completions, and what else is under its base URL.

use std::collections::HashSet;

use serde_json::Value;

use super::{Checked, ensure, holds, image_url, list, name, object, one_of, schema, text, within};

const KNOWN: [&str; 36] = [
    "model",
    "messages",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

pub fn chat(body: &Value) -> Checked {
    object(body, "body", &KNOWN)?;
    text(&body["model"], "model")?;
    ensure(
        !holds(body, "cache_control"),
        "cache_control",
        "is another vendor's",
    )?;
    let both = body["max_tokens"].is_number() && body["max_completion_tokens"].is_number();
    ensure(!both, "max_tokens", "is given twice")?;
    within(body, "max_tokens", 1.0, 1e7)?;
    within(body, "max_completion_tokens", 1.0, 1e7)?;
    within(body, "temperature", 0.0, 2.0)?;
    within(body, "top_p", 0.0, 1.0)?;
    if let Some(stop) = body.get("stop").filter(|stop| stop.is_array()) {
        ensure(list(stop, "stop")?.len() <= 4, "stop", "has more than four")?;
    }
    if body.get("stream_options").is_some() {
        ensure(body["stream"] == true, "stream_options", "needs a stream")?;
    }
    if let Some(effort) = body.get("reasoning_effort") {
        one_of(effort, "reasoning_effort", &EFFORTS)?;
    }
    tools(body)?;
    if let Some(format) = body.get("response_format") {
        response_format(format)?;
    }
    messages(list(&body["messages"], "messages")?)
}

fn tools(body: &Value) -> Checked {
    let Some(tools) = body.get("tools") else {
        for name in ["tool_choice", "parallel_tool_calls"] {
            ensure(body.get(name).is_none(), name, "is only allowed with tools")?;
        }
        return Ok(());
    };
    let mut names = HashSet::new();
    for tool in list(tools, "tools")? {
        object(tool, "tool", &["type", "function", "custom"])?;
        if one_of(&tool["type"], "tool.type", &["function", "custom"])? == "custom" {
            name(&tool["custom"]["name"], "tool", "_-", 64)?;
            continue;
        }
        let known = ["name", "description", "parameters", "strict"];
        object(&tool["function"], "function", &known)?;
        let called = name(&tool["function"]["name"], "function.name", "_-", 64)?;
        ensure(names.insert(called), "tools", "has a name twice")?;
        if let Some(parameters) = tool["function"].get("parameters") {
            schema::of_object(parameters, called)?;
        }
    }
    if let Some(called) = body["tool_choice"]["function"]["name"].as_str() {
        ensure(names.contains(called), "tool_choice", "names no tool")?;
    }
    Ok(())
}

fn response_format(format: &Value) -> Checked {
    let words = ["text", "json_object", "json_schema"];
    if one_of(&format["type"], "response_format.type", &words)? == "json_schema" {
        object(format, "response_format", &["type", "json_schema"])?;
        let form = &format["json_schema"];
        object(
            form,
            "json_schema",
            &["name", "schema", "strict", "description"],
        )?;
        name(&form["name"], "json_schema.name", "_-", 64)?;
        ensure(
            form["schema"].is_object(),
            "json_schema.schema",
            "is no schema",
        )?;
    }
    Ok(())
}

fn messages(messages: &[Value]) -> Checked {
    let mut known = HashSet::new();
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let at = &format!("messages[{index}]");
        let roles = ["system", "developer", "user", "assistant", "tool"];
        let role = one_of(&message["role"], at, &roles)?;
        if role == "tool" {
            object(message, at, &["role", "tool_call_id", "content"])?;
            let id = text(&message["tool_call_id"], at)?;
            ensure(
                open.remove(id),
                at,
                &format!("{id:?} answers no call before it"),
            )?;
            content(&message["content"], at, &["text"], true)?;
            continue;
        }
        ensure(
            open.is_empty(),
            at,
            &format!("the calls {open:?} were not answered"),
        )?;
        if role == "assistant" {
            for id in assistant(message, at)? {
                ensure(known.insert(id), at, &format!("the id {id:?} comes twice"))?;
                open.insert(id);
            }
            continue;
        }
        object(message, at, &["role", "content", "name"])?;
        match role {
            "user" => content(
                &message["content"],
                at,
                &["text", "image_url", "input_audio", "file"],
                false,
            )?,
            _ => content(&message["content"], at, &["text"], false)?,
        }
    }
    ensure(
        open.is_empty(),
        "messages",
        "end with calls that were not answered",
    )
}

/// The ids of what it calls.
fn assistant<'a>(message: &'a Value, at: &str) -> Result<Vec<&'a str>, String> {
    // The last two are what compatible vendors sent, given back.
    let known = [
        "role",
        "content",
        "name",
        "refusal",
        "tool_calls",
        "audio",
        "annotations",
        "reasoning_content",
    ];
    object(message, at, &known)?;
    let mut ids = Vec::new();
    if let Some(calls) = message.get("tool_calls") {
        for call in list(calls, at)? {
            object(call, at, &["id", "type", "function", "custom"])?;
            ids.push(name(&call["id"], at, "_-.:", 64)?);
            if one_of(&call["type"], at, &["function", "custom"])? == "function" {
                object(&call["function"], at, &["name", "arguments"])?;
                name(&call["function"]["name"], at, "_-", 64)?;
                let arguments = text(&call["function"]["arguments"], at)?;
                let parsed = serde_json::from_str::<Value>(arguments);
                ensure(
                    parsed.is_ok_and(|value| value.is_object()),
                    at,
                    "arguments are no object",
                )?;
            }
        }
    }
    let silent = message["content"].is_null();
    if silent {
        let said = !ids.is_empty() || message["refusal"].is_string();
        ensure(said, at, "says nothing")?;
    } else {
        content(
            &message["content"],
            at,
            &["text", "refusal"],
            !ids.is_empty(),
        )?;
    }
    Ok(ids)
}

fn content(value: &Value, at: &str, kinds: &[&str], may_be_empty: bool) -> Checked {
    if let Some(said) = value.as_str() {
        return ensure(may_be_empty || !said.is_empty(), at, "is empty");
    }
    for part in list(value, at)? {
        match one_of(&part["type"], at, kinds)? {
            "text" => {
                object(part, at, &["type", "text"])?;
                text(&part["text"], at)?;
            }
            "image_url" => {
                object(part, at, &["type", "image_url"])?;
                object(&part["image_url"], at, &["url", "detail"])?;
                image_url(&part["image_url"]["url"], at)?;
            }
            "file" => {
                object(&part["file"], at, &["file_data", "file_id", "filename"])?;
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn completion(body: &Value) -> Checked {
    text(&body["model"], "model")?;
    ensure(body.get("prompt").is_some(), "prompt", "is missing")
}

pub fn embeddings(body: &Value) -> Checked {
    let known = ["model", "input", "encoding_format", "dimensions", "user"];
    object(body, "body", &known)?;
    text(&body["model"], "model")?;
    if body["input"].is_string() {
        return text(&body["input"], "input").map(drop);
    }
    for input in list(&body["input"], "input")? {
        ensure(!input.is_null() && input != "", "input", "is empty")?;
    }
    Ok(())
}
