//! Which dialect somebody speaks at the door: by the path, and at paths that several share by the headers.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;

use crate::protocol::Protocol;

/// The dialect of whoever calls this route; `None` where that depends on the request.
pub(super) fn of_route(path: &str) -> Option<Protocol> {
    let is_shared = path.starts_with("/v1/models") || path.starts_with("/models");
    let nothing = HeaderMap::new();
    (!is_shared).then(|| of(&Method::GET, path, "", &nothing))
}

/// The dialect of a request, in which it is answered whatever becomes of it.
pub(super) fn dialect(request: &HttpRequest) -> Protocol {
    let (path, query) = (request.path(), request.query_string());
    of(request.method(), path, query, request.headers())
}

fn of(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Protocol {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let below = |prefix: &str| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if below("/messages") {
        Protocol::Anthropic
    } else if below("/responses") {
        Protocol::Responses
    } else if below("beta") {
        Protocol::Gemini
    } else if below("/models") {
        // Nobody else posts there.
        match method == Method::POST {
            true => Protocol::Gemini,
            false => of_list(query, headers),
        }
    } else {
        Protocol::OpenAi
    }
}

/// Whose list of models is wanted, where three have it at the same path.
fn of_list(query: &str, headers: &HeaderMap) -> Protocol {
    let has = |name| headers.contains_key(name);
    let has_key = || query.split('&').any(|pair| pair.starts_with("key="));
    if has("anthropic-version") {
        Protocol::Anthropic
    } else if has("x-goog-api-key") || has("x-goog-api-client") || has_key() {
        Protocol::Gemini
    } else {
        Protocol::OpenAi
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn it_is_known_by_path_and_headers() {
        use Protocol::{Anthropic, Gemini, OpenAi, Responses};
        for (method, path, header, query, expected) in [
            (
                Method::POST,
                "/v1/chat/completions",
                "x-goog-api-key",
                "",
                OpenAi,
            ),
            (Method::POST, "/v1/messages", "accept", "", Anthropic),
            (
                Method::POST,
                "/messages/count_tokens",
                "accept",
                "",
                Anthropic,
            ),
            (Method::POST, "/v1/messagesx", "accept", "", OpenAi),
            (Method::GET, "/v1/responses/resp_1", "accept", "", Responses),
            (
                Method::POST,
                "/v1/models/m:countTokens",
                "accept",
                "",
                Gemini,
            ),
            (
                Method::POST,
                "/v1/models/m/countTokens",
                "accept",
                "",
                Gemini,
            ),
            (Method::GET, "/v1/models/a:b", "accept", "", OpenAi),
            (
                Method::GET,
                "/v1/models",
                "anthropic-version",
                "",
                Anthropic,
            ),
            (Method::GET, "/v1/models", "x-goog-api-key", "", Gemini),
            (Method::GET, "/v1/models", "x-goog-api-client", "", Gemini),
            (Method::GET, "/v1/models", "accept", "key=k", Gemini),
            (
                Method::GET,
                "/v1beta/models",
                "anthropic-version",
                "",
                Gemini,
            ),
            (Method::GET, "/v1/unknown", "accept", "", OpenAi),
        ] {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_static(header);
            headers.insert(name, HeaderValue::from_static("x"));
            let found = of(&method, path, query, &headers);
            assert_eq!(found, expected, "{method} {path} {header}");
        }
    }
}
