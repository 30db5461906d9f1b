//! Beside conversations: counts of tokens and vectors.

use super::*;

/// A request to count, and how to read the answer.
fn count(client: Dialect) -> (&'static str, Value, &'static str) {
    let (_, mut body) = ask(client, false);
    match client {
        Dialect::Anthropic => {
            body.as_object_mut().unwrap().remove("max_tokens");
            ("/v1/messages/count_tokens", body, "input_tokens")
        }
        Dialect::Gemini => ("/v1beta/models/m:countTokens", body, "totalTokens"),
        Dialect::OpenAi | Dialect::Responses => {
            let (_, body) = ask(Dialect::Responses, false);
            ("/v1/responses/input_tokens", body, "input_tokens")
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_by_whoever_can_and_estimated_else() {
    for client in [Dialect::Anthropic, Dialect::Gemini, Dialect::Responses] {
        let (path, body, name) = count(client);
        let mut told = Vec::new();
        for provider in [Dialect::Anthropic, Dialect::Gemini, Dialect::OpenAi] {
            let act: Act = match provider {
                Dialect::OpenAi => Act::status(500),
                _ => recording(provider, "count-tokens").into(),
            };
            let (gateway, simulators) = gateway(vec![(provider, act, json!({}))]).await;
            let answer = gateway.client().post(path, &body).await;
            assert_eq!(
                answer.status,
                200,
                "{client:?} by {provider:?}: {}",
                answer.text()
            );
            told.push(answer.json()[name].as_u64().unwrap());
            let asked = u64::from(provider != Dialect::OpenAi);
            assert_eq!(simulators[0].seen().requests, asked);
            assert_eq!(gateway.stats("a").await["requests"], 0, "counting is free");
        }
        // An estimate of two letters is a small number.
        assert!(told[2] > 0 && told[2] < 20, "{told:?}");
    }
}

#[tokio::test]
async fn a_provider_that_cannot_count_today_costs_no_answer() {
    for act in [Act::status(500), Act::html(), Act::refuse(), Act::empty()] {
        let (gateway, _simulators) = gateway(vec![(Dialect::Anthropic, act, json!({}))]).await;
        let (path, body, name) = count(Dialect::Anthropic);
        let answer = gateway.client().post(path, &body).await;
        assert!(answer.json()[name].as_u64() > Some(0), "{}", answer.text());
    }
    let (gateway, _simulators) = gateway(vec![hello(Dialect::Anthropic)]).await;
    let unknown = json!({ "model": "other", "messages": [] });
    let answer = gateway
        .client()
        .post("/v1/messages/count_tokens", &unknown)
        .await;
    assert_eq!(
        (answer.status, &answer.json()["type"]),
        (404, &json!("error"))
    );
}

#[tokio::test]
async fn vectors_go_between_openai_and_gemini() {
    let openai = json!({ "object": "list", "model": "e", "usage": { "prompt_tokens": 3, "total_tokens": 3 },
        "data": [{ "index": 0, "embedding": [0.5, -1.0] }, { "index": 1, "embedding": [2.0, 0.25] }] });
    let google = json!({ "embeddings": [{ "values": [0.5, -1.0] }, { "values": [2.0, 0.25] }] });
    for (dialect, told) in [
        (Dialect::OpenAi, &openai),
        (Dialect::Responses, &openai),
        (Dialect::Gemini, &google),
    ] {
        let act = Act::body(200, "application/json", told.to_string());
        let (gateway, _simulators) = gateway(vec![(dialect, act, json!({}))]).await;
        let asked = json!({ "model": "m", "input": ["a", "b"], "encoding_format": "float" });
        let answer = gateway.client().post("/v1/embeddings", &asked).await.json();
        assert_eq!(
            answer["data"][1]["embedding"],
            json!([2.0, 0.25]),
            "{dialect:?} {answer}"
        );
        let batch = json!({ "requests": [
            { "content": { "parts": [{ "text": "a" }] } }, { "content": { "parts": [{ "text": "b" }] } },
        ] });
        let path = "/v1beta/models/m:batchEmbedContents";
        let answer = gateway.client().post(path, &batch).await.json();
        assert_eq!(
            answer["embeddings"][0]["values"],
            json!([0.5, -1.0]),
            "{dialect:?} {answer}"
        );
    }
}

#[tokio::test]
async fn vectors_in_base64_are_made_where_the_provider_has_numbers() {
    let google = json!({ "embeddings": [{ "values": [1.0] }] });
    let act = Act::body(200, "application/json", google.to_string());
    let (gateway, _simulators) = gateway(vec![(Dialect::Gemini, act, json!({}))]).await;
    let asked = json!({ "model": "m", "input": "a", "encoding_format": "base64" });
    let answer = gateway.client().post("/v1/embeddings", &asked).await.json();
    // 1.0 as four bytes, the lowest first.
    assert_eq!(answer["data"][0]["embedding"], "AACAPw==");
    let tokens = json!({ "model": "m", "input": [1, 2, 3] });
    let answer = gateway.client().post("/v1/embeddings", &tokens).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["param"]),
        (400, &json!("input"))
    );
}

#[tokio::test]
async fn who_has_no_vectors_is_passed_over() {
    let asked = json!({ "model": "m", "input": "a" });
    let vectors = Act::answering("");
    let (mixed, _simulators) = gateway(vec![
        hello(Dialect::Anthropic),
        (Dialect::OpenAi, vectors, json!({})),
    ])
    .await;
    let answer = mixed.client().post("/v1/embeddings", &asked).await;
    assert_eq!(
        (answer.status, answer.header("x-gateway-provider")),
        (200, Some("b"))
    );
    let (alone, _simulators) = gateway(vec![hello(Dialect::Anthropic)]).await;
    assert_eq!(
        alone.client().post("/v1/embeddings", &asked).await.status,
        400
    );
}
