//! What a simulator saw: counters, the last requests, and waiting for either to change.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How many requests are kept.
const RECORDED_MAX: usize = 1000;

/// What a simulator saw so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub connections_open: u64,
    /// Requests received, and connections refused before one could be read.
    pub requests: u64,
    /// Requests answered with a 2xx that was sent whole.
    pub answered: u64,
    /// Requests answered with another status, or broken by the script.
    pub failed: u64,
    /// Requests whose peer left before we had finished.
    pub abandoned: u64,
    /// Streams under way now.
    pub streams_open: u64,
    /// Streams sent to their end.
    pub streams_done: u64,
    /// Requests under way now.
    pub in_flight: u64,
    /// The most requests that were ever under way at once.
    pub peak_in_flight: u64,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When it had come.
    pub at: Instant,
    /// Its method.
    pub method: String,
    /// Path and query, as written in the request line.
    pub path: String,
    /// Names as written, values as text.
    pub headers: Vec<(String, String)>,
    /// The body, after chunked coding was removed.
    pub body: Bytes,
}

impl Recorded {
    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// The books of one simulator.
#[derive(Default)]
pub(super) struct Counters {
    seen: Mutex<Seen>,
    changed: Notify,
    recorded: Mutex<VecDeque<Recorded>>,
    unrecorded: AtomicBool,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answered,
    Failed,
    Abandoned,
}

impl Counters {
    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock()
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().iter().cloned().collect()
    }

    pub(super) fn record(&self, on: bool) {
        self.unrecorded.store(!on, Ordering::Relaxed);
    }

    pub(super) fn is_recording(&self) -> bool {
        !self.unrecorded.load(Ordering::Relaxed)
    }

    pub(super) fn keep(&self, request: Recorded) {
        let mut recorded = self.recorded.lock();
        if recorded.len() == RECORDED_MAX {
            recorded.pop_front();
        }
        recorded.push_back(request);
    }

    /// Applies a change and wakes who waits for one.
    fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock());
        self.changed.notify_waiters();
    }

    pub(super) fn connected(&self) -> OpenConnection<'_> {
        self.update(|seen| {
            seen.connections += 1;
            seen.connections_open += 1;
        });
        OpenConnection(self)
    }

    pub(super) fn refused(&self) {
        self.update(|seen| {
            seen.requests += 1;
            seen.failed += 1;
        });
    }

    pub(super) fn begin(&self) -> InFlight<'_> {
        self.update(|seen| {
            seen.requests += 1;
            seen.in_flight += 1;
            seen.peak_in_flight = seen.peak_in_flight.max(seen.in_flight);
        });
        InFlight {
            counters: self,
            end: End::Abandoned,
            streams: false,
        }
    }

    pub(super) async fn wait_until(&self, what: impl Fn(&Seen) -> bool, at_most: Duration) -> bool {
        let holds = async {
            loop {
                // Registered before looking, so that no change falls between the look and the wait.
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if what(&self.seen()) {
                    break;
                }
                changed.await;
            }
        };
        timeout(at_most, holds).await.is_ok()
    }
}

/// A connection that is open as long as this lives.
pub(super) struct OpenConnection<'a>(&'a Counters);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.update(|seen| seen.connections_open -= 1);
    }
}

/// A request that is under way as long as this lives.
pub(super) struct InFlight<'a> {
    counters: &'a Counters,
    end: End,
    streams: bool,
}

impl InFlight<'_> {
    /// The head of a stream is out.
    pub(super) fn streams(&mut self) {
        self.streams = true;
        self.counters.update(|seen| seen.streams_open += 1);
    }

    pub(super) fn end(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counters.update(|seen| {
            seen.in_flight -= 1;
            if self.streams {
                seen.streams_open -= 1;
                seen.streams_done += u64::from(self.end == End::Answered);
            }
            match self.end {
                End::Answered => seen.answered += 1,
                End::Failed => seen.failed += 1,
                End::Abandoned => seen.abandoned += 1,
            }
        });
    }
}
