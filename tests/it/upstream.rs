//! The HTTP below: what clients of HTTP commonly get wrong about the servers they talk to.

use std::time::Instant;

use api_gateway::simulator::{Act, Answer, Behavior};
use serde_json::{Value, json};

use crate::support::gateway::{chat, chat_stream};
use crate::support::pair::{FROM_B, Pair, directly, simulator};
use crate::support::{Gateway, SOON, model, ms, provider};

/// A whole and good answer, as JSON.
const GOOD: &str = r#"{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"good"},"finish_reason":"stop"}]}"#;

fn with_head(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n{body}")
}

fn chunked(body: &str) -> String {
    with_head(
        "transfer-encoding: chunked\r\n",
        &format!("{:x}\r\n{body}\r\n", body.len()),
    )
}

fn said(answer: &crate::support::http::Response) -> Value {
    answer.json()["choices"][0]["message"]["content"].clone()
}

#[tokio::test]
async fn a_body_that_is_cut_is_a_failure_even_if_what_came_looks_whole() {
    let declared = format!("content-length: {}\r\n", GOOD.len() + 1);
    for (name, bytes) in [
        ("no last chunk", chunked(GOOD)),
        ("no end of the chunk", chunked(GOOD).trim_end().to_owned()),
        ("shorter than declared", with_head(&declared, GOOD)),
        ("no body", with_head(&declared, "")),
        ("no chunk", with_head("transfer-encoding: chunked\r\n", "")),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-".to_owned()),
        ("no HTTP", "SSH-2.0-OpenSSH_9.6\r\n".to_owned()),
    ] {
        let pair = Pair::start(Act::bytes_then_close(bytes), json!({ "retry": 1 })).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(
            (answer.status, said(&answer)),
            (200, json!(FROM_B)),
            "{name}"
        );
        assert_eq!(pair.asked(), (2, 1), "{name}");
        assert_eq!(pair.gateway.stats("a").await["requests"], 0, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_ends_as_its_framing_says_is_an_answer() {
    let declared = format!("content-length: {}\r\n", GOOD.len());
    for (name, bytes) in [
        ("chunked", chunked(GOOD) + "0\r\n\r\n"),
        ("as declared", with_head(&declared, GOOD)),
        ("until the end of the connection", with_head("", GOOD)),
        (
            "the same, announced",
            with_head("connection: close\r\n", GOOD),
        ),
        ("HTTP/1.0", with_head("", GOOD).replacen("1.1", "1.0", 1)),
    ] {
        let pair = Pair::start(Act::bytes_then_close(bytes), json!({})).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(
            (answer.status, said(&answer)),
            (200, json!("good")),
            "{name}: {}",
            answer.text()
        );
        assert_eq!(pair.asked(), (1, 0), "{name}");
    }
}

#[tokio::test]
async fn a_stream_may_end_with_its_connection() {
    let event = r#"data: {"id":"1","choices":[{"index":0,"delta":{"content":"good"},"finish_reason":null}]}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let events = format!("{event}\n\ndata: [DONE]\n\n");
    let pair = Pair::start(Act::bytes_then_close(format!("{head}{events}")), json!({})).await;
    let client = pair.gateway.client();
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(
        (answer.text(), answer.ended_cleanly),
        (events.as_str(), true)
    );

    // Without `[DONE]` nobody can know whether that was all.
    pair.a
        .set(Act::bytes_then_close(format!("{head}{event}\n\n")));
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert!(
        answer.text().contains("the answer broke off"),
        "{}",
        answer.text()
    );
}

/// A gateway with one worker, so that there is one pool of connections.
fn one_worker(config: &Value) -> Gateway {
    Gateway::start_with(config, &[("WORKERS", "1")])
}

#[tokio::test]
async fn interim_answers_are_passed_over_also_on_a_connection_used_again() {
    let a = simulator(Behavior::answering("plain")).await;
    let gateway = one_worker(&model([provider("a", &a, json!({}))]));
    for act in [
        Act::answering("103").with_interim(103),
        Act::answering("100").with_interim(100),
        Act::answering("both").with_interim(103).with_interim(100),
        Act::answering("late").after(ms(50)).with_interim(102),
    ] {
        a.next(act.clone());
        let answer = gateway.chat("hi").await;
        assert_eq!(answer.status, 200, "{act:?}");
        assert_ne!(said(&answer), "plain");
        assert_eq!(said(&gateway.chat("hi").await), "plain");
    }
    a.next(Act::from(Answer::words(9)).with_interim(103));
    let stream = gateway
        .client()
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(stream.text().matches("word").count(), 9);
    let seen = a.seen();
    assert_eq!((seen.requests, seen.connections), (9, 1));
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_five_seconds_is_waited_for() {
    let a = simulator(Behavior::answering("at last").slowly(ms(6000))).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let since = Instant::now();
    assert_eq!(said(&gateway.chat("hi").await), "at last");
    assert!(since.elapsed() >= ms(6000));
    assert_eq!(a.seen().requests, 1);
}

#[tokio::test]
async fn many_hanging_requests_to_one_provider_do_not_hold_up_another() {
    let (a, b) = (
        simulator(Behavior::hanging()).await,
        simulator(Behavior::answering("b")).await,
    );
    let mut config = model([provider("a", &a, json!({}))]);
    config["other"] = json!({ "providers": [provider("b", &b, json!({}))] });
    let gateway = one_worker(&config);
    let client = gateway.client();
    let mut hanging = Vec::new();
    for _ in 0..150 {
        hanging.push(client.begin_post("/v1/chat/completions", &chat("hi")).await);
    }
    assert!(
        a.wait_until(|seen| seen.in_flight == 150, SOON).await,
        "{:?}",
        a.seen()
    );

    let mut request = chat("hi");
    request["model"] = json!("other");
    let answer = client.post("/v1/chat/completions", &request).await;
    assert_eq!(said(&answer), "b");
    assert_eq!(a.seen().in_flight, 150);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let elsewhere = simulator(Behavior::answering("stolen")).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/chat/completions", elsewhere.endpoint());
        let act = Act::body(status, "text/plain", "").with_header("location", &location);
        let pair = Pair::start(act, json!({})).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(said(&answer), FROM_B, "status {status}");
        assert_eq!(pair.asked(), (1, 1));
    }
    assert_eq!(elsewhere.seen().connections, 0);
}

#[tokio::test]
async fn connections_are_used_again() {
    let a = simulator(Behavior::answering("x")).await;
    let gateway = one_worker(&model([provider("a", &a, json!({}))]));
    for _ in 0..10 {
        assert_eq!(gateway.chat("hi").await.status, 200);
        let stream = gateway
            .client()
            .post("/v1/chat/completions", &chat_stream("hi"))
            .await;
        assert!(stream.ended_cleanly);
    }
    let seen = a.seen();
    assert_eq!((seen.requests, seen.connections), (20, 1));
}

#[tokio::test]
async fn a_kept_connection_that_the_provider_closed_fails_nobody() {
    let a = simulator(Behavior::from(Act::answering("x").closing_idle())).await;
    let gateway = one_worker(&model([provider("a", &a, json!({}))]));
    for round in 1..=10 {
        let answer = gateway.chat("hi").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(a.wait_until(|seen| seen.connections_open == 0, SOON).await);
        assert_eq!(a.seen().requests, round);
    }
    assert_eq!(gateway.standing("a").await["failed"], 0);
}

#[tokio::test]
async fn a_provider_that_resets_every_kept_connection_is_asked_only_once_more() {
    let a = simulator(Act::answering("Hello!").after(ms(50))).await;
    let gateway = one_worker(&model([provider("a", &a, json!({}))]));
    let warm = (0..4).map(|_| gateway.chat("hi"));
    for answer in futures_util::future::join_all(warm).await {
        assert_eq!(answer.status, 200);
    }
    assert_eq!(a.seen().connections_open, 4);

    a.set(Behavior::refusing());
    let answer = gateway.chat("hi").await;

    assert_eq!(answer.status, 502, "{}", answer.text());
    let requests = a.seen().requests;
    assert_eq!(requests, 4 + 2, "a kept connection, and a fresh one");
}

#[tokio::test]
async fn a_connection_whose_answer_broke_off_is_not_used_again() {
    let a = simulator(Behavior::answering("x")).await;
    let gateway = one_worker(&model([provider("a", &a, json!({ "timeout": 0.3 }))]));
    for act in [
        Act::hang(),
        Act::from(Answer::text("y").stall_after(0)),
        Act::bytes(with_head("content-length: 5\r\n", "{}")),
    ] {
        a.next(act);
        assert!(gateway.chat("hi").await.status >= 502);
        // Not the rest of the one before.
        assert_eq!(said(&gateway.chat("hi").await), "x");
    }
}

#[tokio::test]
async fn an_unusually_large_answer_arrives_whole() {
    let a = simulator(Answer::text("ü".repeat(2_000_000))).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let expected = directly(&a, &chat("hi")).await;
    let received = gateway.chat("hi").await;
    assert!(
        received.body == expected.body,
        "{} bytes",
        received.body.len()
    );
}

#[tokio::test]
async fn a_large_question_arrives_whole() {
    let a = simulator(Behavior::answering("x")).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let text = "ä ".repeat(1_000_000);
    assert_eq!(gateway.chat(&text).await.status, 200);
    assert_eq!(a.requests()[0].json()["messages"][0]["content"], text);
}
