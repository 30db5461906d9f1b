//! What may be used of an account, as configured, and what it means to be out of it.

use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use super::period::Schedule;
pub use crate::chat::Unit;
use crate::chat::Usage;
use crate::clock::UnixMillis;

/// Every unit, in the order in which they are stored.
pub const UNITS: [Unit; 4] = [
    Unit::Requests,
    Unit::Tokens,
    Unit::InputTokens,
    Unit::OutputTokens,
];

/// One value for each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerUnit<T>(pub [T; 4]);

/// How much of each unit.
pub type Amount = PerUnit<u64>;

/// How much of each unit may be used; `None` is unlimited, 0 admits nothing.
pub type Caps = PerUnit<Option<u64>>;

/// The tokens of one request, before or after it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What counts as tokens: the provider's own total, or our estimate of it.
    pub tokens: u64,
    /// Of the prompt.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

/// What may be used of an account: so much in each of its windows, and so many requests at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Longest first, never empty.
    windows: Arc<[Window]>,
    /// Most requests that have not ended; `None` is unlimited, 0 admits nothing.
    pub max_concurrent: Option<u64>,
}

/// A stretch of time, and what may be used within it.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Unique within its account. What was counted is kept under it when limits are edited.
    pub id: Arc<str>,
    /// What may be used.
    pub caps: Caps,
    /// Which stretch.
    pub cycle: Cycle,
}

/// When what was used may be used again.
#[derive(Clone, Debug, PartialEq)]
pub enum Cycle {
    /// Never.
    Never,
    /// All of it at each tick of a schedule.
    Cron(Schedule),
    /// Each bit of it this long after it was used.
    Rolling(Duration),
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

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What is lacking.
    pub lack: Lack,
    /// When there is room again; `None` if there never is, or if nobody can know.
    pub resets_at: Option<UnixMillis>,
    /// Whether the room is only held by requests in flight, and may be free again in a moment.
    pub temporary: bool,
}

/// What is lacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Room in a window.
    Room(Unit),
    /// A place among the requests at once.
    Place,
    /// What the provider itself said is left.
    Allowance(Unit),
    /// Room that other gateways may have given back: to be asked for.
    Lease,
    /// Word from the state that is shared with other gateways.
    Contact,
}

impl<T> Index<Unit> for PerUnit<T> {
    type Output = T;

    fn index(&self, unit: Unit) -> &T {
        &self.0[unit as usize]
    }
}

impl<T> IndexMut<Unit> for PerUnit<T> {
    fn index_mut(&mut self, unit: Unit) -> &mut T {
        &mut self.0[unit as usize]
    }
}

impl Amount {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Amount) -> Amount {
        self.with(other, u64::saturating_add)
    }

    /// What is left of it without `other`; never below zero.
    #[must_use]
    pub fn minus(self, other: Amount) -> Amount {
        self.with(other, u64::saturating_sub)
    }

    fn with(mut self, other: Amount, combine: fn(u64, u64) -> u64) -> Amount {
        for (one, other) in self.0.iter_mut().zip(other.0) {
            *one = combine(*one, other);
        }
        self
    }

    /// Whether there is nothing of it.
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 4]
    }
}

impl Cost {
    /// A prompt and an answer of so many tokens.
    pub fn estimate(input: u64, output: u64) -> Cost {
        Cost {
            tokens: input.saturating_add(output),
            input,
            output,
        }
    }

    /// One request that costs so much.
    pub(super) fn of_one(self) -> Amount {
        PerUnit([1, self.tokens, self.input, self.output])
    }

    /// The tokens alone.
    pub(super) fn of_none(self) -> Amount {
        PerUnit([0, self.tokens, self.input, self.output])
    }

    /// No more than `most` of each.
    pub(super) fn at_most(self, most: u64) -> Cost {
        Cost {
            tokens: self.tokens.min(most),
            input: self.input.min(most),
            output: self.output.min(most),
        }
    }
}

/// What an answer took, as it was reported or estimated.
impl From<Usage> for Cost {
    fn from(usage: Usage) -> Cost {
        Cost {
            tokens: usage.total,
            input: usage.input,
            output: usage.output,
        }
    }
}

/// So many tokens, of which nobody knows more.
impl From<u64> for Cost {
    fn from(tokens: u64) -> Cost {
        Cost {
            tokens,
            input: tokens,
            output: 0,
        }
    }
}

impl Limits {
    /// These windows. Without any there is one that counts for ever and limits nothing.
    pub fn new(mut windows: Vec<Window>, max_concurrent: Option<u64>) -> Limits {
        if windows.is_empty() {
            windows.push(Window {
                id: Window::ONLY.into(),
                caps: Caps::default(),
                cycle: Cycle::Never,
            });
        }
        // Stable: of equally long ones that comes first which was written first.
        windows.sort_by_key(|window| std::cmp::Reverse(window.cycle.length()));
        Limits {
            windows: windows.into(),
            max_concurrent,
        }
    }

    /// All windows, the longest first.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Whether nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        let unlimited = |window: &Window| window.caps == Caps::default();
        self.max_concurrent.is_none() && self.windows.iter().all(unlimited)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::new(Vec::new(), None)
    }
}

impl Window {
    /// What the window is called that is the only one, or the one of `period_cron`.
    pub const ONLY: &'static str = "period";
}

impl Cycle {
    /// About how long one stretch is. Of schedules it is the present one, which is near enough to tell a
    /// day from a minute.
    pub fn length(&self) -> Duration {
        match self {
            Cycle::Never => Duration::MAX,
            Cycle::Cron(schedule) => {
                // Any moment would do, and the same one makes it a constant: 1 January 2026.
                let period = schedule.period(UnixMillis::from_secs(1_767_225_600));
                period.start.until(period.end)
            }
            Cycle::Rolling(every) => *every,
        }
    }

    /// The schedule, where there is one.
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            Cycle::Cron(schedule) => Some(schedule),
            Cycle::Never | Cycle::Rolling(_) => None,
        }
    }
}
