//! What holds for every input.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::protocol::{Call, Seen, Shape};

/// Text with everything that is awkward in JSON, in events or in a search.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zé你\u{2028}\"\\\\\n\r\t ]{0,12}",
        Just("\"finish_reason\":\"stop\"".to_string()),
        Just("\"usage\":{\"total_tokens\":1}".to_string()),
        Just("data: [DONE]\n\n".to_string()),
        Just("{\"error\":{}}".to_string()),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    let function = ("[a-z]{1,5}", "[{}a-zé\"]{1,9}").prop_map(|(name, arguments)| {
        json!({"id": format!("call_{name}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let custom = ("[a-z]{1,5}", text()).prop_map(|(name, input)| {
        json!({"id": format!("call_{name}"), "type": "custom", "custom": {"name": name, "input": input}})
    });
    prop_oneof![function, custom]
}

fn message() -> impl Strategy<Value = Value> {
    let maybe = || proptest::option::of(text());
    (maybe(), maybe(), maybe(), vec(call(), 0..4), any::<bool>()).prop_map(
        |(content, reasoning, refusal, mut calls, annotated)| {
            let mut message = json!({"role": "assistant", "content": content, "refusal": refusal});
            if let Some(reasoning) = reasoning {
                message["reasoning_content"] = reasoning.into();
            }
            for (number, call) in calls.iter_mut().enumerate() {
                call["id"] = format!("{number}").into();
            }
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
            }
            if annotated {
                message["annotations"] =
                    json!([{"type": "url_citation", "url_citation": {"url": "x"}}]);
            }
            message
        },
    )
}

/// A plain answer such as any provider might give.
fn answer() -> impl Strategy<Value = Value> {
    let logprobs = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(
            json!({"content": [{"token": "a", "logprob": -0.5}, {"token": "b"}], "refusal": null})
        )),
    ];
    let reason = prop_oneof![Just("stop"), Just("length"), Just("tool_calls")];
    let choice = (message(), logprobs, reason);
    (vec(choice, 1..4), "[a-z0-9-]{1,12}", 0u32..9999).prop_map(|(choices, id, tokens)| {
        let choices: Vec<_> = choices
            .into_iter()
            .enumerate()
            .map(|(index, (message, logprobs, reason))| {
                let mut choice = json!({"index": index, "message": message, "finish_reason": reason});
                if let Some(logprobs) = logprobs {
                    choice["logprobs"] = logprobs;
                }
                choice
            })
            .collect();
        json!({
            "id": id, "object": "chat.completion", "created": 1760000000, "model": "m", "choices": choices,
            "system_fingerprint": null, "x_more": {"a": [1, null]},
            "usage": {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1, "details": {"a": 1}},
        })
    })
}

