//! Requests as providers are to get them.

use serde_json::{Value, json};

use crate::chat::{
    Effort, FailureKind, Format, Grammar, Media, MediaKind, Part, Request, Role, Sampling, Source,
    Tool, ToolCall, ToolChoice, ToolResult, Turn, Vendor,
};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::dialect::{Dialect, Protocol};
use crate::protocol::responses::{decode_request, encode_request};

use super::{call, custom, signed, thinking};

fn write(request: &Request) -> Outbound {
    let dialect = Dialect::plain(Protocol::Responses);
    let to = Addressee {
        model: "gpt",
        dialect: &dialect,
    };
    encode_request(request, to).unwrap()
}

fn failure(request: &Request) -> (FailureKind, Option<Box<str>>) {
    let dialect = Dialect::plain(Protocol::Responses);
    let to = Addressee {
        model: "gpt",
        dialect: &dialect,
    };
    let failure = encode_request(request, to).unwrap_err();
    (failure.kind, failure.param)
}

fn saying(role: Role, parts: Vec<Part>) -> Request {
    Request {
        turns: vec![Turn::new(role, parts)],
        choices: 1,
        ..Request::default()
    }
}

fn hello() -> Request {
    saying(Role::User, vec![Part::text("hi")])
}

fn result(content: Vec<Part>) -> Part {
    Part::Result(ToolResult {
        id: "c".into(),
        name: Some("f".into()),
        content,
        ..ToolResult::default()
    })
}

fn picture() -> Media {
    Media {
        kind: MediaKind::Image,
        source: Source::Base64("AAAA".into()),
        mime: Some("image/png".into()),
        name: None,
        detail: None,
    }
}

#[test]
fn little_is_said_with_little() {
    assert_eq!(
        write(&hello()),
        Outbound {
            body: json!({
                "model": "gpt",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
                "store": false,
            }),
            dropped: Vec::new(),
        }
    );
}

#[test]
fn parts_become_items_without_ids() {
    let image =
        json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"});
    let file = |source, name: Option<&str>| {
        Part::Media(Media {
            kind: MediaKind::Document,
            source,
            mime: Some("application/pdf".into()),
            name: name.map(str::to_owned),
            detail: None,
        })
    };
    let message =
        |role: &str, content: Value| json!({"type": "message", "role": role, "content": content});
    let model = Role::Assistant;
    for (role, parts, expected) in [
        (
            Role::User,
            vec![Part::text("a"), Part::Media(picture())],
            json!([message(
                "user",
                json!([{"type": "input_text", "text": "a"}, image])
            )]),
        ),
        (
            Role::User,
            vec![
                file(Source::Base64("AAAA".into()), None),
                file(Source::Base64("AAAA".into()), Some("a.pdf")),
                file(Source::Url("https://example.com/a.pdf".into()), None),
                file(Source::File(Vendor::OpenAi, "file-1".into()), None),
            ],
            json!([message(
                "user",
                json!([
                    {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                    {"type": "input_file", "file_id": "file-1"},
                ])
            )]),
        ),
        (
            Role::System,
            vec![Part::text("mind")],
            json!([message(
                "developer",
                json!([{"type": "input_text", "text": "mind"}])
            )]),
        ),
        (
            model,
            vec![Part::text("a"), Part::text("b"), Part::Refusal("no".into())],
            json!([message(
                "assistant",
                json!([
                {"type": "output_text", "text": "a"}, {"type": "output_text", "text": "b"},
                {"type": "refusal", "refusal": "no"}])
            )]),
        ),
        (
            model,
            vec![
                thinking("hm", Some(Vendor::OpenAi)),
                thinking("", Some(Vendor::OpenAi)),
                Part::text("a"),
                call("c", "f", "{\"a\": 1.0}"),
                call("d", "f", " "),
                custom("e", "say", "x"),
            ],
            json!([
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA+/="},
                {"type": "reasoning", "summary": [], "encrypted_content": "gAAA+/="},
                message("assistant", json!([{"type": "output_text", "text": "a"}])),
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\": 1.0}"},
                {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
                {"type": "custom_tool_call", "call_id": "e", "name": "say", "input": "x"},
            ]),
        ),
        (
            model,
            vec![Part::Call(ToolCall {
                id: "c".into(),
                name: "f".into(),
                namespace: Some("x".into()),
                arguments: "{}".into(),
                ..ToolCall::default()
            })],
            json!([{"type": "function_call", "call_id": "c", "name": "f", "namespace": "x", "arguments": "{}"}]),
        ),
        (
            Role::User,
            vec![
                result(vec![Part::text("a"), Part::text("b")]),
                result(Vec::new()),
                result(vec![Part::text("a"), Part::Media(picture())]),
                Part::text("and?"),
            ],
            json!([
                {"type": "function_call_output", "call_id": "c", "output": "a\n\nb"},
                {"type": "function_call_output", "call_id": "c", "output": ""},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}, image]},
                message("user", json!([{"type": "input_text", "text": "and?"}])),
            ]),
        ),
        (
            model,
            vec![
                Part::text("see"),
                Part::Media(picture()),
                Part::text("nice"),
            ],
            json!([
                message("assistant", json!([{"type": "output_text", "text": "see"}])),
                message("user", json!([image])),
                message(
                    "assistant",
                    json!([{"type": "output_text", "text": "nice"}])
                ),
            ]),
        ),
    ] {
        let body = write(&saying(role, parts)).body;
        assert_eq!(body["input"], expected);
    }
}

