//! Streams that go well: the provider's bytes, the usage, and silence that is no end.

use api_gateway::simulator::{Act, Answer, UsageInStream};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::gateway::{chat, chat_stream};
use crate::support::http::Response;
use crate::support::pair::{directly, simulator};
use crate::support::{Gateway, SOON, model, provider};

/// A request for a stream that asks for its usage, too.
fn chat_stream_with_usage() -> Value {
    let mut request = chat_stream("hi");
    request["stream_options"] = json!({ "include_usage": true });
    request
}

async fn ask(gateway: &Gateway, request: &Value) -> Response {
    let answer = gateway.client().post("/v1/chat/completions", request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.ended_cleanly);
    answer
}

/// The usage objects that a stream tells.
fn usages(answer: &Response) -> Vec<Value> {
    let events = answer
        .text()
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: {"));
    let events = events.map(|event| serde_json::from_str::<Value>(&format!("{{{event}")).unwrap());
    events
        .map(|event| event["usage"].clone())
        .filter(Value::is_object)
        .collect()
}

/// Answers of every form.
fn answers() -> Vec<Answer> {
    vec![
        Answer::text("Grüße, 世界! \"quoted\" \\ \u{1F600}"),
        Answer::words(40).in_one_write(),
        Answer::words(40).in_pieces(7),
        Answer::words(40).in_pieces(1),
        Answer::words(5).reasoning("let me see").finish("length"),
        Answer::text("").refusal("I would rather not"),
        Answer::text("")
            .tool_call("get", r#"{"a":1}"#)
            .tool_call("put", r#"{"b":"ü"}"#),
        Answer::words(3).without_done(),
        Answer::words(3).usage_in_stream(UsageInStream::WithFinish),
        Answer::words(3).content_type("TEXT/Event-Stream"),
        Answer::words(3).content_type("text/plain"),
        Answer::words(3).content_type("application/octet-stream"),
        Answer::words(3).content_type("application/json"),
        Answer::text("x".repeat(300_000)).chunks(3),
    ]
}

#[tokio::test]
async fn who_asks_for_everything_gets_the_very_bytes_of_the_provider() {
    let a = simulator(Act::hang()).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    for answer in answers() {
        a.set(answer.clone());
        for (extra, value) in [("n", json!(1)), ("n", json!(3)), ("logprobs", json!(true))] {
            let mut request = chat_stream_with_usage();
            request[extra] = value;
            let expected = directly(&a, &request).await;
            let received = ask(&gateway, &request).await;
            assert!(
                received.body == expected.body,
                "{answer:?}:\n{}",
                received.text()
            );
            assert_eq!(received.header("content-type"), Some("text/event-stream"));
        }
    }
}

#[tokio::test]
async fn who_did_not_ask_for_usage_gets_the_same_bytes_without_it() {
    let a = simulator(Act::hang()).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    for answer in answers() {
        a.set(answer.clone());
        let told = directly(&a, &chat_stream_with_usage()).await;
        let events = told.text().split_inclusive("\n\n");
        let expected: String = events
            .filter(|event| !event.contains("\"choices\":[],"))
            .collect();
        let received = ask(&gateway, &chat_stream("hi")).await;
        assert!(
            received.text() == expected,
            "{answer:?}:\n{}",
            received.text()
        );
    }
    // The provider was asked for it all the same.
    let asked = a.requests().last().unwrap().json();
    assert_eq!(asked["stream_options"], json!({ "include_usage": true }));
}

#[tokio::test]
async fn a_plain_answer_is_the_very_bytes_of_the_provider() {
    let a = simulator(Act::hang()).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    for answer in answers() {
        a.set(
            answer
                .clone()
                .content_type("application/json; charset=utf-8"),
        );
        let expected = directly(&a, &chat("hi")).await;
        let received = ask(&gateway, &chat("hi")).await;
        assert!(
            received.body == expected.body,
            "{answer:?}:\n{}",
            received.text()
        );
    }
}

#[tokio::test]
async fn an_answer_counts_by_what_it_is_and_not_by_its_label() {
    const JSON: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"good"},"finish_reason":"stop"}]}"#;
    let marked = format!("\u{feff}{JSON}");
    let both = format!(" \n\u{feff}{JSON}");
    let patient = format!("\n\n  \n{JSON}");
    let a = simulator(Act::hang()).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({ "retry": 0 }))]));
    for (label, body) in [
        ("text/event-stream", JSON),
        ("application/json", &marked),
        ("application/json", &patient),
        ("application/json", &both),
        ("text/event-stream", &marked),
    ] {
        a.set(Act::body(200, label, body));
        let plain = ask(&gateway, &chat("hi")).await;
        assert_eq!(plain.json()["choices"][0]["message"]["content"], "good");
        let stream = ask(&gateway, &chat_stream("hi")).await;
        assert_eq!(stream.header("content-type"), Some("text/event-stream"));
        assert!(
            stream.text().contains(r#""content":"good""#),
            "{label}: {}",
            stream.text()
        );
        assert!(
            stream.text().ends_with("data: [DONE]\n\n"),
            "{}",
            stream.text()
        );
    }
}

