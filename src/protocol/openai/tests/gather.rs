//! Streams gathered into plain answers. The common shapes are among the fixtures.

use serde_json::json;

use super::*;

fn data(content: &str) -> String {
    format!("data: {content}\n\n")
}

fn delta(delta: &str) -> String {
    data(&format!(
        r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    ))
}

const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

/// The message of the only choice.
fn message(deltas: &[&str]) -> Value {
    let mut stream: String = deltas.iter().map(|text| delta(text)).collect();
    stream.push_str(STOP);
    let (mut answer, _) = gathered(CHAT, [stream.as_bytes()]).unwrap();
    answer["choices"][0]["message"].take()
}

fn failure(stream: &str) -> String {
    gathered(CHAT, [stream.as_bytes()]).unwrap_err().message
}

#[test]
fn pieces_are_joined_and_gaps_filled() {
    assert_eq!(message(&[]), json!({"role": "assistant", "content": null}));
    assert_eq!(
        message(&[
            r#"{"content":"a"}"#,
            r#"{"content":null}"#,
            r#"{"content":"b"}"#
        ]),
        json!({"role": "assistant", "content": "ab"})
    );
    assert_eq!(
        message(&[
            r#"{"role":"assistant","reasoning":"x"}"#,
            r#"{"role":"assistant","reasoning":"y","thought":"1"}"#,
            r#"{"thought":"2","score":1}"#,
            r#"{"score":2}"#
        ]),
        json!({"role": "assistant", "content": null, "reasoning": "xy", "thought": "12", "score": 2})
    );
}

#[test]
fn lists_are_continued() {
    assert_eq!(
        message(&[
            r#"{"annotations":[{"type":"url_citation","url":"a"}]}"#,
            r#"{"annotations":[{"type":"url_citation","url":"b"}]}"#,
        ])["annotations"],
        json!([{"type": "url_citation", "url": "a"}, {"type": "url_citation", "url": "b"}])
    );
}

#[test]
fn content_may_change_between_text_and_parts() {
    assert_eq!(
        message(&[
            r#"{"content":""}"#,
            r#"{"content":"one "}"#,
            r#"{"content":[{"type":"text","text":"two "}]}"#,
            r#"{"content":"three "}"#,
            r#"{"content":[{"type":"image_url","image_url":{"url":"u"}}]}"#,
            r#"{"content":""}"#,
            r#"{"content":"four"}"#,
        ])["content"],
        json!([
            { "type": "text", "text": "one " },
            { "type": "text", "text": "two three " },
            { "type": "image_url", "image_url": { "url": "u" } },
            { "type": "text", "text": "four" },
        ])
    );
}

#[test]
fn calls_are_put_together_however_they_are_told_apart() {
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!([call("1", "f", "{\"a\":1}"), call("2", "g", "{}")]);
    let cases: [&[&str]; 6] = [
        // Interleaved.
        &[
            r#"{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":""}},{"index":1,"id":"2","type":"function","function":{"name":"g","arguments":""}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
            r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
        ],
        // Out of order.
        &[
            r#"{"tool_calls":[{"index":1,"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#,
        ],
        // Without index.
        &[
            r#"{"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":":1}"}}]}"#,
            r#"{"tool_calls":[{"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]}"#,
        ],
        // All numbered 0.
        &[
            r#"{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"2","function":{"name":"g"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
        ],
        // Id, type and name repeated; then empty.
        &[
            r#"{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":":1}"}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"2","type":"function","function":{"name":"g","arguments":null}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"","type":null,"function":{"name":"","arguments":"{}"}}]}"#,
        ],
        // Arguments as an object, or none.
        &[
            r#"{"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":{"a":1}}}]}"#,
            r#"{"tool_calls":[{"index":1,"id":"2","type":"function","function":{"name":"g"}}]}"#,
        ],
    ];
    for pieces in cases {
        assert_eq!(message(pieces)["tool_calls"], expected, "{pieces:?}");
    }
}

