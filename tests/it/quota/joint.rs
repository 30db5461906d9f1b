//! Several gateways with one Redis: the sum of what they serve is exact, whatever happens to any of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CHAT, RARELY, requests, settled, simulator};
use crate::support::gateway::{chat, global};
use crate::support::http::Client;
use crate::support::redis::Redis;
use crate::support::{Gateway, SOON, model, ms, provider};

/// A gateway that shares `a` by this Redis.
fn gateway(redis: &Redis, on_error: &str, a: &Simulator, more: Value) -> Gateway {
    let state = json!({ "backend": "redis", "url": redis.url(), "on_error": on_error, "lease": 2 });
    Gateway::start(&global(
        model([provider("a", a, more)]),
        json!({ "state": state }),
    ))
}

/// Waits until the state is reached: a new server waits a moment for those who may have known it before.
async fn ready(gateways: &[Gateway]) {
    for gateway in gateways {
        let since = Instant::now();
        loop {
            let health = gateway.client().get("/health").await.json();
            if health["status"] == "healthy" {
                break;
            }
            assert!(since.elapsed() < SOON, "{health}");
            tokio::time::sleep(ms(10)).await;
        }
    }
}

/// Waits until a gateway has noticed that its state is away.
async fn degraded(gateway: &Gateway) {
    let since = Instant::now();
    loop {
        let health = gateway.client().get("/health").await.json();
        if health["problems"] == json!(["the shared state cannot be reached"]) {
            break;
        }
        assert!(since.elapsed() < SOON, "{health}");
        tokio::time::sleep(ms(10)).await;
    }
}

/// What clients of all gateways got, until one says that all is spent.
struct Load {
    spent: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    running: JoinSet<()>,
}

impl Load {
    fn start(gateways: &[Gateway], clients: usize) -> Load {
        let mut load = Load {
            spent: Arc::default(),
            answered: Arc::default(),
            running: JoinSet::new(),
        };
        for number in 0..clients {
            let client = Client::new(gateways[number % gateways.len()].addr()).keeping_alive();
            let (spent, answered) = (load.spent.clone(), load.answered.clone());
            load.running.spawn(async move {
                while !spent.load(Ordering::Relaxed) {
                    let answer = client.post(CHAT, &chat("hi")).await;
                    match answer.status {
                        200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        429 if answer.header("x-should-retry") == Some("false") => {
                            spent.store(true, Ordering::Relaxed);
                        }
                        429 | 503 => tokio::time::sleep(ms(20)).await,
                        other => panic!("{other}: {}", answer.text()),
                    }
                }
            });
        }
        load
    }

    async fn reaches(&self, count: usize, patience: Duration) {
        let since = Instant::now();
        while self.answered.load(Ordering::Relaxed) < count {
            assert!(since.elapsed() < patience, "{:?}", self.answered);
            tokio::time::sleep(ms(5)).await;
        }
    }

