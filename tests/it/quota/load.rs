//! Two hundred clients at once.

use api_gateway::simulator::{Act, Answer, Behavior};
use serde_json::{Value, json};

use super::{CHAT, assert_held, assert_spent, requests, settled, simulator, tokens};
use crate::support::gateway::{chat, chat_stream};
use crate::support::load::{Answers, ask};
use crate::support::{Gateway, model, provider};

const LIMIT: usize = 1000;
const CLIENTS: usize = 200;
const TOTAL: usize = 5000;

async fn two_hundred_clients(gateway: &Gateway, question: &Value) -> Answers {
    ask(gateway, CHAT, question, CLIENTS, TOTAL).await
}

async fn the_rest_goes_to_the_second(question: &Value) {
    let first = simulator(Behavior::answering("first")).await;
    let second = simulator(Behavior::answering("second")).await;
    let gateway = Gateway::start(&model([
        provider("first", &first, requests(LIMIT)),
        provider("second", &second, json!({ "priority": 2 })),
    ]));

    let answers = two_hundred_clients(&gateway, question).await;

    assert_eq!(answers.with_status(200), TOTAL);
    assert_eq!(answers.by_provider()["first"], LIMIT);
    assert_eq!(answers.by_provider()["second"], TOTAL - LIMIT);
    assert_eq!(first.seen().requests, LIMIT as u64);
    assert_eq!(second.seen().requests, (TOTAL - LIMIT) as u64);
    let stats = settled(&gateway, "first").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(LIMIT), &json!(LIMIT * 30))
    );
    assert_eq!(stats["remaining_requests"], 0);
    assert_eq!(settled(&gateway, "second").await["requests"], TOTAL - LIMIT);
}

#[tokio::test]
async fn a_limit_of_1000_under_200_clients_admits_exactly_1000_and_the_second_provider_has_the_rest()
 {
    the_rest_goes_to_the_second(&chat("hi")).await;
}

#[tokio::test]
async fn a_limit_of_1000_under_200_streaming_clients_admits_exactly_1000() {
    the_rest_goes_to_the_second(&chat_stream("hi")).await;
}

async fn the_rest_is_refused(question: &Value) {
    let only = simulator(Behavior::answering("first")).await;
    let gateway = Gateway::start(&model([provider("only", &only, requests(LIMIT))]));

    let answers = two_hundred_clients(&gateway, question).await;

    assert_eq!(answers.with_status(200), LIMIT);
    assert_eq!(answers.with_status(429), TOTAL - LIMIT);
    assert_eq!(only.seen().requests, LIMIT as u64);
    let stats = settled(&gateway, "only").await;
    assert_eq!(stats["requests"], LIMIT);
    for answer in answers.0.iter().filter(|answer| answer.status == 429) {
        if answer.header("retry-after").is_some() {
            assert_held(answer);
        } else {
            assert_spent(answer, &stats["next_reset"]);
        }
    }
    assert_spent(&gateway.chat("one more").await, &stats["next_reset"]);
    assert_eq!(only.seen().requests, LIMIT as u64, "nobody was called");
}

#[tokio::test]
async fn without_a_second_provider_4000_of_5000_are_refused_in_the_documented_form() {
    the_rest_is_refused(&chat("hi")).await;
}

#[tokio::test]
async fn without_a_second_provider_4000_of_5000_streams_are_refused_before_they_begin() {
    the_rest_is_refused(&chat_stream("hi")).await;
}

async fn failures_do_not_count(retry: u32, question: &Value) {
    let first = simulator(Behavior::answering("first").percent(30, Act::status(500))).await;
    let second = simulator(Behavior::answering("second")).await;
    let mut limited = requests(LIMIT);
    limited["retry"] = json!(retry);
    let gateway = Gateway::start(&model([
        provider("first", &first, limited),
        provider("second", &second, json!({ "priority": 2 })),
    ]));

    let answers = two_hundred_clients(&gateway, question).await;

    assert_eq!(answers.with_status(200), TOTAL);
    assert_eq!(answers.by_provider()["first"], LIMIT);
    let seen = first.seen();
    assert_eq!(seen.answered, LIMIT as u64);
    assert!(seen.failed > 200, "{seen:?}");
    let stats = settled(&gateway, "first").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(LIMIT), &json!(LIMIT * 30))
    );
}

#[tokio::test]
async fn a_provider_that_fails_three_times_in_ten_still_gives_exactly_1000() {
    failures_do_not_count(0, &chat("hi")).await;
}

#[tokio::test]
async fn a_provider_that_fails_three_times_in_ten_and_is_asked_again_gives_exactly_1000() {
    failures_do_not_count(1, &chat("hi")).await;
}

#[tokio::test]
async fn streams_of_a_provider_that_fails_three_times_in_ten_are_exactly_1000() {
    failures_do_not_count(1, &chat_stream("hi")).await;
}

#[tokio::test]
async fn a_token_limit_holds_under_concurrent_clients_and_is_used_to_the_last() {
    let simulator = simulator(Answer::text("words").usage(1, 20)).await;
    let gateway = Gateway::start(&model([provider("a", &simulator, tokens(2000))]));
    let mut question = chat("hi");
    question["max_tokens"] = json!(20);

    let answers = ask(&gateway, CHAT, &question, 50, 1000).await;
    let mut answered = answers.with_status(200) as u64;
    // What was held while others asked is free now, and can be had one by one.
    while gateway.client().post(CHAT, &question).await.status == 200 {
        answered += 1;
    }

    let stats = settled(&gateway, "a").await;
    // 95 answers of 21 tokens leave five, which the last request may use.
    assert_eq!(answered, 96);
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(96), &json!(96 * 21))
    );
    assert_eq!(simulator.seen().requests, 96);
}
