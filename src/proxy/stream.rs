//! A stream on its way to the client: bytes through, usage counted, silence broken, the end judged.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::hold::Hold;
use super::redact;
use crate::chat::Failure;
use crate::clock;
use crate::protocol::Relay;
use crate::protocol::sse::FRAME_MAX;
use crate::routing::Candidate;
use crate::telemetry::{Outcome, Record};
use crate::upstream::Response;

/// A committed stream that is silent for this long gets a comment, so that nobody in between hangs up.
const COMMENT_AFTER: Duration = Duration::from_secs(15);

/// After `[DONE]` the end of the exchange is awaited this long: it lets the connection be used again.
const END_GRACE: Duration = Duration::from_millis(500);

/// A stream that was read up to its first meaningful event, and of which nothing was released yet.
pub(super) struct Opening {
    response: Response,
    relay: Relay,
    out: VecDeque<Bytes>,
    ended: bool,
}

impl Opening {
    /// Reads until the stream has said something, which is when failing over ends.
    ///
    /// # Errors
    /// The stream ends or breaks before that, or its first event is an error.
    pub(super) async fn read(mut response: Response, mut relay: Relay) -> Result<Opening, Failure> {
        let mut out = VecDeque::new();
        let mut ended = false;
        let mut received = 0;
        while !relay.seen().meaningful {
            match response.next().await.transpose()? {
                Some(chunk) => {
                    // All of it is held back, so it must have a bound.
                    received += chunk.len();
                    if received > FRAME_MAX {
                        return Err(Failure::upstream("the stream says nothing at great length"));
                    }
                    relay.push(chunk, &mut out);
                }
                None => {
                    relay.finish(&mut out);
                    ended = true;
                }
            }
            // Nothing was released yet, so an error right behind the first words may still fail over.
            let seen = relay.seen();
            if let Some(failure) = &seen.failure {
                return Err(response.hint(failure.clone(), clock::now()));
            }
            if !seen.meaningful && (ended || seen.done) {
                return Err(Failure::upstream(
                    "the stream ended before it said anything",
                ));
            }
        }
        Ok(Opening {
            response,
            relay,
            out,
            ended,
        })
    }
}

/// The body of a streamed answer. Polled only as fast as the client reads, so nothing piles up.
pub struct StreamBody {
    response: Response,
    relay: Relay,
    out: VecDeque<Bytes>,
    /// Nothing more comes from upstream.
    ended: bool,
    failure: Option<Failure>,
    /// One timer for comments, for the idle limit and for the grace at the end. It is not moved with
    /// every event, but looks at `last_event` when it fires.
    timer: Pin<Box<Sleep>>,
    last_event: Instant,
    /// When the client was given something last: half an event of the provider is nothing yet.
    last_given: Instant,
    idle_limit: Duration,
    candidate: Arc<Candidate>,
    hold: Option<Hold>,
    record: Option<Record>,
    /// Whether the client was given all there was.
    delivered: bool,
    /// The answer broke off, and only the end of the connection can say so.
    aborted: bool,
}

impl StreamBody {
    pub(super) fn new(
        opening: Opening,
        candidate: Arc<Candidate>,
        hold: Hold,
        record: Option<Record>,
    ) -> StreamBody {
        let Opening {
            response,
            relay,
            out,
            ended,
        } = opening;
        let idle_limit = candidate.provider.stream_idle_timeout;
        let now = Instant::now();
        let mut body = StreamBody {
            response,
            relay,
            out,
            ended: false,
            failure: None,
            timer: Box::pin(tokio::time::sleep_until(
                now + COMMENT_AFTER.min(idle_limit),
            )),
            last_event: now,
            last_given: now,
            idle_limit,
            candidate,
            hold: Some(hold),
            record,
            delivered: false,
            aborted: false,
        };
        if ended {
            body.end();
        } else {
            body.note_failure();
        }
        body
    }

