//! What a provider says of its own limits holds until it resets, and never loosens what is configured.

use std::time::{Duration, Instant};

use api_gateway::clock;
use api_gateway::simulator::{Act, Answer, Behavior, Dialect, Simulator};
use serde_json::{Value, json};

use super::{CHAT, RARELY, assert_spent, requests, settled, simulator};
use crate::periods::Clock;
use crate::support::gateway::{chat, chat_stream};
use crate::support::load::ask;
use crate::support::recorded::recording;
use crate::support::{Gateway, SOON, global, model, ms, provider};

/// An answer that says so many requests are left, until a reset.
fn left(remaining: &str, reset: &str) -> Answer {
    Answer::text("a")
        .header("x-ratelimit-remaining-requests", remaining)
        .header("x-ratelimit-reset-requests", reset)
}

/// `a` first, then `b`.
fn pair(a: &Simulator, b: &Simulator, of_a: Value) -> Value {
    model([
        provider("a", a, of_a),
        provider("b", b, json!({ "priority": 2 })),
    ])
}

async fn asks(gateway: &Gateway) -> Option<String> {
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-gateway-provider").map(str::to_owned)
}

/// Asks until `a` answers again, and tells how long that took.
async fn until_a_is_back(gateway: &Gateway) -> Duration {
    let since = Instant::now();
    while asks(gateway).await.as_deref() != Some("a") {
        assert!(since.elapsed() < SOON, "a never comes back");
        tokio::time::sleep(ms(10)).await;
    }
    since.elapsed()
}

#[tokio::test]
async fn who_says_that_nothing_is_left_is_not_asked_until_the_reset() {
    for question in [chat("hi"), chat_stream("hi")] {
        let a = simulator(left("0", "2s")).await;
        let b = simulator(Behavior::answering("b")).await;
        let gateway = Gateway::start(&pair(&a, &b, json!({})));
        let answer = gateway.client().post(CHAT, &question).await;
        assert_eq!(answer.header("x-gateway-provider"), Some("a"));
        a.set(Behavior::answering("a"));
        for _ in 0..5 {
            assert_eq!(asks(&gateway).await.as_deref(), Some("b"));
        }
        assert_eq!(a.seen().requests, 1);
        let standing = gateway.standing("a").await;
        assert_eq!(standing["status"], "quota_exhausted", "{standing}");
        let learned = &standing["learned"][0];
        assert_eq!(
            (&learned["unit"], &learned["remaining"], &learned["limit"]),
            (&json!("requests"), &json!(0), &Value::Null),
            "{learned}"
        );
        let took = until_a_is_back(&gateway).await;
        assert!(took > ms(1000) && took < ms(4000), "{took:?}");
        let standing = gateway.standing("a").await;
        assert_eq!(standing["learned"], Value::Null, "{standing}");
    }
}

#[tokio::test]
async fn the_only_one_is_not_asked_either_and_the_client_is_told_when() {
    let a = simulator(left("0", "2s")).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    assert_eq!(gateway.chat("hi").await.status, 200);
    a.set(Behavior::answering("a"));
    let since = Instant::now();
    let refused = gateway.chat("hi").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(a.seen().requests, 1);
    while gateway.chat("hi").await.status != 200 {
        assert!(since.elapsed() < SOON);
        tokio::time::sleep(ms(10)).await;
    }
    assert!(since.elapsed() > ms(1000));
}

#[tokio::test]
async fn with_a_queue_one_waits_for_the_reset_that_was_learned() {
    let a = simulator(left("0", "1s")).await;
    let config = model([provider("a", &a, json!({}))]);
    let gateway = Gateway::start(&global(config, json!({ "queue": { "max_wait": 20 } })));
    assert_eq!(gateway.chat("hi").await.status, 200);
    a.set(left("0", "30m"));
    let since = Instant::now();
    assert_eq!(gateway.chat("hi").await.status, 200);
    let took = since.elapsed();
    assert!(took > ms(500) && took < ms(5000), "{took:?}");
    // Half an hour is not waited for.
    let since = Instant::now();
    let refused = gateway.chat("hi").await;
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert!(since.elapsed() < ms(5000));
    assert_eq!(a.seen().requests, 2);
}

#[tokio::test]
async fn a_full_bucket_elsewhere_does_not_loosen_what_is_configured() {
    let a = simulator(
        left("9999", "60s")
            .header("x-ratelimit-limit-requests", "10000")
            .header("x-ratelimit-limit-tokens", "1000000")
            .header("x-ratelimit-remaining-tokens", "999999")
            .header("x-ratelimit-reset-tokens", "1s"),
    )
    .await;
    let gateway = Gateway::start(&model([provider("a", &a, requests(7))]));
    let answers = ask(&gateway, CHAT, &chat("hi"), 10, 40).await;
    assert_eq!(answers.with_status(200), 7);
    assert_eq!(a.seen().requests, 7);
    let standing = gateway.standing("a").await;
    assert_eq!(standing["limit_requests"], 7);
    assert_spent(&gateway.chat("hi").await, &standing["next_reset"]);
    let learned = standing["learned"].as_array().unwrap();
    assert_eq!(learned.len(), 2, "{standing}");
}

