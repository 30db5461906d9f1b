//! A client's `generationConfig`.

use serde_json::Value;

use crate::chat::{Effort, Failure, Format, Request};
use crate::protocol::gemini::schema;
use crate::protocol::tree::Fields;

/// Takes a client's wishes for the answer.
pub(super) fn read(mut config: Fields, request: &mut Request) -> Result<(), Failure> {
    request.max_tokens = config.count("maxOutputTokens")?;
    request.sampling.temperature = config.number("temperature")?;
    request.sampling.top_p = config.number("topP")?;
    request.sampling.top_k = config.count("topK")?;
    request.sampling.seed = whole(&mut config, "seed")?;
    request.sampling.presence_penalty = config.number("presencePenalty")?;
    request.sampling.frequency_penalty = config.number("frequencyPenalty")?;
    request.stop = texts(&mut config, "stopSequences")?;
    request.choices = config.count("candidateCount")?.unwrap_or(1).max(1);
    let alternatives = config.count("logprobs")?;
    if config.flag("responseLogprobs")?.unwrap_or(false) {
        request.logprobs = Some(alternatives.unwrap_or(0));
    }
    for modality in texts(&mut config, "responseModalities")? {
        let known = ["TEXT", "MODALITY_UNSPECIFIED"];
        if !known.iter().any(|name| modality.eq_ignore_ascii_case(name)) {
            let param = config.path("responseModalities");
            let message = format!("`{param}` asks for {modality}, which this provider cannot give");
            return Err(Failure::inexpressible(&param, message));
        }
    }
    request.format = format(&mut config)?;
    if let Some(thinking) = config.object("thinkingConfig")? {
        read_thinking(thinking, request)?;
    }
    config.ignore(&["mediaResolution", "audioTimestamp"]);
    request.dropped.extend(config.rest());
    Ok(())
}

/// How long to think, by a word or a number, and whether that is to be seen.
fn read_thinking(mut thinking: Fields, request: &mut Request) -> Result<(), Failure> {
    let include = thinking.flag("includeThoughts")?;
    let level = thinking.text("thinkingLevel")?;
    let level = level.filter(|word| !word.eq_ignore_ascii_case("THINKING_LEVEL_UNSPECIFIED"));
    let budget = whole(&mut thinking, "thinkingBudget")?;
    let by_word = |word: &str| {
        Effort::of_word(word)
            .ok_or_else(|| thinking.wrong("thinkingLevel", "must be minimal, low, medium or high"))
    };
    request.effort = match (level, budget) {
        (Some(word), _) => Some(by_word(&word)?),
        (None, Some(tokens)) => u64::try_from(tokens).ok().map(Effort::of_budget),
        (None, None) => None,
    };
    // A negative budget is thinking as the model likes.
    let free = budget.is_some_and(|tokens| tokens < 0);
    request.include_thoughts = include.unwrap_or(free);
    request.dropped.extend(thinking.rest());
    Ok(())
}

fn format(config: &mut Fields) -> Result<Format, Failure> {
    let mime = config.text("responseMimeType")?;
    let json_schema = config
        .take("responseJsonSchema")
        .or(config.take("_responseJsonSchema"));
    let openapi = config.take("responseSchema").map(schema::from_openapi);
    let schema = json_schema.or(openapi);
    match (mime.as_deref(), schema) {
        (None | Some("" | "application/json"), Some(schema)) => Ok(Format::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: None,
        }),
        (Some("application/json"), None) => Ok(Format::JsonObject),
        (None | Some("" | "text/plain"), _) => Ok(Format::Text),
        (Some(other), _) => {
            let param = config.path("responseMimeType");
            let message = format!("`{param}` is {other}, which this provider cannot give");
            Err(Failure::inexpressible(&param, message))
        }
    }
}

/// A whole number that may be negative.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and fractions were sorted out"
)]
fn whole(fields: &mut Fields, name: &str) -> Result<Option<i64>, Failure> {
    let exact = fields.peek(name).and_then(Value::as_i64);
    match fields.number(name)? {
        Some(number) if number.fract() == 0.0 => Ok(Some(exact.unwrap_or(number as i64))),
        Some(_) => Err(fields.wrong(name, "must be a whole number")),
        None => Ok(None),
    }
}

/// An array of strings.
pub(super) fn texts(fields: &mut Fields, name: &str) -> Result<Vec<String>, Failure> {
    let items = fields.list(name)?.into_iter();
    items
        .map(|item| match item {
            Value::String(text) => Ok(text),
            _ => Err(fields.wrong(name, "must be an array of strings")),
        })
        .collect()
}
