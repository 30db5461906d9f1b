//! One HTTP exchange with an upstream.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Uri;
use actix_http::error::{ParseError, PayloadError};
use actix_http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use awc::FrozenClientRequest;
use awc::error::{ConnectError, SendRequestError};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::dial::Dialer;
use super::outgoing::{Outgoing, Sent};
use super::retry_after::retry_after;
use super::wire::Stale;
use crate::chat::{Allowance, Failure, FailureKind, Side};
use crate::clock::UnixMillis;
use crate::protocol::{Endpoint, allowances, tells_allowance};
use crate::routing::{Dial, Target};

/// Idle upstream connections are kept this long; common servers keep theirs for 5 s to 75 s, and one
/// that closed first is noticed before it is used again.
const IDLE: Duration = Duration::from_secs(60);

/// A connection is renewed after this long, so that a changed address of the provider is followed.
const LIFETIME: Duration = Duration::from_secs(600);

/// The byte order mark, in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

const UNANSWERED: &str = "closed the connection without an answer";

/// The calls out of one worker. Not `Send`: awc's pools belong to the thread that made them.
#[derive(Default)]
pub struct Client {
    /// A pool for each way of connecting; there are few, so a list beats a map.
    pools: RefCell<Vec<(Dial, Pool)>>,
    /// The heads of requests: made once, since they are the same every time.
    heads: RefCell<HashMap<HeadOf, Vec<Head>, foldhash::fast::RandomState>>,
}

/// What a head is for: a target by its id, an endpoint, and whether it takes a fresh connection.
type HeadOf = (u64, Endpoint, bool);

/// The head of the requests of one kind of client.
struct Head {
    /// What the client's headers add to it; the first head adds nothing.
    forwarded: Vec<(HeaderName, HeaderValue)>,
    request: FrozenClientRequest,
}

/// Why there is no answer.
pub enum Unanswered {
    /// The kept connection was found closed as the request was written to it. It may be sent again, on a fresh one.
    Stale,
    /// The upstream failed.
    Failed(Failure),
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Unanswered {
        Unanswered::Failed(failure)
    }
}

/// What is asked of a provider.
pub struct Post<'a> {
    /// Whom.
    pub target: &'a Target,
    /// What is called there.
    pub endpoint: Endpoint,
    /// Its URL, where that is not the same every time.
    pub uri: Option<Box<Uri>>,
    /// The type of a body that is not JSON.
    pub content_type: Option<Box<HeaderValue>>,
    /// What the provider may know of the client.
    pub forwarded: &'a [(HeaderName, HeaderValue)],
    /// The body, in pieces that follow each other.
    pub body: Vec<Bytes>,
    /// Whether no kept connection is to be used.
    pub fresh: bool,
}

/// Most heads that are kept. A reload leaves those of the targets before it behind; when there are too
/// many, all are made anew.
const HEADS_MAX: usize = 1024;

/// For how many kinds of clients a head is made in advance.
const KINDS_MAX: usize = 8;

/// Headers that differ from request to request. A head with one of them would not be used again.
const CHANGING: [&str; 3] = ["session-id", "thread-id", "x-client-request-id"];

/// Connections of one kind.
#[derive(Clone)]
pub(super) struct Pool {
    /// Uses a connection again where it can.
    kept: awc::Client,
    /// Never does.
    pub(super) fresh: awc::Client,
}

/// An answer whose head has arrived; its body is a stream. Dropping it ends the exchange and closes
/// the connection, unless the body was read to its end.
pub struct Response {
    inner: awc::ClientResponse,
    /// What was read to see how the body begins.
    peeked: Option<Bytes>,
    /// Whether the body is over: awc panics when it is asked again.
    ended: bool,
}

