//! Streams.

use super::super::sign::DUMMY;
use serde_json::{Value, json};

use super::garbage::check_grammar;
use super::{call, reply, signed, thinking};
use crate::chat::{
    Block, Collector, Event, Failure, FailureKind, FinishReason, Logprob, Part, Response, Side,
    Usage, Vendor,
};
use crate::protocol::gemini::{StreamDecoder, StreamEncoder};
use crate::protocol::sse::FrameReader;
use crate::protocol::{Decoder, Encoder, Reply};

fn decoded(stream: &[Value]) -> Vec<Event> {
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    for event in stream {
        decoder.decode(event.to_string().as_bytes(), &mut events);
    }
    decoder.end(&mut events);
    check_grammar(&events);
    events
}

fn collected(events: Vec<Event>) -> Result<Response, Failure> {
    let mut collector = Collector::default();
    for event in events {
        collector.take(event);
    }
    collector.finish()
}

fn encoded(events: Vec<Event>, reply: Reply) -> String {
    let mut encoder = StreamEncoder::new(reply);
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// The events of a stream that we wrote.
fn events(stream: &str) -> Vec<Value> {
    let mut reader = FrameReader::new();
    reader.push(bytes::Bytes::copy_from_slice(stream.as_bytes()));
    let frames = std::iter::from_fn(|| reader.next_frame().unwrap());
    frames
        .map(|frame| serde_json::from_slice(frame.data_line().unwrap()).unwrap())
        .collect()
}

fn piece(parts: Value) -> Value {
    json!({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}]})
}

fn last(parts: Value) -> Value {
    let mut event = piece(parts);
    event["candidates"][0]["finishReason"] = "STOP".into();
    event
}

fn array() -> Reply {
    Reply {
        array: true,
        ..reply()
    }
}

fn kinds(events: &[Event]) -> String {
    let kinds = events.iter().map(|event| match event {
        Event::Start => "start",
        Event::Begin(Block::Text) => "text",
        Event::Begin(Block::Thinking) => "thinking",
        Event::Begin(Block::Call { .. }) => "call",
        Event::Begin(_) => "block",
        Event::Delta(text) => text,
        Event::Signature(_) => "signature",
        Event::Logprobs(_) => "logprobs",
        Event::Untold => "untold",
        Event::End => "end",
        Event::Usage(_) => "usage",
        Event::Finish(_) => "finish",
        Event::Close => "close",
        Event::Failed(_) => "failed",
    });
    kinds.collect::<Vec<_>>().join(" ")
}

#[test]
fn pieces_of_text_are_one_block() {
    let stream = [
        piece(json!([{"text": "hm", "thought": true}])),
        piece(json!([{"text": "mm", "thought": true}])),
        piece(json!([{"text": "a"}])),
        piece(json!([{"text": "b"}])),
        json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}}),
    ];
    let expected = "start thinking hm mm end text a b usage end finish close";
    assert_eq!(kinds(&decoded(&stream)), expected);
}

#[test]
fn signatures_stand_with_what_they_prove() {
    for (what, stream, expected) in [
        (
            "on a call",
            vec![last(
                json!([{"functionCall": {"name": "f"}, "thoughtSignature": "AAAA"}, {"functionCall": {"name": "g"}}]),
            )],
            "start call {} signature end call {} end finish close",
        ),
        (
            "on the text behind thoughts",
            vec![
                piece(json!([{"text": "hm", "thought": true}])),
                last(json!([{"text": "a", "thoughtSignature": "AAAA"}])),
            ],
            "start thinking hm signature end text a end finish close",
        ),
        (
            "on a text alone",
            vec![last(json!([{"text": "a", "thought_signature": "AAAA"}]))],
            "start thinking signature end text a end finish close",
        ),
        (
            "on an empty text at the end",
            vec![
                piece(json!([{"text": "a"}])),
                last(json!([{"text": "", "thoughtSignature": "AAAA"}])),
            ],
            "start text a end thinking signature end finish close",
        ),
        (
            "on thoughts",
            vec![last(
                json!([{"text": "hm", "thought": true, "thoughtSignature": "AAAA"}, {"text": "a"}]),
            )],
            "start thinking hm signature end text a end finish close",
        ),
    ] {
        assert_eq!(kinds(&decoded(&stream)), expected, "{what}");
    }
}

