//! One candidate: asked at most `1 + retry` times, until it answers or the next should.

use std::sync::Arc;

use super::answer::{Answer, AnswerBody};
use super::exchange::{Attempt, Ready, once};
use super::hold::{self, Hold};
use super::outcome::{self, Next, Reason};
use super::queue;
use super::refusal;
use super::request::Request;
use super::stream::StreamBody;
use crate::chat::{Failure, FailureKind, KEY_REFUSED, Usage};
use crate::clock;
use crate::protocol::{Bridge, Endpoint, Protocol, Shape, Whole, estimate_tokens};
use crate::quota::Exhausted;
use crate::routing::{self, Candidate, Waited};
use crate::telemetry::Outcome;
use crate::upstream::{Sent, Unanswered};

/// What came of a candidate.
pub(super) enum Tried {
    /// An answer, committed.
    Answered(Answer),
    /// Nothing: its quota had no room.
    NoRoom(Exhausted),
    /// Its last failure.
    Failed(Failure),
}

/// Asks one candidate until it answers or there is no point in asking it again.
pub(super) async fn serve(
    request: &mut Request<'_>,
    candidate: &Arc<Candidate>,
    rest: Option<&str>,
) -> Tried {
    let model = candidate.model(rest);
    let call = request.call.clone();
    let bridge = match request.may_be_asked_of_any() {
        Ok(()) => Bridge::new(&call, &candidate.provider.dialect, || request.reply()),
        Err(failure) => Err(failure),
    };
    let bridge = match bridge {
        Ok(bridge) => bridge,
        Err(failure) => return Tried::Failed(failure),
    };
    let may_ask_usage = !candidate.health.rejects_stream_options();
    let mut shape = shape(request, candidate, may_ask_usage);
    let mut failures = 0;
    let mut last = None;
    let mut fresh = false;
    loop {
        let sent = Sent::default();
        let hold = match hold::take(request, candidate, &sent).await {
            Ok(hold) => hold,
            Err(exhausted) => return last.map_or(Tried::NoRoom(exhausted), Tried::Failed),
        };
        queue::leave(request, Waited::Served);
        if !fresh {
            request.note_attempt(candidate, &model);
        }
        // Requests that came in together go out together: their peers are woken once, and each step of the
        // way is taken by all while its code is at hand.
        tokio::task::yield_now().await;
        let attempt = Attempt {
            candidate,
            hold: &hold,
            bridge: &bridge,
            model: model.as_str(),
            shape,
            fresh,
        };
        let failure = match once(request, &attempt, &sent).await {
            Ok(ready) => {
                if may_ask_usage && asks_usage(candidate) && shape.stream && !shape.ask_usage {
                    candidate.health.remember_stream_options_rejected();
                }
                return Tried::Answered(commit(request, candidate, hold, ready).await);
            }
            Err(Unanswered::Stale) => {
                // Nobody's failure, and part of the same attempt. But the provider may have counted it, so
                // the repeat takes room of its own.
                request.charge = hold.fail();
                fresh = true;
                continue;
            }
            Err(Unanswered::Failed(failure)) => failure,
        };
        request.charge = hold.fail();
        fresh = false;
        if failure.kind == FailureKind::Inexpressible {
            return Tried::Failed(failure); // nobody was asked
        }
        if shape.ask_usage
            && matches!(failure.upstream_status(), Some(400 | 422))
            && failure.kind == FailureKind::InvalidRequest
            && !request.time_left().is_zero()
        {
            // Perhaps it is our `stream_options` that it dislikes: once more without. Not bounded by
            // `max_attempts`, as it is our doing, and happens once in a provider's life.
            shape.ask_usage = false;
            continue;
        }
        failures += 1;
        note_failure(request, candidate, &failure, failures);
        if !again(request, candidate, &failure, failures).await {
            return Tried::Failed(failure);
        }
        last = Some(failure);
    }
}