#[tokio::test]
async fn events_arrive_while_the_provider_is_still_speaking() {
    let a = simulator(Answer::words(9).stall_after(4)).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let client = gateway.client();
    let mut stream = client
        .post_stream("/v1/chat/completions", &chat_stream("hi"))
        .await;
    let mut text = String::new();
    for _ in 0..4 {
        let event: Value = serde_json::from_str(&stream.next_event().await.unwrap()).unwrap();
        text += event["choices"][0]["delta"]["content"].as_str().unwrap();
    }
    assert_eq!(text, "word1 word2 word3 ");
    assert_eq!(a.seen().streams_open, 1);
}

#[tokio::test]
async fn a_client_that_asked_for_usage_is_told_exactly_once() {
    for when in [
        UsageInStream::WhenAsked,
        UsageInStream::Always,
        UsageInStream::WithFinish,
    ] {
        let a = simulator(Answer::words(3).usage(11, 22).usage_in_stream(when)).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        let usages = usages(&ask(&gateway, &chat_stream_with_usage()).await);
        assert_eq!(usages.len(), 1, "{when:?}");
        assert_eq!(usages[0]["total_tokens"], 33);
    }
}

#[tokio::test]
async fn a_client_that_did_not_ask_is_not_told_what_only_we_asked_for() {
    for when in [UsageInStream::WhenAsked, UsageInStream::Always] {
        let a = simulator(Answer::words(3).usage(11, 22).usage_in_stream(when)).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        assert_eq!(
            usages(&ask(&gateway, &chat_stream("hi")).await),
            [] as [Value; 0]
        );
        assert_eq!(gateway.stats("a").await["tokens"], 33, "{when:?}");
    }
}

#[tokio::test]
async fn tokens_count_as_the_provider_told_them() {
    let a = simulator(Answer::words(3).usage(123, 456)).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    ask(&gateway, &chat_stream("hi")).await;
    assert_eq!(gateway.stats("a").await["tokens"], 579);
    ask(&gateway, &chat("hi")).await;
    ask(&gateway, &chat_stream_with_usage()).await;
    let stats = gateway.stats("a").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(3), &json!(3 * 579))
    );
    assert_eq!(
        (&stats["requests_in_flight"], &stats["tokens_reserved"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn where_the_provider_never_tells_the_usage_is_estimated() {
    for answer in [
        Answer::words(50).usage_in_stream(UsageInStream::Never),
        Answer::words(50).without_usage(),
        Answer::words(50).without_usage().without_done(),
    ] {
        let a = simulator(answer).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        let answer = ask(&gateway, &chat_stream_with_usage()).await;
        let usages = usages(&answer);
        assert_eq!(usages.len(), 1, "{}", answer.text());
        let tokens = &usages[0]["total_tokens"];
        assert!((50..200).contains(&tokens.as_u64().unwrap()), "{tokens}");
        let (_, after) = answer.text().split_once("\"usage\":{").unwrap();
        let (_, after) = after.split_once("\n\n").unwrap();
        assert!(["", "data: [DONE]\n\n"].contains(&after), "{after}");
        assert_eq!(gateway.stats("a").await["tokens"], *tokens);
        assert!(
            gateway
                .wait_for_log("Request answered")
                .await
                .contains("estimated=true")
        );
    }
}

#[tokio::test]
async fn a_provider_that_rejects_the_usage_option_is_asked_without_it_once_and_remembered() {
    let a = simulator(Answer::words(5).rejecting_stream_options()).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));

    let first = ask(&gateway, &chat_stream("hi")).await;
    assert!(first.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(usages(&first).len(), 0);
    assert_eq!(a.seen().requests, 2);
    let second = ask(&gateway, &chat_stream_with_usage()).await;
    assert_eq!(usages(&second).len(), 1, "asked for and so estimated");
    assert_eq!(a.seen().requests, 3);

    let options: Vec<Value> = a
        .requests()
        .iter()
        .map(|r| r.json()["stream_options"].clone())
        .collect();
    assert_eq!(
        options,
        [json!({ "include_usage": true }), json!(null), json!(null)]
    );
    assert_eq!(gateway.stats("a").await["requests"], 2);
    assert_eq!(gateway.standing("a").await["failed"], 0);
}

#[tokio::test]
async fn a_provider_that_refuses_unknown_fields_with_422_is_asked_without_them() {
    let a = simulator(Answer::words(5)).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    a.next(Act::error(
        422,
        "extra_forbidden",
        "Extra inputs are not permitted",
    ));
    let answer = ask(&gateway, &chat_stream("hi")).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(a.requests()[1].json()["stream_options"], json!(null));
}

#[tokio::test]
async fn a_gathered_answer_is_whole_at_its_last_event_however_the_connection_ends() {
    let event = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}"#;
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let events = format!("data: {event}\n\ndata: [DONE]\n\n");
    let bytes = format!("{head}{:x}\r\n{events}\r\n", events.len());
    for act in [Act::bytes(bytes.clone()), Act::bytes_then_close(bytes)] {
        let a = simulator(act).await;
        let never_plain = json!({ "non_stream_support": false });
        let gateway = Gateway::start(&model([provider("a", &a, never_plain)]));
        let answer = gateway.chat("hi").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "Hello");
        assert_eq!(a.seen().requests, 1);
    }
}

