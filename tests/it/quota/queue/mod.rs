//! `_global.queue`: who finds no room waits for it, in turn, and no longer than it makes sense.

mod candidates;
mod changes;
mod clients;

use std::time::{Duration, Instant};

use api_gateway::simulator::{Answer, Behavior, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::windows::{arrivals, most_within};
use super::{CHAT, RARELY, assert_spent, settled};
use crate::support::gateway::{chat, chat_stream};
use crate::support::http::{Client, Response, Stream};
use crate::support::{Gateway, SOON, global, model, ms, provider};

/// One at a time.
fn one() -> Value {
    json!({ "max_concurrent": 1 })
}

async fn recording(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

fn config(a: &Simulator, more: Value, queue: Value) -> Value {
    global(model([provider("a", a, more)]), json!({ "queue": queue }))
}

/// A patient queue.
fn patient() -> Value {
    json!({ "max_wait": 30, "max_waiting": 100 })
}

/// The figures of the queue of `m`.
async fn figures(client: &Client) -> Value {
    let stats = client.get("/stats").await;
    assert_eq!(stats.status, 200, "{}", stats.text());
    stats.json()["queues"]["m"].clone()
}

/// Waits until so many wait.
async fn waiting(client: &Client, expected: usize) -> Value {
    let since = Instant::now();
    loop {
        let figures = figures(client).await;
        if figures["waiting"] == expected {
            return figures;
        }
        assert!(since.elapsed() < SOON, "{expected} should wait: {figures}");
        tokio::time::sleep(ms(2)).await;
    }
}

/// Asks and hangs up only when told to.
async fn begin(gateway: &Gateway, key: Option<&str>, question: &Value) -> Stream {
    let client = key.into_iter().fold(gateway.client(), Client::with_key);
    client.begin_post(CHAT, question).await
}

/// Asks in a task of its own.
fn ask(gateway: &Gateway, key: Option<&str>, text: &str) -> JoinHandle<Response> {
    let client = key.into_iter().fold(gateway.client(), Client::with_key);
    let question = chat(text);
    tokio::spawn(async move { client.post(CHAT, &question).await })
}

/// What was asked, in the order in which the provider was.
fn asked(a: &Simulator) -> Vec<String> {
    let text = |request: Value| {
        let text = request["messages"][0]["content"].as_str();
        text.unwrap().to_owned()
    };
    a.requests().iter().map(|r| text(r.json())).collect()
}

/// Nobody waits, and nothing is held.
async fn all_is_over(gateway: &Gateway) -> Value {
    let stats = settled(gateway, "a").await;
    assert_eq!(stats["concurrent"], 0, "{stats}");
    waiting(&gateway.client(), 0).await
}

#[tokio::test]
async fn who_finds_no_room_is_served_in_the_order_of_arrival() {
    let a = recording(Behavior::answering("a").slowly(ms(300))).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let mut running = vec![ask(&gateway, None, "0")];
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    for number in 1..=5 {
        running.push(ask(&gateway, None, &number.to_string()));
        waiting(&gateway.client(), number).await;
    }
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(asked(&a), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(a.seen().peak_in_flight, 1);
    let figures = all_is_over(&gateway).await;
    assert_eq!(
        (&figures["served"], &figures["longest"]),
        (&json!(5), &json!(5)),
        "{figures}"
    );
    for none in ["in_vain", "left", "refused"] {
        assert_eq!(figures[none], 0, "{figures}");
    }
    // The first waited about one answer, the last five.
    let waited = figures["waited_ms"].as_u64().unwrap();
    assert!(waited >= 3000, "{figures}");
}

#[tokio::test]
async fn who_finds_a_window_spent_waits_until_it_gives_back() {
    let a = recording(Behavior::answering("a")).await;
    let limit = json!({ "rate_limit": [{ "every": "1s", "requests": 2 }] });
    let gateway = Gateway::start(&config(&a, limit, patient()));
    let since = Instant::now();
    let running: Vec<_> = (0..6)
        .map(|n| ask(&gateway, None, &n.to_string()))
        .collect();
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let took = since.elapsed();
    assert!(took >= ms(2000) && took < ms(3500), "{took:?}");
    let seen = arrivals(&a);
    assert_eq!(seen.len(), 6);
    assert!(most_within(&seen, Duration::from_secs(1)) <= 2, "{seen:?}");
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn who_leaves_while_he_waits_is_gone_at_once() {
    let a = recording(Behavior::hanging()).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let first = begin(&gateway, None, &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let admin = gateway.client();
    let mut streams = Vec::new();
    for (number, question) in [chat("1"), chat_stream("2"), chat("3")].iter().enumerate() {
        streams.push(begin(&gateway, None, question).await);
        waiting(&admin, number + 1).await;
    }
    // The one in the middle, then the one whose turn is next.
    drop(streams.remove(1));
    assert_eq!(waiting(&admin, 2).await["left"], 1);
    drop(streams.remove(0));
    assert_eq!(waiting(&admin, 1).await["left"], 2);
    a.set(Behavior::answering("a"));
    drop(first);
    let mut last = streams.remove(0);
    last.await_head().await;
    assert_eq!(last.status(), 200);
    assert_eq!(asked(&a), ["first", "3"]);
    let figures = all_is_over(&gateway).await;
    assert_eq!(
        (&figures["served"], &figures["left"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(gateway.stats("a").await["requests"], 2);
}

#[tokio::test]
async fn a_place_is_free_when_the_stream_in_it_has_ended_or_was_left() {
    let a = recording(Answer::words(1000).drip(1000, ms(20))).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let mut stream = begin(&gateway, None, &chat_stream("long")).await;
    assert!(stream.next_event().await.is_some());
    let next = ask(&gateway, None, "next");
    waiting(&gateway.client(), 1).await;
    a.set(Answer::words(5).drip(5, ms(20)));
    drop(stream);
    assert_eq!(next.await.unwrap().status, 200);
    let mut stream = begin(&gateway, None, &chat_stream("short")).await;
    assert!(stream.next_event().await.is_some());
    let mut streamed = begin(&gateway, None, &chat_stream("streamed")).await;
    assert!(stream.rest().await.len() > 2);
    streamed.await_head().await;
    assert_eq!(streamed.status(), 200);
    assert_eq!(streamed.rest().await.last().unwrap(), "[DONE]");
    assert_eq!(a.seen().peak_in_flight, 1);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn no_more_may_wait_than_allowed() {
    let a = recording(Behavior::hanging()).await;
    let queue = json!({ "max_wait": 30, "max_waiting": 2 });
    let gateway = Gateway::start(&config(&a, one(), queue));
    let mut streams = vec![begin(&gateway, None, &chat("0")).await];
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    for number in 1..=2 {
        streams.push(begin(&gateway, None, &chat("waits")).await);
        waiting(&gateway.client(), number).await;
    }
    for refused in 1..=3 {
        let since = Instant::now();
        let answer = gateway.chat("too many").await;
        assert!(since.elapsed() < Duration::from_secs(5));
        assert_eq!(answer.status, 429);
        assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        assert!(answer.header("retry-after").is_some());
        let figures = figures(&gateway.client()).await;
        assert_eq!(figures["refused"], refused, "{figures}");
        assert_eq!(figures["waiting"], 2);
    }
    drop(streams);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_allowed() {
    let a = recording(Behavior::hanging()).await;
    let queue = json!({ "max_wait": 0.4, "max_waiting": 10 });
    let gateway = Gateway::start(&config(&a, one(), queue));
    let first = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let since = Instant::now();
    let running: Vec<_> = (0..4).map(|_| ask(&gateway, None, "waits")).collect();
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 429);
        assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        assert!(answer.header("retry-after").is_some());
    }
    let took = since.elapsed();
    assert!(took >= ms(400) && took < ms(3000), "{took:?}");
    assert_eq!(a.seen().requests, 1);
    let figures = waiting(&gateway.client(), 0).await;
    assert_eq!(figures["in_vain"], 4, "{figures}");
    drop(first);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn what_is_back_only_much_later_is_not_waited_for() {
    let a = recording(Behavior::answering("a").slowly(ms(300))).await;
    let limit = json!({
        "rate_limit": { "requests_per_period": 3, "period_cron": RARELY },
        "max_concurrent": 1,
    });
    let gateway = Gateway::start(&config(&a, limit, patient()));
    // Three may be asked; those behind them find that out when it is their turn, and not after half a minute.
    let since = Instant::now();
    let running: Vec<_> = (0..8).map(|_| ask(&gateway, None, "hi")).collect();
    let mut served = 0;
    for answer in running {
        let answer = answer.await.unwrap();
        match answer.status {
            200 => served += 1,
            _ => {
                let resets_at = gateway.stats("a").await["next_reset"].clone();
                assert_spent(&answer, &resets_at);
            }
        }
    }
    assert_eq!(served, 3);
    assert!(since.elapsed() < Duration::from_secs(8), "{since:?}");
    let since = Instant::now();
    let resets_at = gateway.stats("a").await["next_reset"].clone();
    assert_spent(&gateway.chat("one more").await, &resets_at);
    assert!(since.elapsed() < Duration::from_secs(2));
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn without_a_queue_nobody_waits() {
    let a = recording(Behavior::hanging()).await;
    for queue in [json!(false), Value::Null] {
        let gateway = Gateway::start(&config(&a, one(), queue));
        let first = begin(&gateway, None, &chat("0")).await;
        assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
        let since = Instant::now();
        assert_eq!(gateway.chat("hi").await.status, 429);
        assert!(since.elapsed() < Duration::from_secs(2));
        drop(first);
        assert!(a.wait_until(|seen| seen.in_flight == 0, SOON).await);
        assert_eq!(all_is_over(&gateway).await["longest"], 0);
    }
}

const A: &str = "sk-of-a-0123456789abcdef";
const B: &str = "sk-of-b-0123456789abcdef";
const ADMIN: &str = "sk-admin-0123456789abcdef";
