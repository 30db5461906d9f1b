//! Requests as providers are to get them.

use serde_json::{Map, Value, json};

use super::items::Items;
use super::tools;
use crate::chat::{Effort, Failure, Format, Request};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::tree::set;

/// The longest name of a user that the vendor takes, in characters.
const USER_MAX: usize = 64;

/// The least bound on an answer that the vendor takes. Programs that only try whether somebody is there ask for less.
const OUTPUT_MIN: u64 = 16;

/// Writes a request for a provider.
///
/// # Errors
/// It means something that the dialect has no word for.
pub(crate) fn encode_request(request: &Request, to: Addressee<'_>) -> Result<Outbound, Failure> {
    if request.choices > 1 {
        let message = "the provider gives one answer to a request, not several";
        return Err(Failure::inexpressible("n", message));
    }
    let mut items = Items::default();
    // There must be input, if only instructions.
    let is_system_alone = request.turns.is_empty();
    if is_system_alone {
        items.instruct(&request.system);
    }
    for turn in &request.turns {
        items.turn(turn)?;
    }
    let (input, mut dropped) = items.finish();

    let mut body = Map::new();
    set(&mut body, "model", Some(to.model));
    if !is_system_alone && !request.system.is_empty() {
        set(&mut body, "instructions", Some(request.system.join("\n\n")));
    }
    set(&mut body, "input", Some(input));
    tools::encode(request, &mut body);
    let bound = request.max_tokens.map(|tokens| tokens.max(OUTPUT_MIN));
    set(&mut body, "max_output_tokens", bound);
    let temperature = request.sampling.temperature;
    set(
        &mut body,
        "temperature",
        temperature.map(|value| value.clamp(0.0, 2.0)),
    );
    set(&mut body, "top_p", request.sampling.top_p);
    let format = format(&request.format);
    set(
        &mut body,
        "text",
        format.map(|format| json!({"format": format})),
    );
    set(&mut body, "reasoning", reasoning(request));
    let include = include(request);
    if !include.is_empty() {
        set(&mut body, "include", Some(include));
    }
    set(
        &mut body,
        "top_logprobs",
        request.logprobs.filter(|top| *top > 0),
    );
    match &request.user {
        Some(user) if user.chars().count() > USER_MAX => dropped.push("user"),
        user => set(&mut body, "user", user.as_deref()),
    }
    // What the client did not ask to be kept is not kept. Without state reasoning must travel.
    set(&mut body, "store", Some(false));
    if request.stream {
        set(&mut body, "stream", Some(true));
    }
    dropped.extend(unspeakable(request));
    Ok(Outbound {
        body: Value::Object(body),
        dropped,
    })
}

/// What the dialect has no word for, and the answer is an answer without it.
fn unspeakable(request: &Request) -> impl Iterator<Item = &'static str> {
    let sampling = &request.sampling;
    [
        ("stop", !request.stop.is_empty()),
        ("top_k", sampling.top_k.is_some()),
        ("seed", sampling.seed.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_said)| is_said.then_some(name))
}

fn reasoning(request: &Request) -> Option<Value> {
    let mut reasoning = Map::new();
    set(&mut reasoning, "effort", request.effort.map(Effort::word));
    if shows_thoughts(request) {
        set(&mut reasoning, "summary", Some("auto"));
    }
    (!reasoning.is_empty()).then_some(Value::Object(reasoning))
}

fn include(request: &Request) -> Vec<&'static str> {
    let mut include = Vec::new();
    let thinks = request.effort.is_some_and(|effort| effort != Effort::None);
    if shows_thoughts(request) || thinks {
        include.push("reasoning.encrypted_content");
    }
    if request.logprobs.is_some() {
        include.push("message.output_text.logprobs");
    }
    include
}

/// Whether thoughts are wanted, and there will be some.
fn shows_thoughts(request: &Request) -> bool {
    request.include_thoughts && request.effort != Some(Effort::None)
}

fn format(format: &Format) -> Option<Value> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some(json!({"type": "json_object"})),
        Format::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut out = Map::new();
            set(&mut out, "type", Some("json_schema"));
            set(
                &mut out,
                "name",
                Some(name.as_deref().unwrap_or("response")),
            );
            set(&mut out, "description", description.as_deref());
            set(&mut out, "schema", Some(schema.clone()));
            set(&mut out, "strict", *strict);
            Some(Value::Object(out))
        }
    }
}
