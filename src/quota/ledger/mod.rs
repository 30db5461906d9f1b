//! The arithmetic of one account: all its windows, the requests at once, what the provider said.
//!
//! Plain values in, plain values out: no lock, no clock, no IO. [`Account`](super::Account) puts
//! a mutex around it and writes the [`Tally`]s that an operation returns to the journal.

mod claim;
mod learned;
mod lease;
mod meter;
mod pace;
mod room;
mod share;
mod slots;
mod standing;
mod stored;

use std::time::Duration;

use smallvec::SmallVec;

use super::limit::{Amount, Cost, Limits, Unit, Window};
use crate::chat::Allowance;
use crate::clock::UnixMillis;
use learned::Learned;
use lease::Lease;
pub(super) use lease::Terms;
use meter::Meter;
pub(super) use meter::Tally;
pub use pace::Forecast;
use pace::Pace;
use share::Share;
pub use standing::{LearnedStanding, Standing, WindowStanding};
pub(super) use stored::Stored;

/// What an account has counted.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    limits: Limits,
    /// One for each window, in their order.
    meters: Vec<Meter>,
    /// Reservations that have not ended, whatever period they are of.
    open: u64,
    /// What those of them hold that are not counted yet.
    waiting: Amount,
    /// The number of the next reservation.
    next: u64,
    /// How often the operator has reset the counts.
    resets: u64,
    learned: Learned,
    pace: Pace,
    /// How other gateways count here, too.
    lease: Option<Box<Lease>>,
}

/// One reservation's part in a ledger.
#[derive(Debug)]
pub(super) struct Hold {
    /// Grows with every reservation, and so tells those of earlier periods.
    number: u64,
    amount: Amount,
    /// When it was counted, once it was committed.
    counted: Option<Counted>,
}

/// When a reservation was counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: UnixMillis,
    /// How often the counts had been reset by then.
    resets: u64,
}

/// What one operation has to have written: a line for each window that it changed.
pub(super) type Tallies = SmallVec<[Tally; 4]>;

/// What follows from something that was counted.
#[derive(Debug, Default)]
pub(super) struct Counting {
    /// What has to be written before it is released.
    pub(super) tallies: Tallies,
    /// The claim that has to be answered before it is released.
    pub(super) heard_by: Option<u64>,
}

/// A period that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollover {
    /// Which window it is of.
    pub window: String,
    /// Requests used in it.
    pub requests: u64,
    /// Tokens used in it.
    pub tokens: u64,
}

/// What an answer's headers say is believed for this long: after a day a provider may be asked how it is now.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest estimate that is held: no sum of holds can overflow, and no real answer is as large.
const ESTIMATE_MAX: u64 = 1 << 40;

impl Ledger {
    /// Counts from zero, each window under an id of its own.
    pub(super) fn new(mut new_id: impl FnMut() -> u64, limits: Limits, now: UnixMillis) -> Ledger {
        let windows = limits.windows().iter();
        let meters = windows
            .map(|window| Meter::new(window.clone(), new_id(), 0, now))
            .collect();
        Ledger::of(limits, meters)
    }

    fn of(limits: Limits, meters: Vec<Meter>) -> Ledger {
        Ledger {
            limits,
            meters,
            open: 0,
            waiting: Amount::default(),
            next: 0,
            resets: 0,
            learned: Learned::default(),
            pace: Pace::default(),
            lease: None,
        }
    }

    /// Begins the periods that contain `now`.
    pub(super) fn roll(&mut self, now: UnixMillis) {
        let next = self.next;
        for meter in &mut self.meters {
            meter.roll(next, now);
        }
    }

    /// The periods that ended since this was last asked.
    pub(super) fn take_rollovers(&mut self) -> Vec<Rollover> {
        let ended = self.meters.iter_mut().filter_map(|meter| {
            let used = meter.ended.take()?;
            Some(Rollover {
                window: meter.window.id.to_string(),
                requests: used[Unit::Requests],
                tokens: used[Unit::Tokens],
            })
        });
        ended.collect()
    }

    /// Learns how fast it is used: to be called about once a second.
    pub(super) fn tick(&mut self, now: UnixMillis) {
        self.pace.tick(now);
    }

    /// Changes the limits and keeps the counts: of windows with the same id, else with the same cycle, else by
    /// their lengths. Tells whether there are counts under a new id.
    pub(super) fn set_limits(
        &mut self,
        limits: Limits,
        mut new_id: impl FnMut() -> u64,
        now: UnixMillis,
    ) -> bool {
        if limits == self.limits {
            return false;
        }
        self.roll(now);
        self.limits = limits;
        if let Some(lease) = &mut self.lease {
            lease.change();
        }
        // Who edits limits knows better than what a provider said before.
        self.learned = Learned::default();
        let mut old: Vec<Option<Meter>> = std::mem::take(&mut self.meters)
            .into_iter()
            .map(Some)
            .collect();
        let windows = self.limits.windows().to_vec();
        let mut kept: Vec<Option<Meter>> = vec![None; windows.len()];
        let same_id = |old: &Meter, new: &Window| old.window.id == new.id;
        let same_cycle = |old: &Meter, new: &Window| old.window.cycle == new.cycle;
        for same in [same_id as fn(&Meter, &Window) -> bool, same_cycle] {
            for (window, kept) in windows.iter().zip(&mut kept) {
                let found =
                    |old: &&mut Option<Meter>| old.as_ref().is_some_and(|o| same(o, window));
                if kept.is_none() {
                    *kept = old.iter_mut().find(found).and_then(Option::take);
                }
            }
        }
        // What is left has another shape: the longest takes over the longest, which errs on the safe side.
        let left = old.iter_mut().filter(|old| old.is_some());
        for (place, old) in kept.iter_mut().filter(|kept| kept.is_none()).zip(left) {
            *place = old.take();
        }
        let mut renamed = old.iter().any(Option::is_some);
        let next = self.next;
        self.meters = windows
            .into_iter()
            .zip(kept)
            .map(|(window, kept)| match kept {
                Some(mut meter) => {
                    if meter.become_window(window, now) {
                        meter.id = new_id();
                        renamed = true;
                    }
                    meter
                }
                None => {
                    renamed = true;
                    let mut meter = Meter::new(window, new_id(), next, now);
                    meter.share = self.lease.as_ref().map(|_| Share::default());
                    meter
                }
            })
            .collect();
        renamed
    }

