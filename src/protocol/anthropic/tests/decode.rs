//! What clients send.

use super::*;

#[test]
fn a_text_and_a_list_of_texts_are_the_same() {
    for content in [json!("hi"), json!([{"type": "text", "text": "hi"}])] {
        let turns = read_messages(json!([{"role": "user", "content": content}]));
        assert_eq!(turns, [user(vec![Part::text("hi")])]);
    }
}

#[test]
fn instructions_come_from_system_and_from_leading_messages() {
    let request = read(json!({
        "system": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}},
                   {"type": "text", "text": "two"}],
        "messages": [{"role": "system", "content": "three"},
                     {"role": "user", "content": "hi"},
                     {"role": "system", "content": [{"type": "text", "text": "four"}]}],
    }));
    assert_eq!(request.system, ["one", "two", "three"]);
    assert_eq!(
        request.turns,
        [
            user(vec![Part::text("hi")]),
            Turn::new(Role::System, vec![Part::text("four")])
        ]
    );
    assert_eq!(read(json!({"system": "alone"})).system, ["alone"]);
    assert_eq!(request.dropped, [] as [&str; 0]);
}

#[test]
fn what_claude_code_tells_the_vendor_for_its_bills_is_for_nobody_else() {
    let request = read(json!({"system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; cch=1a2b3;"},
        {"type": "text", "text": "You are Claude Code."},
    ]}));
    assert_eq!(request.system, ["You are Claude Code."]);
}

#[test]
fn plain_members_are_read() {
    let request = read(json!({
        "model": "m", "max_tokens": 32000, "temperature": 0.5, "top_p": 0.25, "top_k": 40,
        "stop_sequences": ["a", "b"], "stream": true, "metadata": {"user_id": "u"},
    }));
    assert_eq!(
        request,
        Request {
            max_tokens: Some(32_000),
            sampling: Sampling {
                temperature: Some(0.5),
                top_p: Some(0.25),
                top_k: Some(40),
                ..Sampling::default()
            },
            stop: vec!["a".into(), "b".into()],
            choices: 1,
            stream: true,
            user: Some("u".into()),
            ..Request::default()
        }
    );
}

#[test]
fn what_only_the_vendor_understands_is_noted() {
    let request = read(json!({
        "model": "m", "service_tier": "auto", "container": null, "context_management": {"edits": []},
        "metadata": {"user_id": "u", "team": "t"},
        "tools": [{"name": "f", "input_schema": {}, "defer_loading": true, "cache_control": {}},
                  {"type": "web_search_20250305", "name": "web_search"}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}, "mood": "good"},
            {"type": "container_upload", "file_id": "f"}]}],
    }));
    assert_eq!(
        request.dropped,
        [
            "messages[0].content[0].mood",
            "messages[0].content[1].container_upload",
            "tools[0].defer_loading",
            "tools[1].type",
            "metadata.team",
            "service_tier",
            "context_management",
        ]
    );
    assert_eq!(request.tools.len(), 1);
}

