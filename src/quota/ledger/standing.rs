//! How an account stands, for people.

use super::Ledger;
use super::meter::Meter;
use super::pace::Forecast;
use crate::chat::Span;
use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, Cycle, Unit, Window};

/// How an account stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Each window, the longest first. Never empty.
    pub windows: Vec<WindowStanding>,
    /// Reservations that have not ended, whatever period they are of.
    pub open: u64,
    /// Most of them at once.
    pub max_concurrent: Option<u64>,
    /// What the provider said of its own limits, as far as that still holds.
    pub learned: Vec<LearnedStanding>,
}

/// How one window stands.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowStanding {
    /// What was configured.
    pub window: Window,
    /// What is used of it, by whoever shares it.
    pub used: Amount,
    /// What is held by answers that are not committed yet.
    pub held: Amount,
    /// Reservations of this period that have not ended, those of committed answers included.
    pub in_flight: u64,
    /// When the counts were zero last because of a tick or the operator; `None` if never.
    pub last_reset: Option<UnixMillis>,
    /// When the counts return to zero; `None` if they never do.
    pub next_reset: Option<UnixMillis>,
    /// Where it is heading; `None` where nothing is limited or nothing is known yet.
    pub forecast: Option<Forecast>,
}

/// What a provider said of one of its own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedStanding {
    /// What it counts.
    pub unit: Unit,
    /// The window it is about, where that was said.
    pub span: Option<Span>,
    /// The limit, where that was said.
    pub limit: Option<u64>,
    /// What is left of it, as far as we can know.
    pub left: u64,
    /// When all of it is back.
    pub until: UnixMillis,
}

impl Ledger {
    /// How it stands.
    pub(in crate::quota) fn standing(&mut self, now: UnixMillis) -> Standing {
        if let Some(lease) = &mut self.lease {
            lease.look_again(now);
        }
        let learned = self.learned.told(now);
        Standing {
            windows: self
                .meters
                .iter()
                .map(|meter| self.window_standing(meter, now))
                .collect(),
            open: self.open,
            max_concurrent: self.limits.max_concurrent,
            learned: learned
                .map(|(unit, span, limit, left, until)| LearnedStanding {
                    unit,
                    span,
                    limit,
                    left,
                    until,
                })
                .collect(),
        }
    }

    /// What this gateway alone has used of the first window: requests and tokens.
    #[cfg(test)]
    pub(in crate::quota) fn standing_own(&self) -> (u64, u64) {
        let used = self.meters[0].used();
        (used[Unit::Requests], used[Unit::Tokens])
    }

    fn window_standing(&self, meter: &Meter, now: UnixMillis) -> WindowStanding {
        let others = meter.share.as_ref().map(|share| share.others_used);
        let used = meter.used().plus(others.unwrap_or_default());
        let cycle = &meter.window.cycle;
        let mut left = meter.window.caps.0;
        for (cap, used) in left.iter_mut().zip(used.0) {
            *cap = cap.map(|cap| cap.saturating_sub(used));
        }
        let rolling = matches!(cycle, Cycle::Rolling(_));
        let next_reset = meter.next_reset();
        WindowStanding {
            window: meter.window.clone(),
            used,
            held: meter.held,
            in_flight: meter.in_flight,
            last_reset: meter.last_reset,
            next_reset,
            forecast: self
                .pace
                .forecast(left, cycle.length(), next_reset, rolling, now),
        }
    }
}

impl Standing {
    /// The longest window: what it says is what people mean by a provider's usage.
    pub fn main(&self) -> Option<&WindowStanding> {
        self.windows.first()
    }
}
