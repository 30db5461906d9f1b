//! There and back: what the dialect can say is what was said.

use super::*;

fn agentic() -> Request {
    Request {
        system: vec!["You are an agent.".into(), "Be brief.".into()],
        tools: vec![Tool {
            description: Some("runs a command".into()),
            schema: Some(
                json!({"$schema": "s", "type": "object", "additionalProperties": false,
                "properties": {"command": {"type": "string"}}, "required": ["command"]}),
            ),
            ..tool("bash")
        }],
        max_tokens: Some(32_000),
        stop: vec!["END".into()],
        stream: true,
        user: Some("{\"device_id\":\"d\"}".into()),
        ..asking(vec![
            user(vec![
                Part::text("look at this"),
                Part::Media(medium(
                    MediaKind::Image,
                    Source::Base64("AAAA".into()),
                    Some("image/png"),
                )),
            ]),
            assistant(vec![
                thought("hm", Some(signed(Vendor::Anthropic, "EqQB"))),
                Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
                Part::text("I run it."),
                call("toolu_1", "bash", r#"{"command":"ls","n":1.50}"#),
                call("toolu_2", "bash", "{}"),
            ]),
            user(vec![
                result("toolu_1", "a\nb"),
                Part::Result(ToolResult {
                    id: "toolu_2".into(),
                    content: vec![Part::text("no"), Part::text("such file")],
                    is_error: true,
                    ..ToolResult::default()
                }),
                Part::text("go on"),
            ]),
        ])
    }
}

#[test]
fn a_request_that_was_written_reads_as_it_was() {
    let schema = Format::JsonSchema {
        name: None,
        description: None,
        schema: json!({"type": "object"}),
        strict: None,
    };
    let changes: [&dyn Fn(&mut Request); 8] = [
        &|_| {},
        &|request| request.tool_choice = Some(ToolChoice::Any),
        &|request| request.tool_choice = Some(ToolChoice::Tool("bash".into())),
        &|request| request.tool_choice = Some(ToolChoice::None),
        &|request| {
            request.tool_choice = Some(ToolChoice::Auto);
            request.parallel_tools = Some(false);
        },
        &|request| {
            request.effort = Some(Effort::High);
            request.include_thoughts = true;
        },
        &|request| {
            request.effort = Some(Effort::None);
            request.sampling.temperature = Some(0.5);
            request.sampling.top_k = Some(3);
        },
        &|request| request.format = schema.clone(),
    ];
    for change in changes {
        let mut request = agentic();
        change(&mut request);
        let out = written(&request);
        assert_eq!(out.dropped, [] as [&str; 0]);
        assert_eq!(read(out.body), request);
    }
}

#[test]
fn budgets_come_back_as_the_effort_they_stand_for() {
    for effort in [
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::XHigh,
    ] {
        let mut request = hello();
        request.max_tokens = Some(64_000);
        request.effort = Some(effort);
        request.include_thoughts = true;
        assert_eq!(read(written_for(&request, &budgets()).body), request);
    }
}

#[test]
fn an_answer_that_was_streamed_or_written_is_the_answer() {
    let response = Response {
        parts: vec![
            thought("hm", Some(signed(Vendor::Anthropic, "EqQB"))),
            Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
            Part::text("Hello \u{2028} you"),
            Part::text("ü".repeat(5000)),
            call("toolu_1", "f", r#"{"z":1.50,"a":[]}"#),
            call("toolu_2", "g", "{}"),
        ],
        finish: FinishReason::ToolUse.into(),
        usage: Some(Usage {
            input: 18,
            output: 20,
            total: 38,
            cached: 5,
            cache_written: 3,
            reasoning: 7,
            estimated: false,
        }),
        ..Response::default()
    };
    let whole = encode_response(response.clone(), &reply());
    assert_eq!(decode_response(whole).unwrap(), response);
    let events = decoded(&frames(&encoded(response.clone().into_events())));
    assert_eq!(collected(events).unwrap(), response);
    for finish in [
        Finish {
            reason: FinishReason::StopSequence,
            stop_sequence: Some("END".into()),
        },
        FinishReason::Filter.into(),
        FinishReason::Pause.into(),
        FinishReason::ContextFull.into(),
        FinishReason::Length.into(),
        FinishReason::Stop.into(),
    ] {
        let response = Response {
            parts: vec![Part::text("a")],
            finish,
            ..Response::default()
        };
        let whole = encode_response(response.clone(), &reply());
        assert_eq!(decode_response(whole).unwrap(), response);
        let events = decoded(&frames(&encoded(response.clone().into_events())));
        assert_eq!(collected(events).unwrap(), response);
    }
}

/// The shape of what Claude Code 2.1 sends.
#[test]
fn claude_code_is_understood() {
    let request = read(json!({
        "model": "claude-opus", "max_tokens": 32000, "stream": true,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli; cch=0a1b2;"},
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Instructions.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>be careful</system-reminder>"},
                {"type": "text", "text": "list files", "cache_control": {"type": "ephemeral"}}]},
            {"role": "system", "content": "Mode: plan."},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "I should list.", "signature": "ge:CiQB"},
                {"type": "tool_use", "id": "call_1", "name": "Bash", "input": {"command": "ls"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "a", "is_error": false,
                 "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "<system-reminder>todo list is empty</system-reminder>"}]},
        ],
        "tools": [
            {"name": "Bash", "description": "Runs.", "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
                "properties": {"command": {"type": "string"}}, "additionalProperties": false}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "{\"device_id\":\"d\",\"session_id\":\"s\"}"},
    }));
    assert_eq!(request.system, ["You are Claude Code.", "Instructions."]);
    let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::System, Role::Assistant, Role::User]
    );
    assert_eq!(
        request.turns[2].parts,
        [
            thought("I should list.", Some(signed(Vendor::Google, "CiQB"))),
            call("call_1", "Bash", r#"{"command":"ls"}"#)
        ]
    );
    assert_eq!(request.turns[3].parts[0], result("call_1", "a"));
    assert_eq!(request.effort, Some(Effort::High));
    assert!(request.include_thoughts && request.stream);
    assert_eq!(request.tools.len(), 1);
    assert_eq!(request.dropped, ["tools[1].type", "context_management"]);
}
