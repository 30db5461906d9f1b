//! A client that sees what is on the wire: raw HTTP/1.1 over TCP.
//!
//! A library would retry, join chunks and hide how a body ended; tests of a gateway must see all of
//! that. Whatever goes wrong before a head has arrived is a failed test, so these methods panic;
//! how a body ended is for the test to judge ([`Stream::ended_cleanly`]).

#![allow(dead_code, reason = "each test uses what it needs")]
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "this is part of a test: what goes wrong is to fail it"
)]

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest silence a test sits through before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests to one address, each on a connection of its own unless told to keep it.
pub struct Client {
    addr: SocketAddr,
    headers: Vec<(String, String)>,
    keeps_alive: bool,
    kept: Mutex<Option<Connection>>,
}

/// An answer read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub body: Bytes,
    /// Whether the body ended where its framing said.
    pub ended_cleanly: bool,
}

/// An answer under way. Dropping it hangs up.
pub struct Stream {
    connection: Connection,
    method: String,
    head: Option<Head>,
    framing: Framing,
    body: BytesMut,
    /// How much of the body was handed out as frames.
    framed: usize,
    ended: Option<io::Result<()>>,
}

struct Connection {
    socket: TcpStream,
    buffer: BytesMut,
}

#[derive(Clone)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

/// How the end of a body is recognized.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After this many more bytes.
    Length(usize),
    /// At the chunk of length 0.
    Chunked,
    /// When the connection is closed.
    UntilClose,
}

impl Client {
    pub fn new(addr: SocketAddr) -> Client {
        Client {
            addr,
            headers: Vec::new(),
            keeps_alive: false,
            kept: Mutex::new(None),
        }
    }

    /// Sends this header with every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Client {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends this bearer key with every request.
    pub fn with_key(self, key: &str) -> Client {
        self.with_header("authorization", &format!("Bearer {key}"))
    }

    /// Reuses one connection, as long as the server keeps it open.
    pub fn keeping_alive(mut self) -> Client {
        self.keeps_alive = true;
        self
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let body = body.to_string();
        self.request("POST", path, &[JSON], body.as_bytes()).await
    }

    /// Any request, read to the end of its answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut stream = self.begin(method, path, headers, body).await;
        stream.await_head().await;
        while stream.read().await.is_some() {}
        stream.finish(self)
    }

    /// A request for a stream, once the head of its answer is there.
    pub async fn post_stream(&self, path: &str, body: &Value) -> Stream {
        let mut stream = self.begin_post(path, body).await;
        stream.await_head().await;
        stream
    }

    /// A request of which nothing was read yet.
    pub async fn begin_post(&self, path: &str, body: &Value) -> Stream {
        let body = body.to_string();
        self.begin("POST", path, &[JSON], body.as_bytes()).await
    }

    /// Any request of which nothing was read yet.
    pub async fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Stream {
        let mut message = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.addr);
        let own = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" && method != "HEAD" {
            message.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        if !self.keeps_alive {
            message.push_str("connection: close\r\n");
        }
        message.push_str("\r\n");
        let mut message = message.into_bytes();
        message.extend_from_slice(body);
        let kept = self.kept.lock().unwrap().take();
        let mut stream = match kept {
            Some(connection) => Stream::over(connection, method),
            None => self.connect(method).await,
        };
        stream.send(&message).await;
        stream
    }

    /// Sends these very bytes on a new connection.
    pub async fn raw(&self, bytes: &[u8]) -> Stream {
        let mut stream = self.connect("GET").await;
        stream.send(bytes).await;
        stream
    }

    async fn connect(&self, method: &str) -> Stream {
        let socket = within("connect", TcpStream::connect(self.addr)).await;
        let socket = socket.unwrap_or_else(|e| panic!("cannot connect to {}: {e}", self.addr));
        socket.set_nodelay(true).unwrap();
        let connection = Connection {
            socket,
            buffer: BytesMut::new(),
        };
        Stream::over(connection, method)
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");

impl Response {
    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is no text")
    }

    /// The body as JSON; fails the test when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}), status {}: {:?}", self.status, self.body))
    }
}

impl Stream {
    fn over(connection: Connection, method: &str) -> Stream {
        Stream {
            connection,
            method: method.into(),
            head: None,
            framing: Framing::UntilClose,
            body: BytesMut::new(),
            framed: 0,
            ended: None,
        }
    }

