//! Requests and answers on their way between dialects: what all pairs have in common.

mod history;
mod streams;
mod tools;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::protocol::Opening;

/// A request of this dialect, opened.
fn opened(client: Protocol, body: &Value, stream: bool) -> Call {
    let opening = Opening {
        endpoint: Endpoint::of_conversations(client, stream),
        model: (client == Protocol::Gemini).then_some("m"),
        query: Some("alt=sse"),
        content_type: None,
    };
    Call::open(opening, body.to_string().into()).unwrap()
}

/// A short request of this dialect.
fn hello(client: Protocol, stream: bool) -> Call {
    let said = json!([{ "role": "user", "content": "hi" }]);
    let body = match client {
        Protocol::OpenAi => json!({ "model": "m", "messages": said, "stream": stream }),
        Protocol::Responses => json!({ "model": "m", "input": "hi", "stream": stream }),
        Protocol::Anthropic => {
            json!({ "model": "m", "messages": said, "max_tokens": 9, "stream": stream })
        }
        Protocol::Gemini => json!({ "contents": [{ "parts": [{ "text": "hi" }] }] }),
    };
    opened(client, &body, stream)
}

fn reply(call: &Call) -> Reply {
    Reply {
        id: "0123".into(),
        created: 7,
        model: call.model.clone(),
        asked: call.body.clone(),
        ..Reply::default()
    }
}

/// What a provider of this dialect is sent for a request.
fn sent(client: Protocol, body: &Value, provider: Protocol) -> Value {
    let call = opened(client, body, false);
    let dialect = Dialect::plain(provider);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let shape = Shape {
        stream: false,
        ask_usage: false,
    };
    let errand = bridge.errand("upstream", shape).unwrap();
    serde_json::from_slice(&errand.body.concat()).unwrap()
}

/// The recorded answers of a dialect's providers.
fn recorded(provider: Protocol) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects");
    let folders = std::fs::read_dir(root.join(provider.name())).unwrap();
    let mut cases: Vec<_> = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("stream.sse").exists())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), path))
        .collect();
    cases.sort();
    assert!(cases.len() > 5);
    cases
}
