//! Requests in the shape that agents and SDKs give them.

use serde_json::json;

use super::{call, model, plain, sent, signed, thinking, user};
use crate::chat::{Effort, Format, Part, ToolResult, Vendor};
use crate::protocol::gemini::decode_request;

#[test]
fn gemini_cli_asks_with_tools_and_thinking() {
    let request = decode_request(json!({
        "contents": [
            {"role": "user", "parts": [{"text": "This is the Gemini CLI."}, {"text": "List the files."}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "list_directory_1", "name": "list_directory", "args": {"dir_path": "."}},
                 "thoughtSignature": "AAEC"},
                {"functionCall": {"id": "glob_1", "name": "glob", "args": {"pattern": "**"}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "list_directory_1", "name": "list_directory", "response": {"output": "a"}}},
                {"functionResponse": {"id": "glob_1", "name": "glob", "response": {"error": "no"}}},
            ]},
        ],
        "systemInstruction": {"role": "user", "parts": [{"text": "You are an agent."}]},
        "tools": [{"functionDeclarations": [{
            "name": "list_directory", "description": "Lists files.",
            "parametersJsonSchema": {"type": "object", "properties": {"dir_path": {"type": "string"}}, "required": ["dir_path"]},
        }]}],
        "generationConfig": {
            "temperature": 1, "topP": 0.95, "topK": 64,
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 8192},
        },
    }))
    .unwrap();
    assert_eq!(request.system, ["You are an agent."]);
    assert_eq!(request.dropped, [""; 0]);
    assert_eq!(
        (request.effort, request.include_thoughts),
        (Some(Effort::Medium), true)
    );
    let result = |id: &str, name: &str, text: &str, is_error| {
        Part::Result(ToolResult {
            id: id.into(),
            name: Some(name.into()),
            content: vec![Part::text(text)],
            is_error,
            custom: false,
        })
    };
    let expected = [
        user(vec![
            Part::text("This is the Gemini CLI."),
            Part::text("List the files."),
        ]),
        model(vec![
            call(
                "list_directory_1",
                "list_directory",
                r#"{"dir_path":"."}"#,
                Some(signed(Vendor::Google, "AAEC")),
            ),
            call("glob_1", "glob", r#"{"pattern":"**"}"#, None),
        ]),
        user(vec![
            result("list_directory_1", "list_directory", "a", false),
            result("glob_1", "glob", "no", true),
        ]),
    ];
    assert_eq!(request.turns, expected);
}

#[test]
fn gemini_cli_asks_who_speaks_next() {
    let schema = json!({"type": "object", "properties": {"next_speaker": {"type": "string", "enum": ["user", "model"]}}});
    let request = decode_request(json!({
        "contents": [{"role": "user", "parts": [{"text": "Who speaks next?"}]}],
        "generationConfig": {
            "temperature": 0, "topP": 1, "responseJsonSchema": schema, "responseMimeType": "application/json",
        },
    }))
    .unwrap();
    assert!(matches!(request.format, Format::JsonSchema { schema: asked, .. } if asked == schema));
}

#[test]
fn python_sends_bytes_in_the_alphabet_for_urls() {
    let request = decode_request(json!({"contents": [
        {"role": "user", "parts": [{"inlineData": {"data": "_9j_", "mimeType": "image/jpeg"}}]},
        {"role": "model", "parts": [{"text": "a cat", "thoughtSignature": "-_-_"}]},
        {"role": "user", "parts": [{"text": "sure?"}]},
    ]}))
    .unwrap();
    let body = sent(&request, &plain());
    assert_eq!(
        body["contents"][0]["parts"][0]["inlineData"]["data"],
        "/9j/"
    );
    assert_eq!(
        body["contents"][1]["parts"],
        json!([{"text": "a cat", "thoughtSignature": "+/+/"}])
    );
}

#[test]
fn anthropic_finds_its_thoughts_again_through_a_client_of_google() {
    // What an answer of Anthropic's was turned into, and the client throws the thoughts away.
    let request = decode_request(json!({"contents": [{"role": "model", "parts": [
        {"functionCall": {"id": "toolu_1", "name": "f", "args": {}}, "thoughtSignature": "YW46RXFRQg=="},
    ]}]}))
    .unwrap();
    let expected = [
        thinking("", Some(signed(Vendor::Anthropic, "EqQB"))),
        call("toolu_1", "f", "{}", None),
    ];
    assert_eq!(request.turns[0].parts, expected);
}
