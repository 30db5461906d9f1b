//! Clients with keys of their own: what each may use, and how much of it.

mod limits;
mod memory;
mod models;
mod secrets;

use std::time::Duration;

use api_gateway::clock;
use api_gateway::simulator::{Act, Answer, Behavior, Dialect, Simulator};
use serde_json::{Value, json};

use super::{CHAT, RARELY, simulator};
use crate::support::gateway::{chat, chat_stream};
use crate::support::http::{Client, Response};
use crate::support::load::ask_as;
use crate::support::recorded::recording;
use crate::support::{Gateway, SOON, global, model, ms, provider};

const ADMIN: &str = "sk-admin-0123456789abcdef";
const ALICE: &str = "sk-alice-0123456789abcdef";
const BOB: &str = "sk-bob-0123456789abcdef";

/// `sk-digest-0123456789abcde`.
const DIGEST: &str = "514e6a06127089720870830207ef84ca51275756ef9a4a4e14c9c47c0faa5b44";

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}

/// A path and a body for each dialect, to model `model`.
fn dialects(model: &str) -> [(String, Value); 4] {
    let said = json!([{ "role": "user", "content": "hi" }]);
    [
        (CHAT.into(), json!({ "model": model, "messages": said })),
        (
            "/v1/responses".into(),
            json!({ "model": model, "input": "hi" }),
        ),
        (
            "/v1/messages".into(),
            json!({ "model": model, "messages": said, "max_tokens": 50 }),
        ),
        (
            format!("/v1beta/models/{model}:generateContent"),
            json!({ "contents": [{ "parts": [{ "text": "hi" }] }] }),
        ),
    ]
}

fn alice(more: Value) -> Value {
    client("alice", ALICE, more)
}

fn bob(more: Value) -> Value {
    client("bob", BOB, more)
}

fn client(name: &str, key: &str, more: Value) -> Value {
    let mut client = json!({ "name": name, "key": key });
    let more = more.as_object().unwrap().clone();
    client.as_object_mut().unwrap().extend(more);
    client
}

/// `config` for these clients, and an operator.
fn keyed(config: Value, clients: impl Into<Value>) -> Value {
    let settings = json!({ "admin_key": ADMIN, "api_keys": clients.into() });
    global(config, settings)
}

fn operator(gateway: &Gateway) -> Client {
    gateway.client().with_key(ADMIN)
}

async fn asks(gateway: &Gateway, key: &str) -> Response {
    let client = gateway.client().with_key(key);
    client.post(CHAT, &chat("hi")).await
}

/// What a client has used.
async fn used(gateway: &Gateway, name: &str) -> Value {
    let stats = operator(gateway).get("/stats").await;
    assert_eq!(stats.status, 200);
    stats.json()["clients"][name].clone()
}

/// The same, once nothing of it is held.
async fn settled(gateway: &Gateway, name: &str) -> Value {
    let since = std::time::Instant::now();
    loop {
        let usage = used(gateway, name).await;
        let gauges = ["in_flight", "tokens_reserved", "concurrent"];
        if gauges.iter().all(|gauge| usage[*gauge] == 0) {
            return usage;
        }
        assert!(since.elapsed() < SOON, "still held: {usage}");
        tokio::time::sleep(ms(5)).await;
    }
}

