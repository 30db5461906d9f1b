//! Everything that can happen to a request, ten thousand times: nothing stays held, and the books agree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CHAT, RARELY};
use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Client;
use crate::support::{Gateway, SOON, global, model, ms, provider};

const TOTAL: usize = 10_000;
const CLIENTS: usize = 100;
const SEED: u64 = 20_261_125;
const ADMIN: &str = "sk-admin-0123456789abcdef";
const KEYS: [(&str, &str); 2] = [
    ("alice", "sk-alice-0123456789abcdef"),
    ("bob", "sk-bob-0123456789abcdef"),
];

/// What each provider does, mostly well.
fn behaviors() -> [Behavior; 5] {
    let words = Answer::words(20).usage(7, 20);
    let overloaded = json!({ "error": { "message": "overloaded", "type": "server_error" } });
    [
        Behavior::new(words.clone()).percent(15, Act::status(500)),
        Behavior::new(words.clone().in_one_write()).percent(4, Act::hang()),
        Behavior::new(words.clone()).percent(20, words.clone().cut_after(5)),
        Behavior::new(Answer::words(8).drip(8, ms(1))).percent(10, words.clone().reset_after(3)),
        Behavior::new(words.clone().error_after(9, overloaded)).percent(90, words),
    ]
}

/// What happens now and then besides.
fn rare(random: &mut Rng) -> Act {
    match random.u8(0..7) {
        0 => Act::refuse(),
        1 => Act::rate_limited(1),
        2 => Act::status(400),
        3 => Act::empty(),
        4 => Act::html(),
        5 => Act::from(Answer::words(9).stall_after(3)),
        _ => Act::answering("slow").after(ms(30)),
    }
}

/// Three windows each, one account for all, places that are sometimes all taken. All limits but the last are
/// high enough.
fn config(simulators: &[Simulator], at_once: u64) -> Value {
    let windows = |much: u64| {
        json!([
            { "id": "second", "every": "1s", "requests": much, "tokens": much * 1000 },
            { "id": "hour", "every": "1h", "requests": much, "output_tokens": much * 1000 },
            { "id": "all", "period_cron": RARELY, "requests": much, "tokens": much * 1000 },
        ])
    };
    let providers = simulators.iter().enumerate().map(|(number, simulator)| {
        provider(
            &format!("p{number}"),
            simulator,
            json!({
                "rate_limit": windows(1_000_000),
                "max_concurrent": at_once,
                "quota_group": { "name": "account", "rate_limit": windows(2_000_000) },
                "timeout": 0.7,
                "retry": number % 2,
            }),
        )
    });
    let clients = KEYS.map(|(name, key)| {
        json!({
            "name": name, "key": key,
            "rate_limit": windows(3_000_000), "max_concurrent": 200,
        })
    });
    let settings = json!({
        "api_keys": clients,
        "admin_key": ADMIN,
        "queue": { "max_wait": 3, "max_waiting": 80 },
        "log_requests": false,
    });
    global(model(providers), settings)
}

/// What the clients saw.
#[derive(Default)]
struct Saw {
    /// Answers that began, by provider.
    begun: BTreeMap<String, u64>,
    /// Answers that began, by client.
    by_key: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<u16, u64>,
    /// Requests that were left before anything was heard of them, by client.
    left: BTreeMap<&'static str, u64>,
}

impl Saw {
    fn head(&mut self, name: &'static str, status: u16, provider: Option<&str>) {
        *self.by_status.entry(status).or_default() += 1;
        if status == 200 {
            let provider = provider.unwrap().to_owned();
            *self.begun.entry(provider).or_default() += 1;
            *self.by_key.entry(name).or_default() += 1;
        }
    }

    fn add(&mut self, other: Saw) {
        let add = |into: &mut BTreeMap<&'static str, u64>, from: BTreeMap<&'static str, u64>| {
            for (key, count) in from {
                *into.entry(key).or_default() += count;
            }
        };
        add(&mut self.by_key, other.by_key);
        add(&mut self.left, other.left);
        for (key, count) in other.begun {
            *self.begun.entry(key).or_default() += count;
        }
        for (key, count) in other.by_status {
            *self.by_status.entry(key).or_default() += count;
        }
    }
}

