//! Providers over TLS: whom the gateway believes, and whom only on request.

use std::path::Path;
use std::sync::Arc;

use api_gateway::simulator::{Behavior, Simulator};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::chat_stream;
use crate::support::{Gateway, model, provider};

/// A provider with a certificate of its own making for `name`, and that certificate as a file would hold it.
async fn provider_named(name: &str) -> (Simulator, String) {
    let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let simulator = Simulator::start_tls(Behavior::answering("in secret"), config).await;
    (simulator.unwrap(), certified.cert.pem())
}

/// A gateway in front of `at` with these `tls` settings. Where they name a `ca_file`, it is that of the
/// folder, and holds `pem`.
fn gateway(at: &Simulator, pem: &str, tls: Value) -> (Gateway, TempDir) {
    // A folder of the test's own: the gateway's exists only once it runs.
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), pem).unwrap();
    let gateway = Gateway::start(&config(at, folder.path(), tls));
    (gateway, folder)
}

fn config(at: &Simulator, folder: &Path, tls: Value) -> Value {
    let mut more = json!({ "tls": tls });
    if let Some(ca_file) = more["tls"].get_mut("ca_file") {
        *ca_file = json!(folder.join("ca.pem"));
    }
    model([provider("a", at, more)])
}

#[tokio::test]
async fn a_provider_whose_authority_is_given_is_believed() {
    let (a, pem) = provider_named("127.0.0.1").await;
    let (gateway, _folder) = gateway(&a, &pem, json!({ "ca_file": "" }));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "in secret"
    );
    let stream = gateway
        .client()
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"));
    let seen = &a.requests()[0];
    assert_eq!(seen.header("host"), Some(a.addr().to_string().as_str()));
    assert_eq!(seen.header("authorization"), Some("Bearer sk-secret-of-a"));
}

#[tokio::test]
async fn a_provider_with_an_unknown_certificate_is_refused_before_it_is_sent_anything() {
    let (a, _) = provider_named("127.0.0.1").await;
    let (gateway, _folder) = gateway(&a, "", json!({}));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 502);
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("certificate"), "{message}");
    assert_eq!(a.seen().requests, 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (a, pem) = provider_named("elsewhere.example").await;
    let (gateway, _folder) = gateway(&a, &pem, json!({ "ca_file": "" }));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.json()["error"]["message"],
        "no provider of `m` could answer: a: cannot connect: the certificate is for another name"
    );
    assert_eq!(a.seen().requests, 0);
}

#[tokio::test]
async fn whoever_asks_for_it_talks_to_anybody() {
    let (a, _) = provider_named("elsewhere.example").await;
    let (gateway, _folder) = gateway(&a, "", json!({ "insecure_skip_verify": true }));
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(a.seen().requests, 1);
}

#[tokio::test]
async fn a_renewed_authority_is_believed_from_the_reload_on() {
    let (a, pem) = provider_named("127.0.0.1").await;
    let (_, others) = provider_named("127.0.0.1").await;
    let (gateway, folder) = gateway(&a, &others, json!({ "ca_file": "" }));
    assert_eq!(gateway.chat("hi").await.status, 502);

    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, &pem).unwrap();
    let reloaded = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(reloaded.json()["updated"], json!(["m/a"]));
    assert_eq!(gateway.chat("hi").await.status, 200);

    // A file that got lost is a mistake of the configuration, and changes nothing.
    std::fs::remove_file(&ca_file).unwrap();
    let refused = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(refused.status, 422);
    let error = &refused.json()["errors"][0];
    let place = "m.providers[0].tls.ca_file: found a text of";
    assert!(error.as_str().unwrap().contains(place), "{error}");
    assert_eq!(gateway.chat("hi").await.status, 200);
}
