//! Waiting for room: behind those who came before, for whichever candidate has some first.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::hold;
use super::request::Request;
use crate::clock::{self, UnixMillis};
use crate::quota::{Cost, Lack};
use crate::routing::{Candidate, Plan, Queue, Sought, Ticket, Waited};

/// A request's wait, over all the times that it has to.
#[derive(Debug, Default)]
pub(super) struct Wait {
    ticket: Option<Ticket>,
    /// When it first had to wait.
    since: Option<Instant>,
    /// What it waited for will not come in time: it looks once more, to tell why, and waits no longer.
    in_vain: bool,
}

/// Whoever shares counters with other gateways is not told when they give something back.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until it is worth looking at those that are full again. `false` where there is no queue, or it
/// would take too long until one of them has room, or did.
pub(super) async fn for_room(
    request: &mut Request<'_>,
    queue: &Arc<Queue>,
    plan: &Plan<'_>,
) -> bool {
    let refusals = plan.refusals();
    let waits = request.snapshot.global.queue.is_some() && !request.wait.in_vain;
    if !waits || plan.full().is_empty() || !request.may_try_again() {
        return leave(request, Waited::InVain);
    }
    let Some(until) = enter(request, queue, plan.sought()) else {
        return false;
    };
    let patience = until.saturating_duration_since(Instant::now());
    let frees_in = refusals.resets_at.map(|at| clock::now().until(at));
    if !refusals.temporary && frees_in.is_none_or(|wait| wait > patience) {
        return leave(request, Waited::InVain);
    }
    let full: Vec<(&Arc<Candidate>, Cost)> = plan
        .full()
        .iter()
        .map(|candidate| (*candidate, hold::estimate(candidate, &request.call)))
        .collect();
    let waited = async {
        match turn(&request.wait).await {
            true => Some(room(&full, until).await),
            false => None,
        }
    };
    match Box::pin(timeout_at(until, waited)).await {
        Ok(Some(found)) => {
            request.wait.in_vain = !found;
            true
        }
        // Sent away, for somebody who had waited less.
        Ok(None) => leave(request, Waited::Refused),
        Err(_) => leave(request, Waited::InVain),
    }
}

/// The request has room, or will not have any.
pub(super) fn leave(request: &mut Request<'_>, end: Waited) -> bool {
    if let Some(ticket) = request.wait.ticket.take() {
        let since = request.wait.since;
        ticket.end(end, since.map_or(Duration::ZERO, |since| since.elapsed()));
    }
    false
}

/// Enters the queue, if the request is not in it, among those that seek the same. Tells until when it may wait.
fn enter(request: &mut Request<'_>, queue: &Arc<Queue>, sought: Sought) -> Option<Instant> {
    let settings = request.snapshot.global.queue?;
    match &mut request.wait.ticket {
        Some(ticket) => ticket.seek(sought),
        None => {
            let owner = request.caller.as_ref().map(|caller| &caller.name);
            request.wait.ticket = Some(queue.enter(owner, sought, settings.max_waiting)?);
        }
    }
    let since = *request.wait.since.get_or_insert_with(Instant::now);
    Some(request.deadline.min(since + settings.max_wait))
}

/// Waits for its turn. `false`: it was sent away.
async fn turn(wait: &Wait) -> bool {
    let Some(ticket) = &wait.ticket else {
        return false;
    };
    poll_fn(|cx| ticket.poll_turn(cx)).await
}

/// What there is for those who wait.
enum Look {
    /// Room.
    Room,
    /// Perhaps some; to be looked for again that soon although nothing was given back.
    Perhaps(Duration),
    /// None for longer than anybody waits: what they waited for has been used by others.
    NoneInTime,
}

/// Somebody who waits for any of these. Whatever ends that, none of them has to wake him any more.
struct Listening<'a> {
    full: &'a [(&'a Arc<Candidate>, Cost)],
    waker: Waker,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        for (candidate, _) in self.full {
            candidate.account.forget(&self.waker);
        }
    }
}

/// Waits until one of these would be admitted. `false` when none can be in time.
async fn room(full: &[(&Arc<Candidate>, Cost)], until: Instant) -> bool {
    let _listening = Listening {
        full,
        waker: poll_fn(|cx| Poll::Ready(cx.waker().clone())).await,
    };
    loop {
        let freed = poll_fn(|cx| {
            // First the bell, then the look: what is freed in between is not missed.
            for (candidate, _) in full {
                candidate.account.wake_when_freed(cx.waker());
            }
            match look(full, clock::now(), until) {
                Look::Perhaps(_) => Poll::Pending,
                Look::Room | Look::NoneInTime => Poll::Ready(()),
            }
        });
        match look(full, clock::now(), until) {
            Look::Room => return true,
            Look::NoneInTime => return false,
            Look::Perhaps(soonest) => drop(timeout(soonest, freed).await),
        }
    }
}

fn look(full: &[(&Arc<Candidate>, Cost)], now: UnixMillis, until: Instant) -> Look {
    let patience = until.saturating_duration_since(Instant::now());
    let mut soonest = Duration::from_secs(1);
    let mut in_time = false;
    for (candidate, cost) in full {
        match candidate.account.admits(*cost, now) {
            Ok(()) => return Look::Room,
            Err(exhausted) if exhausted.lack == Lack::Lease => return Look::Room,
            Err(exhausted) => {
                if candidate.account.is_shared() {
                    soonest = soonest.min(LOOK_AGAIN);
                }
                let frees_in = exhausted.resets_at.map(|at| now.until(at));
                in_time |= exhausted.temporary || frees_in.is_some_and(|wait| wait <= patience);
                if let Some(wait) = frees_in {
                    soonest = soonest.min(wait);
                }
            }
        }
    }
    match in_time {
        true => Look::Perhaps(soonest.max(Duration::from_millis(1))),
        false => Look::NoneInTime,
    }
}
