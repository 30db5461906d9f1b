//! `_global.queue`: who finds no room waits for it, in turn, and no longer than it makes sense.

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

/// The same for two clients with keys of their own, of which the first may have limits.
fn keyed(a: &Simulator, limits: Value, queue: Value) -> Value {
    let mut first = json!({ "name": "a", "key": A });
    let limits = limits.as_object().unwrap().clone();
    first.as_object_mut().unwrap().extend(limits);
    let settings = json!({
        "queue": queue,
        "admin_key": ADMIN,
        "api_keys": [first, { "name": "b", "key": B }],
    });
    global(model([provider("a", a, one())]), settings)
}

#[tokio::test]
async fn a_flood_of_one_client_does_not_keep_another_waiting() {
    let a = recording(Behavior::answering("a").slowly(ms(60))).await;
    let gateway = Gateway::start(&keyed(&a, json!({}), patient()));
    let admin = gateway.client().with_key(ADMIN);
    a.set(Behavior::hanging());
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut running: Vec<_> = (0..30).map(|_| ask(&gateway, Some(A), "of a")).collect();
    waiting(&admin, 30).await;
    running.push(ask(&gateway, Some(B), "of b"));
    waiting(&admin, 31).await;
    a.set(Behavior::answering("a").slowly(ms(10)));
    drop(first);
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let asked = asked(&a);
    let place = asked.iter().position(|text| text == "of b").unwrap();
    // After the one that was being answered, and at most one of the flood.
    assert!((1..=2).contains(&place), "{place}: {asked:?}");
    assert_eq!(asked.len(), 32);
    let figures = waiting(&admin, 0).await;
    assert_eq!(
        (&figures["served"], &figures["longest"]),
        (&json!(31), &json!(31))
    );
    let clients = admin.get("/stats").await.json()["clients"].clone();
    assert_eq!(clients["a"]["requests"], 31);
    assert_eq!(clients["b"]["requests"], 1);
}

