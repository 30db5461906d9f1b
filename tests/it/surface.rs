//! Every path and method: what is there, what is refused, and what all answers have in common.

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Response;
use crate::support::{Gateway, global, model, provider};

const CHAT: &str = "/v1/chat/completions";

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

/// A gateway whose model `m` says "Hello!".
async fn greeting() -> (Gateway, Simulator) {
    let simulator = simulator(Answer::text("Hello!")).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    (gateway, simulator)
}

/// The error object, after checking that it has the four keys and no more.
fn error_of(answer: &Response) -> Value {
    let body = answer.json();
    let error = body["error"].as_object().unwrap();
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["message", "type", "param", "code"], "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    body["error"].clone()
}

fn names_of(headers: &[(String, String)]) -> Vec<String> {
    let mut names: Vec<String> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_process_tells_about_itself() {
    let (gateway, _simulator) = greeting().await;
    let client = gateway.client();
    let version = env!("CARGO_PKG_VERSION");

    let index = client.get("/").await.json();
    assert_eq!(
        (&index["name"], &index["version"]),
        (&json!("api-gateway"), &json!(version))
    );
    let endpoints = index["endpoints"].as_object().unwrap();
    for (what, path) in endpoints {
        let answer = client.get(path.as_str().unwrap()).await;
        assert_ne!(answer.status, 404, "the {what} endpoint does not exist");
    }

    let health = client.get("/health").await.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["version"], version);
    assert_eq!(health["models"], 1);
    assert_eq!(health["problems"], json!([]));
    for path in ["/healthz", "/livez"] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({ "status": "alive" }))
        );
    }
    let ready = client.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({ "status": "ready" }))
    );
}