#[test]
fn usage_grows_and_may_come_late() {
    let mut first = piece(json!([{"text": "a"}]));
    first["usageMetadata"] = json!({"promptTokenCount": 5, "totalTokenCount": 5});
    let stream = [
        first,
        last(json!([])),
        json!({"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}}),
    ];
    let events = decoded(&stream);
    assert_eq!(kinds(&events), "start text a usage end finish usage close");
    let usage = collected(events).unwrap().usage.unwrap();
    assert_eq!((usage.input, usage.output, usage.total), (5, 2, 7));
}

#[test]
fn a_stream_without_a_reason_has_not_ended() {
    let events = decoded(&[piece(json!([{"text": "a"}]))]);
    assert_eq!(kinds(&events), "start text a");
    assert!(collected(events).is_err());
}

#[test]
fn what_follows_the_end_is_no_answer() {
    let events = decoded(&[last(json!([{"text": "a"}])), last(json!([{"text": "b"}]))]);
    assert_eq!(kinds(&events), "start text a end finish close");
}

#[test]
fn a_blocked_prompt_is_an_empty_answer() {
    let events = decoded(&[json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})]);
    assert_eq!(kinds(&events), "start finish close");
    assert_eq!(
        collected(events).unwrap().finish.reason,
        FinishReason::Filter
    );
}

#[test]
fn errors_come_bare_or_wrapped() {
    let error = json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "details": [{"retryDelay": "7s"}]}});
    for stream in [
        vec![error.clone()],
        vec![json!([error])],
        vec![
            piece(json!([{"text": "a"}])),
            error.clone(),
            last(json!([])),
        ],
    ] {
        let failure = collected(decoded(&stream)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::RateLimited);
        assert_eq!(failure.message, "slow down");
    }
}

#[test]
fn an_array_is_a_stream_too() {
    let events = decoded(&[json!([piece(json!([{"text": "a"}])), last(json!([]))])]);
    assert_eq!(kinds(&events), "start text a end finish close");
}

#[test]
fn probabilities_stand_before_their_text() {
    let mut event = piece(json!([{"text": "a"}]));
    event["candidates"][0]["logprobsResult"] =
        json!({"chosenCandidates": [{"token": "a", "logProbability": -0.5}], "topCandidates": []});
    let events = decoded(&[event, last(json!([]))]);
    assert_eq!(kinds(&events), "start text logprobs a end finish close");
}

fn full() -> Response {
    Response {
        parts: vec![
            thinking("hm", Some(signed(Vendor::Google, "AAAA"))),
            Part::text("ü\u{2028}".repeat(3000)),
            call(
                "1",
                "f",
                r#"{"a":1.0}"#,
                Some(signed(Vendor::Google, "BBBB")),
            ),
            call("2", "g", "{}", None),
            thinking("", Some(signed(Vendor::Google, "CCCC"))),
        ],
        logprobs: vec![Logprob {
            token: "a".into(),
            logprob: -0.5,
            top: vec![("b".into(), -1.0)],
        }],
        finish: FinishReason::ToolUse.into(),
        usage: Some(Usage {
            input: 1,
            output: 5,
            total: 6,
            reasoning: 2,
            ..Usage::default()
        }),
    }
}

#[test]
fn an_answer_that_was_streamed_is_the_answer() {
    for response in [
        full(),
        Response {
            parts: vec![Part::text("a")],
            usage: Some(Usage::default()),
            ..Response::default()
        },
        Response {
            parts: vec![],
            usage: Some(Usage::default()),
            finish: FinishReason::Length.into(),
            ..Response::default()
        },
    ] {
        let stream = encoded(response.clone().into_events(), reply());
        assert_eq!(collected(decoded(&events(&stream))).unwrap(), response);
        let stream = encoded(response.clone().into_events(), array());
        let whole: Value = serde_json::from_str(&stream).unwrap();
        assert_eq!(collected(decoded(&[whole])).unwrap(), response);
    }
}

#[test]
fn a_stream_is_nothing_but_data_lines() {
    let stream = encoded(full().into_events(), reply());
    for line in stream.split('\n') {
        assert!(line.is_empty() || line.starts_with("data: {"), "{line}");
    }
    assert!(!stream.contains('\u{2028}'));
    assert!(stream.ends_with("}\n\n"));
    let events = events(&stream);
    for event in &events {
        assert_eq!(
            (&event["responseId"], &event["modelVersion"]),
            (&json!("r1"), &json!("m"))
        );
        assert_eq!(event["candidates"][0]["content"]["role"], "model");
    }
    let (last, rest) = events.split_last().unwrap();
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["thoughtsTokenCount"], 2);
    let early = |event: &Value| event["candidates"][0].get("finishReason").is_some();
    assert!(!rest.iter().any(early));
}

