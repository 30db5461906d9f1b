//! Who is asked: shares exact to the cycle, priorities strict.

use std::collections::BTreeMap;

use api_gateway::simulator::{Act, Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::load::ask;
use crate::support::{Gateway, model, provider};

const CHAT: &str = "/v1/chat/completions";

async fn quiet(behavior: impl Into<Behavior>) -> Simulator {
    let simulator = Simulator::start(behavior).await.unwrap();
    simulator.record(false);
    simulator
}

fn counts<const N: usize>(of: [(&str, usize); N]) -> BTreeMap<String, usize> {
    of.into_iter()
        .map(|(name, n)| (name.to_owned(), n))
        .collect()
}

fn weighing(weight: u32) -> Value {
    json!({ "weight": weight })
}

#[tokio::test]
async fn weights_of_1_2_and_7_are_exact_in_every_ten_and_in_ten_thousand() {
    let simulator = quiet(Behavior::answering("hi")).await;
    let gateway = Gateway::start(&model([
        provider("one", &simulator, weighing(1)),
        provider("two", &simulator, weighing(2)),
        provider("seven", &simulator, weighing(7)),
    ]));

    let answers = ask(&gateway, CHAT, &chat("hi"), 1, 1000).await;
    for ten in answers.0.chunks(10) {
        let ten = crate::support::load::Answers(ten.to_vec());
        assert_eq!(
            ten.by_provider(),
            counts([("one", 1), ("two", 2), ("seven", 7)])
        );
    }
    let answers = ask(&gateway, CHAT, &chat("hi"), 50, 9000).await;
    assert_eq!(
        answers.by_provider(),
        counts([("one", 900), ("two", 1800), ("seven", 6300)])
    );
    for (name, all) in [("one", 1000), ("two", 2000), ("seven", 7000)] {
        assert_eq!(gateway.stats(name).await["requests"], all);
    }
}

#[tokio::test]
async fn a_heavy_provider_does_not_have_its_turns_in_a_row() {
    let simulator = quiet(Behavior::answering("hi")).await;
    let gateway = Gateway::start(&model([
        provider("a", &simulator, weighing(2)),
        provider("b", &simulator, weighing(1)),
        provider("c", &simulator, weighing(1)),
    ]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 1, 40).await;
    let turns: Vec<&str> = answers
        .0
        .iter()
        .map(|answer| answer.header("x-gateway-provider").unwrap())
        .collect();
    for four in turns.chunks(4) {
        assert_eq!(four, ["a", "b", "c", "a"]);
    }
}

#[tokio::test]
async fn the_default_weight_is_ten() {
    let simulator = quiet(Behavior::answering("hi")).await;
    let gateway = Gateway::start(&model([
        provider("default", &simulator, json!({})),
        provider("thirty", &simulator, weighing(30)),
    ]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 8, 400).await;
    assert_eq!(
        answers.by_provider(),
        counts([("default", 100), ("thirty", 300)])
    );
}

#[tokio::test]
async fn a_lower_priority_is_asked_only_when_the_higher_cannot_serve() {
    let [first, second, third] = [
        quiet(Behavior::answering("1")).await,
        quiet(Behavior::answering("2")).await,
        quiet(Behavior::answering("3")).await,
    ];
    // In another order than their priorities, and the least with the greatest weight.
    let gateway = Gateway::start(&model([
        provider("third", &third, json!({ "priority": 9, "weight": 1000 })),
        provider("first", &first, json!({ "weight": 1 })),
        provider("second", &second, json!({ "priority": 2 })),
    ]));

    let answers = ask(&gateway, CHAT, &chat("hi"), 8, 200).await;
    assert_eq!(answers.by_provider(), counts([("first", 200)]));
    assert_eq!((second.seen().requests, third.seen().requests), (0, 0));

    first.set(Act::status(401));
    let answers = ask(&gateway, CHAT, &chat("hi"), 1, 20).await;
    assert_eq!(answers.by_provider(), counts([("second", 20)]));
    assert_eq!((first.seen().requests, third.seen().requests), (220, 0));

    second.set(Act::status(500));
    let answers = ask(&gateway, CHAT, &chat("hi"), 1, 2).await;
    assert_eq!(answers.by_provider(), counts([("third", 2)]));
    assert_eq!(answers.0[0].header("x-gateway-attempts"), Some("3"));
}

#[tokio::test]
async fn a_tier_is_left_only_when_all_of_its_members_were_tried() {
    let failing = quiet(Act::status(403)).await;
    let spare = quiet(Behavior::answering("spare")).await;
    let gateway = Gateway::start(&model([
        provider("a", &failing, json!({})),
        provider("b", &failing, json!({})),
        provider("c", &failing, json!({})),
        provider("spare", &spare, json!({ "priority": 2 })),
    ]));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.header("x-gateway-provider"), Some("spare"));
    assert_eq!(answer.header("x-gateway-attempts"), Some("4"));
    for name in ["a", "b", "c"] {
        assert_eq!(gateway.standing(name).await["failed"], 1);
    }
}

#[tokio::test]
async fn the_share_of_a_spent_provider_goes_to_the_others_by_their_weights() {
    let simulator = quiet(Behavior::answering("hi")).await;
    let spent = json!({ "weight": 50, "rate_limit": { "requests_per_period": 0 } });
    let gateway = Gateway::start(&model([
        provider("spent", &simulator, spent),
        provider("one", &simulator, weighing(1)),
        provider("three", &simulator, weighing(3)),
    ]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 8, 400).await;
    assert_eq!(
        answers.by_provider(),
        counts([("one", 100), ("three", 300)])
    );
}

#[tokio::test]
async fn weight_zero_serves_only_when_nothing_else_is_left() {
    let usual = quiet(Behavior::answering("usual")).await;
    let spare = quiet(Behavior::answering("spare")).await;
    let gateway = Gateway::start(&model([
        provider("spare", &spare, weighing(0)),
        provider("usual", &usual, weighing(1)),
    ]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 8, 100).await;
    assert_eq!(answers.by_provider(), counts([("usual", 100)]));
    assert_eq!(spare.seen().requests, 0);

    usual.set(Act::status(401));
    let answers = ask(&gateway, CHAT, &chat("hi"), 4, 20).await;
    assert_eq!(answers.by_provider(), counts([("spare", 20)]));
    assert_eq!(usual.seen().requests, 120, "it is still asked first");
}
