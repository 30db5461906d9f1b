//! A model request: read from HTTP, served by the proxy, answered over HTTP.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Version};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::timeout;

use super::visit::Visit;
use super::{allowance, error};
use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::{Call, Endpoint, Opening, Protocol};
use crate::proxy::{self, Answer, AnswerBody, Media, Request, Served};
use crate::telemetry::{Outcome, Record};

const PROVIDER: HeaderName = HeaderName::from_static("x-gateway-provider");
const MODEL: HeaderName = HeaderName::from_static("x-gateway-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-gateway-attempts");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Room set aside for a body of unknown length.
const BODY_START: usize = 64 * 1024;

/// The next piece of a body must have come by then; nginx waits as long.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// A declared length is a promise, not a fact: it is believed up to here.
const BODY_BELIEVED: usize = 1024 * 1024;

/// Serves one model request from the first byte of its body to its record in the log.
///
/// `model` is the one that the URL names, if it does.
pub(crate) async fn serve(
    visit: Visit,
    endpoint: Endpoint,
    model: Option<&str>,
) -> Result<HttpResponse, Failure> {
    let Visit {
        worker,
        snapshot,
        caller,
        request,
        payload,
        id,
    } = visit;
    log::debug!(request_id = &*id, path = endpoint.shown(); "Request received");
    let dialect = endpoint.protocol();
    let mut record = Record::begin(id.clone(), endpoint.shown(), snapshot.global.log_requests);
    record.client = caller.as_ref().map(|caller| caller.name.clone());
    let query = without_key(request.query_string());
    let opening = Opening {
        endpoint,
        model,
        query: Some(&query),
        content_type: form_type(&request, endpoint),
    };
    let call = match read(&request, payload, snapshot.global.max_body_bytes, opening).await {
        Ok(call) => call,
        Err(failure) => return Err(failed(record, failure, dialect)),
    };
    record.model.clone_from(&call.model);
    record.stream = call.stream;
    let expose = snapshot.global.expose_headers;
    let forwarded = forwarded(request.headers(), dialect);
    let version = request.version();
    let gateway = &worker.gateway;
    let mut request = Request::new(
        gateway,
        &worker.client,
        snapshot,
        caller,
        call,
        forwarded,
        record,
    );
    if endpoint.counts() {
        return match Box::pin(proxy::count(&mut request)).await {
            Ok(body) => Ok(json(body)),
            Err(failure) => Err(match request.record.take() {
                Some(record) => failed(record, failure, dialect),
                None => failure,
            }),
        };
    }
    // Boxed here: actix moves a handler's future about, and this is nearly all of it.
    match Box::pin(proxy::handle(&mut request)).await {
        Ok(answer) => {
            let mut response = response(answer, expose);
            allowance::tell(response.headers_mut(), request.caller.as_deref(), dialect);
            if version < Version::HTTP_11 {
                end_with_connection(&mut response);
            }
            Ok(response)
        }
        Err(failure) => {
            let failure = match request.record.take() {
                Some(record) => failed(record, failure, dialect),
                None => failure,
            };
            let mut response = error::response(&failure, dialect, &id);
            allowance::tell(response.headers_mut(), request.caller.as_deref(), dialect);
            // What a provider said about the client's mistake is its answer, too.
            if expose && failure.verbatim.is_some() {
                name_provider(response.headers_mut(), request.asked.as_ref());
            }
            Ok(response)
        }
    }
}

fn failed(mut record: Record, failure: Failure, dialect: Protocol) -> Failure {
    record.status = error::response(&failure, dialect, "").status().as_u16();
    record.error = Some(failure.for_log().into_owned());
    record.finish(Outcome::Failed);
    failure
}

async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    max: usize,
    opening: Opening<'_>,
) -> Result<Call, Failure> {
    if let Some(coding) = request.headers().get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = "compressed request bodies are not accepted; send the body as it is";
        let kind = FailureKind::UnsupportedMedia;
        return Err(Failure::new(kind, Side::Client, message));
    }
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max) {
        return Err(too_large(max));
    }
    let mut body = BytesMut::new();
    let mut first = Bytes::new();
    while let Some(chunk) = piece(&mut payload, BODY_PATIENCE).await? {
        let so_far = if body.is_empty() {
            first.len()
        } else {
            body.len()
        };
        if so_far + chunk.len() > max {
            return Err(too_large(max));
        }
        if so_far == 0 {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(declared.unwrap_or(BODY_START).min(BODY_BELIEVED));
            body.extend_from_slice(&first);
        }
        body.extend_from_slice(&chunk);
    }
    // A body that came in one piece is used where it lies.
    Call::open(
        opening,
        if body.is_empty() {
            first
        } else {
            body.freeze()
        },
    )
}

