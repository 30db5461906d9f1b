//! What a provider tells of its own limits, in the words of no vendor.

use std::time::Duration;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Whole requests.
    Requests,
    /// Tokens of prompt and answer, as the provider sums them up.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
}

impl Unit {
    /// What it is called in answers, metrics and the log.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
            Unit::InputTokens => "input_tokens",
            Unit::OutputTokens => "output_tokens",
        }
    }
}

/// How long one window of a provider's limit is, where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

/// What is left of one of a provider's own limits, as it said with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What it counts.
    pub unit: Unit,
    /// The window it is about, where that was said.
    pub span: Option<Span>,
    /// The limit itself, where that was said.
    pub limit: Option<u64>,
    /// What may still be used.
    pub remaining: u64,
    /// How long until all of it is back; `None` where that was not said.
    pub resets_in: Option<Duration>,
    /// Whether it comes back bit by bit until then (a token bucket), and not at once.
    pub refills: bool,
}
