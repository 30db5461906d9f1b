//! What is in the messages that providers are sent.

use super::*;

#[test]
fn pictures_and_documents_are_written_by_their_kind() {
    use MediaKind::{Document, Image};
    let here = |data: &str| Source::Base64(data.into());
    for (medium, expected) in [
        (
            medium(Image, here("AAAA"), Some("image/webp")),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AAAA"}}),
        ),
        (
            medium(Image, here("iVBORw0KGgo"), None),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}),
        ),
        (
            medium(Image, here("_9j-_w"), Some("image/jpeg")),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j+/w=="}}),
        ),
        (
            medium(Image, Source::Url("https://example.com/a.png".into()), None),
            json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
        ),
        (
            medium(
                Image,
                Source::File(Vendor::Anthropic, "file_1".into()),
                None,
            ),
            json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        ),
        (
            Media {
                name: Some("report.pdf".into()),
                ..medium(Document, here("JVBERi0="), None)
            },
            json!({"type": "document", "title": "report.pdf",
                   "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
        ),
        (
            medium(Document, here("w7xiZXI="), Some("text/markdown")),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "über"}}),
        ),
    ] {
        let body = written(&asking(vec![user(vec![Part::Media(medium)])])).body;
        assert_eq!(body["messages"][0]["content"][0], expected);
    }
}

#[test]
fn a_result_is_a_text_or_blocks() {
    let picture = Part::Media(medium(
        MediaKind::Image,
        Source::Base64("AAAA".into()),
        Some("image/png"),
    ));
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
    for (content, expected) in [
        (vec![], Value::Null),
        (vec![Part::text("")], Value::Null),
        (vec![Part::text("a")], json!("a")),
        (
            vec![Part::text("a"), picture.clone()],
            json!([{"type": "text", "text": "a"}, block]),
        ),
        (vec![picture], json!([block])),
    ] {
        let result = Part::Result(ToolResult {
            id: "1".into(),
            content,
            ..ToolResult::default()
        });
        let body = written(&asking(vec![user(vec![result])])).body;
        assert_eq!(body["messages"][0]["content"][0]["content"], expected);
    }
}

#[test]
fn of_a_failure_the_vendor_takes_nothing_but_words() {
    let failed = |content| {
        let result = Part::Result(ToolResult {
            id: "1".into(),
            content,
            is_error: true,
            ..ToolResult::default()
        });
        let out = written(&asking(vec![user(vec![result])]));
        (
            out.body["messages"][0]["content"][0]["is_error"].clone(),
            out.dropped,
        )
    };
    assert_eq!(failed(vec![Part::text("no")]), (json!(true), vec![]));
    let picture = Source::Base64("AAAA".into());
    let picture = medium(MediaKind::Image, picture, Some("image/png"));
    assert_eq!(
        failed(vec![Part::text("no"), Part::Media(picture)]),
        (Value::Null, vec!["is_error"])
    );
}

#[test]
fn blanks_alone_are_no_text() {
    let body = written(&asking(vec![
        user(vec![Part::text(" \n"), Part::text("a ")]),
        assistant(vec![Part::text("\n\n"), call("1", "f", "{}")]),
        user(vec![result("1", " ")]),
        assistant(vec![Part::text("so far ")]),
    ]))
    .body;
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "a "}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "so far"}]},
        ])
    );
}

#[test]
fn a_conversation_may_end_with_a_call() {
    let last = vec![Part::text("a "), call("1", "f", "{}")];
    let body = written(&asking(vec![assistant(last)])).body;
    assert_eq!(
        body["messages"][0]["content"],
        json!([
            {"type": "text", "text": "a "},
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
        ])
    );
}

#[test]
fn an_assistant_shows_no_pictures() {
    let picture = Part::Media(medium(
        MediaKind::Image,
        Source::Base64("AAAA".into()),
        Some("image/png"),
    ));
    let out = written(&asking(vec![
        user(vec![Part::text("draw")]),
        assistant(vec![picture]),
        user(vec![Part::text("again")]),
    ]));
    assert_eq!(out.body["messages"][1]["content"][0]["text"], "[media]");
    assert_eq!(out.dropped, ["media in an assistant's turn"]);
}

#[test]
fn instructions_from_the_midst_come_to_the_head() {
    let mut request = asking(vec![
        user(vec![Part::text("a")]),
        Turn::new(Role::System, vec![Part::text("two")]),
        assistant(vec![Part::Refusal("no".into())]),
    ]);
    request.system = vec!["one".into()];
    let body = written(&request).body;
    let text = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(body["system"], json!([text("one"), text("two")]));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [text("a")]},
            {"role": "assistant", "content": [text("no")]},
        ])
    );
}
