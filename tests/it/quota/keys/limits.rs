//! How much a key may use, and that it is told.

use super::*;

#[tokio::test]
async fn five_a_minute_are_exactly_five_and_what_is_left_is_told() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 5 } })), bob(json!({}))]),
    ));
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 20, 60).await;
    assert_eq!(answers.with_status(200), 5);
    assert_eq!(answers.with_status(429), 55);
    assert_eq!(a.seen().requests, 5);
    for answer in &answers.0 {
        assert_eq!(number(answer, "x-ratelimit-limit-requests"), 5);
        assert!(number(answer, "x-ratelimit-remaining-requests") < 5);
        assert!(answer.header("x-ratelimit-reset-requests").is_some());
    }
    let mut left: Vec<u64> = answers
        .0
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| number(answer, "x-ratelimit-remaining-requests"))
        .collect();
    left.sort_unstable();
    assert_eq!(left[0], 0, "{left:?}");

    let refused = asks(&gateway, ALICE).await;
    let error = refused.json()["error"].clone();
    assert_eq!(error["code"], "rate_limit_exceeded", "{error}");
    assert!(error["message"].as_str().unwrap().contains("API key"));
    let wait = number(&refused, "retry-after");
    assert!((55..=62).contains(&wait), "{wait}");
    assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0);
    let reset = refused.header("x-ratelimit-reset-requests").unwrap();
    assert!(reset.ends_with('s') && reset.len() > 2, "{reset}");
    // The same key in the other dialects: one account, other words.
    for (path, body) in dialects("m") {
        let client = gateway.client().with_header("x-api-key", ALICE);
        let refused = client.post(&path, &body).await;
        assert_eq!(refused.status, 429, "{path}");
        assert!(number(&refused, "retry-after") >= 50, "{path}");
        if path == "/v1/messages" {
            assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
            assert_eq!(number(&refused, "anthropic-ratelimit-requests-limit"), 5);
            assert_eq!(
                number(&refused, "anthropic-ratelimit-requests-remaining"),
                0
            );
            let reset = refused.header("anthropic-ratelimit-requests-reset");
            assert!(reset.unwrap() > clock::now().rfc3339().as_str());
            assert_eq!(refused.header("x-ratelimit-limit-requests"), None);
        } else {
            assert_eq!(number(&refused, "x-ratelimit-limit-requests"), 5);
        }
    }
    let streamed = gateway.client().with_key(ALICE);
    let streamed = streamed.post(CHAT, &chat_stream("hi")).await;
    assert_eq!(streamed.status, 429);
    assert_eq!(streamed.header("content-type"), Some("application/json"));

    // Whoever has no limits is told nothing, and is not touched.
    for _ in 0..10 {
        let answer = asks(&gateway, BOB).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), None);
    }
    let usage = settled(&gateway, "alice").await;
    assert_eq!(usage["requests"], 5, "{usage}");
    assert_eq!(settled(&gateway, "bob").await["requests"], 10);
}

#[tokio::test]
async fn one_limit_for_all_that_is_asked_and_counting_tokens_is_free() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "rate_limit": { "rpm": 7 } }))]),
    ));
    let client = gateway.client().with_header("x-api-key", ALICE);
    let mut all: Vec<(String, Value)> = dialects("m").into();
    let embeddings = json!({ "model": "m", "input": "hi" });
    all.push(("/v1/embeddings".into(), embeddings));
    all.push((
        "/v1/completions".into(),
        json!({ "model": "m", "prompt": "hi" }),
    ));
    all.push((CHAT.into(), chat_stream("hi")));
    let (_, count) = &dialects("m")[2];
    for (number, (path, body)) in all.iter().enumerate() {
        let free = client.post("/v1/messages/count_tokens", count).await;
        assert_eq!(free.status, 200);
        let answer = client.post(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["requests"], number + 1, "{path}");
    }
    for (path, body) in &all {
        assert_eq!(client.post(path, body).await.status, 429, "{path}");
    }
    let free = client.post("/v1/messages/count_tokens", count).await;
    assert_eq!(free.status, 200);
    assert_eq!(client.get("/v1/models").await.status, 200);
}

#[tokio::test]
async fn each_answer_tells_one_less() {
    let a = simulator(Behavior::answering("a")).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(
            json!({ "rate_limit": { "rpm": 6, "tpd": 1_000_000 } })
        )]),
    ));
    let client = gateway.client().with_key(ALICE);
    for left in [5, 4] {
        let answer = client.post(CHAT, &chat("hi")).await;
        assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), left);
    }
    let streamed = client.post(CHAT, &chat_stream("hi")).await;
    assert_eq!(number(&streamed, "x-ratelimit-remaining-requests"), 3);
    let claude = gateway.client().with_header("x-api-key", ALICE);
    let (path, body) = &dialects("m")[2];
    let answer = claude.post(path, body).await;
    assert_eq!(number(&answer, "anthropic-ratelimit-requests-remaining"), 2);
    settled(&gateway, "alice").await;
    // A failure costs nothing, and says so.
    a.set(Behavior::status(500));
    for _ in 0..2 {
        let failed = client.post(CHAT, &chat("hi")).await;
        assert_eq!(failed.status, 502);
        assert_eq!(number(&failed, "x-ratelimit-remaining-requests"), 2);
        let left = number(&failed, "x-ratelimit-remaining-tokens");
        assert_eq!(left, 1_000_000 - 4 * 30);
    }
}

