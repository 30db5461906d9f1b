//! The end of the process: killed under load, and told to stop under load.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api_gateway::simulator::{Answer, Behavior, Simulator};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::gateway::{chat, chat_stream};
use crate::support::{Gateway, SOON, model, ms, provider};

const CHAT: &str = "/v1/chat/completions";

/// Half of the clients stream.
const CLIENTS: usize = 16;

/// Requests as one client saw them.
#[derive(Default)]
struct Told {
    /// Of which a part of a 200 arrived.
    answered: AtomicU64,
    /// Which arrived to their end.
    whole: AtomicU64,
    /// Which were sent and got no byte back.
    unanswered: AtomicU64,
}

/// Asks until nobody listens any more. A request that breaks is counted, not a failed test.
async fn hammer(addr: SocketAddr, question: Value, told: Arc<Told>) {
    let body = question.to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    while let Ok(mut socket) = TcpStream::connect(addr).await {
        if socket.write_all(request.as_bytes()).await.is_err() {
            told.unanswered.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let mut answer = Vec::new();
        let read = timeout(SOON, socket.read_to_end(&mut answer)).await;
        let ended = read.expect("an answer ends").is_ok();
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
            told.unanswered.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        told.answered.fetch_add(1, Ordering::Relaxed);
        let last: &[u8] = if question["stream"] == true {
            b"data: [DONE]\n\n\r\n0\r\n\r\n"
        } else {
            b"}"
        };
        if ended && answer.ends_with(last) {
            told.whole.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Clients that ask until the gateway is gone.
fn load(gateway: &Gateway, told: &Arc<Told>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let question = if client % 2 == 0 {
            chat("hi")
        } else {
            chat_stream("hi")
        };
        clients.spawn(hammer(gateway.addr(), question, Arc::clone(told)));
    }
    clients
}

async fn wait_answered(told: &Told, count: u64) {
    let enough = async {
        while told.answered.load(Ordering::Relaxed) < count {
            tokio::time::sleep(ms(1)).await;
        }
    };
    timeout(SOON, enough).await.expect("answers");
}

/// What lies under `data/usage`, one name for all segments of the journal.
fn left_over(gateway: &Gateway) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["data/usage", "data/usage/m", "data/usage/journal"] {
        for entry in std::fs::read_dir(gateway.path(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            found.insert(format!("{folder}/{name}"));
        }
    }
    found
}

#[tokio::test]
async fn twenty_kills_under_load_lose_no_answer_that_a_client_saw() {
    let simulator = Simulator::start(Answer::words(4)).await.unwrap();
    simulator.record(false);
    let unlimited = json!({ "rate_limit": { "period_cron": "0 0 29 2 *" } });
    let mut gateway = Gateway::start(&model([
        provider("a", &simulator, unlimited.clone()),
        provider("b", &simulator, unlimited),
    ]));
    let told = Arc::new(Told::default());

    for round in 1..=20 {
        let before = told.answered.load(Ordering::Relaxed);
        let clients = load(&gateway, &told);
        wait_answered(&told, before + 150).await;
        gateway.kill();
        clients.join_all().await;
        for name in ["a", "b"] {
            let file = gateway.read(&format!("data/usage/m/{name}.json"));
            assert!(serde_json::from_str::<Value>(&file).is_ok(), "{file:?}");
        }
        gateway.launch();

        let answered = told.answered.load(Ordering::Relaxed);
        let (a, b) = (gateway.stats("a").await, gateway.stats("b").await);
        let counted = a["requests"].as_u64().unwrap() + b["requests"].as_u64().unwrap();
        assert!(counted >= answered, "{round}: {counted} < {answered}");
        let seen = simulator.seen().requests;
        assert!(counted <= seen, "{round}: {counted} > {seen}");
        for stats in [a, b] {
            assert_eq!(
                (&stats["requests_in_flight"], &stats["tokens_reserved"]),
                (&json!(0), &json!(0))
            );
        }
        // The files know by now what only the journal knew, and it has begun anew.
        let segments = left_over(&gateway);
        let names: Vec<&str> = segments
            .iter()
            .map(|path| path.rsplit_once('/').unwrap().1)
            .filter(|name| !name.ends_with(".log"))
            .collect();
        assert_eq!(names, ["journal", "m", "a.json", "b.json"], "{round}");
        let logs = segments.iter().filter(|path| path.ends_with(".log"));
        assert_eq!(logs.count(), 1, "{segments:?}");
    }
    let whole = told.whole.load(Ordering::Relaxed);
    assert!(whole >= 20 * (150 - CLIENTS as u64), "{whole}");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_limit_does_not_pass_it() {
    let simulator = Simulator::start(Answer::words(2)).await.unwrap();
    let limit =
        json!({ "rate_limit": { "requests_per_period": 100, "period_cron": "0 0 29 2 *" } });
    let mut gateway = Gateway::start(&model([provider("a", &simulator, limit)]));
    let mut answered = 0;
    for _ in 0..4 {
        for _ in 0..30 {
            answered += u64::from(gateway.chat("hi").await.status == 200);
        }
        gateway.kill();
        gateway.launch();
        assert_eq!(gateway.stats("a").await["requests"], answered);
    }
    assert_eq!(answered, 100);
    assert_eq!(simulator.seen().requests, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_answers_what_was_accepted_and_counts_it_exactly() {
    let simulator = Simulator::start(Answer::words(6).drip(6, ms(20)))
        .await
        .unwrap();
    simulator.record(false);
    let mut gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let told = Arc::new(Told::default());
    let clients = load(&gateway, &told);
    wait_answered(&told, 100).await;
    assert!(simulator.wait_until(|seen| seen.in_flight >= 8, SOON).await);

    // Blocks this thread; providers and clients are on others.
    assert_eq!(gateway.stop().code(), Some(0));
    clients.join_all().await;
    let seen = simulator.seen();
    let count = |what: &AtomicU64| what.load(Ordering::Relaxed);
    assert_eq!(count(&told.whole), count(&told.answered), "none broke off");
    assert_eq!(
        (seen.answered, seen.failed, seen.abandoned),
        (count(&told.answered), 0, 0)
    );
    gateway.launch();
    let stats = gateway.stats("a").await;
    assert_eq!(stats["requests"], seen.answered);
    assert_eq!(stats["tokens"], seen.answered * 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_streams_and_slow_answers_and_takes_no_new_requests() {
    let simulator = Simulator::start(Answer::words(20).drip(20, ms(50)))
        .await
        .unwrap();
    simulator.next(Behavior::answering("slow").slowly(ms(700)).act);
    let mut gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let client = gateway.client();
    let mut plain = client.begin_post(CHAT, &chat("hi")).await;
    assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let mut stream = client.post_stream(CHAT, &chat_stream("hi")).await;
    stream.next_event().await.unwrap();
    let idle = client.raw(b"").await;

    gateway.signal("TERM");

    gateway.wait_for_log("Stopping").await;
    let refused = async {
        while TcpStream::connect(gateway.addr()).await.is_ok() {
            tokio::time::sleep(ms(5)).await;
        }
    };
    timeout(SOON, refused).await.expect("the port is closed");
    assert_eq!(simulator.seen().in_flight, 2, "both are still under way");
    idle.await_silent_end().await;
    plain.await_head().await;
    while plain.read().await.is_some() {}
    assert_eq!((plain.status(), plain.ended_cleanly()), (200, true));
    let events = stream.rest().await;
    assert!(events.len() > 20, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(stream.ended_cleanly());
    drop((plain, stream));
    assert_eq!(gateway.wait_exit(SOON).code(), Some(0));
    let file: Value = serde_json::from_str(&gateway.read("data/usage/m/a.json")).unwrap();
    assert_eq!(
        (&file["requests"], &file["tokens"]),
        (&json!(2), &json!(60))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait() {
    let simulator = Simulator::start(Answer::words(3).stall_after(2))
        .await
        .unwrap();
    let mut gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let mut stream = gateway.client().post_stream(CHAT, &chat_stream("hi")).await;
    stream.next_event().await.unwrap();
    gateway.signal("TERM");
    gateway.wait_for_log("Stopping").await;
    gateway.signal("TERM");
    assert_eq!(gateway.wait_exit(SOON).code(), Some(0));
    let file: Value = serde_json::from_str(&gateway.read("data/usage/m/a.json")).unwrap();
    assert_eq!(file["requests"], 1);
}
