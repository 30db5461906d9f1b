//! Streams that break after they began: the client learns of it, and never takes it for the end.

use std::time::Instant;

use api_gateway::simulator::{Act, Answer};
use serde_json::{Value, json};

use crate::support::gateway::chat_stream;
use crate::support::http::Response;
use crate::support::pair::{FROM_B, Pair, directly};
use crate::support::{SOON, ms};

/// The role, four words of nine, and then this.
async fn broken(answer: Answer, more: Value) -> (Pair, Response) {
    let pair = Pair::start(answer, more).await;
    let client = pair.gateway.client();
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-gateway-provider"), Some("a"));
    (pair, answer)
}

/// What was sent before the break, byte for byte; then one error event; then a proper end.
async fn check(pair: &Pair, answer: &Response) -> Value {
    assert!(answer.ended_cleanly, "the HTTP body is terminated");
    let (before, error) = answer.text().trim_end().rsplit_once("\n\n").unwrap();
    pair.a.set(Answer::words(9));
    let mut request = chat_stream("hi");
    request["stream_options"] = json!({ "include_usage": true });
    let whole = directly(&pair.a, &request).await;
    let sent: String = whole.text().split_inclusive("\n\n").take(5).collect();
    assert_eq!(format!("{before}\n\n"), sent);
    for end in ["[DONE]", "\"finish_reason\":\"", FROM_B] {
        assert!(!answer.text().contains(end), "{}", answer.text());
    }
    let error = error.strip_prefix("data: ").unwrap();
    let error: Value = serde_json::from_str(error).unwrap();

    assert_eq!(pair.b.seen().requests, 0, "no failover after commit");
    let stats = pair.gateway.stats("a").await;
    assert_eq!([&stats["requests"], &stats["requests_in_flight"]], [1, 0]);
    assert!(
        stats["tokens"].as_u64().unwrap() >= 4,
        "what was said is counted: {stats}"
    );
    assert_eq!(pair.gateway.standing("a").await["failed"], 1);
    pair.gateway.wait_for_log("Answer broke off").await;
    error["error"].clone()
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error() {
    for cut in [
        Answer::words(9).cut_after(5),
        Answer::words(9).reset_after(5),
    ] {
        let (pair, answer) = broken(cut, json!({})).await;
        let error = check(&pair, &answer).await;
        assert_eq!(error["message"], "the answer broke off");
        assert_eq!(error["type"], "server_error");
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["message", "type", "param", "code"]);
    }
}

#[tokio::test]
async fn a_stream_whose_body_ends_properly_but_too_early_ends_with_an_error() {
    let whole = Answer::words(9);
    let pair = Pair::start(whole, json!({})).await;
    let mut request = chat_stream("hi");
    request["stream_options"] = json!({ "include_usage": true });
    let said = directly(&pair.a, &request).await;
    let half: String = said.text().split_inclusive("\n\n").take(5).collect();
    pair.a.set(Act::body(200, "text/event-stream", half));
    let client = pair.gateway.client();
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(
        check(&pair, &answer).await["message"],
        "the answer broke off"
    );
}

#[tokio::test]
async fn an_error_of_the_provider_in_mid_stream_is_the_last_that_is_handed_on() {
    let said =
        json!({ "error": { "message": "GPU on fire", "type": "x", "code": 7, "more": [1] } });
    let (pair, answer) = broken(Answer::words(9).error_after(5, said.clone()), json!({})).await;
    assert_eq!(check(&pair, &answer).await, said["error"]);
    let log = pair.gateway.wait_for_log("Answer broke off").await;
    assert!(log.contains("upstream reported an error x"), "{log}");
    assert!(!log.contains("GPU on fire"), "only the client is told");
}

#[tokio::test]
async fn a_stream_that_stays_silent_for_too_long_ends_with_a_timeout() {
    let (pair, answer) = broken(
        Answer::words(9).stall_after(5),
        json!({ "stream_idle_timeout": 0.4 }),
    )
    .await;
    let error = check(&pair, &answer).await;
    assert_eq!(error["message"], "silent for 0.4 s");
    assert_eq!(error["code"], "timeout");
    assert!(pair.a.wait_until(|seen| seen.streams_open == 0, SOON).await);
}

#[tokio::test]
async fn a_stream_may_take_longer_than_its_beginning_and_its_silences() {
    let slow = Answer::words(12).drip(12, ms(100));
    let bounded = json!({ "stream_idle_timeout": 1, "timeout": 1, "first_byte_timeout": 1 });
    let pair = Pair::start_with(slow, bounded, json!({ "deadline": 1 })).await;
    let client = pair.gateway.client();
    let since = Instant::now();
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert!(since.elapsed() > ms(1200));
    assert!(
        answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
    assert!(answer.ended_cleanly);
    assert_eq!(pair.gateway.standing("a").await["failed"], 0);
}

#[tokio::test]
async fn an_end_without_done_is_an_end_when_there_was_a_reason() {
    // The role, nine words, the finish reason; then the connection breaks.
    let (pair, answer) = broken(Answer::words(9).cut_after(11), json!({})).await;
    assert!(answer.ended_cleanly);
    assert!(answer.text().contains("\"finish_reason\":\"stop\""));
    assert!(!answer.text().contains("error"), "{}", answer.text());
    assert_eq!(pair.gateway.standing("a").await["failed"], 0);
    assert_eq!(pair.gateway.stats("a").await["requests"], 1);
}