#[tokio::test]
async fn a_full_queue_has_a_place_for_who_waits_least() {
    let a = recording(Behavior::hanging()).await;
    let queue = json!({ "max_wait": 30, "max_waiting": 4 });
    let gateway = Gateway::start(&keyed(&a, json!({}), queue));
    let admin = gateway.client().with_key(ADMIN);
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut flood = Vec::new();
    for number in 1..=4 {
        flood.push(ask(&gateway, Some(A), &format!("a{number}")));
        waiting(&admin, number).await;
    }
    let other = ask(&gateway, Some(B), "b");
    // The last of the flood has to go for it.
    let sent_away = flood.pop().unwrap().await.unwrap();
    assert_eq!(sent_away.status, 429);
    assert!(sent_away.header("retry-after").is_some());
    waiting(&admin, 4).await;
    a.set(Behavior::answering("a"));
    drop(first);
    assert_eq!(other.await.unwrap().status, 200);
    for answer in flood {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert_eq!(asked(&a), ["first", "a1", "b", "a2", "a3"]);
    waiting(&admin, 0).await;
}

#[tokio::test]
async fn who_waits_holds_a_place_of_his_own_limit_and_gives_it_back() {
    let a = recording(Behavior::hanging()).await;
    let limits = json!({
        "max_concurrent": 2,
        "rate_limit": { "requests_per_period": 3, "period_cron": RARELY },
    });
    let queue = json!({ "max_wait": 0.5, "max_waiting": 4 });
    let gateway = Gateway::start(&keyed(&a, limits, queue));
    let admin = gateway.client().with_key(ADMIN);
    let first = begin(&gateway, Some(A), &chat("first")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let second = ask(&gateway, Some(A), "waits in vain");
    waiting(&admin, 1).await;
    let third = ask(&gateway, Some(A), "more than two").await.unwrap();
    assert_eq!(third.status, 429);
    let said = third.json()["error"]["message"].clone();
    assert!(said.as_str().unwrap().contains("at once"), "{said}");
    assert_eq!(second.await.unwrap().status, 429);
    drop(first);
    a.set(Behavior::answering("a"));
    let since = Instant::now();
    loop {
        let clients = admin.get("/stats").await.json()["clients"].clone();
        if clients["a"]["concurrent"] == 0 {
            // What waited in vain is not charged, and who left after he was served is.
            assert_eq!(clients["a"]["requests"], 1, "{clients}");
            assert_eq!(clients["a"]["tokens_reserved"], 0, "{clients}");
            break;
        }
        assert!(since.elapsed() < SOON, "still held: {clients}");
        tokio::time::sleep(ms(5)).await;
    }
    for status in [200, 200, 429] {
        let answer = ask(&gateway, Some(A), "again").await.unwrap();
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn a_reload_loses_nobody_who_waits_and_more_room_is_used_at_once() {
    let a = recording(Behavior::hanging()).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let first = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut running = Vec::new();
    for number in 1..=4 {
        running.push(ask(&gateway, None, &number.to_string()));
        waiting(&gateway.client(), number).await;
    }
    a.set(Behavior::answering("a").slowly(ms(200)));
    let reload = async |config: &Value| {
        gateway.write_config(config);
        let answer = gateway.client().post("/admin/reload", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // Something else has changed; they still wait, with those who came after it behind them.
    reload(&config(
        &a,
        json!({ "max_concurrent": 1, "weight": 7 }),
        patient(),
    ))
    .await;
    running.push(ask(&gateway, None, "5"));
    waiting(&gateway.client(), 5).await;
    assert_eq!(a.seen().requests, 1);
    // The first is never answered, so these are served by the room that was added.
    reload(&config(&a, json!({ "max_concurrent": 3 }), patient())).await;
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    // The order in which two that go at once arrive is not ours.
    let asked = asked(&a);
    assert_eq!((asked.len(), asked[0].as_str()), (6, "0"));
    assert_eq!(asked[5], "5", "{asked:?}");
    assert_eq!(a.seen().peak_in_flight, 3);
    drop(first);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn who_waits_for_a_provider_that_a_reload_removes_is_still_served() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::answering("b")).await;
    let gateway = Gateway::start(&config(&a, one(), patient()));
    let first = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let waits = ask(&gateway, None, "1");
    waiting(&gateway.client(), 1).await;
    a.set(Behavior::answering("a"));
    let other = global(
        model([provider("b", &b, json!({}))]),
        json!({ "queue": false }),
    );
    gateway.write_config(&other);
    let answer = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(answer.status, 200);
    // Whoever comes now finds the new provider free and the queue switched off.
    let new = gateway.chat("2").await;
    assert_eq!(new.header("x-gateway-provider"), Some("b"));
    drop(first);
    let answer = waits.await.unwrap();
    assert_eq!(
        (answer.status, answer.header("x-gateway-provider")),
        (200, Some("a"))
    );
    waiting(&gateway.client(), 0).await;
}

#[tokio::test]
async fn those_who_wait_when_the_gateway_is_stopped_are_served_first() {
    let a = recording(Behavior::answering("a").slowly(ms(200))).await;
    let mut gateway = Gateway::start(&config(&a, one(), patient()));
    let mut running = vec![ask(&gateway, None, "0")];
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    for number in 1..=3 {
        running.push(ask(&gateway, None, &number.to_string()));
        waiting(&gateway.client(), number).await;
    }
    gateway.signal("TERM");
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.ended_cleanly);
    }
    let status = tokio::task::spawn_blocking(move || {
        let status = gateway.wait_exit(2 * SOON);
        (status, gateway)
    });
    let (status, _gateway) = status.await.unwrap();
    assert!(status.success());
    assert_eq!(asked(&a), ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn who_waits_takes_whichever_provider_has_room_first() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::hanging()).await;
    let both = model([
        provider("a", &a, one()),
        provider("b", &b, json!({ "max_concurrent": 1, "priority": 2 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let at_a = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let at_b = begin(&gateway, None, &chat("1")).await;
    assert!(b.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let waits = ask(&gateway, None, "2");
    waiting(&gateway.client(), 1).await;
    b.set(Behavior::answering("b"));
    drop(at_b);
    let answer = waits.await.unwrap();
    assert_eq!(answer.header("x-gateway-provider"), Some("b"));
    // One that fails is not waited for again, but the other is.
    let at_b = {
        b.set(Behavior::hanging());
        let at_b = begin(&gateway, None, &chat("3")).await;
        assert!(b.wait_until(|seen| seen.in_flight == 1, SOON).await);
        at_b
    };
    let waits = ask(&gateway, None, "4");
    waiting(&gateway.client(), 1).await;
    a.set(Behavior::status(500));
    drop(at_a);
    assert!(a.wait_until(|seen| seen.failed == 1, SOON).await);
    waiting(&gateway.client(), 1).await;
    b.set(Behavior::answering("b"));
    drop(at_b);
    let answer = waits.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-provider"), Some("b"));
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn who_waits_for_one_provider_does_not_hold_up_those_whom_another_serves() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::answering("b")).await;
    let both = model([
        provider("a", &a, one()),
        provider("b", &b, json!({ "max_context_length": 1000 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let long = "word ".repeat(5000);
    let first = begin(&gateway, None, &chat(&long)).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    // Too long for b.
    let waits = begin(&gateway, None, &chat(&long)).await;
    waiting(&gateway.client(), 1).await;
    let since = Instant::now();
    let short = gateway.chat("short").await;
    assert_eq!(short.header("x-gateway-provider"), Some("b"));
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    drop((first, waits));
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn a_place_of_an_account_that_another_model_gives_back_is_taken_at_once() {
    let a = recording(Behavior::answering("a")).await;
    let of = |name: &str| {
        let group = json!({ "name": "account", "max_concurrent": 1 });
        json!({ "providers": [provider(name, &a, json!({ "quota_group": group }))] })
    };
    let config = json!({ "m": of("a"), "other": of("b") });
    let gateway = Gateway::start(&global(config, json!({ "queue": patient() })));
    let mut took = Vec::new();
    for _ in 0..5 {
        a.set(Behavior::hanging());
        let mut question = chat("first");
        question["model"] = json!("other");
        let first = begin(&gateway, None, &question).await;
        assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
        let waits = ask(&gateway, None, "second");
        waiting(&gateway.client(), 1).await;
        a.set(Behavior::answering("a"));
        let since = Instant::now();
        drop(first);
        assert_eq!(waits.await.unwrap().status, 200);
        took.push(since.elapsed());
    }
    // A busy machine may be late now and then.
    assert!(took.iter().any(|took| *took < ms(200)), "{took:?}");
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn a_window_of_an_account_is_waited_for_by_all_its_models() {
    let a = recording(Behavior::answering("a")).await;
    let of = |name: &str| {
        let limit = json!([{ "every": "1s", "requests": 2 }]);
        let group = json!({ "name": "account", "rate_limit": limit });
        json!({ "providers": [provider(name, &a, json!({ "quota_group": group }))] })
    };
    let config = json!({ "m": of("a"), "other": of("b") });
    let gateway = Gateway::start(&global(config, json!({ "queue": patient() })));
    let since = Instant::now();
    let mut running = Vec::new();
    for number in 0..8 {
        let mut question = chat("hi");
        question["model"] = json!(["m", "other"][number % 2]);
        let client = gateway.client();
        running.push(tokio::spawn(
            async move { client.post(CHAT, &question).await },
        ));
    }
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let took = since.elapsed();
    assert!(took >= ms(3000) && took < ms(6000), "{took:?}");
    assert!(most_within(&arrivals(&a), Duration::from_secs(1)) <= 2);
    all_is_over(&gateway).await;
}

/// Sends these questions, all at once, and expects that each is answered.
async fn all_are_served(gateway: &Gateway, questions: Vec<Value>) {
    let running: Vec<_> = questions
        .into_iter()
        .map(|question| {
            let client = gateway.client();
            tokio::spawn(async move { client.post(CHAT, &question).await })
        })
        .collect();
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let figures = all_is_over(gateway).await;
    assert!(figures["served"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(figures["in_vain"], 0, "{figures}");
}

#[tokio::test]
async fn whoever_waits_for_whatever_all_are_served() {
    // Both take short prompts, one takes long ones; each has two places.
    let a = recording(Behavior::answering("a").slowly(ms(10))).await;
    let b = recording(Behavior::answering("b").slowly(ms(10))).await;
    let small = json!({ "max_concurrent": 2, "max_context_length": 1000 });
    let both = model([
        provider("a", &a, json!({ "max_concurrent": 2 })),
        provider("b", &b, small),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let long = "word ".repeat(3000);
    let questions = (0..90).map(|number| match number % 3 {
        0 => chat(&long),
        1 => chat("short"),
        _ => chat_stream("short"),
    });
    all_are_served(&gateway, questions.collect()).await;
    assert_eq!(a.seen().peak_in_flight, 2);
    assert_eq!(b.seen().peak_in_flight, 2);
    assert!(b.seen().requests >= 20, "{:?}", b.seen());
    settled(&gateway, "b").await;
}

#[tokio::test]
async fn behind_a_provider_that_always_fails_all_wait_for_the_other() {
    let a = recording(Behavior::status(500)).await;
    let b = recording(Behavior::answering("b").slowly(ms(10))).await;
    let both = model([
        provider("a", &a, json!({})),
        provider("b", &b, json!({ "max_concurrent": 2, "priority": 2 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let questions = (0..90).map(|number| chat(&number.to_string()));
    all_are_served(&gateway, questions.collect()).await;
    assert_eq!(b.seen().peak_in_flight, 2);
    assert_eq!(b.seen().answered, 90);
}
