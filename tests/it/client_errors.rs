//! What a provider holds against the request itself is the client's to read, as it came.

use api_gateway::simulator::Act;
use serde_json::json;

use crate::support::gateway::{chat, chat_stream};
use crate::support::pair::Pair;

/// The error of a client, in forms that providers really use.
const SAID: [(u16, &str, &str); 6] = [
    (
        400,
        "application/json",
        r#"{ "error" : {"message":"Invalid 'temperature'", "param":"temperature"},"x":1.0 }"#,
    ),
    (
        404,
        "application/json; charset=utf-8",
        r#"{"detail":"Not Found"}"#,
    ),
    (409, "text/plain", "conflict"),
    (413, "application/json", "{}"),
    (415, "text/html", "<h1>no</h1>"),
    (
        422,
        "application/problem+json",
        "{\"detail\":[{\"loc\":[\"body\"]}]}\n",
    ),
];

#[tokio::test]
async fn a_clients_mistake_is_returned_byte_for_byte_and_nobody_else_is_asked() {
    for (status, kind, body) in SAID {
        let pair = Pair::start(Act::body(status, kind, body), json!({ "retry": 3 })).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.text(), body);
        assert_eq!(pair.asked(), (1, 0), "status {status}");
        assert_eq!(pair.gateway.stats("a").await["requests"], 0);
        assert_eq!(pair.gateway.standing("a").await["failed"], 0);
    }
}

#[tokio::test]
async fn so_is_the_mistake_of_one_who_wants_a_stream() {
    for (status, kind, body) in SAID {
        let pair = Pair::start(Act::body(status, kind, body), json!({ "retry": 3 })).await;
        let client = pair.gateway.client();
        let answer = client
            .post("/v1/chat/completions", &chat_stream("hi"))
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.text(), body);
        // These may be about the option that we added: it is asked once more without it.
        assert_eq!(
            pair.asked(),
            (1 + u64::from(matches!(status, 400 | 422)), 0),
            "status {status}"
        );
    }
}

#[tokio::test]
async fn a_large_error_is_returned_whole() {
    let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "x".repeat(200_000));
    let pair = Pair::start(Act::body(400, "application/json", body.clone()), json!({})).await;
    assert_eq!(pair.gateway.chat("hi").await.text(), body);
}

#[tokio::test]
async fn headers_of_a_providers_account_are_not_passed_on() {
    let act = Act::body(422, "application/json", "{}")
        .with_header("set-cookie", "session=1")
        .with_header("openai-organization", "org-1")
        .with_header("x-ratelimit-remaining-requests", "7");
    let pair = Pair::start(act, json!({})).await;
    let client = pair.gateway.client();
    for answer in [
        client.post("/v1/chat/completions", &chat("hi")).await,
        client
            .post("/v1/chat/completions", &chat_stream("hi"))
            .await,
    ] {
        assert_eq!(answer.status, 422);
        for name in [
            "set-cookie",
            "openai-organization",
            "x-ratelimit-remaining-requests",
            "server",
        ] {
            assert_eq!(answer.header(name), None, "{name}");
        }
    }
}

/// The words are lost, the status is not.
#[tokio::test]
async fn an_error_that_cannot_be_read_is_told_in_our_words() {
    let compressed = Act::body(422, "application/json", b"\x1f\x8b\x08".to_vec())
        .with_header("content-encoding", "gzip");
    let stalled = "HTTP/1.1 422 Unprocessable\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    for act in [compressed, Act::bytes(stalled)] {
        let pair = Pair::start(act, json!({})).await;
        let answer = pair.gateway.chat("hi").await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert_eq!(answer.header("content-encoding"), None);
        let error = &answer.json()["error"];
        assert_eq!(error["message"], "upstream returned HTTP 422");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(pair.asked(), (1, 0));
    }
}