/// One client's share of the requests.
async fn churn(gateway: Arc<Gateway>, simulators: Arc<Vec<Simulator>>, number: usize) -> Saw {
    let mut random = Rng::with_seed(SEED + number as u64);
    let (name, key) = KEYS[number % KEYS.len()];
    let kept = Client::new(gateway.addr()).with_key(key).keeping_alive();
    let mut saw = Saw::default();
    for _ in 0..TOTAL / CLIENTS {
        if random.u8(0..100) < 2 {
            let simulator = random.usize(..simulators.len());
            simulators[simulator].next(rare(&mut random));
        }
        let mut question = match random.bool() {
            true => chat_stream("hi"),
            false => chat("hi"),
        };
        if random.bool() {
            question["max_tokens"] = json!(random.u32(1..500));
        }
        let patience = ms(random.u64(0..20));
        match random.u8(0..10) {
            // Leaves whatever has happened by then.
            0 => {
                let client = gateway.client().with_key(key);
                let mut stream = client.begin_post(CHAT, &question).await;
                match tokio::time::timeout(patience, stream.await_head()).await {
                    Ok(()) => {
                        let provider = stream.header("x-gateway-provider").map(str::to_owned);
                        saw.head(name, stream.status(), provider.as_deref());
                    }
                    Err(_) => *saw.left.entry(name).or_default() += 1,
                }
            }
            // Leaves in the middle of an answer.
            1 => {
                let client = gateway.client().with_key(key);
                let mut stream = client.begin_post(CHAT, &question).await;
                stream.await_head().await;
                let provider = stream.header("x-gateway-provider").map(str::to_owned);
                saw.head(name, stream.status(), provider.as_deref());
                if stream.status() == 200 {
                    for _ in 0..random.u8(0..4) {
                        stream.read().await;
                    }
                }
            }
            // Hears it to its end, whichever that is.
            _ => {
                let answer = kept.post(CHAT, &question).await;
                saw.head(name, answer.status, answer.header("x-gateway-provider"));
            }
        }
    }
    saw
}

/// Every figure that must be zero once nothing happens any more, with its place.
fn gauges(at: &str, value: &Value, held: &mut Vec<String>) {
    const GAUGES: [&str; 7] = [
        "requests_in_flight",
        "in_flight",
        "tokens_reserved",
        "concurrent",
        "requests_held",
        "tokens_held",
        "waiting",
    ];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                if GAUGES.contains(&name.as_str()) && *value != 0 {
                    held.push(format!("{at}: {value}"));
                }
                gauges(&at, value, held);
            }
        }
        Value::Array(elements) => {
            for (number, value) in elements.iter().enumerate() {
                gauges(&format!("{at}[{number}]"), value, held);
            }
        }
        _ => {}
    }
}

