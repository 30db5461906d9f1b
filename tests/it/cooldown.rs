//! A provider that refuses for lack of quota is left alone for a while, unless nobody else is left.

use api_gateway::simulator::{Act, Behavior};
use serde_json::json;

use crate::support::pair::{FROM_B, Pair, simulator};
use crate::support::{Gateway, model, provider};

#[tokio::test]
async fn a_provider_that_refused_is_not_asked_by_the_next_request() {
    for status in [429, 402] {
        let pair = Pair::start(Behavior::status(status), json!({})).await;
        for _ in 0..4 {
            let answer = pair.gateway.chat("hi").await;
            assert_eq!(answer.json()["choices"][0]["message"]["content"], FROM_B);
        }
        assert_eq!(pair.asked(), (1, 4), "status {status}");
        let standing = pair.gateway.standing("a").await;
        assert_eq!(standing["status"], "cooling_down");
        assert_eq!(standing["requests"], 0);
    }
}

#[tokio::test]
async fn a_refusal_within_a_200_is_one_too() {
    let said = r#"{"error":{"code":429,"message":"slow down"}}"#;
    let pair = Pair::start(
        Behavior::from(Act::body(200, "application/json", said)),
        json!({ "retry": 3 }),
    )
    .await;
    for _ in 0..3 {
        assert_eq!(pair.gateway.chat("hi").await.status, 200);
    }
    assert_eq!(pair.asked(), (1, 3));
    let standing = pair.gateway.standing("a").await;
    assert_eq!(standing["status"], "cooling_down");
}

/// The headers say it where the error does not: a stream, and what is gathered from one, too.
#[tokio::test]
async fn a_refusal_within_a_200_rests_for_as_long_as_its_headers_ask() {
    let said = r#"{"error":{"code":429,"message":"slow down"}}"#;
    let event = format!("data: {said}\n\n");
    for (kind, body, streams) in [
        ("application/json", said, json!({})),
        ("text/event-stream", &event, json!({})),
        (
            "text/event-stream",
            &event,
            json!({ "non_stream_support": false }),
        ),
    ] {
        let act = Act::body(200, kind, body).with_header("retry-after", "3600");
        let pair = Pair::start(Behavior::from(act), streams).await;
        let before = api_gateway::clock::now();
        assert_eq!(pair.gateway.chat("hi").await.status, 200);
        let standing = pair.gateway.standing("a").await;
        let until = standing["cooling_until"].as_str().unwrap();
        let until = chrono::DateTime::parse_from_rfc3339(until).unwrap();
        assert!(
            until.timestamp() - before.secs() >= 3599,
            "{kind}: {standing}"
        );
    }
}

#[tokio::test]
async fn other_failures_do_not_cool_down() {
    for status in [500, 401, 403] {
        let pair = Pair::start(Behavior::status(status), json!({})).await;
        for _ in 0..2 {
            assert_eq!(pair.gateway.chat("hi").await.status, 200);
        }
        assert_eq!(pair.asked(), (2, 2), "status {status}");
        assert_eq!(pair.gateway.standing("a").await["status"], "available");
    }
}

#[tokio::test]
async fn a_provider_is_asked_again_when_its_retry_after_is_over() {
    let pair = Pair::start(Behavior::answering("a"), json!({})).await;
    pair.a.next(Act::rate_limited(1));
    assert_eq!(
        pair.gateway.chat("1").await.header("x-gateway-provider"),
        Some("b")
    );
    assert_eq!(
        pair.gateway.chat("2").await.header("x-gateway-provider"),
        Some("b")
    );
    assert_eq!(pair.asked(), (1, 2));

    let mut later = pair.gateway.chat("3").await;
    let mut rested = 1;
    while later.header("x-gateway-provider") != Some("a") {
        tokio::time::sleep(crate::support::ms(50)).await;
        later = pair.gateway.chat("4").await;
        rested += 1;
        assert!(rested < 100, "it is never asked again");
    }
    assert_eq!(pair.a.seen().requests, 2);
    assert_eq!(
        pair.gateway.standing("a").await["cooling_until"],
        json!(null)
    );
}

#[tokio::test]
async fn a_cooling_provider_is_asked_when_all_others_have_failed() {
    let (a, b) = (
        simulator(Act::rate_limited(500)).await,
        simulator(Behavior::answering("b")).await,
    );
    let gateway = Gateway::start(&model([
        provider("a", &a, json!({})),
        provider("b", &b, json!({ "priority": 2 })),
    ]));
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(gateway.standing("a").await["status"], "cooling_down");

    b.set(Act::status(500));
    a.set(Behavior::answering("a after all"));
    let answer = gateway.chat("hi").await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "a after all"
    );
    assert_eq!((a.seen().requests, b.seen().requests), (2, 2));
}

#[tokio::test]
async fn when_all_are_cooling_the_one_that_recovers_first_is_asked_anyway() {
    let (a, b) = (
        simulator(Act::rate_limited(500)).await,
        simulator(Act::rate_limited(100)).await,
    );
    let gateway = Gateway::start(&model([
        provider("a", &a, json!({})),
        provider("b", &b, json!({ "priority": 2 })),
    ]));
    let asked = || (a.seen().requests, b.seen().requests);

    assert_eq!(gateway.chat("hi").await.status, 502);
    assert_eq!(asked(), (1, 1));

    // Still refused: asked once, and the client learns of it.
    assert_eq!(gateway.chat("hi").await.status, 502);
    assert_eq!(asked(), (1, 2));

    b.set(Behavior::answering("b again"));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "b again");
    assert_eq!(asked(), (1, 3));

    // The success has ended its rest; the other one still rests.
    assert_eq!(gateway.standing("b").await["status"], "available");
    assert_eq!(gateway.standing("a").await["status"], "cooling_down");
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(asked(), (1, 4));
}
