//! One candidate: asked at most `1 + retry` times, until it answers or the next should.

use std::sync::Arc;
use std::time::Duration;

use actix_http::header::HeaderValue;
use tokio::time::{timeout, timeout_at};

use super::answer::{Answer, AnswerBody, Media};
use super::hold::{self, Hold};
use super::outcome::{self, Next, Reason};
use super::redact;
use super::request::Request;
use super::stream::{Opening, StreamBody};
use crate::chat::{Failure, FailureKind, KEY_REFUSED, Usage};
use crate::clock;
use crate::protocol::{Bridge, Endpoint, Protocol, Shape, Whole, decode_error, estimate_tokens};
use crate::quota::Exhausted;
use crate::routing::{self, Candidate};
use crate::telemetry::Outcome;
use crate::upstream::{Post, Response, Sent, Unanswered};

/// Largest whole answer: images and embeddings come as text in JSON.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// After the last event of a gathered stream its end is awaited this long.
const END_GRACE: Duration = Duration::from_millis(50);

/// A status says enough: what a provider explains must come within this time.
const ERROR_PATIENCE: Duration = Duration::from_secs(2);

/// Most of an error answer that is read.
const ERROR_MAX: usize = 256 * 1024;

/// What came of a candidate.
pub(super) enum Tried {
    /// An answer, committed.
    Answered(Answer),
    /// Nothing: its quota had no room.
    NoRoom(Exhausted),
    /// Its last failure.
    Failed(Failure),
}

/// What a provider gave before anything of it was released.
enum Ready {
    /// A judged answer and its cost, if it told.
    Whole(Media, Whole),
    /// A stream up to its first meaningful event.
    Opened(Media, Box<Opening>),
}

/// One candidate, and how it is asked.
struct Attempt<'a> {
    candidate: &'a Candidate,
    bridge: &'a Bridge<'a>,
    /// The model's name there.
    model: &'a str,
    shape: Shape,
    /// Whether no kept connection is to be used.
    fresh: bool,
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
        let hold = match Hold::take(candidate, &request.call, sent.clone()) {
            Ok(hold) => hold,
            Err(exhausted) => return last.map_or(Tried::NoRoom(exhausted), Tried::Failed),
        };
        if !fresh {
            request.note_attempt(candidate, &model);
        }
        // Requests that came in together go out together: their peers are woken once, and each step of the
        // way is taken by all while its code is at hand.
        tokio::task::yield_now().await;
        let attempt = Attempt {
            candidate,
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
                hold.fail();
                fresh = true;
                continue;
            }
            Err(Unanswered::Failed(failure)) => failure,
        };
        hold.fail();
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

/// One exchange, bounded in time, up to the point where it could be committed.
async fn once(
    request: &Request<'_>,
    attempt: &Attempt<'_>,
    sent: &Sent,
) -> Result<Ready, Unanswered> {
    let provider = &attempt.candidate.provider;
    let relayed = attempt.shape.stream && request.call.stream;
    let patience = match provider.first_byte_timeout {
        Some(first_byte) if relayed => first_byte.min(provider.timeout),
        _ => provider.timeout,
    };
    let now = request.attempt_begins();
    let until = request.deadline.min(now + patience);
    let mut failure = match timeout_at(until, exchange(request, attempt, sent)).await {
        Ok(Err(Unanswered::Failed(failure))) => failure,
        Ok(ready_or_stale) => return ready_or_stale,
        Err(_) => late(until.saturating_duration_since(now)),
    };
    redact::failure(&mut failure, provider);
    Err(failure.into())
}

fn late(patience: Duration) -> Failure {
    Failure::timeout(format!("no answer within {} s", patience.as_secs_f64()))
}

/// Sends, and reads until the answer is known to be one. Nothing of a failed attempt gets further.
async fn exchange(
    request: &Request<'_>,
    attempt: &Attempt<'_>,
    sent: &Sent,
) -> Result<Ready, Unanswered> {
    let (call, bridge) = (&request.call, attempt.bridge);
    let post = post(request, attempt)?;
    let answer = request.client.post(post, sent);
    let mut response = match attempt.candidate.provider.first_byte_timeout {
        Some(first_byte) => timeout(first_byte, answer)
            .await
            .unwrap_or_else(|_| Err(late(first_byte).into())),
        None => answer.await,
    }?;
    if !(200..300).contains(&response.status()) {
        return Err(refusal(response, bridge).await.into());
    }
    if let Endpoint::Passed(_) = call.endpoint {
        return Ok(passed(response, bridge).await?);
    }
    let is_stream = is_stream(&mut response, attempt.shape).await?;
    let media = match (call.stream && !call.endpoint.embeds(), call.array) {
        (false, _) => Media::Json,
        (true, true) => Media::JsonStream,
        (true, false) => Media::Events,
    };
    match (is_stream, media) {
        (true, Media::Json) => gathered(response, bridge).await.map_err(Unanswered::from),
        (true, media) => {
            let relay = bridge.relay(attempt.shape.stream && attempt.shape.ask_usage);
            let opening = Opening::read(response, relay).await?;
            Ok(Ready::Opened(media, Box::new(opening)))
        }
        (false, media) => Ok(Ready::Whole(media, whole(response, bridge).await?)),
    }
}

