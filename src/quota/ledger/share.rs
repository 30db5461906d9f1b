//! One window of counters that are shared with other gateways: what may be taken of it without asking.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, PerUnit, Unit};
use crate::quota::shared::WindowTold;

/// What may be taken, what may be committed, and what others have.
#[derive(Clone, Debug, Default)]
pub(in crate::quota) struct Share {
    /// What may be taken without asking.
    credit: [i64; 4],
    /// What may be committed without waiting for an answer.
    pledged: [i64; 4],
    /// What was taken and committed since the claim was made that is under way.
    taken: [i64; 4],
    committed: [i64; 4],
    /// What that claim wished for, and the start of the period that it was about.
    wish: [u64; 4],
    claimed: Option<UnixMillis>,
    /// What was granted last, without what was taken meanwhile.
    granted: [i64; 4],
    /// What others have used.
    pub(super) others_used: Amount,
    /// What others hold, or may take without asking.
    pub(super) others_held: Amount,
    /// How many requests others have in flight.
    pub(super) others_in_flight: u64,
    /// Whether the last answer gave less than was wished for.
    short: bool,
    /// Until when asking again is in vain.
    denied_until: UnixMillis,
    /// Slots of a rolling window that changed, and those that the claim under way tells of.
    changed: Vec<UnixMillis>,
    told: Vec<UnixMillis>,
}

/// After an answer that gave too little, others are asked again after this time.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Share {
    /// Something was taken: held, or used at once.
    pub(super) fn take(&mut self, amount: Amount) {
        self.move_taken(signed(amount), 1);
    }

    /// What was taken was given back.
    pub(super) fn give_back(&mut self, amount: Amount) {
        self.move_taken(signed(amount), -1);
    }

    fn move_taken(&mut self, amount: [i64; 4], sign: i64) {
        for (unit, amount) in amount.into_iter().enumerate() {
            self.credit[unit] = self.credit[unit].saturating_sub(sign * amount);
            self.taken[unit] = self.taken[unit].saturating_add(sign * amount);
        }
    }

    /// What was taken is used now.
    pub(super) fn commit(&mut self, amount: Amount) {
        self.move_committed(signed(amount));
    }

    fn move_committed(&mut self, amount: [i64; 4]) {
        for (unit, amount) in amount.into_iter().enumerate() {
            self.pledged[unit] = self.pledged[unit].saturating_sub(amount);
            self.committed[unit] = self.committed[unit].saturating_add(amount);
        }
    }

    /// What was used turned out to be something else.
    pub(super) fn correct(&mut self, was: Amount, is: Amount) {
        let (was, is) = (signed(was), signed(is));
        let more = std::array::from_fn(|unit| is[unit] - was[unit]);
        self.move_taken(more, 1);
        self.move_committed(more);
    }

    /// A slot of a rolling window has changed.
    pub(super) fn note_slot(&mut self, start: UnixMillis) {
        if !self.changed.contains(&start) {
            self.changed.push(start);
        }
    }

    /// What may be taken of a unit.
    pub(super) fn credit(&self, unit: Unit) -> u64 {
        u64::try_from(self.credit[unit as usize]).unwrap_or(0)
    }

    /// What may be committed of a unit without a word to anybody.
    pub(super) fn pledged(&self, unit: Unit) -> u64 {
        u64::try_from(self.pledged[unit as usize]).unwrap_or(0)
    }

    /// Whether more of a unit was committed than was pledged.
    pub(super) fn is_overdrawn(&self, unit: Unit) -> bool {
        self.pledged[unit as usize] < 0
    }

    /// Whether half of what was granted is gone, so that more should be there before the rest is.
    pub(super) fn is_low(&self, unit: Unit) -> bool {
        let unit = unit as usize;
        self.granted[unit] > 1 && self.credit[unit] * 2 < self.granted[unit]
    }

    /// Whether all that is left of a unit was granted to us, and nobody else has anything under way.
    pub(super) fn has_the_rest(&self, unit: Unit) -> bool {
        self.short && self.others_in_flight == 0 && self.others_held[unit] == 0
    }

    /// Whether others may be asked.
    pub(super) fn may_ask(&self, now: UnixMillis) -> bool {
        now >= self.denied_until
    }

    /// Whether there is anything that could be given to others.
    pub(super) fn has_credit(&self) -> bool {
        self.credit.iter().any(|credit| *credit > 0)
    }

    /// A new period begins: what is left of the old one is nobody's.
    pub(super) fn begin_anew(&mut self) {
        *self = Share::default();
    }

    /// A claim is made that wishes for this much. Gives the slots that it has to tell of.
    pub(super) fn claim(&mut self, wish: [u64; 4], start: UnixMillis) -> &[UnixMillis] {
        for (unit, wish) in signed(PerUnit(wish)).into_iter().enumerate() {
            self.credit[unit] = self.credit[unit].min(wish);
            // The claim turns what was taken of the credit into something held, which comes back to all if
            // we die. Only what is left of the credit is sure to be granted again.
            self.pledged[unit] = self.pledged[unit].min(self.credit[unit].max(0));
        }
        self.taken = [0; 4];
        self.committed = [0; 4];
        self.wish = wish;
        self.claimed = Some(start);
        let changed = std::mem::take(&mut self.changed);
        self.told.extend(changed);
        &self.told
    }

    /// The claim was answered. `start` is that of the present period, which may be another one by now.
    pub(super) fn answer(
        &mut self,
        told: &WindowTold,
        caps: &[Option<u64>; 4],
        start: UnixMillis,
        now: UnixMillis,
    ) {
        if self.claimed != Some(start) || told.stale {
            return;
        }
        self.told.clear();
        self.granted = signed(PerUnit(told.granted));
        self.short = false;
        for (unit, cap) in caps.iter().enumerate() {
            self.credit[unit] = self.granted[unit].saturating_sub(self.taken[unit]);
            self.pledged[unit] = self.granted[unit].saturating_sub(self.committed[unit]);
            self.short |= cap.is_some() && told.granted[unit] < self.wish[unit];
        }
        if self.short {
            self.denied_until = now.after(ASK_AGAIN);
        }
        self.others_used = PerUnit(told.others_used);
        self.others_held = PerUnit(told.others_held).plus(PerUnit(told.others_credit));
        self.others_in_flight = told.others_in_flight;
    }

    /// The claim was not answered: what it told has to be told again.
    pub(super) fn fail(&mut self) {
        let told = std::mem::take(&mut self.told);
        for start in told {
            self.note_slot(start);
        }
    }
}

fn signed(amount: Amount) -> [i64; 4] {
    amount
        .0
        .map(|number| i64::try_from(number).unwrap_or(i64::MAX / 4))
}
