//! Providers that quote their key: neither the client nor the log gets to see it.

use api_gateway::simulator::{Act, Answer, Behavior};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

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

/// A provider that streams `first`, and `rest` when told to, and then closes the connection.
async fn in_two_parts() -> (String, mpsc::Sender<(String, String)>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
    let (parts, mut next_parts) = mpsc::channel::<(String, String)>(1);
    let (go_on, mut told) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some((first, rest)) = next_parts.recv().await {
            let (mut client, _) = listener.accept().await.unwrap();
            client.write_all(first.as_bytes()).await.unwrap();
            told.recv().await.unwrap();
            client.write_all(rest.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            // What is left unread would turn the end into a reset.
            let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
        }
    });
    (endpoint, parts, go_on)
}

/// However a provider that is already streaming says it: as an error, as text, as an object of its own, with
/// or without the blank line that ends an event, before its connection ends or breaks.
#[tokio::test]
async fn whatever_a_stream_says_beside_the_answer_is_cleaned() {
    const SLASHED: &str = "sk-with/slash-1234";
    const SAID: &str = r#"data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
    const FINISH: &str = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let (endpoint, parts, go_on) = in_two_parts().await;
    let anybody = simulator(Act::hang()).await;
    let more = json!({
        "endpoint": endpoint,
        "custom_headers": { "X-Team": HEADER, "X-Key": SLASHED },
    });
    let gateway = Gateway::start(&model([provider("a", &anybody, more)]));
    let escaped = SLASHED.replace('/', "\\/");
    for odd in [
        format!("data: {}", quoting()),
        format!(r#"data: {{"error":{{"code":401,"message":"key {KEY}"}}}}"#),
        format!(r#"data: {{"detail":"key {KEY}"}}"#),
        format!(r#"data: {{"message":"key {KEY} {HEADER}","code":401}}"#),
        format!("event: error\ndata: invalid key {KEY}"),
        format!(r#"data: {{"error":"bad {escaped}"}}"#),
    ] {
        for before in ["", FINISH] {
            for end in ["", "\n", "\n\n", "\n\ndata: [DONE]\n\n"] {
                for chunked in [false, true] {
                    let events = format!("{before}\n\n{odd}{end}");
                    let piece = |text: &str| match chunked {
                        true => format!("{:x}\r\n{text}\r\n", text.len()),
                        false => text.to_owned(),
                    };
                    // The chunked one breaks off: it has no last chunk.
                    let framing = if chunked {
                        "transfer-encoding: chunked\r\n"
                    } else {
                        ""
                    };
                    let first = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n{}",
                        piece(&format!("{SAID}\n\n"))
                    );
                    parts.send((first, piece(&events))).await.unwrap();
                    let client = gateway.client();
                    let request = chat_stream("hi");
                    let mut stream = client.post_stream("/v1/chat/completions", &request).await;
                    assert_eq!(stream.next_frame().await.unwrap(), format!("{SAID}\n\n"));
                    go_on.send(()).await.unwrap();
                    while stream.next_frame().await.is_some() {}
                    let seen = String::from_utf8_lossy(stream.seen());
                    for secret in [KEY, HEADER, SLASHED, &escaped] {
                        assert!(!seen.contains(secret), "{events:?}: {seen}");
                    }
                }
            }
        }
    }
    let log = gateway.wait_for_log("Answer broke off").await;
    for secret in [KEY, HEADER, SLASHED] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// The text of an error that means our key is ours, even without the key in it.
#[tokio::test]
async fn what_a_stream_says_of_our_key_is_told_in_our_words() {
    let error = json!({ "error": { "code": 401, "message": "bad key sk-***f-a of acme" } });
    let act = Answer::words(9).error_after(4, error);
    let (answer, _) = told(act, &chat_stream("hi")).await;
    assert!(!answer.text().contains("acme"), "{}", answer.text());
    assert!(
        answer.text().contains("provider authentication failed"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("[DONE]"));
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
