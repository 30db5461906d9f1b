//! What other gateways are told of one window.

use super::lease::Lease;
use super::meter::{Meter, Used};
use super::share::Share;
use crate::clock::UnixMillis;
use crate::quota::limit::{Cycle, UNITS};
use crate::quota::shared::{Kind, WindowClaim};

impl Meter {
    /// Begins at zero in the period of this moment, also where that is an earlier one.
    pub(super) fn begin_shared(&mut self, next: u64, now: UnixMillis) {
        *self = Meter {
            share: Some(Share::default()),
            ..Meter::new(self.window.clone(), self.id, next, now)
        };
    }

    /// What others are told of this window, and what is wished for.
    pub(super) fn claim(&mut self, lease: &Lease) -> WindowClaim {
        let start = self.claimed_start();
        let used = self.used();
        let held = self.held;
        let share = self.share.get_or_insert_with(Share::default);
        let taken = used
            .plus(held)
            .plus(share.others_used)
            .plus(share.others_held);
        let mut wish = [0; 4];
        for unit in UNITS {
            if let Some(cap) = self.window.caps[unit] {
                let left = cap.saturating_sub(taken[unit]);
                wish[unit as usize] = lease.wish(unit, left, lease.terms.ahead);
            }
        }
        let told = share.claim(wish, start);
        let used = match &self.used {
            Used::Period { start, used, .. } => vec![(*start, used.0)],
            Used::Slots(slots) => slots
                .iter()
                .filter(|(start, _)| lease.whole || told.contains(start))
                .map(|(start, used)| (*start, used.0))
                .collect(),
        };
        WindowClaim {
            id: self.shared_id(),
            kind: match &self.used {
                Used::Slots(slots) => Kind::Rolling {
                    every_ms: slots.every().unsigned_abs(),
                    slot_ms: slots.width().unsigned_abs(),
                },
                Used::Period { start, end, .. } => match self.window.cycle {
                    Cycle::Cron(_) => Kind::Fixed {
                        start: *start,
                        end: *end,
                    },
                    Cycle::Never | Cycle::Rolling(_) => Kind::Forever { start: *start },
                },
            },
            caps: self.window.caps.0,
            used,
            held: held.0,
            wish,
            in_flight: self.in_flight,
        }
    }

    /// What tells the period of a claim from the next one. A rolling window has but one.
    pub(super) fn claimed_start(&self) -> UnixMillis {
        match &self.used {
            Used::Period { start, .. } => *start,
            Used::Slots(_) => UnixMillis(0),
        }
    }

    /// The same for all gateways, and another one for a window of another shape.
    fn shared_id(&self) -> String {
        let id = &self.window.id;
        match &self.window.cycle {
            Cycle::Never => format!("{id}/for ever"),
            Cycle::Cron(schedule) => format!("{id}/{}/{}", schedule.expression(), schedule.zone()),
            Cycle::Rolling(every) => format!("{id}/{}ms", every.as_millis()),
        }
    }
}