impl Client {
    /// Sends a POST and waits for the head of the answer. The caller bounds the wait.
    ///
    /// # Errors
    /// A [`Failure`] of the upstream's side, or a kept connection that was closed. `sent` tells whether
    /// the request can have arrived.
    pub async fn post(&self, post: Post<'_>, sent: &Sent) -> Result<Response, Unanswered> {
        let (head, extra) = self.head(&post)?;
        let fresh = post.fresh;
        let body = Outgoing::new(post.body, sent.clone());
        let answered = match extra {
            None => head.send_body(body),
            Some(extra) => head.extra_headers(extra).send_body(body),
        };
        let inner = match answered.await {
            Ok(inner) => inner,
            Err(error) if is_stale(&error) && !fresh => return Err(Unanswered::Stale),
            Err(error) => return Err(explain(error).into()),
        };
        Ok(Response {
            inner,
            peeked: None,
            ended: false,
        })
    }

    /// The head of a request, and what is to be added to it.
    fn head(&self, post: &Post<'_>) -> Result<(FrozenClientRequest, Option<HeaderMap>), Failure> {
        let Post {
            target,
            endpoint,
            forwarded,
            fresh,
            ..
        } = *post;
        if post.uri.is_some() || post.content_type.is_some() {
            return Ok((self.make_head(post, forwarded)?, None));
        }
        let key = (target.id(), endpoint, fresh);
        let make = |forwarded: &[(HeaderName, HeaderValue)]| -> Result<Head, Failure> {
            let request = self.make_head(post, forwarded)?;
            let forwarded = forwarded.to_vec();
            Ok(Head { forwarded, request })
        };
        let mut known = self.heads.borrow_mut();
        if known.len() >= HEADS_MAX && !known.contains_key(&key) {
            known.clear();
        }
        let heads = known.entry(key).or_default();
        if heads.is_empty() {
            heads.push(make(&[])?);
        }
        if let Some(head) = heads.iter().find(|head| head.forwarded == forwarded) {
            return Ok((head.request.clone(), None));
        }
        let is_changing = |(name, _): &(HeaderName, _)| {
            CHANGING.contains(&name.as_str()) || name.as_str().starts_with("x-codex-")
        };
        if heads.len() > KINDS_MAX || forwarded.iter().any(is_changing) {
            return Ok((heads[0].request.clone(), Some(extra(forwarded, target))));
        }
        let head = make(forwarded)?;
        let request = head.request.clone();
        heads.push(head);
        Ok((request, None))
    }

