//! Tools that one dialect has and another does not, there and back.

use std::collections::VecDeque;

use super::*;
use crate::chat::FailureKind;

/// Codex's tools: one of a group, one that takes text.
fn asked() -> Value {
    json!({ "model": "m", "stream": true, "input": "go", "tools": [
        { "type": "namespace", "name": "files", "tools": [
            { "type": "function", "name": "read", "parameters": { "type": "object" } },
        ] },
        { "type": "custom", "name": "apply_patch", "description": "Patches.",
          "format": { "type": "grammar", "syntax": "lark", "definition": "start: /x/" } },
        { "type": "function", "name": "näme with blanks", "parameters": { "type": "object" } },
        { "type": "web_search" },
    ] })
}

#[test]
fn groups_and_tools_that_take_text_are_functions_to_others() {
    let sent = sent(Protocol::Responses, &asked(), Protocol::OpenAi);
    let tools = sent["tools"].as_array().unwrap();
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["files__read", "apply_patch", "n_me_with_blanks"]);
    let patch = &tools[1]["function"];
    assert_eq!(patch["parameters"]["required"], json!(["input"]));
    let told = patch["description"].as_str().unwrap();
    assert!(
        told.starts_with("Patches.") && told.ends_with("start: /x/"),
        "{told}"
    );
}

#[test]
fn calls_come_back_by_the_client_s_own_names() {
    let call = opened(Protocol::Responses, &asked(), true);
    let dialect = Dialect::plain(Protocol::OpenAi);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let piece = |index: usize, name: &str, arguments: &str| {
        let call = json!({ "index": index, "id": format!("c{index}"),
            "function": { "name": name, "arguments": arguments } });
        let chunk = json!({ "choices": [{ "delta": { "tool_calls": [call] } }] });
        format!("data: {chunk}\n\n")
    };
    let stream = [
        piece(0, "files__read", "{\"p\":1}"),
        piece(1, "apply_patch", "{\"input\":\"*** x\\n\"}"),
        piece(2, "n_me_with_blanks", "{}"),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let mut relay = bridge.relay(true);
    let mut out = VecDeque::new();
    relay.push(stream.into(), &mut out);
    let text: Vec<u8> = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
    let text = String::from_utf8(text).unwrap();
    let last = text.rsplit("data: ").next().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    let output = last["response"]["output"].as_array().unwrap();
    let said = |at: usize, names: [&str; 4]| names.map(|name| output[at][name].clone());
    assert_eq!(
        said(0, ["type", "namespace", "name", "arguments"]),
        ["function_call", "files", "read", "{\"p\":1}"]
    );
    assert_eq!(
        said(1, ["type", "name", "input", "call_id"]),
        ["custom_tool_call", "apply_patch", "*** x\n", "c1"]
    );
    assert_eq!(output[2]["name"], "näme with blanks");
}

#[test]
fn names_with_other_letters_reach_a_responses_provider_and_come_back() {
    let body = json!({ "contents": [{ "parts": [{ "text": "go" }] }],
        "tools": [{ "functionDeclarations": [{ "name": "a.b:c" }] }] });
    let call = opened(Protocol::Gemini, &body, false);
    let dialect = Dialect::plain(Protocol::Responses);
    let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
    let shape = Shape {
        stream: false,
        ask_usage: false,
    };
    let sent = bridge.errand("upstream", shape).unwrap().body.concat();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!(sent["tools"][0]["name"], "a_b_c");
    let answer = json!({ "status": "completed", "output": [
        { "type": "function_call", "call_id": "1", "name": "a_b_c", "arguments": "{}" },
    ] });
    let whole = bridge.whole(None, answer.to_string().into()).unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    let part = &whole["candidates"][0]["content"]["parts"][0];
    assert_eq!(part["functionCall"]["name"], "a.b:c");
}

#[test]
fn calls_in_the_history_go_by_the_names_that_the_provider_knows() {
    let mut body = asked();
    body["input"] = json!([
        { "role": "user", "content": "go" },
        { "type": "function_call", "call_id": "1", "namespace": "files", "name": "read", "arguments": "{}" },
        { "type": "custom_tool_call", "call_id": "2", "name": "apply_patch", "input": "x" },
        { "type": "function_call_output", "call_id": "1", "output": "one" },
        { "type": "custom_tool_call_output", "call_id": "2", "output": "two" },
    ]);
    let sent = sent(Protocol::Responses, &body, Protocol::Anthropic);
    let blocks = &sent["messages"][1]["content"];
    assert_eq!(blocks[0]["name"], "files__read");
    assert_eq!(blocks[1]["name"], "apply_patch");
    assert_eq!(blocks[1]["input"], json!({ "input": "x" }));
}

#[test]
fn a_tool_that_is_not_offered_cannot_be_chosen() {
    let body = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "go" }],
        "tools": [{ "name": "f", "input_schema": { "type": "object" } }],
        "tool_choice": { "type": "tool", "name": "g" } });
    let call = opened(Protocol::Anthropic, &body, false);
    let dialect = Dialect::plain(Protocol::OpenAi);
    let failure = Bridge::new(&call, &dialect, || reply(&call)).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Inexpressible);
    assert_eq!(failure.param.as_deref(), Some("tool_choice"));
}

#[test]
fn gemini_s_signature_of_a_text_is_not_taken_for_a_call_s() {
    let body = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "user", "content": "go" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "", "signature": "ge:QUJD" }, { "type": "text", "text": "a" },
        ] },
        { "role": "user", "content": "on" },
    ] });
    let sent = sent(Protocol::Anthropic, &body, Protocol::Gemini);
    let part = &sent["contents"][1]["parts"][0];
    assert_eq!(
        *part,
        json!({ "text": "a", "thoughtSignature": "QUJD" }),
        "{sent}"
    );
}

#[test]
fn gemini_s_signature_of_a_call_returns_through_every_client() {
    let answer = json!({ "candidates": [{ "content": { "parts": [
        { "functionCall": { "name": "f", "args": {} }, "thoughtSignature": "QUJD" },
    ] }, "finishReason": "STOP" }] });
    let dialect = Dialect::plain(Protocol::Gemini);
    for client in [Protocol::OpenAi, Protocol::Responses, Protocol::Anthropic] {
        let call = hello(client, false);
        let bridge = Bridge::new(&call, &dialect, || reply(&call)).unwrap();
        let whole = bridge.whole(None, answer.to_string().into()).unwrap();
        let whole: Value = serde_json::from_slice(&whole.body).unwrap();
        let user = json!({ "role": "user", "content": "go" });
        let body = match client {
            Protocol::OpenAi => {
                json!({ "model": "m", "messages": [user, whole["choices"][0]["message"]] })
            }
            Protocol::Responses => {
                let mut input = vec![user];
                input.extend(whole["output"].as_array().unwrap().clone());
                json!({ "model": "m", "input": input })
            }
            _ => json!({ "model": "m", "max_tokens": 9, "messages": [
                user, { "role": "assistant", "content": whole["content"] },
            ] }),
        };
        let sent = sent(client, &body, Protocol::Gemini);
        let part = &sent["contents"][1]["parts"][0];
        assert_eq!(part["functionCall"]["name"], "f", "{client:?}: {sent}");
        assert_eq!(part["thoughtSignature"], "QUJD", "{client:?}: {sent}");
    }
}
