//! The client leaves: the provider is let go at once, nothing stays held, and nobody is blamed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::gateway::{chat, chat_stream};
use crate::support::pair::simulator;
use crate::support::{Gateway, SOON, model, ms, provider};

/// How soon a provider is let go.
const AT_ONCE: Duration = Duration::from_millis(200);

async fn gateway(a: &Simulator, more: Value) -> Gateway {
    Gateway::start(&model([provider("a", a, more)]))
}

/// Has a client ask, wait for `events` events, and leave, until the provider was let go at once. A busy
/// machine may be late now and then, but not five times.
async fn leaves(gateway: &Gateway, a: &Simulator, request: &Value, events: usize) {
    let mut took = Vec::new();
    for round in 1..=5 {
        let client = gateway.client();
        let mut stream = client.begin_post("/v1/chat/completions", request).await;
        assert!(
            a.wait_until(|seen| seen.in_flight == 1, SOON).await,
            "it was asked"
        );
        for _ in 0..events {
            assert!(stream.next_event().await.is_some());
        }
        let since = Instant::now();
        drop(stream);
        let gone = a.wait_until(|seen| seen.abandoned == round && seen.in_flight == 0, SOON);
        assert!(gone.await, "the provider works on for nobody");
        let late = since.elapsed();
        check_books(gateway, round).await;
        if late < AT_ONCE {
            return;
        }
        took.push(late);
    }
    panic!("let go only after {took:?}");
}

/// Each of the requests was sent, so it counts; none is held; the provider did nothing wrong.
async fn check_books(gateway: &Gateway, requests: u64) {
    let since = Instant::now();
    loop {
        let stats = gateway.stats("a").await;
        if stats["requests_in_flight"] == 0 {
            assert_eq!(stats["requests"], requests, "{stats}");
            assert_eq!(stats["tokens_reserved"], 0, "{stats}");
            break;
        }
        assert!(since.elapsed() < SOON, "still held: {stats}");
        tokio::time::sleep(ms(5)).await;
    }
    let standing = gateway.standing("a").await;
    assert_eq!(standing["failed"], 0, "{standing}");
    assert_eq!(standing["status"], "available", "{standing}");
    gateway.wait_for_log("Client left").await;
}

#[tokio::test]
async fn while_the_head_of_a_plain_answer_is_awaited() {
    let a = simulator(Behavior::hanging()).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat("hi"), 0).await;
    assert_eq!(a.seen().streams_open, 0);
}

#[tokio::test]
async fn while_the_head_of_a_stream_is_awaited() {
    let a = simulator(Behavior::hanging()).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat_stream("hi"), 0).await;
}

#[tokio::test]
async fn while_the_rest_of_a_plain_answer_is_awaited() {
    let a = simulator(Answer::text("half of this").stall_after(0)).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat("hi"), 0).await;
}

#[tokio::test]
async fn while_the_first_words_of_a_stream_are_awaited() {
    let a = simulator(Answer::words(9).stall_after(1)).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat_stream("hi"), 0).await;
}

#[tokio::test]
async fn in_mid_stream() {
    let a = simulator(Answer::words(1000).drip(1000, ms(20))).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat_stream("hi"), 3).await;
    assert_eq!(a.seen().streams_open, 0);
    assert!(
        gateway.stats("a").await["tokens"].as_u64().unwrap() >= 2,
        "what was said is counted"
    );
}

#[tokio::test]
async fn while_a_stream_is_silent() {
    let a = simulator(Answer::words(9).stall_after(3)).await;
    let gateway = gateway(&a, json!({})).await;
    leaves(&gateway, &a, &chat_stream("hi"), 3).await;
    assert_eq!(a.seen().streams_open, 0);
}

#[tokio::test]
async fn during_a_pause_between_attempts() {
    let a = simulator(Behavior::answering("too late")).await;
    a.next(Act::status(503).with_header("retry-after", "4"));
    let gateway = gateway(&a, json!({ "retry": 1 })).await;
    let since = Instant::now();
    let stream = gateway
        .client()
        .begin_post("/v1/chat/completions", &chat("hi"))
        .await;
    assert!(a.wait_until(|seen| seen.failed == 1, SOON).await);
    gateway.wait_for_log("Attempt failed").await;
    drop(stream);
    // The line is written when the request is dropped, and with it the pause.
    gateway.wait_for_log("Client left").await;
    assert!(since.elapsed() < ms(3500), "the pause was cut short");
    let stats = gateway.stats("a").await;
    assert_eq!([&stats["requests"], &stats["requests_in_flight"]], [0, 0]);
    assert_eq!(a.seen().requests, 1);
    // What failed before it left is still the provider's.
    assert_eq!(gateway.standing("a").await["failed"], 1);
}

#[tokio::test]
async fn many_at_once_leave_nothing_behind() {
    let a = simulator(Behavior::hanging()).await;
    let limited =
        json!({ "rate_limit": { "requests_per_period": 60, "tokens_per_period": 100_000 } });
    let gateway = gateway(&a, limited).await;
    let client = gateway.client();
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(client.begin_post("/v1/chat/completions", &chat("hi")).await);
    }
    assert!(a.wait_until(|seen| seen.in_flight == 50, SOON).await);
    assert_eq!(gateway.stats("a").await["requests_in_flight"], 50);
    drop(streams);
    assert!(
        a.wait_until(
            |seen| seen.abandoned == 50 && seen.connections_open == 0,
            SOON
        )
        .await
    );
    check_books(&gateway, 50).await;
    // Ten are left, and not one more.
    a.set(Behavior::answering("x"));
    for n in 0..12 {
        assert_eq!(
            gateway.chat("hi").await.status,
            if n < 10 { 200 } else { 429 }
        );
    }
}

#[tokio::test]
async fn while_the_provider_is_still_being_reached_nothing_counts() {
    // Nobody accepts, and the queue of those who wait to be accepted is full: the next connection hangs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(1).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(waiting)) = timeout(ms(300), TcpStream::connect(addr)).await {
        queue.push(waiting);
    }
    let a = simulator(Behavior::answering("unused")).await;
    let endpoint = json!({ "endpoint": format!("http://{addr}/v1") });
    let gateway = gateway(&a, endpoint).await;

    let stream = gateway
        .client()
        .begin_post("/v1/chat/completions", &chat("hi"))
        .await;
    gateway.wait_for_log("Selected provider").await;
    assert_eq!(gateway.stats("a").await["requests_in_flight"], 1);
    drop(stream);

    gateway.wait_for_log("Client left").await;
    check_books(&gateway, 0).await;
}
