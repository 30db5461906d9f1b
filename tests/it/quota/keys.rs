//! Clients with keys of their own: what each may use, and how much of it.

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

/// Models under names, an alias, a pattern and a redirect, and clients who may use some of them.
async fn with_models() -> (Gateway, Simulator) {
    let a = simulator(Behavior::answering("a")).await;
    let served = |name: &str| provider(name, &a, json!({}));
    let config = json!({
        "m": { "providers": [served("a")] },
        "gpt-4o": { "providers": [served("a")], "aliases": ["four"] },
        "qwen-max": { "providers": [served("a")] },
        "llama-*": { "providers": [served("a")] },
        "secret-model": { "providers": [served("a")] },
    });
    let may = |name: &str, models: Value| {
        let key = format!("sk-{name}-0123456789abcdef");
        client(name, &key, json!({ "models": models }))
    };
    let mut config = keyed(
        config,
        json!([
            may("exact", json!(["m", "gpt-4o"])),
            may("pattern", json!(["qwen-*", "llama-7*"])),
            may("alias", json!(["four"])),
            may("redirect", json!(["old"])),
            may("one-llama", json!(["llama-7b"])),
            may("all", json!(["*"])),
            may("suffix", json!(["*-max"])),
        ]),
    );
    config["_global"]["model_redirects"] = json!({ "old": "gpt-4o" });
    (Gateway::start(&config), a)
}

fn key_of(name: &str) -> String {
    format!("sk-{name}-0123456789abcdef")
}

