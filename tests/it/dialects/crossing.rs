//! What holds for all providers holds between dialects, too.

use std::time::Duration;

use super::*;
use crate::support::{SOON, ms};

/// Every client, and a provider of another dialect than its own.
const PAIRS: [(Dialect, Dialect); 4] = [
    (Dialect::OpenAi, Dialect::Anthropic),
    (Dialect::Anthropic, Dialect::Gemini),
    (Dialect::Gemini, Dialect::Responses),
    (Dialect::Responses, Dialect::OpenAi),
];

#[tokio::test]
async fn a_failing_provider_is_followed_by_one_of_another_dialect() {
    for (client, other) in PAIRS {
        let failing = [
            Act::error_of(client, 500, "down"),
            Act::rate_limited_by(client, 7),
            Act::body(
                200,
                "application/json",
                client.error(503, "down").to_string(),
            ),
            Act::html(),
        ];
        for act in failing {
            for stream in [false, true] {
                follows(client, act.clone(), other, stream).await;
            }
        }
        let says_nothing = recording(client, "hello").cut_after(0);
        follows(client, says_nothing.into(), other, true).await;
    }
}

#[tokio::test]
async fn a_stream_without_a_word_is_no_answer_to_anybody() {
    let role =
        json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }] });
    let events = format!("data: {role}\n\ndata: [DONE]\n\n");
    let silent = Act::body(200, "text/event-stream", events);
    for client in Dialect::ALL {
        let first = (Dialect::OpenAi, silent.clone(), json!({}));
        let (gateway, _simulators) = gateway(vec![first, hello(Dialect::Anthropic)]).await;
        let (path, body) = ask(client, true);
        let answer = gateway.client().post(path, &body).await;
        assert_eq!(answer.status, 200, "{client:?}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-provider"), Some("b"), "{client:?}");
    }
}

async fn follows(client: Dialect, first: Act, other: Dialect, stream: bool) {
    let name = format!("{client:?} {stream} {first:?}");
    let (gateway, _simulators) = gateway(vec![(client, first, json!({})), hello(other)]).await;
    let (path, body) = ask(client, stream);
    let answer = gateway.client().post(path, &body).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    assert_eq!(answer.header("x-gateway-provider"), Some("b"), "{name}");
    assert_eq!(answer.header("x-gateway-attempts"), Some("2"), "{name}");
}

#[tokio::test]
async fn the_tokens_of_a_translated_answer_are_counted() {
    for (client, other) in PAIRS {
        for stream in [false, true] {
            let (gateway, _simulators) = gateway(vec![hello(other)]).await;
            let (path, body) = ask(client, stream);
            let answer = gateway.client().post(path, &body).await;
            assert_eq!(answer.status, 200);
            let since = std::time::Instant::now();
            loop {
                let stats = gateway.stats("a").await;
                if stats["in_flight"] == false || stats["requests_in_flight"] == 0 {
                    assert_eq!(stats["requests"], 1, "{client:?} {stats}");
                    assert!(stats["tokens"].as_u64() > Some(10), "{client:?} {stats}");
                    break;
                }
                assert!(since.elapsed() < SOON, "{stats}");
                tokio::time::sleep(ms(10)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_translated_stream_frees_its_provider() {
    for (client, other) in PAIRS {
        let slow =
            recording(other, "hello").with(|answer| answer.drip(20, Duration::from_millis(200)));
        let (gateway, simulators) = gateway(vec![(other, slow.into(), json!({}))]).await;
        let (path, body) = ask(client, true);
        let mut stream = gateway.client().post_stream(path, &body).await;
        assert_eq!(stream.status(), 200);
        stream.read().await;
        drop(stream);
        let gone = simulators[0].wait_until(|seen| seen.streams_open == 0, SOON);
        assert!(gone.await, "{client:?}");
        gateway.wait_for_log("Client left").await;
    }
}

#[tokio::test]
async fn what_a_provider_finds_wrong_is_told_in_the_clients_words() {
    for (client, other) in PAIRS {
        let (gateway, simulators) = gateway(vec![
            (other, Act::error_of(other, 400, "no such voice"), json!({})),
            hello(client),
        ])
        .await;
        let (path, body) = ask(client, true);
        let answer = gateway.client().post(path, &body).await;
        assert_eq!(answer.status, 400);
        let said = answer.json();
        assert_eq!(said["error"]["message"], "no such voice", "{said}");
        match client {
            Dialect::Anthropic => assert_eq!(said["type"], "error"),
            Dialect::Gemini => assert_eq!(said["error"]["status"], "INVALID_ARGUMENT"),
            Dialect::OpenAi | Dialect::Responses => {
                assert_eq!(said["error"]["type"], "invalid_request_error");
            }
        }
        assert_eq!(simulators[1].seen().requests, 0, "the client's own mistake");
    }
}

#[tokio::test]
async fn what_cannot_be_said_to_one_provider_is_said_to_the_next_or_refused() {
    let several =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "hi" }], "n": 2 });
    let chat = "/v1/chat/completions";
    let (mixed, simulators) = gateway(vec![hello(Dialect::Gemini), hello(Dialect::OpenAi)]).await;
    let answer = mixed.client().post(chat, &several).await;
    assert_eq!(
        (answer.status, answer.header("x-gateway-provider")),
        (200, Some("b"))
    );
    assert_eq!(simulators[0].seen().requests, 0);
    let (alone, _simulators) = gateway(vec![hello(Dialect::Gemini)]).await;
    let answer = alone.client().post(chat, &several).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "n");
    assert_eq!(alone.stats("a").await["requests"], 0);
}

#[tokio::test]
async fn a_gemini_client_without_events_gets_one_array() {
    for provider in Dialect::ALL {
        let (gateway, _simulators) = gateway(vec![hello(provider)]).await;
        let (_, body) = ask(Dialect::Gemini, true);
        let answer = gateway
            .client()
            .post("/v1beta/models/m:streamGenerateContent", &body)
            .await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let events = answer.json();
        let events = events.as_array().unwrap();
        assert!(events.len() > 2, "{provider:?}");
        let last = events.last().unwrap();
        assert_eq!(
            last["candidates"][0]["finishReason"], "STOP",
            "{provider:?}"
        );
    }
}

#[tokio::test]
async fn every_client_reads_the_same_from_every_provider() {
    for provider in Dialect::ALL {
        let (gateway, _simulators) = gateway(vec![hello(provider)]).await;
        let mut texts = Vec::new();
        for client in Dialect::ALL {
            let (path, body) = ask(client, false);
            let answer = gateway.client().post(path, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            texts.push(text_of(client, &answer.json()).to_owned());
        }
        assert!(
            !texts[0].is_empty() && texts.iter().all(|text| *text == texts[0]),
            "{texts:?}"
        );
    }
}
