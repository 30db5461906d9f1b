//! One provider's counters, shared by all requests to it.
//!
//! A small mutex around the [`Ledger`]: the critical sections are arithmetic, the journal is
//! written after them. Whether a request may be sent is decided here and nowhere else.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::bell::Bell;
use super::journal::Journal;
use super::ledger::{Counting, Hold, Ledger, Rollover, Standing, Stored};
use super::limit::{Cost, Exhausted, Limits, Unit};
use super::reservation::Reservation;
use super::sharing::Sharing;
use crate::chat::{Allowance, Span};
use crate::clock::UnixMillis;

/// One provider's counters, or those that several providers share.
#[derive(Debug)]
pub struct Account {
    pub(super) books: Mutex<Books>,
    /// Rung when something held is given back, or a window begins anew.
    pub(super) freed: Bell,
    /// Rung when other gateways have answered, or cannot be heard.
    pub(super) heard: Bell,
    /// Where counts are written before an answer is released; `None` forgets them at the end.
    journal: Option<Arc<Journal>>,
    /// How other gateways count here, too.
    pub(super) sharing: Option<Arc<Sharing>>,
}

/// What is behind an account's lock.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) ledger: Ledger,
    /// The account that this one shares with others, whose limits must have room too. That one has none.
    group: Option<Arc<Account>>,
}

/// A part that was taken of an account.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) account: Arc<Account>,
    pub(super) hold: Hold,
}

/// What has to happen before something that was counted is released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// The number under which it has to be written.
    pub(super) written_as: Option<u64>,
    /// The claim that the other gateways have to answer.
    pub(super) heard_by: Option<u64>,
}

impl Account {
    /// An account that nothing is written of.
    pub fn detached(limits: Limits, now: UnixMillis) -> Arc<Account> {
        Account::new(Ledger::new(|| 0, limits, now), None, None)
    }

    /// An account whose counts survive.
    pub(super) fn journaled(ledger: Ledger, journal: Arc<Journal>) -> Arc<Account> {
        Account::new(ledger, Some(journal), None)
    }

    /// An account in which other gateways count, too; under this name for all of them.
    pub(super) fn shared(
        limits: Limits,
        name: String,
        sharing: &Arc<Sharing>,
        now: UnixMillis,
    ) -> Arc<Account> {
        let mut ledger = Ledger::new(|| 0, limits, sharing.now(now));
        ledger.share(name.clone(), sharing.new_life(), sharing.terms);
        let account = Account::new(ledger, None, Some(sharing.clone()));
        sharing.add(name, account.clone());
        account
    }

    fn new(
        ledger: Ledger,
        journal: Option<Arc<Journal>>,
        sharing: Option<Arc<Sharing>>,
    ) -> Arc<Account> {
        Arc::new(Account {
            books: Mutex::new(Books {
                ledger,
                group: None,
            }),
            freed: Bell::default(),
            heard: Bell::default(),
            journal,
            sharing,
        })
    }

    /// Holds one request and an estimate of its `cost`, until the reservation ends.
    ///
    /// # Errors
    /// [`Exhausted`] if it does not fit beside what is used and held, in any window of this account or of
    /// the one that it shares with others. The last tokens remain usable: an estimate that is too large for
    /// what is left is admitted when nothing else is in flight.
    pub fn reserve(
        self: &Arc<Self>,
        cost: impl Into<Cost>,
        now: UnixMillis,
    ) -> Result<Reservation, Exhausted> {
        let cost = cost.into();
        let now = self.time(now);
        let here = |exhausted| self.here(exhausted);
        let mut books = self.books.lock();
        books.ledger.roll(now);
        books.ledger.admit(cost, now).map_err(here)?;
        let Some(group) = books.group.clone() else {
            let hold = books.ledger.take(cost);
            self.call_if_urgent(&books);
            return Ok(Reservation::new(self.part(hold), None));
        };
        // Both are locked, so that nobody comes between. Always in this order, and a group has no group.
        let mut shared = group.books.lock();
        shared.ledger.roll(now);
        shared.ledger.admit(cost, now).map_err(here)?;
        let (own, of_group) = (books.ledger.take(cost), shared.ledger.take(cost));
        self.call_if_urgent(&books);
        group.call_if_urgent(&shared);
        let of_group = group.part(of_group);
        Ok(Reservation::new(self.part(own), Some(of_group)))
    }