/// Frames good and bad, ended with `\n`.
fn frames() -> impl Strategy<Value = Vec<String>> {
    // All begin alike; some end with more than text.
    let end = prop_oneof![
        4 => Just((json!(null), json!(null), json!(null))),
        1 => Just((json!("stop"), json!(null), json!(null))),
        1 => Just((json!(""), json!({"total_tokens": 5}), json!(null))),
        1 => Just((json!(null), json!(null), json!({"message": "no"}))),
    ];
    let delta = (text(), end).prop_map(|(text, (reason, usage, error))| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": reason});
        json!({"id": "c", "choices": [choice], "usage": usage, "error": error}).to_string()
    });
    let data = prop_oneof![
        6 => delta,
        1 => Just(r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#.to_string()),
        1 => Just(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_string()),
        1 => Just(r#"{"choices":[],"usage":{"total_tokens":4}}"#.to_string()),
        1 => Just(r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{"}}]}}]}"#.to_string()),
        1 => Just("{\"choices\":\ndata: []}".to_string()),
        1 => Just(r#"{"error":{"message":"no"}}"#.to_string()),
        1 => Just("[DONE]".to_string()),
        1 => Just("{".to_string()),
    ];
    let frame = (
        prop_oneof![Just("data: "), Just("data:"), Just(": note\ndata: ")],
        data,
    );
    let frame = prop_oneof![
        9 => frame.prop_map(|(field, data)| format!("{field}{data}\n\n")),
        1 => Just(": ping\n\n".to_string()),
        1 => Just("\n".to_string()),
    ];
    vec(frame, 0..9)
}

/// Streams good and bad, with line ends of every kind.
fn stream() -> impl Strategy<Value = String> {
    let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
    let all = (frames(), end, any::<bool>(), 0usize..4);
    all.prop_map(|(frames, end, mark, short)| {
        let stream = frames.concat().replace('\n', end);
        let stream = if mark {
            format!("\u{feff}{stream}")
        } else {
            stream
        };
        let kept = stream.len().saturating_sub(short);
        stream.chars().take(kept).collect()
    })
}

fn shown(seen: &Seen) -> String {
    format!("{seen:?}")
}

proptest! {
    #[test]
    fn a_relay_does_not_see_how_a_stream_was_cut(
        stream in stream(),
        places in vec(0usize..900, 0..20),
        client_asked: bool,
        we_asked: bool,
    ) {
        let relay = || Relay::new(CHAT, client_asked, we_asked, 7);
        let (whole, one) = relayed(relay(), [stream.as_bytes()]);
        let (pieces, many) = relayed(relay(), cut(stream.as_bytes(), places));
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(shown(one.seen()), shown(many.seen()));
    }

    #[test]
    fn a_relay_sees_as_much_at_a_glance(frames in frames()) {
        let relay = || Relay::new(CHAT, false, true, 7);
        let (_, quick) = relayed(relay(), frames.iter().map(String::as_bytes));
        // A comment beside the data makes it look closely.
        let noted: Vec<_> = frames.iter().map(|frame| format!(": note\n{frame}")).collect();
        let (_, close) = relayed(relay(), noted.iter().map(String::as_bytes));
        prop_assert_eq!(shown(quick.seen()), shown(close.seen()));
    }

    #[test]
    fn a_gathering_does_not_see_how_a_stream_was_cut(
        stream in stream(),
        places in vec(0usize..900, 0..20),
    ) {
        let whole = gathered(CHAT, [stream.as_bytes()]).map_err(|failure| failure.message);
        let pieces = gathered(CHAT, cut(stream.as_bytes(), places)).map_err(|failure| failure.message);
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn a_relay_and_a_gathering_agree(stream in stream()) {
        let (_, relay) = relayed(Relay::new(CHAT, false, false, 7), [stream.as_bytes()]);
        if let Ok((_, usage)) = gathered(CHAT, [stream.as_bytes()])
            && relay.seen().done
        {
            prop_assert_eq!(relay.usage(), usage);
        }
    }

    #[test]
    fn an_answer_survives_being_streamed(answer in answer(), places in vec(0usize..3000, 0..20)) {
        let stream = synthesize(CHAT, answer.to_string().as_bytes(), true, 7).unwrap();
        let (again, _) = gathered(CHAT, cut(&stream, places)).unwrap();
        prop_assert_eq!(&again, &answer);
        let (out, relay) = relayed(Relay::new(CHAT, true, true, 7), [&stream[..]]);
        prop_assert_eq!(out.as_bytes(), &stream[..]);
        prop_assert!(relay.seen().finished && relay.seen().failure.is_none());
    }

    #[test]
    fn only_what_must_change_in_a_request_does(
        members in vec(("[a-z_]{1,4}", text()), 0..4),
        model in text(),
        target in text(),
        stream in proptest::option::of(any::<bool>()),
        options in prop_oneof![
            Just(None),
            Just(Some(json!(null))),
            Just(Some(json!({}))),
            Just(Some(json!({"include_usage": true}))),
            Just(Some(json!({"include_usage": false, "a": "b"}))),
            Just(Some(json!({"a": "b", "include_usage": null, "c": 1}))),
        ],
        at in 0usize..4,
        pretty: bool,
        shape in (any::<bool>(), any::<bool>()).prop_map(|(stream, ask_usage)| Shape { stream, ask_usage }),
    ) {
        prop_assume!(!model.is_empty());
        let mut all: Vec<(String, Value)> = members
            .into_iter()
            .enumerate()
            .map(|(number, (name, text))| (format!("x{number}{name}"), text.into()))
            .collect();
        let place = |all: &Vec<(String, Value)>| at.min(all.len());
        all.insert(place(&all), ("model".into(), model.clone().into()));
        if let Some(stream) = stream {
            all.insert(place(&all), ("stream".into(), stream.into()));
        }
        if let Some(options) = &options {
            all.insert(place(&all), ("stream_options".into(), options.clone()));
        }
        let body = Value::Object(all.into_iter().collect());
        let text = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };

        let call = Call::open(CHAT, Bytes::from(text)).unwrap();
        let sent = json(call.encode(&target, shape, &[]).concat());

        let mut expected = body;
        let wanted = expected.as_object_mut().unwrap();
        wanted.insert("model".into(), target.into());
        if shape.stream != stream.unwrap_or(false) {
            wanted.insert("stream".into(), shape.stream.into());
        }
        if shape.stream && shape.ask_usage {
            let options = wanted.entry("stream_options").or_insert(Value::Null);
            if options.is_null() {
                *options = json!({});
            }
            options["include_usage"] = true.into();
        } else if shape.stream {
            if let Some(Value::Object(options)) = wanted.get_mut("stream_options")
                && options.shift_remove("include_usage").is_some()
                && options.is_empty()
            {
                wanted.shift_remove("stream_options");
            }
        } else if stream == Some(true) {
            wanted.shift_remove("stream_options");
        }
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn no_stream_makes_anything_panic(bytes in vec(any::<u8>(), 0..200), stream in stream(), at in 0usize..900) {
        let mut damaged = stream.into_bytes();
        let at = at.min(damaged.len());
        damaged.splice(at..at, bytes);
        relayed(Relay::new(CHAT, true, true, 7), [&damaged[..]]);
        let _ = gathered(CHAT, [&damaged[..]]);
        let _ = gathered(Endpoint::Completions, [&damaged[..]]);
    }

    #[test]
    fn no_document_makes_anything_panic(answer in answer(), byte: u8, at in 0usize..2000, cut_at in 0usize..2000) {
        let mut damaged = answer.to_string().into_bytes();
        let at = at.min(damaged.len() - 1);
        damaged[at] = byte;
        damaged.truncate(cut_at.max(1));
        let _ = judge(CHAT, None, &damaged);
        let _ = judge(Endpoint::Embeddings, None, &damaged);
        let _ = synthesize(CHAT, &damaged, true, 7);
        let _ = synthesize(Endpoint::Completions, &damaged, true, 7);
        let _ = crate::protocol::error::decode(400, None, Some(Bytes::copy_from_slice(&damaged)), None);
        let _ = Call::open(CHAT, damaged.into());
    }
}
