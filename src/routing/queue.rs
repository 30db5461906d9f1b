//! Requests that wait for room, each in its turn.
//!
//! Everybody who calls has a lane, and the lanes take turns: who sends many requests waits behind his
//! own, and not others behind him. Within a lane it is first come, first served. Only the first in turn
//! looks for room; the others sleep.
//!
//! Whoever waits for other candidates waits in another lane and has another turn: who needs the one that is
//! busy does not hold up those whom another could serve.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

/// The candidates that somebody waits for, a bit for each.
pub type Sought = u64;

/// Those who wait for one model.
#[derive(Debug, Default)]
pub struct Queue {
    lanes: Mutex<Lanes>,
    /// How many wait; looked at by every request.
    waiting: AtomicUsize,
    longest: AtomicUsize,
    counts: [AtomicU64; 4],
    waited_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Lanes {
    /// Of those that seek the same, the first of the first is next.
    lanes: VecDeque<Lane>,
    next: u64,
}

#[derive(Debug)]
struct Lane {
    owner: Option<Arc<str>>,
    sought: Sought,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    waker: Option<Waker>,
}

/// A place in a queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    owner: Option<Arc<str>>,
    sought: Sought,
    number: u64,
    /// How the wait has ended, once it has.
    end: Option<Waited>,
}

/// How a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There was room.
    Served,
    /// There was none for too long.
    InVain,
    /// The client left.
    Left,
    /// The queue was full, and others had waited less.
    Refused,
}

/// What a queue has to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Requests that wait now.
    pub waiting: usize,
    /// Most that ever waited at once.
    pub longest: usize,
    /// Requests that waited and found room.
    pub served: u64,
    /// Requests that waited in vain.
    pub in_vain: u64,
    /// Requests whose client left while they waited.
    pub left: u64,
    /// Requests that found the queue full.
    pub refused: u64,
    /// How long those that found room have waited, all together.
    pub waited: Duration,
}

impl Queue {
    /// Whether nobody waits. Who comes now need not wait behind anybody.
    pub fn is_empty(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// All that those who wait seek. Who comes now leaves it to them.
    pub fn sought(&self) -> Sought {
        if self.is_empty() {
            return 0;
        }
        let lanes = self.lanes.lock();
        lanes.lanes.iter().fold(0, |all, lane| all | lane.sought)
    }

    /// Enters at the end of `owner`'s lane of those that seek the same. A full queue takes somebody in at the
    /// cost of the longest lane, if his own is shorter.
    pub fn enter(
        self: &Arc<Self>,
        owner: Option<&Arc<str>>,
        sought: Sought,
        most: usize,
    ) -> Option<Ticket> {
        let mut lanes = self.lanes.lock();
        let waiting = lanes.len();
        if waiting >= most && !lanes.make_room(owner) {
            drop(lanes);
            self.count(Waited::Refused);
            return None;
        }
        lanes.next += 1;
        let number = lanes.next;
        lanes.push(owner.cloned(), sought, number);
        let waiting = lanes.len();
        self.waiting.store(waiting, SeqCst);
        self.longest.fetch_max(waiting, Relaxed);
        Some(Ticket {
            queue: Arc::clone(self),
            owner: owner.cloned(),
            sought,
            number,
            end: None,
        })
    }

    /// What there is to tell of it.
    pub fn report(&self) -> QueueReport {
        let count = |end: Waited| self.counts[end as usize].load(Relaxed);
        QueueReport {
            waiting: self.waiting.load(Relaxed),
            longest: self.longest.load(Relaxed),
            served: count(Waited::Served),
            in_vain: count(Waited::InVain),
            left: count(Waited::Left),
            refused: count(Waited::Refused),
            waited: Duration::from_millis(self.waited_ms.load(Relaxed)),
        }
    }

    fn count(&self, end: Waited) {
        self.counts[end as usize].fetch_add(1, Relaxed);
    }
}

impl Lanes {
    fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.waiting.len()).sum()
    }

    fn push(&mut self, owner: Option<Arc<str>>, sought: Sought, number: u64) {
        let waiter = Waiter {
            number,
            waker: None,
        };
        let mut lanes = self.lanes.iter_mut();
        match lanes.find(|lane| lane.owner == owner && lane.sought == sought) {
            Some(lane) => lane.waiting.push_back(waiter),
            None => self.lanes.push_back(Lane {
                owner,
                sought,
                waiting: VecDeque::from([waiter]),
            }),
        }
    }

    /// Sends the last of the longest lane away, if that is longer than `owner`'s will be.
    fn make_room(&mut self, owner: Option<&Arc<str>>) -> bool {
        let own = self.lanes.iter();
        let own = own.filter(|lane| lane.owner.as_ref() == owner);
        let own: usize = own.map(|lane| lane.waiting.len()).sum();
        let longest = self.lanes.iter_mut().max_by_key(|lane| lane.waiting.len());
        let Some(longest) = longest.filter(|lane| lane.waiting.len() > own + 1) else {
            return false;
        };
        // It notices that it is gone when it is woken.
        if let Some(waker) = longest.waiting.pop_back().and_then(|waiter| waiter.waker) {
            waker.wake();
        }
        true
    }

    fn find(&mut self, number: u64) -> Option<&mut Waiter> {
        let mut waiting = self.lanes.iter_mut().flat_map(|lane| &mut lane.waiting);
        waiting.find(|waiter| waiter.number == number)
    }

    /// Whose turn it is among those that seek this.
    fn first(&self, sought: Sought) -> Option<u64> {
        let lane = self.lanes.iter().find(|lane| lane.sought == sought)?;
        lane.waiting.front().map(|first| first.number)
    }

    /// Takes somebody out. Whoever was served has had his lane's turn.
    fn remove(&mut self, number: u64, served: bool) {
        let holds = |lane: &Lane| lane.waiting.iter().any(|waiter| waiter.number == number);
        let Some(at) = self.lanes.iter().position(holds) else {
            return;
        };
        let Some(mut lane) = self.lanes.remove(at) else {
            return;
        };
        let was_first = lane.waiting.front().is_some_and(|w| w.number == number);
        lane.waiting.retain(|waiter| waiter.number != number);
        if lane.waiting.is_empty() {
            return;
        }
        match was_first && served {
            true => self.lanes.push_back(lane),
            false => self.lanes.insert(at, lane),
        }
    }

    fn wake_first(&mut self, sought: Sought) {
        let lane = self.lanes.iter_mut().find(|lane| lane.sought == sought);
        if let Some(first) = lane.and_then(|lane| lane.waiting.front_mut())
            && let Some(waker) = first.waker.take()
        {
            waker.wake();
        }
    }
}

