//! The ordinary way: a question, an answer.

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::json;

use crate::support::gateway::{chat, chat_stream};
use crate::support::{Gateway, model, provider};

#[tokio::test]
async fn a_question_is_answered_by_the_configured_provider() {
    let simulator = Simulator::start(Behavior::answering("Hello!"))
        .await
        .unwrap();
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));

    let answer = gateway.chat("hi").await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello!");
    assert_eq!(answer.header("x-gateway-provider"), Some("a"));
    assert_eq!(answer.header("x-gateway-model"), Some("simulated"));
    assert_eq!(answer.header("x-gateway-attempts"), Some("1"));
    let seen = &simulator.requests()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer sk-secret-of-a"));
    assert_eq!(seen.json()["model"], "simulated");
    assert_eq!(gateway.stats("a").await["requests"], 1);
}

#[tokio::test]
async fn a_stream_arrives_event_by_event() {
    let simulator = Simulator::start(Behavior::answering("one two three"))
        .await
        .unwrap();
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));

    let mut stream = gateway
        .client()
        .post_stream("/v1/chat/completions", &chat_stream("hi"))
        .await;

    assert_eq!(stream.status(), 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    let events = stream.rest().await;
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(stream.ended_cleanly());
    assert!(
        !events.iter().any(|event| event.contains("\"usage\":{")),
        "nobody asked for usage"
    );
    let stats = gateway.stats("a").await;
    assert_eq!(
        (&stats["requests"], &stats["requests_in_flight"]),
        (&json!(1), &json!(0))
    );
    assert!(stats["tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn every_path_also_works_without_v1() {
    let simulator = Simulator::start(Behavior::answering("Hello!"))
        .await
        .unwrap();
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let client = gateway.client();

    assert_eq!(
        client.post("/chat/completions", &chat("hi")).await.status,
        200
    );
    let prompt = json!({ "model": "m", "prompt": "hi" });
    for path in ["/completions", "/v1/completions"] {
        assert_eq!(
            client.post(path, &prompt).await.json()["choices"][0]["text"],
            "Hello!"
        );
    }
    let input = json!({ "model": "m", "input": "hi" });
    for path in ["/embeddings", "/v1/embeddings"] {
        assert_eq!(client.post(path, &input).await.json()["object"], "list");
    }
    let paths: Vec<String> = simulator
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths[1], "/v1/completions");
    assert_eq!(paths[3], "/v1/embeddings");
}
