//! Requests as bytes: broken JSON, too much of it, odd framing, old and impatient clients.

use api_gateway::simulator::{Answer, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Stream;
use crate::support::{Gateway, global, model, provider};

const CHAT: &str = "/v1/chat/completions";

async fn gateway(settings: Value) -> (Gateway, Simulator) {
    let simulator = Simulator::start(Answer::text("Hello!")).await.unwrap();
    let config = model([provider("a", &simulator, json!({}))]);
    (Gateway::start(&global(config, settings)), simulator)
}

/// Reads an answer to its end: status and body.
async fn read(mut stream: Stream) -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    while let Some(piece) = stream.read().await {
        body.extend_from_slice(&piece);
    }
    (stream.status(), body)
}

fn error(message: &str, param: Value) -> Value {
    json!({ "error": {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": null,
    }})
}

#[tokio::test]
async fn a_body_that_cannot_be_understood_is_a_400_that_says_where() {
    let (gateway, simulator) = gateway(json!({})).await;
    let syntax = |place: &str| {
        let message = format!("the body is not valid JSON: expected {place}");
        error(&message, Value::Null)
    };
    for (body, expected) in [
        ("", syntax("a value at line 1 column 1")),
        ("{", syntax("a key in quotes at line 1 column 2")),
        (
            "{\"model\": \"m\",\n  \"messages\": [}\n}",
            syntax("a value at line 2 column 16"),
        ),
        (
            "{\"model\":\"m\",}",
            syntax("a key in quotes at line 1 column 14"),
        ),
        (
            "{\"model\":\"m\"} x",
            syntax("nothing more at line 1 column 15"),
        ),
        ("[]", error("the body must be a JSON object", Value::Null)),
        ("null", error("the body must be a JSON object", Value::Null)),
        (
            "{\"messages\":[]}",
            error("`model` is missing", json!("model")),
        ),
        (
            "{\"model\":4}",
            error("`model` must be a string", json!("model")),
        ),
        (
            "{\"model\":\"\"}",
            error("`model` must not be empty", json!("model")),
        ),
        (
            "{\"model\":\"m\",\"stream\":\"yes\"}",
            error("`stream` must be true or false", json!("stream")),
        ),
        (
            "{\"model\":\"m\",\"model\":\"m\"}",
            error("`model` is given more than once", json!("model")),
        ),
    ] {
        for path in [CHAT, "/completions", "/v1/embeddings"] {
            // Embeddings know no streams, so what stands there is for the provider to judge.
            if body.contains("stream") && path.ends_with("embeddings") {
                continue;
            }
            let answer = gateway
                .client()
                .request("POST", path, &[], body.as_bytes())
                .await;
            assert_eq!(
                (answer.status, answer.json()),
                (400, expected.clone()),
                "{path}: {body}"
            );
        }
    }
    assert_eq!(simulator.seen().requests, 0);
}

/// A chat request of exactly this many bytes.
fn chat_of(bytes: usize) -> Vec<u8> {
    let empty = chat("").to_string().len();
    chat(&"x".repeat(bytes - empty)).to_string().into_bytes()
}

