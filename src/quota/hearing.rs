//! An account that other gateways share: asking them, telling them, and waiting until they were heard.

use std::task::Poll;

use super::account::Account;
use super::limit::Cost;
use super::shared::{Claim, Told};
use crate::clock::UnixMillis;

impl Account {
    /// Asks the other gateways for room for a request of this cost. Ready when they have answered, or cannot
    /// be heard; whether there is room is seen by [`reserve`](Account::reserve).
    pub async fn ask_for_room(&self, cost: Cost) {
        self.ask(cost).await;
        if let Some(group) = self.group() {
            group.ask(cost).await;
        }
    }

    async fn ask(&self, cost: Cost) {
        let wanted = self.books.lock().ledger.want(cost.of_one());
        if let (Some(version), Some(sharing)) = (wanted, &self.sharing) {
            sharing.call();
            self.hear(version).await;
        }
    }

    /// Ready when the others have answered the claim of this version, or cannot be heard.
    pub(super) async fn hear(&self, version: u64) {
        std::future::poll_fn(|cx| {
            // First the bell, then the look: what is said in between is not missed.
            self.heard.wait(cx.waker());
            match self.books.lock().ledger.has_heard(version) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Whether the others are to be told something.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.books.lock().ledger.is_due(now)
    }

    /// Whether something changed that the others have not heard of, or something is set aside.
    pub(super) fn has_to_tell(&self) -> bool {
        self.books.lock().ledger.has_to_tell()
    }

    /// What the others are to be told.
    pub(super) fn claim(&self, now: UnixMillis) -> Option<Claim> {
        self.books.lock().ledger.claim(now)
    }

    /// What they say to that.
    pub(super) fn told(&self, told: &Told, now: UnixMillis) {
        self.books.lock().ledger.told(told, now);
        self.heard.ring();
        self.freed.ring();
    }

    /// They said nothing to that.
    pub(super) fn claim_failed(&self) {
        self.books.lock().ledger.claim_failed();
    }

    /// They cannot be heard.
    pub(super) fn set_away(&self) {
        self.books.lock().ledger.set_away();
        self.heard.ring();
        self.freed.ring();
    }

    /// Wishes for nothing any more: the process ends.
    pub(super) fn give_credit_up(&self) {
        self.books.lock().ledger.give_credit_up();
    }

    /// The version of the claim that they answered last; 0 if none.
    pub(super) fn answered(&self) -> u64 {
        self.books.lock().ledger.answered()
    }
}
