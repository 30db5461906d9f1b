//! A slow reader slows its provider down, instead of filling the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::gateway::chat_stream;
use crate::support::{Gateway, SOON, model, ms};

/// More than the buffers of all sockets on the way can hold together.
const PLENTY: u64 = 256 << 20;

/// A provider whose stream is `PLENTY` bytes long, and how many of them it could send so far.
async fn talkative() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        let content = "x".repeat(16 * 1024);
        let event = format!(
            r#"data: {{"id":"1","choices":[{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":null}}]}}"#
        );
        let chunk = format!("{:x}\r\n{event}\n\n\r\n", event.len() + 2);
        while counter.load(Ordering::Relaxed) < PLENTY {
            if socket.write_all(chunk.as_bytes()).await.is_err() {
                return;
            }
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        // It never comes to its end in this test.
        std::future::pending::<()>().await;
    });
    (addr, sent)
}

/// Memory that a process has taken for its data, in bytes; not the pages of its program.
fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_its_provider() {
    let (addr, sent) = talkative().await;
    let provider = json!({ "name": "a", "endpoint": format!("http://{addr}/v1"), "api_key": "k-of-a", "model": "x" });
    let gateway = Gateway::start(&model([provider]));
    let before = memory(gateway.id());
    let mut stream = gateway
        .client()
        .post_stream("/v1/chat/completions", &chat_stream("hi"))
        .await;

    // It stands still once every buffer on the way is full.
    let mut last = 0;
    let mut still = 0;
    let since = std::time::Instant::now();
    while still < 10 {
        tokio::time::sleep(ms(50)).await;
        let now = sent.load(Ordering::Relaxed);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
        assert!(since.elapsed() < SOON, "it sends on and on: {now} bytes");
    }
    assert!(last < PLENTY / 2, "{last} bytes went nowhere");
    let standing = memory(gateway.id());
    // What it begins with is measured while it still starts, so this bound is a wide one.
    let grown = standing.saturating_sub(before);
    assert!(grown < 24 << 20, "the gateway has grown by {grown} bytes");

    // And goes on as soon as somebody reads.
    let target = last + (32 << 20);
    let since = std::time::Instant::now();
    while sent.load(Ordering::Relaxed) < target {
        assert!(stream.read().await.is_some());
        assert!(since.elapsed() < 3 * SOON, "it does not go on");
    }
    let grown = memory(gateway.id()).saturating_sub(standing);
    assert!(
        grown < 2 << 20,
        "the gateway has grown by another {grown} bytes"
    );
}