async fn reload(gateway: &Gateway, config: &Value) {
    gateway.write_config(config);
    let answer = operator(gateway).post("/admin/reload", &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn number(answer: &Response, header: &str) -> u64 {
    let value = answer.header(header);
    let value = value.unwrap_or_else(|| panic!("no {header} in {:?}", answer.headers));
    value.parse().unwrap()
}

#[tokio::test]
async fn texts_objects_and_digests_open_and_everything_else_is_refused_alike() {
    let a = simulator(Behavior::answering("a")).await;
    let in_two_seconds = clock::now().after(Duration::from_secs(2)).rfc3339();
    let config = keyed(
        model([provider("a", &a, json!({}))]),
        json!([
            "sk-text-0123456789abcdef, sk-second-0123456789abcdef",
            "${LISTED_KEYS}",
            alice(json!({})),
            { "name": "by-digest", "key_sha256": DIGEST },
            client("gone", "sk-gone-0123456789abcdef", json!({ "expires_at": "2020-01-01" })),
            client("off", "sk-off-0123456789abcdef", json!({ "enabled": false })),
            client("soon", "sk-soon-0123456789abcdef", json!({ "expires_at": in_two_seconds })),
        ]),
    );
    let listed = "sk-env-0123456789abcdef1,sk-env-0123456789abcdef2";
    let gateway = Gateway::start_with(&config, &[("LISTED_KEYS", listed)]);
    assert_eq!(
        asks(&gateway, "sk-soon-0123456789abcdef").await.status,
        200,
        "not yet expired"
    );
    let right = [
        "sk-text-0123456789abcdef",
        "sk-second-0123456789abcdef",
        "sk-env-0123456789abcdef1",
        "sk-env-0123456789abcdef2",
        ALICE,
        "sk-digest-0123456789abcde",
    ];
    for key in right {
        for (path, body) in dialects("m") {
            for header in ["x-api-key", "x-goog-api-key"] {
                let client = gateway.client().with_header(header, key);
                assert_eq!(client.post(&path, &body).await.status, 200, "{path} {key}");
            }
        }
        assert_eq!(asks(&gateway, key).await.status, 200);
    }
    let asked = a.seen().requests;

    let wrong = [
        "sk-gone-0123456789abcdef",
        "sk-off-0123456789abcdef",
        "SK-ALICE-0123456789ABCDEF",
        // The digest is no key.
        DIGEST,
        // Nor is the whole list.
        listed,
        "",
        "alice",
    ];
    for (path, body) in dialects("m") {
        let ask = async |header: &str, key: &str| {
            let client = gateway.client().with_header("x-request-id", "same");
            let answer = client.with_header(header, key).post(&path, &body).await;
            let mut headers = answer.headers;
            headers.retain(|(name, _)| name != "date");
            headers.sort_unstable();
            (answer.status, headers, answer.body)
        };
        let expected = ask("x-nothing", "x").await;
        assert_eq!(expected.0, 401, "{path}");
        for key in wrong {
            assert_eq!(ask("x-api-key", key).await, expected, "{path} {key}");
            let bearer = format!("Bearer {key}");
            assert_eq!(
                ask("authorization", &bearer).await,
                expected,
                "{path} {key}"
            );
        }
        let said: Value = serde_json::from_slice(&expected.2).unwrap();
        match path.as_str() {
            "/v1/messages" => assert_eq!(said["error"]["type"], "authentication_error"),
            CHAT | "/v1/responses" => assert_eq!(said["error"]["code"], "invalid_api_key"),
            _ => assert_eq!(said["error"]["status"], "UNAUTHENTICATED"),
        }
    }
    let since = std::time::Instant::now();
    while asks(&gateway, "sk-soon-0123456789abcdef").await.status == 200 {
        assert!(since.elapsed() < SOON, "it never expires");
        tokio::time::sleep(ms(20)).await;
    }
    assert!(clock::now().rfc3339() >= in_two_seconds);
    assert!(a.seen().requests >= asked);
}

#[tokio::test]
async fn one_key_that_is_switched_off_or_has_expired_opens_the_gateway_to_nobody() {
    for more in [
        json!({ "enabled": false }),
        json!({ "expires_at": "2020-01-01" }),
    ] {
        let a = simulator(Behavior::answering("a")).await;
        let gateway = Gateway::start(&keyed(
            model([provider("a", &a, json!({}))]),
            json!([alice(more)]),
        ));
        assert_eq!(gateway.chat("hi").await.status, 401);
        assert_eq!(asks(&gateway, ALICE).await.status, 401);
        assert_eq!(asks(&gateway, ADMIN).await.status, 401);
        assert_eq!(a.seen().requests, 0);
    }
}
