//! What clients ask for.

use serde_json::{Value, json};

use crate::chat::{
    Effort, FailureKind, Format, Grammar, Media, MediaKind, Part, Request, Role, Source, Tool,
    ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::responses::decode_request;
use crate::protocol::responses::seal::{self, Sealed};

use super::{call, custom, signed, thinking};

fn with(members: &Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

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
fn parameters_are_understood() {
    let request = read(with(&json!({
        "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9, "parallel_tool_calls": false,
        "stream": true, "user": "u", "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["message.output_text.logprobs"], "top_logprobs": 3,
    })));
    assert_eq!(request.max_tokens, Some(100));
    assert_eq!(request.sampling.temperature, Some(0.5));
    assert_eq!(request.sampling.top_p, Some(0.9));
    assert_eq!(request.parallel_tools, Some(false));
    assert!(request.stream && request.include_thoughts);
    assert_eq!(request.user.as_deref(), Some("u"));
    assert_eq!(request.effort, Some(Effort::High));
    assert_eq!(request.logprobs, Some(3));
    assert_eq!(request.dropped, Vec::<String>::new());
}

#[test]
fn thoughts_are_shown_to_whom_asks_for_them() {
    for (members, expected) in [
        (json!({}), false),
        (json!({"reasoning": {"effort": "low"}}), false),
        (json!({"reasoning": {"summary": null}}), false),
        (json!({"reasoning": {"summary": "none"}}), false),
        (json!({"reasoning": {"summary": "detailed"}}), true),
        (json!({"reasoning": {"generate_summary": "auto"}}), true),
        (json!({"include": ["reasoning.encrypted_content"]}), true),
    ] {
        assert_eq!(read(with(&members)).include_thoughts, expected, "{members}");
    }
}

#[test]
fn every_effort_has_its_word() {
    for word in ["none", "minimal", "low", "medium", "high", "xhigh", "max"] {
        let effort = read(with(&json!({"reasoning": {"effort": word}}))).effort;
        assert_eq!(effort.map(Effort::word), Some(word));
    }
}

#[test]
fn the_form_of_the_answer_is_understood() {
    for (format, expected) in [
        (json!({"type": "text"}), Format::Text),
        (json!({"type": "json_object"}), Format::JsonObject),
        (
            json!({"type": "json_schema", "name": "n", "description": "d", "strict": true, "schema": {"type": "object"}}),
            Format::JsonSchema {
                name: Some("n".into()),
                description: Some("d".into()),
                schema: json!({"type": "object"}),
                strict: Some(true),
            },
        ),
    ] {
        assert_eq!(
            read(with(&json!({"text": {"format": format}}))).format,
            expected
        );
    }
}

#[test]
fn tools_of_every_kind_are_understood() {
    let request = read(with(&json!({"tools": [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
        {"type": "function", "name": "g", "parameters": null, "strict": null},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "custom", "name": "say"},
        {"type": "namespace", "name": "mcp__x", "description": "a group", "tools": [
            {"type": "function", "name": "h", "parameters": {"type": "object"}, "strict": false}]},
        {"type": "web_search", "external_web_access": true},
    ]})));
    let schema = Some(json!({"type": "object"}));
    assert_eq!(
        request.tools,
        [
            Tool {
                name: "f".into(),
                description: Some("d".into()),
                schema: schema.clone(),
                strict: Some(true),
                ..Tool::default()
            },
            Tool {
                name: "g".into(),
                ..Tool::default()
            },
            Tool {
                name: "apply_patch".into(),
                custom: Some(Grammar {
                    definition: Some("start: x".into())
                }),
                ..Tool::default()
            },
            Tool {
                name: "say".into(),
                custom: Some(Grammar::default()),
                ..Tool::default()
            },
            Tool {
                name: "h".into(),
                namespace: Some("mcp__x".into()),
                schema,
                strict: Some(false),
                ..Tool::default()
            },
        ]
    );
    assert_eq!(
        request.dropped,
        ["tools[].description", "tools[] web_search"]
    );
}

#[test]
fn tool_choices_are_understood() {
    let names = || vec!["f".to_owned(), "say".to_owned()];
    for (choice, expected) in [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Any),
        (
            json!({"type": "function", "name": "f"}),
            ToolChoice::Tool("f".into()),
        ),
        (
            json!({"type": "custom", "name": "say"}),
            ToolChoice::Tool("say".into()),
        ),
        (
            json!({"type": "allowed_tools", "mode": "required", "tools": [
                {"type": "function", "name": "f"}, {"type": "custom", "name": "say"}, {"type": "web_search"}]}),
            ToolChoice::Allowed(true, names()),
        ),
        (
            json!({"type": "allowed_tools", "mode": "auto", "tools": [
                {"type": "function", "name": "f"}, {"type": "function", "name": "say"}]}),
            ToolChoice::Allowed(false, names()),
        ),
    ] {
        let body =
            with(&json!({"tools": [{"type": "function", "name": "f"}], "tool_choice": choice}));
        assert_eq!(read(body).tool_choice, Some(expected), "{choice}");
    }
}