/// What is sent to the provider.
fn post<'a>(request: &'a Request<'_>, attempt: &Attempt<'a>) -> Result<Post<'a>, Failure> {
    let call = &request.call;
    let errand = attempt.bridge.errand(attempt.model, attempt.shape)?;
    if !errand.dropped.is_empty() {
        log::debug!(
            request_id = request.id(),
            provider = attempt.candidate.name.as_str(),
            dropped = errand.dropped.join(", ").as_str();
            "Left out what the provider's API has no word for"
        );
    }
    let target = &attempt.candidate.target;
    let query = call
        .query
        .as_deref()
        .filter(|_| attempt.bridge.is_verbatim());
    let uri = match target.uri(errand.endpoint) {
        Some(_) if query.is_none() => None,
        _ => {
            let uri = target.uri_of(errand.endpoint, attempt.model, query);
            Some(uri.map_err(|why| Failure::invalid(format!("the URL is wrong: {why}")))?)
        }
    };
    let content_type = call.content_type.as_deref();
    Ok(Post {
        target,
        endpoint: errand.endpoint,
        uri,
        content_type: content_type.and_then(|kind| HeaderValue::from_str(kind).ok()),
        forwarded: match attempt.bridge.is_verbatim() {
            true => &request.forwarded,
            false => &[],
        },
        body: errand.body,
        fresh: attempt.fresh,
    })
}

/// A stream for a client that wants none.
async fn gathered(mut response: Response, bridge: &Bridge<'_>) -> Result<Ready, Failure> {
    let mut gather = bridge.gather();
    while !gather.is_done() {
        match response.next().await {
            Some(Ok(chunk)) => gather
                .push(chunk)
                .map_err(|failure| response.hint(failure, clock::now()))?,
            // What breaks after the answer is no loss.
            Some(Err(failure)) if !gather.is_complete() => return Err(failure),
            Some(Err(_)) | None => break,
        }
    }
    if gather.is_done() {
        // A connection whose end has come can be used again; one that stays open is closed.
        let _ = timeout(END_GRACE, response.next()).await;
    }
    Ok(Ready::Whole(Media::Json, bridge.gathered(gather)?))
}

/// An answer that is complete before it is judged.
async fn whole(mut response: Response, bridge: &Bridge<'_>) -> Result<Whole, Failure> {
    let kind = response.content_type().map(str::to_owned);
    let body = response.collect(ANSWER_MAX).await?;
    bridge
        .whole(kind.as_deref(), body)
        .map_err(|failure| response.hint(failure, clock::now()))
}

/// The answer of an endpoint that goes through as it is: JSON, events, or whatever the provider calls it.
async fn passed(mut response: Response, bridge: &Bridge<'_>) -> Result<Ready, Failure> {
    let kind = match response.content_type() {
        Some(kind) => kind.to_owned(),
        None => match response.first_byte().await? {
            Some(b'{' | b'[') | None => "application/json".to_owned(),
            Some(_) => "application/octet-stream".to_owned(),
        },
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let (media, relay) = match essence.as_str() {
        "application/json" | "text/html" => {
            let whole = whole(response, bridge).await?;
            return Ok(Ready::Whole(Media::Json, whole));
        }
        "text/event-stream" => (Media::Events, bridge.relay(false)),
        _ => (Media::Other(kind.into()), bridge.unread()),
    };
    let opening = Opening::read(response, relay).await?;
    Ok(Ready::Opened(media, Box::new(opening)))
}

/// Whether an answer is a stream. Where one could be, that is seen by how it begins: some providers call a
/// stream JSON, some an answer a stream.
async fn is_stream(response: &mut Response, shape: Shape) -> Result<bool, Failure> {
    let kind = response.content_type().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let is_called_so = essence.eq_ignore_ascii_case("text/event-stream");
    if !is_called_so && !shape.stream {
        return Ok(false);
    }
    let begins = response.first_byte().await?;
    Ok(begins.map_or(is_called_so, |byte| !matches!(byte, b'{' | b'[' | b'<')))
}

/// An upstream's error answer as a failure.
async fn refusal(mut response: Response, bridge: &Bridge<'_>) -> Failure {
    let status = response.status();
    let kind = response.content_type().map(str::to_owned);
    let retry_after = response.retry_after(clock::now());
    // What cannot be read of an error leaves its status, which says enough.
    let body = match response.is_encoded() {
        true => None,
        false => match timeout(ERROR_PATIENCE, response.collect(ERROR_MAX)).await {
            Ok(Ok(body)) => Some(body),
            Ok(Err(_)) | Err(_) => None,
        },
    };
    let mut failure = decode_error(status, kind.as_deref(), body, retry_after);
    if !bridge.is_verbatim() {
        // Words of another dialect: the client gets what they say in its own, with a status that fits them.
        let status = bridge.status_of(&failure);
        if let Some(said) = &mut failure.verbatim {
            said.body = None;
            said.status = status;
        }
    }
    failure
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
            hold::written(hold.settle(usage.total)).await;
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
    if outcome::is_refusal(failure) {
        let cooldown = candidate
            .health
            .refused(failure.retry_after, &failure.message, now);
        log::warn!(
            request_id = request.id(),
            model = request.call.model.as_str(),
            provider = name.as_str(),
            until = cooldown.until.rfc3339();
            "Provider is cooling down"
        );
    }
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