#[tokio::test]
async fn a_key_is_for_its_models_by_the_names_they_are_asked_for() {
    let (gateway, a) = with_models().await;
    let asked = [
        "m", "gpt-4o", "four", "old", "qwen-max", "llama-7b", "llama-8b",
    ];
    for (name, may) in [
        ("exact", &["m", "gpt-4o", "four", "old"][..]),
        ("pattern", &["qwen-max", "llama-7b"]),
        ("alias", &["four"]),
        ("redirect", &["old"]),
        ("one-llama", &["llama-7b"]),
        ("all", &asked),
        ("suffix", &["qwen-max"]),
    ] {
        let client = gateway.client().with_header("x-api-key", &key_of(name));
        for model in asked {
            let before = a.seen().requests;
            for (path, body) in dialects(model) {
                let answer = client.post(&path, &body).await;
                if may.contains(&model) {
                    assert_eq!(answer.status, 200, "{name} {model} {path}");
                    continue;
                }
                assert_eq!(answer.status, 403, "{name} {model} {path}");
                let error = answer.json()["error"].clone();
                match path.as_str() {
                    CHAT | "/v1/responses" => {
                        assert_eq!(error["param"], "model", "{error}");
                        assert_eq!(error.as_object().unwrap().len(), 4, "{error}");
                    }
                    "/v1/messages" => assert_eq!(error["type"], "permission_error"),
                    _ => assert_eq!(
                        (&error["status"], &error["code"]),
                        (&json!("PERMISSION_DENIED"), &json!(403))
                    ),
                }
                let said = error["message"].as_str().unwrap();
                assert!(said.contains(&format!("`{model}`")), "{said}");
            }
            let served = if may.contains(&model) { 4 } else { 0 };
            assert_eq!(a.seen().requests - before, served, "{name} {model}");
            let shown = client.get(&format!("/v1/models/{model}")).await;
            let status = if may.contains(&model) { 200 } else { 404 };
            assert_eq!(shown.status, status, "{name} {model}");
        }
    }
    // Nor are tokens counted, images made or vectors computed with what one may not use.
    let client = gateway.client().with_key(&key_of("exact"));
    let said = json!([{ "role": "user", "content": "hi" }]);
    for (path, body) in [
        (
            "/v1/messages/count_tokens",
            json!({ "model": "qwen-max", "messages": said }),
        ),
        (
            "/v1/embeddings",
            json!({ "model": "qwen-max", "input": "hi" }),
        ),
        (
            "/v1/completions",
            json!({ "model": "qwen-max", "prompt": "hi" }),
        ),
        (
            "/v1/moderations",
            json!({ "model": "qwen-max", "input": "hi" }),
        ),
    ] {
        assert_eq!(client.post(path, &body).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn lists_show_what_a_key_may_use_in_every_shape_and_no_hint_tells_of_more() {
    let (gateway, _a) = with_models().await;
    for (name, expected) in [
        ("exact", &["gpt-4o", "m"][..]),
        ("pattern", &["qwen-max"]),
        ("alias", &["four"]),
        ("redirect", &["old"]),
        ("one-llama", &["llama-7b"]),
        ("all", &["gpt-4o", "m", "qwen-max", "secret-model"]),
    ] {
        let key = key_of(name);
        let ids = |list: &Value, of: &str, id: &str| -> Vec<String> {
            let models = list[of].as_array().unwrap().iter();
            let ids = models.map(|model| model[id].as_str().unwrap().to_owned());
            ids.collect()
        };
        let bare = gateway.client().with_key(&key);
        let list = bare.get("/v1/models").await.json();
        assert_eq!(ids(&list, "data", "id"), expected, "{name}");
        let anthropic = gateway.client().with_header("x-api-key", &key);
        let anthropic = anthropic.with_header("anthropic-version", "2023-06-01");
        let list = anthropic.get("/v1/models").await.json();
        assert_eq!(ids(&list, "data", "id"), expected, "{name}");
        assert_eq!(list["first_id"], expected[0]);
        assert_eq!(list["last_id"], expected[expected.len() - 1]);
        let gemini = gateway.client().with_header("x-goog-api-key", &key);
        let list = gemini.get("/v1beta/models").await.json();
        let named: Vec<String> = expected.iter().map(|id| format!("models/{id}")).collect();
        assert_eq!(ids(&list, "models", "name"), named, "{name}");
        if name == "all" {
            continue;
        }
        for path in ["/v1/models/secret-model", "/v1/models/secret-mode"] {
            let answer = bare.get(path).await;
            assert_eq!(answer.status, 404);
            assert!(
                !answer.text().contains("did you mean `secret-model`"),
                "{}",
                answer.text()
            );
        }
        let mut question = chat("hi");
        question["model"] = json!("secret-mode");
        let answer = bare.post(CHAT, &question).await;
        assert_eq!(answer.status, 404);
        assert!(!answer.text().contains("secret-model"), "{}", answer.text());
    }
}

#[tokio::test]
async fn five_a_minute_are_exactly_five_and_what_is_left_is_told() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 5 } })), bob(json!({}))]),
    ));
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 20, 60).await;
    assert_eq!(answers.with_status(200), 5);
    assert_eq!(answers.with_status(429), 55);
    assert_eq!(a.seen().requests, 5);
    for answer in &answers.0 {
        assert_eq!(number(answer, "x-ratelimit-limit-requests"), 5);
        assert!(number(answer, "x-ratelimit-remaining-requests") < 5);
        assert!(answer.header("x-ratelimit-reset-requests").is_some());
    }
    let mut left: Vec<u64> = answers
        .0
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| number(answer, "x-ratelimit-remaining-requests"))
        .collect();
    left.sort_unstable();
    assert_eq!(left[0], 0, "{left:?}");

    let refused = asks(&gateway, ALICE).await;
    let error = refused.json()["error"].clone();
    assert_eq!(error["code"], "rate_limit_exceeded", "{error}");
    assert!(error["message"].as_str().unwrap().contains("API key"));
    let wait = number(&refused, "retry-after");
    assert!((55..=62).contains(&wait), "{wait}");
    assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0);
    let reset = refused.header("x-ratelimit-reset-requests").unwrap();
    assert!(reset.ends_with('s') && reset.len() > 2, "{reset}");
    // The same key in the other dialects: one account, other words.
    for (path, body) in dialects("m") {
        let client = gateway.client().with_header("x-api-key", ALICE);
        let refused = client.post(&path, &body).await;
        assert_eq!(refused.status, 429, "{path}");
        assert!(number(&refused, "retry-after") >= 50, "{path}");
        if path == "/v1/messages" {
            assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
            assert_eq!(number(&refused, "anthropic-ratelimit-requests-limit"), 5);
            assert_eq!(
                number(&refused, "anthropic-ratelimit-requests-remaining"),
                0
            );
            let reset = refused.header("anthropic-ratelimit-requests-reset");
            assert!(reset.unwrap() > clock::now().rfc3339().as_str());
            assert_eq!(refused.header("x-ratelimit-limit-requests"), None);
        } else {
            assert_eq!(number(&refused, "x-ratelimit-limit-requests"), 5);
        }
    }
    let streamed = gateway.client().with_key(ALICE);
    let streamed = streamed.post(CHAT, &chat_stream("hi")).await;
    assert_eq!(streamed.status, 429);
    assert_eq!(streamed.header("content-type"), Some("application/json"));

    // Whoever has no limits is told nothing, and is not touched.
    for _ in 0..10 {
        let answer = asks(&gateway, BOB).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
    }
    let usage = settled(&gateway, "alice").await;
    assert_eq!(usage["requests"], 5, "{usage}");
    assert_eq!(settled(&gateway, "bob").await["requests"], 10);
}

