//! What clients ask for.

use serde_json::{Value, json};

use crate::chat::{
    Effort, Media, MediaKind, Part, Request, Role, Source, ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::responses::decode_request;
use crate::protocol::responses::seal::{self, Sealed};

use super::{call, custom, signed, thinking};

fn read(body: Value) -> Request {
    decode_request(body).unwrap()
}

fn turns(input: &Value) -> Vec<Turn> {
    read(json!({"input": input})).turns
}

fn user(parts: Vec<Part>) -> Vec<Turn> {
    vec![Turn::new(Role::User, parts)]
}

#[test]
fn a_string_is_what_the_user_says() {
    let request = read(json!({"model": "m", "input": "hi"}));
    assert_eq!(request.turns, user(vec![Part::text("hi")]));
    assert_eq!(request.choices, 1);
    assert_eq!(request.dropped, Vec::<String>::new());
}

#[test]
fn items_become_parts_of_turns() {
    let said = |role, part| vec![Turn::new(role, vec![part])];
    let media = |kind, source, mime: Option<&str>| Media {
        kind,
        source,
        mime: mime.map(str::to_owned),
        name: None,
        detail: None,
    };
    for (item, expected) in [
        (
            json!({"role": "user", "content": "hi"}),
            user(vec![Part::text("hi")]),
        ),
        (
            json!({"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "phase": "final",
                "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []},
                            {"type": "refusal", "refusal": "no"}]}),
            vec![Turn::new(
                Role::Assistant,
                vec![Part::text("hi"), Part::Refusal("no".into())],
            )],
        ),
        (
            json!({"role": "user", "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "data:image/jpg;base64,AAAA", "detail": "auto"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                {"type": "input_image", "file_id": "file-1"}]}),
            user(vec![
                Part::text("see"),
                Part::Media(media(
                    MediaKind::Image,
                    Source::Base64("AAAA".into()),
                    Some("image/jpeg"),
                )),
                Part::Media(Media {
                    detail: Some("low".into()),
                    ..media(
                        MediaKind::Image,
                        Source::Url("https://example.com/a.png".into()),
                        Some("image/png"),
                    )
                }),
                Part::Media(media(
                    MediaKind::Image,
                    Source::File(Vendor::OpenAi, "file-1".into()),
                    None,
                )),
            ]),
        ),
        (
            json!({"role": "user", "content": [
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                {"type": "input_file", "file_id": "file-1"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}]}),
            user(vec![
                Part::Media(Media {
                    name: Some("a.pdf".into()),
                    ..media(
                        MediaKind::Document,
                        Source::Base64("AAAA".into()),
                        Some("application/pdf"),
                    )
                }),
                Part::Media(Media {
                    name: Some("a.pdf".into()),
                    ..media(
                        MediaKind::Document,
                        Source::Base64("AAAA".into()),
                        Some("application/pdf"),
                    )
                }),
                Part::Media(media(
                    MediaKind::Document,
                    Source::Url("https://example.com/a.pdf".into()),
                    Some("application/pdf"),
                )),
                Part::Media(media(
                    MediaKind::Document,
                    Source::File(Vendor::OpenAi, "file-1".into()),
                    None,
                )),
                Part::Media(media(
                    MediaKind::Audio,
                    Source::Base64("AAAA".into()),
                    Some("audio/mpeg"),
                )),
            ]),
        ),
        (
            json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\": 1.0}"}),
            said(Role::Assistant, call("call_1", "f", "{\"a\": 1.0}")),
        ),
        (
            json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": {"a": 1}}),
            said(Role::Assistant, call("call_1", "f", "{\"a\":1}")),
        ),
        (
            json!({"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "*** Begin"}),
            said(
                Role::Assistant,
                custom("call_1", "apply_patch", "*** Begin"),
            ),
        ),
        (
            json!({"type": "function_call_output", "call_id": "call_1", "output": "ok", "status": "completed"}),
            said(
                Role::User,
                Part::Result(ToolResult {
                    id: "call_1".into(),
                    content: vec![Part::text("ok")],
                    ..ToolResult::default()
                }),
            ),
        ),
        (
            json!({"type": "custom_tool_call_output", "call_id": "call_1", "output": [
                {"type": "input_text", "text": "ok"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}),
            said(
                Role::User,
                Part::Result(ToolResult {
                    id: "call_1".into(),
                    content: vec![
                        Part::text("ok"),
                        Part::Media(media(
                            MediaKind::Image,
                            Source::Base64("AAAA".into()),
                            Some("image/png"),
                        )),
                    ],
                    custom: true,
                    ..ToolResult::default()
                }),
            ),
        ),
        (
            json!({"type": "reasoning", "id": "rs_1", "summary": [
                {"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
                "content": null, "encrypted_content": "gAAA+/="}),
            said(Role::Assistant, thinking("a\n\nb", Some(Vendor::OpenAi))),
        ),
        (
            json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]}),
            said(Role::Assistant, thinking("a", None)),
        ),
        (
            json!({"type": "reasoning", "summary": [], "encrypted_content": ""}),
            Vec::new(),
        ),
        (
            json!({"type": "reasoning", "id": "rs_1", "summary": []}),
            Vec::new(),
        ),
        (
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}],
                "encrypted_content": "an:gAAA+/="}),
            said(Role::Assistant, thinking("a", Some(Vendor::Anthropic))),
        ),
        (
            json!({"type": "reasoning", "summary": [], "encrypted_content": "an:redacted:gAAA+/="}),
            said(Role::Assistant, Part::Redacted(signed(Vendor::Anthropic))),
        ),
    ] {
        assert_eq!(turns(&json!([item])), expected, "{item}");
    }
}

