//! What a client is told when all is spent; nobody is called then.

use std::time::Duration;

use api_gateway::simulator::{Act, Answer, Behavior, Seen};
use serde_json::{Value, json};

use super::{CHAT, assert_held, assert_spent, requests, settled, simulator, tokens};
use crate::periods::Clock;
use crate::support::gateway::{chat, chat_stream};
use crate::support::{Gateway, SOON, model, provider};

#[tokio::test]
async fn a_limit_of_zero_admits_nothing() {
    let simulator = simulator(Behavior::answering("never")).await;
    for limit in [requests(0), tokens(0)] {
        let gateway = Gateway::start(&model([provider("a", &simulator, limit)]));
        let answer = gateway.chat("hi").await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        let error = answer.json()["error"].clone();
        assert_eq!(error["code"], "insufficient_quota");
        // A reset would change nothing.
        assert_eq!(error["resets_at"], Value::Null);
        let standing = gateway.standing("a").await;
        assert_eq!(standing["status"], "quota_exhausted");
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn a_quota_that_resets_within_a_minute_says_when_to_come_back() {
    let simulator = simulator(Behavior::answering("hi")).await;
    let each_minute =
        json!({ "rate_limit": { "requests_per_period": 1, "period_cron": "* * * * *" } });
    let clock = Clock::at("2026-11-20 12:00:10");
    let gateway = clock.start(&model([provider("a", &simulator, each_minute)]));
    assert_eq!(gateway.chat("hi").await.status, 200);

    let answer = gateway.chat("hi").await;

    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-should-retry"), None);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let error = answer.json()["error"].clone();
    let resets_at = error["resets_at"].as_str().unwrap();
    assert!(resets_at.ends_with(":00Z"), "{resets_at}");
    assert_eq!(
        error,
        json!({
            "message": "the quota of every provider of `m` is used up for the moment",
            "type": "requests",
            "param": null,
            "code": "rate_limit_exceeded",
            "resets_at": resets_at,
        })
    );
    assert_eq!(simulator.seen().requests, 1);
}

#[tokio::test]
async fn the_earliest_reset_of_all_providers_is_told() {
    let simulator = simulator(Behavior::answering("hi")).await;
    let spent =
        |cron: &str| json!({ "rate_limit": { "requests_per_period": 1, "period_cron": cron } });
    let gateway = Gateway::start(&model([
        provider("late", &simulator, spent("0 0 29 2 *")),
        provider("early", &simulator, spent("0 0 1 */2 *")),
        provider("later", &simulator, spent("0 0 1 1 *")),
    ]));
    for _ in 0..3 {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
    let early = gateway.stats("early").await["next_reset"].clone();
    assert_spent(&gateway.chat("hi").await, &early);
}

#[tokio::test]
async fn when_one_provider_is_spent_and_the_other_fails_it_is_a_502() {
    let spent = simulator(Behavior::answering("hi")).await;
    let broken = simulator(Act::status(500)).await;
    let gateway = Gateway::start(&model([
        provider("spent", &spent, requests(0)),
        provider("broken", &broken, json!({ "priority": 2 })),
    ]));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error"]["code"], Value::Null);
    assert_eq!((spent.seen().requests, broken.seen().requests), (0, 1));
}

#[tokio::test]
async fn what_is_held_by_a_slow_request_is_refused_for_a_moment_only() {
    let simulator = simulator(Behavior::hanging()).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, requests(1))]));
    let waiting = gateway.client().begin_post(CHAT, &chat("hi")).await;
    assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);

    assert_held(&gateway.chat("hi").await);

    assert_eq!(simulator.seen().requests, 1);
    drop(waiting);
    let left = |seen: &Seen| seen.abandoned == 1;
    assert!(simulator.wait_until(left, Duration::from_secs(5)).await);
    let stats = settled(&gateway, "a").await;
    assert_spent(&gateway.chat("hi").await, &stats["next_reset"]);
}

#[tokio::test]
async fn tokens_that_a_running_stream_may_give_back_are_refused_for_a_moment_only() {
    let simulator = simulator(Answer::words(5).stall_after(2)).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, tokens(1000))]));
    let mut question = chat_stream("hi");
    question["max_tokens"] = json!(5000);
    let mut stream = gateway.client().post_stream(CHAT, &question).await;
    stream.next_event().await.unwrap();

    assert_held(&gateway.chat("hi").await);

    drop(stream);
    settled(&gateway, "a").await;
    assert_eq!(gateway.stats("a").await["requests"], 1);
    simulator.set(Behavior::answering("hi"));
    assert_eq!(gateway.chat("hi").await.status, 200);
}

#[tokio::test]
async fn requests_that_come_at_once_hold_an_answer_before_any_was_seen() {
    let simulator = simulator(Behavior::hanging()).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, tokens(1600))]));
    let mut waiting = Vec::new();
    for count in 1..=3 {
        waiting.push(gateway.client().begin_post(CHAT, &chat("hi")).await);
        assert!(
            simulator
                .wait_until(|seen| seen.in_flight == count, SOON)
                .await
        );
    }
    assert_held(&gateway.chat("hi").await);
    assert_eq!(simulator.seen().requests, 3);
    drop(waiting);
}
