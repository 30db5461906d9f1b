//! Status 200 is not success: nothing of an answer that is none reaches the client.

use api_gateway::simulator::{Act, Answer, Behavior};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::gateway::{chat, chat_stream};
use crate::support::pair::{FROM_B, Pair, directly};

/// What a provider may do instead of answering, with a name for it.
type Failures = Vec<(&'static str, Act)>;

/// `a` fails with each of these, and the client gets what `b` says, and only that.
async fn fails_over(request: &Value, failures: impl IntoIterator<Item = (&'static str, Act)>) {
    join_all(failures.into_iter().map(async |(name, act)| {
        let more = json!({ "first_byte_timeout": 0.3, "retry": 1 });
        let pair = Pair::start(act, more).await;
        let client = pair.gateway.client();
        let answer = client.post("/v1/chat/completions", request).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-provider"), Some("b"), "{name}");
        assert_eq!(answer.header("x-gateway-attempts"), Some("3"), "{name}");
        assert_eq!(pair.asked(), (2, 1), "{name}");
        let expected = expected(&pair, request).await;
        assert_eq!(answer.text(), expected, "{name}");
        assert!(answer.ended_cleanly, "{name}");

        let (a, b) = (pair.gateway.stats("a").await, pair.gateway.stats("b").await);
        assert_eq!([&a["requests"], &b["requests"]], [0, 1], "{name}");
        assert_eq!([&a["requests_in_flight"], &b["requests_in_flight"]], [0, 0]);
        assert_eq!(pair.gateway.standing("a").await["failed"], 2, "{name}");
        assert!(
            pair.a.wait_until(|seen| seen.in_flight == 0, SOON).await,
            "{name}"
        );
    }))
    .await;
}

/// What `b` says when it is asked as the gateway asks it, without the usage that only we want.
async fn expected(pair: &Pair, request: &Value) -> String {
    let mut request = request.clone();
    let streams = request["stream"] == true;
    if streams {
        request["stream_options"] = json!({ "include_usage": true });
    }
    let answer = directly(&pair.b, &request).await;
    let events = answer.text().split_inclusive("\n\n");
    events
        .filter(|event| !streams || !event.contains("\"choices\":[],"))
        .collect()
}

fn json_body(body: &str) -> Act {
    Act::body(200, "application/json", body)
}

fn events(body: &str) -> Act {
    Act::body(200, "text/event-stream", body)
}

/// What is no answer to anybody.
fn no_answers() -> Failures {
    let error = r#"{"error":{"message":"overloaded","type":"server_error"}}"#;
    vec![
        ("an error object", json_body(error)),
        (
            "an error as a string",
            json_body(r#"{"error":"overloaded"}"#),
        ),
        ("an error in an array", json_body(&format!("[{error}]"))),
        (
            "an error beside an answer",
            json_body(r#"{"choices":[],"error":{"message":"x"}}"#),
        ),
        ("an empty body", Act::empty()),
        ("blanks", json_body(" \r\n ")),
        ("a web page", Act::html()),
        ("a web page as JSON", json_body("<html>")),
        (
            "cut JSON",
            json_body(r#"{"id":"1","choices":[{"index":0,"message":{"role":"#),
        ),
        ("an empty object", json_body("{}")),
        ("no choice", json_body(r#"{"id":"1","choices":[]}"#)),
        ("no choice but null", json_body(r#"{"choices":[null]}"#)),
        (
            "a choice that is an error",
            json_body(r#"{"choices":[{"error":{"code":502,"message":"x"}}]}"#),
        ),
        (
            "a choice that ended in an error",
            json_body(r#"{"choices":[{"message":{"content":""},"finish_reason":"error"}]}"#),
        ),
        ("null", json_body("null")),
        ("text", Act::body(200, "text/plain", "Bad Gateway")),
        ("no content", Act::status(204)),
        ("a cut body", Answer::text("cut").cut_after(0).into()),
        ("a reset body", Answer::text("reset").reset_after(0).into()),
    ]
}

#[tokio::test]
async fn a_200_that_is_no_answer_fails_over() {
    let [first, second] = split(no_answers());
    fails_over(&chat("hi"), first).await;
    fails_over(&chat("hi"), second).await;
}

#[tokio::test]
async fn a_200_that_is_no_answer_fails_over_also_for_a_stream() {
    // The last two are streams here, which are cut elsewhere.
    let mut failures = no_answers();
    failures.truncate(failures.len() - 2);
    let [first, second] = split(failures);
    fails_over(&chat_stream("hi"), first).await;
    fails_over(&chat_stream("hi"), second).await;
}

/// Two halves, so that not too many gateways run at once.
fn split(mut all: Failures) -> [Failures; 2] {
    let second = all.split_off(all.len() / 2);
    [all, second]
}

#[tokio::test]
async fn a_stream_that_breaks_before_it_says_anything_fails_over() {
    let answer = || Answer::text("lost words of provider a");
    let error = json!({ "error": { "message": "overloaded", "type": "server_error" } });
    let role = r#"data: {"id":"1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    fails_over(
        &chat_stream("hi"),
        [
            (
                "an error first",
                answer().error_after(0, error.clone()).into(),
            ),
            (
                "an error after the role",
                answer().error_after(1, error).into(),
            ),
            (
                "an error in a choice",
                events("data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"error\":{\"code\":502}}]}\n\n"),
            ),
            (
                "a choice that ends in an error",
                events("data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n"),
            ),
            ("cut before anything", answer().cut_after(0).into()),
            ("cut after the role", answer().cut_after(1).into()),
            ("reset after the role", answer().reset_after(1).into()),
            ("an end after the role", events(&format!("{role}\n\n"))),
            ("nothing but the end", events("data: [DONE]\n\n")),
            (
                "a role and the end",
                events(&format!("{role}\n\ndata: [DONE]\n\n")),
            ),
        ],
    )
    .await;
    fails_over(
        &chat_stream("hi"),
        [
            ("comments only", events(": ping\n\n: ping\n\n")),
            ("an empty stream", events("")),
            (
                "a web page as a stream",
                events("<!doctype html>\n<p>Sign in\n\n"),
            ),
            (
                "a named error event",
                events("event: error\ndata: {\"error\":{\"message\":\"x\"}}\n\n"),
            ),
            ("half an event", events(&role[..40])),
            (
                "an event that is no JSON",
                events("data: {\"choices\":[\n\n"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_stays_silent_fails_over_when_its_time_is_up() {
    let answer = || Answer::text("lost words of provider a");
    fails_over(
        &chat_stream("hi"),
        [
            ("silent before the head", Act::hang()),
            ("silent after the head", answer().stall_after(0).into()),
            ("silent after the role", answer().stall_after(1).into()),
        ],
    )
    .await;
}

#[tokio::test]
async fn pings_are_not_an_answer() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let pings = format!("{head}8\r\n: ping\n\n\r\n");
    fails_over(
        &chat_stream("hi"),
        [("pings and silence", Act::bytes(pings))],
    )
    .await;
}

#[tokio::test]
async fn a_failure_of_everybody_is_an_error_and_not_a_stream() {
    let pair = Pair::start(Answer::text("lost").cut_after(1), json!({})).await;
    pair.b.set(Act::html());
    let client = pair.gateway.client();
    let answer = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        message,
        "no provider of `m` could answer: a: the answer broke off; b: upstream answered with a web page"
    );
}

#[tokio::test]
async fn an_answer_that_says_little_is_still_an_answer() {
    // Said nothing, but in proper form, and with a reason for it.
    let pair = Pair::start(
        Behavior::from(Answer::text("").finish("content_filter")),
        json!({}),
    )
    .await;
    let client = pair.gateway.client();
    let answer = pair.gateway.chat("hi").await;
    assert_eq!(answer.header("x-gateway-provider"), Some("a"));
    let stream = client
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(stream.header("x-gateway-provider"), Some("a"));
    assert!(stream.text().contains("content_filter"));
    assert!(!stream.text().contains(FROM_B));
    assert_eq!(pair.asked(), (2, 0));
}
