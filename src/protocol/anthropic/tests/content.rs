//! What is in the messages that clients send.

use super::*;

#[test]
fn pictures_may_be_here_there_or_at_the_vendor() {
    for (source, expected) in [
        (
            json!({"type": "base64", "media_type": "image/jpg", "data": "AA=="}),
            medium(
                MediaKind::Image,
                Source::Base64("AA==".into()),
                Some("image/jpeg"),
            ),
        ),
        (
            json!({"type": "url", "url": "https://example.com/a.png"}),
            medium(
                MediaKind::Image,
                Source::Url("https://example.com/a.png".into()),
                Some("image/png"),
            ),
        ),
        (
            json!({"type": "url", "url": "data:image/gif;base64,AA=="}),
            medium(
                MediaKind::Image,
                Source::Base64("AA==".into()),
                Some("image/gif"),
            ),
        ),
        (
            json!({"type": "file", "file_id": "file_1"}),
            medium(
                MediaKind::Image,
                Source::File(Vendor::Anthropic, "file_1".into()),
                None,
            ),
        ),
    ] {
        let turns = read_messages(json!([
            {"role": "user", "content": [{"type": "image", "source": source}]}
        ]));
        assert_eq!(turns, [user(vec![Part::Media(expected)])]);
    }
}

#[test]
fn documents_are_files_or_text() {
    let turns = read_messages(json!([{"role": "user", "content": [
        {"type": "document", "title": "Report", "context": "about it", "citations": {"enabled": true},
         "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "document", "title": "Notes",
         "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "piece"}]}},
        {"type": "search_result", "title": "Found", "source": "https://example.com",
         "content": [{"type": "text", "text": "this"}]},
    ]}]));
    let mut report = medium(
        MediaKind::Document,
        Source::Base64("JVBERi0=".into()),
        Some("application/pdf"),
    );
    report.name = Some("Report".into());
    assert_eq!(
        turns,
        [user(vec![
            Part::text("about it"),
            Part::Media(report),
            Part::text("Notes\n\nplain"),
            Part::text("piece"),
            Part::text("Found\nhttps://example.com\nthis"),
        ])]
    );
}

#[test]
fn calls_and_results_keep_their_ids_and_the_order_of_arguments() {
    let turns = read_messages(json!([
        {"role": "assistant", "content": [
            {"type": "text", "text": "let me see"},
            {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"z": 1.50, "a": [2]},
             "caller": {"type": "direct"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now"}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [
                {"type": "text", "text": "no"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}]},
            {"type": "text", "text": "go on"}]},
    ]));
    let picture = medium(
        MediaKind::Image,
        Source::Base64("AA==".into()),
        Some("image/png"),
    );
    assert_eq!(
        turns,
        [
            assistant(vec![
                Part::text("let me see"),
                call("toolu_1", "read", r#"{"z":1.5,"a":[2]}"#),
                call("toolu_2", "now", "{}"),
            ]),
            user(vec![
                result("toolu_1", "ok"),
                Part::Result(ToolResult {
                    id: "toolu_2".into(),
                    content: vec![Part::text("no"), Part::Media(picture)],
                    is_error: true,
                    ..ToolResult::default()
                }),
                Part::text("go on"),
            ]),
        ]
    );
}

#[test]
fn numbers_in_arguments_stay_as_they_were_written() {
    let body =
        br#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f",
        "input":{"big":12345678901234567890123,"exact":1.50}}]}]}"#;
    let request = read(serde_json::from_slice(body).unwrap());
    assert_eq!(
        request.turns[0].parts,
        [call(
            "1",
            "f",
            r#"{"big":12345678901234567890123,"exact":1.50}"#
        )]
    );
}

#[test]
fn thinking_comes_back_as_what_it_was() {
    let own = |blob: &str| Some(signed(Vendor::Anthropic, blob));
    for (block, expected) in [
        (
            json!({"type": "thinking", "thinking": "hm", "signature": "EqQB"}),
            thought("hm", own("EqQB")),
        ),
        (
            json!({"type": "thinking", "thinking": "", "signature": "EqQB"}),
            thought("", own("EqQB")),
        ),
        (
            json!({"type": "thinking", "thinking": "hm", "signature": ""}),
            thought("hm", None),
        ),
        (
            json!({"type": "thinking", "thinking": "hm", "signature": "oa:gAAA"}),
            thought("hm", Some(signed(Vendor::OpenAi, "gAAA"))),
        ),
        (
            json!({"type": "thinking", "thinking": "", "signature": "oa:redacted:gAAA"}),
            Part::Redacted(signed(Vendor::OpenAi, "gAAA")),
        ),
        (
            json!({"type": "redacted_thinking", "data": "EmwK"}),
            Part::Redacted(signed(Vendor::Anthropic, "EmwK")),
        ),
    ] {
        let turns = read_messages(json!([{"role": "assistant", "content": [block]}]));
        assert_eq!(turns, [assistant(vec![expected])]);
    }
}

#[test]
fn a_call_finds_its_proof_wherever_the_client_has_put_it() {
    let proof = json!({"type": "thinking", "thinking": "", "signature": "ge:call:a:b:CiQB"});
    let used = json!({"type": "tool_use", "id": "a:b", "name": "f", "input": {}});
    let other = json!({"type": "tool_use", "id": "c", "name": "f", "input": {}});
    let expected = Part::Call(ToolCall {
        id: "a:b".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some(signed(Vendor::Google, "CiQB")),
        ..ToolCall::default()
    });
    for content in [
        json!([proof, used, other]),
        json!([used, proof, other]),
        json!([used, other, proof]),
    ] {
        let turns = read_messages(json!([{"role": "assistant", "content": content}]));
        let expected = vec![expected.clone(), call("c", "f", "{}")];
        assert_eq!(turns, [assistant(expected)]);
    }
    // The call is gone, so its proof is of no use.
    let turns = read_messages(json!([{"role": "assistant", "content": [proof, other]}]));
    assert_eq!(turns, [assistant(vec![call("c", "f", "{}")])]);
}

#[test]
fn of_tools_that_ran_at_the_vendor_the_text_is_kept() {
    let turns = read_messages(json!([{"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_1",
         "content": {"type": "code_execution_result", "stdout": "42", "stderr": "", "return_code": 0}},
        {"type": "text", "text": "It is 42.", "citations": []}]}]));
    assert_eq!(
        turns,
        [assistant(vec![Part::text("42"), Part::text("It is 42.")])]
    );
}
