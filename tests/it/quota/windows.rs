//! Several windows at once, each exact at every instant; groups of providers; several keys of one provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api_gateway::simulator::{Answer, Behavior, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CHAT, RARELY, requests, settled, simulator};
use crate::support::gateway::chat;
use crate::support::http::Client;
use crate::support::load::ask;
use crate::support::{Gateway, model, ms, provider};

/// Asks with many clients until everything is spent for long; what is spent for a moment is asked for again.
/// Gives how many were answered.
async fn until_all_is_spent(gateway: &Gateway, clients: usize, patience: Duration) -> usize {
    let (spent, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let since = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let client = Client::new(gateway.addr()).keeping_alive();
        let (spent, answered) = (spent.clone(), answered.clone());
        running.spawn(async move {
            while !spent.load(Ordering::Relaxed) {
                assert!(since.elapsed() < patience, "not spent after {patience:?}");
                let answer = client.post(CHAT, &chat("hi")).await;
                match answer.status {
                    200 => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    429 if answer.header("x-should-retry") == Some("false") => {
                        spent.store(true, Ordering::Relaxed);
                    }
                    429 => tokio::time::sleep(ms(20)).await,
                    other => panic!("{other}: {}", answer.text()),
                }
            }
        });
    }
    running.join_all().await;
    answered.load(Ordering::Relaxed)
}

