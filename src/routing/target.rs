//! What a request to a provider looks like, prepared once so that a request only copies references.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_http::Uri;
use actix_http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT,
};

use super::provider::{Provider, Tls};
use crate::protocol::openai::Endpoint;

/// What we call ourselves.
const OURSELVES: &str = concat!("api-gateway/", env!("CARGO_PKG_VERSION"));

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
    chat_completions: Uri,
    completions: Uri,
    embeddings: Uri,
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
            (
                AUTHORIZATION,
                value("api_key", &format!("Bearer {}", provider.api_key.expose()))?,
            ),
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
        let uri = |endpoint: Endpoint| {
            format!("{root}{}", endpoint.path())
                .parse()
                .map_err(|_| "not a URL".to_owned())
        };
        Ok(Target {
            dial: Dial {
                tls: secure.then(|| provider.tls.clone()),
                timeout: provider.connect_timeout,
            },
            headers,
            // Some providers turn away whoever does not introduce himself.
            defaults: vec![(USER_AGENT, HeaderValue::from_static(OURSELVES))],
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            chat_completions: uri(Endpoint::ChatCompletions)?,
            completions: uri(Endpoint::Completions)?,
            embeddings: uri(Endpoint::Embeddings)?,
        })
    }

    /// The URL of an endpoint at this provider.
    pub fn uri(&self, endpoint: Endpoint) -> &Uri {
        match endpoint {
            Endpoint::ChatCompletions => &self.chat_completions,
            Endpoint::Completions => &self.completions,
            Endpoint::Embeddings => &self.embeddings,
        }
    }
}

fn value(what: &str, text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| format!("{what} holds characters that no header may hold"))?;
    value.set_sensitive(true);
    Ok(value)
}
