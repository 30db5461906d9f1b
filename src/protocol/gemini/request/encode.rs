//! What a provider is asked for. Google refuses members that it does not know, so nothing else is sent.

use serde_json::{Map, Value, json};

use crate::chat::{
    Effort, Failure, Format, Media, MediaKind, Part, Request, Role, Source, Tool, ToolCall,
    ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::dialect::{Dialect, SchemaStyle, ThinkingStyle};
use crate::protocol::gemini::schema;
use crate::protocol::tree::{self, set};

/// How many texts may end an answer.
const STOP_MAX: usize = 5;

/// A request as a provider gets it.
///
/// # Errors
/// It asks for what the dialect has no words for.
pub(crate) fn encode_request(request: &Request, to: Addressee<'_>) -> Result<Outbound, Failure> {
    let mut dropped = Vec::new();
    let mut body = Map::new();
    let system = request.system.iter().filter(|text| !text.is_empty());
    let system: Vec<_> = system.map(|text| json!({"text": text})).collect();
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    let mut contents = Vec::new();
    for turn in &request.turns {
        contents.extend(content(turn, to.dialect, &mut dropped)?);
    }
    body.insert("contents".into(), contents.into());
    let (tools, choice) = offered(request);
    if !tools.is_empty() {
        let functions = tools.iter().map(|tool| function(tool, to.dialect));
        let functions: Vec<_> = functions.collect();
        let offer = json!([{"functionDeclarations": functions}]);
        body.insert("tools".into(), offer);
        let choice = choice.map(|choice| json!({"functionCallingConfig": choice}));
        set(&mut body, "toolConfig", choice);
    }
    let config = generation_config(request, to.dialect, &mut dropped)?;
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    if request.parallel_tools == Some(false) {
        dropped.push("parallel_tool_calls");
    }
    if request.tools.iter().any(|tool| tool.strict == Some(true)) {
        dropped.push("strict");
    }
    if request.user.is_some() {
        dropped.push("user");
    }
    dropped.sort_unstable();
    dropped.dedup();
    Ok(Outbound {
        body: body.into(),
        dropped,
    })
}

/// One turn; `None` if nothing of it can be said.
fn content(
    turn: &Turn,
    dialect: &Dialect,
    dropped: &mut Vec<&'static str>,
) -> Result<Option<Value>, Failure> {
    let mut parts = Vec::new();
    // What tools showed comes behind what all of them said: results must stand together.
    let mut shown = Vec::new();
    let mut signature: Option<&str> = None;
    let mut calls = 0_usize;
    let mut rest = turn.parts.iter().peekable();
    while let Some(part) = rest.next() {
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                parts.push(signed(json!({"text": text}), signature.take()));
            }
            Part::Media(medium) => parts.push(self::medium(medium, dropped)?),
            Part::Thinking {
                text,
                signature: Some(proof),
            } if proof.origin == Vendor::Google => {
                let before_text = matches!(rest.peek(), Some(Part::Text(_)));
                match (before_text, text.is_empty()) {
                    // The next text is what it came with.
                    (true, empty) => {
                        signature = Some(&proof.blob);
                        if !empty {
                            parts.push(json!({"text": text, "thought": true}));
                        }
                    }
                    (false, true) => parts.push(signed(json!({"text": ""}), Some(&proof.blob))),
                    (false, false) => {
                        let thought = json!({"text": text, "thought": true});
                        parts.push(signed(thought, Some(&proof.blob)));
                    }
                }
            }
            // Thoughts that nobody vouches for are of no use to the model.
            Part::Thinking { .. } | Part::Redacted(_) => {}
            Part::Call(call) => {
                parts.push(self::call(call, dialect, calls == 0));
                calls += 1;
            }
            Part::Result(result) => {
                parts.push(self::result(result));
                for part in &result.content {
                    if let Part::Media(medium) = part {
                        shown.push(self::medium(medium, dropped)?);
                    }
                }
            }
        }
    }
    if !shown.is_empty() {
        let is_result = |part: &Value| part.get("functionResponse").is_some();
        let at = parts.iter().rposition(is_result).map_or(0, |at| at + 1);
        parts.splice(at..at, shown);
    }
    let role = match turn.role {
        Role::Assistant => "model",
        Role::User | Role::System => "user",
    };
    Ok((!parts.is_empty()).then(|| json!({"role": role, "parts": parts})))
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    part
}