#[tokio::test]
async fn a_limit_of_tokens_is_used_to_the_last_and_not_passed() {
    let a = simulator(Answer::text("words").usage(10, 20)).await;
    let limit = json!({ "rate_limit": { "tokens_per_period": 100, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(limit), bob(json!({}))]),
    ));
    let mut question = chat("hi");
    question["max_tokens"] = json!(20);
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &question, 10, 60).await;
    let mut answered = answers.with_status(200);
    let client = gateway.client().with_key(ALICE);
    let refused = loop {
        settled(&gateway, "alice").await;
        let answer = client.post(CHAT, &question).await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
    };
    assert_eq!(answered, 4);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(number(&refused, "x-ratelimit-limit-tokens"), 100);
    assert_eq!(number(&refused, "x-ratelimit-remaining-tokens"), 0);
    assert_eq!(settled(&gateway, "alice").await["tokens"], 120);
    assert_eq!(asks(&gateway, BOB).await.status, 200);
}

#[tokio::test]
async fn no_more_at_once_than_a_key_may_and_nothing_stays_held() {
    let a = simulator(Behavior::answering("a").slowly(ms(20))).await;
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, json!({}))]),
        json!([alice(json!({ "max_concurrent": 3 })), bob(json!({}))]),
    ));
    for question in [chat("hi"), chat_stream("hi")] {
        let answers = ask_as(&gateway, Some(ALICE), CHAT, &question, 20, 200).await;
        let served = answers.with_status(200);
        assert_eq!(served + answers.with_status(429), 200);
        assert!(served >= 3);
        assert_eq!(a.seen().peak_in_flight, 3);
        let refused = answers.0.iter().find(|answer| answer.status == 429);
        assert_eq!(number(refused.unwrap(), "retry-after"), 1);
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["max_concurrent"], 3);
    }
    // Nor when clients leave, or providers fail.
    a.set(Behavior::hanging());
    let client = gateway.client().with_key(ALICE);
    for _ in 0..3 {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(client.begin_post(CHAT, &chat("hi")).await);
        }
        assert!(a.wait_until(|seen| seen.in_flight == 3, SOON).await);
        assert_eq!(asks(&gateway, ALICE).await.status, 429);
        assert_eq!(used(&gateway, "alice").await["concurrent"], 3);
        drop(streams);
        settled(&gateway, "alice").await;
    }
    a.set(Behavior::status(500));
    for _ in 0..5 {
        assert_eq!(asks(&gateway, ALICE).await.status, 502);
    }
    a.set(Behavior::answering("a"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    settled(&gateway, "alice").await;
}

#[tokio::test]
async fn who_leaves_before_the_answer_is_charged_and_who_gets_none_is_not() {
    let a = simulator(Behavior::hanging()).await;
    let b = simulator(Behavior::answering("b")).await;
    let limit = json!({ "rate_limit": { "requests_per_period": 5, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([
            provider("a", &a, json!({ "retry": 1 })),
            provider("b", &b, json!({ "priority": 2, "retry": 1 })),
        ]),
        json!([alice(limit), bob(json!({}))]),
    ));
    for (left, question) in [(1, chat("hi")), (2, chat_stream("hi"))] {
        let client = gateway.client().with_key(ALICE);
        let stream = client.begin_post(CHAT, &question).await;
        assert!(a.wait_until(|seen| seen.in_flight == 1, SOON).await);
        drop(stream);
        assert!(a.wait_until(|seen| seen.abandoned == left, SOON).await);
        let usage = settled(&gateway, "alice").await;
        assert_eq!(usage["requests"], left, "{usage}");
        assert!(usage["tokens"].as_u64().unwrap() > 0);
    }
    let tokens = used(&gateway, "alice").await["tokens"].clone();
    // All fail, each asked twice: not charged.
    a.set(Behavior::status(500));
    b.set(Behavior::status(500));
    for _ in 0..4 {
        assert_eq!(asks(&gateway, ALICE).await.status, 502);
    }
    let usage = settled(&gateway, "alice").await;
    assert_eq!((&usage["requests"], &usage["tokens"]), (&json!(2), &tokens));
    // One fails and the other answers: charged once.
    b.set(Behavior::answering("b"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    a.set(Behavior::new(Act::refuse()));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    assert_eq!(settled(&gateway, "alice").await["requests"], 4);
    // A mistake of the client's own costs nothing.
    let client = gateway.client().with_key(ALICE);
    let broken = client.request("POST", CHAT, &[], b"{").await;
    assert_eq!(broken.status, 400);
    a.set(Behavior::status(400));
    assert_eq!(asks(&gateway, ALICE).await.status, 400);
    assert_eq!(settled(&gateway, "alice").await["requests"], 4);
    a.set(Behavior::answering("a"));
    assert_eq!(asks(&gateway, ALICE).await.status, 200);
    assert_eq!(asks(&gateway, ALICE).await.status, 429);
    assert_eq!(asks(&gateway, BOB).await.status, 200);
}

#[tokio::test]
async fn what_a_client_may_not_have_is_not_taken_from_a_provider() {
    let a = simulator(Behavior::answering("a")).await;
    let limit = |requests: u64| json!({ "rate_limit": { "requests_per_period": requests, "period_cron": RARELY } });
    let gateway = Gateway::start(&keyed(
        model([provider("a", &a, limit(10))]),
        json!([alice(limit(3)), bob(limit(100))]),
    ));
    let answers = ask_as(&gateway, Some(ALICE), CHAT, &chat("hi"), 10, 50).await;
    assert_eq!(answers.with_status(200), 3);
    let answers = ask_as(&gateway, Some(BOB), CHAT, &chat("hi"), 10, 50).await;
    assert_eq!(answers.with_status(200), 7);
    assert_eq!(a.seen().requests, 10);
    // And what no provider has is not taken from a client.
    assert_eq!(settled(&gateway, "bob").await["requests"], 7);
    assert_eq!(settled(&gateway, "alice").await["requests"], 3);
}