#[test]
fn a_failure_without_words_is_said() {
    let failed = |content| {
        saying(
            Role::User,
            vec![Part::Result(ToolResult {
                id: "c".into(),
                content,
                is_error: true,
                custom: true,
                ..ToolResult::default()
            })],
        )
    };
    let mute = write(&failed(Vec::new()));
    assert_eq!(
        mute.body["input"][0],
        json!({"type": "custom_tool_call_output", "call_id": "c", "output": "Error: "})
    );
    assert_eq!(mute.dropped, ["is_error"]);
    let told = write(&failed(vec![Part::text("no such file")]));
    assert_eq!(told.body["input"][0]["output"], "no such file");
}

#[test]
fn thoughts_of_others_do_not_arrive() {
    let outbound = write(&saying(
        Role::Assistant,
        vec![
            thinking("a", None),
            thinking("b", Some(Vendor::Anthropic)),
            Part::Redacted(signed(Vendor::Anthropic)),
            Part::text("c"),
        ],
    ));
    assert_eq!(outbound.body["input"].as_array().unwrap().len(), 1);
    assert_eq!(outbound.dropped, ["thinking"]);
}

#[test]
fn parameters_have_their_names() {
    let request = Request {
        system: vec!["a".into(), "b".into()],
        max_tokens: Some(7),
        sampling: Sampling {
            temperature: Some(3.0),
            top_p: Some(0.5),
            ..Sampling::default()
        },
        logprobs: Some(2),
        user: Some("u".into()),
        stream: true,
        ..hello()
    };
    let body = write(&request).body;
    for (name, expected) in [
        ("instructions", json!("a\n\nb")),
        ("max_output_tokens", json!(7)),
        ("temperature", json!(2.0)),
        ("top_p", json!(0.5)),
        ("include", json!(["message.output_text.logprobs"])),
        ("top_logprobs", json!(2)),
        ("user", json!("u")),
        ("stream", json!(true)),
        ("store", json!(false)),
    ] {
        assert_eq!(body[name], expected, "{name}");
    }
}

