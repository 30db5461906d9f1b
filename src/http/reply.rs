//! What every answer has in common.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use crate::protocol::Protocol;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id of a client that is kept.
const ID_MAX: usize = 128;

/// The client's own id where it is harmless in logs and headers, else a new one.
pub(super) fn request_id(request: &HttpRequest) -> Arc<str> {
    let sent = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    match sent {
        Some(id) if is_harmless(id) => id.into(),
        _ => new_id(),
    }
}

/// 128 random bits in hexadecimal. By hand, because every request has one: `format!` takes six times
/// as many instructions.
fn new_id() -> Arc<str> {
    let mut random = fastrand::u128(..);
    let mut digits = [0; 32];
    for digit in &mut digits {
        *digit = b"0123456789abcdef"[(random & 0xf) as usize];
        random >>= 4;
    }
    std::str::from_utf8(&digits).unwrap_or_default().into()
}

fn is_harmless(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Adds the headers that every answer has.
pub(super) fn stamp(response: &mut HttpResponse, id: &str, dialect: Protocol, cors: bool) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        // The name that Anthropic's clients look for.
        if dialect == Protocol::Anthropic {
            headers.insert(HeaderName::from_static("request-id"), id.clone());
        }
        headers.insert(REQUEST_ID, id);
    }
    if cors {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        );
        let exposed = "x-request-id, x-gateway-provider, x-gateway-model, x-gateway-attempts, retry-after, \
             x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
             x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(exposed),
        );
    }
}

/// The answer to a browser's question whether a page may call us.
pub(super) fn preflight(allowed: &str, cors: bool) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response.insert_header((header::ALLOW, allowed));
    if cors {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, allowed))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "*, authorization"))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"));
    }
    response.finish()
}

/// A JSON answer.
pub(crate) fn json(status: u16, body: &impl Serialize) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    match serde_json::to_vec(body) {
        Ok(body) => HttpResponse::build(status)
            .content_type("application/json")
            .body(body),
        Err(error) => {
            log::error!("an answer could not be written as JSON: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_harmless, new_id};

    #[test]
    fn new_ids_are_32_hexadecimal_digits_and_differ() {
        let (one, other) = (new_id(), new_id());
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()) && is_harmless(&one));
        assert_ne!(one, other);
    }

    #[test]
    fn only_plain_ids_are_kept() {
        assert!(is_harmless("req_1.2-3"));
        for id in ["", "a b", "a\"b", "ü", &"x".repeat(129)] {
            assert!(!is_harmless(id), "{id:?}");
        }
    }
}
