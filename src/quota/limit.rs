//! What a provider's quota is, as configured, and what it means to be out of it.

use super::period::Schedule;
use crate::clock::UnixMillis;

/// The amounts a provider may serve in one period, and when periods begin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests per period; `None` is unlimited, 0 admits nothing.
    pub requests: Option<u64>,
    /// Tokens per period; `None` is unlimited, 0 admits nothing.
    pub tokens: Option<u64>,
    /// When a new period begins; `None` never resets.
    pub schedule: Option<Schedule>,
}

/// What counts against a request limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Answers that were committed to a client.
    #[default]
    Success,
    /// Whatever reached the provider.
    Attempts,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Whole requests.
    Requests,
    /// Tokens of prompt and answer.
    Tokens,
}

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Which limit is in the way.
    pub what: Unit,
    /// When the counts return to zero; `None` if they never do, or if that would not help because a
    /// limit is 0.
    pub resets_at: Option<UnixMillis>,
    /// Whether the room is only held by requests in flight, and may be free again in a moment.
    pub temporary: bool,
}
