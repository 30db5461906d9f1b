//! What a new configuration does to requests, streams, counts and health; and what a broken one does not.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_gateway::simulator::{Act, Answer, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{named, reload, simulator};
use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Client;
use crate::support::{Gateway, SOON, model, ms, provider};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn a_reload_over_http_serves_by_the_new_file_at_once() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("old", &simulator));
    gateway.write_config(&named("new", &simulator));
    let reloaded = reload(&gateway).await;
    assert_eq!(reloaded.status, 200);
    assert_eq!(
        reloaded.json(),
        json!({
            "status": "ok",
            "message": "Configuration reloaded",
            "added": ["new/a"],
            "updated": [],
            "removed": ["old/a"],
            "warnings": [],
        })
    );
    assert_eq!(gateway.client().get("/v1/models/new").await.status, 200);
    assert_eq!(gateway.client().get("/v1/models/old").await.status, 404);
}

#[tokio::test]
async fn a_reload_over_http_tells_its_warnings() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("m", &simulator));
    let misspelt = model([provider("a", &simulator, json!({ "wieght": 1 }))]);
    gateway.write_config(&misspelt);
    let warnings = reload(&gateway).await.json()["warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(1));
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.contains("m.providers[0].wieght: found an unknown key"));
    assert!(warning.contains("did you mean `weight`?"));
}

#[tokio::test]
async fn two_hundred_reloads_under_load_fail_no_request() {
    let simulators = [simulator("hi").await, simulator("hi").await];
    let config = |round: usize| {
        let mut providers = vec![provider(
            "a",
            &simulators[0],
            json!({ "weight": 1 + round % 3 }),
        )];
        if round % 2 == 1 {
            providers.push(provider(
                "b",
                &simulators[1],
                json!({ "priority": round % 4 }),
            ));
        }
        let mut config = model(providers);
        config[format!("extra-{}", round % 5)] = config["m"].clone();
        config
    };
    let gateway = Gateway::start(&config(0));
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let question = if client % 2 == 0 {
            chat("hi")
        } else {
            chat_stream("hi")
        };
        let (addr, done) = (gateway.addr(), Arc::clone(&done));
        clients.spawn(async move {
            let client = Client::new(addr).keeping_alive();
            let mut answered = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let answer = client.post(CHAT, &question).await;
                assert_eq!(answer.status, 200, "{:?}", answer.body);
                assert!(answer.ended_cleanly);
                answered += 1;
            }
            answered
        });
    }

    for round in 1..=200 {
        gateway.write_config(&config(round));
        let reloaded = reload(&gateway).await;
        assert_eq!(reloaded.status, 200, "{:?}", reloaded.body);
        let extra = format!("/v1/models/extra-{}", round % 5);
        assert_eq!(gateway.client().get(&extra).await.status, 200);
    }
    done.store(true, Ordering::Relaxed);

    let answered: u64 = clients.join_all().await.into_iter().sum();
    assert!(answered > 200, "{answered}");
    let seen = [simulators[0].seen(), simulators[1].seen()];
    assert_eq!(seen[0].answered + seen[1].answered, answered);
    assert!(seen[1].answered > 0);
    // Provider `a` was there all the time, and its count is complete.
    assert_eq!(gateway.stats("a").await["requests"], seen[0].answered);
    let health = gateway.client().get("/health").await.json();
    assert!(health["reloads"].as_u64().unwrap() >= 200, "{health}");
    assert_eq!(health["status"], "healthy");
}

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_everybody_is_told() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let file = gateway.path("provider.json");
    let good = fs::read_to_string(&file).unwrap();
    let broken = good.replace("\"retry\": 0", "\"retry\": 0,\n        \"weight\": -3");
    fs::write(&file, &broken).unwrap();

    let refused = reload(&gateway).await;

    assert_eq!(refused.status, 422);
    let line = 1 + broken
        .lines()
        .position(|line| line.contains("weight"))
        .unwrap();
    let column = 1 + broken.lines().nth(line - 1).unwrap().find("-3").unwrap();
    let place = format!(
        "{}:{line}:{column}: m.providers[0].weight: ",
        file.display()
    );
    let told = refused.json();
    assert_eq!(
        (&told["status"], &told["message"]),
        (
            &json!("error"),
            &json!("Configuration rejected, the old one stays")
        )
    );
    let errors = told["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = errors[0].as_str().unwrap();
    assert!(
        error.starts_with(&place),
        "{error} does not begin with {place}"
    );
    assert!(error.contains("found -3"), "{error}");
    let health = gateway.client().get("/health").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("degraded"))
    );
    let told = health.text();
    assert!(
        told.contains(&format!("line {line}, column {column};")),
        "{told}"
    );
    for word in ["weight", "-3", "m.providers", "provider.json"] {
        assert!(!told.contains(word), "open to everybody: {told}");
    }
    let log = gateway.wait_for_log("ERROR configuration rejected").await;
    assert!(log.contains(&place), "{log}");
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(gateway.standing("a").await["weight"], 10);

    // What serves by now, put back, is news again.
    fs::write(&file, &good).unwrap();
    assert_eq!(reload(&gateway).await.status, 200);
    assert_eq!(
        gateway.client().get("/health").await.json()["status"],
        "healthy"
    );
}

