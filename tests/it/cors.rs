//! What web pages of other origins may do.

use api_gateway::simulator::{Answer, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::http::Response;
use crate::support::{Gateway, global, model, provider};

const CHAT: &str = "/v1/chat/completions";

async fn gateway(settings: Value) -> (Gateway, Simulator) {
    let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
    let config = model([provider("a", &simulator, json!({}))]);
    (Gateway::start(&global(config, settings)), simulator)
}

/// The names of the headers that give a page permission.
fn permissions(answer: &Response) -> Vec<&str> {
    let names = answer.headers.iter().map(|(name, _)| name.as_str());
    names
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

const ORIGIN: (&str, &str) = ("origin", "https://page.example");

#[tokio::test]
async fn web_pages_may_call_where_a_key_is_needed_but_never_administer() {
    let (gateway, _simulator) = gateway(json!({ "api_key": "sk-1" })).await;
    let client = gateway.client();
    let key = ("authorization", "Bearer sk-1");
    let body = chat("hi").to_string().into_bytes();

    let preflight = client.request("OPTIONS", CHAT, &[ORIGIN], b"").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("POST")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("*, authorization")
    );

    // Refusals, too, or a page could not tell its user what is wrong.
    for (headers, status) in [(&[ORIGIN, key][..], 200), (&[ORIGIN], 401)] {
        let answer = client.request("POST", CHAT, headers, &body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("x-request-id"), "{exposed}");
    }

    for (method, path) in [
        ("OPTIONS", "/admin/reload"),
        ("GET", "/admin/stats"),
        ("OPTIONS", "/admin/stats"),
        ("POST", "/admin/reload"),
    ] {
        let answer = client.request(method, path, &[ORIGIN, key], b"").await;
        assert_eq!(permissions(&answer), [""; 0], "{method} {path}");
    }
}

#[tokio::test]
async fn web_pages_get_no_permission_where_no_key_is_needed() {
    let (gateway, _simulator) = gateway(json!({})).await;
    let body = chat("hi").to_string().into_bytes();
    for (method, path) in [
        ("OPTIONS", CHAT),
        ("POST", CHAT),
        ("GET", "/v1/models"),
        ("GET", "/health"),
        ("GET", CHAT),
    ] {
        let answer = gateway
            .client()
            .request(method, path, &[ORIGIN], &body)
            .await;
        assert_eq!(permissions(&answer), [""; 0], "{method} {path}");
    }
}

#[tokio::test]
async fn pages_of_foreign_sites_spend_nothing_where_no_key_is_needed() {
    let body = chat("hi").to_string().into_bytes();
    let key = ("authorization", "Bearer sk-1");
    for (settings, site, status) in [
        (json!({}), "cross-site", 403),
        (json!({}), "same-site", 200),
        (json!({}), "same-origin", 200),
        (json!({}), "none", 200),
        (json!({ "api_key": "sk-1" }), "cross-site", 200),
    ] {
        let (gateway, simulator) = gateway(settings).await;
        // No preflight is asked for this type, so the browser sends it whatever we permit.
        let headers = [
            key,
            ("sec-fetch-site", site),
            ("content-type", "text/plain"),
        ];
        let client = gateway.client();
        let answer = client.request("POST", CHAT, &headers, &body).await;
        assert_eq!(answer.status, status, "{site}");
        assert_eq!(
            simulator.requests().len(),
            usize::from(status == 200),
            "{site}"
        );
    }
}
