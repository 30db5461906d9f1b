//! Reading a request: head, body, and the few fields that shape an answer.

use std::borrow::Cow;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::counters::Recorded;

/// Longest head we read.
const HEAD_MAX: usize = 64 * 1024;
/// Most headers we read.
const HEADERS_MAX: usize = 128;
/// Longest body we read.
const BODY_MAX: usize = 256 * 1024 * 1024;

/// A request as it came.
pub(super) struct Request {
    pub(super) received: Recorded,
    pub(super) keep_alive: bool,
}

/// The fields that shape an answer. All else is ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    pub(super) n: Option<usize>,
    pub(super) logprobs: Option<Value>,
    pub(super) input: Option<Value>,
    pub(super) encoding_format: Option<String>,
    pub(super) dimensions: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
}

/// How the length of a body is told.
enum Length {
    Known(usize),
    Chunked,
}

struct Head {
    received: Recorded,
    length: Length,
    keep_alive: bool,
    expects_continue: bool,
}

impl Request {
    /// Reads the next request; `None` when the peer closed between two requests.
    pub(super) async fn read<S>(
        socket: &mut S,
        buffer: &mut BytesMut,
    ) -> io::Result<Option<Request>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let head = loop {
            if let Some(head) = parse_head(buffer)? {
                break head;
            }
            if buffer.len() > HEAD_MAX {
                return Err(invalid("request head too long"));
            }
            if socket.read_buf(buffer).await? == 0 {
                return match buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        if head.expects_continue {
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            socket.flush().await?;
        }
        let body = match head.length {
            Length::Known(length) => read_exactly(socket, buffer, length).await?,
            Length::Chunked => read_chunked(socket, buffer).await?,
        };
        Ok(Some(Request {
            received: Recorded {
                body,
                ..head.received
            },
            keep_alive: head.keep_alive,
        }))
    }

    /// The path without its query.
    pub(super) fn path(&self) -> &str {
        self.received.path.split('?').next().unwrap_or_default()
    }

    /// What the body asks for, if it is a JSON object.
    pub(super) fn asked(&self) -> Result<Asked<'_>, serde_json::Error> {
        serde_json::from_slice(&self.received.body)
    }
}

/// Takes a head off the buffer once it is complete.
fn parse_head(buffer: &mut BytesMut) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(buffer).map_err(|e| invalid(e.to_string()))?;
    let httparse::Status::Complete(length) = status else {
        return Ok(None);
    };
    let mut head = Head {
        received: Recorded {
            at: std::time::Instant::now(),
            method: parsed.method.unwrap_or_default().into(),
            path: parsed.path.unwrap_or_default().into(),
            headers: Vec::with_capacity(parsed.headers.len()),
            body: Bytes::new(),
        },
        length: Length::Known(0),
        keep_alive: parsed.version == Some(1),
        expects_continue: false,
    };
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| invalid("bad content-length"))?;
            if length > BODY_MAX {
                return Err(invalid("request body too long"));
            }
            head.length = Length::Known(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep_alive = !value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("expect") {
            head.expects_continue = true;
        }
        head.received.headers.push((header.name.into(), value));
    }
    buffer.advance(length);
    Ok(Some(head))
}

async fn read_exactly<S: AsyncRead + Unpin>(
    socket: &mut S,
    buffer: &mut BytesMut,
    length: usize,
) -> io::Result<Bytes> {
    while buffer.len() < length {
        buffer.reserve(length - buffer.len());
        more(socket, buffer).await?;
    }
    Ok(buffer.split_to(length).freeze())
}

async fn read_chunked<S: AsyncRead + Unpin>(
    socket: &mut S,
    buffer: &mut BytesMut,
) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let size = read_line(socket, buffer).await?;
        let digits = size.split(|&b| b == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
            .ok_or_else(|| invalid("bad chunk size"))?;
        if size == 0 {
            // Trailers, then an empty line.
            while !read_line(socket, buffer).await?.is_empty() {}
            return Ok(body.freeze());
        }
        if body.len() + size > BODY_MAX {
            return Err(invalid("request body too long"));
        }
        body.extend_from_slice(&read_exactly(socket, buffer, size).await?);
        if !read_line(socket, buffer).await?.is_empty() {
            return Err(invalid("chunk longer than announced"));
        }
    }
}

/// The next line, without its end.
async fn read_line<S: AsyncRead + Unpin>(
    socket: &mut S,
    buffer: &mut BytesMut,
) -> io::Result<Bytes> {
    loop {
        if let Some(end) = memchr::memchr(b'\n', buffer) {
            let line = buffer.split_to(end + 1).freeze();
            return Ok(line.slice(..end - usize::from(line[..end].ends_with(b"\r"))));
        }
        if buffer.len() > HEAD_MAX {
            return Err(invalid("line too long"));
        }
        more(socket, buffer).await?;
    }
}

async fn more<S: AsyncRead + Unpin>(socket: &mut S, buffer: &mut BytesMut) -> io::Result<()> {
    match socket.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
