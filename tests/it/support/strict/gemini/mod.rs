//! Gemini.

use std::collections::HashSet;

use serde_json::Value;

use super::{Checked, ensure, list, name, object, one_of, schema, text, within};

mod contents;

use contents::contents;

const KNOWN: [&str; 10] = [
    "contents",
    "systemInstruction",
    "generationConfig",
    "tools",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "labels",
    "store",
    "serviceTier",
];
const CONFIG: [&str; 22] = [
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "stopSequences",
    "seed",
    "candidateCount",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "thinkingConfig",
    "mediaResolution",
    "speechConfig",
    "imageConfig",
    "enableEnhancedCivicAnswers",
    "routingConfig",
    "audioTimestamp",
];
pub fn request(path: &str, query: &str, body: &Value) -> Checked {
    let body = &camel(body);
    let (_, action) = path.rsplit_once(':').unwrap_or_default();
    match action {
        "countTokens" => {
            object(body, "body", &["contents", "generateContentRequest"])?;
            match body.get("generateContentRequest") {
                Some(request) => {
                    text(&request["model"], "model")?;
                    let mut request = request.clone();
                    request
                        .as_object_mut()
                        .map(|members| members.remove("model"));
                    generate(&request)
                }
                None => contents(list(&body["contents"], "contents")?),
            }
        }
        "embedContent" => embed(body),
        "batchEmbedContents" => {
            object(body, "body", &["requests"])?;
            list(&body["requests"], "requests")?
                .iter()
                .try_for_each(embed)
        }
        "streamGenerateContent" => {
            ensure(
                query.split('&').any(|pair| pair == "alt=sse"),
                "query",
                "asks for no events",
            )?;
            generate(body)
        }
        _ => generate(body),
    }
}

/// The same with camelCase names, which mean the same to Google: the Python SDK mixes both.
fn camel(value: &Value) -> Value {
    const OPAQUE: [&str; 6] = [
        "args",
        "response",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
    ];
    let rename = |name: &str| {
        let mut words = name.split('_');
        let mut renamed = words.next().unwrap_or_default().to_owned();
        for word in words {
            let (first, rest) = word.split_at(word.len().min(1));
            renamed += &(first.to_uppercase() + rest);
        }
        renamed
    };
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (rename(name), value))
            .map(|(name, value)| match OPAQUE.contains(&name.as_str()) {
                true => (name, value.clone()),
                false => (name, camel(value)),
            })
            .collect(),
        other => other.clone(),
    }
}

fn embed(request: &Value) -> Checked {
    let known = [
        "model",
        "content",
        "taskType",
        "title",
        "outputDimensionality",
        "embedContentConfig",
    ];
    object(request, "request", &known)?;
    let model = text(&request["model"], "model")?;
    ensure(
        model.starts_with("models/"),
        "model",
        "does not begin with models/",
    )?;
    for part in list(&request["content"]["parts"], "content")? {
        text(&part["text"], "content")?;
    }
    Ok(())
}

fn generate(body: &Value) -> Checked {
    object(body, "body", &KNOWN)?;
    if let Some(system) = body.get("systemInstruction") {
        object(system, "systemInstruction", &["parts", "role"])?;
        for part in list(&system["parts"], "systemInstruction")? {
            object(part, "systemInstruction", &["text"])?;
            text(&part["text"], "systemInstruction")?;
        }
    }
    if let Some(config) = body.get("generationConfig") {
        generation_config(config)?;
    }
    tools(body)?;
    contents(list(&body["contents"], "contents")?)
}

fn generation_config(config: &Value) -> Checked {
    object(config, "generationConfig", &CONFIG)?;
    within(config, "temperature", 0.0, 2.0)?;
    within(config, "topP", 0.0, 1.0)?;
    within(config, "maxOutputTokens", 1.0, 1e7)?;
    if let Some(stops) = config.get("stopSequences") {
        let stops = list(stops, "stopSequences")?;
        ensure(stops.len() <= 5, "stopSequences", "has more than five")?;
    }
    let schemas = ["responseSchema", "responseJsonSchema"].map(|name| config.get(name));
    if let Some(schema) = schemas[0] {
        schema::openapi(schema, "responseSchema")?;
    }
    ensure(
        schemas.iter().flatten().count() < 2,
        "responseSchema",
        "is given twice",
    )?;
    if schemas.iter().any(Option::is_some) {
        let json = config["responseMimeType"] == "application/json";
        ensure(json, "responseMimeType", "must be JSON for a schema")?;
    }
    if let Some(thinking) = config.get("thinkingConfig") {
        let known = ["includeThoughts", "thinkingBudget", "thinkingLevel"];
        object(thinking, "thinkingConfig", &known)?;
        let both =
            thinking.get("thinkingBudget").is_some() && thinking.get("thinkingLevel").is_some();
        ensure(!both, "thinkingConfig", "has both a budget and a level")?;
        if let Some(level) = thinking.get("thinkingLevel") {
            one_of(
                level,
                "thinkingLevel",
                &["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"],
            )?;
        }
    }
    Ok(())
}

fn tools(body: &Value) -> Checked {
    let mut names = HashSet::new();
    if let Some(tools) = body.get("tools") {
        for tool in list(tools, "tools")? {
            let Some(functions) = tool.get("functionDeclarations") else {
                continue;
            };
            for function in list(functions, "functionDeclarations")? {
                let known = [
                    "name",
                    "description",
                    "parameters",
                    "parametersJsonSchema",
                    "response",
                    "responseJsonSchema",
                    "behavior",
                ];
                object(function, "function", &known)?;
                let called = function_name(&function["name"])?;
                ensure(names.insert(called), "tools", "has a name twice")?;
                let schemas = ["parameters", "parametersJsonSchema"].map(|name| function.get(name));
                match schemas {
                    [Some(_), Some(_)] => return Err(format!("{called}: has two schemas")),
                    [Some(parameters), _] => schema::openapi(parameters, called)?,
                    [_, Some(parameters)] => schema::of_object(parameters, called)?,
                    _ => {}
                }
            }
        }
    }
    let Some(config) = body.get("toolConfig") else {
        return Ok(());
    };
    ensure(body.get("tools").is_some(), "toolConfig", "needs tools")?;
    let calling = &config["functionCallingConfig"];
    object(
        calling,
        "functionCallingConfig",
        &[
            "mode",
            "allowedFunctionNames",
            "streamFunctionCallArguments",
        ],
    )?;
    let mode = one_of(
        &calling["mode"],
        "mode",
        &["AUTO", "ANY", "NONE", "VALIDATED"],
    )?;
    if let Some(allowed) = calling.get("allowedFunctionNames") {
        ensure(
            ["ANY", "VALIDATED"].contains(&mode),
            "allowedFunctionNames",
            "needs the mode ANY",
        )?;
        for allowed in list(allowed, "allowedFunctionNames")? {
            let known = allowed.as_str().is_some_and(|name| names.contains(name));
            ensure(known, "allowedFunctionNames", "names no function")?;
        }
    }
    Ok(())
}

fn function_name(value: &Value) -> Result<&str, String> {
    let called = name(value, "function.name", "_.:-", 128)?;
    let fine = called.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    ensure(
        fine,
        "function.name",
        "begins with neither a letter nor an underscore",
    )?;
    Ok(called)
}
