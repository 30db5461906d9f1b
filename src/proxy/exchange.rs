//! One exchange with a provider, up to the point where its answer could be committed.

use std::time::Duration;

use actix_http::header::HeaderValue;
use tokio::time::{timeout, timeout_at};

use super::answer::Media;
use super::hold::Hold;
use super::redact;
use super::request::Request;
use super::stream::Opening;
use crate::chat::Failure;
use crate::clock;
use crate::protocol::{Bridge, Endpoint, Shape, Whole, decode_error};
use crate::routing::Candidate;
use crate::upstream::{Post, Response, Sent, Unanswered};

/// Largest whole answer: images and embeddings come as text in JSON.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// After the last event of a gathered stream its end is awaited this long.
const END_GRACE: Duration = Duration::from_millis(50);

/// A status says enough: what a provider explains must come within this time.
const ERROR_PATIENCE: Duration = Duration::from_secs(2);

/// Most of an error answer that is read.
const ERROR_MAX: usize = 256 * 1024;

/// What a provider gave before anything of it was released.
pub(super) enum Ready {
    /// A judged answer and its cost, if it told.
    Whole(Media, Whole),
    /// A stream up to its first meaningful event.
    Opened(Media, Box<Opening>),
}

/// One candidate, and how it is asked.
pub(super) struct Attempt<'a> {
    pub(super) candidate: &'a Candidate,
    /// What it holds of the candidate's quota.
    pub(super) hold: &'a Hold,
    pub(super) bridge: &'a Bridge<'a>,
    /// The model's name there.
    pub(super) model: &'a str,
    pub(super) shape: Shape,
    /// Whether no kept connection is to be used.
    pub(super) fresh: bool,
}

/// One exchange, bounded in time, up to the point where it could be committed.
pub(super) async fn once(
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
    attempt.hold.learn(&response.allowances(clock::now()));
    if !(200..300).contains(&response.status()) {
        return Err(Box::pin(refusal(response, bridge)).await.into());
    }
    if let Endpoint::Passed(_) = call.endpoint {
        return Ok(Box::pin(passed(response, bridge)).await?);
    }
    let is_stream = is_stream(&mut response, attempt.shape).await?;
    let media = match (call.stream && !call.endpoint.embeds(), call.array) {
        (false, _) => Media::Json,
        (true, true) => Media::JsonStream,
        (true, false) => Media::Events,
    };
    match (is_stream, media) {
        (true, Media::Json) => Box::pin(gathered(response, bridge))
            .await
            .map_err(Unanswered::from),
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
            let uri = uri.map_err(|why| Failure::invalid(format!("the URL is wrong: {why}")))?;
            Some(Box::new(uri))
        }
    };
    let content_type = call.content_type.as_deref();
    Ok(Post {
        target,
        endpoint: errand.endpoint,
        uri,
        content_type: content_type
            .and_then(|kind| HeaderValue::from_str(kind).ok())
            .map(Box::new),
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