#[test]
fn other_calls_are_put_together() {
    assert_eq!(
        message(&[
            r#"{"function_call":{"name":"f","arguments":""}}"#,
            r#"{"function_call":{"arguments":"{\"a\""}}"#,
            r#"{"function_call":{"arguments":":1}"}}"#,
        ])["function_call"],
        json!({"name": "f", "arguments": "{\"a\":1}"})
    );
    assert_eq!(
        message(&[
            r#"{"tool_calls":[{"index":0,"id":"1","type":"custom","custom":{"name":"sh","input":"l"}}]}"#,
            r#"{"tool_calls":[{"index":0,"custom":{"input":"s"}}]}"#,
        ])["tool_calls"],
        json!([{"id": "1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}])
    );
}

#[test]
fn usage_is_the_providers_or_an_estimate_that_is_not_shown() {
    let told = [&delta(r#"{"content":"12345678"}"#), STOP, &data(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"more":{"x":1}}}"#)].concat();
    let (answer, usage) = gathered(CHAT, [told.as_bytes()]).unwrap();
    assert_eq!((usage.total, usage.estimated), (3, false));
    assert_eq!(answer["usage"]["more"]["x"], 1);

    let silent = [
        &data(r#"{"usage":null,"choices":[]}"#),
        &delta(r#"{"content":"12345678"}"#),
        STOP,
    ]
    .concat();
    let (answer, usage) = gathered(CHAT, [silent.as_bytes()]).unwrap();
    assert_eq!((usage.total, usage.estimated), (9, true));
    assert_eq!(answer.get("usage"), None);
}

#[test]
fn a_stream_that_breaks_off_is_no_answer() {
    let hello = delta(r#"{"content":"Hello"}"#);
    let two = data(
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"}}]}"#,
    );
    assert_eq!(failure(""), "upstream ended its stream without an answer");
    assert_eq!(
        failure(": ping\n\ndata: [DONE]\n\n"),
        "upstream ended its stream without an answer"
    );
    assert_eq!(
        failure(&format!(
            "{}data: [DONE]\n\n",
            delta(r#"{"role":"assistant","content":""}"#)
        )),
        "upstream ended its stream without an answer",
        "a role is nothing said"
    );
    assert_eq!(failure(&hello), "upstream broke its stream off");
    assert_eq!(failure(&two), "upstream broke its stream off");
    assert_eq!(
        failure(&format!("{hello}data: {{\"choices\"")),
        "upstream broke its stream off"
    );
    assert!(gathered(CHAT, [format!("{hello}{STOP}").as_bytes()]).is_ok());
    assert!(gathered(CHAT, [format!("{hello}data: [DONE]").as_bytes()]).is_ok());
}

#[test]
fn an_answer_is_complete_before_its_stream_ends() {
    let mut gather = Gather::new(CHAT, 0);
    let states: Vec<_> = [&delta(r#"{"content":"Hello"}"#), STOP, "data: [DONE]\n\n"]
        .iter()
        .map(|piece| {
            gather
                .push(Bytes::copy_from_slice(piece.as_bytes()))
                .unwrap();
            (gather.is_complete(), gather.is_done())
        })
        .collect();
    assert_eq!(states, [(false, false), (true, false), (true, true)]);
}

#[test]
fn errors_and_nonsense_are_failures() {
    let hello = delta(r#"{"content":"Hello"}"#);
    assert_eq!(
        failure(&format!(
            "{hello}{}",
            data(r#"{"error":{"message":"overloaded"}}"#)
        )),
        "overloaded"
    );
    assert_eq!(
        failure(&format!("{hello}data: <html>\n\n")),
        "upstream's stream holds an event that is not valid JSON"
    );
}

#[test]
fn an_answer_has_a_bound() {
    let mut gather = Gather::new(CHAT, 0);
    let frame = Bytes::from(format!(": {}\n\n", "x".repeat(4 << 20)));
    let mut pushed = 0;
    while gather.push(frame.clone()).is_ok() {
        pushed += 1;
    }
    assert_eq!(pushed, 15);
}