#[tokio::test]
async fn a_head_request_gets_the_head_of_the_answer_alone() {
    let (gateway, _simulator) = greeting().await;
    let client = gateway.client();
    for path in [
        "/",
        "/health",
        "/healthz",
        "/livez",
        "/readyz",
        "/v1/models",
        "/v1/models/m",
        "/admin/stats",
        "/stats",
    ] {
        let head = client.request("HEAD", path, &[], b"").await;
        assert_eq!(
            (head.status, head.body.len(), head.ended_cleanly),
            (200, 0, true),
            "{path}"
        );
        assert_eq!(
            head.header("content-type"),
            Some("application/json"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_json() {
    let (gateway, _simulator) = greeting().await;
    for (method, path) in [
        ("GET", "/nope"),
        ("POST", "/v1/nope"),
        ("GET", "/v1"),
        ("GET", "/v2/models"),
        ("POST", "/v1/chat/completions/"),
        ("OPTIONS", "/nope"),
        ("GET", "/admin"),
        ("GET", "/admin/providers/"),
        ("GET", "/%2e%2e/etc/passwd"),
    ] {
        let answer = gateway.client().request(method, path, &[], b"{}").await;
        assert_eq!(answer.status, 404, "{method} {path}");
        let error = error_of(&answer);
        assert_eq!(
            error["message"],
            format!("no such path: {method} {path}").as_str()
        );
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(
            (&error["param"], &error["code"]),
            (&Value::Null, &Value::Null)
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_names_the_right_ones() {
    let (gateway, simulator) = greeting().await;
    for (method, path, allowed) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("GET", "/chat/completions", "POST"),
        ("PUT", "/v1/completions", "POST"),
        ("HEAD", "/v1/embeddings", "POST"),
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/health", "GET, HEAD"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/m", "GET, HEAD, POST"),
        ("GET", "/v1/messages", "POST"),
        ("PUT", "/v1beta/models/m:generateContent", "GET, HEAD, POST"),
        ("POST", "/admin/stats", "GET, HEAD"),
        ("GET", "/admin/reload", "POST"),
        ("PATCH", "/admin/providers/m", "GET, HEAD"),
        ("BREW", "/v1/chat/completions", "POST"),
    ] {
        let answer = gateway
            .client()
            .request(method, path, &[], &chat_body())
            .await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        if method != "HEAD" {
            let message = format!("{method} {path} is not possible; allowed: {allowed}");
            assert_eq!(answer.json()["error"]["message"], message.as_str());
        }
    }
    assert_eq!(simulator.seen().requests, 0);
}

fn chat_body() -> Vec<u8> {
    chat("hi").to_string().into_bytes()
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let config = model([provider("a", &simulator, json!({}))]);
    let gateway = Gateway::start(&global(
        config,
        json!({ "api_key": "sk-1", "max_body_bytes": 1000 }),
    ));
    let keyed = [("authorization", "Bearer sk-1"), ("x-request-id", "id-1")];
    let keyless = [("x-request-id", "id-1")];
    let large = vec![b' '; 1001];
    let stream = chat_stream("hi").to_string().into_bytes();
    let unknown = br#"{"model":"nope"}"#.to_vec();
    for (status, method, path, headers, body) in [
        (200, "GET", "/", &keyless[..], vec![]),
        (200, "GET", "/health", &keyless, vec![]),
        (200, "POST", CHAT, &keyed, chat_body()),
        (200, "POST", CHAT, &keyed, stream),
        (400, "POST", CHAT, &keyed, b"{".to_vec()),
        (401, "POST", CHAT, &keyless, chat_body()),
        (404, "POST", CHAT, &keyed, unknown),
        (404, "GET", "/nope", &keyless, vec![]),
        (405, "GET", CHAT, &keyless, vec![]),
        (413, "POST", CHAT, &keyed, large),
        (204, "OPTIONS", CHAT, &keyless, vec![]),
        (200, "GET", "/admin/stats", &keyed, vec![]),
    ] {
        let answer = gateway.client().request(method, path, headers, &body).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(
            answer.header("x-request-id"),
            Some("id-1"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_harmless_request_id_is_kept_and_any_other_replaced() {
    let (gateway, _simulator) = greeting().await;
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for (sent, kept) in [
        ("aZ09._-", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("two words", false),
        ("quote\"", false),
        ("a=b", false),
        ("\u{fc}", false),
        ("", false),
    ] {
        let headers = [("x-request-id", sent)];
        let answer = gateway
            .client()
            .request("POST", CHAT, &headers, &chat_body())
            .await;
        let id = answer.header("x-request-id").unwrap();
        if kept {
            assert_eq!(id, sent);
        } else {
            assert_eq!((id.len(), id == sent), (32, false), "{sent:?} became {id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
    }
    let [one, two] = [gateway.chat("hi").await, gateway.chat("hi").await];
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

/// Headers that providers send and that are none of the client's business.
const PRIVATE: [(&str, &str); 9] = [
    ("set-cookie", "session=secret"),
    ("x-ratelimit-remaining-requests", "7"),
    ("x-ratelimit-limit-tokens", "1000"),
    ("openai-organization", "org-secret"),
    ("x-request-id", "of-the-provider"),
    ("keep-alive", "timeout=5"),
    ("x-gateway-provider", "forged"),
    ("access-control-allow-origin", "https://provider.example"),
    ("retry-after", "17"),
];

#[tokio::test]
async fn headers_of_the_provider_are_not_passed_on() {
    let mut answer = Answer::text("Hello!");
    let mut mistake = Act::error(400, "invalid_value", "temperature is too high");
    for (name, value) in PRIVATE {
        answer = answer.header(name, value);
        mistake = mistake.with_header(name, value);
    }
    let simulator = simulator(answer).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let id = [("x-request-id", "mine")];

    let plain = gateway
        .client()
        .request("POST", CHAT, &id, &chat_body())
        .await;
    let usual = [
        "connection",
        "content-length",
        "content-type",
        "date",
        "x-gateway-attempts",
        "x-gateway-model",
        "x-gateway-provider",
        "x-request-id",
    ];
    assert_eq!(names_of(&plain.headers), usual);
    assert_eq!(plain.header("x-gateway-provider"), Some("a"));
    assert_eq!(plain.header("x-request-id"), Some("mine"));

    let body = chat_stream("hi").to_string();
    let stream = gateway
        .client()
        .request("POST", CHAT, &id, body.as_bytes())
        .await;
    let streamed = [
        "cache-control",
        "connection",
        "content-type",
        "date",
        "transfer-encoding",
        "x-accel-buffering",
        "x-gateway-attempts",
        "x-gateway-model",
        "x-gateway-provider",
        "x-request-id",
    ];
    assert_eq!(names_of(&stream.headers), streamed);

    simulator.next(mistake);
    let refused = gateway
        .client()
        .request("POST", CHAT, &id, &chat_body())
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(error_of(&refused)["message"], "temperature is too high");
    assert_eq!(names_of(&refused.headers), usual);
}

#[tokio::test]
async fn providers_learn_little_about_the_client() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let config = model([provider("a", &simulator, json!({}))]);
    let gateway = Gateway::start(&global(config, json!({ "api_key": "sk-of-the-client" })));
    let headers = [
        ("x-api-key", "sk-of-the-client"),
        ("cookie", "session=1"),
        ("origin", "https://page.example"),
        ("referer", "https://page.example/chat"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("te", "trailers"),
        ("accept-encoding", "gzip"),
        ("proxy-authorization", "Basic c2VjcmV0"),
        ("x-request-id", "mine"),
        ("user-agent", "a test"),
        ("accept", "application/json"),
        ("openai-beta", "assistants=v2"),
    ];

    let answer = gateway
        .client()
        .request("POST", CHAT, &headers, &chat_body())
        .await;

    assert_eq!(answer.status, 200);
    let seen = &simulator.requests()[0];
    let known = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "date",
        "host",
        "openai-beta",
        "user-agent",
    ];
    assert_eq!(names_of(&seen.headers), known);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-secret-of-a"));
    assert_eq!(seen.header("user-agent"), Some("a test"));
    // Not the client's: we could not read what came.
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert_eq!(
        seen.header("host"),
        Some(simulator.addr().to_string().as_str())
    );
}

/// Heads of requests are kept for the next ones of their kind. Nobody must get another's.
#[tokio::test]
async fn every_client_is_introduced_as_itself() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let ours = json!({ "custom_headers": { "OpenAI-Beta": "ours" } });
    let gateway = Gateway::start_with(
        &model([provider("a", &simulator, ours)]),
        &[("WORKERS", "1")],
    );
    let client = gateway.client();
    for round in 0..3 {
        for number in 0..12 {
            let (agent, session) = (format!("client {number}"), format!("{round}-{number}"));
            let mut headers = vec![("user-agent", agent.as_str()), ("openai-beta", "theirs")];
            if number % 3 == 0 {
                headers.push(("session-id", &session));
            }
            if number % 4 == 0 {
                headers.push(("accept", "application/json"));
            }
            let answer = client.request("POST", CHAT, &headers, &chat_body()).await;
            assert_eq!(answer.status, 200);
            let seen = simulator.requests().pop().unwrap();
            for name in ["user-agent", "session-id", "accept"] {
                let sent = headers.iter().find(|(known, _)| *known == name);
                assert_eq!(seen.header(name), sent.map(|(_, value)| *value), "{name}");
            }
            assert_eq!(seen.header("openai-beta"), Some("ours"));
        }
    }
}

#[tokio::test]
async fn answers_do_not_name_providers_when_told_not_to() {
    let simulator = simulator(Answer::text("Hello!")).await;
    let config = model([provider("a", &simulator, json!({}))]);
    let gateway = Gateway::start(&global(config, json!({ "expose_headers": false })));
    let names = names_of(&gateway.chat("hi").await.headers);
    assert!(
        !names.iter().any(|name| name.starts_with("x-gateway-")),
        "{names:?}"
    );
}