    fn part(self: &Arc<Self>, hold: Hold) -> Part {
        Part {
            account: Arc::clone(self),
            hold,
        }
    }

    /// Whether a request of one token would be admitted now. Nothing is held by asking.
    ///
    /// # Errors
    /// What is lacking, as [`Account::reserve`] would say it.
    pub fn peek(&self, now: UnixMillis) -> Result<(), Exhausted> {
        self.admits(Cost::from(1), now)
    }

    /// Whether a request of this cost would be admitted now. Nothing is held by asking.
    ///
    /// # Errors
    /// What is lacking, as [`Account::reserve`] would say it.
    pub fn admits(&self, cost: Cost, now: UnixMillis) -> Result<(), Exhausted> {
        let mut books = self.books.lock();
        let time = self.time(now);
        books.ledger.roll(time);
        let admitted = books.ledger.admit(cost, time);
        admitted.map_err(|exhausted| self.here(exhausted))?;
        match books.group.clone() {
            Some(group) => {
                drop(books);
                group.admits(cost, now)
            }
            None => Ok(()),
        }
    }

    /// Whether other gateways count in it, too.
    pub fn is_shared(&self) -> bool {
        self.sharing.is_some()
    }

    /// What time it is here: that of the other gateways, where there are some.
    fn time(&self, now: UnixMillis) -> UnixMillis {
        self.sharing
            .as_ref()
            .map_or(now, |sharing| sharing.now(now))
    }

    /// The same, with moments by the clock of this machine: those who wait for them go by that.
    fn here(&self, exhausted: Exhausted) -> Exhausted {
        let resets_at = exhausted.resets_at.map(|at| match &self.sharing {
            Some(sharing) => sharing.here(at),
            None => at,
        });
        Exhausted {
            resets_at,
            ..exhausted
        }
    }

    fn call_if_urgent(&self, books: &Books) {
        if let Some(sharing) = &self.sharing
            && books.ledger.is_urgent()
        {
            sharing.call();
        }
    }

    /// How much is left of the scarcest window, by how much time is left to use it: 1 is on schedule, more
    /// means that some of it would be left over.
    pub fn headroom(&self, now: UnixMillis) -> f64 {
        let mut books = self.books.lock();
        let time = self.time(now);
        books.ledger.roll(time);
        let own = books.ledger.headroom(time);
        match books.group.clone() {
            Some(group) => {
                drop(books);
                own.min(group.headroom(now))
            }
            None => own,
        }
    }

    /// Wakes `waker` when there may be room that was not there before.
    pub fn wake_when_freed(&self, waker: &Waker) {
        self.freed.wait(waker);
        if let Some(group) = self.group() {
            group.freed.wait(waker);
        }
    }

    /// `waker` is not to be woken any more.
    pub fn forget(&self, waker: &Waker) {
        self.freed.leave(waker);
        if let Some(group) = self.group() {
            group.freed.leave(waker);
        }
    }

    /// What is used, held and allowed now.
    pub fn standing(&self, now: UnixMillis) -> Standing {
        let now = self.time(now);
        let mut books = self.books.lock();
        books.ledger.roll(now);
        books.ledger.standing(now)
    }

    /// The account that this one shares with others.
    pub fn group(&self) -> Option<Arc<Account>> {
        self.books.lock().group.clone()
    }