/// The most requests that came within any stretch of this length.
pub(super) fn most_within(seen: &[Instant], every: Duration) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, at) in seen.iter().enumerate() {
        while *at - seen[first] >= every {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

pub(super) fn arrivals(simulator: &Simulator) -> Vec<Instant> {
    let mut seen: Vec<Instant> = simulator.requests().iter().map(|r| r.at).collect();
    seen.sort_unstable();
    seen
}

#[tokio::test]
async fn three_windows_of_five_providers_under_200_clients_are_exact_at_every_instant() {
    let (second, three, all) = (20, 40, 100);
    let mut simulators = Vec::new();
    for _ in 0..5 {
        simulators.push(
            Simulator::start(Answer::text("hi").usage(1, 2))
                .await
                .unwrap(),
        );
    }
    let providers = simulators.iter().enumerate().map(|(number, simulator)| {
        let windows = json!({ "rate_limit": [
            { "every": "1s", "requests": second },
            { "every": "3s", "requests": three, "tokens": 1_000_000 },
            { "id": "all", "period_cron": RARELY, "requests": all, "tokens": 1_000_000 },
        ] });
        provider(&format!("p{number}"), simulator, windows)
    });
    let gateway = Gateway::start(&model(providers.collect::<Vec<_>>()));

    let answered = until_all_is_spent(&gateway, 200, Duration::from_secs(60)).await;

    assert_eq!(answered, 5 * all);
    for (number, simulator) in simulators.iter().enumerate() {
        let seen = arrivals(simulator);
        assert_eq!(seen.len(), all);
        let (in_one, in_three) = (
            most_within(&seen, Duration::from_secs(1)),
            most_within(&seen, Duration::from_secs(3)),
        );
        assert!(in_one <= second && in_three <= three, "{in_one} {in_three}");
        // Not far below it either: whoever pools quotas wants all of them used.
        assert!(
            in_one >= second - 2 && in_three >= three - 2,
            "{in_one} {in_three}"
        );
        let stats = settled(&gateway, &format!("p{number}")).await;
        assert_eq!(
            (&stats["requests"], &stats["tokens"]),
            (&json!(all), &json!(3 * all))
        );
        assert_eq!(stats["windows"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn all_windows_must_have_room_and_the_answer_tells_when_they_do() {
    let a = simulator(Behavior::answering("a")).await;
    let words = json!({ "rate_limit": { "rpm": 2, "rpd": 3, "tz": "America/Los_Angeles" } });
    let gateway = Gateway::start(&model([provider("a", &a, words)]));
    for _ in 0..2 {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
    let refused = gateway.chat("hi").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((58..=62).contains(&wait), "{wait}");
    let standing = gateway.standing("a").await;
    let ids: Vec<&str> = standing["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|window| window["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["day", "minute"]);
    assert_eq!(
        (&standing["requests"], &standing["limit_requests"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(standing["status"], "quota_exhausted");
}

#[tokio::test]
async fn input_and_output_tokens_have_limits_of_their_own() {
    let a = simulator(Answer::text("words").usage(10, 50)).await;
    let limits = json!({ "rate_limit": [{ "period_cron": RARELY, "output_tokens": 100 }] });
    let gateway = Gateway::start(&model([provider("a", &a, limits)]));
    let mut answered = 0;
    while gateway.chat("hi").await.status == 200 {
        answered += 1;
    }
    assert_eq!(answered, 2);
    let stats = settled(&gateway, "a").await;
    assert_eq!(stats["windows"][0]["output_tokens"], 100);
    assert_eq!(stats["windows"][0]["input_tokens"], 20);
}

#[tokio::test]
async fn providers_of_one_group_share_its_quota_over_all_models() {
    let a = simulator(Behavior::answering("a")).await;
    let member = |name: &str, more: Value| {
        let mut member = requests(7);
        member["quota_group"] = json!("account-1");
        member
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        provider(name, &a, member)
    };
    let config = json!({
        "m": { "providers": [member("one", json!({})), member("two", json!({ "rate_limit": null }))] },
        "other": { "providers": [member("three", json!({}))] },
    });
    let gateway = Gateway::start(&config);
    let other = json!({ "model": "other", "messages": [{ "role": "user", "content": "hi" }] });
    for _ in 0..3 {
        assert_eq!(gateway.client().post(CHAT, &other).await.status, 200);
    }
    let answers = ask(&gateway, CHAT, &chat("hi"), 20, 60).await;
    assert_eq!(answers.with_status(200), 4);
    assert_eq!(gateway.client().post(CHAT, &other).await.status, 429);
    assert_eq!(a.seen().requests, 7);
    // Each provider still knows what it did itself, and the group what all did.
    let standing = gateway.standing("one").await;
    assert_eq!(standing["status"], "quota_exhausted");
    assert_eq!(standing["group"]["id"], "account-1");
    assert_eq!(standing["group"]["requests"], 7);
    let file = gateway.path("data/usage/_groups/account-1.json");
    gateway
        .wait_for("the group's file", || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.contains("\"requests\": 7").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_group_can_be_kept_for_each_model_of_the_provider() {
    let a = simulator(Behavior::answering("a")).await;
    let member = |name: &str, upstream: &str| {
        let mut member = requests(2);
        member["quota_group"] = json!({ "name": "project", "per": "model" });
        member["model"] = json!(upstream);
        provider(name, &a, member)
    };
    let gateway = Gateway::start(&model([
        member("one", "flash"),
        member("two", "flash"),
        member("three", "pro"),
    ]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 10, 20).await;
    assert_eq!(answers.with_status(200), 4);
    assert_eq!(answers.by_provider()["three"], 2);
}

#[tokio::test]
async fn each_key_of_a_provider_has_counters_and_health_of_its_own() {
    let a = Simulator::start(Behavior::answering("a")).await.unwrap();
    let mut keys = requests(3);
    keys["api_key"] = Value::Null;
    keys["api_keys"] = json!(["sk-first-key-of-a", "sk-second-key-of-a", { "name": "third", "key": "sk-third-key-of-a" }]);
    let gateway = Gateway::start(&model([provider("a", &a, keys)]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 8, 20).await;
    assert_eq!(answers.with_status(200), 9);
    let by_provider = answers.by_provider();
    assert_eq!(by_provider.len(), 3, "{by_provider:?}");
    assert!(by_provider.values().all(|count| *count == 3));
    assert!(by_provider.contains_key("a#third"), "{by_provider:?}");
    let mut sent: Vec<String> = a
        .requests()
        .iter()
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 3);
    assert!(!gateway.log().contains("sk-first"), "no key in the log");
}

#[tokio::test]
async fn no_more_requests_at_once_than_allowed_and_none_is_lost() {
    let a = simulator(Behavior::answering("a").slowly(ms(20))).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({ "max_concurrent": 4 }))]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 30, 300).await;
    let served = answers.with_status(200);
    assert_eq!(served + answers.with_status(429), 300);
    assert!(served >= 4);
    assert_eq!(a.seen().peak_in_flight, 4);
    // What is busy for the moment is worth asking again at once.
    let refused = answers
        .0
        .iter()
        .find(|answer| answer.status == 429)
        .unwrap();
    assert_eq!(refused.header("retry-after"), Some("1"));
    let standing = gateway.standing("a").await;
    assert_eq!(
        (&standing["concurrent"], &standing["max_concurrent"]),
        (&json!(0), &json!(4))
    );
    for _ in 0..4 {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
}
