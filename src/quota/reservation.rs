//! The guard of what one attempt holds.
//!
//! Every way out ends it: a failed attempt, a hang-up, a panic. It is dropped in any of these, and
//! dropping gives back what was not committed.

use std::sync::Arc;

use super::account::Account;
use super::ledger::Hold;

/// One request and an estimate of its tokens, held in an [`Account`].
///
/// It belongs to the period in which it was made. After that period it ends without a trace in
/// the counts of the next one.
#[derive(Debug)]
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    account: Arc<Account>,
    /// `None` once it was settled.
    hold: Option<Hold>,
}

impl Reservation {
    pub(super) fn new(account: Arc<Account>, hold: Hold) -> Reservation {
        Reservation {
            account,
            hold: Some(hold),
        }
    }

    /// Counts the request and its estimate as used, and writes that down before it returns.
    ///
    /// To be called before the first byte of the answer is released to the client. Calling it
    /// again does nothing. From here on the request counts, whatever becomes of it.
    pub fn commit(&mut self) {
        if let Some(hold) = &mut self.hold {
            self.account.commit(hold);
        }
    }

    /// Counts the request with the `tokens` it really took, and writes that down before it
    /// returns. The estimate no longer counts.
    pub fn settle(mut self, tokens: u64) {
        if let Some(hold) = self.hold.take() {
            self.account.settle(&hold, tokens);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            self.account.release(hold);
        }
    }
}
