//! What an answer cost, in this dialect's words.

use serde_json::{Value, json};

use crate::chat::Usage;

/// What a provider says; `None` if it says nothing.
pub(super) fn read(usage: &Value) -> Option<Usage> {
    let input = count(&usage["input_tokens"]);
    let output = count(&usage["output_tokens"]);
    let total = count(&usage["total_tokens"]);
    input.or(output).or(total)?;
    let (input, output) = (input.unwrap_or(0), output.unwrap_or(0));
    let of = |details: &str, name: &str| count(&usage[details][name]).unwrap_or(0);
    Some(Usage {
        input,
        output,
        total: total.unwrap_or_else(|| input.saturating_add(output)),
        cached: of("input_tokens_details", "cached_tokens"),
        cache_written: of("input_tokens_details", "cache_write_tokens"),
        reasoning: of("output_tokens_details", "reasoning_tokens"),
        estimated: false,
    })
}

/// What a client is told. Its library insists on all of these numbers: what is unknown is nothing.
pub(super) fn write(usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    })
}

/// The answer to a client that only wants its request counted.
pub(crate) fn write_count(tokens: u64) -> Value {
    json!({"object": "response.input_tokens", "input_tokens": tokens})
}

/// A number of tokens. Some servers write it as `12.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and negative numbers were sorted out"
)]
fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number >= 0.0).then_some(number as u64)
    })
}