#[test]
fn a_call_is_sent_whole() {
    let begin = Event::Begin(Block::Call {
        id: "1".into(),
        name: "f".into(),
        namespace: None,
        custom: false,
    });
    let stream = encoded(
        vec![
            Event::Start,
            begin,
            Event::Delta(r#"{"a":"#.into()),
            Event::Delta("1}".into()),
            Event::End,
            Event::Finish(FinishReason::ToolUse.into()),
            Event::Close,
        ],
        reply(),
    );
    let parts: Vec<_> = events(&stream)
        .iter()
        .map(|event| event["candidates"][0]["content"]["parts"].clone())
        .collect();
    let expected = [
        json!([{"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": DUMMY}]),
        json!([{"text": ""}]),
    ];
    assert_eq!(parts, expected);
}

#[test]
fn a_failure_is_the_last_thing_said() {
    let failed = || {
        vec![
            Event::Start,
            Event::Begin(Block::Text),
            Event::Delta("a".into()),
            Event::Failed(Failure::new(
                FailureKind::Unavailable,
                Side::Upstream,
                "gone",
            )),
            Event::Delta("b".into()),
            Event::Close,
        ]
    };
    let error = json!({"error": {"code": 503, "message": "gone", "status": "UNAVAILABLE"}});
    let stream = encoded(failed(), reply());
    assert_eq!(events(&stream).last(), Some(&error));
    assert_eq!(events(&stream).len(), 2);
    assert!(stream.contains("data: {\"error\":{\"code\":503"));
    let stream = encoded(failed(), array());
    let whole: Value = serde_json::from_str(&stream).unwrap();
    assert_eq!(whole[1], error);
    let stream = encoded(failed().split_off(3), array());
    assert_eq!(
        serde_json::from_str::<Value>(&stream).unwrap(),
        json!([error])
    );
}

#[test]
fn an_array_comes_piece_by_piece() {
    let mut encoder = StreamEncoder::new(array());
    let mut out = Vec::new();
    let mut step = |event| {
        encoder.encode(event, &mut out);
        String::from_utf8(std::mem::take(&mut out)).unwrap()
    };
    assert_eq!(step(Event::Start), "");
    assert_eq!(step(Event::Begin(Block::Text)), "");
    let first = step(Event::Delta("a".into()));
    assert!(first.starts_with("[{") && first.ends_with('}'), "{first}");
    let second = step(Event::Delta("b".into()));
    assert!(
        second.starts_with(",\r\n{") && second.ends_with('}'),
        "{second}"
    );
    let last = step(Event::Close);
    assert!(last.starts_with(",\r\n{") && last.ends_with("}]"), "{last}");
    assert_eq!(step(Event::Close), "");
}

#[test]
fn what_comes_out_of_order_does_not_break_a_stream() {
    let call = || {
        Event::Begin(Block::Call {
            id: String::new(),
            name: "f".into(),
            namespace: None,
            custom: false,
        })
    };
    let stream = encoded(
        vec![
            Event::Delta("a".into()),
            Event::End,
            Event::Signature(signed(Vendor::Google, "AAAA")),
            call(),
            call(),
            Event::Begin(Block::Redacted(signed(Vendor::Anthropic, "x"))),
            Event::Delta("mute".into()),
            Event::Close,
        ],
        reply(),
    );
    let response = collected(decoded(&events(&stream))).unwrap();
    let calls = response
        .parts
        .iter()
        .filter(|part| matches!(part, Part::Call(_)));
    assert_eq!(calls.count(), 2);
}

#[test]
fn a_cut_event_breaks_nothing() {
    let event =
        last(json!([{"text": "ü", "thoughtSignature": "AAAA"}, {"functionCall": {"name": "f"}}]));
    let data = event.to_string();
    for end in 0..data.len() {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        decoder.decode(&data.as_bytes()[..end], &mut events);
        decoder.end(&mut events);
        check_grammar(&events);
        assert!(collected(events).is_err(), "{end}");
    }
}
