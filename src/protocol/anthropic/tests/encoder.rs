//! Streams for clients.

use super::*;

fn head() -> Value {
    json!({"type": "message_start", "message": {
        "id": "msg_a1", "type": "message", "role": "assistant", "model": "asked-for", "content": [],
        "stop_reason": null, "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                  "output_tokens": 0}}})
}

fn begin(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn text_block() -> Value {
    json!({"type": "text", "text": ""})
}

fn thinking_block() -> Value {
    json!({"type": "thinking", "thinking": "", "signature": ""})
}

fn text(index: u64, text: &str) -> Value {
    delta(index, json!({"type": "text_delta", "text": text}))
}

fn tail(reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta",
               "delta": {"stop_reason": reason, "stop_sequence": null, "stop_details": null},
               "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                         "output_tokens": 0}}),
        json!({"type": "message_stop"}),
    ]
}

fn call_of(id: &str) -> Event {
    Event::Begin(Block::Call {
        id: id.into(),
        name: "f".into(),
        namespace: None,
        custom: false,
    })
}

fn more(text: &str) -> Event {
    Event::Delta(text.into())
}

fn ended(reason: FinishReason) -> [Event; 2] {
    [Event::Finish(reason.into()), Event::Close]
}

/// The blocks of a stream: what is between its head and its tail.
fn blocks(events: Vec<Event>) -> Vec<Value> {
    let mut all = vec![Event::Start];
    all.extend(events);
    all.extend(ended(FinishReason::Length));
    let mut frames = frames(&encoded(all));
    assert_eq!(frames.remove(0), head());
    assert_eq!(frames.split_off(frames.len() - 2), tail("max_tokens"));
    frames
}

#[test]
fn a_stream_follows_the_vendors_grammar() {
    let usage = Usage {
        input: 18,
        output: 20,
        total: 38,
        cached: 5,
        cache_written: 3,
        reasoning: 7,
        estimated: false,
    };
    let stream = encoded(vec![
        Event::Start,
        Event::Begin(Block::Thinking),
        more("hm"),
        Event::Signature(signed(Vendor::Anthropic, "EqQB")),
        Event::End,
        Event::Begin(Block::Text),
        more("Hel"),
        more("lo"),
        Event::End,
        call_of("1"),
        more("{\"a\":"),
        more("1}"),
        Event::End,
        call_of("2"),
        Event::End,
        Event::Finish(FinishReason::Stop.into()),
        Event::Usage(usage),
        Event::Close,
    ]);
    let used = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let arguments = |index, json: &str| {
        delta(
            index,
            json!({"type": "input_json_delta", "partial_json": json}),
        )
    };
    assert_eq!(
        frames(&stream),
        [
            head(),
            begin(0, thinking_block()),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "EqQB"})),
            stop(0),
            begin(1, text_block()),
            text(1, "Hel"),
            text(1, "lo"),
            stop(1),
            begin(2, used("1")),
            arguments(2, "{\"a\":"),
            arguments(2, "1}"),
            stop(2),
            begin(3, used("2")),
            stop(3),
            json!({"type": "message_delta",
                   "delta": {"stop_reason": "tool_use", "stop_sequence": null, "stop_details": null},
                   "usage": {"input_tokens": 10, "cache_creation_input_tokens": 3,
                             "cache_read_input_tokens": 5, "output_tokens": 20,
                             "output_tokens_details": {"thinking_tokens": 7}}}),
            json!({"type": "message_stop"}),
        ]
    );
    assert!(stream.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

#[test]
fn the_head_is_written_at_once_and_the_tail_at_the_end() {
    let mut encoder = StreamEncoder::new(reply());
    let mut out = Vec::new();
    encoder.encode(Event::Start, &mut out);
    assert_eq!(frames(&out), [head()]);
    out.clear();
    encoder.encode(Event::Usage(Usage::default()), &mut out);
    encoder.encode(Event::Finish(FinishReason::Stop.into()), &mut out);
    assert!(out.is_empty());
    encoder.encode(Event::Close, &mut out);
    assert_eq!(frames(&out), tail("end_turn"));
}

#[test]
fn endings_are_told_in_full() {
    let last = |finish: Finish| {
        let stream = encoded(vec![Event::Start, Event::Finish(finish), Event::Close]);
        frames(&stream)[1]["delta"].clone()
    };
    let stopped = last(Finish {
        reason: FinishReason::StopSequence,
        stop_sequence: Some("END".into()),
    });
    assert_eq!(stopped["stop_reason"], "stop_sequence");
    assert_eq!(stopped["stop_sequence"], "END");
    let refused = last(FinishReason::Filter.into());
    assert_eq!(refused["stop_reason"], "refusal");
    assert_eq!(refused["stop_details"]["type"], "refusal");
}

#[test]
fn what_says_nothing_is_not_mentioned() {
    let empty = vec![
        Event::Begin(Block::Text),
        more(""),
        more("\n"),
        Event::End,
        Event::Begin(Block::Thinking),
        Event::End,
        Event::Begin(Block::Refusal),
        more("no"),
        Event::End,
    ];
    assert_eq!(
        blocks(empty),
        [begin(0, text_block()), text(0, "no"), stop(0)]
    );
}

#[test]
fn blanks_before_a_text_are_part_of_it() {
    let indented = vec![
        Event::Begin(Block::Text),
        more("\n"),
        more("  "),
        more("a"),
        more(" "),
        Event::End,
    ];
    assert_eq!(
        blocks(indented),
        [
            begin(0, text_block()),
            text(0, "\n  a"),
            text(0, " "),
            stop(0)
        ]
    );
}

#[test]
fn other_vendors_signatures_come_in_thinking_blocks() {
    let google = || Event::Signature(signed(Vendor::Google, "CiQB"));
    let carried = |index, signature: &str| {
        [
            begin(index, thinking_block()),
            delta(
                index,
                json!({"type": "signature_delta", "signature": signature}),
            ),
            stop(index),
        ]
    };
    let called = |index| {
        [
            begin(
                index,
                json!({"type": "tool_use", "id": "1", "name": "f", "input": {}}),
            ),
            delta(
                index,
                json!({"type": "input_json_delta", "partial_json": "{}"}),
            ),
            stop(index),
        ]
    };
    // Of thoughts that are not shown.
    let hidden = vec![Event::Begin(Block::Thinking), google(), Event::End];
    assert_eq!(blocks(hidden), carried(0, "ge:CiQB"));
    // Of thoughts that cannot be shown.
    let redacted = Block::Redacted(signed(Vendor::OpenAi, "gAAA"));
    assert_eq!(
        blocks(vec![Event::Begin(redacted), Event::End]),
        carried(0, "oa:redacted:gAAA")
    );
    let own = Block::Redacted(signed(Vendor::Anthropic, "EmwK"));
    let block = json!({"type": "redacted_thinking", "data": "EmwK"});
    assert_eq!(
        blocks(vec![Event::Begin(own), Event::End]),
        [begin(0, block), stop(0)]
    );
    // Of a call: before it where that is still possible.
    let early = vec![call_of("1"), google(), more("{}"), Event::End];
    assert_eq!(
        blocks(early),
        [carried(0, "ge:call:1:CiQB"), called(1)].concat()
    );
    let late = vec![call_of("1"), more("{}"), google(), Event::End];
    assert_eq!(
        blocks(late),
        [called(0), carried(1, "ge:call:1:CiQB")].concat()
    );
}

#[test]
fn events_out_of_order_still_make_a_legal_stream() {
    let lone = encoded(vec![more("a"), Event::Close]);
    let [end, close] = tail("end_turn");
    assert_eq!(
        frames(&lone),
        [
            head(),
            begin(0, text_block()),
            text(0, "a"),
            stop(0),
            end,
            close
        ]
    );
    let unended = vec![
        Event::Start,
        Event::End,
        Event::Begin(Block::Text),
        more("a"),
        Event::Begin(Block::Text),
        more("b"),
    ];
    assert_eq!(
        blocks(unended),
        [
            begin(0, text_block()),
            text(0, "a"),
            stop(0),
            begin(1, text_block()),
            text(1, "b"),
            stop(1)
        ]
    );
    let mut twice = vec![Event::Start];
    twice.extend(ended(FinishReason::Stop));
    let once = encoded(twice.clone());
    twice.extend(ended(FinishReason::Stop));
    twice.push(Event::Failed(Failure::upstream("late")));
    assert_eq!(encoded(twice), once);
}

#[test]
fn a_failure_is_the_last_word() {
    let failure = Failure::new(FailureKind::Unavailable, Side::Upstream, "overloaded");
    let stream = encoded(vec![
        Event::Start,
        Event::Begin(Block::Text),
        more("a"),
        Event::Failed(failure),
        Event::End,
        Event::Close,
    ]);
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}});
    assert_eq!(
        frames(&stream),
        [head(), begin(0, text_block()), text(0, "a"), error]
    );
}

#[test]
fn no_line_ends_within_a_line() {
    let stream = encoded(vec![
        Event::Start,
        Event::Begin(Block::Text),
        more("a\u{2028}b\u{85}c\nd"),
        Event::End,
    ]);
    let text = String::from_utf8(stream.clone()).unwrap();
    assert!(!text.contains('\u{2028}') && !text.contains('\u{85}'));
    assert_eq!(
        frames(&stream)[2],
        super::encoder::text(0, "a\u{2028}b\u{85}c\nd")
    );
}
