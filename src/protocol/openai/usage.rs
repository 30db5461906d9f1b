//! The `usage` object of answers and chunks.
//!
//! Only the numbers that quotas need. Details stay where they are, in the provider's bytes.

use serde_json::{Value, json};

use crate::chat::Usage;
use crate::protocol::json::{Cursor, Fault};

/// Reads a `usage` value; `None` for `null` and for anything that tells no number.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Usage>, Fault> {
    if cursor.peek() != b'{' {
        cursor.skip()?;
        return Ok(None);
    }
    let (mut input, mut output, mut total) = (None, None, None);
    // By these names go the costs of pictures and sounds.
    let (mut other_input, mut other_output) = (None, None);
    cursor.members(|cursor, key| {
        let told = match &*key.name() {
            b"prompt_tokens" => &mut input,
            b"completion_tokens" => &mut output,
            b"total_tokens" => &mut total,
            b"input_tokens" => &mut other_input,
            b"output_tokens" => &mut other_output,
            _ => return cursor.skip(),
        };
        *told = count(cursor.raw()?);
        Ok(())
    })?;
    let (input, output) = (input.or(other_input), output.or(other_output));
    if input.or(output).or(total).is_none() {
        return Ok(None);
    }
    let output = output.unwrap_or(0);
    let input = input.unwrap_or_else(|| total.unwrap_or(0u64).saturating_sub(output));
    Ok(Some(Usage {
        input,
        output,
        total: total.unwrap_or_else(|| input.saturating_add(output)),
        ..Usage::default()
    }))
}

/// Reads the `usage` of an answer that is translated, with its details.
pub(super) fn of_tree(usage: &Value) -> Option<Usage> {
    let text = usage.to_string();
    let told = read(&mut Cursor::new(text.as_bytes())).ok()??;
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let prompt = &usage["prompt_tokens_details"];
    // DeepSeek's name for it, where there are no details.
    let hit = number(&usage["prompt_cache_hit_tokens"]);
    Some(Usage {
        cached: number(&prompt["cached_tokens"]).max(hit),
        cache_written: number(&prompt["cache_write_tokens"]),
        reasoning: number(&usage["completion_tokens_details"]["reasoning_tokens"]),
        ..told
    })
}

/// Writes the `usage` of an answer that was translated.
pub(super) fn to_tree(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_written,
        },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    })
}

/// The object for usage that we estimated.
pub(super) fn write(usage: &Usage) -> String {
    format!(
        r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}"#,
        usage.input, usage.output, usage.total
    )
}

/// No answer takes more tokens than this. A larger number is a defect of the provider's, and would spend
/// a whole period's quota.
const COUNT_MAX: u64 = 1 << 40;

/// A count of tokens; some providers write it as `12.0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and negative numbers were sorted out"
)]
fn count(raw: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(raw).ok()?;
    let whole = text.parse().ok();
    let number = whole.or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number >= 0.0).then_some(number as u64)
    });
    number.filter(|number| *number <= COUNT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(text: &str) -> Option<(u64, u64, u64)> {
        let usage = read(&mut Cursor::new(text.as_bytes())).unwrap()?;
        assert!(!usage.estimated);
        Some((usage.input, usage.output, usage.total))
    }

    #[test]
    fn the_total_of_the_provider_wins() {
        for (text, expected) in [
            (
                r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":9}"#,
                Some((3, 4, 9)),
            ),
            (
                r#"{"prompt_tokens":3,"completion_tokens":4}"#,
                Some((3, 4, 7)),
            ),
            (r#"{"prompt_tokens":3,"total_tokens":3}"#, Some((3, 0, 3))),
            (
                r#"{"completion_tokens":4,"total_tokens":9}"#,
                Some((5, 4, 9)),
            ),
            (r#"{"total_tokens": 9.0}"#, Some((9, 0, 9))),
            (r#"{"prompt_tokens":null,"total_tokens":null}"#, None),
            (r#"{"total_tokens":-1}"#, None),
            (r#"{"total_tokens":1e300}"#, None),
            (
                r#"{"prompt_tokens":2,"total_tokens":18446744073709551615}"#,
                Some((2, 0, 2)),
            ),
            (r#"{}"#, None),
            ("null", None),
            ("7", None),
            ("[]", None),
        ] {
            assert_eq!(usage(text), expected, "{text}");
        }
    }

    #[test]
    fn details_do_not_confuse() {
        let text = r#"{"prompt_tokens_details":{"prompt_tokens":99},"prompt_tokens":1,"completion_tokens":1}"#;
        assert_eq!(usage(text), Some((1, 1, 2)));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let estimate = Usage::estimate(5, 6);
        assert_eq!(usage(&write(&estimate)), Some((5, 6, 11)));
    }
}