impl Ticket {
    /// Whose it is.
    pub fn owner(&self) -> Option<&Arc<str>> {
        self.owner.as_ref()
    }

    /// Ready when it is this one's turn: `true`; or `false` when it was sent away.
    pub fn poll_turn(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut lanes = self.queue.lanes.lock();
        if lanes.first(self.sought) == Some(self.number) {
            return Poll::Ready(true);
        }
        match lanes.find(self.number) {
            Some(waiter) => {
                waiter.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(false),
        }
    }

    /// Seeks something else from now on, behind those who do so already. Whoever was sent away stays so.
    pub fn seek(&mut self, sought: Sought) {
        if self.sought == sought {
            return;
        }
        let mut lanes = self.queue.lanes.lock();
        if lanes.find(self.number).is_some() {
            lanes.remove(self.number, false);
            lanes.push(self.owner.clone(), sought, self.number);
            lanes.wake_first(self.sought);
        }
        drop(lanes);
        self.sought = sought;
    }

    /// Leaves the queue.
    pub fn end(mut self, end: Waited, waited: Duration) {
        self.end = Some(end);
        if end == Waited::Served {
            let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            self.queue.waited_ms.fetch_add(millis, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let end = self.end.unwrap_or(Waited::Left);
        self.queue.count(end);
        let mut lanes = self.queue.lanes.lock();
        lanes.remove(self.number, end == Waited::Served);
        self.queue.waiting.store(lanes.len(), SeqCst);
        lanes.wake_first(self.sought);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Queue, Ticket, Waited};

    fn turn(ticket: &Ticket) -> Poll<bool> {
        ticket.poll_turn(&Context::from_waker(Waker::noop()))
    }

    fn enter(queue: &Arc<Queue>, owner: &str, most: usize) -> Option<Ticket> {
        let owner: Arc<str> = owner.into();
        queue.enter(Some(&owner), 1, most)
    }

    /// The owners in the order in which they are served.
    fn served(mut tickets: Vec<Ticket>) -> Vec<String> {
        let mut order = Vec::new();
        while !tickets.is_empty() {
            let next = tickets.iter().position(|t| turn(t) == Poll::Ready(true));
            let ticket = tickets.remove(next.unwrap());
            order.push(ticket.owner().unwrap().to_string());
            ticket.end(Waited::Served, Duration::ZERO);
        }
        order
    }

    #[test]
    fn first_come_first_served() {
        let queue = Arc::new(Queue::default());
        let first = queue.enter(None, 1, 9).unwrap();
        let second = queue.enter(None, 1, 9).unwrap();
        assert_eq!(
            (turn(&first), turn(&second)),
            (Poll::Ready(true), Poll::Pending)
        );
        drop(first);
        assert_eq!(turn(&second), Poll::Ready(true));
        second.end(Waited::InVain, Duration::ZERO);
        let report = queue.report();
        assert_eq!((report.left, report.in_vain, report.longest), (1, 1, 2));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_flood_of_one_waits_behind_itself() {
        let queue = Arc::new(Queue::default());
        let mut tickets: Vec<Ticket> = (0..5).map(|_| enter(&queue, "a", 99).unwrap()).collect();
        tickets.push(enter(&queue, "b", 99).unwrap());
        tickets.push(enter(&queue, "c", 99).unwrap());
        assert_eq!(served(tickets), ["a", "b", "c", "a", "a", "a", "a"]);
    }

    #[test]
    fn a_full_queue_sends_the_last_of_the_longest_lane_away() {
        let queue = Arc::new(Queue::default());
        let flood: Vec<Ticket> = (0..3).map(|_| enter(&queue, "a", 3).unwrap()).collect();
        assert!(enter(&queue, "a", 3).is_none());
        let other = enter(&queue, "b", 3).unwrap();
        assert_eq!(turn(&flood[2]), Poll::Ready(false));
        assert_eq!(turn(&flood[1]), Poll::Pending);
        // Two of a, one of b: taking another's place would only turn it round.
        assert!(enter(&queue, "b", 3).is_none());
        assert_eq!(queue.report().waiting, 3);
        drop((flood, other));
        assert_eq!(queue.report().waiting, 0);
    }

    #[test]
    fn who_seeks_something_else_has_another_turn() {
        let queue = Arc::new(Queue::default());
        let owner: Arc<str> = "a".into();
        let [long, mut failed, short] = [0b01, 0b01, 0b11].map(|sought| {
            let ticket = queue.enter(Some(&owner), sought, 9);
            ticket.unwrap()
        });
        assert_eq!(queue.sought(), 0b11);
        assert_eq!(turn(&long), Poll::Ready(true));
        assert_eq!(turn(&failed), Poll::Pending);
        assert_eq!(turn(&short), Poll::Ready(true));
        // It goes behind those who seek the same already, and leaves its turn to nobody else.
        failed.seek(0b11);
        assert_eq!(turn(&failed), Poll::Pending);
        short.end(Waited::Served, Duration::ZERO);
        assert_eq!(turn(&failed), Poll::Ready(true));
        drop(long);
        assert_eq!(queue.sought(), 0b11);
        drop(failed);
        assert_eq!(queue.sought(), 0);
    }

    proptest! {
        #[test]
        fn whatever_happens_one_has_the_turn_and_nobody_is_forgotten(
            steps in prop::collection::vec((0_u8..4, 0_usize..9), 1..80),
        ) {
            let queue = Arc::new(Queue::default());
            let mut tickets: Vec<Ticket> = Vec::new();
            for (step, which) in steps {
                match step {
                    0 | 1 => tickets.extend(enter(&queue, ["a", "b", "c"][which % 3], 6)),
                    2 if !tickets.is_empty() => drop(tickets.remove(which % tickets.len())),
                    _ => if let Some(at) = tickets.iter().position(|t| turn(t) == Poll::Ready(true)) {
                        tickets.remove(at).end(Waited::Served, Duration::ZERO);
                    },
                }
                // Those that were sent away still hold a ticket, but no place.
                tickets.retain(|ticket| turn(ticket) != Poll::Ready(false));
                let first = tickets.iter().filter(|t| turn(t) == Poll::Ready(true)).count();
                prop_assert_eq!(first, usize::from(!tickets.is_empty()));
                prop_assert_eq!(queue.report().waiting, tickets.len());
            }
        }
    }
}