    pub fn status(&self) -> u16 {
        self.known_head().status
    }

    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.known_head().headers, name)
    }

    /// Every byte of the body so far, without its transfer coding.
    pub fn seen(&self) -> &[u8] {
        &self.body
    }

    /// Whether the body ended where its framing said; false while it has not ended.
    pub fn ended_cleanly(&self) -> bool {
        matches!(self.ended, Some(Ok(())))
    }

    /// Sends more bytes on the same connection.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = within("send", self.connection.socket.write_all(bytes)).await;
        // A server may answer and close before it has read everything: what it said is still to be read.
        drop(sent);
    }

    /// Waits for the head of the answer, past interim ones.
    pub async fn await_head(&mut self) {
        while self.head.is_none() {
            if let Some(head) = self.connection.take_head() {
                self.framing = head.framing(&self.method);
                self.head = (head.status >= 200).then_some(head);
                continue;
            }
            match within("a head", self.connection.more()).await {
                Ok(0) => panic!("closed before a head: {:?}", self.connection.buffer),
                Ok(_) => {}
                Err(e) => panic!("broken before a head: {e}"),
            }
        }
    }

    /// Waits until the server closes without a word. Fails the test when there is an answer instead.
    pub async fn await_silent_end(mut self) {
        while let Ok(1..) = within("an end", self.connection.more()).await {}
        assert!(
            self.connection.buffer.is_empty(),
            "{:?}",
            self.connection.buffer
        );
    }

    /// The next piece of the body as it arrives; `None` once it ended, well or badly.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.await_head().await;
        if self.ended.is_some() {
            return None;
        }
        match within("more of a body", self.connection.piece(&mut self.framing)).await {
            Ok(Some(piece)) => {
                self.body.extend_from_slice(&piece);
                Some(piece)
            }
            Ok(None) => {
                self.ended = Some(Ok(()));
                None
            }
            Err(error) => {
                self.ended = Some(Err(error));
                None
            }
        }
    }

    /// The next frame up to its empty line, comments included; `None` at the end.
    pub async fn next_frame(&mut self) -> Option<String> {
        loop {
            let rest = &self.body[self.framed..];
            if let Some(end) = frame_end(rest) {
                let frame = String::from_utf8(rest[..end].to_vec()).expect("a frame is text");
                self.framed += end;
                return Some(frame);
            }
            self.read().await?;
        }
    }

    /// The data of the next event; `None` at the end. Comments are passed over.
    pub async fn next_event(&mut self) -> Option<String> {
        loop {
            if let Some(data) = data_of(&self.next_frame().await?) {
                return Some(data);
            }
        }
    }

    /// The data of all events to come.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.next_event().await {
            events.push(event);
        }
        events
    }

    /// The whole answer, once it ended. Gives a connection that may be kept back to its client.
    fn finish(mut self, client: &Client) -> Response {
        let ended_cleanly = self.ended_cleanly();
        let Head { status, headers } = self.known_head().clone();
        let closes = find(&headers, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let body = std::mem::take(&mut self.body).freeze();
        if client.keeps_alive && ended_cleanly && !closes && self.framing != Framing::UntilClose {
            *client.kept.lock().unwrap() = Some(self.connection);
        }
        Response {
            status,
            headers,
            body,
            ended_cleanly,
        }
    }

    fn known_head(&self) -> &Head {
        self.head.as_ref().expect("no head was awaited")
    }

    /// Everything until the server closes the connection, heads and framing included.
    pub async fn until_closed(mut self) -> String {
        while within("the end", self.connection.more()).await.unwrap() > 0 {}
        String::from_utf8(self.connection.buffer.to_vec()).expect("the answers are text")
    }
}

impl Head {
    fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return Framing::Length(0);
        }
        if find(&self.headers, "transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        match find(&self.headers, "content-length") {
            Some(length) => Framing::Length(length.parse().expect("content-length is a number")),
            None => Framing::UntilClose,
        }
    }
}

impl Connection {
    async fn more(&mut self) -> io::Result<usize> {
        self.socket.read_buf(&mut self.buffer).await
    }

    fn take_head(&mut self) -> Option<Head> {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(&self.buffer) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return None,
            Err(error) => panic!("no HTTP ({error}): {:?}", self.buffer),
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let head = Head {
            status: parsed.code.unwrap(),
            headers: parsed
                .headers
                .iter()
                .map(|header| (header.name.into(), text(header.value)))
                .collect(),
        };
        self.buffer.advance(length);
        Some(head)
    }

    /// The next piece of a body; `None` at its proper end.
    async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() {
                    self.need().await?;
                }
                let piece = self.buffer.split_to((*left).min(self.buffer.len()));
                *left -= piece.len();
                Ok(Some(piece.freeze()))
            }
            Framing::Chunked => {
                let size = self.line().await?;
                let size = usize::from_str_radix(&size, 16)
                    .unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
                while self.buffer.len() < size {
                    self.need().await?;
                }
                let piece = self.buffer.split_to(size).freeze();
                assert_eq!(self.line().await?, "", "a chunk is as long as announced");
                Ok((size > 0).then_some(piece))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.more().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(self.buffer.split().freeze()))
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.need().await?;
        }
    }

    async fn need(&mut self) -> io::Result<()> {
        match self.more().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The data of a frame, its lines joined; `None` for a comment.
pub fn data_of(frame: &str) -> Option<String> {
    let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
    let lines: Vec<&str> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Where the first frame ends, its empty line included.
fn frame_end(bytes: &[u8]) -> Option<usize> {
    let end = |line_end: &[u8]| {
        let found = bytes.windows(line_end.len()).position(|at| at == line_end);
        found.map(|at| at + line_end.len())
    };
    [end(b"\n\n"), end(b"\r\n\r\n")].into_iter().flatten().min()
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

async fn within<T>(what: &str, doing: impl Future<Output = T>) -> T {
    timeout(PATIENCE, doing)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}
