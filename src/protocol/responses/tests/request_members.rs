//! What clients ask for beside the conversation, and what is refused.

use serde_json::{Value, json};

use crate::chat::{Effort, FailureKind, Format, Grammar, Request, Tool, ToolChoice};
use crate::protocol::responses::decode_request;

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
