//! One provider's counters, shared by all requests to it.
//!
//! A small mutex around the [`Ledger`]: the critical sections are arithmetic, the journal is
//! written after them. Whether a request may be sent is decided here and nowhere else.

use std::sync::Arc;

use parking_lot::Mutex;

use super::journal::Journal;
use super::ledger::{Hold, Ledger, Rollover, Standing, Tally};
use super::limit::{Exhausted, Limits};
use super::reservation::Reservation;
use crate::clock::UnixMillis;

/// One provider's counters.
#[derive(Debug)]
pub struct Account {
    ledger: Mutex<Ledger>,
    /// Where counts are written before an answer is released; `None` forgets them at the end.
    journal: Option<Arc<Journal>>,
}

impl Account {
    /// An account that nothing is written of.
    pub fn detached(limits: Limits, now: UnixMillis) -> Arc<Account> {
        Arc::new(Account {
            ledger: Mutex::new(Ledger::new(0, limits, now)),
            journal: None,
        })
    }

    /// An account whose counts survive.
    pub(super) fn journaled(ledger: Ledger, journal: Arc<Journal>) -> Arc<Account> {
        Arc::new(Account {
            ledger: Mutex::new(ledger),
            journal: Some(journal),
        })
    }

    /// Holds one request and an estimate of its `tokens`, until the reservation ends.
    ///
    /// # Errors
    /// [`Exhausted`] if it does not fit beside what is used and held. The last tokens remain
    /// usable: an estimate that is too large for what is left is admitted when nothing else is in
    /// flight.
    pub fn reserve(
        self: &Arc<Self>,
        tokens: u64,
        now: UnixMillis,
    ) -> Result<Reservation, Exhausted> {
        let hold = self.ledger.lock().reserve(tokens, now)?;
        Ok(Reservation::new(Arc::clone(self), hold))
    }

    /// Whether a request of one token would be admitted now. Nothing is held by asking.
    ///
    /// # Errors
    /// What is lacking, as [`Account::reserve`] would say it.
    pub fn peek(&self, now: UnixMillis) -> Result<(), Exhausted> {
        let mut ledger = self.ledger.lock();
        ledger.roll(now);
        ledger.admit(1)
    }

    /// What is used, held and allowed now.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        let mut ledger = self.ledger.lock();
        ledger.roll(now);
        ledger.standing()
    }

    /// Begins a new period if it is time. Tells the period that ended, also when a request began
    /// the new one, and each only once.
    pub fn roll(&self, now: UnixMillis) -> Option<Rollover> {
        let mut ledger = self.ledger.lock();
        ledger.roll(now);
        ledger.take_rollover()
    }

    /// Changes the limits and keeps the counts.
    pub(super) fn set_limits(&self, limits: Limits, now: UnixMillis) {
        self.ledger.lock().set_limits(limits, now);
    }

    /// Counts from zero under a new `id`.
    pub(super) fn reset(&self, id: u64, now: UnixMillis) {
        self.ledger.lock().reset(id, now);
    }

    /// What is to be stored, taken at one moment.
    pub(super) fn state(&self) -> (Tally, Standing) {
        let ledger = self.ledger.lock();
        (ledger.tally(), ledger.standing())
    }

    /// The version of what is to be stored.
    pub(super) fn version(&self) -> u64 {
        self.ledger.lock().tally().version
    }

    /// Counts what is held. Gives the number under which that is to be [written](Account::write).
    pub(super) fn commit(&self, hold: &mut Hold) -> Option<u64> {
        let tally = self.ledger.lock().commit(hold);
        self.stage(tally)
    }

    pub(super) fn settle(&self, hold: &Hold, tokens: u64) -> Option<u64> {
        let tally = self.ledger.lock().settle(hold, tokens);
        self.stage(tally)
    }

    pub(super) fn release(&self, hold: &Hold) {
        self.ledger.lock().release(hold);
    }

    /// Writes down what was counted under `number`.
    pub(super) fn write(&self, number: u64) {
        if let Some(journal) = &self.journal {
            journal.write(number);
        }
    }

    /// Outside of the lock: tallies may arrive in another order than their versions have, and the
    /// highest version counts.
    fn stage(&self, tally: Option<Tally>) -> Option<u64> {
        Some(self.journal.as_ref()?.stage(&tally?))
    }
}