#[test]
fn thoughts_are_asked_for() {
    let encrypted = json!(["reasoning.encrypted_content"]);
    for (effort, include_thoughts, reasoning, include) in [
        (None, false, Value::Null, Value::Null),
        (None, true, json!({"summary": "auto"}), encrypted.clone()),
        (
            Some(Effort::High),
            false,
            json!({"effort": "high"}),
            encrypted.clone(),
        ),
        (
            Some(Effort::Low),
            true,
            json!({"effort": "low", "summary": "auto"}),
            encrypted,
        ),
        (
            Some(Effort::None),
            true,
            json!({"effort": "none"}),
            Value::Null,
        ),
    ] {
        let body = write(&Request {
            effort,
            include_thoughts,
            ..hello()
        })
        .body;
        assert_eq!(body["reasoning"], reasoning, "{effort:?}");
        assert_eq!(body["include"], include, "{effort:?}");
    }
}

#[test]
fn tools_of_every_kind_are_offered() {
    let tool = |name: &str| Tool {
        name: name.into(),
        ..Tool::default()
    };
    let grammar = |definition: Option<&str>| {
        Some(Grammar {
            definition: definition.map(str::to_owned),
        })
    };
    let grouped = |name: &str| Tool {
        namespace: Some("x".into()),
        ..tool(name)
    };
    let empty = json!({"type": "object", "properties": {}});
    let body = write(&Request {
        tools: vec![
            Tool {
                description: Some("d".into()),
                schema: Some(json!({"type": "object", "$schema": "s"})),
                strict: Some(true),
                ..tool("f")
            },
            grouped("a"),
            tool("g"),
            grouped("b"),
            Tool {
                custom: grammar(Some("// patch\nstart: begin")),
                ..tool("p")
            },
            Tool {
                custom: grammar(Some("[a-z]+")),
                ..tool("q")
            },
            Tool {
                custom: grammar(None),
                ..tool("r")
            },
        ],
        tool_choice: Some(ToolChoice::Any),
        parallel_tools: Some(false),
        ..hello()
    })
    .body;
    let function = |name: &str| json!({"type": "function", "name": name, "parameters": empty, "strict": false});
    assert_eq!(
        body["tools"],
        json!([
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "$schema": "s"}, "strict": true},
            {"type": "namespace", "name": "x", "description": "The tools of x.", "tools": [function("a"), function("b")]},
            function("g"),
            {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "// patch\nstart: begin"}},
            {"type": "custom", "name": "q", "format": {"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}},
            {"type": "custom", "name": "r"},
        ])
    );
    assert_eq!(body["tool_choice"], "required");
    assert_eq!(body["parallel_tool_calls"], false);
}

#[test]
fn choices_among_tools_are_written() {
    let tools = || {
        vec![
            Tool {
                name: "f".into(),
                ..Tool::default()
            },
            Tool {
                name: "say".into(),
                custom: Some(Grammar::default()),
                ..Tool::default()
            },
        ]
    };
    let both = || vec!["f".to_owned(), "say".to_owned()];
    let named = json!([{"type": "function", "name": "f"}, {"type": "custom", "name": "say"}]);
    for (choice, expected) in [
        (ToolChoice::Auto, json!("auto")),
        (ToolChoice::None, json!("none")),
        (ToolChoice::Any, json!("required")),
        (
            ToolChoice::Tool("f".into()),
            json!({"type": "function", "name": "f"}),
        ),
        (
            ToolChoice::Tool("say".into()),
            json!({"type": "custom", "name": "say"}),
        ),
        (
            ToolChoice::Allowed(true, both()),
            json!({"type": "allowed_tools", "mode": "required", "tools": named}),
        ),
        (
            ToolChoice::Allowed(false, both()),
            json!({"type": "allowed_tools", "mode": "auto", "tools": named}),
        ),
    ] {
        let request = Request {
            tools: tools(),
            tool_choice: Some(choice),
            ..hello()
        };
        assert_eq!(write(&request).body["tool_choice"], expected);
    }
    let without_tools = Request {
        tool_choice: Some(ToolChoice::Any),
        parallel_tools: Some(true),
        ..hello()
    };
    let body = write(&without_tools).body;
    for name in ["tools", "tool_choice", "parallel_tool_calls"] {
        assert_eq!(body.get(name), None);
    }
}

