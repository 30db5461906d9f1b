//! Token counts. The vendor's `input_tokens` leaves out what was read from a cache or written into one.

use serde_json::{Map, Value, json};

use crate::chat::Usage;

/// What has been told so far, part by part: a later event of a stream need not repeat what an earlier one said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    input: Option<u64>,
    cached: Option<u64>,
    cache_written: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Counts {
    /// Takes the counts that `usage` tells; they are cumulative.
    pub(super) fn take(&mut self, usage: &Value) {
        let details = &usage["output_tokens_details"];
        for (known, told) in [
            (&mut self.input, &usage["input_tokens"]),
            (&mut self.cached, &usage["cache_read_input_tokens"]),
            (
                &mut self.cache_written,
                &usage["cache_creation_input_tokens"],
            ),
            (&mut self.output, &usage["output_tokens"]),
            (&mut self.reasoning, &details["thinking_tokens"]),
        ] {
            *known = told.as_u64().or(*known);
        }
    }

    /// What they come to. Nothing but zeros is what servers say that do not count.
    pub(super) fn total(&self) -> Option<Usage> {
        let [input, cached, cache_written, output] =
            [self.input, self.cached, self.cache_written, self.output]
                .map(Option::unwrap_or_default);
        let input = input.saturating_add(cached).saturating_add(cache_written);
        let usage = Usage {
            input,
            output,
            total: input.saturating_add(output),
            cached,
            cache_written,
            reasoning: self.reasoning.unwrap_or_default(),
            estimated: false,
        };
        (usage.total > 0).then_some(usage)
    }
}

/// Counts for a client, whose type needs numbers even where nobody knows them.
pub(super) fn write(usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    let cached = usage.cached.saturating_add(usage.cache_written);
    let mut members = Map::new();
    members.insert(
        "input_tokens".into(),
        usage.input.saturating_sub(cached).into(),
    );
    members.insert(
        "cache_creation_input_tokens".into(),
        usage.cache_written.into(),
    );
    members.insert("cache_read_input_tokens".into(), usage.cached.into());
    members.insert("output_tokens".into(), usage.output.into());
    if usage.reasoning > 0 {
        members.insert(
            "output_tokens_details".into(),
            json!({"thinking_tokens": usage.reasoning}),
        );
    }
    members.into()
}

/// What a provider says that a request would cost.
pub(crate) fn read_count(body: &Value) -> Option<u64> {
    body["input_tokens"].as_u64()
}

/// What a client is told that a request would cost.
pub(crate) fn write_count(tokens: u64) -> Value {
    json!({"input_tokens": tokens})
}