#[tokio::test]
async fn what_is_left_is_shared_by_all_who_ask_at_once() {
    let a = simulator(left("3", "60s")).await;
    let b = simulator(Behavior::answering("b")).await;
    let gateway = Gateway::start(&pair(&a, &b, json!({})));
    assert_eq!(asks(&gateway).await.as_deref(), Some("a"));
    // From now on it says nothing any more.
    a.set(Behavior::answering("a").slowly(ms(20)));
    let answers = ask(&gateway, CHAT, &chat("hi"), 20, 100).await;
    assert_eq!(answers.with_status(200), 100);
    assert_eq!(answers.by_provider()["a"], 3);
    assert_eq!(a.seen().requests, 4);
    settled(&gateway, "a").await;
    let standing = gateway.standing("a").await;
    assert_eq!(standing["learned"][0]["remaining"], 0, "{standing}");
}

#[tokio::test]
async fn what_is_said_later_counts_and_nonsense_does_not() {
    let a = simulator(left("1", "600s")).await;
    let b = simulator(Behavior::answering("b")).await;
    let gateway = Gateway::start(&pair(&a, &b, json!({})));
    assert_eq!(asks(&gateway).await.as_deref(), Some("a"));
    a.set(left("50", "600s"));
    assert_eq!(asks(&gateway).await.as_deref(), Some("a"));
    let nonsense = [
        ("-1", "2s"),
        ("NaN", "2s"),
        ("0", "never"),
        ("0", "-5s"),
        ("0", ""),
        ("", "2s"),
        ("1e9", "2s"),
        ("99999999999999999999999", "2s"),
        ("0x0", "60s"),
    ];
    for (remaining, reset) in nonsense {
        a.set(left(remaining, reset));
        for _ in 0..2 {
            let asked = asks(&gateway).await;
            assert_eq!(asked.as_deref(), Some("a"), "{remaining:?} {reset:?}");
        }
    }
    let standing = gateway.standing("a").await;
    assert_eq!(standing["status"], "available", "{standing}");
    assert_eq!(standing["learned"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn failures_tell_it_as_well() {
    for (status, cools) in [(429, true), (500, false), (400, false)] {
        let act = Act::status(status)
            .with_header("x-ratelimit-remaining-requests", "0")
            .with_header("x-ratelimit-reset-requests", "600s");
        let a = simulator(act).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        let failed = gateway.chat("hi").await;
        assert!(
            failed.status == 502 || failed.status == 400,
            "{}",
            failed.status
        );
        let refused = gateway.chat("hi").await;
        assert_eq!(refused.status, 429, "after {status}: {}", refused.text());
        assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
        assert_eq!(a.seen().requests, 1);
        let standing = gateway.standing("a").await;
        assert_eq!(!standing["cooling_until"].is_null(), cools, "{standing}");
    }
}

#[tokio::test]
async fn anthropic_says_it_in_its_own_words() {
    let reset = clock::now().after(Duration::from_secs(3)).rfc3339();
    let act = Act::from(recording(Dialect::Anthropic, "hello"));
    let spent = act
        .clone()
        .with_header("anthropic-ratelimit-requests-remaining", "0")
        .with_header("anthropic-ratelimit-requests-reset", &reset)
        .with_header("anthropic-ratelimit-output-tokens-limit", "8000")
        .with_header("anthropic-ratelimit-output-tokens-remaining", "8000")
        .with_header("anthropic-ratelimit-output-tokens-reset", &reset);
    let a = simulator(spent).await;
    let b = simulator(Behavior::answering("b")).await;
    let gateway = Gateway::start(&pair(&a, &b, json!({ "protocol": "anthropic" })));
    assert_eq!(asks(&gateway).await.as_deref(), Some("a"));
    a.set(act);
    for _ in 0..3 {
        assert_eq!(asks(&gateway).await.as_deref(), Some("b"));
    }
    let standing = gateway.standing("a").await;
    let learned = standing["learned"].as_array().unwrap();
    let requests = learned.iter().find(|known| known["unit"] == "requests");
    let requests = requests.unwrap_or_else(|| panic!("{standing}"));
    assert_eq!(requests["remaining"], 0);
    let tokens = learned
        .iter()
        .find(|known| known["unit"] == "output_tokens");
    assert_eq!(tokens.unwrap()["limit"], 8000, "{standing}");
    until_a_is_back(&gateway).await;
    assert_eq!(a.seen().requests, 2);
    assert!(clock::now().rfc3339() >= reset);
}

/// Google's 429, as its free tier gives it.
fn google(quotas: &[&str], delay: &str) -> Act {
    let violation = |quota: &&str| {
        json!({
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota,
            "quotaDimensions": { "location": "global", "model": "gemini-2.5-flash" },
            "quotaValue": "20",
        })
    };
    let violations: Vec<Value> = quotas.iter().map(violation).collect();
    let error = json!({ "error": {
        "code": 429,
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            { "@type": "type.googleapis.com/google.rpc.Help", "links": [] },
            { "@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay },
        ],
    } });
    Act::body(429, "application/json; charset=UTF-8", error.to_string())
}

const PER_DAY: &str = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
const PER_MINUTE: &str = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";

#[tokio::test]
async fn gemini_s_day_is_over_at_midnight_pacific_also_for_the_only_provider() {
    let clock = Clock::at("2026-11-20 12:00:10");
    let a = simulator(google(&[PER_MINUTE, PER_DAY], "17s")).await;
    let gateway = clock.start(&model([provider(
        "a",
        &a,
        json!({ "protocol": "gemini", "retry": 2 }),
    )]));
    assert_eq!(gateway.chat("hi").await.status, 502);
    assert_eq!(a.seen().requests, 1, "it is not asked again");
    for _ in 0..3 {
        assert_spent(&gateway.chat("hi").await, &json!("2026-11-21T08:00:00Z"));
    }
    assert_eq!(a.seen().requests, 1);
    let standing = gateway.standing("a").await;
    assert_eq!(standing["status"], "quota_exhausted", "{standing}");
    assert_eq!(
        standing["learned"],
        json!([{
            "unit": "requests", "per": "day", "limit": null, "remaining": 0,
            "until": "2026-11-21T08:00:00Z",
        }])
    );
    gateway.wait_for_log("its quota is spent").await;
    a.set(Act::from(recording(Dialect::Gemini, "hello")));
    clock.set("2026-11-21 08:00:01");
    assert_eq!(gateway.chat("hi").await.status, 200);
}

#[tokio::test]
async fn gemini_s_minute_is_a_rest_and_no_more() {
    let a = simulator(google(&[PER_MINUTE], "17s")).await;
    let b = simulator(Behavior::answering("b")).await;
    let gateway = Gateway::start(&pair(&a, &b, json!({ "protocol": "gemini" })));
    for _ in 0..3 {
        assert_eq!(asks(&gateway).await.as_deref(), Some("b"));
    }
    assert_eq!(a.seen().requests, 1);
    let standing = gateway.standing("a").await;
    assert_eq!(standing["status"], "cooling_down", "{standing}");
    assert_eq!(standing["learned"], Value::Null, "{standing}");
    // The only one is asked although it rests.
    let c = simulator(google(&[PER_MINUTE], "17s")).await;
    let gateway = Gateway::start(&model([provider("c", &c, json!({ "protocol": "gemini" }))]));
    assert_eq!(gateway.chat("hi").await.status, 502);
    c.set(Act::from(recording(Dialect::Gemini, "hello")));
    assert_eq!(gateway.chat("hi").await.status, 200);
}

#[tokio::test]
async fn a_day_that_is_spent_ends_with_the_configured_one() {
    let clock = Clock::at("2026-11-20 12:00:10");
    let message = "Rate limit reached for gpt-4 on requests per day (RPD): Limit 200";
    let act = Act::error(429, "rate_limit_exceeded", message);
    let a = simulator(act).await;
    let limit = json!({ "rate_limit": {
        "requests_per_period": 200, "period_cron": "0 18 * * *", "timezone": "UTC",
    } });
    let gateway = clock.start(&model([provider("a", &a, limit)]));
    assert_eq!(gateway.chat("hi").await.status, 502);
    assert_spent(&gateway.chat("hi").await, &json!("2026-11-20T18:00:00Z"));
    assert_eq!(a.seen().requests, 1);
}

#[tokio::test]
async fn an_empty_account_rests() {
    let said = "You exceeded your current quota, please check your plan and billing details.";
    let a = simulator(Act::error(429, "insufficient_quota", said)).await;
    let b = simulator(Behavior::answering("b")).await;
    let gateway = Gateway::start(&pair(&a, &b, json!({ "retry": 2 })));
    for _ in 0..3 {
        assert_eq!(asks(&gateway).await.as_deref(), Some("b"));
    }
    assert_eq!(a.seen().requests, 1);
    let standing = gateway.standing("a").await;
    assert_eq!(standing["status"], "cooling_down", "{standing}");
    assert_eq!(standing["learned"], Value::Null);
    assert_eq!(standing["requests"], 0, "a refusal is not counted");
}

#[tokio::test]
async fn a_reload_that_edits_the_limits_forgets_what_was_learned() {
    let a = simulator(left("0", "3600s")).await;
    let with = |limit: u64, weight: u64| {
        let limit = json!({
            "rate_limit": { "requests_per_period": limit, "period_cron": RARELY },
            "weight": weight,
        });
        model([provider("a", &a, limit)])
    };
    let gateway = Gateway::start(&with(10, 1));
    assert_eq!(gateway.chat("hi").await.status, 200);
    let reload = async |config: &Value| {
        gateway.write_config(config);
        let answer = gateway.client().post("/admin/reload", &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // What has nothing to do with it changes nothing.
    reload(&with(10, 2)).await;
    let refused = gateway.chat("hi").await;
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(a.seen().requests, 1);
    a.set(Behavior::answering("a"));
    reload(&with(11, 2)).await;
    assert_eq!(gateway.standing("a").await["learned"], Value::Null);
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(gateway.stats("a").await["requests"], 2);
}
