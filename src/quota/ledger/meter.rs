//! The arithmetic of one window: what is used and what is held.

use super::share::Share;
use super::slots::Slots;
use super::{Counted, Hold};
use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, Cycle, UNITS, Unit, Window};

/// The counts at one version: absolute numbers, so that the highest version is the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) struct Tally {
    /// Random, one for each window, and another one after the operator deleted the file.
    pub(in crate::quota) id: u64,
    /// Grows with every change of what is stored.
    pub(in crate::quota) version: u64,
    /// When the period, or the slot of a rolling window, began in which was counted.
    pub(in crate::quota) start: UnixMillis,
    /// What was used in it.
    pub(in crate::quota) used: Amount,
}

/// One window of an account.
#[derive(Clone, Debug)]
pub(in crate::quota) struct Meter {
    pub(super) window: Window,
    pub(super) id: u64,
    pub(super) version: u64,
    pub(super) used: Used,
    pub(super) held: Amount,
    /// Reservations of this period that have not ended, committed ones included.
    pub(super) in_flight: u64,
    /// Estimates that are counted as used by answers that have not ended. Some of it may come back.
    pub(super) unsettled: Amount,
    /// The number of the first reservation of this period: earlier ones are not part of these counts.
    pub(super) first: u64,
    pub(super) last_reset: Option<UnixMillis>,
    /// What was used in a period that ended, and of which nobody was told yet.
    pub(super) ended: Option<Amount>,
    /// What other gateways leave us, where they share this window.
    pub(super) share: Option<Share>,
}

/// What is used of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Used {
    /// All that was used since `start`. Nothing can change before `end`.
    Period {
        start: UnixMillis,
        end: UnixMillis,
        used: Amount,
    },
    Slots(Slots),
}

/// Stands for a reset that never comes.
pub(super) const NEVER: UnixMillis = UnixMillis(i64::MAX);

impl Meter {
    /// Counts from zero under a new `id`.
    pub(super) fn new(window: Window, id: u64, first: u64, now: UnixMillis) -> Meter {
        // Whole seconds, because that is what the readable file can say.
        let begin = UnixMillis::from_secs(now.secs());
        let (used, last_reset) = match &window.cycle {
            Cycle::Rolling(every) => (Used::Slots(Slots::new(*every)), None),
            Cycle::Never => (Used::period(begin, NEVER), None),
            Cycle::Cron(schedule) => {
                let period = schedule.period(now);
                (Used::period(period.start, period.end), Some(period.start))
            }
        };
        Meter {
            window,
            id,
            version: 1,
            used,
            held: Amount::default(),
            in_flight: 0,
            unsettled: Amount::default(),
            first,
            last_reset,
            ended: None,
            share: None,
        }
    }

    /// Begins the period that contains `now`, unless that is the present one or an earlier one. `next` is
    /// the number of the next reservation.
    ///
    /// This single rule covers ticks missed while the process was down and clocks that were set.
    pub(super) fn roll(&mut self, next: u64, now: UnixMillis) {
        match &mut self.used {
            Used::Slots(slots) => slots.expire(now),
            Used::Period { end, .. } if now < *end => {}
            Used::Period { start, end, used } => {
                let Cycle::Cron(schedule) = &self.window.cycle else {
                    *end = NEVER;
                    return;
                };
                // A clock that was set back must not name the end of a period that is long over.
                let period = schedule.period(now.max(*start));
                *end = period.end;
                if period.start <= *start {
                    return;
                }
                *start = period.start;
                self.ended = Some(std::mem::take(used));
                self.version += 1;
                self.first = next;
                self.held = Amount::default();
                self.in_flight = 0;
                self.unsettled = Amount::default();
                self.last_reset = Some(period.start);
                if let Some(share) = &mut self.share {
                    share.begin_anew();
                }
            }
        }
    }

    /// Takes over another window of the same account, and what was counted in it, also under another
    /// cycle: some of it may have been used within the present period of that, which therefore takes over
    /// all of it. Gives whether the counts are of another kind now and need another `id`.
    pub(super) fn become_window(&mut self, window: Window, now: UnixMillis) -> bool {
        if window == self.window {
            return false;
        }
        self.version += 1;
        let old = std::mem::replace(&mut self.window, window);
        if old.cycle == self.window.cycle {
            return false;
        }
        let total = self.used();
        let begun = self.start();
        if let Some(share) = &mut self.share {
            share.begin_anew(); // for the others it is another window
        }
        match (&mut self.used, &self.window.cycle) {
            (Used::Period { start, end, .. }, Cycle::Cron(schedule)) => {
                let period = schedule.period(now.max(*start));
                *end = period.end;
                *start = (*start).max(period.start);
                false
            }
            (Used::Period { end, .. }, Cycle::Never) => {
                *end = NEVER;
                false
            }
            (_, Cycle::Rolling(every)) => {
                let mut slots = Slots::new(*every);
                if !total.is_zero() {
                    slots.add(now, total);
                }
                self.used = Used::Slots(slots);
                true
            }
            (_, cycle) => {
                let period = cycle.schedule().map(|schedule| schedule.period(now));
                let (start, end) = period.map_or((begun, NEVER), |p| (p.start, p.end));
                self.used = Used::Period {
                    start,
                    end,
                    used: total,
                };
                true
            }
        }
    }