/// A call. Newer models refuse a turn whose first call has lost its signature, but take a stand-in.
fn call(call: &ToolCall, dialect: &Dialect, is_first: bool) -> Value {
    let mut said = Map::new();
    set(&mut said, "id", filled(&call.id));
    said.insert("name".into(), call.name.as_str().into());
    said.insert("args".into(), tree::arguments(&call.arguments));
    let own = call
        .signature
        .as_ref()
        .filter(|signature| signature.origin == Vendor::Google)
        .map(|signature| signature.blob.as_str());
    let dummy = is_first.then_some(dialect.dummy_signature.as_str());
    let signature = own.or(dummy).filter(|signature| !signature.is_empty());
    signed(json!({"functionCall": said}), signature)
}

/// What a tool said: an object as it is, anything else within one.
fn result(result: &ToolResult) -> Value {
    let texts = result.content.iter().filter_map(|part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(text.as_str()),
        // Where it is all that the tool said, the model must know where to look.
        Part::Media(_) if result.content.len() == 1 => Some("[see the attached file]"),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let object = serde_json::from_str(&text).ok().filter(Value::is_object);
    let response = match object {
        _ if result.is_error => json!({"error": text}),
        Some(object) => object,
        None => json!({"output": text}),
    };
    let mut said = Map::new();
    set(&mut said, "id", filled(&result.id));
    let name = result.name.as_deref().unwrap_or(&result.id);
    said.insert("name".into(), name.into());
    said.insert("response".into(), response);
    json!({"functionResponse": said})
}

fn filled(id: &str) -> Option<&str> {
    Some(id).filter(|id| !id.is_empty())
}

fn medium(medium: &Media, dropped: &mut Vec<&'static str>) -> Result<Value, Failure> {
    if medium.detail.is_some() {
        dropped.push("detail");
    }
    let mut said = Map::new();
    Ok(match &medium.source {
        Source::Base64(data) => {
            let usual = match medium.kind {
                MediaKind::Image => "image/jpeg",
                MediaKind::Audio => "audio/wav",
                MediaKind::Document => "application/pdf",
            };
            said.insert(
                "mimeType".into(),
                medium.mime.as_deref().unwrap_or(usual).into(),
            );
            said.insert("data".into(), data.as_str().into());
            json!({"inlineData": said})
        }
        Source::Url(uri) | Source::File(Vendor::Google, uri) => {
            set(&mut said, "mimeType", medium.mime.as_deref());
            said.insert("fileUri".into(), uri.as_str().into());
            json!({"fileData": said})
        }
        Source::File(..) => {
            let message = "a file that is kept at another vendor cannot be read by Google";
            return Err(Failure::inexpressible("file_id", message));
        }
    })
}

/// What tools are offered, and whether they must be called. Google has no word for tools that may be called,
/// and others that may not: the others are not offered then.
fn offered(request: &Request) -> (Vec<&Tool>, Option<Value>) {
    let mut tools: Vec<_> = request.tools.iter().collect();
    let choice = request.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Any => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
        ToolChoice::Allowed(true, names) => json!({"mode": "ANY", "allowedFunctionNames": names}),
        ToolChoice::Allowed(false, names) => {
            tools.retain(|tool| names.contains(&tool.name));
            json!({"mode": "AUTO"})
        }
    });
    (tools, choice)
}

