//! Conversations that one dialect allows and another does not.

use super::*;
use crate::chat::FailureKind;

/// The messages that an Anthropic provider gets for those of a chat client.
fn messages(said: Value) -> (Value, Value) {
    let body = json!({ "model": "m", "messages": said, "max_tokens": 9 });
    let sent = sent(Protocol::OpenAi, &body, Protocol::Anthropic);
    (sent["messages"].clone(), sent["system"].clone())
}

fn call(id: &str, name: &str) -> Value {
    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{\"a\":1.0}" } })
}

#[test]
fn results_follow_their_calls_in_order_and_whatever_is_missing_is_filled_in() {
    let (messages, _) = messages(json!([
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": null, "tool_calls": [call("b", "f"), call("a", "g"), call("c", "h")] },
        { "role": "tool", "tool_call_id": "a", "content": "of a" },
        { "role": "user", "content": "and?" },
        { "role": "tool", "tool_call_id": "b", "content": "of b" },
        { "role": "tool", "tool_call_id": "nobody", "content": "lost" },
    ]));
    let result =
        |id: &str, text: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": text });
    let use_of = |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": { "a": serde_json::from_str::<Value>("1.0").unwrap() } });
    let mut missing = result("c", "(no result)");
    missing["is_error"] = true.into();
    let expected = json!([
        { "role": "user", "content": [{ "type": "text", "text": "go" }] },
        { "role": "assistant", "content": [use_of("b", "f"), use_of("a", "g"), use_of("c", "h")] },
        { "role": "user", "content": [
            result("b", "of b"), result("a", "of a"), missing,
            { "type": "text", "text": "and?" },
            { "type": "text", "text": "Result: lost" },
        ] },
    ]);
    assert_eq!(messages, expected);
}

#[test]
fn nothing_stands_between_calls_and_their_results() {
    let body = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "f", "input": {} }] },
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": "one" }] },
    ] });
    let sent = sent(Protocol::Anthropic, &body, Protocol::OpenAi);
    let messages = sent["messages"].as_array().unwrap();
    let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "system"]);
}

#[test]
fn a_result_with_an_id_is_no_other_calls() {
    let (messages, _) = messages(json!([
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": null, "tool_calls": [call("", "f"), call("b", "f")] },
        { "role": "tool", "tool_call_id": "b", "content": "of b" },
        { "role": "tool", "content": "of the other" },
    ]));
    let results = &messages[2]["content"];
    assert_eq!(results[0]["content"], "of the other");
    assert_eq!(results[1]["content"], "of b");
}

#[test]
fn turns_of_one_side_are_one_and_the_user_begins() {
    let (messages, system) = messages(json!([
        { "role": "system", "content": "one" },
        { "role": "assistant", "content": "a" },
        { "role": "assistant", "content": "b" },
        { "role": "user", "content": "" },
        { "role": "system", "content": "two" },
        { "role": "user", "content": "c" },
    ]));
    let text = |text: &str| json!({ "type": "text", "text": text });
    let expected = json!([
        { "role": "user", "content": [text(".")] },
        { "role": "assistant", "content": [text("a"), text("b")] },
        { "role": "user", "content": [text("c")] },
    ]);
    assert_eq!(messages, expected);
    assert_eq!(system, json!([text("one"), text("two")]));
}

#[test]
fn ids_are_of_letters_that_all_take_and_no_two_are_alike() {
    let (messages, _) = messages(json!([
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": null, "tool_calls": [call("a:1", "f"), call("a.1", "f"), call("", "f")] },
        { "role": "tool", "tool_call_id": "a.1", "content": "second" },
        { "role": "tool", "tool_call_id": "a:1", "content": "first" },
        { "role": "tool", "content": "third" },
    ]));
    let ids = |at: usize, name: &str| -> Vec<Value> {
        let blocks = messages[at]["content"].as_array().unwrap();
        blocks.iter().map(|block| block[name].clone()).collect()
    };
    assert_eq!(ids(1, "id"), ["a_1", "a_1_1", "call"]);
    assert_eq!(ids(2, "tool_use_id"), ["a_1", "a_1_1", "call"]);
    assert_eq!(ids(2, "content"), ["first", "second", "third"]);
}

#[test]
fn gemini_s_calls_without_ids_are_paired_by_name_and_order() {
    let body = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "go" }] },
        { "role": "model", "parts": [
            { "functionCall": { "name": "f", "args": { "n": 1 } } },
            { "functionCall": { "name": "g" } },
            { "functionCall": { "name": "f", "args": { "n": 2 } } },
        ] },
        { "role": "user", "parts": [
            { "functionResponse": { "name": "f", "response": { "output": "one" } } },
            { "functionResponse": { "name": "f", "response": { "output": "two" } } },
            { "functionResponse": { "name": "g", "response": { "output": "three" } } },
        ] },
    ] });
    let sent = sent(Protocol::Gemini, &body, Protocol::OpenAi);
    let messages = sent["messages"].as_array().unwrap();
    let calls = messages[1]["tool_calls"].as_array().unwrap();
    let results = &messages[2..];
    assert_eq!(results.len(), 3);
    for (at, text) in ["one", "three", "two"].into_iter().enumerate() {
        assert_eq!(results[at]["content"], text);
        assert_eq!(results[at]["tool_call_id"], calls[at]["id"]);
    }
}

#[test]
fn what_others_have_signed_or_keep_is_not_sent() {
    let thought =
        |signature: &str| json!({ "type": "thinking", "thinking": "hm", "signature": signature });
    let body = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": [thought("EqQB"), thought("oa:gAAA"), { "type": "text", "text": "a" }] },
        { "role": "user", "content": "on" },
    ] });
    for (provider, kept) in [
        (Protocol::OpenAi, None),
        (Protocol::Responses, Some("gAAA")),
        (Protocol::Gemini, None),
    ] {
        let sent = sent(Protocol::Anthropic, &body, provider).to_string();
        assert!(!sent.contains("EqQB"), "{sent}");
        assert_eq!(sent.contains("gAAA"), kept.is_some(), "{sent}");
    }
    let file = json!({ "model": "m", "input": [{ "role": "user", "content": [
        { "type": "input_file", "file_id": "file-1" },
    ] }] });
    let call = opened(Protocol::Responses, &file, false);
    let dialect = Dialect::plain(Protocol::Anthropic);
    let failure = Bridge::new(&call, &dialect, || reply(&call)).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Inexpressible);
    assert_eq!(failure.param.as_deref(), Some("file_id"));
}

#[test]
fn several_answers_are_refused_but_by_a_provider_of_the_same_dialect() {
    let body = json!({ "model": "m", "messages": [], "n": 2 });
    let call = opened(Protocol::OpenAi, &body, false);
    for provider in Protocol::ALL {
        let dialect = Dialect::plain(provider);
        let refused = Bridge::new(&call, &dialect, || reply(&call)).err();
        let param = refused.and_then(|failure| failure.param);
        assert_eq!(
            param.as_deref(),
            (provider != Protocol::OpenAi).then_some("n")
        );
    }
}