#[tokio::test]
async fn one_limit_for_all_that_is_asked_and_counting_tokens_is_free() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 7 } }))]),
    ));
    let client = gateway.client().with_header("x-api-key", ALICE);
    let mut all: Vec<(String, Value)> = dialects("m").into();
    let embeddings = json!({ "model": "m", "input": "hi" });
    all.push(("/v1/embeddings".into(), embeddings));
    all.push((
        "/v1/completions".into(),
        json!({ "model": "m", "prompt": "hi" }),
    ));
    all.push((CHAT.into(), chat_stream("hi")));
    let (_, count) = &dialects("m")[2];
    for (number, (path, body)) in all.iter().enumerate() {
        let free = client.post("/v1/messages/count_tokens", count).await;
        assert_eq!(free.status, 200);
        let answer = client.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["requests"], number + 1, "{path}");
    }
    for (path, body) in &all {
        assert_eq!(client.post(path, body).await.status, 429, "{path}");
    }
    let free = client.post("/v1/messages/count_tokens", count).await;
    assert_eq!(free.status, 200);
    assert_eq!(client.get("/v1/models").await.status, 200);
}

#[tokio::test]
async fn each_answer_tells_one_less() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(
            json!({ "rate_limit": { "rpm": 6, "tpd": 1_000_000 } })
        )]),
    ));
    let client = gateway.client().with_key(ALICE);
    for left in [5, 4] {
        let answer = client.post(CHAT, &chat("hi")).await;
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left);
    }
    let streamed = client.post(CHAT, &chat_stream("hi")).await;
    assert_eq!(number(&streamed, "x-ratelimit-remaining-requests"), 3);
    let claude = gateway.client().with_header("x-api-key", ALICE);
    let (path, body) = &dialects("m")[2];
    let answer = claude.post(path, body).await;
    assert_eq!(number(&answer, "anthropic-ratelimit-requests-remaining"), 2);
    settled(&gateway, "alice").await;
    // A failure costs nothing, and says so.
    a.set(Behavior::status(500));
    for _ in 0..2 {
        let failed = client.post(CHAT, &chat("hi")).await;
        assert_eq!(failed.status, 502);
        assert_eq!(number(&failed, "x-ratelimit-remaining-requests"), 2);
        let left = number(&failed, "x-ratelimit-remaining-tokens");
        assert_eq!(left, 1_000_000 - 4 * 30);
    }
}

#[tokio::test]
async fn a_limit_of_tokens_is_used_to_the_last_and_not_passed() {
    let a = simulator(Answer::text("words").usage(10, 20)).await;
    let limit = json!({ "rate_limit": { "tokens_per_period": 100, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(limit), bob(json!({}))]),
    ));
    let mut question = chat("hi");
    question["max_tokens"] = json!(20);
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &question, 10, 60).await;
    let mut answered = answers.with_status(200);
    let client = gateway.client().with_key(ALICE);
    let refused = loop {
        settled(&gateway, "alice").await;
        let answer = client.post(CHAT, &question).await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
    };
    assert_eq!(answered, 4);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(number(&refused, "x-ratelimit-limit-tokens"), 100);
    assert_eq!(number(&refused, "x-ratelimit-remaining-tokens"), 0);
    assert_eq!(settled(&gateway, "alice").await["tokens"], 120);
    assert_eq!(asks(&gateway, BOB).await.status, 200);
}