#[test]
fn tools_are_read_with_or_without_their_type() {
    let request = read(json!({"tools": [
        {"name": "f", "description": "d", "strict": true,
         "input_schema": {"$schema": "s", "type": "object", "additionalProperties": false}},
        {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
    ]}));
    let tools = [
        Tool {
            name: "f".into(),
            description: Some("d".into()),
            strict: Some(true),
            schema: Some(json!({"$schema": "s", "type": "object", "additionalProperties": false})),
            ..Tool::default()
        },
        Tool {
            name: "g".into(),
            schema: Some(json!({"type": "object"})),
            ..Tool::default()
        },
    ];
    assert_eq!(request.tools, tools);
}

#[test]
fn tools_may_or_must_be_called() {
    for (choice, expected, parallel) in [
        (json!({"type": "auto"}), ToolChoice::Auto, None),
        (json!({"type": "none"}), ToolChoice::None, None),
        (
            json!({"type": "any", "disable_parallel_tool_use": true}),
            ToolChoice::Any,
            Some(false),
        ),
        (
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": false}),
            ToolChoice::Tool("f".into()),
            Some(true),
        ),
    ] {
        let request = read(json!({"tool_choice": choice}));
        assert_eq!(request.tool_choice, Some(expected));
        assert_eq!(request.parallel_tools, parallel);
    }
}

#[test]
fn a_call_that_is_insisted_on_must_be_possible_elsewhere() {
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let own = json!({"name": "f", "input_schema": {"type": "object"}});
    let any = json!({"type": "any"});
    let named = json!({"type": "tool", "name": "web_search"});
    for (tools, choice, is_possible) in [
        (json!([search]), &any, false),
        (json!([search, own]), &any, true),
        (json!([search, own]), &named, false),
        (json!([search]), &json!({"type": "auto"}), true),
    ] {
        let read = decode_request(talking(json!({"tools": tools, "tool_choice": choice})));
        assert_eq!(read.is_ok(), is_possible, "{tools} {choice}");
        if let Err(failure) = read {
            assert_eq!(failure.kind, FailureKind::Inexpressible);
            assert_eq!(failure.param.as_deref(), Some("tool_choice"));
        }
    }
}

#[test]
fn thinking_is_asked_for_in_many_ways() {
    for (body, effort, shown) in [
        (json!({}), None, false),
        (
            json!({"thinking": {"type": "disabled"}}),
            Some(Effort::None),
            false,
        ),
        (
            json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}),
            Some(Effort::None),
            false,
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            Some(Effort::Minimal),
            true,
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 31_999}}),
            Some(Effort::XHigh),
            true,
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"effort": "max"}}),
            Some(Effort::Max),
            true,
        ),
        (json!({"thinking": {"type": "adaptive"}}), None, true),
        (
            json!({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"}}),
            Some(Effort::High),
            false,
        ),
        (
            json!({"thinking": {"type": "between_tools"}, "output_config": {"effort": "medium"}}),
            Some(Effort::Medium),
            true,
        ),
        (
            json!({"output_config": {"effort": "low"}}),
            Some(Effort::Low),
            false,
        ),
    ] {
        let request = read(body.clone());
        assert_eq!(request.effort, effort, "{body}");
        assert_eq!(request.include_thoughts, shown, "{body}");
        assert_eq!(request.dropped, [] as [&str; 0]);
    }
}

#[test]
fn a_schema_may_bind_the_answer() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    for body in [
        json!({"output_config": {"format": format}}),
        json!({"output_format": format}),
    ] {
        let expected = Format::JsonSchema {
            name: None,
            description: None,
            schema: json!({"type": "object"}),
            strict: None,
        };
        assert_eq!(read(body).format, expected);
    }
}

#[test]
fn mistakes_are_named_by_their_place() {
    let message = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    for (body, param) in [
        (json!({"max_tokens": "many"}), "max_tokens"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": {}}), "messages"),
        (json!({"messages": ["hi"]}), "messages[0]"),
        (
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content",
        ),
        (
            json!({"messages": [{"role": "tool", "content": ""}]}),
            "messages[0].role",
        ),
        (message(json!(1)), "messages[0].content"),
        (message(json!(["x"])), "messages[0].content[0]"),
        (
            message(json!([{"text": "x"}])),
            "messages[0].content[0].type",
        ),
        (
            message(json!([{"type": "text"}])),
            "messages[0].content[0].text",
        ),
        (
            message(json!([{"type": "image"}])),
            "messages[0].content[0].source",
        ),
        (
            message(json!([{"type": "image", "source": {"type": "base64"}}])),
            "messages[0].content[0].source.data",
        ),
        (
            message(json!([{"type": "tool_use", "id": "1", "name": "f", "input": {}}])),
            "messages[0].content[0].type",
        ),
        (
            message(json!([{"type": "tool_result", "content": "x"}])),
            "messages[0].content[0].tool_use_id",
        ),
        (
            message(
                json!([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_use"}]}]),
            ),
            "messages[0].content[0].content[0].type",
        ),
        (
            json!({"messages": [{"role": "assistant",
                "content": [{"type": "tool_use", "id": "1", "name": "f", "input": "{}"}]}]}),
            "messages[0].content[0].input",
        ),
        (json!({"system": 1}), "system"),
        (json!({"stop_sequences": [1]}), "stop_sequences"),
        (json!({"tools": [{"description": "d"}]}), "tools[0].name"),
        (json!({"tool_choice": {"type": "some"}}), "tool_choice.type"),
        (
            json!({"thinking": {"budget_tokens": 1024}}),
            "thinking.type",
        ),
        (
            json!({"output_config": {"effort": "huge"}}),
            "output_config.effort",
        ),
        (
            json!({"output_config": {"format": {"type": "xml"}}}),
            "output_config.format.type",
        ),
    ] {
        let failure = refused(body.clone());
        assert_eq!(failure.kind, FailureKind::InvalidRequest, "{body}");
        assert_eq!(failure.param.as_deref(), Some(param), "{body}");
    }
    assert_eq!(refused(json!([])).kind, FailureKind::InvalidRequest);
}
