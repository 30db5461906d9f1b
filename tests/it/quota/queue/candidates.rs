//! Waiting for several candidates, accounts and models.

use super::*;

#[tokio::test]
async fn who_waits_takes_whichever_provider_has_room_first() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::hanging()).await;
    let both = model([
        provider("a", &a, one()),
        provider("b", &b, json!({ "max_concurrent": 1, "priority": 2 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let at_a = begin(&gateway, None, &chat("0")).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let at_b = begin(&gateway, None, &chat("1")).await;
    assert!(b.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let waits = ask(&gateway, None, "2");
    waiting(&gateway.client(), 1).await;
    b.set(Behavior::answering("b"));
    drop(at_b);
    let answer = waits.await.unwrap();
    assert_eq!(answer.header("x-gateway-provider"), Some("b"));
    // One that fails is not waited for again, but the other is.
    let at_b = {
        b.set(Behavior::hanging());
        let at_b = begin(&gateway, None, &chat("3")).await;
        assert!(b.wait_until(|seen| seen.in_flight == 1, SOON).await);
        at_b
    };
    let waits = ask(&gateway, None, "4");
    waiting(&gateway.client(), 1).await;
    a.set(Behavior::status(500));
    drop(at_a);
    assert!(a.wait_until(|seen| seen.failed == 1, SOON).await);
    waiting(&gateway.client(), 1).await;
    b.set(Behavior::answering("b"));
    drop(at_b);
    let answer = waits.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-provider"), Some("b"));
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn who_waits_for_one_provider_does_not_hold_up_those_whom_another_serves() {
    let a = recording(Behavior::hanging()).await;
    let b = recording(Behavior::answering("b")).await;
    let both = model([
        provider("a", &a, one()),
        provider("b", &b, json!({ "max_context_length": 1000 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let long = "word ".repeat(5000);
    let first = begin(&gateway, None, &chat(&long)).await;
    assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
    // Too long for b.
    let waits = begin(&gateway, None, &chat(&long)).await;
    waiting(&gateway.client(), 1).await;
    let since = Instant::now();
    let short = gateway.chat("short").await;
    assert_eq!(short.header("x-gateway-provider"), Some("b"));
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    drop((first, waits));
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn a_place_of_an_account_that_another_model_gives_back_is_taken_at_once() {
    let a = recording(Behavior::answering("a")).await;
    let of = |name: &str| {
        let group = json!({ "name": "account", "max_concurrent": 1 });
        json!({ "providers": [provider(name, &a, json!({ "quota_group": group }))] })
    };
    let config = json!({ "m": of("a"), "other": of("b") });
    let gateway = Gateway::start(&global(config, json!({ "queue": patient() })));
    let mut took = Vec::new();
    for _ in 0..5 {
        a.set(Behavior::hanging());
        let mut question = chat("first");
        question["model"] = json!("other");
        let first = begin(&gateway, None, &question).await;
        assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
        let waits = ask(&gateway, None, "second");
        waiting(&gateway.client(), 1).await;
        a.set(Behavior::answering("a"));
        let since = Instant::now();
        drop(first);
        assert_eq!(waits.await.unwrap().status, 200);
        took.push(since.elapsed());
    }
    // A busy machine may be late now and then.
    assert!(took.iter().any(|took| *took < ms(200)), "{took:?}");
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn a_window_of_an_account_is_waited_for_by_all_its_models() {
    let a = recording(Behavior::answering("a")).await;
    let of = |name: &str| {
        let limit = json!([{ "every": "1s", "requests": 2 }]);
        let group = json!({ "name": "account", "rate_limit": limit });
        json!({ "providers": [provider(name, &a, json!({ "quota_group": group }))] })
    };
    let config = json!({ "m": of("a"), "other": of("b") });
    let gateway = Gateway::start(&global(config, json!({ "queue": patient() })));
    let since = Instant::now();
    let mut running = Vec::new();
    for number in 0..8 {
        let mut question = chat("hi");
        question["model"] = json!(["m", "other"][number % 2]);
        let client = gateway.client();
        running.push(tokio::spawn(
            async move { client.post(CHAT, &question).await },
        ));
    }
    for answer in running {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let took = since.elapsed();
    assert!(took >= ms(3000) && took < ms(6000), "{took:?}");
    assert!(most_within(&arrivals(&a), Duration::from_secs(1)) <= 2);
    all_is_over(&gateway).await;
}

/// Sends these questions, all at once, and expects that each is answered.
async fn all_are_served(gateway: &Gateway, questions: Vec<Value>) {
    let running: Vec<_> = questions
        .into_iter()
        .map(|question| {
            let client = gateway.client();
            tokio::spawn(async move { client.post(CHAT, &question).await })
        })
        .collect();
    for answer in running {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let figures = all_is_over(gateway).await;
    assert!(figures["served"].as_u64().unwrap() > 0, "{figures}");
    assert_eq!(figures["in_vain"], 0, "{figures}");
}

#[tokio::test]
async fn whoever_waits_for_whatever_all_are_served() {
    // Both take short prompts, one takes long ones; each has two places.
    let a = recording(Behavior::answering("a").slowly(ms(10))).await;
    let b = recording(Behavior::answering("b").slowly(ms(10))).await;
    let small = json!({ "max_concurrent": 2, "max_context_length": 1000 });
    let both = model([
        provider("a", &a, json!({ "max_concurrent": 2 })),
        provider("b", &b, small),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let long = "word ".repeat(3000);
    let questions = (0..90).map(|number| match number % 3 {
        0 => chat(&long),
        1 => chat("short"),
        _ => chat_stream("short"),
    });
    all_are_served(&gateway, questions.collect()).await;
    assert_eq!(a.seen().peak_in_flight, 2);
    assert_eq!(b.seen().peak_in_flight, 2);
    assert!(b.seen().requests >= 20, "{:?}", b.seen());
    settled(&gateway, "b").await;
}

#[tokio::test]
async fn behind_a_provider_that_always_fails_all_wait_for_the_other() {
    let a = recording(Behavior::status(500)).await;
    let b = recording(Behavior::answering("b").slowly(ms(10))).await;
    let both = model([
        provider("a", &a, json!({})),
        provider("b", &b, json!({ "max_concurrent": 2, "priority": 2 })),
    ]);
    let gateway = Gateway::start(&global(both, json!({ "queue": patient() })));
    let questions = (0..90).map(|number| chat(&number.to_string()));
    all_are_served(&gateway, questions.collect()).await;
    assert_eq!(b.seen().peak_in_flight, 2);
    assert_eq!(b.seen().answered, 90);
}
