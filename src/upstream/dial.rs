//! Opening connections: names, TCP without delay, TLS by rustls.
//!
//! TLS is done here and not by awc, so that [`Wire`] sees plain bytes in both cases and so that each
//! provider may bring its own authorities. HTTP/1.1 only: one answer per connection keeps a
//! provider's trouble with one request away from the others.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::Uri;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::Wire;
use crate::routing::{Dial, Tls};

/// Opens connections of one kind; awc calls it when its pool has none to offer.
#[derive(Clone)]
pub(super) struct Dialer {
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
}

impl Dialer {
    pub(super) fn new(dial: &Dial) -> io::Result<Dialer> {
        let tls = match &dial.tls {
            Some(tls) => Some(client_config(tls)?),
            None => None,
        };
        Ok(Dialer {
            tls,
            timeout: dial.timeout,
        })
    }

    async fn connect(self, host: String, port: u16) -> io::Result<Wire> {
        let tcp = reach(&host, port).await?;
        tcp.set_nodelay(true)?;
        let Some(config) = self.tls else {
            return Ok(Wire::plain(tcp));
        };
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(bare)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "not a server name"))?;
        let tls = TlsConnector::from(config).connect(name, tcp).await;
        Ok(Wire::tls(tls.map_err(nameless)?))
    }
}

/// The same error without the names that rustls puts in: clients may see it, and are not to learn where
/// our providers are.
fn nameless(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(fault)) = inner else {
        return error;
    };
    io::Error::other(match fault {
        CertificateError::UnknownIssuer => "the certificate is of an authority not known here",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        _ => "the certificate is not valid",
    })
}

/// Tries the addresses of `host` in the order the resolver gave them.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    // An address needs no resolver, whose thread would cost more than the connection.
    if let Ok(ip) = bare.parse() {
        return TcpStream::connect(SocketAddr::new(ip, port)).await;
    }
    TcpStream::connect((bare, port)).await
}

impl actix_service::Service<ConnectInfo<Uri>> for Dialer {
    type Response = Connection<Uri, Wire>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>>>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let host = info.hostname().to_owned();
            let port = info.port();
            let timeout = dialer.timeout;
            let wire = tokio::time::timeout(timeout, dialer.connect(host, port))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(ConnectError::Io)?;
            Ok(Connection::new(info.request().clone(), wire))
        })
    }
}

/// TLS set-ups are large (some 150 authorities), so equal ones are shared by all workers.
static CONFIGS: Mutex<Option<HashMap<Tls, Arc<ClientConfig>>>> = Mutex::new(None);

fn client_config(tls: &Tls) -> io::Result<Arc<ClientConfig>> {
    if let Some(config) = CONFIGS.lock().as_ref().and_then(|configs| configs.get(tls)) {
        return Ok(config.clone());
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let mut config = if tls.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAnything(provider)))
            .with_no_client_auth()
    } else {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for certificate in tls.authorities.iter() {
            let certificate = CertificateDer::from_slice(certificate);
            roots.add(certificate).map_err(io::Error::other)?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    CONFIGS
        .lock()
        .get_or_insert_default()
        .insert(tls.clone(), config.clone());
    Ok(config)
}

/// `tls.insecure_skip_verify`: the operator said so, in as many words.
#[derive(Debug)]
struct TrustAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