#[test]
fn a_namespace_is_kept_with_the_call() {
    let input = json!([{"type": "function_call", "call_id": "c", "name": "f", "namespace": "mcp__x", "arguments": "{}"}]);
    let [Part::Call(call)] = &turns(&input)[0].parts[..] else {
        panic!("no call");
    };
    assert_eq!(call.namespace.as_deref(), Some("mcp__x"));
}

#[test]
fn items_of_one_side_are_one_turn() {
    let input = json!([
        {"role": "user", "content": "go"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA+/="},
        {"role": "assistant", "content": "ok"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "2", "output": "b"},
        {"type": "function_call_output", "call_id": "1", "output": "a"},
        {"role": "user", "content": "and?"},
    ]);
    let shape: Vec<_> = turns(&input)
        .iter()
        .map(|turn| (turn.role, turn.parts.len()))
        .collect();
    assert_eq!(
        shape,
        [(Role::User, 1), (Role::Assistant, 4), (Role::User, 3)]
    );
}

#[test]
fn instructions_come_first_and_later_ones_keep_their_place() {
    let request = read(json!({"instructions": "a", "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"role": "system", "content": "d"},
        {"role": "user", "content": "hi"},
        {"role": "developer", "content": "e"},
    ]}));
    assert_eq!(request.system, ["a", "b", "c", "d"]);
    assert_eq!(
        request.turns[1],
        Turn::new(Role::System, vec![Part::text("e")])
    );
}

#[test]
fn the_proof_of_a_call_returns_to_it() {
    let sealed = seal::close(&Sealed::Call("c:2".into(), signed(Vendor::Google)));
    let turns = turns(&json!([
        {"type": "function_call", "call_id": "c:1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c:2", "name": "f", "arguments": "{}"},
        {"type": "reasoning", "summary": [], "encrypted_content": sealed},
    ]));
    let signatures: Vec<_> = turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::Call(call) => call.signature.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(signatures, [None, Some(signed(Vendor::Google))]);
}

#[test]
fn what_the_vendor_s_tools_did_is_left_out_and_named() {
    let request = read(json!({"input": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "web_search_call", "id": "ws_2", "status": "completed"},
        {"type": "local_shell_call", "call_id": "call_9", "action": {}},
        {"type": "function_call_output", "call_id": "call_9", "output": "of the shell"},
        {"type": "computer_call_output", "call_id": "call_8", "output": {}},
        {"type": "compaction", "encrypted_content": "x"},
        {"type": "evil\nline"},
        {"role": "user", "content": "hi", "odd": 1},
        {"role": "user", "content": "ho", "odd": 1},
    ]}));
    assert_eq!(
        request.turns,
        user(vec![Part::text("hi"), Part::text("ho")])
    );
    assert_eq!(
        request.dropped,
        [
            "input[] web_search_call",
            "input[] local_shell_call",
            "input[] computer_call_output",
            "input[] compaction",
            "input[] ?",
            "input[].odd"
        ]
    );
}

#[test]
fn codex_is_understood() {
    let request = read(json!({
        "model": "gpt-5-codex",
        "input": [
            {"type": "message", "role": "developer", "content": [
                {"type": "input_text", "text": "You are Codex."}, {"type": "input_text", "text": "Sandbox: none."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context/>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "list files"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "look"}], "content": null,
                "encrypted_content": "gAAA+/="},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking."}],
                "phase": "commentary"},
            {"type": "function_call", "name": "exec_command", "arguments": "{\"cmd\":\"ls\"}", "call_id": "call_1"},
            {"type": "custom_tool_call", "status": "completed", "call_id": "call_2", "name": "apply_patch",
                "input": "*** Begin Patch"},
            {"type": "function_call", "name": "list", "namespace": "mcp__fs", "arguments": "{}", "call_id": "call_3"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done!"},
            {"type": "function_call_output", "call_id": "call_3", "output": [
                {"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
        ],
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs", "strict": false,
                "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}},
            {"type": "namespace", "name": "mcp__fs", "description": "Files", "tools": [
                {"type": "function", "name": "list", "description": "Lists", "strict": false, "parameters": {"type": "object"}}]},
            {"type": "web_search", "external_web_access": false},
        ],
        "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"summary": "auto", "effort": "medium"},
        "store": false, "stream": true, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k", "client_metadata": {"a": "b"}, "text": {"verbosity": "low"},
    }));
    assert_eq!(request.system, ["You are Codex.", "Sandbox: none."]);
    let shape: Vec<_> = request
        .turns
        .iter()
        .map(|turn| (turn.role, turn.parts.len()))
        .collect();
    assert_eq!(
        shape,
        [(Role::User, 2), (Role::Assistant, 5), (Role::User, 3)]
    );
    assert_eq!(request.tools.len(), 2);
    assert_eq!(request.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(request.effort, Some(Effort::Medium));
    assert!(request.stream && request.include_thoughts);
}
