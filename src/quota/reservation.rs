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

    /// Counts the request and its estimate as used. From here on it counts, whatever becomes of it.
    /// Calling it again does nothing.
    ///
    /// The [`Receipt`] is to be dropped before the first byte of the answer is released to the client.
    pub fn commit(&mut self) -> Receipt {
        let number = self
            .hold
            .as_mut()
            .and_then(|hold| self.account.commit(hold));
        Receipt {
            account: Arc::clone(&self.account),
            number,
        }
    }

    /// Counts the request with the `tokens` it really took. The estimate no longer counts.
    pub fn settle(mut self, tokens: u64) -> Receipt {
        let hold = self.hold.take();
        let number = hold.and_then(|hold| self.account.settle(&hold, tokens));
        Receipt {
            account: Arc::clone(&self.account),
            number,
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

/// Says that something was counted, and has it written down at the latest when it is dropped: then it
/// survives the end of this process.
///
/// Holding several for a moment saves system calls: the first that is dropped writes what all others stand
/// for.
#[derive(Debug)]
pub struct Receipt {
    account: Arc<Account>,
    /// `None` if nothing has to be written.
    number: Option<u64>,
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.account.write(number);
        }
    }
}
