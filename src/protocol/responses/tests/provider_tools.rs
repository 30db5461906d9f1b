//! Tools and parameters as providers are to get them.

use serde_json::{Value, json};

use crate::chat::{Effort, Grammar, Request, Sampling, Tool, ToolChoice};

use super::provider_request::{hello, write};

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
        ("max_output_tokens", json!(16)),
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
