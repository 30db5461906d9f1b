//! The quota that one attempt holds, from before it is sent until its cost is known.

use std::sync::Arc;

use super::request::Request;
use crate::chat::Allowance;
use crate::clock;
use crate::protocol::Call;
use crate::quota::{Account, Cost, Count, Exhausted, Lack, Receipt, Reservation};
use crate::routing::{ANSWER_TOKENS_DEFAULT, Candidate};
use crate::upstream::Sent;

/// A reservation that ends in exactly one way: failed, or settled. Dropped before that, the client has
/// left: if the request was sent by then, the provider will have counted it, so it counts, and with the
/// usual length of an answer, which the provider may well have written.
pub(super) struct Hold {
    reservation: Option<Reservation>,
    /// What is held of the caller's own limits. It outlives a failed attempt.
    callers: Option<Box<Reservation>>,
    /// What is charged if the client leaves before the answer.
    abandoned: Cost,
    count: Count,
    sent: Sent,
}

/// How often others are asked for room that somebody else takes when it comes.
const ASK_MAX: u32 = 8;

/// What was counted and has to be written: the provider's, and the caller's own.
pub(super) type Receipts = [Option<Receipt>; 2];

impl Hold {
    /// Takes room for one attempt. `sent` will tell whether it has reached the provider. What the caller's
    /// own limits hold for the request goes along with it.
    pub(super) fn take(
        candidate: &Arc<Candidate>,
        call: &Call,
        sent: Sent,
        callers: &mut Option<Box<Reservation>>,
    ) -> Result<Hold, Exhausted> {
        let estimate = estimate(candidate, call);
        let reservation = candidate.account.reserve(estimate, clock::now())?;
        Ok(Hold {
            reservation: Some(reservation),
            callers: callers.take(),
            abandoned: candidate.likely(call.prompt_tokens, answer_max(call)),
            count: candidate.provider.count,
            sent,
        })
    }

    /// The provider said with its answer what is left of its own limits.
    pub(super) fn learn(&self, said: &[Allowance]) {
        if let Some(reservation) = &self.reservation
            && !said.is_empty()
        {
            reservation.learn(said, clock::now());
        }
    }

    /// The attempt failed: the room is given back, unless this provider counts failures too. What is held
    /// of the caller's own limits is for the next attempt.
    pub(super) fn fail(mut self) -> Option<Box<Reservation>> {
        if let Some(reservation) = self.reservation.take()
            && self.count == Count::Attempts
            && self.sent.get()
        {
            reservation.settle(0, clock::now());
        }
        self.callers.take()
    }

    /// The first byte is about to be released: from now on the request counts, whatever happens.
    pub(super) fn commit(&mut self) -> Receipts {
        let now = clock::now();
        [
            self.reservation.as_mut().map(|held| held.commit(now)),
            self.callers.as_mut().map(|held| held.commit(now)),
        ]
    }

    /// The cost is known.
    pub(super) fn settle(mut self, cost: Cost) -> Receipts {
        self.end(cost)
    }

    fn end(&mut self, cost: Cost) -> Receipts {
        let now = clock::now();
        [
            self.reservation.take().map(|held| held.settle(cost, now)),
            self.callers.take().map(|held| held.settle(cost, now)),
        ]
    }
}

/// Takes room for one attempt, and asks other gateways for it where they share the quota.
pub(super) async fn take(
    request: &mut Request<'_>,
    candidate: &Arc<Candidate>,
    sent: &Sent,
) -> Result<Hold, Exhausted> {
    let call = request.call.clone();
    let take = || Hold::take(candidate, &call, sent.clone(), &mut request.charge);
    asking(&candidate.account, estimate(candidate, &call), take).await
}

/// Takes room in the caller's own account for a request of which nobody knows yet who will serve it.
pub(super) async fn charge(account: &Arc<Account>, call: &Call) -> Result<Reservation, Exhausted> {
    let max = answer_max(call).unwrap_or(ANSWER_TOKENS_DEFAULT);
    let cost = Cost::estimate(call.prompt_tokens, max);
    asking(account, cost, || account.reserve(cost, clock::now())).await
}

/// What `take` takes of an account, after others who share it were asked where it lacks that.
async fn asking<T>(
    account: &Account,
    cost: Cost,
    mut take: impl FnMut() -> Result<T, Exhausted>,
) -> Result<T, Exhausted> {
    for _ in 0..ASK_MAX {
        match take() {
            Err(exhausted) if exhausted.lack == Lack::Lease => {
                // Boxed: where nothing is shared, no request should carry it.
                Box::pin(account.ask_for_room(cost)).await;
            }
            taken => return taken,
        }
    }
    take()
}

/// What is held for one request.
pub(super) fn estimate(candidate: &Candidate, call: &Call) -> Cost {
    candidate.estimate(call.prompt_tokens, answer_max(call))
}

/// The most tokens that an answer may have, where that is known.
fn answer_max(call: &Call) -> Option<u64> {
    // Embeddings are numbers, which are not billed.
    match call.endpoint.embeds() {
        true => Some(0),
        false => call.max_tokens,
    }
}

/// Returns when what was counted is written down. Waits for one turn of the event loop, so that answers
/// which are ready at the same time share one system call.
pub(super) async fn written(receipts: Receipts) {
    tokio::task::yield_now().await;
    for receipt in receipts.iter().flatten() {
        if receipt.is_to_be_heard() {
            Box::pin(receipt.heard()).await;
        }
    }
    drop(receipts);
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.sent.get() {
            self.end(self.abandoned);
        }
    }
}
