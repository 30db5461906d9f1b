use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::chat::{
    Block, Collector, Effort, Event, Failure, FailureKind, Format, Media, MediaKind, Part, Request,
    Response, Role, Sampling, Side, Signed, Source, Tool, ToolCall, ToolChoice, ToolResult, Turn,
    Usage, Vendor,
};
use crate::protocol::sse::FrameReader;
use crate::protocol::{
    Addressee, Decoder, Dialect, Encoder, Outbound, Protocol, Reply, ThinkingStyle,
};

mod content;
mod decode;
mod decoder;
mod encode;
mod encoder;
mod error;
mod garbage;
mod messages;
mod response;
mod round_trip;
mod thinking;

/// What a client's request says, which is without messages where those do not matter.
fn read(body: Value) -> Request {
    decode_request(talking(body)).unwrap()
}

/// Why a client's request is refused.
fn refused(body: Value) -> Failure {
    decode_request(talking(body)).unwrap_err()
}

fn talking(mut body: Value) -> Value {
    if let Value::Object(members) = &mut body {
        members.entry("messages").or_insert_with(|| json!([]));
    }
    body
}

/// What a request that consists of these messages says.
fn read_messages(messages: Value) -> Vec<Turn> {
    read(json!({"model": "m", "max_tokens": 9, "messages": messages})).turns
}

/// A request as a provider without an accent gets it.
fn written(request: &Request) -> Outbound {
    written_for(request, &Dialect::plain(Protocol::Anthropic))
}

fn written_for(request: &Request, dialect: &Dialect) -> Outbound {
    encode_request(request, to(dialect)).unwrap()
}

fn to(dialect: &Dialect) -> Addressee<'_> {
    Addressee {
        model: "claude",
        dialect,
    }
}

fn budgets() -> Dialect {
    Dialect {
        thinking_style: ThinkingStyle::Budget,
        ..Dialect::plain(Protocol::Anthropic)
    }
}

/// A request of these turns.
fn asking(turns: Vec<Turn>) -> Request {
    Request {
        turns,
        choices: 1,
        ..Request::default()
    }
}

fn hello() -> Request {
    asking(vec![user(vec![Part::text("hello")])])
}

fn user(parts: Vec<Part>) -> Turn {
    Turn::new(Role::User, parts)
}

fn assistant(parts: Vec<Part>) -> Turn {
    Turn::new(Role::Assistant, parts)
}

fn signed(origin: Vendor, blob: &str) -> Signed {
    Signed {
        origin,
        blob: blob.into(),
    }
}

fn thought(text: &str, signature: Option<Signed>) -> Part {
    Part::Thinking {
        text: text.into(),
        signature,
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::Call(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        ..ToolCall::default()
    })
}

fn result(id: &str, text: &str) -> Part {
    Part::Result(ToolResult {
        id: id.into(),
        content: vec![Part::text(text)],
        ..ToolResult::default()
    })
}

fn medium(kind: MediaKind, source: Source, mime: Option<&str>) -> Media {
    Media {
        kind,
        source,
        mime: mime.map(str::to_owned),
        name: None,
        detail: None,
    }
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.into(),
        schema: Some(json!({"type": "object", "properties": {}})),
        ..Tool::default()
    }
}

fn reply() -> Reply {
    Reply {
        id: "a1".into(),
        created: 1_700_000_000,
        model: "asked-for".into(),
        include_usage: false,
        array: false,
        asked: Bytes::new(),
    }
}

/// What a provider's stream means.
fn decoded(data: &[Value]) -> Vec<Event> {
    let texts: Vec<_> = data.iter().map(Value::to_string).collect();
    let bytes: Vec<_> = texts.iter().map(String::as_bytes).collect();
    decoded_bytes(&bytes)
}

fn decoded_bytes(data: &[&[u8]]) -> Vec<Event> {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    for data in data {
        decoder.decode(data, &mut events);
    }
    decoder.end(&mut events);
    events
}

/// The answer that a provider's stream comes to.
fn collected(events: Vec<Event>) -> Result<Response, Failure> {
    let mut collector = Collector::default();
    for event in events {
        collector.take(event);
    }
    collector.finish()
}

/// The bytes of a client's stream.
fn encoded(events: Vec<Event>) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(reply());
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    out
}

/// The data of the events in a client's stream; each is named by its type.
fn frames(stream: &[u8]) -> Vec<Value> {
    let mut reader = FrameReader::new();
    reader.push(Bytes::copy_from_slice(stream));
    let mut all = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        let data: Value = serde_json::from_slice(&frame.data().unwrap()).unwrap();
        let name = format!("event: {}\ndata: ", data["type"].as_str().unwrap());
        assert!(frame.bytes().starts_with(name.as_bytes()), "{data}");
        all.push(data);
    }
    assert!(reader.finish().is_none());
    all
}
