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

pub(super) fn write(request: &Request) -> Outbound {
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

pub(super) fn hello() -> Request {
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

#[test]
fn instructions_alone_are_the_input() {
    let body = write(&Request {
        system: vec!["say hi".into()],
        turns: Vec::new(),
        ..hello()
    })
    .body;
    let content = json!([{"type": "input_text", "text": "say hi"}]);
    let message = json!({"type": "message", "role": "developer", "content": content});
    assert_eq!(body["input"], json!([message]));
    assert_eq!(body.get("instructions"), None);
}
