//! Streams on their way to a client of the same dialect.

use super::*;
use crate::protocol::Seen;

const ROLE: &str = "data: {\"id\":\"c1\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const HELLO: &str = "data: {\"id\":\"c1\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"id\":\"c1\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"overloaded\",\"code\":502}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn relay(client_asked: bool, we_asked: bool) -> Relay {
    Relay::new(CHAT, client_asked, we_asked, 7)
}

/// What is handed on of a stream whose frames arrive one by one.
fn check(client_asked: bool, we_asked: bool, frames: &[&str], expected: &[&str]) -> Seen {
    let frames_cut = frames.iter().map(|frame| frame.as_bytes());
    let (out, seen) = relayed(relay(client_asked, we_asked), frames_cut);
    assert_eq!(out, expected.concat());
    let whole = frames.concat();
    let (out, _) = relayed(relay(client_asked, we_asked), [whole.as_bytes()]);
    assert_eq!(out, expected.concat(), "in one chunk");
    seen.seen().clone()
}

fn data(content: &str) -> String {
    format!("data: {content}\n\n")
}

#[test]
fn a_stream_passes_as_it_is() {
    let frames = [": hi\n\n", ROLE, HELLO, STOP, USAGE, DONE];
    let seen = check(true, true, &frames, &frames);
    assert!(seen.meaningful && seen.finished && seen.done && seen.failure.is_none());
    assert_eq!(seen.usage.map(|usage| usage.total), Some(5));
    assert_eq!(seen.output_tokens(), 2);
}

#[test]
fn each_of_many_choices_has_an_end_of_its_own() {
    let other = |frame: &str| frame.replace("\"index\":0", "\"index\":1");
    let finished = |frames: &[&str]| {
        let frames = frames.iter().map(|frame| frame.as_bytes());
        let (_, relay) = relayed(relay(false, false).of_choices(2), frames);
        relay.seen().finished
    };
    let (second, end) = (&*other(HELLO), &*other(STOP));
    // The second choice begins where a glance would do for one.
    assert!(!finished(&[HELLO, HELLO, second, STOP, second]));
    assert!(finished(&[HELLO, HELLO, second, STOP, second, end]));
    assert!(finished(&[HELLO, second, STOP, DONE]));
    assert!(finished(&[HELLO, STOP]), "fewer than asked for came");
    assert!(finished(&[HELLO, STOP, ROLE]), "an end stays one");
    assert!(!finished(&[HELLO]));
}

#[test]
fn usage_that_only_we_asked_for_is_cut_out() {
    let seen = check(
        false,
        true,
        &[ROLE, HELLO, STOP, USAGE, DONE],
        &[ROLE, HELLO, STOP, DONE],
    );
    assert_eq!(seen.usage.map(|usage| usage.total), Some(5));
    let volunteered = [ROLE, HELLO, STOP, USAGE, DONE];
    check(false, false, &volunteered, &volunteered);
}

#[test]
fn usage_beside_choices_stays() {
    let last = STOP.replace("}\n", ",\"usage\":{\"total_tokens\":9}}\n");
    let frames = [HELLO, &last, DONE];
    let seen = check(false, true, &frames, &frames);
    assert_eq!(seen.usage.map(|usage| usage.total), Some(9));
}

#[test]
fn usage_that_the_provider_owes_is_estimated() {
    let owed = data(
        r#"{"id":"c1","created":5,"model":"m","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
    );
    check(
        true,
        true,
        &[ROLE, HELLO, STOP, DONE],
        &[ROLE, HELLO, STOP, &owed, DONE],
    );
    check(
        true,
        false,
        &[ROLE, HELLO, STOP],
        &[ROLE, HELLO, STOP, &owed],
    );
    check(
        true,
        false,
        &[ROLE, HELLO, DONE],
        &[ROLE, HELLO, &owed, DONE],
    );
    check(
        false,
        true,
        &[ROLE, HELLO, STOP, DONE],
        &[ROLE, HELLO, STOP, DONE],
    );
    // A stream that was cut is not owed anything.
    check(true, true, &[ROLE, HELLO], &[ROLE, HELLO]);
}

#[test]
fn the_relay_knows_what_to_settle() {
    let (_, told) = relayed(
        relay(false, true),
        [HELLO.as_bytes(), STOP.as_bytes(), USAGE.as_bytes()],
    );
    assert_eq!((told.usage().total, told.usage().estimated), (5, false));
    let (_, cut) = relayed(relay(false, true), [HELLO.as_bytes()]);
    assert_eq!((cut.usage().total, cut.usage().estimated), (9, true));
}

#[test]
fn the_last_usage_counts() {
    let with_usage = |total: u32| {
        let usage = format!(",\"usage\":{{\"total_tokens\":{total}}}}}\n");
        HELLO.replace("}\n", &usage)
    };
    let (first, second) = (with_usage(4), with_usage(6));
    let null = HELLO.replace("}\n", ",\"usage\":null}\n");
    let frames = [&first[..], &second, &null, STOP, DONE];
    let seen = check(true, true, &frames, &frames);
    assert_eq!(seen.usage.map(|usage| usage.total), Some(6));
}

