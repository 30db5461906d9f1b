//! Plain answers as streams. That nothing is lost is among the properties.

use serde_json::json;

use super::*;

/// The data of each event; `[DONE]` as a string.
fn chunks(endpoint: Endpoint, answer: &Value, include_usage: bool) -> Vec<Value> {
    let stream = synthesize(endpoint, answer.to_string().as_bytes(), include_usage, 7).unwrap();
    let stream = String::from_utf8(stream.to_vec()).unwrap();
    let events: Vec<_> = stream.split_terminator("\n\n").collect();
    let (done, events) = events.split_last().unwrap();
    assert_eq!(*done, "data: [DONE]");
    events
        .iter()
        .map(|event| json(event.strip_prefix("data: ").unwrap()))
        .collect()
}

#[test]
fn the_grammar_of_a_stream_is_kept() {
    let answer = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "Hi", "refusal": null, "reasoning_content": "Hm",
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}],
            },
            "logprobs": {"content": [{"token": "Hi"}]},
            "finish_reason": "tool_calls",
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    });
    let chunk = |choices: Value| {
        json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "system_fingerprint": "f", "choices": choices,
        })
    };
    let piece = |delta: Value, logprobs: Value| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null}]))
    };
    let mut last = chunk(json!([]));
    last["usage"] = answer["usage"].clone();
    let null = Value::Null;
    let expected = [
        piece(
            json!({"role": "assistant", "content": "", "refusal": null}),
            null.clone(),
        ),
        piece(json!({"reasoning_content": "Hm"}), null.clone()),
        piece(
            json!({"content": "Hi"}),
            json!({"content": [{"token": "Hi"}]}),
        ),
        piece(
            json!({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            null.clone(),
        ),
        piece(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]}),
            null.clone(),
        ),
        chunk(json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "tool_calls"}])),
        last,
    ];
    assert_eq!(chunks(CHAT, &answer, true), expected);
    assert_eq!(chunks(CHAT, &answer, false), expected[..6]);
}

#[test]
fn a_relay_takes_it_for_a_good_stream() {
    let answer = br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let stream = synthesize(CHAT, answer, true, 7).unwrap();
    let (out, relay) = relayed(Relay::new(CHAT, true, true, 7), [&stream[..]]);
    assert_eq!(out.as_bytes(), &stream[..]);
    let seen = relay.seen();
    assert!(seen.meaningful && seen.finished && seen.done && seen.failure.is_none());
    assert_eq!(
        seen.usage.map(|usage| usage.total),
        Some(7 + 1),
        "estimated"
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    let text = format!("a{}", "é".repeat(5000));
    let answer = json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]});
    let pieces: Vec<_> = chunks(CHAT, &answer, false)
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .filter(|piece| !piece.is_empty())
        .collect();
    assert_eq!(
        pieces.iter().map(String::len).collect::<Vec<_>>(),
        [4095, 4096, 1810]
    );
    assert_eq!(pieces.concat(), text);
}

#[test]
fn calls_without_arguments_have_an_empty_object() {
    for arguments in [json!(""), json!(null), json!("{}"), json!({})] {
        let answer = json!({"choices": [{"message": {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]}}]});
        let chunks = chunks(CHAT, &answer, false);
        assert_eq!(
            chunks[2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"],
            "{}"
        );
    }
}

#[test]
fn every_choice_is_told() {
    let answer = json!({"id": "c", "choices": [
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
    ]});
    let told: Vec<_> = chunks(CHAT, &answer, false)
        .iter()
        .map(|chunk| {
            (
                chunk["choices"][0]["index"].clone(),
                chunk["choices"][0]["finish_reason"].clone(),
            )
        })
        .collect();
    let null = Value::Null;
    assert_eq!(
        told,
        [
            (json!(0), null.clone()),
            (json!(0), null.clone()),
            (json!(0), json!("stop")),
            (json!(1), null.clone()),
            (json!(1), null.clone()),
            (json!(1), json!("length")),
        ]
    );
}

#[test]
fn legacy_completions_stream_their_text() {
    let answer = json!({"id": "c", "object": "text_completion", "choices": [{"text": "Hi", "index": 0, "logprobs": null, "finish_reason": "stop"}]});
    let chunk =
        |choice: Value| json!({"id": "c", "object": "text_completion", "choices": [choice]});
    assert_eq!(
        chunks(Endpoint::Completions, &answer, false),
        [
            chunk(json!({"index": 0, "text": "Hi", "logprobs": null, "finish_reason": null})),
            chunk(json!({"index": 0, "text": "", "logprobs": null, "finish_reason": "stop"})),
        ]
    );
}

#[test]
fn what_is_no_answer_is_a_failure() {
    for body in ["", "[]", "{}", r#"{"choices":{}}"#, r#"{"choices":[7]}"#] {
        assert!(
            synthesize(CHAT, body.as_bytes(), true, 0).is_err(),
            "{body}"
        );
    }
    assert!(synthesize(Endpoint::Embeddings, b"{}", true, 0).is_err());
}
