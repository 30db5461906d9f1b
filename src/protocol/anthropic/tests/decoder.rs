//! Streams of providers.

use super::*;

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_01", "type": "message", "role": "assistant",
        "model": "claude", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}}})
}

fn begin(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn text_begins(index: u64) -> Value {
    begin(index, json!({"type": "text", "text": ""}))
}

fn call_begins(index: u64, id: &str) -> Value {
    begin(
        index,
        json!({"type": "tool_use", "id": id, "name": "f", "input": {}}),
    )
}

fn text(index: u64, text: &str) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}})
}

fn arguments(index: u64, json: &str) -> Value {
    json!({"type": "content_block_delta", "index": index,
           "delta": {"type": "input_json_delta", "partial_json": json}})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn ends(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
           "usage": {"output_tokens": 15}})
}

fn close() -> Value {
    json!({"type": "message_stop"})
}

/// Events in short, to be read as a line.
fn line(events: &[Event]) -> String {
    let word = |event: &Event| match event {
        Event::Start => "start".into(),
        Event::Begin(Block::Text) => "text".into(),
        Event::Begin(Block::Thinking) => "thinking".into(),
        Event::Begin(Block::Call { id, .. }) => format!("call:{id}"),
        Event::Begin(block) => format!("{block:?}"),
        Event::Delta(text) => format!("+{text}"),
        Event::Signature(signed) => format!("sign:{}", signed.blob),
        Event::End => "end".into(),
        Event::Usage(usage) => format!("usage:{}/{}", usage.input, usage.output),
        Event::Finish(finish) => format!("{:?}", finish.reason),
        Event::Close => "close".into(),
        Event::Failed(failure) => format!("failed:{}", failure.message),
        Event::Logprobs(_) => "logprobs".into(),
        Event::Untold => "untold".into(),
    };
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_stream_is_read_as_it_comes() {
    let events = decoded(&[
        start(),
        json!({"type": "ping"}),
        begin(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        stop(0),
        text_begins(1),
        text(1, "Hel"),
        text(1, "lo"),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {}}}),
        stop(1),
        call_begins(2, "toolu_1"),
        arguments(2, ""),
        arguments(2, "{\"a\":"),
        arguments(2, "1}"),
        stop(2),
        call_begins(3, "toolu_2"),
        stop(3),
        ends("tool_use"),
        close(),
    ]);
    assert_eq!(
        line(&events),
        "start usage:30/1 thinking +hm sign:EqQB end text +Hel +lo end call:toolu_1 +{\"a\": +1} end \
         call:toolu_2 +{} end ToolUse usage:30/15 close"
    );
    let response = collected(events).unwrap();
    assert_eq!(response.usage.unwrap().total, 45);
}

