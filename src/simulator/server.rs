//! One connection: reads requests, and does with each what the script says.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::answer::{Answer, Fault, Writes};
use super::counters::{End, InFlight};
use super::dialect::Dialect;
use super::head::{head, push_chunk, reason};
use super::openai::{self, Reply};
use super::request::Request;
use super::script::{Act, Behavior, Turn};

/// What a peer may send ahead while its request is under way, before we stop reading.
const AHEAD_MAX: usize = 64 * 1024;

/// A byte stream over TCP that can be reset.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn serve<S: Socket>(socket: S, shared: &Shared) {
    let _open = shared.counters.connected();
    if shared.script.lock().take_refusal() {
        shared.counters.refused();
        reset(&socket);
        return;
    }
    let mut connection = Connection {
        socket,
        buffer: BytesMut::with_capacity(8 * 1024),
        shared,
    };
    while let Ok(Some(request)) =
        Request::read(&mut connection.socket, &mut connection.buffer).await
    {
        let exchange = shared.counters.begin();
        if let Done::Close = connection.exchange(request, exchange).await {
            return;
        }
    }
}

struct Connection<'a, S> {
    socket: S,
    buffer: BytesMut,
    shared: &'a Shared,
}

/// What becomes of the connection.
enum Done {
    KeepAlive,
    Close,
}

/// What came of a reply.
enum Given {
    Whole(End),
    Instead(Box<Act>),
}

/// Why an act was not played to its end.
enum Broken {
    /// The peer left.
    Abandoned,
    /// The script closes the connection here.
    Cut,
    /// The script resets the connection here.
    Reset,
}

impl From<io::Error> for Broken {
    /// Reading and writing fail only when the peer is gone.
    fn from(_: io::Error) -> Broken {
        Broken::Abandoned
    }
}

