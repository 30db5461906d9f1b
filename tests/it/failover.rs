//! Who is asked when a provider fails, how often, and what the client is told in the end.

use std::time::Instant;

use api_gateway::simulator::{Act, Answer, Behavior};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::pair::{FROM_B, Pair, simulator};
use crate::support::{Gateway, SOON, global, model, ms, provider};

fn said(answer: &crate::support::http::Response) -> Value {
    answer.json()["choices"][0]["message"]["content"].clone()
}

#[tokio::test]
async fn a_server_error_is_retried_as_often_as_configured_before_the_next_is_asked() {
    join_all([500, 502, 503, 504, 529, 408].map(async |status| {
        let pair = Pair::start(Behavior::status(status), json!({ "retry": 2 })).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!((answer.status, said(&answer)), (200, json!(FROM_B)));
        assert_eq!(pair.asked(), (3, 1), "status {status}");
        assert_eq!(answer.header("x-gateway-provider"), Some("b"));
        assert_eq!(answer.header("x-gateway-attempts"), Some("4"));
    }))
    .await;
}

#[tokio::test]
async fn without_retry_a_failing_provider_is_asked_once() {
    let pair = Pair::start(Behavior::status(500), json!({ "retry": 0 })).await;
    assert_eq!(pair.gateway.chat("hi").await.status, 200);
    assert_eq!(pair.asked(), (1, 1));
}

#[tokio::test]
async fn a_provider_recovers_within_its_retries() {
    let pair = Pair::start(Behavior::answering("a again"), json!({ "retry": 2 })).await;
    pair.a.next(Act::status(500));
    pair.a.next(Act::refuse());
    let answer = pair.gateway.chat("hi").await;
    assert_eq!(said(&answer), "a again");
    assert_eq!(pair.asked(), (3, 0));
    assert_eq!(pair.gateway.stats("a").await["requests"], 1);
}

#[tokio::test]
async fn a_provider_that_is_too_slow_is_retried_and_then_left() {
    let pair = Pair::start(Behavior::hanging(), json!({ "retry": 1, "timeout": 0.2 })).await;
    let answer = pair.gateway.chat("hi").await;
    assert_eq!(said(&answer), FROM_B);
    assert_eq!(pair.asked(), (2, 1));
    // Both exchanges were ended by us.
    assert!(pair.a.wait_until(|seen| seen.abandoned == 2, SOON).await);
}

