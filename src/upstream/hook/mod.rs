//! A word to somebody who is no provider.

use std::time::Duration;

use actix_http::Uri;
use actix_http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use actix_http::uri::Scheme;
use bytes::Bytes;

use super::client::{Client, explain};
use crate::chat::{Failure, FailureKind, Side};
use crate::routing::{Dial, Tls};

const OURSELVES: &str = concat!("api-gateway/", env!("CARGO_PKG_VERSION"));

/// Bound on connecting.
const CONNECTING: Duration = Duration::from_secs(5);

impl Client {
    /// Sends JSON to a URL, on a connection of its own, and tells the status. The caller bounds the wait.
    ///
    /// # Errors
    /// There was no answer. The message does not hold the URL.
    pub async fn tell(&self, url: &str, body: Bytes) -> Result<u16, Failure> {
        self.tell_by(Tls::default(), url, body).await
    }

    async fn tell_by(&self, tls: Tls, url: &str, body: Bytes) -> Result<u16, Failure> {
        let fault = |message: &str| Failure::new(FailureKind::Internal, Side::Gateway, message);
        let uri: Uri = url.parse().map_err(|_| fault("not a URL"))?;
        let host = uri.host().ok_or_else(|| fault("the URL names no host"))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16();
        let named = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        // As with providers, TLS is the dialer's business.
        let address = format!("http://{host}:{port}{path}");
        let dial = Dial {
            tls: secure.then_some(tls),
            timeout: CONNECTING,
        };
        let answer = self
            .pool(&dial)?
            .fresh
            .post(address)
            .insert_header((HOST, named))
            .insert_header((USER_AGENT, OURSELVES))
            .insert_header((CONTENT_TYPE, "application/json"))
            .send_body(body)
            .await;
        Ok(answer.map_err(explain)?.status().as_u16())
    }
}

#[cfg(test)]
mod tests;
