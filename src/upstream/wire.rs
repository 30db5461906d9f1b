//! One connection to an upstream, TCP or TLS, with three defects of the HTTP client repaired below it.
//!
//! awc takes the end of a connection inside a body for the end of the body, a `1xx` head for the answer
//! itself, and an HTTP/1.1 answer without a declared length for one without a body. All are invisible
//! above awc, so they are settled here, on the plain bytes:
//!
//! * an end of stream after a request was written is an *error*, which
//!   [`Body`](super::Body) forgives only when the answer declared no length (RFC 9112, 6.3);
//! * interim answers (RFC 9110, 15.2) are swallowed until the final head begins;
//! * an answer that declares no length is passed off as HTTP/1.0, whose body awc reads to its end.
//!
//! It also tells a connection that the peer gave up while it was idle from one that broke under a
//! request: see [`Stale`].

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, BytesMut};
use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Heads are small; a peer that sends more than this without an end of one is not speaking HTTP.
const HEAD_MAX: usize = 64 * 1024;

/// What every answer begins with, but for the digit of its minor version.
const HTTP: &[u8] = b"HTTP/1.";

/// Where that digit stands, and where the status does.
const MINOR: usize = 7;
const STATUS: std::ops::Range<usize> = 9..12;

/// A peer that gave a connection up while it was idle says so at once. One that ends it later has had
/// the request, and may have worked on it.
const STALE_WITHIN: Duration = Duration::from_secs(1);

/// A connection as awc sees it.
pub(super) struct Wire {
    io: Transport,
    phase: Phase,
    /// Whether it has carried an answer before.
    kept: bool,
    /// When the request under way was written, if the connection was kept.
    written: Option<Instant>,
    /// Bytes that arrived but could not be judged or handed on yet. Empty but for oddly cut heads.
    held: BytesMut,
}

/// The peer closed a kept connection as the next request was written to it: nobody's failure, and safe
/// to repeat on a fresh one, because not a byte of an answer came.
#[derive(Debug)]
pub(super) struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kept connection was closed by the peer")
    }
}

impl std::error::Error for Stale {}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No request was written yet, so an end of stream is nobody's loss.
    Fresh,
    /// A request was written; its answer has not begun.
    Awaiting,
    /// The final answer is under way, or over: only awc knows.
    Answering,
}

impl Wire {
    pub(super) fn plain(io: TcpStream) -> Wire {
        Wire::new(Transport::Plain(io))
    }

    pub(super) fn tls(io: TlsStream<TcpStream>) -> Wire {
        Wire::new(Transport::Tls(Box::new(io)))
    }

    fn new(io: Transport) -> Wire {
        Wire {
            io,
            phase: Phase::Fresh,
            kept: false,
            written: None,
            held: BytesMut::new(),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Transport::Plain(io) => io,
            Transport::Tls(io) => io.get_ref().0,
        }
    }

    /// What an error of the connection means: [`Stale`] where no byte of an answer has come on a
    /// connection that has carried one before.
    fn broken(&self, error: io::Error) -> io::Error {
        let at_once = self.written.is_some_and(|at| at.elapsed() < STALE_WITHIN);
        if at_once && self.phase == Phase::Awaiting && self.held.is_empty() {
            io::Error::other(Stale)
        } else {
            error
        }
    }

    /// Hands on what is held, as far as it fits.
    fn pour(&mut self, buf: &mut ReadBuf<'_>) {
        let fits = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..fits]);
        self.held.advance(fits);
    }

    /// The slow lane of [`AsyncRead`]: a head that is not all here, or an interim one. Reads until the
    /// final head is, then hands on what was held.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match judge(&self.held) {
                head @ (Head::Final | Head::Endless) => {
                    if let Head::Endless = head {
                        self.held[MINOR] = b'0';
                    }
                    self.phase = Phase::Answering;
                    self.pour(buf);
                    return Poll::Ready(Ok(()));
                }
                Head::Interim(len) => {
                    self.held.advance(len);
                    continue;
                }
                Head::Unknown if self.held.len() > HEAD_MAX => {
                    return Poll::Ready(Err(io::Error::other("the head of the answer has no end")));
                }
                Head::Unknown => {}
            }
            let mut chunk = [0; 4096];
            let mut more = ReadBuf::new(&mut chunk);
            ready!(self.io.poll_read(cx, &mut more))?;
            if more.filled().is_empty() {
                return Poll::Ready(Err(self.broken(io::ErrorKind::UnexpectedEof.into())));
            }
            self.held.extend_from_slice(more.filled());
        }
    }
}

enum Head {
    /// The final answer begins here.
    Final,
    /// The same, and only the end of the connection will end its body.
    Endless,
    /// An interim answer of this length.
    Interim(usize),
    /// More bytes are needed.
    Unknown,
}

fn judge(bytes: &[u8]) -> Head {
    let begun = bytes.len().min(HTTP.len());
    if bytes[..begun] != HTTP[..begun] {
        return Head::Final; // not HTTP: awc will say so
    }
    let Some((end, declares_length)) = read_head(bytes) else {
        return Head::Unknown;
    };
    let head = &bytes[..end];
    match head.get(STATUS) {
        // 101 would change the protocol; we never ask for that, so it is as final as any error.
        Some([b'1', rest @ ..]) if rest != b"01" => Head::Interim(end),
        // These have no body.
        Some(b"101" | b"204" | b"304") | None => Head::Final,
        Some(_) if head[MINOR] == b'1' && !declares_length => Head::Endless,
        Some(_) => Head::Final,
    }
}

