//! Providers that quote their key: neither the client nor the log gets to see it.

use api_gateway::simulator::{Act, Answer, Behavior};
use serde_json::{Value, json};

use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Response;
use crate::support::pair::simulator;
use crate::support::{Gateway, model, provider};

/// The provider's key, and the secret in one of its custom headers.
const KEY: &str = "sk-secret-of-a";
const HEADER: &str = "header-secret-1234";

/// Everything anybody can see of a request to a provider that behaves like this.
async fn told(behavior: impl Into<Behavior>, request: &Value) -> (Response, String) {
    let a = simulator(behavior).await;
    let more = json!({ "custom_headers": { "X-Team": HEADER } });
    let gateway = Gateway::start(&model([provider("a", &a, more)]));
    let answer = gateway.client().post("/v1/chat/completions", request).await;
    let standing = gateway.standing("a").await.to_string();
    let log = gateway.wait_for_log("request_id=").await;
    let log = match answer.status {
        200 => gateway.wait_for_log("Answer broke off").await,
        _ => gateway.wait_for_log("Request failed").await + &log,
    };
    // What came in reached it: the simulator was sent both.
    assert_eq!(a.requests()[0].header("x-team"), Some(HEADER));
    (answer, standing + &log + &gateway.read("stderr"))
}

fn check((answer, elsewhere): (Response, String)) {
    for secret in [KEY, HEADER] {
        assert!(!answer.text().contains(secret), "client: {}", answer.text());
        assert!(!elsewhere.contains(secret), "log: {elsewhere}");
    }
}

fn quoting() -> Value {
    json!({ "error": { "message": format!("key {KEY} with {HEADER} is bad"), "code": KEY } })
}

#[tokio::test]
async fn an_error_answer_is_cleaned() {
    for status in [400, 401, 403, 422, 429, 500] {
        let act = Act::body(status, "application/json", quoting().to_string());
        check(told(act, &chat("hi")).await);
    }
}

#[tokio::test]
async fn what_remains_of_a_cleaned_error_is_still_readable() {
    let act = Act::body(422, "application/json", quoting().to_string());
    let (answer, _) = told(act, &chat("hi")).await;
    assert_eq!(answer.json()["error"]["message"], "key *** with *** is bad");
}

#[tokio::test]
async fn an_error_with_status_200_is_cleaned() {
    let act = Act::body(200, "application/json", quoting().to_string());
    check(told(act, &chat("hi")).await);
}

#[tokio::test]
async fn an_error_that_begins_a_stream_is_cleaned() {
    let act = Answer::words(3).error_after(0, quoting());
    check(told(act, &chat_stream("hi")).await);
}

#[tokio::test]
async fn an_error_that_ends_a_stream_is_cleaned() {
    let act = Answer::words(9).error_after(4, quoting());
    let told = told(act, &chat_stream("hi")).await;
    assert!(
        told.0.text().contains("key *** with *** is bad"),
        "{}",
        told.0.text()
    );
    check(told);
}

#[tokio::test]
async fn a_key_in_a_custom_header_is_known_without_its_scheme() {
    let said = json!({ "error": "no such key: other-secret-5678" }).to_string();
    let a = simulator(Act::body(500, "application/json", said)).await;
    let more = json!({ "custom_headers": { "Authorization": "Bearer other-secret-5678" } });
    let gateway = Gateway::start(&model([provider("a", &a, more)]));
    let answer = gateway.chat("hi").await;
    assert_eq!(
        a.requests()[0].header("authorization"),
        Some("Bearer other-secret-5678")
    );
    let log = gateway.wait_for_log("Request failed").await;
    assert!(
        !answer.text().contains("other-secret-5678"),
        "{}",
        answer.text()
    );
    assert!(!log.contains("other-secret-5678"), "{log}");
}

#[tokio::test]
async fn a_clients_own_key_reaches_no_provider() {
    let a = simulator(Behavior::answering("x")).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let client = gateway
        .client()
        .with_key("client-secret-1")
        .with_header("x-api-key", "client-secret-2")
        .with_header("cookie", "client-secret-3")
        .with_header("openai-beta", "assistants=v2");
    assert_eq!(
        client
            .post("/v1/chat/completions", &chat("hi"))
            .await
            .status,
        200
    );
    let seen = &a.requests()[0];
    assert_eq!(seen.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(seen.header("authorization"), Some("Bearer sk-secret-of-a"));
    assert!(
        seen.headers
            .iter()
            .all(|(_, value)| !value.contains("client-secret"))
    );
}