    async fn ends(mut self, patience: Duration) -> usize {
        let ended = async { while self.running.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(patience, ended).await;
        assert!(ended.is_ok(), "not spent after {patience:?}");
        self.answered.load(Ordering::Relaxed)
    }
}

fn three(redis: &Redis, on_error: &str, a: &Simulator, more: &Value) -> Vec<Gateway> {
    (0..3)
        .map(|_| gateway(redis, on_error, a, more.clone()))
        .collect()
}

#[tokio::test]
async fn three_gateways_with_300_clients_serve_exactly_what_there_is() {
    let redis = Redis::start();
    let a = simulator(Behavior::answering("a")).await;
    let limits = json!({ "rate_limit": [
        { "id": "all", "requests": 2000, "tokens": 1_000_000, "period_cron": RARELY },
        { "every": "1s", "requests": 900 },
        { "every": "5s", "tokens": 1_000_000 },
    ] });
    let gateways = three(&redis, "refuse", &a, &limits);
    ready(&gateways).await;
    let answered = Load::start(&gateways, 300)
        .ends(Duration::from_secs(60))
        .await;
    assert_eq!(answered, 2000);
    assert_eq!(a.seen().requests, 2000);
    for gateway in &gateways {
        // Each soon knows what all have used.
        let since = Instant::now();
        while settled(gateway, "a").await["requests"] != 2000 {
            assert!(since.elapsed() < SOON, "{}", gateway.stats("a").await);
            tokio::time::sleep(ms(20)).await;
        }
        assert_eq!(gateway.chat("one more").await.status, 429);
    }
}

async fn a_redis_that_is_killed_in_between(mut redis: Redis, on_error: &str) {
    let a = simulator(Behavior::answering("a")).await;
    let limits = requests(3000);
    let gateways = three(&redis, on_error, &a, &limits);
    ready(&gateways).await;
    let load = Load::start(&gateways, 300);
    for count in [500, 1200] {
        load.reaches(count, Duration::from_secs(30)).await;
        redis.kill();
        tokio::time::sleep(ms(300)).await;
        redis.launch();
    }
    let answered = load.ends(Duration::from_secs(90)).await;
    assert!(answered <= 3000, "{answered}");
    assert_eq!(a.seen().answered as usize, answered);
    // What was set aside for the time without Redis may stay unused if its owner died; here nobody did.
    assert_eq!(answered, 3000);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_told_what_was_used() {
    a_redis_that_is_killed_in_between(Redis::start(), "refuse").await;
}

#[tokio::test]
async fn a_redis_that_keeps_its_data_goes_on_where_it_was() {
    a_redis_that_is_killed_in_between(Redis::keeping(), "local").await;
}

#[tokio::test]
async fn what_a_dead_gateway_held_comes_back() {
    let redis = Redis::start();
    let a = simulator(Behavior::answering("a")).await;
    let limits = requests(30);
    let mut gateways = three(&redis, "refuse", &a, &limits);
    ready(&gateways).await;
    // The first holds ten when it is killed.
    a.set(Behavior::hanging());
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(gateways[0].client().begin_post(CHAT, &chat("hi")).await);
    }
    assert!(a.wait_until(|seen| seen.in_flight == 10, SOON).await);
    // What it was granted beyond that it gives back soon; what it still has when it dies stays counted.
    tokio::time::sleep(ms(1500)).await;
    gateways[0].kill();
    drop(held);
    a.set(Behavior::answering("a"));
    let rest = gateways.split_off(1);
    let answered = Load::start(&rest, 20).ends(Duration::from_secs(30)).await;
    assert_eq!(answered, 30);
}

#[tokio::test]
async fn without_redis_a_gateway_refuses_or_serves_a_share_that_it_had_before() {
    for (on_error, serves) in [("refuse", false), ("local", true)] {
        let mut redis = Redis::start();
        let a = simulator(Behavior::answering("a")).await;
        let gateways = vec![gateway(&redis, on_error, &a, requests(1000))];
        ready(&gateways).await;
        let gateway = &gateways[0];
        // Some traffic, so that there is a pace to set something aside for.
        let load = Load::start(&gateways, 4);
        load.reaches(100, SOON).await;
        redis.kill();
        degraded(gateway).await;
        load.spent.store(true, Ordering::Relaxed);
        load.ends(SOON).await;
        let before = a.seen().requests;
        let mut last = gateway.chat("hi").await;
        while last.status == 200 {
            last = gateway.chat("hi").await;
        }
        let served = a.seen().requests - before;
        assert_eq!(last.status, 503, "{}", last.text());
        assert_eq!(last.header("retry-after"), Some("1"));
        assert!(serves || served == 0, "{served}");
        assert!(a.seen().requests <= 1000);
        degraded(gateway).await;
        // And it goes on by itself.
        redis.launch();
        ready(&gateways).await;
        let answered = Load::start(&gateways, 20)
            .ends(Duration::from_secs(30))
            .await;
        assert!(answered > 0);
        assert_eq!(a.seen().requests, 1000);
    }
}

#[tokio::test]
async fn requests_at_once_are_bounded_over_all_gateways() {
    let redis = Redis::start();
    let a = simulator(Behavior::answering("a").slowly(ms(10))).await;
    let gateways = three(&redis, "refuse", &a, &json!({ "max_concurrent": 5 }));
    ready(&gateways).await;
    let load = Load::start(&gateways, 30);
    load.reaches(150, Duration::from_secs(30)).await;
    load.spent.store(true, Ordering::Relaxed);
    load.ends(SOON).await;
    assert!(a.seen().peak_in_flight <= 5, "{}", a.seen().peak_in_flight);
    for gateway in &gateways {
        assert_eq!(gateway.standing("a").await["concurrent"], 0);
    }
}

/// How many commands a server has run.
fn commands(redis: &Redis, name: &str) -> u64 {
    let said = redis.say(&["info", "commandstats"]);
    let found = said
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")))
        .and_then(|rest| rest.split(',').next()?.parse().ok());
    found.unwrap_or(0)
}

#[tokio::test]
async fn a_busy_counter_costs_far_less_than_one_round_trip_for_each_request() {
    let redis = Redis::start();
    let a = simulator(Behavior::answering("a")).await;
    let gateways = vec![gateway(&redis, "refuse", &a, requests(1_000_000))];
    ready(&gateways).await;
    // It learns the pace first.
    let load = Load::start(&gateways, 32);
    load.reaches(1000, Duration::from_secs(30)).await;
    let before = commands(&redis, "evalsha");
    load.reaches(5000, Duration::from_secs(60)).await;
    let asked = commands(&redis, "evalsha") - before;
    load.spent.store(true, Ordering::Relaxed);
    load.ends(SOON).await;
    assert!(asked < 400, "{asked} for 4000 requests");
    // Who has nothing to do soon says nothing any more, but that a backup is fetched each second.
    let since = Instant::now();
    loop {
        let before = commands(&redis, "evalsha");
        tokio::time::sleep(ms(1000)).await;
        let idle = commands(&redis, "evalsha") - before;
        if idle <= 2 {
            break;
        }
        assert!(since.elapsed() < SOON, "{idle} in an idle second");
    }
}

#[tokio::test]
async fn who_leaves_the_configuration_and_comes_back_has_used_what_it_had() {
    let redis = Redis::start();
    let a = simulator(Behavior::answering("a")).await;
    let gateways = vec![gateway(&redis, "refuse", &a, requests(5))];
    ready(&gateways).await;
    let gateway = &gateways[0];
    let with = serde_json::from_str::<Value>(&gateway.read("provider.json")).unwrap();
    let mut without = with.clone();
    without["m"]["providers"][0]["name"] = json!("b");
    let names = async || {
        let stats = gateway.client().get("/admin/stats").await.json();
        stats["m"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    for round in 0..2 {
        let mut served = 0;
        while gateway.chat("hi").await.status == 200 {
            served += 1;
        }
        assert_eq!(served, if round == 0 { 5 } else { 0 });
        for (config, name) in [(&without, "b"), (&with, "a")] {
            gateway.write_config(config);
            let since = Instant::now();
            while names().await != [name] {
                assert!(since.elapsed() < SOON);
                tokio::time::sleep(ms(20)).await;
            }
            // Longer than it takes to let go of what is not configured.
            tokio::time::sleep(ms(2_500)).await;
        }
    }
}
