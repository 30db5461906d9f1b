//! What an answer cost, in tokens.

/// Token counts as a provider reported them, or as we estimated them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input: u64,
    /// Tokens of the answer, reasoning included.
    pub output: u64,
    /// What quotas count: the provider's own total, which need not be the sum of the two.
    pub total: u64,
    /// Of the prompt, what the provider had in its cache.
    pub cached: u64,
    /// Of the prompt, what the provider put into its cache.
    pub cache_written: u64,
    /// Of the answer, what the model thought.
    pub reasoning: u64,
    /// Whether nobody told us and the numbers are our estimate.
    pub estimated: bool,
}

impl Usage {
    /// An estimate from its two halves.
    pub fn estimate(input: u64, output: u64) -> Usage {
        Usage {
            input,
            output,
            total: input.saturating_add(output),
            estimated: true,
            ..Usage::default()
        }
    }
}