#[tokio::test]
async fn a_flood_that_says_nothing_is_given_up_within_bounds() {
    let comments = ": nothing\n".repeat(1 << 20);
    let a = simulator(Act::body(200, "text/event-stream", comments)).await;
    let b = simulator(Answer::words(2)).await;
    let gateway = Gateway::start(&model([
        provider("a", &a, json!({})),
        provider("b", &b, json!({ "priority": 2 })),
    ]));
    let answer = ask(&gateway, &chat_stream("hi")).await;
    assert_eq!(answer.header("x-gateway-provider"), Some("b"));
}

#[tokio::test]
async fn what_is_remembered_of_the_usage_option_is_not_a_clients_mistake() {
    let a = simulator(Answer::words(5)).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    // Both attempts are refused: it was not the option.
    a.next(Act::status(400));
    a.next(Act::status(400));
    let refused = gateway
        .client()
        .post("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert_eq!(refused.status, 400);
    ask(&gateway, &chat_stream("hi")).await;
    assert_eq!(a.seen().requests, 3);
    assert_eq!(
        a.requests()[2].json()["stream_options"]["include_usage"],
        true
    );
}

#[tokio::test]
async fn a_400_that_cannot_be_about_the_usage_option_is_not_asked_again() {
    for body in [
        r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"API key not valid. Please pass a valid API key."}}"#,
    ] {
        let a = simulator(Act::body(400, "application/json", body)).await;
        let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
        let request = chat_stream("hi");
        gateway
            .client()
            .post("/v1/chat/completions", &request)
            .await;
        assert_eq!(a.seen().requests, 1, "{body}");
    }
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_by_a_comment() {
    let a = simulator(Answer::words(9).stall_after(3)).await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let client = gateway.client();
    let mut stream = client
        .post_stream("/v1/chat/completions", &chat_stream("hi"))
        .await;
    for _ in 0..3 {
        assert!(stream.next_frame().await.unwrap().starts_with("data: {"));
    }
    assert_eq!(stream.next_frame().await.unwrap(), ": keep-alive\n\n");
    assert_eq!(a.seen().streams_open, 1);
}

/// A provider that sends an event byte by byte is not silent, but the client hears nothing of it.
#[tokio::test]
async fn half_an_event_is_silence_to_the_client() {
    const BEGUN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                         data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
                         data: {\"choices\":[{\"delta\":{\"content\":\"";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
    let drip = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(BEGUN.as_bytes()).await.unwrap();
        while client.write_all(b"b").await.is_ok() {
            tokio::time::sleep(crate::support::ms(500)).await;
        }
    });
    let anybody = simulator(Act::hang()).await;
    let gateway = Gateway::start(&model([provider(
        "a",
        &anybody,
        json!({ "endpoint": endpoint, "stream_idle_timeout": 5 }),
    )]));
    let client = gateway.client();
    let mut stream = client
        .post_stream("/v1/chat/completions", &chat_stream("hi"))
        .await;
    assert!(stream.next_frame().await.unwrap().starts_with("data: {"));
    assert_eq!(stream.next_frame().await.unwrap(), ": keep-alive\n\n");
    drip.abort();
}

#[tokio::test]
async fn two_hundred_streams_at_once_all_arrive_whole() {
    let a = simulator(
        Answer::words(20)
            .drip(10, crate::support::ms(20))
            .usage(3, 4),
    )
    .await;
    let gateway = Gateway::start(&model([provider("a", &a, json!({}))]));
    let client = gateway.client();
    let expected = ask(&gateway, &chat_stream("hi")).await;
    let request = chat_stream("hi");
    let answers = join_all((0..200).map(|_| client.post("/v1/chat/completions", &request))).await;
    for answer in answers {
        assert!(answer.ended_cleanly);
        assert_eq!(answer.text(), expected.text());
    }
    assert!(a.wait_until(|seen| seen.streams_done == 201, SOON).await);
    let stats = gateway.stats("a").await;
    assert_eq!(
        [
            &stats["requests"],
            &stats["tokens"],
            &stats["requests_in_flight"]
        ],
        [201, 201 * 7, 0]
    );
}
