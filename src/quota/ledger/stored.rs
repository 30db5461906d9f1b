//! What of an account is stored, and how it goes on from that.

use super::Ledger;
use super::meter::{Meter, Used};
use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, Limits, Window};

/// The counts of a window as they were stored.
#[derive(Clone, Debug)]
pub(in crate::quota) struct Stored {
    pub(in crate::quota) window: Window,
    pub(in crate::quota) id: u64,
    pub(in crate::quota) version: u64,
    /// When the present period began.
    pub(in crate::quota) start: UnixMillis,
    pub(in crate::quota) used: Amount,
    /// The slots of a rolling window, instead of the two before.
    pub(in crate::quota) slots: Vec<(UnixMillis, Amount)>,
    pub(in crate::quota) last_reset: Option<UnixMillis>,
}

impl Ledger {
    /// Goes on from stored counts, by the limits they were counted under. Periods that are over roll over at
    /// once.
    pub(in crate::quota) fn restore(
        stored: Vec<Stored>,
        max_concurrent: Option<u64>,
        now: UnixMillis,
    ) -> Ledger {
        let windows = stored.iter().map(|stored| stored.window.clone()).collect();
        let limits = Limits::new(windows, max_concurrent);
        let meters = limits
            .windows()
            .iter()
            .filter_map(|window| stored.iter().find(|stored| stored.window.id == window.id))
            .map(|stored| stored.meter(now))
            .collect();
        let mut ledger = Ledger::of(limits, meters);
        ledger.roll(now);
        ledger
    }

    /// What is to be stored.
    pub(in crate::quota) fn stored(&self) -> Vec<Stored> {
        self.meters.iter().map(Stored::of).collect()
    }
}

impl Stored {
    fn of(meter: &Meter) -> Stored {
        let (start, used, slots) = match &meter.used {
            Used::Period { start, used, .. } => (*start, *used, Vec::new()),
            Used::Slots(slots) => (meter.start(), slots.sum(), slots.iter().copied().collect()),
        };
        Stored {
            window: meter.window.clone(),
            id: meter.id,
            version: meter.version,
            start,
            used,
            slots,
            last_reset: meter.last_reset,
        }
    }

    fn meter(&self, now: UnixMillis) -> Meter {
        let mut meter = Meter::new(self.window.clone(), self.id, 0, now);
        meter.version = self.version;
        meter.last_reset = self.last_reset;
        match &mut meter.used {
            Used::Period { start, end, used } => {
                *start = self.start;
                // Whether that period is over is seen when it rolls.
                *end = UnixMillis(i64::MIN);
                *used = self.used;
            }
            Used::Slots(slots) => {
                for (start, amount) in &self.slots {
                    slots.restore(*start, *amount);
                }
            }
        }
        meter
    }
}