impl<S: Socket> Connection<'_, S> {
    async fn exchange(&mut self, request: Request, mut exchange: InFlight<'_>) -> Done {
        if self.shared.counters.is_recording() {
            self.shared.counters.keep(request.received.clone());
        }
        let Turn { act, behavior } = self.shared.script.lock().turn();
        let act = match &behavior.key {
            Some(key) if !carries_key(&request, key) => refusal(&request),
            _ => act,
        };
        let keep_alive = request.keep_alive;
        match self.perform(act, &behavior, &request, &mut exchange).await {
            Ok((end, done)) => {
                exchange.end(end);
                match done {
                    Done::KeepAlive if keep_alive => Done::KeepAlive,
                    _ => Done::Close,
                }
            }
            Err(broken) => {
                match broken {
                    Broken::Abandoned => exchange.end(End::Abandoned),
                    Broken::Cut => exchange.end(End::Failed),
                    Broken::Reset => {
                        reset(&self.socket);
                        exchange.end(End::Failed);
                    }
                }
                Done::Close
            }
        }
    }

    async fn perform(
        &mut self,
        mut act: Act,
        behavior: &Behavior,
        request: &Request,
        exchange: &mut InFlight<'_>,
    ) -> Result<(End, Done), Broken> {
        let mut done = Done::KeepAlive;
        loop {
            act = match act {
                Act::Delay(wait, then) => {
                    self.pause(wait).await?;
                    *then
                }
                Act::Interim(status, then) => {
                    let head = format!("HTTP/1.1 {status} {}\r\n\r\n", reason(status));
                    self.send(head.as_bytes()).await?;
                    *then
                }
                Act::CloseIdle(then) => {
                    done = Done::Close;
                    *then
                }
                Act::Answer(answer) => {
                    let reply = openai::reply(&answer, behavior, request);
                    match self.give(reply, &answer, behavior, exchange).await? {
                        Given::Whole(end) => return Ok((end, done)),
                        Given::Instead(act) => *act,
                    }
                }
                Act::Recorded(recording) => {
                    let reply = recording.reply(request);
                    let manner = &recording.manner;
                    match self.give(reply, manner, behavior, exchange).await? {
                        Given::Whole(end) => return Ok((end, done)),
                        Given::Instead(act) => *act,
                    }
                }
                Act::Status {
                    status,
                    headers,
                    body,
                } => {
                    let mut message = head(status, behavior, None, &headers);
                    // These have no body, so a length would only confuse.
                    if status != 204 && status != 304 {
                        message.extend_from_slice(
                            format!("content-length: {}\r\n", body.len()).as_bytes(),
                        );
                    }
                    message.extend_from_slice(b"\r\n");
                    message.extend_from_slice(&body);
                    self.send(&message).await?;
                    return Ok((end_of((200..300).contains(&status)), done));
                }
                Act::Refuse => return Err(Broken::Reset),
                Act::Hang => return Err(self.hang().await),
                Act::Bytes(bytes) => {
                    self.send(&bytes).await?;
                    return Ok((end_of(bytes.starts_with(b"HTTP/1.1 2")), done));
                }
                Act::BytesThenClose(bytes) => {
                    self.send(&bytes).await?;
                    return Ok((end_of(bytes.starts_with(b"HTTP/1.1 2")), Done::Close));
                }
            };
        }
    }

    async fn give(
        &mut self,
        reply: Reply,
        manner: &Answer,
        behavior: &Behavior,
        exchange: &mut InFlight<'_>,
    ) -> Result<Given, Broken> {
        match reply {
            Reply::Whole(body) => {
                let end = self.send_whole(manner, behavior, &body).await?;
                Ok(Given::Whole(end))
            }
            Reply::Events(events) => {
                exchange.streams();
                let end = self.send_events(manner, behavior, &events).await?;
                Ok(Given::Whole(end))
            }
            Reply::Instead(act) => Ok(Given::Instead(act)),
        }
    }

    async fn send_whole(
        &mut self,
        answer: &Answer,
        behavior: &Behavior,
        body: &[u8],
    ) -> Result<End, Broken> {
        let content_type = answer.content_type.as_deref().unwrap_or("application/json");
        let mut message = head(200, behavior, Some(content_type), &answer.headers);
        message.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        match &answer.fault {
            None => {
                message.extend_from_slice(body);
                self.send(&message).await?;
                Ok(End::Answered)
            }
            Some((_, Fault::Error(_))) => {
                message.extend_from_slice(body);
                self.send(&message).await?;
                Ok(End::Failed)
            }
            Some((_, fault)) => {
                message.extend_from_slice(&body[..body.len() / 2]);
                self.send(&message).await?;
                Err(self.give_up(fault).await)
            }
        }
    }

    async fn send_events(
        &mut self,
        answer: &Answer,
        behavior: &Behavior,
        events: &[String],
    ) -> Result<End, Broken> {
        let content_type = answer.content_type.as_deref();
        let content_type = content_type.unwrap_or("text/event-stream; charset=utf-8");
        let mut out = head(200, behavior, Some(content_type), &answer.headers);
        out.extend_from_slice(b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");

        if !answer.chunk_every.is_zero() {
            self.send(&out).await?;
            out.clear();
            for event in events {
                self.pause(answer.chunk_every).await?;
                push_chunk(&mut out, event.as_bytes());
                self.send(&out).await?;
                out.clear();
            }
        } else {
            match answer.writes {
                Writes::PerEvent => {
                    for event in events {
                        push_chunk(&mut out, event.as_bytes());
                        self.send(&out).await?;
                        out.clear();
                    }
                }
                Writes::Burst => {
                    for event in events {
                        push_chunk(&mut out, event.as_bytes());
                    }
                }
                Writes::Pieces(size) => {
                    for piece in events.concat().as_bytes().chunks(size.max(1)) {
                        push_chunk(&mut out, piece);
                        self.send(&out).await?;
                        out.clear();
                    }
                }
            }
        }
        match &answer.fault {
            None | Some((_, Fault::Error(_))) => {
                out.extend_from_slice(b"0\r\n\r\n");
                self.send(&out).await?;
                Ok(end_of(answer.fault.is_none()))
            }
            Some((_, fault)) => {
                self.send(&out).await?;
                Err(self.give_up(fault).await)
            }
        }
    }

    async fn give_up(&mut self, fault: &Fault) -> Broken {
        match fault {
            Fault::Cut | Fault::Error(_) => Broken::Cut,
            Fault::Reset => Broken::Reset,
            Fault::Stall => self.hang().await,
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }

    /// Waits, unless the peer leaves before the time is over.
    async fn pause(&mut self, wait: Duration) -> Result<(), Broken> {
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => Ok(()),
            broken = self.hang() => Err(broken),
        }
    }

    /// Waits until the peer leaves. What it sends ahead is kept for later, up to a bound.
    async fn hang(&mut self) -> Broken {
        while self.buffer.len() < AHEAD_MAX {
            if !matches!(self.socket.read_buf(&mut self.buffer).await, Ok(read) if read > 0) {
                return Broken::Abandoned;
            }
        }
        std::future::pending().await
    }
}

fn carries_key(request: &Request, key: &str) -> bool {
    let header = |name| request.received.header(name);
    let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    [bearer, header("x-api-key"), header("x-goog-api-key")].contains(&Some(key))
}

/// 401 in the form of the API that was called.
fn refusal(request: &Request) -> Act {
    let dialect = Dialect::of_path(request.path()).unwrap_or(Dialect::OpenAi);
    Act::error_of(dialect, 401, "simulated status 401")
}

fn end_of(answered: bool) -> End {
    match answered {
        true => End::Answered,
        false => End::Failed,
    }
}

/// Makes the coming end of the connection a reset instead of a farewell.
fn reset(socket: &impl Socket) {
    // Where the system refuses, the connection is closed all the same.
    let _ = socket.tcp().set_zero_linger();
}
