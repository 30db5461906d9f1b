//! The simulator over raw sockets: what it says, and how it breaks.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Act, Answer, Behavior, Simulator, UsageInStream};

const SOON: Duration = Duration::from_secs(5);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn chat(stream: bool) -> String {
    post(
        "/v1/chat/completions",
        &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}),
    )
}

async fn connect(simulator: &Simulator) -> TcpStream {
    TcpStream::connect(simulator.addr()).await.unwrap()
}

/// Sends a request on a connection of its own, and reads until the simulator closes it or pauses for long.
pub(super) async fn exchange(
    simulator: &Simulator,
    request: &str,
) -> (String, std::io::Result<()>) {
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut socket = connect(simulator).await;
    socket.write_all(request.as_bytes()).await.unwrap();
    read_all(&mut socket).await
}

async fn read_all(socket: &mut TcpStream) -> (String, std::io::Result<()>) {
    let mut received = Vec::new();
    let ended = socket.read_to_end(&mut received).await.map(drop);
    (String::from_utf8(received).unwrap(), ended)
}

/// Reads one answer with a `content-length` and leaves the connection open.
async fn read_one(socket: &mut TcpStream) -> (String, Value) {
    let mut received = Vec::new();
    loop {
        assert_ne!(socket.read_buf(&mut received).await.unwrap(), 0);
        let text = String::from_utf8(received.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        if body.len() == length {
            return (head.into(), serde_json::from_str(body).unwrap());
        }
    }
}

fn body_of(received: &str) -> Value {
    serde_json::from_str(received.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The payloads of a chunked stream's events, and whether the coding was ended properly.
pub(super) fn events_of(received: &str) -> (Vec<String>, bool) {
    let (_, mut rest) = received.split_once("\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut whole = false;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            whole = after == "\r\n";
            break;
        }
        text.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    let frames = text.split_terminator("\n\n");
    let events = frames.map(|frame| frame.strip_prefix("data: ").unwrap().into());
    (events.collect(), whole)
}

fn content_of(events: &[String]) -> String {
    events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| {
            event["choices"][0]["delta"]["content"]
                .as_str()
                .map(String::from)
        })
        .collect()
}

#[tokio::test]
async fn plain_answers_come_on_a_kept_connection() {
    let simulator = Simulator::start(Behavior::answering("Hello!").named("mock"))
        .await
        .unwrap();
    let mut socket = connect(&simulator).await;
    for _ in 0..3 {
        socket.write_all(chat(false).as_bytes()).await.unwrap();
        let (head, body) = read_one(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nserver: mock\r\n"));
        assert_eq!(body["model"], "m");
        assert_eq!(body["choices"][0]["message"]["content"], "Hello!");
        assert_eq!(body["usage"]["total_tokens"], 30);
        assert!((500..700).contains(&body.to_string().len()));
    }
    drop(socket);
    assert!(
        simulator
            .wait_until(|seen| seen.connections_open == 0, SOON)
            .await
    );
    let seen = simulator.seen();
    assert_eq!((seen.connections, seen.requests, seen.answered), (1, 3, 3));
    assert_eq!(
        (seen.failed, seen.abandoned, seen.peak_in_flight),
        (0, 0, 1)
    );
    let requests = simulator.requests();
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert_eq!(requests[0].header("HOST"), Some("sim"));
    assert_eq!(requests[0].json()["messages"][0]["content"], "hi");
}

#[tokio::test]
async fn chunked_bodies_and_pipelined_requests_are_read() {
    let simulator = Simulator::start(Behavior::answering("Hello!"))
        .await
        .unwrap();
    let chunked = "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                   8;x=y\r\n{\"model\"\r\n5\r\n:\"a\"}\r\n0\r\ntrailer: 1\r\n\r\n";
    let (received, _) = exchange(
        &simulator,
        &format!("{chunked}{chunked}").replacen("\r\n", "\r\nx: y\r\n", 1),
    )
    .await;
    assert_eq!(body_of(&received)["model"], "a");
    let mut socket = connect(&simulator).await;
    socket
        .write_all(format!("{chunked}{chunked}").as_bytes())
        .await
        .unwrap();
    assert!(simulator.wait_until(|seen| seen.answered == 3, SOON).await);
    assert_eq!(&simulator.requests()[2].body[..], br#"{"model":"a"}"#);
}

#[tokio::test]
async fn a_stream_has_role_content_finish_and_done() {
    let simulator = Simulator::start(Behavior::answering("Hello you there"))
        .await
        .unwrap();
    let (received, _) = exchange(&simulator, &chat(true)).await;
    let (events, whole) = events_of(&received);
    assert!(whole);
    assert_eq!(events.len(), 6);
    assert!(events[0].contains(r#""role":"assistant""#));
    assert_eq!(content_of(&events), "Hello you there");
    assert!(events[4].contains(r#""finish_reason":"stop""#));
    assert_eq!(events[5], "[DONE]");
    assert!(!received.contains("usage"));
    assert_eq!(simulator.seen().streams_done, 1);
}

#[tokio::test]
async fn usage_comes_in_streams_as_scripted() {
    let asking = post(
        "/v1/chat/completions",
        &json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}}),
    );
    // (when, tells if not asked, tells if asked, in an event of its own)
    let cases = [
        (UsageInStream::WhenAsked, false, true, true),
        (UsageInStream::Always, true, true, true),
        (UsageInStream::WithFinish, true, true, false),
        (UsageInStream::Never, false, false, false),
    ];
    let simulator = Simulator::start(Behavior::hanging()).await.unwrap();
    for (when, unasked, asked, own_event) in cases {
        simulator.set(Answer::text("Hello").usage(3, 4).usage_in_stream(when));
        let (received, _) = exchange(&simulator, &chat(true)).await;
        assert_eq!(
            received.contains(r#""total_tokens":7"#),
            unasked,
            "{when:?}"
        );
        let (received, _) = exchange(&simulator, &asking).await;
        assert_eq!(received.contains(r#""total_tokens":7"#), asked, "{when:?}");
        assert_eq!(
            received.contains(r#""choices":[],"usage""#),
            own_event,
            "{when:?}"
        );
    }
    simulator.set(Answer::text("Hello").rejecting_stream_options());
    let (received, _) = exchange(&simulator, &asking).await;
    assert!(received.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn choices_tools_reasoning_and_logprobs_agree_in_both_forms() {
    let answer = Answer::text("Let me see")
        .reasoning("Hm, well")
        .tool_call("weather", r#"{"city":"Bonn"}"#)
        .tool_call("time", r#"{"zone":"CET"}"#);
    let simulator = Simulator::start(answer).await.unwrap();
    let mut request = json!({"model": "m", "n": 2, "logprobs": true});
    let (received, _) = exchange(&simulator, &post("/v1/chat/completions", &request)).await;
    let plain = body_of(&received);
    request["stream"] = true.into();
    let (received, _) = exchange(&simulator, &post("/v1/chat/completions", &request)).await;
    let (events, _) = events_of(&received);

    for index in 0..2 {
        let choice = &plain["choices"][index];
        let deltas: Vec<Value> = events
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .map(|event| event["choices"][0].clone())
            .filter(|choice| choice["index"] == index)
            .collect();
        let gather = |pointer: &str| -> String {
            let texts = deltas.iter().filter_map(|choice| choice.pointer(pointer));
            texts.filter_map(Value::as_str).collect()
        };
        assert_eq!(gather("/delta/content"), choice["message"]["content"]);
        assert_eq!(
            gather("/delta/reasoning_content"),
            choice["message"]["reasoning_content"]
        );
        assert_eq!(gather("/finish_reason"), "tool_calls");
        assert_eq!(gather("/delta/tool_calls/0/id"), "call_1call_2");
        assert_eq!(
            gather("/delta/tool_calls/0/function/arguments"),
            r#"{"city":"Bonn"}{"zone":"CET"}"#
        );
        let tokens = choice["logprobs"]["content"].as_array().unwrap().len();
        let streamed = deltas
            .iter()
            .filter_map(|choice| choice["logprobs"]["content"].as_array());
        assert_eq!(streamed.map(Vec::len).sum::<usize>(), tokens);
    }
}

#[tokio::test]
async fn a_text_is_cut_into_as_many_events_as_asked() {
    let simulator = Simulator::start(Answer::text("grüße dich").chunks(4))
        .await
        .unwrap();
    let (received, _) = exchange(&simulator, &chat(true)).await;
    let (events, _) = events_of(&received);
    assert_eq!(events.len(), 4 + 3);
    assert_eq!(content_of(&events), "grüße dich");

    let each = received.clone();
    simulator.set(Answer::text("grüße dich").chunks(4).in_one_write());
    assert_eq!(exchange(&simulator, &chat(true)).await.0, each);
    simulator.set(Answer::text("grüße").chunks(99).drip(99, ms(1)));
    let (received, _) = exchange(&simulator, &chat(true)).await;
    assert_eq!(content_of(&events_of(&received).0), "grüße");
}

#[tokio::test]
async fn pieces_respect_no_boundary_and_lose_nothing() {
    let simulator = Simulator::start(Answer::text("one two").in_pieces(7))
        .await
        .unwrap();
    let (received, _) = exchange(&simulator, &chat(true)).await;
    assert!(received.contains("\r\n7\r\n"));
    let (events, whole) = events_of(&received);
    assert!(whole);
    assert_eq!(content_of(&events), "one two");
}

#[tokio::test]
async fn streams_break_where_the_script_says() {
    let answer = || Answer::text("one two three four");
    let simulator = Simulator::start(answer().cut_after(3)).await.unwrap();
    let (received, ended) = exchange(&simulator, &chat(true)).await;
    let (events, whole) = events_of(&received);
    assert!(ended.is_ok() && !whole);
    assert_eq!(events.len(), 3);

    simulator.set(answer().reset_after(1));
    let (_, ended) = exchange(&simulator, &chat(true)).await;
    assert_eq!(
        ended.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );

    simulator.set(answer().error_after(2, json!({"error": {"message": "overloaded"}})));
    let (received, _) = exchange(&simulator, &chat(true)).await;
    let (events, whole) = events_of(&received);
    assert!(whole);
    assert_eq!(events[2], r#"{"error":{"message":"overloaded"}}"#);
    assert_eq!(events.len(), 3);

    simulator.set(answer().without_done());
    let (received, _) = exchange(&simulator, &chat(true)).await;
    assert!(!received.contains("[DONE]"));
    let seen = simulator.seen();
    assert_eq!((seen.answered, seen.failed), (1, 3));
}

#[tokio::test]
async fn plain_answers_break_half_way() {
    let simulator = Simulator::start(Answer::text("one two").cut_after(1))
        .await
        .unwrap();
    let (received, ended) = exchange(&simulator, &chat(false)).await;
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    assert!(ended.is_ok() && !head.contains(&format!("content-length: {}", body.len())));
    simulator.set(Answer::text("x").error_after(0, json!({"error": {"code": 1}})));
    let (received, _) = exchange(&simulator, &chat(false)).await;
    assert_eq!(body_of(&received), json!({"error": {"code": 1}}));
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed_in_every_wait() {
    let acts = [
        Act::hang(),
        Act::answering("late").after(SOON * 100),
        Answer::text("a b c d").drip(4, SOON * 100).into(),
        Answer::text("a b c d").stall_after(2).into(),
    ];
    let simulator = Simulator::start(Behavior::hanging()).await.unwrap();
    for (left, act) in (1..).zip(acts) {
        simulator.next(act);
        let mut socket = connect(&simulator).await;
        socket.write_all(chat(true).as_bytes()).await.unwrap();
        assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);
        drop(socket);
        assert!(
            simulator
                .wait_until(|seen| seen.abandoned == left, SOON)
                .await
        );
    }
    assert_eq!(simulator.seen().streams_open, 0);
    assert!(!simulator.wait_until(|seen| seen.answered > 0, ms(5)).await);
}

#[tokio::test]
async fn the_script_chooses_between_acts() {
    let simulator = Simulator::start(Behavior::answering("Hello!").every(3, Act::status(503)))
        .await
        .unwrap();
    simulator.next(Act::rate_limited(7));
    simulator.next(Act::html());
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let (received, _) = exchange(&simulator, &chat(false)).await;
        statuses.push(received[9..12].to_string());
        assert_eq!(
            received.starts_with("HTTP/1.1 429 "),
            received.contains("retry-after: 7\r\n")
        );
    }
    assert_eq!(
        statuses,
        ["429", "200", "200", "200", "503", "200", "200", "503"]
    );

    simulator.set(Behavior::answering("Hello!").percent(30, Act::status(500)));
    let before = simulator.seen().failed;
    for _ in 0..100 {
        let _ = exchange(&simulator, &chat(false)).await;
    }
    assert!((15..45).contains(&(simulator.seen().failed - before)));
}

#[tokio::test]
async fn refusals_interim_heads_and_raw_bytes() {
    let simulator = Simulator::start(Behavior::answering("Hello!"))
        .await
        .unwrap();
    simulator.next(Act::refuse());
    let mut socket = connect(&simulator).await;
    let _ = socket.write_all(chat(false).as_bytes()).await;
    assert!(read_all(&mut socket).await.1.is_err());

    simulator.next(Act::answering("x").with_interim(103));
    let (received, _) = exchange(&simulator, &chat(false)).await;
    assert!(received.starts_with("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n"));

    simulator.next(Act::bytes_then_close("HTTP/1.1 200 OK\r\ncontent-le"));
    let mut socket = connect(&simulator).await;
    socket.write_all(chat(false).as_bytes()).await.unwrap();
    assert_eq!(
        read_all(&mut socket).await.0,
        "HTTP/1.1 200 OK\r\ncontent-le"
    );

    simulator.next(Act::answering("x").closing_idle());
    let mut socket = connect(&simulator).await;
    socket.write_all(chat(false).as_bytes()).await.unwrap();
    let (received, ended) = read_all(&mut socket).await;
    assert!(ended.is_ok() && !received.contains("connection: close"));
}

#[tokio::test]
async fn embeddings_and_models() {
    let simulator = Simulator::start(Behavior::answering("").with_models(["a", "b/c"]).named("p"))
        .await
        .unwrap();
    let mut request = json!({"model": "e", "input": ["x", "y"], "dimensions": 2});
    let (received, _) = exchange(&simulator, &post("/v1/embeddings", &request)).await;
    let floats = body_of(&received);
    assert_eq!(floats["data"][0]["embedding"], json!([-0.5, -0.390625]));
    assert_eq!(floats["data"].as_array().unwrap().len(), 2);
    request["encoding_format"] = "base64".into();
    let (received, _) = exchange(&simulator, &post("/v1/embeddings", &request)).await;
    assert_eq!(body_of(&received)["data"][0]["embedding"], "AAAAvwAAyL4=");

    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: sim\r\n\r\n");
    let (received, _) = exchange(&simulator, &get("/v1/models")).await;
    assert_eq!(body_of(&received)["data"][1]["id"], "b/c");
    let (received, _) = exchange(&simulator, &get("/v1/models/b/c")).await;
    assert_eq!(body_of(&received)["owned_by"], "p");
    let (received, _) = exchange(&simulator, &get("/v1/models/z")).await;
    assert!(received.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_key_can_be_required() {
    let simulator = Simulator::start(Behavior::answering("Hello!").requiring_key("sk-1"))
        .await
        .unwrap();
    let (received, _) = exchange(&simulator, &chat(false)).await;
    assert!(received.starts_with("HTTP/1.1 401 "));
    let with_key = chat(false).replacen("\r\n", "\r\nAuthorization: Bearer sk-1\r\n", 1);
    let (received, _) = exchange(&simulator, &with_key).await;
    assert!(received.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_stopped_simulator_frees_its_port_and_its_connections() {
    let simulator = Simulator::start(Behavior::hanging()).await.unwrap();
    let mut socket = connect(&simulator).await;
    socket.write_all(chat(false).as_bytes()).await.unwrap();
    assert!(simulator.wait_until(|seen| seen.in_flight == 1, SOON).await);
    let addr = simulator.addr();
    simulator.stop().await;
    let _ = read_all(&mut socket).await;
    assert!(TcpStream::connect(addr).await.is_err());
    let again = Simulator::start_on(addr, Behavior::answering("back"))
        .await
        .unwrap();
    assert!(exchange(&again, &chat(false)).await.0.contains("back"));
}

#[tokio::test]
async fn it_speaks_tls() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = certified.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();

    let simulator = Simulator::start_tls(Behavior::answering("secret"), server)
        .await
        .unwrap();
    assert!(simulator.endpoint().starts_with("https://127.0.0.1:"));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut socket = connector
        .connect("127.0.0.1".try_into().unwrap(), connect(&simulator).await)
        .await
        .unwrap();
    socket.write_all(chat(false).as_bytes()).await.unwrap();
    let mut received = vec![0; 4096];
    let length = socket.read(&mut received).await.unwrap();
    assert!(String::from_utf8_lossy(&received[..length]).starts_with("HTTP/1.1 200 OK"));
    assert!(simulator.wait_until(|seen| seen.answered == 1, SOON).await);
}
