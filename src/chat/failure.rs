//! What went wrong, whose doing it was, and what the caller should be told.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::Span;
use crate::clock::UnixMillis;

/// The nature of a failure. A dialect turns it into a status and an error object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request cannot be read or asks for something impossible.
    InvalidRequest,
    /// A provider's dialect has no words for what the request means; another provider may have.
    Inexpressible,
    /// The caller's key is missing or wrong.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// No model of that name.
    UnknownModel,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is larger than we accept.
    TooLarge,
    /// The body is written in a way that we do not read.
    UnsupportedMedia,
    /// The prompt fits no provider's context window.
    ContextTooLong,
    /// Every quota is spent and resets later than clients should wait.
    QuotaExhausted,
    /// Refused for now; trying again soon makes sense.
    RateLimited,
    /// Nobody can serve this at the moment.
    Unavailable,
    /// An upstream did not answer in time, or a client did not send its request in time.
    Timeout,
    /// An upstream could not be reached, answered with an error, or answered nonsense.
    BadUpstream,
    /// Our own fault.
    Internal,
}

/// What is said of a key that a provider refused, instead of the provider's text, which likes to quote it.
pub const KEY_REFUSED: &str = "provider authentication failed";

impl FailureKind {
    /// Whether somebody's key is at fault.
    pub fn is_of_key(self) -> bool {
        matches!(self, FailureKind::Unauthenticated | FailureKind::Forbidden)
    }
}

/// Who caused a failure: the same status means different things on different sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller of the gateway.
    Client,
    /// The gateway itself: quotas, configuration, defects.
    Gateway,
    /// The provider behind it.
    Upstream,
}

/// An upstream's own error answer, kept so that it can be handed on as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbatim {
    /// HTTP status of the answer.
    pub status: u16,
    /// Its `Content-Type`, if it had one.
    pub content_type: Option<String>,
    /// Its body; `None` if that could not be read.
    pub body: Option<Bytes>,
}

/// Something that kept a request from being answered.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The nature of it.
    pub kind: FailureKind,
    /// Whose doing it was.
    pub side: Side,
    /// For people: lower case, no full stop, no secret.
    pub message: String,
    /// What a log says instead, where the message is a provider's own text and may quote the prompt.
    pub label: Option<Box<str>>,
    /// The field of the request that is to blame.
    pub param: Option<Box<str>>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
    /// Which window of its own quota a provider said is spent.
    pub spent: Option<Span>,
    /// When a spent quota resets.
    pub resets_at: Option<UnixMillis>,
    /// The upstream's answer, when it was one.
    pub verbatim: Option<Box<Verbatim>>,
}

impl Failure {
    /// A failure of this kind, side and message, without further detail.
    pub fn new(kind: FailureKind, side: Side, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            side,
            message: message.into(),
            label: None,
            param: None,
            retry_after: None,
            spent: None,
            resets_at: None,
            verbatim: None,
        }
    }

    /// The request itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::InvalidRequest, Side::Client, message)
    }

    /// What the client asks for by `param` cannot be said to this provider.
    pub fn inexpressible(param: &str, message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Inexpressible, Side::Gateway, message).about(param)
    }

    /// The upstream failed us in a way that is nobody else's fault.
    pub fn upstream(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::BadUpstream, Side::Upstream, message)
    }

    /// The upstream took too long.
    pub fn timeout(message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::Timeout, Side::Upstream, message)
    }

    /// Names the field of the request that is to blame.
    pub fn about(mut self, param: &str) -> Failure {
        self.param = Some(param.into());
        self
    }

    /// What a log may hold of it. A provider that fails likes to quote the request, and no prompt belongs
    /// in a log.
    pub fn for_log(&self) -> Cow<'_, str> {
        match &self.verbatim {
            Some(said) if self.side == Side::Client => {
                let status = said.status;
                format!("the provider finds fault with the request (HTTP {status})").into()
            }
            _ => self.label.as_deref().unwrap_or(&self.message).into(),
        }
    }

    /// The HTTP status of the upstream's answer, when there was one.
    pub fn upstream_status(&self) -> Option<u16> {
        self.verbatim.as_ref().map(|v| v.status)
    }
}