#[tokio::test]
async fn connections_that_are_reset_are_retried() {
    let resetting = [
        Behavior::refusing(),
        Behavior::from(Act::refuse().after(ms(20))),
        Behavior::from(Answer::text("half of this").reset_after(0)),
        Behavior::from(Act::bytes_then_close("")),
    ];
    join_all(resetting.map(async |behavior| {
        let pair = Pair::start(behavior.clone(), json!({ "retry": 1 })).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(said(&answer), FROM_B);
        assert_eq!(pair.asked(), (2, 1), "{behavior:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_closed_port_is_retried_and_then_left() {
    let (a, b) = (
        simulator(Act::hang()).await,
        simulator(Act::answering("b")).await,
    );
    let config = model([
        provider("a", &a, json!({ "retry": 2 })),
        provider("b", &b, json!({ "priority": 2 })),
    ]);
    a.stop().await;
    let gateway = Gateway::start(&config);
    let answer = gateway.chat("hi").await;
    assert_eq!(said(&answer), "b");
    assert_eq!(answer.header("x-gateway-attempts"), Some("4"));
    assert_eq!(gateway.standing("a").await["failed"], 3);
    assert_eq!(gateway.stats("a").await["requests"], 0);
}

#[tokio::test]
async fn refusals_are_never_retried() {
    join_all([401, 402, 403, 429].map(async |status| {
        let pair = Pair::start(Behavior::status(status), json!({ "retry": 3 })).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(said(&answer), FROM_B);
        assert_eq!(pair.asked(), (1, 1), "status {status}");
        assert_eq!(answer.header("x-gateway-attempts"), Some("2"));
    }))
    .await;
}

#[tokio::test]
async fn a_provider_without_the_model_is_passed_over() {
    for body in [
        r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
        r#"{"error":"model 'x' not found"}"#,
    ] {
        let act = Act::body(404, "application/json", body);
        let pair = Pair::start(act, json!({ "retry": 3 })).await;
        assert_eq!(said(&pair.gateway.chat("hi").await), FROM_B);
        assert_eq!(pair.asked(), (1, 1), "{body}");
    }
}

#[tokio::test]
async fn a_prompt_too_long_for_one_is_taken_only_to_those_with_a_larger_window() {
    let message = "This model's maximum context length is 1000 tokens";
    let a = simulator(Act::error(400, "context_length_exceeded", message)).await;
    let (same, larger) = (
        simulator(Act::hang()).await,
        simulator(Act::answering("fits")).await,
    );
    let windowed = |name, at, priority, window| {
        let more = json!({ "priority": priority, "max_context_length": window, "retry": 3 });
        provider(name, at, more)
    };
    let providers = [
        windowed("a", &a, 1, 1000),
        windowed("same", &same, 2, 1000),
        windowed("larger", &larger, 3, 1001),
    ];

    let gateway = Gateway::start(&model(providers.clone()));
    assert_eq!(said(&gateway.chat("hi").await), "fits");
    assert_eq!(
        [&a, &same, &larger].map(|simulator| simulator.seen().requests),
        [1, 0, 1]
    );

    // Nobody has a larger one: the provider's own words are what the client can use.
    let gateway = Gateway::start(&model(providers.into_iter().take(2)));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["message"], message);
    assert_eq!(answer.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(same.seen().requests, 0);
}

#[tokio::test]
async fn a_longer_prompt_than_a_provider_takes_never_reaches_it() {
    let pair = Pair::start(
        Behavior::answering("a"),
        json!({ "max_context_length": 100 }),
    )
    .await;
    assert_eq!(said(&pair.gateway.chat("short").await), "a");
    assert_eq!(
        said(&pair.gateway.chat(&"long ".repeat(1000)).await),
        FROM_B
    );
    assert_eq!(pair.asked(), (1, 1));

    let gateway = Gateway::start(&model([provider(
        "a",
        &pair.a,
        json!({ "max_context_length": 100 }),
    )]));
    let answer = gateway.chat(&"long ".repeat(1000)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(pair.asked(), (1, 1));
}

#[tokio::test]
async fn when_all_fail_the_client_is_told_what_happened_to_each() {
    let (a, b) = (
        simulator(Behavior::status(503)).await,
        simulator(Behavior::status(401)).await,
    );
    let gateway = Gateway::start(&model([
        provider("first", &a, json!({ "retry": 1 })),
        provider("second", &b, json!({ "priority": 2 })),
    ]));

    let answer = gateway.chat("hi").await;

    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = &answer.json()["error"];
    let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["message", "type", "param", "code"]);
    assert_eq!(error["type"], "server_error");
    assert_eq!(
        error["message"],
        "no provider of `m` could answer: first: simulated status 503 (2 attempts); \
         second: provider authentication failed"
    );
    for secret in ["sk-secret", "127.0.0.1", "http://"] {
        assert!(
            !answer.text().contains(secret),
            "{secret}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_last_timeout_is_a_504_and_any_other_last_failure_a_502() {
    let slow = json!({ "timeout": 0.2 });
    for (first, second, status) in [(500, 0, 504), (0, 500, 502)] {
        let behave = |status| match status {
            0 => Behavior::hanging(),
            status => Behavior::status(status),
        };
        let (a, b) = (
            simulator(behave(first)).await,
            simulator(behave(second)).await,
        );
        let mut last = provider("b", &b, slow.clone());
        last["priority"] = json!(2);
        let gateway = Gateway::start(&model([provider("a", &a, slow.clone()), last]));
        assert_eq!(gateway.chat("hi").await.status, status);
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let pair = Pair::start(Behavior::answering("a"), json!({ "retry": 1 })).await;
    pair.a
        .next(Act::status(503).with_header("retry-after", "1"));
    let since = Instant::now();
    assert_eq!(said(&pair.gateway.chat("hi").await), "a");
    assert!(since.elapsed() >= ms(1000), "{:?}", since.elapsed());
    assert_eq!(pair.asked(), (2, 0));
}

#[tokio::test]
async fn a_long_retry_after_moves_on_at_once() {
    let act = Act::status(503).with_header("retry-after", "30");
    let pair = Pair::start(act, json!({ "retry": 3 })).await;
    assert_eq!(said(&pair.gateway.chat("hi").await), FROM_B);
    assert_eq!(pair.asked(), (1, 1));
}

#[tokio::test]
async fn max_attempts_bounds_all_attempts_of_a_request() {
    let settings = json!({ "max_attempts": 2 });
    let pair = Pair::start_with(Behavior::status(500), json!({ "retry": 5 }), settings).await;
    let answer = pair.gateway.chat("hi").await;
    assert_eq!(answer.status, 502);
    assert_eq!(pair.asked(), (2, 0));
}

#[tokio::test]
async fn the_deadline_bounds_a_request_over_all_providers() {
    let settings = json!({ "deadline": 0.5 });
    let pair = Pair::start_with(Behavior::hanging(), json!({ "retry": 5 }), settings).await;
    let since = Instant::now();
    let answer = pair.gateway.chat("hi").await;
    assert_eq!(answer.status, 504);
    assert!(
        (ms(500)..SOON).contains(&since.elapsed()),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(pair.asked(), (1, 0));
}

#[tokio::test]
async fn a_disabled_provider_is_never_asked() {
    let pair = Pair::start(Behavior::answering("a"), json!({ "enabled": false })).await;
    for _ in 0..5 {
        assert_eq!(said(&pair.gateway.chat("hi").await), FROM_B);
    }
    assert_eq!(pair.asked(), (0, 5));

    let gateway = Gateway::start(&model([provider(
        "a",
        &pair.a,
        json!({ "enabled": false }),
    )]));
    assert_eq!(gateway.chat("hi").await.status, 503);
    assert_eq!(pair.a.seen().requests, 0);
}

#[tokio::test]
async fn a_lower_priority_serves_only_what_all_higher_ones_could_not() {
    let simulators = [
        simulator(Behavior::answering("1a")).await,
        simulator(Behavior::answering("1b")).await,
        simulator(Behavior::answering("2")).await,
    ];
    let [first, second, third] = &simulators;
    let gateway = Gateway::start(&model([
        provider("2", third, json!({ "priority": 2 })),
        provider("1a", first, json!({ "weight": 1 })),
        provider("1b", second, json!({ "weight": 3 })),
    ]));
    let asked = || {
        simulators
            .each_ref()
            .map(|simulator| simulator.seen().requests)
    };
    for _ in 0..8 {
        gateway.chat("hi").await;
    }
    assert_eq!(asked(), [2, 6, 0]);

    // One of the tier fails: the other one takes all of it.
    first.set(Behavior::status(500));
    for _ in 0..8 {
        assert_eq!(said(&gateway.chat("hi").await), "1b");
    }
    assert_eq!(asked(), [4, 14, 0]);

    second.set(Behavior::status(500));
    assert_eq!(said(&gateway.chat("hi").await), "2");
    assert_eq!(asked(), [5, 15, 1]);
}

#[tokio::test]
async fn the_headers_that_name_the_provider_can_be_turned_off() {
    let simulator = simulator(Behavior::answering("x")).await;
    let config = model([provider("a", &simulator, json!({}))]);
    let gateway = Gateway::start(&global(config, json!({ "expose_headers": false })));
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("x-gateway"))
    );
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn an_unknown_model_is_told_before_anyone_is_asked() {
    let pair = Pair::start(Behavior::answering("a"), json!({})).await;
    let mut request = chat("hi");
    request["model"] = json!("n");
    let answer = pair
        .gateway
        .client()
        .post("/v1/chat/completions", &request)
        .await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(pair.asked(), (0, 0));
}