/// Whether to ask the provider for a stream, and whether to ask for its usage.
fn shape(request: &Request<'_>, candidate: &Candidate, may_ask_usage: bool) -> Shape {
    let provider = &candidate.provider;
    let stream = match request.call.endpoint {
        Endpoint::Passed(_) => request.call.stream,
        endpoint if endpoint.embeds() => false,
        _ if request.call.stream => provider.stream_support,
        _ => !provider.non_stream_support,
    };
    Shape {
        stream,
        ask_usage: stream && may_ask_usage && asks_usage(candidate),
    }
}

/// Whether this provider has to be asked to tell usage: those of the other dialects do it unasked.
fn asks_usage(candidate: &Candidate) -> bool {
    let dialect = &candidate.provider.dialect;
    dialect.protocol == Protocol::OpenAi && dialect.include_usage
}

/// Whether the same provider should be asked again; waits before it says so.
async fn again(
    request: &Request<'_>,
    candidate: &Candidate,
    failure: &Failure,
    failures: u32,
) -> bool {
    if outcome::after(failure) != Next::Retry || failures > candidate.provider.retry {
        return false;
    }
    let pause = routing::pause(failures, failure.retry_after, fastrand::f64());
    if pause >= request.time_left()
        || !request.may_try_again()
        || !request.gateway.retries.take(clock::now())
    {
        return false;
    }
    tokio::time::sleep(pause).await;
    true
}

/// The point of no return: the quota counts, that is written down, and the answer belongs to the client.
async fn commit(
    request: &mut Request<'_>,
    candidate: &Arc<Candidate>,
    mut hold: Hold,
    ready: Ready,
) -> Answer {
    candidate.health.succeeded();
    let (media, body) = match ready {
        Ready::Whole(media, Whole { body, usage }) => {
            let usage = usage.unwrap_or_else(|| estimate(request, &body));
            candidate.health.answer_length(usage.output);
            if let Some(record) = &mut request.record {
                record.usage = Some(usage);
            }
            hold::written(hold.settle(usage.into())).await;
            if let Some(mut record) = request.record.take() {
                record.status = 200;
                record.finish(Outcome::Answered);
            }
            (media, AnswerBody::Whole(body))
        }
        Ready::Opened(media, opening) => {
            hold::written(hold.commit()).await;
            let mut record = request.record.take();
            if let Some(record) = &mut record {
                record.status = 200;
                record.first_byte = Some(record.started().elapsed());
            }
            let body = StreamBody::new(*opening, candidate.clone(), hold, record);
            (media, AnswerBody::Stream(Box::new(body)))
        }
    };
    Answer {
        served: request.asked.take(),
        media,
        body,
    }
}

/// The cost of an answer whose provider never told.
fn estimate(request: &Request<'_>, body: &[u8]) -> Usage {
    let endpoint = request.call.endpoint;
    let is_text = !endpoint.embeds() && !matches!(endpoint, Endpoint::Passed(_));
    let output = if is_text { estimate_tokens(body) } else { 0 };
    Usage::estimate(request.call.prompt_tokens, output)
}

fn note_failure(
    request: &mut Request<'_>,
    candidate: &Candidate,
    failure: &Failure,
    failures: u32,
) {
    let now = clock::now();
    let name = &candidate.provider.name;
    log::warn!(
        request_id = request.id(),
        model = request.call.model.as_str(),
        provider = name.as_str(),
        reason = &*failure.for_log();
        "Attempt failed"
    );
    if failure.side != crate::chat::Side::Client {
        candidate.health.failed(&failure.for_log(), now);
    }
    refusal::note(request, candidate, failure, now);
    if failures > 1 {
        request.tried.pop();
    }
    let times = if failures > 1 {
        format!(" ({failures} attempts)")
    } else {
        String::new()
    };
    // A client may know that our key is bad, not what the provider says about it.
    let reason = match failure.kind.is_of_key() {
        true => KEY_REFUSED,
        false => failure.message.as_str(),
    };
    request.tried.push(Reason {
        told: format!("{name}: {reason}{times}"),
        logged: format!("{name}: {}{times}", failure.for_log()),
    });
}