/// The length of the head that `bytes` begin with, and whether it declares that of its body. A bare line
/// feed may end a line (RFC 9112, 2.2).
fn read_head(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut declared = false;
    for at in memchr_iter(b'\n', bytes) {
        let line = &bytes[at + 1..];
        match line {
            [b'\n', ..] => return Some((at + 2, declared)),
            [b'\r', b'\n', ..] => return Some((at + 3, declared)),
            [b'c' | b'C' | b't' | b'T', ..] => declared = declared || declares_length(line),
            _ => {}
        }
    }
    None
}

fn declares_length(line: &[u8]) -> bool {
    [&b"content-length"[..], b"transfer-encoding"]
        .iter()
        .any(|name| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
}

impl AsyncRead for Wire {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() {
            if this.phase == Phase::Awaiting {
                return this.poll_head(cx, buf);
            }
            this.pour(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(this.io.poll_read(cx, buf)).map_err(|error| this.broken(error))?;
        let arrived = &buf.filled()[before..];
        if arrived.is_empty() && buf.remaining() > 0 && this.phase != Phase::Fresh {
            return Poll::Ready(Err(this.broken(io::ErrorKind::UnexpectedEof.into())));
        }
        if this.phase == Phase::Awaiting {
            match judge(arrived) {
                Head::Final => this.phase = Phase::Answering,
                Head::Endless => {
                    buf.filled_mut()[before + MINOR] = b'0';
                    this.phase = Phase::Answering;
                }
                Head::Interim(_) | Head::Unknown => {
                    this.held.extend_from_slice(arrived);
                    buf.set_filled(before);
                    return this.poll_head(cx, buf);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.phase == Phase::Answering {
            this.kept = true;
        }
        if this.kept && this.phase != Phase::Awaiting {
            this.written = Some(Instant::now());
        }
        this.phase = Phase::Awaiting;
        let written = match &mut this.io {
            Transport::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Transport::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        };
        written.map_err(|error| this.broken(error))
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Transport::Plain(io) => Pin::new(io).poll_flush(cx),
            Transport::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Transport::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl Transport {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Transport::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl ActixStream for Wire {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), cx)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("peer", &self.tcp().peer_addr().ok())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::Wire;

    /// What the wire hands on when the peer writes `pieces` one by one and then closes.
    async fn read(pieces: &[&[u8]]) -> (Vec<u8>, Option<std::io::ErrorKind>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut wire = Wire::plain(
            TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap(),
        );
        let (mut peer, _) = listener.accept().await.unwrap();
        let request = b"GET / HTTP/1.1\r\n\r\n";
        wire.write_all(request).await.unwrap();
        // What is left unread would turn the peer's end into a reset.
        peer.read_exact(&mut [0; 18]).await.unwrap();

        let mut got = Vec::new();
        let mut buf = [0; 8192];
        for piece in pieces {
            peer.write_all(piece).await.unwrap();
            // Take the piece off the socket before the next one is sent, so that cuts stay cuts.
            let wait = std::time::Duration::from_millis(20);
            if let Ok(Ok(n)) = tokio::time::timeout(wait, wire.read(&mut buf)).await {
                got.extend_from_slice(&buf[..n]);
            }
        }
        drop(peer);
        loop {
            match wire.read(&mut buf).await {
                Ok(n) => got.extend_from_slice(&buf[..n]),
                Err(error) => return (got, Some(error.kind())),
            }
        }
    }

    #[tokio::test]
    async fn interim_answers_are_swallowed_however_they_are_cut() {
        let whole: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
        let expected = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx".to_vec();
        for cut in [1, 5, 9, 10, 24, 25, 26, 40, 65, 70, 90, whole.len() - 1] {
            let (got, _) = read(&[&whole[..cut], &whole[cut..]]).await;
            assert_eq!(got, expected, "cut at {cut}");
        }
        assert_eq!(read(&[whole]).await.0, expected);
    }

    #[tokio::test]
    async fn a_kept_connection_that_ends_before_an_answer_is_stale() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut wire = Wire::plain(
            TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap(),
        );
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        wire.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        peer.read_exact(&mut buf[..18]).await.unwrap();
        peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        assert!(wire.read(&mut buf).await.unwrap() > 0);

        wire.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        peer.read_exact(&mut buf[..18]).await.unwrap();
        drop(peer);

        let error = wire.read(&mut buf).await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<super::Stale>());
    }

    #[tokio::test]
    async fn an_end_inside_an_answer_is_an_error() {
        let (got, end) = read(&[b"HTTP/1.1 200 OK\r\n\r\nhalf"]).await;
        assert!(got.ends_with(b"half"));
        assert_eq!(end, Some(std::io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn an_answer_without_a_length_is_one_of_http_1_0() {
        for (head, handed_on) in [
            ("HTTP/1.1 200 OK\r\nserver: x\r\n\r\n", "HTTP/1.0"),
            ("HTTP/1.1 400 Bad Request\n\n", "HTTP/1.0"),
            ("HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1"),
            (
                "HTTP/1.1 200 OK\r\nserver: x\r\nTransfer-encoding: chunked\r\n\r\n",
                "HTTP/1.1",
            ),
            ("HTTP/1.1 200 OK\ncontent-length: 4\n\n", "HTTP/1.1"),
            ("HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1"),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/1.1"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1"),
        ] {
            let whole = format!("{head}body");
            let expected = format!("{handed_on}{}", &whole[handed_on.len()..]);
            for cut in [0, 3, 8, 12, head.len() - 1, head.len()] {
                let (first, second) = whole.as_bytes().split_at(cut);
                let (got, _) = read(&[first, second]).await;
                assert_eq!(String::from_utf8(got).unwrap(), expected, "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_http_is_handed_on_at_once() {
        let (got, _) = read(&[b"SSH-2.0-OpenSSH\r\n"]).await;
        assert_eq!(got, b"SSH-2.0-OpenSSH\r\n");
    }
}