/// The next piece of a body; `None` at its end.
async fn piece<E>(
    payload: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    patience: Duration,
) -> Result<Option<Bytes>, Failure> {
    // Most bodies are there already, and then need no timer.
    let next = match payload.next().now_or_never() {
        Some(piece) => Ok(piece),
        None => timeout(patience, payload.next()).await,
    };
    match next {
        Ok(piece) => piece
            .transpose()
            .map_err(|_| Failure::invalid("the request body broke off")),
        Err(_) => {
            let message = format!("no more of the request body for {} s", patience.as_secs());
            Err(Failure::new(FailureKind::Timeout, Side::Client, message))
        }
    }
}

fn too_large(max: usize) -> Failure {
    let message = format!("the request body is larger than {max} bytes");
    Failure::new(FailureKind::TooLarge, Side::Client, message)
}

/// What providers may know of a client, as far as it sent it. Never its key, nor whom it would charge at
/// the provider (`openai-organization`, `openai-project`): that belongs to the client's own key, not to ours.
fn is_forwarded(name: &HeaderName, dialect: Protocol) -> bool {
    let name = name.as_str();
    if matches!(name, "accept" | "user-agent") {
        return true;
    }
    match dialect {
        Protocol::OpenAi | Protocol::Responses => {
            matches!(
                name,
                "openai-beta" | "originator" | "session-id" | "thread-id" | "x-client-request-id"
            ) || name.starts_with("x-codex-")
        }
        Protocol::Anthropic => matches!(name, "anthropic-version" | "anthropic-beta"),
        Protocol::Gemini => name == "x-goog-api-client",
    }
}

fn forwarded(headers: &HeaderMap, dialect: Protocol) -> Vec<(HeaderName, HeaderValue)> {
    let found = headers
        .iter()
        .filter(|(name, _)| is_forwarded(name, dialect));
    let mut found: Vec<_> = found
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // A map gives them in any order, and like requests are known by like headers.
    found.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    found
}

fn response(answer: Answer, expose: bool) -> HttpResponse {
    let kind = match &answer.media {
        Media::Json | Media::JsonStream => HeaderValue::from_static("application/json"),
        Media::Events => HeaderValue::from_static("text/event-stream"),
        Media::Other(kind) => HeaderValue::from_str(kind)
            .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream")),
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, kind));
    if matches!(answer.media, Media::Events | Media::JsonStream) {
        response
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
            .insert_header((ACCEL_BUFFERING, HeaderValue::from_static("no")));
    }
    let mut response = match answer.body {
        AnswerBody::Whole(body) => response.body(body),
        AnswerBody::Stream(body) => response.body(BoxBody::new(*body)),
    };
    if expose {
        name_provider(response.headers_mut(), answer.served.as_ref());
    }
    response
}

/// A client of HTTP/1.0 knows no chunks: to it, the end of the connection is the end of a stream.
fn end_with_connection(response: &mut HttpResponse) {
    let head = response.head_mut();
    head.no_chunking(true);
    head.set_connection_type(ConnectionType::Close);
}

/// Says who gave an answer.
fn name_provider(headers: &mut HeaderMap, served: Option<&Served>) {
    let Some(served) = served else { return };
    headers.insert(PROVIDER, served.provider.header());
    headers.insert(MODEL, served.model.header());
    let attempts = match served.attempts {
        1 => HeaderValue::from_static("1"),
        more => HeaderValue::from(more),
    };
    headers.insert(ATTEMPTS, attempts);
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(body)
}

/// What of a query a provider may see: everything but keys.
fn without_key(query: &str) -> Cow<'_, str> {
    if !query.contains("key=") {
        return query.into();
    }
    let pairs = query.split('&').filter(|pair| !pair.starts_with("key="));
    pairs.collect::<Vec<_>>().join("&").into()
}

/// The type of a body that is a form, where forms are taken.
fn form_type(request: &HttpRequest, endpoint: Endpoint) -> Option<&str> {
    let Endpoint::Passed(_) = endpoint else {
        return None;
    };
    let kind = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence
        .eq_ignore_ascii_case("multipart/form-data")
        .then_some(kind)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use actix_web::web::Bytes;
    use futures_util::{StreamExt as _, stream};

    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{forwarded, piece};
    use crate::chat::{FailureKind, Side};
    use crate::protocol::Protocol;

    #[test]
    fn what_is_forwarded_has_an_order() {
        for _ in 0..50 {
            let mut headers = HeaderMap::new();
            for name in ["user-agent", "originator", "accept", "cookie", "session-id"] {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            }
            let found = forwarded(&headers, Protocol::OpenAi);
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["accept", "originator", "session-id", "user-agent"]);
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let begun = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        let mut payload = begun.chain(stream::pending());
        let patience = Duration::from_millis(5);
        assert_eq!(
            piece(&mut payload, patience).await.unwrap(),
            Some("{".into())
        );
        let failure = piece(&mut payload, patience).await.unwrap_err();
        assert_eq!(
            (failure.kind, failure.side),
            (FailureKind::Timeout, Side::Client)
        );
        let mut whole = stream::empty::<Result<Bytes, Infallible>>();
        assert_eq!(piece(&mut whole, patience).await.unwrap(), None);
    }
}
