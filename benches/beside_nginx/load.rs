//! The load: a closed loop of raw HTTP/1.1 over kept connections, every answer checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::proxies::Proxy;

/// How much load, for how long.
pub(crate) struct Load {
    /// Connections, each with one request at a time.
    pub(crate) connections: usize,
    /// Not measured.
    pub(crate) warm_up: Duration,
    /// Measured.
    pub(crate) time: Duration,
}

/// A request as bytes, and how its answer ends.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

/// What one measurement gave.
pub(crate) struct Measured {
    /// CPU time of the proxy per answer, user and system, in microseconds.
    pub(crate) cpu_micros: f64,
    /// Answers per second.
    pub(crate) per_second: f64,
}

impl Request {
    /// A chat request whose prompt has this many bytes.
    pub(crate) fn plain(prompt: usize) -> Request {
        let words = "some words that fill a prompt of the wanted length ";
        let prompt: String = words.chars().cycle().take(prompt).collect();
        Request::with_body(&format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}]}}"#
        ))
    }

    /// A short chat request for a stream.
    pub(crate) fn stream() -> Request {
        Request::with_body(
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#,
        )
    }

    fn with_body(body: &str) -> Request {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer sk-bench\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Request {
            bytes: (head + body).into_bytes(),
        }
    }
}

impl Load {
    /// Runs it against a proxy.
    pub(crate) async fn run(&self, proxy: &Proxy, request: &Request) -> Measured {
        let answered = Arc::new(AtomicU64::new(0));
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..self.connections {
            let (addr, bytes, answered) = (proxy.addr, request.bytes.clone(), answered.clone());
            clients.spawn(async move {
                let mut connection = TcpStream::connect(addr).await.unwrap();
                connection.set_nodelay(true).unwrap();
                let mut buffer = Vec::with_capacity(16 * 1024);
                loop {
                    ask(&mut connection, &bytes, &mut buffer).await;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        tokio::time::sleep(self.warm_up).await;
        let (count, cpu, since) = (
            answered.load(Ordering::Relaxed),
            proxy.cpu(),
            Instant::now(),
        );
        tokio::time::sleep(self.time).await;
        let count = (answered.load(Ordering::Relaxed) - count) as f64;
        let (cpu, elapsed) = (proxy.cpu() - cpu, since.elapsed());
        // A client only ends by failing, which must not pass for a measurement.
        if let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        clients.shutdown().await;
        Measured {
            cpu_micros: cpu.as_secs_f64() * 1e6 / count,
            per_second: count / elapsed.as_secs_f64(),
        }
    }
}

/// One exchange: the whole answer is read and must be a 200.
async fn ask(connection: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) {
    connection.write_all(request).await.unwrap();
    buffer.clear();
    loop {
        assert!(
            connection.read_buf(buffer).await.unwrap() > 0,
            "the connection was closed"
        );
        let Some(head) = memmem::find(buffer, b"\r\n\r\n") else {
            continue;
        };
        if is_whole(&buffer[..head], &buffer[head + 4..]) {
            assert!(
                buffer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(buffer)
            );
            return;
        }
    }
}

fn is_whole(head: &[u8], body: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    match head.split("content-length:").nth(1) {
        Some(length) => {
            body.len()
                >= length
                    .split("\r\n")
                    .next()
                    .unwrap()
                    .trim()
                    .parse::<usize>()
                    .unwrap()
        }
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

/// Opens streams and waits until each has begun.
pub(crate) async fn hold(proxy: &Proxy, count: usize) -> Vec<TcpStream> {
    let request = Request::stream();
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut connection = TcpStream::connect(proxy.addr).await.unwrap();
        connection.write_all(&request.bytes).await.unwrap();
        streams.push(connection);
    }
    let mut buffer = [0; 4096];
    for stream in &mut streams {
        assert!(
            stream.read(&mut buffer).await.unwrap() > 0,
            "a stream was closed"
        );
    }
    streams
}
