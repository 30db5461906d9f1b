//! Quotas: never exceeded, all of them used, nothing held at the end.

mod churn;
mod counting;
mod joint;
mod keys;
mod learning;
mod load;
mod queue;
mod refusals;
mod windows;

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Gateway, SOON, ms};

const CHAT: &str = "/v1/chat/completions";

/// Never resets within a test.
const RARELY: &str = "0 0 29 2 *";

fn requests(limit: usize) -> Value {
    json!({ "rate_limit": { "requests_per_period": limit, "period_cron": RARELY } })
}

fn tokens(limit: u64) -> Value {
    json!({ "rate_limit": { "tokens_per_period": limit, "period_cron": RARELY } })
}

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    let simulator = Simulator::start(behavior).await.unwrap();
    simulator.record(false);
    simulator
}

/// Waits until nothing is held of a provider any more, and tells what it has counted.
async fn settled(gateway: &Gateway, name: &str) -> Value {
    let since = std::time::Instant::now();
    loop {
        let stats = gateway.stats(name).await;
        // Not `requests_in_flight` alone: a committed answer that never ends would be missed.
        if stats["in_flight"] == 0 && stats["tokens_reserved"] == 0 {
            return stats;
        }
        assert!(since.elapsed() < SOON, "still held: {stats}");
        tokio::time::sleep(ms(5)).await;
    }
}

/// The answer of a gateway whose quotas are spent for long, in the documented form.
fn assert_spent(answer: &Response, resets_at: &Value) {
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("retry-after"), None);
    let resets_at = resets_at.as_str().unwrap();
    let message =
        format!("the quota of every provider of `m` is used up; the first resets at {resets_at}");
    assert_eq!(
        answer.json(),
        json!({ "error": {
            "message": message,
            "type": "insufficient_quota",
            "param": null,
            "code": "insufficient_quota",
            "resets_at": resets_at,
        } })
    );
}

/// The answer while the last of the quota is held by others, in the documented form.
fn assert_held(answer: &Response) {
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("x-should-retry"), None);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let error = answer.json()["error"].clone();
    assert_eq!(
        (&error["type"], &error["param"], &error["code"]),
        (
            &json!("requests"),
            &Value::Null,
            &json!("rate_limit_exceeded")
        )
    );
}
