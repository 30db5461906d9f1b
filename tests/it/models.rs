//! The names that clients ask for: lists, aliases, redirects, patterns, typing mistakes.

use api_gateway::simulator::{Answer, Simulator};
use serde_json::{Value, json};

use crate::support::{Gateway, provider};

/// A gateway with many kinds of names, all served by one simulator.
async fn named() -> (Gateway, Simulator) {
    let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
    let at = |model: &str| json!([provider("a", &simulator, json!({ "model": model }))]);
    let off = json!([provider("a", &simulator, json!({ "enabled": false }))]);
    let config = json!({
        "_global": { "model_redirects": { "gpt-4": "gpt-4o", "old": "nick", "gone": "nowhere" } },
        "gpt-4o": { "providers": at("real-4o"), "aliases": ["nick", "maker/nick"] },
        "maker/hello": { "providers": at("real-hello") },
        "100%/ü": { "providers": at("real-percent") },
        "secret": { "providers": at("real-secret"), "hidden": true },
        "claude-*": { "providers": at("anthropic/claude-*") },
        "claude-*-fixed": { "providers": at("real-fixed") },
        "off": { "providers": off },
    });
    (Gateway::start(&config), simulator)
}

fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hi" }] })
}

#[tokio::test]
async fn models_are_listed_in_the_form_of_openai() {
    let (gateway, _simulator) = named().await;
    let entry =
        |id| json!({ "id": id, "object": "model", "created": 0, "owned_by": "api-gateway" });
    // Neither hidden ones, nor patterns, nor what nobody serves.
    let expected = json!({
        "object": "list",
        "data": [entry("100%/ü"), entry("gpt-4o"), entry("maker/hello")],
    });
    for path in ["/v1/models", "/models"] {
        assert_eq!(gateway.client().get(path).await.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn one_model_is_found_by_any_name_that_can_be_asked() {
    let (gateway, _simulator) = named().await;
    for (path, id) in [
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/models/gpt-4o", "gpt-4o"),
        ("/v1/models/maker/hello", "maker/hello"),
        ("/models/maker%2Fhello", "maker/hello"),
        ("/v1/models/maker%2fhello", "maker/hello"),
        ("/v1/models/100%25/%C3%BC", "100%/ü"),
        ("/v1/models/maker/nick", "maker/nick"),
        ("/v1/models/gpt-4", "gpt-4"),
        ("/v1/models/secret", "secret"),
        ("/v1/models/claude-5", "claude-5"),
    ] {
        let answer = gateway.client().get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(
            answer.json(),
            json!({ "id": id, "object": "model", "created": 0, "owned_by": "api-gateway" }),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_is_a_404_that_names_the_nearest() {
    let (gateway, simulator) = named().await;
    let client = gateway.client();
    for (asked, hint) in [
        ("gpt-40", "did you mean `gpt-4o`?"),
        ("Maker/Hello", "did you mean `maker/hello`?"),
        // A hidden name is not given away.
        ("secre", "GET /v1/models lists those that do"),
        ("something-else", "GET /v1/models lists those that do"),
        ("nowhere", "GET /v1/models lists those that do"),
        ("gone", "GET /v1/models lists those that do"),
    ] {
        let expected = json!({ "error": {
            "message": format!("the model `{asked}` does not exist; {hint}"),
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }});
        let asking = client.post("/v1/chat/completions", &chat(asked)).await;
        assert_eq!((asking.status, asking.json()), (404, expected.clone()));
        let looking = client.get(&format!("/v1/models/{asked}")).await;
        assert_eq!((looking.status, looking.json()), (404, expected));
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn providers_are_asked_for_the_model_by_their_own_name_for_it() {
    let (gateway, simulator) = named().await;
    for (asked, upstream) in [
        ("gpt-4o", "real-4o"),
        ("nick", "real-4o"),
        ("gpt-4", "real-4o"),
        ("old", "real-4o"),
        ("100%/ü", "real-percent"),
        ("secret", "real-secret"),
        ("claude-5", "anthropic/claude-5"),
        ("claude-", "anthropic/claude-"),
        ("claude-\"5\"/../x", "anthropic/claude-\"5\"/../x"),
        ("claude-5-fixed", "real-fixed"),
    ] {
        let answer = gateway
            .client()
            .post("/v1/chat/completions", &chat(asked))
            .await;
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        let seen = simulator.requests();
        assert_eq!(seen.last().unwrap().json()["model"], upstream, "{asked}");
    }
    // Names that match a pattern are counted under the pattern.
    let stats = gateway.client().get("/admin/stats").await.json();
    assert_eq!(stats["claude-*"]["a"]["requests"], 3);
    assert_eq!(stats["claude-*-fixed"]["a"]["requests"], 1);
    assert_eq!(stats["gpt-4o"]["a"]["requests"], 4);
}

#[tokio::test]
async fn a_model_without_an_enabled_provider_is_unavailable() {
    let (gateway, simulator) = named().await;
    let answer = gateway
        .client()
        .post("/v1/chat/completions", &chat("off"))
        .await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.json()["error"]["message"],
        "no provider of `off` is enabled"
    );
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn a_name_longer_than_any_model_has_is_refused_without_repeating_it() {
    let (gateway, _simulator) = named().await;
    let long = format!("gpt-{}", "4".repeat(2_000_000));
    let answer = gateway
        .client()
        .post("/v1/chat/completions", &chat(&long))
        .await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "model");
    assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
    gateway.wait_for_log("Request failed").await;
    assert!(gateway.log().len() < 10_000, "the log repeats it");
}
