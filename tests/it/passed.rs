//! What goes through as it is, and what has to change of it: names exchanged, costs counted, breaks told.

use api_gateway::simulator::{Act, Simulator};
use serde_json::{Value, json};

use crate::support::{Gateway, SOON, model, ms, provider};

async fn gateway(act: Act, more: Value) -> (Gateway, Simulator) {
    let simulator = Simulator::start(act).await.unwrap();
    let config = model([provider("a", &simulator, more)]);
    (Gateway::start(&config), simulator)
}

/// The tokens that provider `a` was charged, once there are as many.
async fn assert_tokens(gateway: &Gateway, expected: u64) {
    let since = std::time::Instant::now();
    loop {
        let tokens = gateway.stats("a").await["tokens"].clone();
        if tokens == expected {
            return;
        }
        assert!(since.elapsed() < SOON, "{tokens} instead of {expected}");
        tokio::time::sleep(ms(10)).await;
    }
}

#[tokio::test]
async fn a_form_arrives_as_it_was_but_for_the_model() {
    let text = Act::body(200, "text/plain; charset=utf-8", "Hello.\n");
    let (gateway, simulator) = gateway(text, json!({})).await;
    let form = |model: &str| {
        let mut form = format!(
            "--b0\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b0\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n"
        )
        .into_bytes();
        form.extend((0..=255).cycle().take(1_000_000));
        form.extend(b"\r\n--b0--\r\n");
        form
    };
    let kind = [("content-type", "multipart/form-data; boundary=b0")];
    for path in ["/v1/audio/transcriptions", "/images/edits"] {
        let client = gateway.client();
        let answer = client.request("POST", path, &kind, &form("m")).await;
        assert_eq!((answer.status, answer.text()), (200, "Hello.\n"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let seen = simulator.requests().pop().unwrap();
        assert_eq!(seen.header("content-type"), Some(kind[0].1));
        assert!(seen.body == form("simulated"), "{path}");
    }
}

#[tokio::test]
async fn a_sound_that_breaks_off_is_seen_to_break_off() {
    // As much as does not wait in a buffer for its end.
    let head = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 9000000\r\n\r\n";
    let half = Act::BytesThenClose((head.to_owned() + &"x".repeat(4_000_000)).into());
    let (gateway, _simulator) = gateway(half, json!({})).await;
    let speech = json!({ "model": "m", "input": "Say it.", "voice": "alloy" });
    let answer = gateway.client().post("/v1/audio/speech", &speech).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
    assert!(!answer.body.is_empty() && !answer.ended_cleanly);
}

#[tokio::test]
async fn a_stream_of_sounds_costs_what_its_last_event_says() {
    let events = r#"data: {"type":"speech.audio.delta","audio":"AAAA"}

data: {"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}

"#;
    let act = Act::body(200, "text/event-stream", events);
    let (gateway, _simulator) = gateway(act, json!({})).await;
    let speech = json!({ "model": "m", "input": "Say it.", "stream_format": "sse" });
    let answer = gateway.client().post("/v1/audio/speech", &speech).await;
    assert_eq!((answer.status, answer.text()), (200, events));
    assert_tokens(&gateway, 115).await;
}

#[tokio::test]
async fn a_moderation_without_a_model_is_asked_of_the_providers_own() {
    let results = Act::body(200, "application/json", r#"{"results":[]}"#);
    let simulator = Simulator::start(results).await.unwrap();
    let providers = [provider("a", &simulator, json!({}))];
    let config = json!({ "omni-moderation-latest": { "providers": providers } });
    let gateway = Gateway::start(&config);
    let question = json!({ "input": "fine" });
    let answer = gateway.client().post("/v1/moderations", &question).await;
    assert_eq!(answer.status, 200);
    let seen = simulator.requests().pop().unwrap().json();
    assert_eq!(seen, json!({ "model": "simulated", "input": "fine" }));
}

#[tokio::test]
async fn a_batch_of_geminis_names_the_providers_model_throughout() {
    let vectors = r#"{"embeddings":[{"values":[0.5]}]}"#;
    let act = Act::body(200, "application/json", vectors);
    let (gateway, simulator) = gateway(act, json!({ "protocol": "gemini" })).await;
    let batch = |model: &str| {
        let content = json!({ "parts": [{ "text": "hi" }] });
        json!({ "requests": [{ "model": format!("models/{model}"), "content": content }] })
    };
    let path = "/v1beta/models/m:batchEmbedContents?key=sk-of-the-client";
    let answer = gateway.client().post(path, &batch("m")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = simulator.requests().pop().unwrap();
    assert_eq!(seen.path, "/v1/models/simulated:batchEmbedContents");
    assert_eq!(seen.json(), batch("simulated"));
    assert!(!gateway.log().contains("sk-of-the-client"));
}

#[tokio::test]
async fn a_vector_too_few_is_the_providers_failure() {
    let vectors = r#"{"embeddings":[{"values":[0.5]}]}"#;
    let act = Act::body(200, "application/json", vectors);
    let (gateway, _simulator) = gateway(act, json!({ "protocol": "gemini" })).await;
    for (input, status) in [(json!(["a"]), 200), (json!(["a", "b"]), 502)] {
        let question = json!({ "model": "m", "input": input });
        let answer = gateway.client().post("/v1/embeddings", &question).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[tokio::test]
async fn pictures_are_not_asked_of_another_dialect() {
    let (gateway, simulator) = gateway(Act::empty(), json!({ "protocol": "anthropic" })).await;
    let picture = json!({ "model": "m", "prompt": "a cat" });
    let client = gateway.client();
    let answer = client.post("/v1/images/generations", &picture).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn every_endpoint_fails_over_and_counts_like_chat() {
    for path in [
        "/v1/images/generations",
        "/v1/images/edits",
        "/v1/images/variations",
        "/v1/audio/speech",
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/moderations",
        "/v1/rerank",
    ] {
        let failing = [
            Act::status(500),
            Act::rate_limited(7),
            Act::html(),
            Act::empty(),
            Act::body(200, "application/json", r#"{"error":{"message":"down"}}"#),
        ];
        for act in failing {
            let name = format!("{path} {act:?}");
            let a = Simulator::start(act).await.unwrap();
            let answer = r#"{"created":1,"data":[]}"#;
            let b = Simulator::start(Act::body(200, "application/json", answer))
                .await
                .unwrap();
            // One of another dialect has nothing of the kind, and is passed over.
            let config = model([
                provider("c", &a, json!({ "protocol": "anthropic" })),
                provider("a", &a, json!({ "priority": 2 })),
                provider("b", &b, json!({ "priority": 3 })),
            ]);
            let gateway = Gateway::start(&config);
            let asked = json!({ "model": "m", "input": "x", "prompt": "x" });
            let got = gateway.client().post(path, &asked).await;
            assert_eq!((got.status, got.text()), (200, answer), "{name}");
            assert_eq!(got.header("x-gateway-provider"), Some("b"), "{name}");
            assert_eq!(a.seen().requests, 1, "{name}");
            let seen = b.requests().pop().unwrap();
            assert_eq!(
                (&*seen.path, &seen.json()["model"]),
                (path, &json!("simulated"))
            );
            assert_eq!(gateway.stats("b").await["requests"], 1, "{name}");
            assert_eq!(gateway.stats("a").await["requests"], 0, "{name}");
        }
    }
}
