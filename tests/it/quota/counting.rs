//! What counts, and how much.

use api_gateway::simulator::{Act, Answer, Behavior};
use serde_json::{Value, json};

use super::{CHAT, RARELY, assert_spent, requests, settled, simulator, tokens};
use crate::support::gateway::{chat, chat_stream};
use crate::support::load::ask;
use crate::support::{Gateway, SOON, model, ms, provider};

#[tokio::test]
async fn no_limit_is_unlimited_but_counted() {
    let simulator = simulator(Behavior::answering("always")).await;
    let none = json!({ "rate_limit": { "requests_per_period": null } });
    let gateway = Gateway::start(&model([provider("a", &simulator, none)]));
    assert_eq!(
        ask(&gateway, CHAT, &chat("hi"), 10, 50)
            .await
            .with_status(200),
        50
    );
    let stats = settled(&gateway, "a").await;
    assert_eq!(
        (
            &stats["requests"],
            &stats["limit_requests"],
            &stats["remaining_requests"]
        ),
        (&json!(50), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn tokens_are_what_the_provider_reports_and_the_last_of_them_remain_usable() {
    let simulator = simulator(Answer::text("words").usage(7, 13)).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, tokens(101))]));

    for (body, used) in [
        (chat("hi"), 20),
        (chat_stream("hi"), 40),
        (chat("hi"), 60),
        (chat_stream("hi"), 80),
        (chat("hi"), 100),
        // One token is left, and a request that alone needs more is still admitted.
        (chat("hi"), 120),
    ] {
        assert_eq!(gateway.client().post(CHAT, &body).await.status, 200);
        assert_eq!(settled(&gateway, "a").await["tokens"], used);
    }
    let stats = gateway.stats("a").await;
    assert_eq!(
        (&stats["requests"], &stats["remaining_tokens"]),
        (&json!(6), &json!(0))
    );
    assert_spent(&gateway.chat("hi").await, &stats["next_reset"]);
    assert_eq!(simulator.seen().requests, 6);
}

#[tokio::test]
async fn embeddings_count_requests_and_tokens() {
    let simulator = simulator(Answer::text("").usage(9, 0)).await;
    let limits = json!({ "rate_limit": {
        "requests_per_period": 3, "tokens_per_period": 1000, "period_cron": RARELY
    } });
    let gateway = Gateway::start(&model([provider("a", &simulator, limits)]));
    let question = json!({ "model": "m", "input": ["one", "two"] });
    let answers = ask(&gateway, "/v1/embeddings", &question, 4, 10).await;
    assert_eq!((answers.with_status(200), answers.with_status(429)), (3, 7));
    let stats = settled(&gateway, "a").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(3), &json!(27))
    );
}

#[tokio::test]
async fn a_provider_may_count_attempts_instead_of_successes() {
    let simulator = simulator(Act::status(500)).await;
    let mut limits = requests(5);
    limits["count"] = json!("attempts");
    limits["retry"] = json!(1);
    let gateway = Gateway::start(&model([provider("a", &simulator, limits)]));

    for used in [2, 4, 5] {
        assert_eq!(gateway.chat("hi").await.status, 502);
        let stats = settled(&gateway, "a").await;
        assert_eq!(
            (&stats["requests"], &stats["tokens"]),
            (&json!(used), &json!(0))
        );
    }
    assert_eq!(gateway.chat("hi").await.status, 429);
    assert_eq!(simulator.seen().requests, 5);
}

/// A kept connection that is closed under a request may have carried it to the provider.
#[tokio::test]
async fn the_repeat_on_a_fresh_connection_is_counted_where_attempts_are() {
    let simulator = simulator(Act::answering("Hello!")).await;
    let mut limits = requests(5);
    limits["count"] = json!("attempts");
    limits["retry"] = json!(0);
    let gateway = Gateway::start_with(
        &model([provider("a", &simulator, limits)]),
        &[("WORKERS", "1")],
    );
    assert_eq!(gateway.chat("hi").await.status, 200);
    simulator.next(Act::refuse());
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(simulator.seen().requests, 3);
    assert_eq!(settled(&gateway, "a").await["requests"], 3);

    // The fresh connection was not kept. Of the last two, the second is spent on the connection that closed.
    assert_eq!(gateway.chat("hi").await.status, 200);
    simulator.next(Act::refuse());
    assert_eq!(gateway.chat("hi").await.status, 429);
    assert_eq!(simulator.seen().requests, 5);
}

