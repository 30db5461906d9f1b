//! What both sides of the dialect say, in whole and in streams.

mod answers;
mod decoder;
mod decoder_ends;
mod encoder;
mod failures;
mod garbage;
mod provider_request;
mod provider_tools;
mod request;
mod request_members;

use bytes::Bytes;
use serde_json::Value;

use super::{StreamDecoder, StreamEncoder};
use crate::chat::{
    Collector, Event, Failure, Finish, FinishReason, Logprob, Part, Response, Signed, ToolCall,
    Usage, Vendor,
};
use crate::protocol::codec::{Decoder, Encoder, Reply};

/// What a client is to be told beside the answer.
fn reply(asked: &Value) -> Reply {
    Reply {
        id: "abc".to_owned(),
        created: 1_700_000_000,
        model: "smart".to_owned(),
        include_usage: false,
        array: false,
        asked: Bytes::from(asked.to_string()),
    }
}

/// The data of the events that a client reads; each event must bear its type as its name.
fn stream(events: impl IntoIterator<Item = Event>, asked: &Value) -> Vec<Value> {
    let mut encoder = StreamEncoder::new(reply(asked));
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let frames = text.split_terminator("\n\n");
    let read = frames.zip(0..).map(|(frame, sequence)| {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], sequence, "{frame}");
        data
    });
    read.collect()
}

/// What a provider's stream means.
fn events<'a>(stream: impl IntoIterator<Item = &'a Value>) -> Vec<Event> {
    let mut decoder = StreamDecoder::default();
    let mut out = Vec::new();
    for data in stream {
        decoder.decode(data.to_string().as_bytes(), &mut out);
    }
    decoder.end(&mut out);
    assert_legal(&out);
    out
}

/// The answer that a provider streams.
fn collect<'a>(stream: impl IntoIterator<Item = &'a Value>) -> Result<Response, Failure> {
    let mut collector = Collector::default();
    for event in events(stream) {
        collector.take(event);
    }
    collector.finish()
}

/// Events follow the grammar.
fn assert_legal(events: &[Event]) {
    let (mut is_open, mut has_finished, mut is_over) = (false, false, false);
    for (at, event) in events.iter().enumerate() {
        assert!(!is_over, "{event:?} comes after the end");
        match event {
            Event::Start => assert_eq!(at, 0, "the start is not the start"),
            Event::Begin(_) => assert!(!std::mem::replace(&mut is_open, true), "two blocks"),
            Event::Delta(_) | Event::Signature(_) | Event::Logprobs(_) => {
                assert!(is_open, "{event:?} is in no block");
            }
            Event::End => assert!(std::mem::replace(&mut is_open, false), "nothing to end"),
            Event::Usage(_) | Event::Untold => {}
            Event::Finish(_) => assert!(!std::mem::replace(&mut has_finished, true) && !is_open),
            Event::Close => is_over = has_finished,
            Event::Failed(_) => is_over = true,
        }
    }
}

fn signed(origin: Vendor) -> Signed {
    Signed {
        origin,
        blob: "gAAA+/=".to_owned(),
    }
}

fn thinking(text: &str, origin: Option<Vendor>) -> Part {
    Part::Thinking {
        text: text.to_owned(),
        signature: origin.map(signed),
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::Call(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        ..ToolCall::default()
    })
}

fn custom(id: &str, name: &str, input: &str) -> Part {
    Part::Call(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: input.to_owned(),
        custom: true,
        ..ToolCall::default()
    })
}

fn usage() -> Usage {
    Usage {
        input: 10,
        output: 5,
        total: 15,
        cached: 4,
        cache_written: 2,
        reasoning: 3,
        estimated: false,
    }
}

/// Answers of every form that survive the way through the dialect.
fn answers() -> Vec<Response> {
    let of = |parts: Vec<Part>, reason: FinishReason| Response {
        parts,
        logprobs: Vec::new(),
        finish: Finish::from(reason),
        usage: Some(usage()),
    };
    vec![
        of(vec![Part::text("hi")], FinishReason::Stop),
        of(
            vec![Part::text("é你\u{2028}".repeat(3000))],
            FinishReason::Length,
        ),
        of(vec![Part::Refusal("no".into())], FinishReason::Stop),
        of(
            vec![Part::text("a"), Part::text("b"), Part::Refusal("no".into())],
            FinishReason::Filter,
        ),
        of(Vec::new(), FinishReason::Stop),
        of(
            vec![
                thinking("hm", Some(Vendor::OpenAi)),
                Part::text("so"),
                call("call_1", "f", "{\"a\": 1.0}"),
                call("call_2", "g", "{}"),
                custom("call_3", "apply_patch", "*** Begin Patch"),
            ],
            FinishReason::ToolUse,
        ),
        of(
            vec![
                thinking("", Some(Vendor::OpenAi)),
                Part::text("one"),
                thinking("more", None),
                Part::text("two"),
            ],
            FinishReason::Stop,
        ),
        of(
            vec![Part::Call(ToolCall {
                id: "call_1".into(),
                name: "f".into(),
                namespace: Some("mcp__x".into()),
                arguments: "{}".into(),
                ..ToolCall::default()
            })],
            FinishReason::ToolUse,
        ),
        Response {
            logprobs: vec![Logprob {
                token: "hi".into(),
                logprob: -0.5,
                top: vec![("hi".into(), -0.5), ("ho".into(), -1.5)],
            }],
            ..of(vec![Part::text("hi")], FinishReason::Stop)
        },
    ]
}