#[test]
fn what_the_dialect_has_no_word_for_is_named() {
    let request = Request {
        stop: vec!["x".into()],
        sampling: Sampling {
            top_k: Some(1),
            seed: Some(1),
            presence_penalty: Some(1.0),
            frequency_penalty: Some(1.0),
            ..Sampling::default()
        },
        user: Some("u".repeat(65)),
        ..hello()
    };
    assert_eq!(
        write(&request).dropped,
        [
            "user",
            "stop",
            "top_k",
            "seed",
            "presence_penalty",
            "frequency_penalty"
        ]
    );
}

#[test]
fn what_would_change_the_answer_is_refused() {
    let media = |kind, source, mime: &str| {
        saying(
            Role::User,
            vec![Part::Media(Media {
                kind,
                source,
                mime: Some(mime.into()),
                ..picture()
            })],
        )
    };
    for (request, param) in [
        (
            Request {
                choices: 2,
                ..hello()
            },
            "n",
        ),
        (
            media(
                MediaKind::Image,
                Source::File(Vendor::Google, "f".into()),
                "image/png",
            ),
            "file_id",
        ),
        (
            media(
                MediaKind::Audio,
                Source::Url("https://example.com".into()),
                "audio/wav",
            ),
            "input_audio",
        ),
        (
            media(MediaKind::Audio, Source::Base64("AAAA".into()), "audio/ogg"),
            "input_audio",
        ),
    ] {
        let expected = (FailureKind::Inexpressible, Some(param.into()));
        assert_eq!(failure(&request), expected);
    }
}

#[test]
fn what_the_dialect_can_say_survives_it() {
    let request = Request {
        system: vec!["be brief".into()],
        turns: vec![
            Turn::new(Role::User, vec![Part::text("hi"), Part::Media(picture())]),
            Turn::new(
                Role::Assistant,
                vec![
                    thinking("hm", Some(Vendor::OpenAi)),
                    Part::text("so"),
                    call("c", "f", "{\"a\":1.0}"),
                    custom("d", "say", "x"),
                ],
            ),
            Turn::new(
                Role::User,
                vec![
                    Part::Result(ToolResult {
                        id: "c".into(),
                        content: vec![Part::text("r"), Part::Media(picture())],
                        ..ToolResult::default()
                    }),
                    Part::Result(ToolResult {
                        id: "d".into(),
                        content: vec![Part::text("r")],
                        custom: true,
                        ..ToolResult::default()
                    }),
                    Part::text("and?"),
                ],
            ),
            Turn::new(Role::System, vec![Part::text("mind")]),
            Turn::new(Role::Assistant, vec![Part::Refusal("no".into())]),
        ],
        tools: vec![
            Tool {
                name: "f".into(),
                description: Some("d".into()),
                schema: Some(json!({"type": "object"})),
                strict: Some(true),
                ..Tool::default()
            },
            Tool {
                name: "say".into(),
                custom: Some(Grammar {
                    definition: Some("start: x".into()),
                }),
                ..Tool::default()
            },
        ],
        tool_choice: Some(ToolChoice::Allowed(true, vec!["f".into(), "say".into()])),
        parallel_tools: Some(true),
        max_tokens: Some(100),
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(0.25),
            ..Sampling::default()
        },
        format: Format::JsonSchema {
            name: Some("n".into()),
            description: Some("d".into()),
            schema: json!({"type": "object"}),
            strict: Some(true),
        },
        effort: Some(Effort::XHigh),
        include_thoughts: true,
        logprobs: Some(3),
        choices: 1,
        stream: true,
        user: Some("u".into()),
        ..Request::default()
    };
    assert_eq!(decode_request(write(&request).body).unwrap(), request);
}
