//! What a request to a provider looks like, prepared once so that a request only copies references.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_http::Uri;
use actix_http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::provider::{Provider, Tls};
use crate::protocol::{Action, Endpoint, Passed, Protocol, openai};

/// What we call ourselves.
const OURSELVES: &str = concat!("api-gateway/", env!("CARGO_PKG_VERSION"));

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GOOGLE_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// What a model's name is escaped by within a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where and how to call one provider.
#[derive(Clone, Debug)]
pub struct Target {
    /// How to connect.
    pub dial: Dial,
    /// Headers that every request to it carries, whatever the client sent.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that it carries where the client sent none of that name.
    pub defaults: Vec<(HeaderName, HeaderValue)>,
    id: u64,
    /// Scheme, host and the endpoint's path.
    root: String,
    /// The URLs that are the same every time, the busiest first.
    uris: Vec<(Endpoint, Uri)>,
}

/// How to open a connection. Providers with equal ones share a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// TLS, or plain TCP.
    pub tls: Option<Tls>,
    /// Bound on resolving, connecting and the handshake.
    pub timeout: Duration,
}

/// The number of the next target.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Target {
    /// Tells it from every other target that was prepared, so that more may be prepared of it elsewhere.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Prepares what requests to `provider` need.
    ///
    /// # Errors
    /// Says what cannot be sent over HTTP: the URL, the key or a header.
    pub fn new(provider: &Provider) -> Result<Target, String> {
        let base: Uri = provider
            .endpoint
            .parse()
            .map_err(|_| "not a URL".to_owned())?;
        let host = base.host().ok_or("the URL names no host")?;
        let secure = base.scheme_str() == Some("https");
        let port = base.port_u16();
        let authority = format!("{host}:{}", port.unwrap_or(if secure { 443 } else { 80 }));

        let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut headers = vec![
            (HOST, value("endpoint", &host)?),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // What is compressed cannot be read in passing.
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            credentials(provider)?,
        ];
        for (name, text) in &provider.custom_headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is not a header name"))?;
            let text = value(name, text.expose())?;
            headers.retain(|(known, _)| *known != header);
            headers.push((header, text));
        }

        // The scheme is http even for TLS: TLS is the dialer's business, and awc, built without it,
        // would refuse.
        let root = format!("http://{authority}{}", base.path().trim_end_matches('/'));
        let is_fixed = !provider.model.contains('*');
        let mut uris = Vec::new();
        for endpoint in endpoints(provider.dialect.protocol) {
            if endpoint.path().is_some() || is_fixed {
                uris.push((endpoint, uri(&root, endpoint, &provider.model, None)?));
            }
        }
        // Some providers turn away whoever does not introduce himself.
        let mut defaults = vec![(USER_AGENT, HeaderValue::from_static(OURSELVES))];
        if provider.dialect.protocol == Protocol::Anthropic {
            let version = value("anthropic_version", &provider.dialect.anthropic_version)?;
            defaults.push((ANTHROPIC_VERSION, version));
        }
        Ok(Target {
            dial: Dial {
                tls: secure.then(|| provider.tls.clone()),
                timeout: provider.connect_timeout,
            },
            headers,
            defaults,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            root,
            uris,
        })
    }

    /// The URL of an endpoint at this provider, where it is the same every time.
    pub fn uri(&self, endpoint: Endpoint) -> Option<&Uri> {
        let known = self.uris.iter().find(|(known, _)| *known == endpoint);
        known.map(|(_, uri)| uri)
    }

    /// The URL of an endpoint for a model, and with what the client's own had behind its `?`.
    ///
    /// # Errors
    /// The query is not one.
    pub fn uri_of(
        &self,
        endpoint: Endpoint,
        model: &str,
        query: Option<&str>,
    ) -> Result<Uri, String> {
        uri(&self.root, endpoint, model, query)
    }
}

/// What a provider of this dialect may be called for, the busiest first.
fn endpoints(protocol: Protocol) -> Vec<Endpoint> {
    let conversations = [true, false].map(|stream| Endpoint::of_conversations(protocol, stream));
    let mut endpoints = conversations.to_vec();
    match protocol {
        Protocol::OpenAi | Protocol::Responses => {
            let older = [openai::Endpoint::Completions, openai::Endpoint::Embeddings];
            endpoints.extend(older.map(Endpoint::OpenAi));
            endpoints.extend(Passed::ALL.map(Endpoint::Passed));
            endpoints.push(Endpoint::InputTokens);
        }
        Protocol::Anthropic => endpoints.push(Endpoint::CountMessages),
        Protocol::Gemini => endpoints.extend(Action::ALL.map(Endpoint::Gemini)),
    }
    endpoints
}

/// The key, as the dialect presents it.
fn credentials(provider: &Provider) -> Result<(HeaderName, HeaderValue), String> {
    let key = provider.api_key.expose();
    Ok(match provider.dialect.protocol {
        Protocol::OpenAi | Protocol::Responses => {
            (AUTHORIZATION, value("api_key", &format!("Bearer {key}"))?)
        }
        Protocol::Anthropic => (API_KEY, value("api_key", key)?),
        Protocol::Gemini => (GOOGLE_API_KEY, value("api_key", key)?),
    })
}

fn uri(root: &str, endpoint: Endpoint, model: &str, query: Option<&str>) -> Result<Uri, String> {
    let mut url = match endpoint {
        Endpoint::Gemini(action) => {
            let model = model.strip_prefix("models/").unwrap_or(model);
            let model = utf8_percent_encode(model, IN_PATH);
            let query = match action {
                // Without it the answer is one array, which no one reads before it is whole.
                Action::StreamGenerateContent => "?alt=sse",
                _ => "",
            };
            format!("{root}/models/{model}:{}{query}", action.word())
        }
        other => format!("{root}{}", other.path().unwrap_or_default()),
    };
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url.parse().map_err(|_| "not a URL".to_owned())
}

fn value(what: &str, text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| format!("{what} holds characters that no header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}
