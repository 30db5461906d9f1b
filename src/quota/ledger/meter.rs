//! The arithmetic of one window: what is used, what is held, what still fits.

use std::time::Duration;

use super::lease::Contact;
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

/// Whether an amount fits under a limit, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    Free,
    /// Others may leave us room, if they are asked.
    Unasked,
    /// What is missing is held by others and may be given back.
    Held,
    /// Others cannot be asked.
    Away,
    /// When it will be there again; [`NEVER`] if it never is.
    Spent(UnixMillis),
}

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
            (Used::Period { start, end, .. }, cycle) if cycle.schedule().is_some() => {
                let Some(schedule) = cycle.schedule() else {
                    return false;
                };
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
                let end = match cycle.schedule() {
                    Some(schedule) => schedule.period(now).end,
                    None => NEVER,
                };
                let start = match cycle.schedule() {
                    Some(schedule) => schedule.period(now).start,
                    None => begun,
                };
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

    /// Whether a request of `asked` fits, and the unit that it does not fit by.
    pub(super) fn room(&self, asked: Amount, contact: Option<Contact>) -> Option<(Unit, Room)> {
        let mut worst: Option<(Unit, Room)> = None;
        for unit in UNITS {
            let Some(cap) = self.window.caps[unit] else {
                continue;
            };
            let room = self.room_of(unit, cap, asked[unit], contact);
            if room != Room::Free && worst.is_none_or(|(_, known)| known < room) {
                worst = Some((unit, room));
            }
        }
        worst
    }

    /// An estimate of tokens that is too large for what is left must not make the rest unusable, so who
    /// is alone may start as long as anything is left.
    fn room_of(&self, unit: Unit, cap: u64, asked: u64, contact: Option<Contact>) -> Room {
        let own = self.used()[unit];
        let others = self.share.as_ref().map_or(0, |s| s.others_used[unit]);
        // What running answers may give back is not spent.
        let surely_used = own
            .saturating_add(others)
            .saturating_sub(self.unsettled[unit]);
        if surely_used >= cap {
            return Room::Spent(self.has_room_at(unit, cap, asked).unwrap_or(NEVER));
        }
        if let (Some(share), Some(contact)) = (&self.share, contact) {
            return self.shared_room(unit, asked, share, contact);
        }
        let held = self.held[unit];
        let is_alone = unit != Unit::Requests && self.in_flight == 0;
        if own < cap && (held.saturating_add(asked) <= cap - own || is_alone) {
            return Room::Free;
        }
        Room::Held
    }

    /// The same where others count, too: what was granted may be taken, the rest has to be asked for.
    fn shared_room(&self, unit: Unit, asked: u64, share: &Share, contact: Contact) -> Room {
        if contact.away {
            // What is held will be committed: all of it must have been pledged.
            let left = share.pledged(unit).saturating_sub(self.held[unit]);
            return match contact.serves_alone && asked <= left {
                true => Room::Free,
                false => Room::Away,
            };
        }
        let credit = share.credit(unit);
        let is_alone = unit != Unit::Requests && self.in_flight == 0;
        if asked <= credit || is_alone && credit > 0 && share.has_the_rest(unit) {
            Room::Free
        } else if share.may_ask(contact.now) {
            Room::Unasked
        } else {
            Room::Held
        }
    }

    /// When a request of `asked` fits again, if nothing is used until then; `None` if it never does.
    fn has_room_at(&self, unit: Unit, cap: u64, asked: u64) -> Option<UnixMillis> {
        if cap == 0 {
            return None; // a reset gives nothing to a limit of 0
        }
        match &self.used {
            Used::Period { .. } => self.next_reset(),
            Used::Slots(slots) => {
                let others = self
                    .share
                    .as_ref()
                    .map_or(0, |share| share.others_used[unit]);
                let target = cap.saturating_sub(asked.min(cap)).saturating_sub(others);
                slots.falls_to(unit, target).or_else(|| slots.empty_at())
            }
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

    /// How much of the window is left, by how much time is left to use it: 1 is on schedule, more means that
    /// some would be left over. Of the unit that is scarcest.
    pub(super) fn headroom(&self, now: UnixMillis) -> f64 {
        let time_left = match &self.used {
            Used::Period { start, end, .. } if *end < NEVER => {
                let whole = start.until(*end).max(Duration::from_millis(1));
                let left = now.until(*end).as_secs_f64() / whole.as_secs_f64();
                // The last minutes of a period must not make the smallest rest look like plenty.
                left.clamp(0.01, 1.0)
            }
            _ => 1.0,
        };
        let mut least = f64::INFINITY;
        for unit in UNITS {
            if let Some(cap) = self.window.caps[unit] {
                let others = self.share.as_ref().map_or(0, |share| {
                    share.others_used[unit].saturating_add(share.others_held[unit])
                });
                let taken = self.used()[unit]
                    .saturating_add(self.held[unit])
                    .saturating_add(others);
                let left = cap.saturating_sub(taken) as f64 / (cap.max(1)) as f64;
                least = least.min(left / time_left);
            }
        }
        least
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
