//! Failures as HTTP answers, in the dialect of the path.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};

use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::{Protocol, render};

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A failure as an answer. What a provider said about the client's own mistake is handed on as it came.
pub(super) fn response(failure: &Failure, dialect: Protocol, id: &str) -> HttpResponse {
    let is_clients = failure.side == Side::Client || failure.kind == FailureKind::ContextTooLong;
    let said = failure.verbatim.as_ref().filter(|_| is_clients);
    if let Some(said) = said
        && let Some(body) = &said.body
    {
        let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::BAD_REQUEST);
        let kind = said.content_type.as_deref().unwrap_or("application/json");
        return HttpResponse::build(status)
            .content_type(kind)
            .body(body.clone());
    }
    let (status, body) = render(dialect, failure, id);
    // What could not be read has its status still.
    let status = said.map_or(status, |said| said.status);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type("application/json");
    match failure.kind {
        FailureKind::QuotaExhausted => {
            // A `Retry-After` of hours would put a client to sleep; this one it should not repeat.
            response.insert_header((SHOULD_RETRY, "false"));
        }
        // What is left of a request that stopped coming is not waited for.
        FailureKind::Timeout if failure.side == Side::Client => {
            response.force_close();
        }
        FailureKind::Unauthenticated => {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        _ => {
            if let Some(wait) = failure.retry_after {
                let seconds = wait.as_millis().div_ceil(1000);
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
        }
    }
    response.body(body)
}
