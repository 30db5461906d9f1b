//! Tests of the dialect, by direction.

mod agents;
mod answers;
mod ask;
mod ask_config;
mod counting;
mod garbage;
mod reading;
mod schemas;
mod streams;
mod wishes;

use serde_json::Value;

use crate::chat::{Part, Request, Role, Signed, ToolCall, Turn, Vendor};
use crate::protocol::{Addressee, Dialect, Protocol, Reply};

/// A provider without an accent.
fn plain() -> Dialect {
    Dialect::plain(Protocol::Gemini)
}

/// A request as a provider of this accent gets it.
fn sent(request: &Request, dialect: &Dialect) -> Value {
    let to = Addressee {
        model: "gemini-3-pro",
        dialect,
    };
    super::encode_request(request, to).unwrap().body
}

/// What an answer tells its client.
fn reply() -> Reply {
    Reply {
        id: "r1".into(),
        created: 1,
        model: "m".into(),
        include_usage: false,
        array: false,
        asked: bytes::Bytes::new(),
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

fn user(parts: Vec<Part>) -> Turn {
    Turn::new(Role::User, parts)
}

fn model(parts: Vec<Part>) -> Turn {
    Turn::new(Role::Assistant, parts)
}

fn call(id: &str, name: &str, arguments: &str, signature: Option<Signed>) -> Part {
    Part::Call(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature,
        ..ToolCall::default()
    })
}

fn thinking(text: &str, signature: Option<Signed>) -> Part {
    Part::Thinking {
        text: text.into(),
        signature,
    }
}

fn signed(origin: Vendor, blob: &str) -> Signed {
    Signed {
        origin,
        blob: blob.into(),
    }
}

/// A greeting, and what else is asked.
fn with(change: impl FnOnce(&mut Request)) -> Request {
    let mut request = asking(vec![user(vec![Part::text("hi")])]);
    change(&mut request);
    request
}