/// All books, once nothing is held.
async fn books(gateway: &Gateway) -> (Value, Value) {
    let operator = gateway.client().with_key(ADMIN);
    let since = Instant::now();
    loop {
        let providers = operator.get("/admin/providers/m").await.json();
        let stats = operator.get("/stats").await.json();
        let mut held = Vec::new();
        gauges("providers", &providers, &mut held);
        gauges("stats", &stats, &mut held);
        if held.is_empty() {
            return (providers, stats);
        }
        assert!(since.elapsed() < SOON, "still held: {held:#?}");
        tokio::time::sleep(ms(20)).await;
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[tokio::test]
async fn whatever_happens_nothing_stays_held_and_the_books_agree() {
    let mut simulators = Vec::new();
    for behavior in behaviors() {
        let simulator = Simulator::start(behavior).await.unwrap();
        simulator.record(false);
        simulators.push(simulator);
    }
    let simulators = Arc::new(simulators);
    let gateway = Arc::new(Gateway::start(&config(&simulators, 25)));
    let since = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..CLIENTS {
        running.spawn(churn(gateway.clone(), simulators.clone(), number));
    }
    // Places come and go meanwhile.
    let reloads = {
        let (gateway, simulators) = (gateway.clone(), simulators.clone());
        tokio::spawn(async move {
            let operator = gateway.client().with_key(ADMIN);
            loop {
                for at_once in [8, 60, 25] {
                    tokio::time::sleep(ms(300)).await;
                    gateway.write_config(&config(&simulators, at_once));
                    let answer = operator.post("/admin/reload", &json!({})).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            }
        })
    };
    let mut saw = Saw::default();
    for one in running.join_all().await {
        saw.add(one);
    }
    assert!(!reloads.is_finished(), "a reload has failed");
    reloads.abort();
    drop(reloads.await);
    let took = since.elapsed();
    println!("{took:?}, {:?}, left {:?}", saw.by_status, saw.left);
    assert!(took < Duration::from_secs(60), "{took:?}");

    let (providers, stats) = books(&gateway).await;
    for simulator in simulators.iter() {
        let over = simulator.wait_until(|seen| seen.in_flight == 0 && seen.streams_open == 0, SOON);
        assert!(over.await, "{:?}", simulator.seen());
    }
    let known = [200, 400, 429, 502, 504];
    assert!(
        saw.by_status.keys().all(|status| known.contains(status)),
        "{:?}",
        saw.by_status
    );
    // It would be no test if nothing had gone wrong.
    assert!(saw.by_status[&200] > 3000, "{:?}", saw.by_status);
    assert!(saw.left.values().sum::<u64>() > 50, "{:?}", saw.left);

    let left: u64 = saw.left.values().sum();
    let mut sums = [0, 0];
    for provider in providers.as_array().unwrap() {
        let name = provider["name"].as_str().unwrap();
        let begun = saw.begun.get(name).copied().unwrap_or_default();
        let counted = number(&provider["requests"]);
        // Each that began counts, and of those that were left before, the ones that were sent.
        assert!(
            counted >= begun && counted <= begun + left,
            "{begun} {left}: {provider}"
        );
        sums[0] += counted;
        sums[1] += number(&provider["tokens"]);
        let windows = provider["windows"].as_array().unwrap();
        let longer: Vec<&Value> = windows.iter().filter(|w| w["id"] != "second").collect();
        assert_eq!(longer.len(), 2);
        for window in longer {
            assert_eq!(window["requests"], provider["requests"], "{provider}");
            assert_eq!(window["tokens"], provider["tokens"], "{provider}");
        }
    }
    let group = &providers[0]["group"];
    assert_eq!(
        [number(&group["requests"]), number(&group["tokens"])],
        sums,
        "{group}"
    );
    let mut of_clients = [0, 0];
    for (name, _) in KEYS {
        let client = &stats["clients"][name];
        let (begun, left) = (saw.by_key[name], saw.left[name]);
        let counted = number(&client["requests"]);
        assert!(
            counted >= begun && counted <= begun + left,
            "{begun} {left}: {client}"
        );
        of_clients[0] += counted;
        of_clients[1] += number(&client["tokens"]);
    }
    assert_eq!(of_clients, sums);
    let requests: u64 = simulators.iter().map(|s| s.seen().requests).sum();
    assert!(requests >= sums[0]);
    let queue = &stats["queues"]["m"];
    assert!(number(&queue["served"]) > 0, "nobody has waited: {queue}");

    let log = gateway.log();
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" ERROR "))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(gateway.read("stderr"), "");
    // What was counted is known to the next process as well.
    let mut gateway = Arc::into_inner(gateway).unwrap();
    assert!(gateway.stop().success());
    gateway.launch();
    let (after, stats_after) = books(&gateway).await;
    for (before, after) in providers
        .as_array()
        .unwrap()
        .iter()
        .zip(after.as_array().unwrap())
    {
        for (before, after) in [(before, after), (&before["group"], &after["group"])] {
            let counted = |of: &Value| (of["requests"].clone(), of["tokens"].clone());
            assert_eq!(counted(before), counted(after), "{before} {after}");
        }
    }
    for (name, _) in KEYS {
        let (before, after) = (&stats["clients"][name], &stats_after["clients"][name]);
        assert_eq!(before["requests"], after["requests"], "{name}");
        assert_eq!(before["tokens"], after["tokens"], "{name}");
    }
}