fn function(tool: &Tool, dialect: &Dialect) -> Value {
    let mut said = Map::new();
    said.insert("name".into(), tool.name.as_str().into());
    set(&mut said, "description", tool.description.as_deref());
    let schema = tool.schema.as_ref();
    if let Some(schema) = schema.filter(|schema| !schema::takes_nothing(schema)) {
        match dialect.schema_style {
            SchemaStyle::JsonSchema => said.insert("parametersJsonSchema".into(), schema.clone()),
            SchemaStyle::OpenApi => said.insert("parameters".into(), schema::to_openapi(schema)),
        };
    }
    said.into()
}

fn generation_config(
    request: &Request,
    dialect: &Dialect,
    dropped: &mut Vec<&'static str>,
) -> Result<Map<String, Value>, Failure> {
    if request.choices > 1 {
        let message = "this provider gives one answer at a time";
        return Err(Failure::inexpressible("n", message));
    }
    let sampling = &request.sampling;
    let mut config = Map::new();
    set(&mut config, "maxOutputTokens", request.max_tokens);
    let temperature = sampling.temperature.map(|value| value.clamp(0.0, 2.0));
    set(&mut config, "temperature", temperature);
    set(&mut config, "topP", sampling.top_p);
    set(&mut config, "topK", sampling.top_k);
    set(&mut config, "seed", sampling.seed.map(narrow));
    set(&mut config, "presencePenalty", sampling.presence_penalty);
    set(&mut config, "frequencyPenalty", sampling.frequency_penalty);
    if !request.stop.is_empty() {
        if request.stop.len() > STOP_MAX {
            dropped.push("stop");
        }
        let stop: Vec<_> = request.stop.iter().take(STOP_MAX).collect();
        config.insert("stopSequences".into(), json!(stop));
    }
    if let Some(alternatives) = request.logprobs {
        config.insert("responseLogprobs".into(), true.into());
        let alternatives = Some(alternatives).filter(|count| *count > 0);
        set(&mut config, "logprobs", alternatives);
    }
    match &request.format {
        Format::Text => {}
        Format::JsonObject => {
            config.insert("responseMimeType".into(), "application/json".into());
        }
        Format::JsonSchema { schema, .. } => {
            config.insert("responseMimeType".into(), "application/json".into());
            match dialect.schema_style {
                SchemaStyle::JsonSchema => {
                    config.insert("responseJsonSchema".into(), schema.clone())
                }
                SchemaStyle::OpenApi => {
                    config.insert("responseSchema".into(), schema::to_openapi(schema))
                }
            };
        }
    }
    let thinking = thinking_config(request, dialect.thinking_style);
    if !thinking.is_empty() {
        config.insert("thinkingConfig".into(), thinking.into());
    }
    Ok(config)
}

/// How long to think. Google refuses to show thoughts where there are to be none.
fn thinking_config(request: &Request, style: ThinkingStyle) -> Map<String, Value> {
    let mut thinking = Map::new();
    let mut shown = request.include_thoughts || request.effort.is_some();
    if let Some(effort) = request.effort {
        shown &= effort != Effort::None;
        match style {
            ThinkingStyle::Effort => {
                thinking.insert("thinkingLevel".into(), level(effort).into());
            }
            // Thoughts count as part of the answer.
            ThinkingStyle::Budget => {
                let most = request
                    .max_tokens
                    .map_or(u64::MAX, |max| max.saturating_sub(1));
                let budget = budget(effort).min(most);
                shown &= budget > 0;
                thinking.insert("thinkingBudget".into(), budget.into());
            }
        }
    }
    if shown {
        thinking.insert("includeThoughts".into(), true.into());
    }
    thinking
}

const fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High => "HIGH",
        Effort::XHigh | Effort::Max => "XHIGH",
    }
}

const fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 512,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::XHigh => 24_576,
        Effort::Max => 32_768,
    }
}

/// Google's seeds have 32 bits: of larger ones the lower bits, so that equal ones stay equal.
#[expect(clippy::cast_possible_truncation, reason = "that is what is meant")]
const fn narrow(seed: i64) -> i32 {
    seed as i32
}