    /// Counts from zero under new ids, because the operator said so. What is in flight stays
    /// held; what was committed before is forgotten, and its settling will not be counted. So is what the
    /// provider said of its own limits: there is no other way to be rid of that.
    pub(super) fn reset(&mut self, ids: &[u64], now: UnixMillis) {
        self.roll(now);
        self.resets += 1;
        self.learned = Learned::default();
        for (meter, id) in self.meters.iter_mut().zip(ids) {
            meter.reset(*id, now);
        }
    }

    /// Holds one request that is admitted.
    pub(super) fn take(&mut self, cost: Cost) -> Hold {
        let amount = cost.at_most(ESTIMATE_MAX).of_one();
        let mut is_low = false;
        for meter in &mut self.meters {
            meter.take(amount);
            is_low |= meter.is_low();
        }
        if let Some(lease) = &mut self.lease {
            lease.take_place();
            lease.note_taken(amount);
            if is_low {
                lease.urge();
            }
        }
        self.learned.take(amount);
        self.waiting = self.waiting.plus(amount);
        self.open += 1;
        let number = self.next;
        self.next += 1;
        Hold {
            number,
            amount,
            counted: None,
        }
    }

    /// Turns what is held into what is used.
    pub(super) fn commit(&mut self, hold: &mut Hold, now: UnixMillis) -> Counting {
        let mut counting = Counting::default();
        if hold.counted.is_some() {
            return counting;
        }
        hold.counted = Some(Counted {
            at: now,
            resets: self.resets,
        });
        self.waiting = self.waiting.minus(hold.amount);
        self.pace.count(hold.amount);
        for meter in self.meters.iter_mut().filter(|meter| meter.has(hold)) {
            meter.unsettled = meter.unsettled.plus(hold.tokens());
            counting.tallies.push(meter.commit(hold.amount, now));
        }
        counting.heard_by = self.must_be_heard();
        counting
    }

    /// The claim that tells the others of more than was pledged; nothing may be released before its answer.
    fn must_be_heard(&mut self) -> Option<u64> {
        let lease = self.lease.as_mut()?;
        lease.stir();
        let overdrawn = self.meters.iter().any(Meter::is_overdrawn);
        (overdrawn && !lease.away).then(|| lease.urge())
    }

    /// Ends a reservation with what it really cost.
    pub(super) fn settle(&mut self, hold: &Hold, cost: Cost, now: UnixMillis) -> Counting {
        let mut counting = Counting::default();
        let tallies = &mut counting.tallies;
        let is = cost.of_one();
        self.end(hold);
        match &hold.counted {
            None => {
                self.pace.count(is);
                for meter in self.meters.iter_mut().filter(|meter| meter.has(hold)) {
                    tallies.push(meter.count(is, now));
                }
            }
            Some(counted) if counted.resets == self.resets && is != hold.amount => {
                self.pace.correct(hold.tokens(), cost.of_none());
                let was = hold.tokens();
                for meter in self.meters.iter_mut().filter(|meter| meter.has(hold)) {
                    tallies.extend(meter.correct(counted, was, cost.of_none()));
                }
            }
            Some(_) => {}
        }
        if hold.counted.is_none() {
            counting.heard_by = self.must_be_heard();
        } else if let Some(lease) = &mut self.lease {
            lease.stir();
        }
        counting
    }

    /// Ends a reservation without a number: uncounted if it was not committed, else as estimated.
    pub(super) fn end(&mut self, hold: &Hold) {
        self.open = self.open.saturating_sub(1);
        if let Some(lease) = &mut self.lease {
            lease.give_place_back();
            lease.stir();
        }
        if hold.counted.is_none() {
            self.waiting = self.waiting.minus(hold.amount);
        }
        for meter in self.meters.iter_mut().filter(|meter| meter.has(hold)) {
            meter.in_flight = meter.in_flight.saturating_sub(1);
            match &hold.counted {
                None => meter.give_back(hold.amount),
                Some(counted) if counted.resets == self.resets => {
                    meter.unsettled = meter.unsettled.minus(hold.tokens());
                }
                Some(_) => {}
            }
        }
    }

    /// Takes over what the provider says with the answer to `hold`.
    pub(super) fn learn(&mut self, said: &[Allowance], hold: &Hold, now: UnixMillis) {
        let own = match hold.counted {
            None => hold.amount,
            Some(_) => Amount::default(),
        };
        self.learned
            .learn(said, self.waiting.minus(own), LONGEST, now);
    }

    /// Takes over that nothing is left, whatever is under way.
    pub(super) fn learn_spent(&mut self, nothing: &Allowance, now: UnixMillis) {
        let said = std::slice::from_ref(nothing);
        self.learned
            .learn(said, Amount::default(), Duration::MAX, now);
    }

    /// How often what is stored has changed.
    pub(super) fn version(&self) -> u64 {
        self.meters.iter().map(|meter| meter.version).sum()
    }
}

impl Hold {
    /// What it holds, but for the request itself: that is final once it is committed.
    fn tokens(&self) -> Amount {
        let mut tokens = self.amount;
        tokens[Unit::Requests] = 0;
        tokens
    }
}
