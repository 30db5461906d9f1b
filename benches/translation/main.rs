//! `make bench`: what it costs to translate, for each request and each event of a stream, without sockets.
//!
//! The request is an agent's in the midst of its work: instructions, tools, calls and their results, some 30 KB. The
//! stream is a long recorded answer, brought event by event. Same dialect on both sides is the lane that reads and does
//! not translate. Nothing here passes or fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark talks to its terminal and has nobody to hand an error to"
)]

use std::collections::VecDeque;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use api_gateway::protocol::{Bridge, Call, Dialect, Endpoint, Opening, Protocol, Reply, Shape};
use bytes::Bytes;
use serde_json::{Value, json};

/// How long one measurement goes on.
const TIME: Duration = Duration::from_millis(150);

/// The fastest of so many counts: what is slower was disturbed.
const ROUNDS: usize = 5;

const STREAM: Shape = Shape {
    stream: true,
    ask_usage: true,
};

fn main() {
    // `cargo test --all-targets` runs this file, too; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let requests = Protocol::ALL.map(request);
    println!(
        "| client | provider | µs per request of {} KB | ns per event |",
        requests[0].len() >> 10
    );
    println!("|---|---|---|---|");
    for (client, body) in Protocol::ALL.into_iter().zip(&requests) {
        for provider in Protocol::ALL {
            let dialect = Dialect::plain(provider);
            let per_request = fastest(|| {
                let call = open(client, body);
                let bridge = bridge(&call, &dialect);
                black_box(bridge.errand("model", STREAM).unwrap());
                1
            });
            let events = events(provider);
            let call = open(client, body);
            let per_event = fastest(|| {
                let mut relay = bridge(&call, &dialect).relay(true);
                let mut out = VecDeque::new();
                for event in &events {
                    relay.push(event.clone(), &mut out);
                    out.clear();
                }
                relay.finish(&mut out);
                assert!(relay.seen().finished, "{}", provider.name());
                events.len()
            });
            println!(
                "| {} | {} | {:.1} | {:.0} |",
                client.name(),
                provider.name(),
                per_request * 1e6,
                per_event * 1e9,
            );
        }
    }
}

/// Seconds for each of what `work` says it did, in the fastest round.
fn fastest(mut work: impl FnMut() -> usize) -> f64 {
    let mut round = || {
        let (began, mut done) = (Instant::now(), 0);
        while began.elapsed() < TIME {
            done += work();
        }
        began.elapsed().as_secs_f64() / done as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

fn open(client: Protocol, body: &Bytes) -> Call {
    let opening = Opening {
        endpoint: Endpoint::of_conversations(client, true),
        model: (client == Protocol::Gemini).then_some("model"),
        query: Some("alt=sse"),
        content_type: None,
    };
    Call::open(opening, body.clone()).unwrap()
}

fn bridge<'a>(call: &'a Call, dialect: &'a Dialect) -> Bridge<'a> {
    let reply = || Reply {
        id: "0123456789abcdef".into(),
        model: call.model.clone(),
        asked: call.body.clone(),
        ..Reply::default()
    };
    Bridge::new(call, dialect, reply).unwrap()
}

/// The events of a long answer, as a provider of this dialect sends them.
fn events(provider: Protocol) -> Vec<Bytes> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects");
    let path = folder.join(provider.name()).join("long/stream.sse");
    let text = std::fs::read_to_string(path).unwrap();
    let end = if text.contains("\r\n\r\n") {
        "\r\n\r\n"
    } else {
        "\n\n"
    };
    text.split_inclusive(end)
        .map(|event| Bytes::copy_from_slice(event.as_bytes()))
        .collect()
}

/// The request, as a client of this dialect sends it: written by the gateway itself, so that all say the same.
fn request(client: Protocol) -> Bytes {
    let body: Bytes = agent().to_string().into();
    let call = open(Protocol::OpenAi, &body);
    let dialect = Dialect::plain(client);
    let errand = bridge(&call, &dialect).errand("model", STREAM).unwrap();
    errand.body.concat().into()
}

fn agent() -> Value {
    let prose = "You are an agent that edits code. Read before you write, and say what you do.\n";
    let mut messages = vec![json!({ "role": "system", "content": prose.repeat(100) })];
    for step in 0..10 {
        let id = format!("call_{step}");
        let path = json!({ "path": format!("src/file_{step}.rs"), "lines": [1, 200] }).to_string();
        messages.push(json!({ "role": "user", "content": format!("Go on with step {step}.") }));
        messages.push(json!({ "role": "assistant", "content": "I read the file first.", "tool_calls": [
            { "id": id, "type": "function", "function": { "name": "read_file", "arguments": path } },
        ]}));
        let code = "    let value = table.get(\"key\").copied().unwrap_or(1);\n".repeat(20);
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": code }));
    }
    messages.push(json!({ "role": "user", "content": "Summarise." }));
    let tools: Vec<Value> = (0..12)
        .map(|tool| {
            let name = if tool == 0 {
                "read_file".to_owned()
            } else {
                format!("tool_{tool}")
            };
            json!({ "type": "function", "function": {
                "name": name,
                "description": "Does something useful with a file, and tells what it found there.",
                "parameters": { "type": "object", "required": ["path"], "properties": {
                    "path": { "type": "string", "description": "Where the file is." },
                    "lines": { "type": "array", "items": { "type": "integer" } },
                }},
            }})
        })
        .collect();
    json!({ "model": "model", "stream": true, "max_tokens": 4096, "temperature": 0.5,
        "messages": messages, "tools": tools, "tool_choice": "auto" })
}