#[tokio::test]
async fn a_running_stream_finishes_on_the_provider_that_is_removed() {
    let old = Simulator::start(Answer::words(30).drip(30, ms(20)))
        .await
        .unwrap();
    let new = simulator("new").await;
    let gateway = Gateway::start(&model([provider("old", &old, json!({}))]));
    let mut stream = gateway.client().post_stream(CHAT, &chat_stream("hi")).await;
    stream.next_event().await.unwrap();

    gateway.write_config(&model([provider("new", &new, json!({}))]));
    assert_eq!(reload(&gateway).await.json()["removed"], json!(["m/old"]));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.header("x-gateway-provider"), Some("new"));
    assert_eq!(old.seen().streams_open, 1, "it is still under way");

    let events = stream.rest().await;
    assert!(events.len() > 30, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(stream.ended_cleanly());
    assert_eq!((old.seen().streams_done, old.seen().abandoned), (1, 0));
    assert_eq!(gateway.stats("old").await, Value::Null);
    // And it was counted, for the day it returns.
    let file = gateway
        .wait_for("the last count of the removed one", || {
            let file = gateway.read("data/usage/m/old.json");
            let file: Value = serde_json::from_str(&file).ok()?;
            (file["tokens"] == 30).then_some(file)
        })
        .await;
    assert_eq!(file["requests"], 1);
}

#[tokio::test]
async fn counts_cooldowns_and_turns_survive_a_reload() {
    let simulator = simulator("hi").await;
    let config = |retry: u32| {
        let more = json!({ "retry": retry, "rate_limit": { "requests_per_period": 100, "period_cron": "0 0 29 2 *" } });
        model([
            provider("a", &simulator, more.clone()),
            provider("b", &simulator, more.clone()),
            provider("c", &simulator, more),
        ])
    };
    let gateway = Gateway::start(&config(0));
    simulator.next(Act::rate_limited(300));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.header("x-gateway-attempts"), Some("2"));
    let cooling = gateway.standing("a").await;
    assert_eq!(
        (&cooling["status"], &cooling["failed"]),
        (&json!("cooling_down"), &json!(1))
    );
    assert_eq!(gateway.stats("b").await["requests"], 1);
    let mut turns = Vec::new();

    for retry in 1..=6 {
        gateway.write_config(&config(retry));
        assert_eq!(
            reload(&gateway).await.json()["updated"],
            json!(["m/a", "m/b", "m/c"])
        );
        let still = gateway.standing("a").await;
        for key in [
            "status",
            "cooling_until",
            "failed",
            "last_failure",
            "requests",
        ] {
            assert_eq!(still[key], cooling[key], "{key}");
        }
        let answer = gateway.chat("hi").await;
        turns.push(answer.header("x-gateway-provider").unwrap().to_owned());
    }

    // Taking turns, although each had a configuration of its own.
    assert_ne!(turns[0], turns[1]);
    assert_eq!(turns[..2], turns[2..4]);
    assert_eq!(turns[..2], turns[4..]);
    assert_eq!(gateway.stats("b").await["requests"], 4);
    assert_eq!(gateway.stats("c").await["requests"], 3);
}

#[tokio::test]
async fn a_provider_that_left_and_returns_within_its_period_goes_on_counting() {
    let simulator = simulator("hi").await;
    let limit = json!({ "rate_limit": { "requests_per_period": 2, "period_cron": "0 0 29 2 *" } });
    let with = model([provider("a", &simulator, limit)]);
    let without = model([provider("b", &simulator, json!({}))]);
    let gateway = Gateway::start(&with);
    assert_eq!(gateway.chat("hi").await.status, 200);
    gateway.write_config(&without);
    assert_eq!(reload(&gateway).await.status, 200);
    assert_eq!(gateway.stats("a").await, Value::Null);
    // Long enough for the account to be forgotten.
    gateway
        .wait_for("the count in the file", || {
            let file = gateway.read("data/usage/m/a.json");
            let file: Value = serde_json::from_str(&file).ok()?;
            (file["requests"] == 1).then_some(())
        })
        .await;
    gateway.write_config(&with);
    assert_eq!(reload(&gateway).await.status, 200);
    assert_eq!(gateway.stats("a").await["requests"], 1);
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(gateway.chat("hi").await.status, 429);
    assert!(simulator.wait_until(|seen| seen.answered == 2, SOON).await);
}