#[test]
fn what_only_the_vendor_can_do_is_refused_by_name() {
    for (members, param) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
        ),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation"),
        (json!({"background": true}), "background"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input[0]",
        ),
        (json!({"input": [{"id": "msg_1"}]}), "input[0]"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"tool_choice": {"type": "web_search"}}),
            "tool_choice",
        ),
        (
            json!({"tool_choice": {"type": "mcp", "server_label": "x"}}),
            "tool_choice",
        ),
        (
            json!({"tools": [{"type": "web_search"}], "tool_choice": "required"}),
            "tool_choice",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}}),
            "tool_choice",
        ),
    ] {
        let failure = decode_request(with(&members)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Inexpressible, "{members}");
        assert_eq!(failure.param.as_deref(), Some(param), "{members}");
    }
}

#[test]
fn an_unfinished_reference_to_nothing_is_none() {
    let body = with(&json!({
        "previous_response_id": null, "conversation": null, "background": false, "prompt": null, "store": true
    }));
    assert_eq!(read(body).dropped, Vec::<String>::new());
}

#[test]
fn what_has_the_wrong_type_is_named() {
    for (members, param) in [
        (json!({"input": null}), "input"),
        (json!({"input": 1}), "input"),
        (json!({"input": ["hi"]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].type"),
        (json!({"input": [{"type": 1}]}), "input[0].type"),
        (
            json!({"input": [{"role": "tool", "content": ""}]}),
            "input[0].role",
        ),
        (
            json!({"input": [{"role": "user", "content": 1}]}),
            "input[0].content",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0].image_url",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
            "input[0].content[0].file_data",
        ),
        (
            json!({"input": [{"type": "function_call", "name": "f"}]}),
            "input[0].call_id",
        ),
        (
            json!({"input": [{"type": "function_call_output", "output": ""}]}),
            "input[0].call_id",
        ),
        (json!({"tools": {}}), "tools"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tools": [{"name": "f"}]}), "tools[0].type"),
        (
            json!({"tools": [{"type": "function", "name": "f", "parameters": []}]}),
            "tools[0].parameters",
        ),
        (json!({"tool_choice": "often"}), "tool_choice"),
        (json!({"tool_choice": 1}), "tool_choice"),
        (json!({"temperature": "hot"}), "temperature"),
        (json!({"max_output_tokens": -1}), "max_output_tokens"),
        (json!({"stream": "yes"}), "stream"),
        (json!({"reasoning": {"effort": "much"}}), "reasoning.effort"),
        (json!({"reasoning": "high"}), "reasoning"),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text.format.schema",
        ),
        (json!({"include": [1]}), "include"),
        (json!({"instructions": ["a"]}), "instructions"),
    ] {
        let failure = decode_request(with(&members)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{members}");
        assert_eq!(failure.param.as_deref(), Some(param), "{members}");
    }
    assert!(decode_request(json!([])).is_err());
}

#[test]
fn what_means_nothing_elsewhere_is_named() {
    let request = read(with(&json!({
        "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k", "truncation": "auto",
        "text": {"verbosity": "low"}, "reasoning": {"context": "auto"}, "include": ["web_search_call.results"],
        "client_metadata": {}, "odd": 1, "nothing": null,
    })));
    let mut dropped = request.dropped;
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "client_metadata",
            "include",
            "metadata",
            "odd",
            "prompt_cache_key",
            "reasoning.context",
            "service_tier",
            "text.verbosity",
            "truncation"
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
