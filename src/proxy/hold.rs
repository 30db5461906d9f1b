//! The quota that one attempt holds, from before it is sent until its cost is known.

use std::sync::Arc;

use crate::clock;
use crate::protocol::Call;
use crate::quota::{Cost, Count, Exhausted, Receipt, Reservation};
use crate::routing::Candidate;
use crate::upstream::Sent;

/// A reservation that ends in exactly one way: failed, or settled. Dropped before that, the client has
/// left: if the request was sent by then, the provider will have counted it, so it counts, and with the
/// usual length of an answer, which the provider may well have written.
pub(super) struct Hold {
    reservation: Option<Reservation>,
    /// What is charged if the client leaves before the answer.
    abandoned: Cost,
    count: Count,
    sent: Sent,
}

impl Hold {
    /// Takes room for one attempt. `sent` will tell whether it has reached the provider.
    pub(super) fn take(
        candidate: &Arc<Candidate>,
        call: &Call,
        sent: Sent,
    ) -> Result<Hold, Exhausted> {
        // Embeddings are numbers, which are not billed.
        let embeds = call.endpoint.embeds();
        let answer_max = if embeds { Some(0) } else { call.max_tokens };
        let estimate = candidate.estimate(call.prompt_tokens, answer_max);
        let reservation = candidate.account.reserve(estimate, clock::now())?;
        Ok(Hold {
            reservation: Some(reservation),
            abandoned: candidate.likely(call.prompt_tokens, answer_max),
            count: candidate.provider.count,
            sent,
        })
    }

    /// The attempt failed: the room is given back, unless this provider counts failures too.
    pub(super) fn fail(mut self) {
        if let Some(reservation) = self.reservation.take()
            && self.count == Count::Attempts
            && self.sent.get()
        {
            reservation.settle(0, clock::now());
        }
    }

    /// The first byte is about to be released: from now on the request counts, whatever happens.
    pub(super) fn commit(&mut self) -> Option<Receipt> {
        let reservation = self.reservation.as_mut()?;
        Some(reservation.commit(clock::now()))
    }

    /// The cost is known.
    pub(super) fn settle(mut self, cost: Cost) -> Option<Receipt> {
        let reservation = self.reservation.take()?;
        Some(reservation.settle(cost, clock::now()))
    }
}

/// Returns when what was counted is written down. Waits for one turn of the event loop, so that answers
/// which are ready at the same time share one system call.
pub(super) async fn written(receipt: Option<Receipt>) {
    tokio::task::yield_now().await;
    drop(receipt);
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take()
            && self.sent.get()
        {
            reservation.settle(self.abandoned, clock::now());
        }
    }
}
