//! The arithmetic of one account: what is used, what is held, what still fits.
//!
//! Plain values in, plain values out: no lock, no clock, no IO. [`Account`](super::Account) puts
//! a mutex around it and writes the [`Tally`] that an operation returns to the journal.

use super::limit::{Exhausted, Limits, Unit};
use crate::clock::UnixMillis;

/// What an account has counted.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    limits: Limits,
    tally: Tally,
    last_reset: Option<UnixMillis>,
    /// The end of the period that the schedule gave last; before it nothing can roll over.
    period_end: UnixMillis,
    /// Grows with every roll-over. A hold of an earlier term is not part of these numbers.
    term: u64,
    requests_held: u64,
    tokens_held: u64,
    /// Reservations of this term that have not ended, committed ones included.
    in_flight: u64,
    /// Estimates that are counted as used by answers that have not ended. Some of it may come back.
    unsettled: u64,
    /// The roll-over that nobody was told about yet.
    rollover: Option<Rollover>,
}

/// The counts at one version: absolute numbers, so that the highest version is the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// Random, and another one after the operator deleted the file.
    pub(super) id: u64,
    /// Grows with every change of what is stored.
    pub(super) version: u64,
    /// When the period began in which was counted.
    pub(super) period_start: UnixMillis,
    /// Requests used in it.
    pub(super) requests: u64,
    /// Tokens used in it.
    pub(super) tokens: u64,
}

/// One reservation's part in a ledger.
#[derive(Debug)]
pub(super) struct Hold {
    term: u64,
    tokens: u64,
    /// The id of the tally that counted it, once it was committed.
    counted_in: Option<u64>,
}

/// A period that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollover {
    /// Requests used in it.
    pub requests: u64,
    /// Tokens used in it.
    pub tokens: u64,
}

/// How an account stands, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Requests used in this period.
    pub requests: u64,
    /// Tokens used in this period.
    pub tokens: u64,
    /// Requests held by answers that are not committed yet.
    pub requests_held: u64,
    /// Estimated tokens held by them.
    pub tokens_held: u64,
    /// Reservations of this period that have not ended, those of committed answers included.
    pub in_flight: u64,
    /// What may be used.
    pub limits: Limits,
    /// When the counts were zero last because of a tick or the operator; `None` if never.
    pub last_reset: Option<UnixMillis>,
    /// When the counts return to zero; `None` if they never do.
    pub next_reset: Option<UnixMillis>,
}

/// Whether an amount fits under a limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    /// What is missing is held by others and may be given back.
    Held,
    Spent,
}

/// Largest estimate that is held: no sum of holds can overflow, and no real answer is as large.
const ESTIMATE_MAX: u64 = 1 << 40;

impl Ledger {
    /// Counts from zero under a new `id`.
    pub(super) fn new(id: u64, limits: Limits, now: UnixMillis) -> Ledger {
        let period = limits.schedule.as_ref().map(|s| s.period(now));
        let tally = Tally {
            id,
            version: 1,
            // Whole seconds, because that is what the readable file can say.
            period_start: period.map_or(UnixMillis::from_secs(now.secs()), |p| p.start),
            requests: 0,
            tokens: 0,
        };
        Ledger::restore(tally, period.map(|p| p.start), limits, now)
    }

    /// Goes on from stored counts. If their period is over they roll over at once.
    pub(super) fn restore(
        tally: Tally,
        last_reset: Option<UnixMillis>,
        limits: Limits,
        now: UnixMillis,
    ) -> Ledger {
        let mut ledger = Ledger {
            limits,
            tally,
            last_reset,
            period_end: UnixMillis(i64::MIN),
            term: 0,
            requests_held: 0,
            tokens_held: 0,
            in_flight: 0,
            unsettled: 0,
            rollover: None,
        };
        ledger.roll(now);
        ledger
    }

    /// Begins the period that contains `now`, unless that is the present one or an earlier one.
    ///
    /// This single rule covers ticks missed while the process was down and clocks that were set.
    pub(super) fn roll(&mut self, now: UnixMillis) {
        if now < self.period_end {
            return;
        }
        let Some(schedule) = &self.limits.schedule else {
            self.period_end = UnixMillis(i64::MAX);
            return;
        };
        // A clock that was set back must not name the end of a period that is long over.
        let period = schedule.period(now.max(self.tally.period_start));
        self.period_end = period.end;
        if period.start <= self.tally.period_start {
            return;
        }
        self.rollover = Some(Rollover {
            requests: self.tally.requests,
            tokens: self.tally.tokens,
        });
        self.term += 1;
        self.requests_held = 0;
        self.tokens_held = 0;
        self.in_flight = 0;
        self.last_reset = Some(period.start);
        self.tally.period_start = period.start;
        self.zero();
    }

    /// The roll-over that happened since this was last asked.
    pub(super) fn take_rollover(&mut self) -> Option<Rollover> {
        self.rollover.take()
    }

    /// Changes the limits and keeps the counts, also under another schedule: some of what is counted
    /// may have been used within its present period, which therefore takes over all of it.
    pub(super) fn set_limits(&mut self, limits: Limits, now: UnixMillis) {
        if limits == self.limits {
            return;
        }
        self.roll(now);
        self.limits = limits;
        self.tally.version += 1;
        let at = now.max(self.tally.period_start);
        let period = self.limits.schedule.as_ref().map(|s| s.period(at));
        self.period_end = period.map_or(UnixMillis(i64::MAX), |p| p.end);
        if let Some(period) = period {
            self.tally.period_start = self.tally.period_start.max(period.start);
        }
    }

