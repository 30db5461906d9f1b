//! The guard of what one attempt holds.
//!
//! Every way out ends it: a failed attempt, a hang-up, a panic. It is dropped in any of these, and
//! dropping gives back what was not committed.

use std::sync::Arc;

use super::account::{Account, Part, Pending};
use super::limit::Cost;
use crate::chat::Allowance;
use crate::clock::UnixMillis;

/// One request and an estimate of its tokens, held in an [`Account`], and in the one that it shares with
/// others.
///
/// It belongs to the periods in which it was made. After such a period it ends without a trace in
/// the counts of the next one.
#[derive(Debug)]
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation {
    own: Part,
    /// Most have none, and all are moved about.
    of_group: Option<Box<Part>>,
    /// Whether it has ended.
    settled: bool,
}

impl Reservation {
    pub(super) fn new(own: Part, of_group: Option<Part>) -> Reservation {
        Reservation {
            own,
            of_group: of_group.map(Box::new),
            settled: false,
        }
    }

    /// Counts the request and its estimate as used `now`. From here on it counts, whatever becomes of it.
    /// Calling it again does nothing.
    ///
    /// The [`Receipt`] is to be dropped before the first byte of the answer is released to the client.
    pub fn commit(&mut self, now: UnixMillis) -> Receipt {
        self.each(|part| part.account.commit(&mut part.hold, now))
    }

    /// Counts the request with what it really took. The estimate no longer counts.
    pub fn settle(mut self, cost: impl Into<Cost>, now: UnixMillis) -> Receipt {
        let cost = cost.into();
        self.settled = true;
        self.each(|part| part.account.settle(&part.hold, cost, now))
    }

    /// The provider said what is left of its own limits.
    pub fn learn(&self, said: &[Allowance], now: UnixMillis) {
        self.own.account.learn(said, &self.own.hold, now);
    }

    fn each(&mut self, mut count: impl FnMut(&mut Part) -> Pending) -> Receipt {
        let own = count(&mut self.own);
        let of_group = self.of_group.as_deref_mut().map(|part| {
            let pending = count(part);
            (Arc::clone(&part.account), pending)
        });
        let written_as = of_group
            .as_ref()
            .and_then(|(_, pending)| pending.written_as);
        Receipt {
            account: Arc::clone(&self.own.account),
            // Both are in one journal, and the later number stands for both.
            number: own.written_as.max(written_as),
            heard_by: own.heard_by,
            of_group: of_group.and_then(|(account, pending)| Some((account, pending.heard_by?))),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        for part in std::iter::once(&self.own).chain(self.of_group.as_deref()) {
            part.account.release(&part.hold);
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
    /// The claim that other gateways have to answer, `None` if they need not.
    heard_by: Option<u64>,
    of_group: Option<(Arc<Account>, u64)>,
}

impl Receipt {
    /// Whether other gateways have to hear of it first.
    pub fn is_to_be_heard(&self) -> bool {
        self.heard_by.is_some() || self.of_group.is_some()
    }

    /// Ready when other gateways have heard of it, as far as they share the account and have to; or when
    /// they cannot be heard.
    pub async fn heard(&self) {
        if let Some(version) = self.heard_by {
            self.account.hear(version).await;
        }
        if let Some((account, version)) = &self.of_group {
            account.hear(*version).await;
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.account.write(number);
        }
    }
}