#[tokio::test]
async fn no_more_at_once_than_a_key_may_and_nothing_stays_held() {
    let a = simulator(Behavior::answering("a").slowly(ms(20))).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "max_concurrent": 3 })), bob(json!({}))]),
    ));
    for question in [chat("hi"), chat_stream("hi")] {
        let answers = ask_as(&gateway, Some(ALICE), CHAT, &question, 20, 200).await;
        let served = answers.with_status(200);
        assert_eq!(served + answers.with_status(429), 200);
        assert!(served >= 3);
        assert_eq!(a.seen().peak_in_flight, 3);
        let refused = answers.0.iter().find(|answer| answer.status == 429);
        assert_eq!(number(refused.unwrap(), "retry-after"), 1);
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["max_concurrent"], 3);
    }
    // Nor when clients leave, or providers fail.
    a.set(Behavior::hanging());
    let client = gateway.client().with_key(ALICE);
    for _ in 0..3 {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(client.begin_post(CHAT, &chat("hi")).await);
        }
        assert!(a.wait_until(|seen| seen.in_flight == 3, SOON).await);
        assert_eq!(asks(&gateway, ALICE).await.status, 429);
        assert_eq!(used(&gateway, "alice").await["concurrent"], 3);
        drop(streams);
        settled(&gateway, "alice").await;
    }
    a.set(Behavior::status(500));
    for _ in 0..5 {
        assert_eq!(asks(&gateway, ALICE).await.status, 502);
    }
    a.set(Behavior::answering("a"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    settled(&gateway, "alice").await;
}

#[tokio::test]
async fn counts_of_a_key_survive_kill_9() {
    let a = simulator(Behavior::answering("a")).await;
    let limit = json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } });
    let mut gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(limit)]),
    ));
    for killed in 1..=3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
        gateway.kill();
        gateway.launch();
        assert_eq!(used(&gateway, "alice").await["requests"], killed);
    }
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 8, 20).await;
    assert_eq!(answers.with_status(200), 2);
    gateway.kill();
    gateway.launch();
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(a.seen().requests, 5);
    let file = gateway.path("data/usage/_clients/alice.json");
    let text = gateway
        .wait_for("the client's file", || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.contains("\"requests\": 5").then_some(text)
        })
        .await;
    assert!(!text.contains("sk-"), "{text}");
}

#[tokio::test]
async fn whatever_a_client_is_called_its_counts_are_its_own_and_stay_in_their_folder() {
    let a = simulator(Behavior::answering("a")).await;
    let names = [
        "Alice",
        "alice",
        "..",
        "../../evil",
        "a b",
        "nul",
        "\u{fc}ber",
        "alice.json",
        "_groups",
        "client=bob status=200",
    ];
    let key = |number: usize| format!("sk-{number}-0123456789abcdef");
    let clients: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let limit = json!({ "requests_per_period": number + 1, "period_cron": RARELY });
            client(name, &key(number), json!({ "rate_limit": limit }))
        })
        .collect();
    let config = keyed(model([provider("a", &a, json!({}))]), clients);
    let mut gateway = Gateway::start(&config);
    for (number, name) in names.iter().enumerate() {
        for _ in 0..=number {
            assert_eq!(asks(&gateway, &key(number)).await.status, 200, "{name}");
        }
        assert_eq!(asks(&gateway, &key(number)).await.status, 429, "{name}");
    }
    assert!(gateway.stop().success());
    gateway.launch();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(used(&gateway, name).await["requests"], number + 1, "{name}");
    }
    let folder = gateway.path("data/usage/_clients");
    assert_eq!(walk(&folder).len(), names.len());
    let outside = walk(&gateway.path("."));
    assert!(
        outside.iter().all(|path| !path.ends_with("evil.json")),
        "{outside:?}"
    );
    // A name with blanks cannot pass for something else in the log.
    let log = gateway.log();
    assert!(log.contains("client=\"client=bob status=200\""), "{log}");
}

#[tokio::test]
async fn a_rolling_minute_of_a_key_survives_kill_9() {
    let a = simulator(Behavior::answering("a")).await;
    let mut gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 5 } }))]),
    ));
    for _ in 0..3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
    }
    gateway.kill();
    gateway.launch();
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 8, 20).await;
    assert_eq!(answers.with_status(200), 2);
    let refused = asks(&gateway, ALICE).await;
    assert_eq!(refused.status, 429);
    // The minute began with the first request, and not with the new process.
    let wait = number(&refused, "retry-after");
    assert!((40..=61).contains(&wait), "{wait}");
    assert_eq!(a.seen().requests, 5);
}