    /// Upstream has ended: properly, or not.
    fn end(&mut self) {
        self.ended = true;
        if !self.relay.seen().finished && self.relay.seen().failure.is_none() {
            self.fail(Failure::upstream("the answer broke off"));
        }
        self.note_failure();
    }

    /// Upstream said that it failed: that is handed on without our secrets, and nothing more follows.
    fn note_failure(&mut self) {
        if self.failure.is_none()
            && let Some(said) = &self.relay.seen().failure
        {
            let mut failure = said.clone();
            redact::failure(&mut failure, &self.candidate.provider);
            self.failure = Some(failure);
            self.ended = true;
        }
        if self.failure.is_some() || self.relay.seen().strange {
            for said in &mut self.out {
                redact::bytes(said, &self.candidate.provider);
            }
        }
    }

    /// The stream failed and the client has not been told.
    fn fail(&mut self, failure: Failure) {
        // A whole answer is whole, even if the connection broke after it.
        if self.relay.seen().finished {
            self.relay.finish(&mut self.out);
            self.note_failure();
        } else {
            match self.relay.broken(&failure) {
                Some(event) => self.out.push_back(event),
                None => self.aborted = true,
            }
            self.failure = Some(failure);
        }
        self.ended = true;
    }

    /// Looks at what silence has come to. Leaves the timer set for what comes next.
    fn poll_silence(&mut self, cx: &mut Context<'_>) {
        while self.out.is_empty() && self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let grace = if self.relay.seen().done {
                END_GRACE
            } else {
                self.idle_limit
            };
            if now.duration_since(self.last_event) >= grace {
                if self.relay.seen().done {
                    self.ended = true;
                } else {
                    let message = format!("silent for {} s", self.idle_limit.as_secs_f64());
                    self.fail(Failure::timeout(message));
                }
                return;
            }
            if now.duration_since(self.last_given) >= COMMENT_AFTER {
                self.out.extend(self.relay.keep_alive());
                self.last_given = now;
            }
            let comment = self.last_given + COMMENT_AFTER;
            self.timer
                .as_mut()
                .reset(comment.min(self.last_event + grace));
        }
    }
}

impl MessageBody for StreamBody {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, std::io::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if this.aborted {
                return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
            }
            if this.ended {
                this.delivered = true;
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.response).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    this.last_event = Instant::now();
                    this.relay.push(chunk, &mut this.out);
                    if !this.out.is_empty() {
                        this.last_given = this.last_event;
                    }
                    this.note_failure();
                    if this.relay.seen().done {
                        this.timer.as_mut().reset(this.last_event + END_GRACE);
                    }
                }
                Poll::Ready(Some(Err(failure))) => this.fail(failure),
                Poll::Ready(None) => {
                    this.relay.finish(&mut this.out);
                    this.end();
                }
                Poll::Pending => {
                    this.poll_silence(cx);
                    if this.out.is_empty() && !this.ended {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl Drop for StreamBody {
    /// The one end of every stream: settled with what the provider told, else with what was seen.
    fn drop(&mut self) {
        let usage = self.relay.usage();
        if let Some(hold) = self.hold.take() {
            hold.settle(usage.into());
        }
        self.candidate.health.answer_length(usage.output);
        if let Some(failure) = &self.failure {
            self.candidate
                .health
                .failed(&failure.for_log(), clock::now());
        }
        if let Some(mut record) = self.record.take() {
            record.usage = Some(usage);
            record.error = self
                .failure
                .as_ref()
                .map(|failure| failure.for_log().into_owned());
            // Who has read `[DONE]` need not wait for the end of the connection.
            let delivered = self.delivered || self.relay.seen().done && self.out.is_empty();
            record.finish(match (&self.failure, delivered) {
                (Some(_), _) => Outcome::Cut,
                (None, true) => Outcome::Answered,
                (None, false) => Outcome::Left,
            });
        }
    }
}
