//! Which models a key is for.

use super::*;

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