    fn make_head(
        &self,
        post: &Post<'_>,
        forwarded: &[(HeaderName, HeaderValue)],
    ) -> Result<FrozenClientRequest, Failure> {
        let target = post.target;
        let pool = self.pool(&target.dial)?;
        let client = match post.fresh {
            true => &pool.fresh,
            false => &pool.kept,
        };
        let Some(uri) = post.uri.as_deref().or_else(|| target.uri(post.endpoint)) else {
            let message = "the provider has nothing of that kind";
            return Err(Failure::new(FailureKind::Internal, Side::Gateway, message));
        };
        let mut request = client.post(uri.clone());
        let headers = target.defaults.iter().chain(forwarded);
        for (name, value) in headers.chain(&target.headers) {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        if let Some(kind) = &post.content_type {
            request.headers_mut().insert(CONTENT_TYPE, (**kind).clone());
        }
        request
            .freeze()
            .map_err(|error| Failure::upstream(format!("the request cannot be made: {error}")))
    }

    /// The connections of this kind.
    pub(super) fn pool(&self, dial: &Dial) -> Result<Pool, Failure> {
        let mut pools = self.pools.borrow_mut();
        if let Some((_, pool)) = pools.iter().find(|(known, _)| known == dial) {
            return Ok(pool.clone());
        }
        let dialer = Dialer::new(dial)
            .map_err(|error| Failure::upstream(format!("TLS set-up failed: {error}")))?;
        let pool = Pool {
            kept: client(dialer.clone(), dial, IDLE),
            fresh: client(dialer, dial, Duration::ZERO),
        };
        pools.push((dial.clone(), pool.clone()));
        Ok(pool)
    }
}

/// What of a client's headers is added to the head for a target, whose own headers win.
fn extra(forwarded: &[(HeaderName, HeaderValue)], target: &Target) -> HeaderMap {
    let is_set = |name: &HeaderName| target.headers.iter().any(|(known, _)| known == name);
    let mut extra = HeaderMap::new();
    for (name, value) in forwarded.iter().filter(|(name, _)| !is_set(name)) {
        extra.insert(name.clone(), value.clone());
    }
    extra
}

/// Each line undoes a default that would surprise: a hundred connections for all hosts together, five
/// seconds until the head, redirects that send the prompt elsewhere.
fn client(dialer: Dialer, dial: &Dial, keep: Duration) -> awc::Client {
    let connector = awc::Connector::new()
        .connector(dialer)
        .limit(0)
        .timeout(dial.timeout.saturating_add(Duration::from_secs(1)))
        .conn_keep_alive(keep)
        .conn_lifetime(LIFETIME);
    awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .no_default_headers()
        .finish()
}

impl Response {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// The `Content-Type`, when it is text.
    pub fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str())
    }

    /// How long the provider wants to be left alone.
    pub fn retry_after(&self, now: UnixMillis) -> Option<Duration> {
        retry_after(
            self.header("retry-after-ms"),
            self.header("retry-after"),
            now,
        )
    }

    /// What the provider says of its own limits.
    pub fn allowances(&self, now: UnixMillis) -> Vec<Allowance> {
        let headers = self.inner.headers().iter();
        // Few headers are about that, and few values are worth checking for being text.
        let concerned = headers.filter(|(name, _)| tells_allowance(name.as_str()));
        let readable =
            concerned.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        allowances(readable, now)
    }

    /// Whether the answer declared its length, so that an early end can be told from the end.
    fn is_delimited(&self) -> bool {
        let headers = self.inner.headers();
        headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// A failure that the body told; where that does not say when to try again, the headers may.
    pub fn hint(&self, mut failure: Failure, now: UnixMillis) -> Failure {
        failure.retry_after = failure.retry_after.or_else(|| self.retry_after(now));
        failure
    }

    /// Whether the body is compressed, although we asked for none that is.
    pub fn is_encoded(&self) -> bool {
        self.header(CONTENT_ENCODING.as_str())
            .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    }

    /// The first byte of the body that is no blank; `None` if there is none. Blanks before it, which some
    /// providers send while they think, are dropped.
    ///
    /// # Errors
    /// A body that breaks off.
    pub async fn first_byte(&mut self) -> Result<Option<u8>, Failure> {
        let mut mark = Vec::new();
        while let Some(mut chunk) = self.next().await.transpose()? {
            if !mark.is_empty() {
                chunk = [&mark[..], &chunk[..]].concat().into();
            }
            let text = without_mark(&chunk);
            let begun = text.trim_ascii_start();
            if MARK.starts_with(begun) {
                // Blanks, and perhaps the beginning of a mark.
                mark = begun.to_vec();
            } else {
                let first = begun[0];
                self.peeked = Some(chunk.slice(chunk.len() - text.len()..));
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// The whole body, without a byte order mark.
    ///
    /// # Errors
    /// A body that breaks off, or that is larger than `max` bytes.
    pub async fn collect(&mut self, max: usize) -> Result<Bytes, Failure> {
        // Most answers arrive in one piece, which then needs no copy.
        let Some(first) = self.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let mut whole: Option<BytesMut> = None;
        while let Some(chunk) = self.next().await.transpose()? {
            let whole = whole.get_or_insert_with(|| BytesMut::from(&first[..]));
            if whole.len() + chunk.len() > max {
                return Err(Failure::upstream(format!(
                    "the answer is larger than {max} bytes"
                )));
            }
            whole.extend_from_slice(&chunk);
        }
        let whole = whole.map_or(first, BytesMut::freeze);
        Ok(whole.slice(whole.len() - without_mark(&whole).len()..))
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Response {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(chunk) = this.peeked.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let item = ready!(Pin::new(&mut this.inner).poll_next(cx));
        this.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(match item {
            Some(Ok(chunk)) => Some(Ok(chunk)),
            // Without a declared length the end of the connection is the end of the body.
            Some(Err(error)) if is_end(&error) && !this.is_delimited() => None,
            Some(Err(_)) => Some(Err(Failure::upstream("the answer broke off"))),
            None => None,
        })
    }
}

/// A text without the byte order mark that some begin it with, and the blanks before that. RFC 8259 forbids
/// it in JSON, and no parser of clients expects it.
fn without_mark(text: &[u8]) -> &[u8] {
    text.trim_ascii_start().strip_prefix(MARK).unwrap_or(text)
}

fn is_end(error: &PayloadError) -> bool {
    match error {
        PayloadError::Incomplete(Some(error)) | PayloadError::Io(error) => {
            error.kind() == std::io::ErrorKind::UnexpectedEof
        }
        PayloadError::Incomplete(None) => true,
        _ => false,
    }
}

/// Whether a kept connection was found closed, see [`Stale`].
fn is_stale(error: &SendRequestError) -> bool {
    let error = match error {
        SendRequestError::Send(error)
        | SendRequestError::Connect(ConnectError::Io(error))
        | SendRequestError::Response(ParseError::Io(error)) => error,
        _ => return false,
    };
    error.get_ref().is_some_and(|inner| inner.is::<Stale>())
}

/// awc's errors in our words. URLs and addresses stay out of messages that clients may see.
pub(super) fn explain(error: SendRequestError) -> Failure {
    let unreachable = |why: &str| {
        Failure::new(
            FailureKind::Unavailable,
            Side::Upstream,
            format!("cannot connect: {why}"),
        )
    };
    if is_stale(&error) {
        return Failure::upstream(UNANSWERED);
    }
    match error {
        SendRequestError::Connect(error) => match error {
            ConnectError::Timeout => Failure::timeout("cannot connect: timed out"),
            ConnectError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                Failure::timeout("cannot connect: timed out")
            }
            // The pool's name for a connection that ended before an answer began.
            ConnectError::Disconnected => Failure::upstream(UNANSWERED),
            ConnectError::Io(error) => unreachable(&error.to_string()),
            ConnectError::Resolver(_) | ConnectError::NoRecords | ConnectError::Unresolved => {
                unreachable("the host name does not resolve")
            }
            other => unreachable(&other.to_string()),
        },
        SendRequestError::Send(error) | SendRequestError::Response(ParseError::Io(error)) => {
            use std::io::ErrorKind as Kind;
            Failure::upstream(match error.kind() {
                Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe => UNANSWERED.into(),
                _ => format!("the connection broke: {error}"),
            })
        }
        SendRequestError::Response(error) => {
            Failure::upstream(format!("the answer is not HTTP: {error}"))
        }
        other => Failure::upstream(format!("the exchange failed: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use awc::test::TestResponse;

    use super::Response;
    use crate::chat::{Span, Unit};
    use crate::clock::UnixMillis;

    #[test]
    fn the_headers_of_an_answer_tell_the_providers_limits() {
        let answering = |headers: &[(&'static str, &'static [u8])]| {
            let mut inner = TestResponse::default();
            for header in headers {
                inner = inner.insert_header(*header);
            }
            Response {
                inner: inner.finish(),
                peeked: None,
                ended: false,
            }
        };
        let now = UnixMillis::from_secs(1_795_170_615);
        let limited = answering(&[
            ("Content-Type", b"application/json"),
            ("X-RateLimit-Limit-Requests-Day", b"100"),
            ("X-RateLimit-Remaining-Requests-Day", b"7"),
            ("X-RateLimit-Remaining-Tokens", b"\xff"),
        ]);
        let told = limited.allowances(now);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].unit, told[0].remaining), (Unit::Requests, 7));
        assert_eq!(told[0].span, Some(Span::Day));
        let silent = answering(&[("Content-Type", b"application/json")]);
        assert_eq!(silent.allowances(now), []);
    }
}