    /// Begins new periods if it is time, and learns how fast it is used. Tells the periods that ended, also
    /// when a request began the new one, and each only once.
    pub fn roll(&self, now: UnixMillis) -> Vec<Rollover> {
        let now = self.time(now);
        let mut books = self.books.lock();
        books.ledger.roll(now);
        books.ledger.tick(now);
        let ended = books.ledger.take_rollovers();
        drop(books);
        if !ended.is_empty() {
            self.freed.ring();
        }
        ended
    }

    /// Changes the limits and keeps the counts. Tells whether there are counts under a new id.
    pub(super) fn set_limits(
        &self,
        limits: Limits,
        new_id: impl FnMut() -> u64,
        now: UnixMillis,
    ) -> bool {
        let now = self.time(now);
        let renamed = self.books.lock().ledger.set_limits(limits, new_id, now);
        self.freed.ring();
        renamed
    }

    /// Says which account this one shares with others.
    pub fn join(&self, group: Option<Arc<Account>>) {
        self.books.lock().group = group;
        self.freed.ring();
    }

    /// Counts from zero under new ids, one for each window.
    pub(super) fn reset(&self, ids: &[u64], now: UnixMillis) {
        self.books.lock().ledger.reset(ids, now);
        self.freed.ring();
    }

    /// What is to be stored, taken at one moment, and its version.
    pub(super) fn state(&self, now: UnixMillis) -> (u64, Vec<Stored>, Standing) {
        let ledger = &mut self.books.lock().ledger;
        (ledger.version(), ledger.stored(), ledger.standing(now))
    }

    /// The version of what is to be stored.
    pub(super) fn version(&self) -> u64 {
        self.books.lock().ledger.version()
    }

    /// Counts what is held.
    pub(super) fn commit(&self, hold: &mut Hold, now: UnixMillis) -> Pending {
        let now = self.time(now);
        let mut books = self.books.lock();
        let counting = books.ledger.commit(hold, now);
        self.call_if_urgent(&books);
        drop(books);
        self.stage(&counting)
    }

    pub(super) fn settle(&self, hold: &Hold, cost: Cost, now: UnixMillis) -> Pending {
        let now = self.time(now);
        let mut books = self.books.lock();
        let counting = books.ledger.settle(hold, cost, now);
        self.call_if_urgent(&books);
        drop(books);
        self.freed.ring();
        self.stage(&counting)
    }

    pub(super) fn release(&self, hold: &Hold) {
        self.books.lock().ledger.end(hold);
        self.freed.ring();
    }

    /// Takes over what the provider says of its own limits with the answer to `hold`.
    pub(super) fn learn(&self, said: &[Allowance], hold: &Hold, now: UnixMillis) {
        let now = self.time(now);
        self.books.lock().ledger.learn(said, hold, now);
        self.freed.ring();
    }

    /// The provider said that nothing of its own quota is left until then.
    pub fn spent_until(&self, span: Span, until: UnixMillis, now: UnixMillis) {
        let nothing = Allowance {
            unit: Unit::Requests,
            span: Some(span),
            limit: None,
            remaining: 0,
            resets_in: Some(now.until(until)),
            refills: false,
        };
        let now = self.time(now);
        self.books.lock().ledger.learn_spent(&nothing, now);
        // Those who share a quota at the vendor share its end.
        if let Some(group) = self.group() {
            group.books.lock().ledger.learn_spent(&nothing, now);
        }
    }

    /// Writes down what was counted under `number`.
    pub(super) fn write(&self, number: u64) {
        if let Some(journal) = &self.journal {
            journal.write(number);
        }
    }

    /// Outside of the lock: tallies may arrive in another order than their versions have, and the
    /// highest version counts.
    fn stage(&self, counting: &Counting) -> Pending {
        let tallies = &counting.tallies;
        let journal = self.journal.as_ref().filter(|_| !tallies.is_empty());
        Pending {
            written_as: journal.map(|journal| journal.stage(tallies)),
            heard_by: counting.heard_by,
        }
    }
}
