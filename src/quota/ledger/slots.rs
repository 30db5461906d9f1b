//! What was used within the last so many minutes, whenever one looks.
//!
//! Time is cut into slots that are a small part of the window. What is used belongs to the slot in
//! which it was counted, and leaves with the whole of it, so that it leaves at most one slot late and
//! never early: at no instant does the window hold more than its limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, PerUnit, Unit};

/// The slots of one rolling window that have something in them, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::quota) struct Slots {
    every: i64,
    width: i64,
    slots: VecDeque<(UnixMillis, Amount)>,
    sum: Amount,
}

/// How many slots a window has: what was used returns late by one part in so many.
const SLOTS: i64 = 60;

impl Slots {
    pub(in crate::quota) fn new(every: Duration) -> Slots {
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 4);
        let every = every.clamp(1, i64::MAX / 4);
        Slots {
            every,
            width: (every / SLOTS).max(1),
            slots: VecDeque::new(),
            sum: Amount::default(),
        }
    }

    /// How long a slot is, in milliseconds.
    pub(in crate::quota) fn width(&self) -> i64 {
        self.width
    }

    /// How long the window is, in milliseconds.
    pub(in crate::quota) fn every(&self) -> i64 {
        self.every
    }

    /// All of it together, as of the last [`expire`](Slots::expire).
    pub(in crate::quota) fn sum(&self) -> Amount {
        self.sum
    }

    /// Slots with something in them, oldest first.
    pub(in crate::quota) fn iter(&self) -> impl Iterator<Item = &(UnixMillis, Amount)> {
        self.slots.iter()
    }

    /// Lets go of what was used too long ago to count.
    pub(in crate::quota) fn expire(&mut self, now: UnixMillis) {
        if let Some((newest, _)) = self.slots.back()
            && newest.0 - now.0 > self.width
        {
            self.rebase(now);
        }
        while let Some((start, amount)) = self.slots.front()
            && self.leaves_at(*start) <= now
        {
            self.sum = self.sum.minus(*amount);
            self.slots.pop_front();
        }
    }

    /// The clock was set back: what was used just now would count for as long as the clock lost.
    fn rebase(&mut self, now: UnixMillis) {
        let Some((newest, _)) = self.slots.back() else {
            return;
        };
        let back = newest.0 - self.start_of(now).0;
        for (start, _) in &mut self.slots {
            start.0 -= back;
        }
    }

    /// Counts `amount` as used `now`. Tells the slot, and all that is in it.
    pub(in crate::quota) fn add(
        &mut self,
        now: UnixMillis,
        amount: Amount,
    ) -> (UnixMillis, Amount) {
        let start = self.start_of(now);
        self.sum = self.sum.plus(amount);
        match self.slots.back_mut() {
            Some((newest, held)) if *newest >= start => {
                *held = held.plus(amount);
                (*newest, *held)
            }
            _ => {
                self.slots.push_back((start, amount));
                (start, amount)
            }
        }
    }

    /// Replaces a part of what was counted at `at`, if that still counts. Tells the slot and what is in it.
    pub(in crate::quota) fn correct(
        &mut self,
        at: UnixMillis,
        was: Amount,
        is: Amount,
    ) -> Option<(UnixMillis, Amount)> {
        let start = self.start_of(at);
        let found = self.slots.iter_mut().rfind(|(known, _)| *known == start)?;
        // After the clock was set it may be another slot, which holds less than that.
        let before = found.1;
        found.1 = before.minus(was).plus(is);
        let corrected = *found;
        self.sum = self.sum.minus(before).plus(corrected.1);
        Some(corrected)
    }

    /// Puts back a slot that was stored.
    pub(in crate::quota) fn restore(&mut self, start: UnixMillis, amount: Amount) {
        let at = self.slots.partition_point(|(known, _)| *known < start);
        match self.slots.get_mut(at) {
            Some((known, held)) if *known == start => {
                self.sum = self.sum.minus(*held).plus(amount);
                *held = amount;
            }
            _ => {
                self.sum = self.sum.plus(amount);
                self.slots.insert(at, (start, amount));
            }
        }
    }

    /// When no more than `target` of `unit` is left of what is counted now.
    pub(in crate::quota) fn falls_to(&self, unit: Unit, target: u64) -> Option<UnixMillis> {
        let mut left = self.sum[unit];
        self.slots.iter().find_map(|(start, amount)| {
            left = left.saturating_sub(amount[unit]);
            (left <= target).then(|| self.leaves_at(*start))
        })
    }

    /// When all of what counts now has left.
    pub(in crate::quota) fn empty_at(&self) -> Option<UnixMillis> {
        self.slots.back().map(|(start, _)| self.leaves_at(*start))
    }

    /// Forgets everything.
    pub(in crate::quota) fn clear(&mut self) {
        self.slots.clear();
        self.sum = PerUnit::default();
    }

    pub(in crate::quota) fn start_of(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.div_euclid(self.width) * self.width)
    }

    fn leaves_at(&self, start: UnixMillis) -> UnixMillis {
        UnixMillis(start.0 + self.width + self.every)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Slots;
    use crate::clock::UnixMillis;
    use crate::quota::limit::{Amount, PerUnit, Unit};

    fn one(tokens: u64) -> Amount {
        PerUnit([1, tokens, tokens, 0])
    }

    #[test]
    fn what_is_used_leaves_one_slot_late_and_never_early() {
        let mut slots = Slots::new(Duration::from_secs(60));
        let used = UnixMillis::from_secs(1_000).after(Duration::from_millis(700));
        slots.add(used, one(5));
        for (millis, left) in [(60_000, 1), (60_299, 1), (60_300, 0)] {
            let mut slots = slots.clone();
            slots.expire(UnixMillis(used.0 + millis));
            assert_eq!(slots.sum()[Unit::Requests], left, "{millis}");
        }
    }

    #[test]
    fn a_clock_set_back_does_not_hold_what_was_used_for_ever() {
        let mut slots = Slots::new(Duration::from_secs(60));
        slots.add(UnixMillis::from_secs(10_000), one(5));
        slots.expire(UnixMillis::from_secs(1_000));
        assert_eq!(slots.sum(), one(5));
        slots.expire(UnixMillis::from_secs(1_061));
        assert_eq!(slots.sum(), Amount::default());
    }

    #[test]
    fn what_was_counted_by_another_clock_takes_no_more_than_a_slot_holds() {
        let mut slots = Slots::new(Duration::from_secs(60));
        slots.add(UnixMillis::from_secs(10_000), one(100));
        slots.expire(UnixMillis::from_secs(9_000));
        slots.add(UnixMillis::from_secs(9_010), one(5));
        slots.expire(UnixMillis::from_secs(10_000));
        slots.add(UnixMillis::from_secs(10_000), one(7));
        let tokens = |tokens| PerUnit([0, tokens, tokens, 0]);
        slots.correct(UnixMillis::from_secs(10_000), tokens(100), tokens(9));
        assert_eq!(slots.sum(), one(9));
    }

    #[test]
    fn it_tells_when_there_is_room_again() {
        let mut slots = Slots::new(Duration::from_secs(60));
        for secs in [0, 10, 20] {
            slots.add(UnixMillis::from_secs(secs), one(100));
        }
        let falls_to = |target| slots.falls_to(Unit::Tokens, target).map(UnixMillis::secs);
        assert_eq!(falls_to(299), Some(61));
        assert_eq!(falls_to(200), Some(61));
        assert_eq!(falls_to(199), Some(71));
        assert_eq!(falls_to(0), Some(81));
        assert_eq!(slots.empty_at().map(UnixMillis::secs), Some(81));
    }

    proptest! {
        /// Against a list of all that was ever used.
        #[test]
        fn the_sum_is_what_was_used_within_the_window(
            uses in prop::collection::vec((0_i64..500, 0_u64..9), 1..60),
        ) {
            let mut slots = Slots::new(Duration::from_millis(1_000));
            let mut all: Vec<(i64, u64)> = Vec::new();
            let mut now = 7_000;
            for (wait, tokens) in uses {
                now += wait;
                slots.expire(UnixMillis(now));
                let of = |late: i64| -> u64 {
                    let within = all.iter().filter(|(at, _)| now - at < 1_000 + late);
                    within.map(|(_, tokens)| tokens).sum()
                };
                let sum = slots.sum()[Unit::Tokens];
                prop_assert!(of(0) <= sum && sum <= of(slots.width()));
                slots.add(UnixMillis(now), one(tokens));
                all.push((now, tokens));
            }
        }
    }
}