#[test]
fn what_is_meaningful() {
    let delta = |delta: &str| {
        data(&format!(
            r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
        ))
    };
    let meaningful = |frame: &str| {
        relayed(relay(false, false), [frame.as_bytes()])
            .1
            .seen()
            .meaningful
    };
    for something in [
        r#"{"content":"x"}"#,
        r#"{"content":" "}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"reasoning":"x"}"#,
        r#"{"refusal":"x"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"id":"a"}}"#,
    ] {
        assert!(meaningful(&delta(something)), "{something}");
    }
    for nothing in [
        r#"{}"#,
        "null",
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":"","refusal":null}"#,
        r#"{"content":null,"reasoning":"","tool_calls":[],"function_call":null,"audio":{}}"#,
    ] {
        assert!(!meaningful(&delta(nothing)), "{nothing}");
    }
    for nothing in [
        ": ping\n\n".to_string(),
        "\n".to_string(),
        "event: ping\n\n".to_string(),
        "data:\n\n".to_string(),
        DONE.to_string(),
        data("{}"),
        data("7"),
        data(r#"{"choices":[],"prompt_filter_results":[{"a":"b"}]}"#),
        data(r#"{"choices":[],"usage":{"total_tokens":3}}"#),
        data(r#"{"choices":[{"index":0,"finish_reason":""}]}"#),
        data(r#"{"choices":[{"index":0,"text":""}]}"#),
        data(r#"{"choices":null}"#),
        data(r#"{"choices":[null]}"#),
    ] {
        let (out, relay) = relayed(relay(false, false), [nothing.as_bytes()]);
        assert!(!relay.seen().meaningful, "{nothing}");
        assert_eq!(out, nothing);
    }
    assert!(meaningful(STOP));
    assert!(meaningful(&data(r#"{"choices":[{"index":0,"text":"x"}]}"#)));
}

#[test]
fn a_first_chunk_without_choices_is_not_usage() {
    let azure =
        data(r#"{"choices":[],"created":0,"id":"","prompt_filter_results":[{"prompt_index":0}]}"#);
    let frames = [&azure[..], HELLO, STOP, DONE];
    check(false, true, &frames, &frames);
}

#[test]
fn an_error_before_the_answer_hands_nothing_on() {
    for error in [
        ERROR.to_string(),
        data(r#"{"error":"overloaded"}"#),
        data(r#"[{"error":{"message":"overloaded"}}]"#),
        data(r#"{"object":"error","message":"overloaded","code":500}"#),
        format!("event: error\n{ERROR}"),
        data(r#"{"choices":[],"error":{"message":"overloaded"}}"#),
    ] {
        let seen = check(false, true, &[ROLE, &error, HELLO, DONE], &[ROLE]);
        assert_eq!(seen.failure.unwrap().message, "overloaded", "{error}");
        assert!(!seen.meaningful && !seen.done);
    }
    check(
        false,
        true,
        &[HELLO, &data(r#"{"error":null,"choices":[]}"#)],
        &[HELLO, &data(r#"{"error":null,"choices":[]}"#)],
    );
}

#[test]
fn an_error_within_the_answer_is_the_last_thing_handed_on() {
    let beside_choices = data(
        r#"{"error":{"message":"overloaded"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
    );
    let old = data(r#"{"object":"error","message":"overloaded"}"#);
    for error in [ERROR, &beside_choices, &old] {
        let seen = check(
            true,
            true,
            &[ROLE, HELLO, error, HELLO, STOP, DONE],
            &[ROLE, HELLO, error],
        );
        assert_eq!(seen.failure.unwrap().message, "overloaded");
        assert!(seen.meaningful && !seen.finished && !seen.done);
    }
}

#[test]
fn nothing_after_the_end_matters() {
    let frames = [HELLO, DONE, ": bye\n\n", ERROR, HELLO];
    let seen = check(false, true, &frames, &frames);
    assert!(seen.failure.is_none());
    assert_eq!(seen.output_tokens(), 2);
}

#[test]
fn nonsense_fails_only_before_the_answer() {
    let nonsense = "data: <html>\n\n";
    let seen = check(false, true, &[ROLE, nonsense, HELLO], &[ROLE]);
    assert!(seen.failure.is_some());
    let frames = [HELLO, nonsense, STOP, DONE];
    assert!(check(false, true, &frames, &frames).failure.is_none());
}

#[test]
fn an_event_without_end_fails() {
    let endless = Bytes::from(vec![b'x'; crate::protocol::sse::FRAME_MAX + 1]);
    for (first, expected) in [
        (ROLE, ROLE.to_string()),
        (
            HELLO,
            format!(
                "{HELLO}data: {{\"error\":{{\"message\":\"an event is longer than 8 MiB\",\"type\":\"server_error\",\"param\":null,\"code\":null}}}}\n\n"
            ),
        ),
    ] {
        let chunks = [first.as_bytes(), &endless[..], DONE.as_bytes()];
        let (out, relay) = relayed(relay(true, true), chunks);
        assert_eq!(out, expected);
        assert!(relay.seen().failure.is_some());
    }
}

#[test]
fn words_in_the_text_do_not_matter() {
    let frame = |content: &str| {
        let content = serde_json::to_string(content).unwrap();
        data(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":{content}}},"finish_reason":null}}],"usage":null}}"#
        ))
    };
    let texts = [
        r#""finish_reason": "stop""#,
        r#""finish_reason"#,
        r#","usage":{"total_tokens":1}"#,
        r#"{"error":{"message":"no"}}"#,
        r#""error"#,
        r#""delta":{"content":"x"}"#,
        "[DONE]",
        "data: [DONE]",
    ];
    let frames: Vec<_> = texts.iter().map(|text| frame(text)).collect();
    let mut frames: Vec<_> = frames.iter().map(String::as_str).collect();
    frames.insert(0, HELLO);
    let seen = check(false, true, &frames, &frames);
    assert!(!seen.finished && !seen.done && seen.usage.is_none() && seen.failure.is_none());
}

#[test]
fn objects_within_the_answer_do_not_matter() {
    let arguments = data(
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":{"finish_reason":"stop","usage":{"total_tokens":1},"error":{"message":"no"}}}}]},"finish_reason":null}]}"#,
    );
    let frames = [HELLO, &arguments];
    let seen = check(false, true, &frames, &frames);
    assert!(!seen.finished && seen.usage.is_none() && seen.failure.is_none());
}

#[test]
fn blanks_are_seen_through() {
    let stop = data(
        r#"{"choices": [{"index": 0, "delta": {}, "finish_reason" : "stop"}], "usage" : {"total_tokens" : 4}}"#,
    );
    let seen = check(false, true, &[HELLO, &stop], &[HELLO, &stop]);
    assert!(seen.finished);
    assert_eq!(seen.usage.map(|usage| usage.total), Some(4));
}

#[test]
fn data_over_several_lines_is_read() {
    let stop =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\ndata: \"stop\"}]}\n\n";
    assert!(check(false, true, &[HELLO, stop], &[HELLO, stop]).finished);
}

#[test]
fn the_last_event_may_lack_its_blank_line() {
    for end in ["", "\n", "\r\n", "\r"] {
        let last = format!("{}{end}", DONE.trim_end());
        let (out, relay) = relayed(
            relay(false, true),
            [HELLO.as_bytes(), STOP.as_bytes(), last.as_bytes()],
        );
        assert!(relay.seen().done, "{end:?}");
        assert!(out.starts_with(&format!("{HELLO}{STOP}{last}")), "{end:?}");
        let lines: Vec<_> = out
            .replace("\r\n", "\n")
            .replace('\r', "\n")
            .split('\n')
            .map(str::to_owned)
            .collect();
        assert_eq!(
            lines[lines.len() - 3..],
            ["data: [DONE]", "", ""],
            "{end:?}"
        );
    }
}

#[test]
fn half_an_event_is_left_out() {
    for half in ["data: {\"choices\":[{\"ind", "data: [DO", "da", ": pi"] {
        let (out, relay) = relayed(relay(true, true), [HELLO.as_bytes(), half.as_bytes()]);
        assert_eq!(out, HELLO);
        assert!(!relay.seen().finished && relay.seen().failure.is_none());
    }
}

#[test]
fn one_chunk_of_whole_frames_goes_on_as_one_slice() {
    let mut relay = relay(false, true);
    let mut out = VecDeque::new();
    let chunk = Bytes::from([ROLE, HELLO, HELLO].concat());
    relay.push(chunk.clone(), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0], chunk);
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());

    out.clear();
    let chunk = Bytes::from([HELLO, USAGE, DONE, "data: {\"cho"].concat());
    relay.push(chunk.clone(), &mut out);
    assert_eq!(out, [HELLO, DONE]);

    out.clear();
    relay.push(Bytes::from("ices\":[]}\n\ndata: 1\n\n: x\n\n"), &mut out);
    assert_eq!(out, ["data: {\"choices\":[]}\n\n", "data: 1\n\n: x\n\n"]);
}

#[test]
fn the_text_of_every_kind_is_estimated() {
    let delta = |delta: &str| data(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#));
    let frames = [
        delta(r#"{"content":"12345678"}"#),
        delta(r#"{"content":"12345678"}"#),
        delta(r#"{"reasoning_content":"12345678"}"#),
        delta(
            r#"{"tool_calls":[{"index":0,"id":"ignored","function":{"name":"1234","arguments":"1234"}}]}"#,
        ),
        delta(r#"{"content":"你好","refusal":null}"#),
    ];
    let (_, chat) = relayed(relay(false, true), frames.iter().map(String::as_bytes));
    assert_eq!(chat.seen().output_tokens(), 8 + 3);

    let text = data(r#"{"choices":[{"text":"12345678"}]}"#);
    let legacy = Relay::new(Endpoint::Completions, false, true, 0);
    let (_, legacy) = relayed(legacy, [text.as_bytes(), text.as_bytes()]);
    assert_eq!(legacy.seen().output_tokens(), 4);
}