#[tokio::test]
async fn an_attempt_that_reached_nobody_is_not_counted() {
    let gone = simulator(Behavior::answering("hi")).await;
    let mut limits = requests(5);
    limits["count"] = json!("attempts");
    let config = model([provider("a", &gone, limits)]);
    gone.stop().await;
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.chat("hi").await.status, 502);
    assert_eq!(settled(&gateway, "a").await["requests"], 0);
}

#[tokio::test]
async fn failed_attempts_give_back_what_they_held() {
    for act in [
        Act::status(500),
        Act::status(429),
        Act::status(401),
        Act::status(400),
        Act::empty(),
        Act::html(),
        Act::refuse(),
        Answer::text("one two").cut_after(0).into(),
    ] {
        let simulator = simulator(act.clone()).await;
        let gateway = Gateway::start(&model([provider("a", &simulator, requests(1))]));
        for question in [chat("hi"), chat_stream("hi")] {
            let status = gateway.client().post(CHAT, &question).await.status;
            assert!(status >= 400, "{act:?}: {status}");
            let stats = settled(&gateway, "a").await;
            assert_eq!(
                (&stats["requests"], &stats["tokens"]),
                (&json!(0), &json!(0)),
                "{act:?}"
            );
        }
        simulator.set(Behavior::answering("hi"));
        assert_eq!(gateway.chat("hi").await.status, 200, "{act:?}");
        assert_eq!(gateway.chat("hi").await.status, 429, "{act:?}");
    }
}

#[tokio::test]
async fn a_stream_that_was_cut_or_left_after_it_began_counts() {
    let simulator = simulator(Answer::words(5).usage(10, 20).drip(5, ms(1)).cut_after(3)).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, requests(2))]));
    let cut = gateway.client().post(CHAT, &chat_stream("hi")).await;
    assert!(!cut.text().contains("[DONE]"), "{}", cut.text());
    assert_eq!(settled(&gateway, "a").await["requests"], 1);

    simulator.set(Answer::words(5).stall_after(2));
    let mut left = gateway.client().post_stream(CHAT, &chat_stream("hi")).await;
    left.next_event().await.unwrap();
    drop(left);
    let stats = settled(&gateway, "a").await;
    assert_eq!(stats["requests"], 2);
    assert!(stats["tokens"].as_u64().unwrap() > 0);
    assert_eq!(gateway.chat("hi").await.status, 429);
}

#[tokio::test]
async fn a_request_whose_client_left_while_the_provider_worked_counts_once() {
    let simulator = simulator(Behavior::hanging()).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, requests(2))]));
    let left = gateway.client().begin_post(CHAT, &chat("hi")).await;
    assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);
    assert_eq!(gateway.stats("a").await["requests_in_flight"], 1);
    drop(left);
    assert!(simulator.wait_until(|seen| seen.abandoned == 1, SOON).await);
    assert_eq!(settled(&gateway, "a").await["requests"], 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_pays_for_a_usual_one() {
    let embedding = json!({ "model": "m", "input": "hi" });
    let mut bounded = chat("hi");
    bounded["max_tokens"] = json!(20);
    for (path, question, usual) in [
        (CHAT, chat("hi"), 512..600),
        (CHAT, bounded, 20..100),
        ("/v1/embeddings", embedding, 1..100),
    ] {
        let simulator = simulator(Behavior::hanging()).await;
        let gateway = Gateway::start(&model([provider("a", &simulator, requests(2))]));
        let left = gateway.client().begin_post(path, &question).await;
        assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);
        drop(left);
        assert!(simulator.wait_until(|seen| seen.abandoned == 1, SOON).await);
        let tokens = settled(&gateway, "a").await["tokens"].as_u64().unwrap();
        assert!(usual.contains(&tokens), "{path}: {tokens}");
    }
}