#[tokio::test]
async fn a_request_under_way_is_counted_although_its_key_was_gone_for_a_while() {
    let a = simulator(Behavior::answering("a").slowly(ms(4000))).await;
    let with = |clients: Value| keyed(model([provider("a", &a, json!({}))]), clients);
    let limits = json!({
        "max_concurrent": 1,
        "rate_limit": { "requests_per_period": 3, "period_cron": RARELY },
    });
    let both = with(json!([alice(limits), bob(json!({}))]));
    let gateway = Gateway::start(&both);
    let client = gateway.client().with_key(ALICE);
    let mut stream = client.begin_post(CHAT, &chat("hi")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    reload(&gateway, &with(json!([bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
    // Long enough for what nobody needs any more to be put away.
    tokio::time::sleep(ms(1500)).await;
    reload(&gateway, &both).await;
    assert_eq!(used(&gateway, "alice").await["concurrent"], 1);
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    a.set(Behavior::answering("a"));
    stream.await_head().await;
    assert_eq!(stream.status(), 200);
    while stream.read().await.is_some() {}
    let usage = settled(&gateway, "alice").await;
    assert_eq!(
        (&usage["requests"], &usage["tokens"]),
        (&json!(1), &json!(30))
    );
    for status in [200, 200, 429] {
        assert_eq!(asks(&gateway, ALICE).await.status, status);
    }
}

#[tokio::test]
async fn a_reload_keeps_the_count_of_a_key_and_a_removed_key_is_refused_at_once() {
    let a = simulator(Behavior::answering("a")).await;
    let with = |clients: Value| keyed(model([provider("a", &a, json!({}))]), clients);
    let limit = |requests: u64| {
        alice(json!({ "rate_limit": { "requests_per_period": requests, "period_cron": RARELY } }))
    };
    let gateway = Gateway::start(&with(json!([limit(4), bob(json!({}))])));
    for _ in 0..3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
    }
    reload(&gateway, &with(json!([limit(6), bob(json!({}))]))).await;
    let answer = asks(&gateway, ALICE).await;
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 2);
    reload(&gateway, &with(json!([limit(2), bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(used(&gateway, "alice").await["requests"], 4);

    // Another key under the same name goes on where the old one was.
    let other = client(
        "alice",
        "sk-other-0123456789abcdef",
        json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } }),
    );
    reload(&gateway, &with(json!([other, bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        200
    );
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        429
    );

    reload(&gateway, &with(json!([bob(json!({}))]))).await;
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        401
    );
    assert_eq!(asks(&gateway, BOB).await.status, 200);
    assert_eq!(used(&gateway, "alice").await, Value::Null);
    // Who comes back within the period finds what was used.
    reload(&gateway, &with(json!([limit(6), bob(json!({}))]))).await;
    assert_eq!(used(&gateway, "alice").await["requests"], 5);
    reload(
        &gateway,
        &with(json!([alice(json!({ "enabled": false })), bob(json!({}))])),
    )
    .await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
}

#[tokio::test]
async fn a_key_and_its_digest_are_shown_nowhere() {
    let a = simulator(Behavior::answering("a")).await;
    // The digest of ALICE.
    let digest = "8fe37735603b21746fc3c1ffd6d8f03e730b6af0a923fa3380bc36d19f852d3f";
    let config = keyed(
        model([provider("a", &a, json!({}))]),
        json!([
            alice(json!({ "rate_limit": { "rpm": 2 } })),
            { "name": "by-digest", "key_sha256": DIGEST },
            "sk-text-0123456789abcdef",
        ]),
    );
    let mut gateway = Gateway::start_with(&config, &[("LOG_LEVEL", "DEBUG")]);
    let mut answers = Vec::new();
    for key in [
        ALICE,
        ALICE,
        ALICE,
        "sk-digest-0123456789abcde",
        "sk-text-0123456789abcdef",
    ] {
        answers.push(asks(&gateway, key).await);
    }
    a.set(Behavior::status(500));
    answers.push(asks(&gateway, "sk-digest-0123456789abcde").await);
    let mut question = chat("hi");
    question["model"] = json!("unknown");
    let client = gateway.client().with_key(ALICE);
    answers.push(client.post(CHAT, &question).await);
    // A key that somebody else has written into a list is a mistake; it is not repeated either.
    let mut twice = config.clone();
    twice["_global"]["api_keys"] =
        json!([alice(json!({})), ALICE, { "name": "x", "key_sha256": format!("{digest}0") }]);
    gateway.write_config(&twice);
    let rejected = operator(&gateway).post("/admin/reload", &json!({})).await;
    assert_eq!(rejected.status, 422);
    answers.push(rejected);
    for path in ["/stats", "/admin/stats", "/admin/providers/m", "/health"] {
        answers.push(operator(&gateway).get(path).await);
    }
    gateway.write_config(&config);
    gateway.wait_for_log("Request failed").await;
    assert!(gateway.stop().success());
    let mut shown: String = answers.iter().map(Response::text).collect();
    for answer in &answers {
        shown += &format!("{:?}", answer.headers);
    }
    shown += &gateway.log();
    shown += &gateway.stdout();
    shown += &gateway.read("stderr");
    for file in walk(&gateway.path("data")) {
        shown += &file.display().to_string();
        shown += &String::from_utf8_lossy(&std::fs::read(&file).unwrap());
    }
    for secret in [
        ALICE,
        "sk-digest-0123456789abcde",
        "sk-text-0123456789abcdef",
        ADMIN,
        digest,
        DIGEST,
        "0123456789abcde",
    ] {
        let at = shown.find(secret);
        assert_eq!(at, None, "{secret}: {}", &shown[at.unwrap_or(0)..][..80]);
    }
    let log = gateway.log();
    let of_alice = log.lines().filter(|line| line.contains("client=alice"));
    assert_eq!(of_alice.count(), 4, "{log}");
    assert!(log.contains("client=by-digest") && log.contains("client=key-"));
}

#[tokio::test]
async fn no_provider_ever_sees_the_key_of_a_client() {
    let a = Simulator::start(Behavior::answering("a")).await.unwrap();
    let gemini = Act::from(recording(Dialect::Gemini, "hello"));
    let gemini = Simulator::start(gemini).await.unwrap();
    let anthropic = Act::from(recording(Dialect::Anthropic, "hello"));
    let anthropic = Simulator::start(anthropic).await.unwrap();
    let of = |name: &str, at: &Simulator, protocol: &str| json!({ "providers": [provider(name, at, json!({ "protocol": protocol }))] });
    let config = json!({
        "m": of("a", &a, "openai"),
        "g": of("g", &gemini, "gemini"),
        "c": of("c", &anthropic, "anthropic"),
    });
    let gateway = Gateway::start_with(
        &keyed(config, json!([alice(json!({}))])),
        &[("LOG_LEVEL", "DEBUG")],
    );
    for model in ["m", "g", "c"] {
        for (path, body) in dialects(model) {
            for header in ["authorization", "x-api-key", "x-goog-api-key"] {
                let value = match header {
                    "authorization" => format!("Bearer {ALICE}"),
                    _ => ALICE.to_owned(),
                };
                let client = gateway.client().with_header(header, &value);
                assert_eq!(
                    client.post(&path, &body).await.status,
                    200,
                    "{model} {path}"
                );
            }
        }
        for (query, status) in [("key", 200), ("alt=json&key", 200), ("Key", 401)] {
            let (path, body) = &dialects(model)[3];
            let path = format!("{path}?{query}={ALICE}");
            let answer = gateway.client().post(&path, body).await;
            assert_eq!(answer.status, status, "{path}");
        }
        // Elsewhere a key in the URL opens nothing.
        let path = format!("{CHAT}?key={ALICE}");
        let answer = gateway.client().post(&path, &dialects(model)[0].1).await;
        assert_eq!(answer.status, 401);
    }
    for (simulator, name) in [(&a, "a"), (&gemini, "g"), (&anthropic, "c")] {
        let requests = simulator.requests();
        assert!(requests.len() >= 14, "{name}");
        for request in requests {
            let seen = format!("{request:?} {:?}", request.body);
            assert!(!seen.contains("sk-alice"), "{seen}");
            assert!(seen.contains(&format!("sk-secret-of-{name}")), "{seen}");
        }
    }
    gateway.wait_for_log("Request refused").await;
    assert!(!gateway.log().contains("sk-"), "{}", gateway.log());
}

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

#[tokio::test]
async fn a_key_of_a_client_does_not_open_what_is_the_operators() {
    let a = simulator(Behavior::answering("a")).await;
    let routes = [
        ("GET", "/admin/stats"),
        ("GET", "/admin/providers/m"),
        ("POST", "/admin/reload"),
        ("GET", "/stats"),
    ];
    for (settings, client_status, operator) in [
        (json!({}), 403, None),
        (json!({ "admin_key": ADMIN }), 401, Some(ADMIN)),
        (
            json!({ "api_key": "sk-shared-0123456789abcdef" }),
            401,
            Some("sk-shared-0123456789abcdef"),
        ),
    ] {
        let config = global(model([provider("a", &a, json!({}))]), {
            let mut settings = settings.clone();
            settings["api_keys"] = json!([ALICE, bob(json!({}))]);
            settings
        });
        let gateway = Gateway::start(&config);
        for (method, path) in routes {
            for key in [Some(ALICE), Some(BOB), Some("wrong"), None] {
                let client = gateway.client();
                let client = key.into_iter().fold(client, Client::with_key);
                let answer = client.request(method, path, &[], b"").await;
                assert_eq!(answer.status, client_status, "{settings} {path} {key:?}");
                assert!(!answer.text().contains("simulated"));
            }
            if let Some(key) = operator {
                let client = gateway.client().with_key(key);
                let answer = client.request(method, path, &[], b"").await;
                assert_eq!(answer.status, 200, "{settings} {path}");
            }
        }
        assert_eq!(gateway.chat("hi").await.status, 401);
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
        assert_eq!(asks(&gateway, BOB).await.status, 200);
        // An admin key alone is no client's.
        let shared = operator.map_or(401, |key| if key == ADMIN { 401 } else { 200 });
        let key = operator.unwrap_or("none");
        assert_eq!(asks(&gateway, key).await.status, shared);
    }
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_charged_and_who_gets_none_is_not() {
    let a = simulator(Behavior::hanging()).await;
    let b = simulator(Behavior::answering("b")).await;
    let limit = json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([
            provider("a", &a, json!({ "retry": 1 })),
            provider("b", &b, json!({ "priority": 2, "retry": 1 })),
        ]),
        json!([alice(limit), bob(json!({}))]),
    ));
    for (left, question) in [(1, chat("hi")), (2, chat_stream("hi"))] {
        let client = gateway.client().with_key(ALICE);
        let stream = client.begin_post(CHAT, &question).await;
        assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
        drop(stream);
        assert!(a.wait_until(|seen| seen.abandoned == left, SOON).await);
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["requests"], left, "{usage}");
        assert!(usage["tokens"].as_u64().unwrap() > 0);
    }
    let tokens = used(&gateway, "alice").await["tokens"].clone();
    // All fail, each asked twice: not charged.
    a.set(Behavior::status(500));
    b.set(Behavior::status(500));
    for _ in 0..4 {
        assert_eq!(asks(&gateway, ALICE).await.status, 502);
    }
    let usage = settled(&gateway, "alice").await;
    assert_eq!((&usage["requests"], &usage["tokens"]), (&json!(2), &tokens));
    // One fails and the other answers: charged once.
    b.set(Behavior::answering("b"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    a.set(Behavior::new(Act::refuse()));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    assert_eq!(settled(&gateway, "alice").await["requests"], 4);
    // A mistake of the client's own costs nothing.
    let client = gateway.client().with_key(ALICE);
    let broken = client.request("POST", CHAT, &[], b"{").await;
    assert_eq!(broken.status, 400);
    a.set(Behavior::status(400));
    assert_eq!(asks(&gateway, ALICE).await.status, 400);
    assert_eq!(settled(&gateway, "alice").await["requests"], 4);
    a.set(Behavior::answering("a"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(asks(&gateway, BOB).await.status, 200);
}

#[tokio::test]
async fn what_a_client_may_not_have_is_not_taken_from_a_provider() {
    let a = simulator(Behavior::answering("a")).await;
    let limit = |requests: u64| json!({ "rate_limit": { "requests_per_period": requests, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, limit(10))]),
        json!([alice(limit(3)), bob(limit(100))]),
    ));
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 10, 50).await;
    assert_eq!(answers.with_status(200), 3);
    let answers = ask_as(&gateway, Some(BOB), CHAT, &chat("hi"), 10, 50).await;
    assert_eq!(answers.with_status(200), 7);
    assert_eq!(a.seen().requests, 10);
    // And what no provider has is not taken from a client.
    assert_eq!(settled(&gateway, "bob").await["requests"], 7);
    assert_eq!(settled(&gateway, "alice").await["requests"], 3);
}