    /// Counts from zero under a new `id`. What is in flight stays held.
    pub(super) fn reset(&mut self, id: u64, now: UnixMillis) {
        self.id = id;
        self.version += 1;
        self.last_reset = Some(now);
        self.unsettled = Amount::default();
        match &mut self.used {
            Used::Period { used, .. } => *used = Amount::default(),
            Used::Slots(slots) => slots.clear(),
        }
    }

    /// Whether a reservation of this number is part of these counts.
    pub(super) fn has(&self, hold: &Hold) -> bool {
        hold.number >= self.first
    }

    /// What is used.
    pub(super) fn used(&self) -> Amount {
        match &self.used {
            Used::Period { used, .. } => *used,
            Used::Slots(slots) => slots.sum(),
        }
    }

    /// When what is used now began to be counted.
    pub(super) fn start(&self) -> UnixMillis {
        match &self.used {
            Used::Period { start, .. } => *start,
            Used::Slots(slots) => slots
                .iter()
                .next()
                .map_or(UnixMillis(0), |(start, _)| *start),
        }
    }

    /// When the counts return to zero, if nothing more is used.
    pub(super) fn next_reset(&self) -> Option<UnixMillis> {
        match (&self.used, &self.window.cycle) {
            (Used::Period { end, .. }, Cycle::Cron(_)) => Some(*end),
            (Used::Slots(slots), _) => slots.empty_at(),
            (Used::Period { .. }, _) => None,
        }
    }

    pub(super) fn take(&mut self, amount: Amount) {
        self.held = self.held.plus(amount);
        self.in_flight += 1;
        if let Some(share) = &mut self.share {
            share.take(amount);
        }
    }

    /// What is held is held no more, and was not used.
    pub(super) fn give_back(&mut self, amount: Amount) {
        self.held = self.held.minus(amount);
        if let Some(share) = &mut self.share {
            share.give_back(amount);
        }
    }

    /// What is held is used now.
    pub(super) fn commit(&mut self, amount: Amount, now: UnixMillis) -> Tally {
        self.held = self.held.minus(amount);
        if let Some(share) = &mut self.share {
            share.commit(amount);
        }
        self.add(amount, now)
    }

    /// Counts what was not held.
    pub(super) fn count(&mut self, amount: Amount, now: UnixMillis) -> Tally {
        if let Some(share) = &mut self.share {
            share.take(amount);
            share.commit(amount);
        }
        self.add(amount, now)
    }

    fn add(&mut self, amount: Amount, now: UnixMillis) -> Tally {
        self.version += 1;
        let (start, used) = match &mut self.used {
            Used::Period { start, used, .. } => {
                *used = used.plus(amount);
                (*start, *used)
            }
            Used::Slots(slots) => {
                let slot = slots.add(now, amount);
                if let Some(share) = &mut self.share {
                    share.note_slot(slot.0);
                }
                slot
            }
        };
        self.tally(start, used)
    }

    /// Replaces what was counted by what it really was.
    pub(super) fn correct(&mut self, counted: &Counted, was: Amount, is: Amount) -> Option<Tally> {
        let (start, used) = match &mut self.used {
            Used::Period { start, used, .. } => {
                *used = used.minus(was).plus(is);
                (*start, *used)
            }
            Used::Slots(slots) => {
                // What no longer counts gives nothing back, here or to the others.
                let slot = slots.correct(counted.at, was, is)?;
                if let Some(share) = &mut self.share {
                    share.note_slot(slot.0);
                }
                slot
            }
        };
        if let Some(share) = &mut self.share {
            share.correct(was, is);
        }
        self.version += 1;
        Some(self.tally(start, used))
    }

    fn tally(&self, start: UnixMillis, used: Amount) -> Tally {
        Tally {
            id: self.id,
            version: self.version,
            start,
            used,
        }
    }

    /// Whether more was committed than others have heard of, of something that is limited.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.of_limited(Share::is_overdrawn)
    }

    /// Whether what was granted of something limited will soon be used.
    pub(super) fn is_low(&self) -> bool {
        self.of_limited(Share::is_low)
    }

    fn of_limited(&self, is_so: fn(&Share, Unit) -> bool) -> bool {
        let limited = |unit: &Unit| self.window.caps[*unit].is_some();
        let mut units = UNITS.into_iter().filter(limited);
        self.share
            .as_ref()
            .is_some_and(|share| units.any(|unit| is_so(share, unit)))
    }
}

impl Used {
    fn period(start: UnixMillis, end: UnixMillis) -> Used {
        Used::Period {
            start,
            end,
            used: Amount::default(),
        }
    }
}