    /// Counts from zero under a new `id`, because the operator said so. What is in flight stays
    /// held; what was committed before is forgotten, and its settling will not be counted.
    pub(super) fn reset(&mut self, id: u64, now: UnixMillis) {
        self.roll(now);
        self.tally.id = id;
        self.last_reset = Some(now);
        self.zero();
    }

    /// Holds one request and `tokens`.
    pub(super) fn reserve(&mut self, tokens: u64, now: UnixMillis) -> Result<Hold, Exhausted> {
        self.roll(now);
        let tokens = tokens.min(ESTIMATE_MAX);
        self.admit(tokens)?;
        self.requests_held += 1;
        self.tokens_held += tokens;
        self.in_flight += 1;
        Ok(Hold {
            term: self.term,
            tokens,
            counted_in: None,
        })
    }

    /// Whether one request and `tokens` would be admitted.
    pub(super) fn admit(&self, tokens: u64) -> Result<(), Exhausted> {
        let requests = self.room_for_request();
        let tokens = self.room_for_tokens(tokens);
        // What is spent for good is the reason that matters to the caller.
        let (what, room) = match (requests, tokens) {
            (Room::Free, Room::Free) => return Ok(()),
            (Room::Spent, _) => (Unit::Requests, Room::Spent),
            (_, Room::Spent) => (Unit::Tokens, Room::Spent),
            (Room::Held, _) => (Unit::Requests, Room::Held),
            (Room::Free, Room::Held) => (Unit::Tokens, Room::Held),
        };
        // A reset gives nothing to a limit of 0.
        let never = self.limits.requests == Some(0) || self.limits.tokens == Some(0);
        Err(Exhausted {
            what,
            resets_at: self.next_reset().filter(|_| !never),
            temporary: room == Room::Held,
        })
    }

    /// Turns what is held into what is used.
    pub(super) fn commit(&mut self, hold: &mut Hold) -> Option<Tally> {
        if hold.counted_in.is_some() {
            return None;
        }
        hold.counted_in = Some(self.tally.id);
        if hold.term != self.term {
            return None;
        }
        self.give_back(hold);
        self.unsettled += hold.tokens;
        Some(self.count(1, hold.tokens))
    }

    /// Ends a reservation with the number of tokens it really took.
    pub(super) fn settle(&mut self, hold: &Hold, tokens: u64) -> Option<Tally> {
        if hold.term != self.term {
            return None;
        }
        self.in_flight -= 1;
        self.end_of_counted(hold);
        match hold.counted_in {
            None => {
                self.give_back(hold);
                Some(self.count(1, tokens))
            }
            Some(id) if id == self.tally.id && tokens != hold.tokens => {
                self.tally.tokens = self.tally.tokens.saturating_sub(hold.tokens);
                Some(self.count(0, tokens))
            }
            Some(_) => None,
        }
    }

    /// Ends a reservation without a number: uncounted if it was not committed, else as estimated.
    pub(super) fn release(&mut self, hold: &Hold) {
        if hold.term != self.term {
            return;
        }
        self.in_flight -= 1;
        self.end_of_counted(hold);
        if hold.counted_in.is_none() {
            self.give_back(hold);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    pub(super) fn standing(&self) -> Standing {
        Standing {
            requests: self.tally.requests,
            tokens: self.tally.tokens,
            requests_held: self.requests_held,
            tokens_held: self.tokens_held,
            in_flight: self.in_flight,
            limits: self.limits.clone(),
            last_reset: self.last_reset,
            next_reset: self.next_reset(),
        }
    }

    fn next_reset(&self) -> Option<UnixMillis> {
        self.limits.schedule.as_ref().map(|_| self.period_end)
    }

    fn room_for_request(&self) -> Room {
        let used = self.tally.requests;
        match self.limits.requests {
            None => Room::Free,
            Some(limit) if used >= limit => Room::Spent,
            Some(limit) if self.requests_held < limit - used => Room::Free,
            Some(_) => Room::Held,
        }
    }

    /// An estimate that is too large for what is left must not make the rest unusable, so who is
    /// alone may start as long as anything is left.
    fn room_for_tokens(&self, tokens: u64) -> Room {
        let used = self.tally.tokens;
        match self.limits.tokens {
            None => Room::Free,
            Some(limit) if used.saturating_sub(self.unsettled) >= limit => Room::Spent,
            // Estimates fill the rest, and most answers are shorter than that.
            Some(limit) if used >= limit => Room::Held,
            Some(limit) if self.tokens_held + tokens <= limit - used => Room::Free,
            Some(_) if self.in_flight == 0 => Room::Free,
            Some(_) => Room::Held,
        }
    }

    fn give_back(&mut self, hold: &Hold) {
        self.requests_held -= 1;
        self.tokens_held -= hold.tokens;
    }

    /// The estimate of a committed hold is replaced by the real number, or counts for good.
    fn end_of_counted(&mut self, hold: &Hold) {
        if hold.counted_in == Some(self.tally.id) {
            self.unsettled -= hold.tokens;
        }
    }

    fn count(&mut self, requests: u64, tokens: u64) -> Tally {
        self.tally.version += 1;
        self.tally.requests = self.tally.requests.saturating_add(requests);
        self.tally.tokens = self.tally.tokens.saturating_add(tokens);
        self.tally
    }

    fn zero(&mut self) {
        self.tally.version += 1;
        self.tally.requests = 0;
        self.tally.tokens = 0;
        self.unsettled = 0;
    }
}
