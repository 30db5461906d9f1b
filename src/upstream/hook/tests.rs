//! A hook by https, and what reaches it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Client, Tls};
use crate::simulator::{Act, Simulator};

#[actix_rt::test]
async fn a_hook_by_https_gets_the_whole_of_it() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            PrivateKeyDer::Pkcs8(key),
        )
        .unwrap();
    let hook = Simulator::start_tls(Act::body(202, "text/plain", "ok"), config)
        .await
        .unwrap();
    let url = format!("{}/chat/completions?token=1", hook.endpoint());
    let trusted = Tls {
        authorities: [certified.cert.der().to_vec()].into(),
        ..Tls::default()
    };
    let client = Client::default();
    let told = client.tell_by(trusted, &url, "{}".into()).await;
    assert_eq!(told.unwrap(), 202);
    let request = hook.requests().remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/v1/chat/completions?token=1");
    assert_eq!(request.header("host"), Some(&*hook.addr().to_string()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(&request.body[..], b"{}");
    // Whose authority nobody knows is not told.
    let failure = client.tell(&url, "{}".into()).await.unwrap_err();
    assert!(!failure.message.contains("127.0.0.1"), "{failure:?}");
    assert_eq!(hook.seen().requests, 1);
}
