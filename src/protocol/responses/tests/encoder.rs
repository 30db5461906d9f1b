//! A client's stream.

use std::time::Duration;

use serde_json::{Value, json};

use crate::chat::{
    Block, Event, Failure, FailureKind, FinishReason, Logprob, Part, Response, Side, Usage, Vendor,
};

use super::{answers, call, custom, signed, stream, thinking, usage};

fn of(parts: Vec<Part>) -> Vec<Value> {
    let response = Response {
        parts,
        usage: Some(usage()),
        ..Response::default()
    };
    stream(response.into_events(), &json!({}))
}

fn types(stream: &[Value]) -> Vec<&str> {
    let names = stream.iter().map(|event| event["type"].as_str().unwrap());
    names
        .map(|name| name.strip_prefix("response.").unwrap())
        .collect()
}

#[test]
fn a_message_is_announced_told_and_done() {
    let stream = of(vec![Part::text("hi")]);
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let item = |status: &str, content: Value| json!({"type": "message", "id": "msg_abc0", "status": status, "role": "assistant", "content": content});
    let within = |sequence: u64, name: &str, more: Value| {
        let mut event = json!({"type": format!("response.{name}"), "sequence_number": sequence,
            "item_id": "msg_abc0", "output_index": 0, "content_index": 0});
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    assert_eq!(
        stream[2..8],
        [
            json!({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0,
                "item": item("in_progress", json!([]))}),
            within(3, "content_part.added", json!({"part": part("")})),
            within(
                4,
                "output_text.delta",
                json!({"delta": "hi", "logprobs": []})
            ),
            within(5, "output_text.done", json!({"text": "hi", "logprobs": []})),
            within(6, "content_part.done", json!({"part": part("hi")})),
            json!({"type": "response.output_item.done", "sequence_number": 7, "output_index": 0,
                "item": item("completed", json!([part("hi")]))}),
        ]
    );
    assert_eq!(stream[0]["response"], stream[1]["response"]);
    assert_eq!(stream[0]["response"]["status"], "in_progress");
    assert_eq!(stream[0]["response"]["output"], json!([]));
    assert_eq!(stream[8]["response"]["usage"]["total_tokens"], 15);
}

#[test]
fn every_block_has_its_events() {
    const OPEN: [&str; 3] = ["created", "in_progress", "output_item.added"];
    for (part, between) in [
        (
            Part::Refusal("no".into()),
            &[
                "content_part.added",
                "refusal.delta",
                "refusal.done",
                "content_part.done",
            ][..],
        ),
        (
            thinking("hm", None),
            &[
                "reasoning_summary_part.added",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.done",
                "reasoning_summary_part.done",
            ],
        ),
        (thinking("", Some(Vendor::Anthropic)), &[]),
        (Part::Redacted(signed(Vendor::Anthropic)), &[]),
        (
            call("c", "f", "{\"a\":1}"),
            &[
                "function_call_arguments.delta",
                "function_call_arguments.done",
            ],
        ),
        (
            call("c", "f", ""),
            &[
                "function_call_arguments.delta",
                "function_call_arguments.done",
            ],
        ),
        (
            custom("c", "say", "x"),
            &[
                "custom_tool_call_input.delta",
                "custom_tool_call_input.done",
            ],
        ),
    ] {
        let expected = [&OPEN[..], between, &["output_item.done", "completed"]].concat();
        assert_eq!(types(&of(vec![part])), expected);
    }
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    let stream = of(vec![call("c", "f", "")]);
    assert_eq!(stream[2]["item"]["arguments"], "");
    assert_eq!(stream[3]["delta"], "{}");
    assert_eq!(stream[4]["arguments"], "{}");
    assert_eq!(stream[4]["name"], "f");
    assert_eq!(stream[5]["item"]["arguments"], "{}");
}

#[test]
fn ids_types_and_indices_agree() {
    for response in answers() {
        let stream = stream(response.into_events(), &json!({}));
        let of_type = |name: &str| {
            let events = stream.iter().filter(|event| event["type"] == name);
            events.collect::<Vec<_>>()
        };
        let added = of_type("response.output_item.added");
        let done = of_type("response.output_item.done");
        let last = &stream.last().unwrap()["response"];
        let output = last["output"].as_array().unwrap();
        assert_eq!((added.len(), done.len()), (output.len(), output.len()));
        for (index, item) in output.iter().enumerate() {
            assert_eq!(&done[index]["item"], item);
            for event in [added[index], done[index]] {
                assert_eq!(event["output_index"], index);
                for name in ["id", "type", "call_id", "name"] {
                    assert_eq!(event["item"][name], item[name]);
                }
            }
            let within = stream
                .iter()
                .filter(|event| event.get("item_id").is_some() && event["output_index"] == index);
            for event in within {
                assert_eq!(event["item_id"], item["id"]);
            }
        }
        let lifecycle = stream.iter().filter_map(|event| event.get("response"));
        assert!(
            lifecycle
                .into_iter()
                .all(|response| response["id"] == last["id"])
        );
    }
}

#[test]
fn texts_that_follow_each_other_are_one_message() {
    let stream = of(vec![
        Part::text("a"),
        Part::Refusal("no".into()),
        Part::text("b"),
    ]);
    let indices: Vec<_> = stream
        .iter()
        .filter(|event| event["type"] == "response.content_part.done")
        .map(|event| {
            (
                event["output_index"].as_u64(),
                event["content_index"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        indices,
        [(Some(0), Some(0)), (Some(0), Some(1)), (Some(0), Some(2))]
    );
    assert_eq!(
        types(&stream)
            .iter()
            .filter(|name| **name == "output_item.done")
            .count(),
        1
    );
}

#[test]
fn the_proof_of_a_call_follows_it() {
    let stream = stream(
        [
            Event::Start,
            Event::Begin(Block::Call {
                id: "c".into(),
                name: "f".into(),
                namespace: Some("x".into()),
                custom: false,
            }),
            Event::Signature(signed(Vendor::Google)),
            Event::Delta("{}".into()),
            Event::End,
            Event::Finish(FinishReason::Stop.into()),
            Event::Close,
        ],
        &json!({}),
    );
    let output = &stream.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["namespace"], "x");
    assert_eq!(output[1]["encrypted_content"], "ge:call:c:gAAA+/=");
    assert_eq!(stream[stream.len() - 2]["item"], output[1]);
}

#[test]
fn log_probabilities_come_with_their_text() {
    let logprob = |token: &str| Logprob {
        token: token.into(),
        logprob: -0.5,
        top: vec![(token.into(), -0.5)],
    };
    let stream = stream(
        [
            Event::Begin(Block::Text),
            Event::Logprobs(vec![logprob("h")]),
            Event::Delta("h".into()),
            Event::Logprobs(vec![logprob("é")]),
            Event::Delta("é".into()),
            Event::End,
            Event::Close,
        ],
        &json!({}),
    );
    let written = json!({"token": "é", "bytes": [195, 169], "logprob": -0.5,
        "top_logprobs": [{"token": "é", "bytes": [195, 169], "logprob": -0.5}]});
    assert_eq!(stream[5]["logprobs"], json!([written]));
    assert_eq!(stream[6]["logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(stream[7]["part"]["logprobs"], stream[6]["logprobs"]);
}

#[test]
fn usage_that_comes_late_is_told() {
    let late = Usage::estimate(1, 2);
    let stream = stream(
        [
            Event::Start,
            Event::Usage(usage()),
            Event::Finish(FinishReason::Stop.into()),
            Event::Usage(late),
            Event::Close,
        ],
        &json!({}),
    );
    assert_eq!(types(&stream), ["created", "in_progress", "completed"]);
    assert_eq!(stream[2]["response"]["usage"]["total_tokens"], 3);
}

#[test]
fn a_failure_ends_the_stream_with_what_was_done() {
    let mut limited = Failure::new(FailureKind::RateLimited, Side::Upstream, "slow down");
    limited.retry_after = Some(Duration::from_secs(7));
    let stream = stream(
        [
            Event::Start,
            Event::Begin(Block::Thinking),
            Event::Delta("hm".into()),
            Event::End,
            Event::Begin(Block::Text),
            Event::Delta("h".into()),
            Event::Failed(limited),
            Event::Delta("lost".into()),
            Event::Close,
        ],
        &json!({}),
    );
    let last = stream.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    let response = &last["response"];
    assert_eq!(response["status"], "failed");
    assert_eq!(
        response["error"],
        json!({"code": "rate_limit_exceeded", "message": "slow down; please try again in 7s"})
    );
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
    assert_eq!(
        types(&stream)
            .iter()
            .filter(|name| **name == "failed")
            .count(),
        1
    );
}

#[test]
fn a_failure_before_anything_else_still_has_its_frame() {
    let stream = stream([Event::Failed(Failure::upstream("broken"))], &json!({}));
    assert_eq!(types(&stream), ["created", "in_progress", "failed"]);
    assert_eq!(
        stream[2]["response"]["error"],
        json!({"code": "server_error", "message": "broken"})
    );
    assert_eq!(stream[2]["response"]["usage"], Value::Null);
}

#[test]
fn events_out_of_order_still_make_a_stream() {
    let stream = stream(
        [
            Event::End,
            Event::Delta("a".into()),
            Event::Begin(Block::Text),
            Event::Begin(Block::Thinking),
            Event::Delta(String::new()),
            Event::Delta("b".into()),
            Event::End,
            Event::End,
            Event::Delta("c".into()),
            Event::Signature(signed(Vendor::Google)),
            Event::Close,
            Event::Close,
        ],
        &json!({}),
    );
    let output = stream.last().unwrap()["response"]["output"].clone();
    let kinds: Vec<_> = output
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].clone())
        .collect();
    assert_eq!(kinds, ["message", "reasoning", "message"]);
}