#[test]
fn counts_that_are_told_later_replace_earlier_ones() {
    let events = decoded(&[
        start(),
        json!({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
               "usage": {"input_tokens": 40, "cache_read_input_tokens": null, "cache_creation_input_tokens": 2,
                         "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}}),
        close(),
    ]);
    let response = collected(events).unwrap();
    assert_eq!(response.finish.stop_sequence.as_deref(), Some("END"));
    assert_eq!(
        response.usage.unwrap(),
        Usage {
            input: 47,
            output: 9,
            total: 56,
            cached: 5,
            cache_written: 2,
            reasoning: 4,
            estimated: false,
        }
    );
}

#[test]
fn servers_that_imitate_the_vendor_are_understood() {
    let filled = json!({"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}});
    for (why, events, expected) in [
        (
            "arguments stand where the block begins",
            vec![
                start(),
                begin(0, filled.clone()),
                stop(0),
                ends("end_turn"),
                close(),
            ],
            "start usage:30/1 call:1 +{\"a\":1} end Stop usage:30/15 close",
        ),
        (
            "arguments stand there and come again",
            vec![
                start(),
                begin(0, filled),
                arguments(0, "{\"a\":2}"),
                stop(0),
                ends("tool_use"),
                close(),
            ],
            "start usage:30/1 call:1 +{\"a\":2} end ToolUse usage:30/15 close",
        ),
        (
            "text and signature stand where the block begins",
            vec![
                begin(
                    0,
                    json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
                ),
                stop(0),
                begin(1, json!({"type": "text", "text": "a"})),
                stop(1),
                ends("end_turn"),
                close(),
            ],
            "start thinking +hm sign:s end text +a end Stop usage:0/15 close",
        ),
        (
            "blocks do not end",
            vec![
                start(),
                text_begins(0),
                text(0, "a"),
                call_begins(1, "1"),
                ends("tool_use"),
                close(),
            ],
            "start usage:30/1 text +a end call:1 +{} end ToolUse usage:30/15 close",
        ),
        (
            "an index is used again",
            vec![
                start(),
                text_begins(0),
                text(0, "a"),
                call_begins(0, "1"),
                stop(0),
                ends("tool_use"),
            ],
            "start usage:30/1 text +a end call:1 +{} end ToolUse usage:30/15 close",
        ),
        (
            "a block does not begin",
            vec![text(0, "a"), stop(0), ends("end_turn")],
            "start text +a end Stop usage:0/15 close",
        ),
        (
            "calls are interleaved",
            vec![
                start(),
                call_begins(0, "1"),
                call_begins(1, "2"),
                arguments(1, "{\"b\""),
                arguments(0, "{\"a\""),
                arguments(1, ":2}"),
                stop(1),
                arguments(0, ":1}"),
                stop(0),
                ends("tool_use"),
                close(),
            ],
            "start usage:30/1 call:1 +{\"a\" +:1} end call:2 +{\"b\" +:2} end ToolUse usage:30/15 close",
        ),
        (
            "the end has no reason",
            vec![start(), text_begins(0), text(0, "a"), stop(0), close()],
            "start usage:30/1 text +a end Stop close",
        ),
        (
            "there is no mark of the end",
            vec![start(), ends("max_tokens")],
            "start usage:30/1 Length usage:30/15 close",
        ),
        (
            "a reason comes twice, and more after it",
            vec![
                start(),
                ends("max_tokens"),
                ends("end_turn"),
                text_begins(0),
                text(0, "a"),
                close(),
                close(),
            ],
            "start usage:30/1 Length usage:30/15 usage:30/15 close",
        ),
        (
            "usage comes without a reason",
            vec![
                start(),
                json!({"type": "message_delta", "delta": {"stop_reason": null}, "usage": {"output_tokens": 3}}),
                ends("end_turn"),
                close(),
            ],
            "start usage:30/1 usage:30/3 Stop usage:30/15 close",
        ),
        (
            "there are events and blocks of tomorrow",
            vec![
                start(),
                json!({"type": "weather"}),
                begin(
                    0,
                    json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
                ),
                arguments(0, "{\"query\":1}"),
                stop(0),
                text_begins(1),
                text(1, "a"),
                stop(1),
                ends("end_turn"),
                close(),
            ],
            "start usage:30/1 text +a end Stop usage:30/15 close",
        ),
    ] {
        assert_eq!(line(&decoded(&events)), expected, "{why}");
    }
}

#[test]
fn a_stream_that_breaks_off_has_no_end() {
    for (events, expected) in [
        (vec![], ""),
        (vec![start()], "start usage:30/1"),
        (
            vec![start(), text_begins(0), text(0, "a")],
            "start usage:30/1 text +a",
        ),
        (
            vec![
                start(),
                call_begins(0, "1"),
                call_begins(1, "2"),
                arguments(1, "{"),
            ],
            "start usage:30/1 call:1 +{} end call:2 +{",
        ),
    ] {
        let events = decoded(&events);
        assert_eq!(line(&events), expected);
        assert!(collected(events).is_err());
    }
}

#[test]
fn an_error_ends_the_stream() {
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let events = decoded(&[start(), overloaded, text_begins(0), close()]);
    assert_eq!(line(&events), "start usage:30/1 failed:Overloaded");

    let limited =
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}});
    let Err(failure) = collected(decoded(&[limited])) else {
        panic!("an error is no answer");
    };
    assert_eq!(failure.kind, FailureKind::RateLimited);

    let foreign = json!({"error": {"message": "broken", "code": 500}});
    assert_eq!(line(&decoded(&[foreign])), "failed:broken");
}

#[test]
fn what_is_no_json_ends_the_stream() {
    let events = decoded_bytes(&[b"{\"type\":", b"{}"]);
    assert_eq!(
        line(&events),
        "failed:upstream's stream holds an event that is not valid JSON"
    );
}

#[test]
fn another_dialects_mark_of_the_end_is_one() {
    let start = start().to_string();
    let ends = ends("end_turn").to_string();
    let events = decoded_bytes(&[start.as_bytes(), ends.as_bytes(), b" [DONE]"]);
    assert_eq!(line(&events), "start usage:30/1 Stop usage:30/15 close");
}