/// The same as a chunked request.
fn chunked(body: &[u8], headers: &str) -> Vec<u8> {
    let mut request =
        format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\n{headers}transfer-encoding: chunked\r\n\r\n")
            .into_bytes();
    for piece in body.chunks(10_000) {
        request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        request.extend_from_slice(piece);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

#[tokio::test]
async fn a_body_may_be_as_large_as_allowed_and_not_a_byte_larger() {
    let (gateway, simulator) = gateway(json!({ "max_body_bytes": 100_000 })).await;
    let client = gateway.client();
    let too_large = error("the request body is larger than 100000 bytes", Value::Null);

    for (size, status) in [(100_000, 200), (100_001, 413)] {
        let body = chat_of(size);
        let declared = client.request("POST", CHAT, &[], &body).await;
        let (streamed, answer) =
            read(client.raw(&chunked(&body, "connection: close\r\n")).await).await;
        assert_eq!(
            (declared.status, streamed),
            (status, status),
            "{size} bytes"
        );
        if status == 413 {
            assert_eq!(declared.json(), too_large);
            assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), too_large);
        }
    }
    let seen = simulator.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| {
        request.json()["messages"][0]["content"]
            .as_str()
            .unwrap()
            .bytes()
            .all(|byte| byte == b'x')
    }));
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_waited_for() {
    let (gateway, _simulator) = gateway(json!({})).await;
    let limit = 32 * 1024 * 1024;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        limit + 1
    );
    let (status, body) = read(gateway.client().raw(head.as_bytes()).await).await;
    assert_eq!(status, 413);
    let message = format!("the request body is larger than {limit} bytes");
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        error(&message, Value::Null)
    );
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_still_reads_why_it_was_refused() {
    let (gateway, simulator) = gateway(json!({ "max_body_bytes": 1000, "api_key": "sk-1" })).await;
    for (size, key, status) in [
        (1_001, "Bearer sk-1", 413),
        (8_000_000, "Bearer sk-1", 413),
        (8_000_000, "Bearer sk-2", 401),
    ] {
        let body = chat_of(size);
        let headers = [("authorization", key)];
        let declared = gateway
            .client()
            .request("POST", CHAT, &headers, &body)
            .await;
        let head = format!("authorization: {key}\r\n");
        let (streamed, _) = read(gateway.client().raw(&chunked(&body, &head)).await).await;
        assert_eq!((declared.status, streamed), (status, status));
    }
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn a_compressed_body_is_refused() {
    let (gateway, simulator) = gateway(json!({})).await;
    for coding in ["gzip", "br", "zstd"] {
        let headers = [("content-encoding", coding)];
        let answer = gateway
            .client()
            .request("POST", CHAT, &headers, b"\x1f\x8b")
            .await;
        let message = "compressed request bodies are not accepted; send the body as it is";
        assert_eq!(
            (answer.status, answer.json()),
            (415, error(message, Value::Null))
        );
    }
    let body = chat("hi").to_string();
    let headers = [("content-encoding", "identity")];
    let answer = gateway
        .client()
        .request("POST", CHAT, &headers, body.as_bytes())
        .await;
    assert_eq!((answer.status, simulator.seen().requests), (200, 1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_sent_on() {
    let (gateway, simulator) = gateway(json!({})).await;
    let whole = String::from_utf8(chunked(&chat_of(300), "")).unwrap();
    let broken = whole.replace("12c\r\n", "12z\r\n");
    let (status, body) = read(gateway.client().raw(broken.as_bytes()).await).await;
    assert_eq!(status, 400);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        error("the request body broke off", Value::Null)
    );

    // Half a body, and then the client is gone: nobody is left to be told.
    let half = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-request-id: half\r\ncontent-length: 99\r\n\r\n{{"
    );
    drop(gateway.client().raw(half.as_bytes()).await);
    gateway.wait_for_log("request_id=half").await;
    assert_eq!(simulator.seen().requests, 0);
}

#[tokio::test]
async fn a_client_that_asks_before_sending_is_told_to_go_on() {
    let (gateway, _simulator) = gateway(json!({})).await;
    let body = chat("hi").to_string();
    let headers = [("expect", "100-continue")];
    let answer = gateway
        .client()
        .request("POST", CHAT, &headers, body.as_bytes())
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn clients_of_http_1_0_are_answered_in_their_own_way() {
    let (gateway, _simulator) = gateway(json!({})).await;
    for (body, ends_with) in [
        (chat("hi").to_string(), "}"),
        (chat_stream("hi").to_string(), "data: [DONE]\n\n"),
    ] {
        let request = format!(
            "POST {CHAT} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = gateway.client().raw(request.as_bytes()).await;
        stream.await_head().await;
        assert_eq!(
            stream.header("transfer-encoding"),
            None,
            "1.0 has no chunks"
        );
        let (status, answer) = read(stream).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, 200);
        assert!(answer.ends_with(ends_with), "{answer}");
        assert!(answer.starts_with(['{', 'd']), "{answer}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (gateway, simulator) = gateway(json!({})).await;
    let body = chat("hi").to_string();
    let one = |id: &str, method: &str, path: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n{more}content-length: {length}\r\n\r\n{body}"
        )
    };
    let requests = [
        one("1", "POST", CHAT, "", &body),
        one("2", "GET", "/health", "", ""),
        one("3", "POST", CHAT, "", "{"),
        one("4", "GET", "/nope", "", ""),
        one("5", "POST", CHAT, "connection: close\r\n", &body),
    ];

    let stream = gateway.client().raw(requests.concat().as_bytes()).await;
    let answers = stream.until_closed().await;

    let ids: Vec<&str> = answers
        .match_indices("x-request-id: ")
        .map(|(at, name)| &answers[at + name.len()..=at + name.len()])
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"], "{answers}");
    let statuses: Vec<&str> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, name)| &answers[at + name.len()..at + name.len() + 3])
        .collect();
    assert_eq!(statuses, ["200", "200", "400", "404", "200"]);
    assert_eq!(simulator.seen().requests, 2);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let (gateway, _simulator) = gateway(json!({})).await;
    let client = gateway.client().keeping_alive();
    for _ in 0..20 {
        assert_eq!(client.post(CHAT, &chat("hi")).await.status, 200);
        assert_eq!(client.post(CHAT, &json!({})).await.status, 400);
        let streamed = client.post(CHAT, &chat_stream("hi")).await;
        assert!(streamed.ended_cleanly && streamed.text().ends_with("data: [DONE]\n\n"));
    }
}
