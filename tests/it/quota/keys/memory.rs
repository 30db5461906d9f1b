//! What a key has used is remembered.

use super::*;

#[tokio::test]
async fn counts_of_a_key_survive_kill_9() {
    let a = simulator(Behavior::answering("a")).await;
    let limit = json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } });
    let mut gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(limit)]),
    ));
    for killed in 1..=3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
        gateway.kill();
        gateway.launch();
        assert_eq!(used(&gateway, "alice").await["requests"], killed);
    }
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 8, 20).await;
    assert_eq!(answers.with_status(200), 2);
    gateway.kill();
    gateway.launch();
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(a.seen().requests, 5);
    let file = gateway.path("data/usage/_clients/alice.json");
    let text = gateway
        .wait_for("the client's file", || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.contains("\"requests\": 5").then_some(text)
        })
        .await;
    assert!(!text.contains("sk-"), "{text}");
}

#[tokio::test]
async fn whatever_a_client_is_called_its_counts_are_its_own_and_stay_in_their_folder() {
    let a = simulator(Behavior::answering("a")).await;
    let names = [
        "Alice",
        "alice",
        "..",
        "../../evil",
        "a b",
        "nul",
        "\u{fc}ber",
        "alice.json",
        "_groups",
        "client=bob status=200",
    ];
    let key = |number: usize| format!("sk-{number}-0123456789abcdef");
    let clients: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let limit = json!({ "requests_per_period": number + 1, "period_cron": RARELY });
            client(name, &key(number), json!({ "rate_limit": limit }))
        })
        .collect();
    let config = keyed(model([provider("a", &a, json!({}))]), clients);
    let mut gateway = Gateway::start(&config);
    for (number, name) in names.iter().enumerate() {
        for _ in 0..=number {
            assert_eq!(asks(&gateway, &key(number)).await.status, 200, "{name}");
        }
        assert_eq!(asks(&gateway, &key(number)).await.status, 429, "{name}");
    }
    assert!(gateway.stop().success());
    gateway.launch();
    for (number, name) in names.iter().enumerate() {
        assert_eq!(used(&gateway, name).await["requests"], number + 1, "{name}");
    }
    let folder = gateway.path("data/usage/_clients");
    assert_eq!(walk(&folder).len(), names.len());
    let outside = walk(&gateway.path("."));
    assert!(
        outside.iter().all(|path| !path.ends_with("evil.json")),
        "{outside:?}"
    );
    // A name with blanks cannot pass for something else in the log.
    let log = gateway.log();
    assert!(log.contains("client=\"client=bob status=200\""), "{log}");
}

#[tokio::test]
async fn a_rolling_minute_of_a_key_survives_kill_9() {
    let a = simulator(Behavior::answering("a")).await;
    let mut gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 5 } }))]),
    ));
    for _ in 0..3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
    }
    gateway.kill();
    gateway.launch();
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 8, 20).await;
    assert_eq!(answers.with_status(200), 2);
    let refused = asks(&gateway, ALICE).await;
    assert_eq!(refused.status, 429);
    // The minute began with the first request, and not with the new process.
    let wait = number(&refused, "retry-after");
    assert!((40..=61).contains(&wait), "{wait}");
    assert_eq!(a.seen().requests, 5);
}

#[tokio::test]
async fn a_request_under_way_is_counted_although_its_key_was_gone_for_a_while() {
    let a = simulator(Behavior::answering("a").slowly(ms(4000))).await;
    let with = |clients: Value| keyed(model([provider("a", &a, json!({}))]), clients);
    let limits = json!({
        "max_concurrent": 1,
        "rate_limit": { "requests_per_period": 3, "period_cron": RARELY },
    });
    let both = with(json!([alice(limits), bob(json!({}))]));
    let gateway = Gateway::start(&both);
    let client = gateway.client().with_key(ALICE);
    let mut stream = client.begin_post(CHAT, &chat("hi")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    reload(&gateway, &with(json!([bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
    // Long enough for what nobody needs any more to be put away.
    tokio::time::sleep(ms(1500)).await;
    reload(&gateway, &both).await;
    assert_eq!(used(&gateway, "alice").await["concurrent"], 1);
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    a.set(Behavior::answering("a"));
    stream.await_head().await;
    assert_eq!(stream.status(), 200);
    while stream.read().await.is_some() {}
    let usage = settled(&gateway, "alice").await;
    assert_eq!(
        (&usage["requests"], &usage["tokens"]),
        (&json!(1), &json!(30))
    );
    for status in [200, 200, 429] {
        assert_eq!(asks(&gateway, ALICE).await.status, status);
    }
}

#[tokio::test]
async fn a_reload_keeps_the_count_of_a_key_and_a_removed_key_is_refused_at_once() {
    let a = simulator(Behavior::answering("a")).await;
    let with = |clients: Value| keyed(model([provider("a", &a, json!({}))]), clients);
    let limit = |requests: u64| {
        alice(json!({ "rate_limit": { "requests_per_period": requests, "period_cron": RARELY } }))
    };
    let gateway = Gateway::start(&with(json!([limit(4), bob(json!({}))])));
    for _ in 0..3 {
        assert_eq!(asks(&gateway, ALICE).await.status, 200);
    }
    reload(&gateway, &with(json!([limit(6), bob(json!({}))]))).await;
    let answer = asks(&gateway, ALICE).await;
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 2);
    reload(&gateway, &with(json!([limit(2), bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(used(&gateway, "alice").await["requests"], 4);

    // Another key under the same name goes on where the old one was.
    let other = client(
        "alice",
        "sk-other-0123456789abcdef",
        json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } }),
    );
    reload(&gateway, &with(json!([other, bob(json!({}))]))).await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        200
    );
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        429
    );

    reload(&gateway, &with(json!([bob(json!({}))]))).await;
    assert_eq!(
        asks(&gateway, "sk-other-0123456789abcdef").await.status,
        401
    );
    assert_eq!(asks(&gateway, BOB).await.status, 200);
    assert_eq!(used(&gateway, "alice").await, Value::Null);
    // Who comes back within the period finds what was used.
    reload(&gateway, &with(json!([limit(6), bob(json!({}))]))).await;
    assert_eq!(used(&gateway, "alice").await["requests"], 5);
    reload(
        &gateway,
        &with(json!([alice(json!({ "enabled": false })), bob(json!({}))])),
    )
    .await;
    assert_eq!(asks(&gateway, ALICE).await.status, 401);
}
