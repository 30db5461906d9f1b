//! What clients send.

use serde_json::{Value, json};

use super::{call, signed, thinking};
use crate::chat::{
    FailureKind, Media, MediaKind, Part, Request, Role, Source, ToolResult, Turn, Vendor,
};
use crate::protocol::gemini::decode_request;

/// What these members say beside a greeting.
fn read(members: Value) -> Request {
    let mut body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    decode_request(body).unwrap()
}

/// What these parts say.
fn parts(role: &str, parts: Value) -> Vec<Part> {
    let body = json!({"contents": [{"role": role, "parts": parts}]});
    decode_request(body).unwrap().turns.remove(0).parts
}

#[test]
fn a_role_says_who_speaks() {
    for (role, expected) in [
        (json!(null), Role::User),
        (json!("user"), Role::User),
        (json!("function"), Role::User),
        (json!("model"), Role::Assistant),
        (json!("MODEL"), Role::Assistant),
    ] {
        let body = json!({"contents": [{"role": role, "parts": [{"text": "hi"}]}]});
        let turns = decode_request(body).unwrap().turns;
        assert_eq!(turns, [Turn::new(expected, vec![Part::text("hi")])]);
    }
}

#[test]
fn instructions_come_in_several_forms() {
    for instruction in [
        json!({"parts": [{"text": "a"}, {"text": "b"}]}),
        json!({"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}),
        json!({"parts": {"text": "a\nb"}}),
        json!("a\nb"),
    ] {
        assert_eq!(
            read(json!({"system_instruction": instruction})).system,
            ["a\nb"]
        );
    }
    let body = json!({"contents": [
        {"role": "system", "parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]},
        {"role": "system", "parts": [{"text": "c"}]},
    ]});
    let request = decode_request(body).unwrap();
    assert_eq!(request.system, ["a"]);
    assert_eq!(request.turns[1].role, Role::System);
}

#[test]
fn media_come_inline_or_by_url() {
    let medium = |kind, source, mime: &str| Media {
        kind,
        source,
        mime: Some(mime.into()),
        name: None,
        detail: None,
    };
    let url = |url: &str| Source::Url(url.into());
    let payload = |data: &str| Source::Base64(data.into());
    for (part, expected) in [
        (
            json!({"inlineData": {"mimeType": "image/jpg", "data": "-_8"}}),
            medium(MediaKind::Image, payload("+/8="), "image/jpeg"),
        ),
        (
            json!({"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}}),
            medium(MediaKind::Audio, payload("AAAA"), "audio/wav"),
        ),
        (
            json!({"fileData": {"fileUri": "https://x.example/a.png"}}),
            medium(
                MediaKind::Image,
                url("https://x.example/a.png"),
                "image/png",
            ),
        ),
        (
            json!({"fileData": {"fileUri": "https://x.example/a", "mimeType": "application/pdf"}, "videoMetadata": {}}),
            medium(
                MediaKind::Document,
                url("https://x.example/a"),
                "application/pdf",
            ),
        ),
        (
            json!({"fileData": {"fileUri": "gs://b/a.png"}}),
            medium(
                MediaKind::Image,
                Source::File(Vendor::Google, "gs://b/a.png".into()),
                "image/png",
            ),
        ),
        (
            json!({"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "image/png"}}),
            medium(
                MediaKind::Image,
                Source::File(
                    Vendor::Google,
                    "https://generativelanguage.googleapis.com/v1beta/files/x".into(),
                ),
                "image/png",
            ),
        ),
    ] {
        assert_eq!(parts("user", json!([part])), [Part::Media(expected)]);
    }
}

#[test]
fn arguments_are_kept_to_the_letter() {
    for (said, expected) in [
        (json!({"name": "f"}), call("", "f", "{}", None)),
        (
            json!({"name": "f", "args": null}),
            call("", "f", "{}", None),
        ),
        (
            serde_json::from_str(
                r#"{"id":"c","name":"f","args":{"z_a":1.0,"a":10000000000000000000001}}"#,
            )
            .unwrap(),
            call("c", "f", r#"{"z_a":1.0,"a":10000000000000000000001}"#, None),
        ),
    ] {
        assert_eq!(parts("model", json!([{"functionCall": said}])), [expected]);
    }
}

#[test]
fn a_tools_answer_is_text_or_an_object() {
    for (response, text, is_error) in [
        (json!({"output": "done"}), "done", false),
        (json!({"result": "done"}), "done", false),
        (json!({"error": "no"}), "no", true),
        (json!({"error": {"code": 1}}), r#"{"code":1}"#, true),
        (json!({"output": {"a": 1}}), r#"{"output":{"a":1}}"#, false),
        (
            json!({"output": "a", "exit_code": 1}),
            r#"{"output":"a","exit_code":1}"#,
            false,
        ),
        (
            json!({"error": "no", "output": "x"}),
            r#"{"error":"no","output":"x"}"#,
            false,
        ),
        (json!({}), "{}", false),
        (json!("text"), "text", false),
    ] {
        let said = parts(
            "user",
            json!([{"functionResponse": {"id": "c", "name": "f", "response": response}}]),
        );
        let expected = Part::Result(ToolResult {
            id: "c".into(),
            name: Some("f".into()),
            content: vec![Part::text(text)],
            is_error,
            custom: false,
        });
        assert_eq!(said, [expected]);
    }
}

#[test]
fn a_tools_answer_may_show_something() {
    let said = parts(
        "user",
        json!([{"function_response": {
            "name": "f", "response": {"output": "see"},
            "parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA", "display_name": "a.png"}}],
        }}]),
    );
    let [Part::Result(result)] = said.as_slice() else {
        unreachable!("one result");
    };
    assert!(
        matches!(&result.content[1], Part::Media(medium) if medium.name.as_deref() == Some("a.png"))
    );
}

#[test]
fn signatures_stay_with_what_they_prove() {
    let google = |blob: &str| Some(signed(Vendor::Google, blob));
    let anthropic = |blob: &str| Some(signed(Vendor::Anthropic, blob));
    let foreign = "YW46c2ln"; // an:sig
    for (what, said, expected) in [
        (
            "of a call",
            json!([{"functionCall": {"name": "f"}, "thoughtSignature": "-_8="}]),
            vec![call("", "f", "{}", google("+/8="))],
        ),
        (
            "of a text whose thoughts are gone",
            json!([{"text": "a", "thought_signature": "AAAA"}]),
            vec![thinking("", google("AAAA")), Part::text("a")],
        ),
        (
            "of a text behind thoughts",
            json!([{"text": "hm", "thought": true}, {"text": "a", "thoughtSignature": "AAAA"}]),
            vec![thinking("hm", google("AAAA")), Part::text("a")],
        ),
        (
            "of thoughts themselves",
            json!([{"text": "hm", "thought": true, "thoughtSignature": "AAAA"}]),
            vec![thinking("hm", google("AAAA"))],
        ),
        (
            "at the end of a text",
            json!([{"text": "a"}, {"text": "", "thoughtSignature": "AAAA"}]),
            vec![Part::text("a"), thinking("", google("AAAA"))],
        ),
        (
            "another vendor's, on a call",
            json!([{"text": "hm", "thought": true}, {"functionCall": {"name": "f"}, "thoughtSignature": foreign}]),
            vec![thinking("hm", anthropic("sig")), call("", "f", "{}", None)],
        ),
        (
            "another vendor's, where the thoughts are gone",
            json!([{"functionCall": {"name": "f"}, "thoughtSignature": foreign}]),
            vec![thinking("", anthropic("sig")), call("", "f", "{}", None)],
        ),
        (
            "a stand-in",
            json!([{"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"}]),
            vec![call("", "f", "{}", None)],
        ),
    ] {
        assert_eq!(parts("model", said), expected, "{what}");
    }
}

#[test]
fn what_google_ran_is_told_as_text() {
    let said = json!([
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
    ]);
    let expected = [Part::text("```python\n1+1\n```"), Part::text("2")];
    assert_eq!(parts("model", said), expected);
}

#[test]
fn what_is_wrong_is_named() {
    let hi = json!([{"parts": [{"text": "hi"}]}]);
    use FailureKind::{Inexpressible, InvalidRequest};
    for (body, kind, param) in [
        (json!({}), InvalidRequest, "contents"),
        (json!({"contents": "hi"}), InvalidRequest, "contents"),
        (json!({"contents": [1]}), InvalidRequest, "contents[0]"),
        (
            json!({"contents": [{"role": "x"}]}),
            InvalidRequest,
            "contents[0].role",
        ),
        (
            json!({"contents": [{"parts": [{"text": 1}]}]}),
            InvalidRequest,
            "contents[0].parts[0].text",
        ),
        (
            json!({"contents": [{"parts": [{"function_call": {}}]}]}),
            InvalidRequest,
            "contents[0].parts[0].functionCall.name",
        ),
        (
            json!({"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]}),
            InvalidRequest,
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            json!({"contents": hi, "generationConfig": {"topK": -1}}),
            InvalidRequest,
            "generationConfig.topK",
        ),
        (
            json!({"contents": hi, "generationConfig": {"thinkingConfig": {"thinkingLevel": "x"}}}),
            InvalidRequest,
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            json!({"contents": hi, "tools": [{"functionDeclarations": [{}]}]}),
            InvalidRequest,
            "tools[0].functionDeclarations[0].name",
        ),
        (
            json!({"contents": hi, "toolConfig": {"functionCallingConfig": {"mode": "X"}}}),
            InvalidRequest,
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"contents": hi, "generationConfig": {"responseModalities": ["IMAGE"]}}),
            Inexpressible,
            "generationConfig.responseModalities",
        ),
        (
            json!({"contents": hi, "generationConfig": {"responseMimeType": "text/x.enum"}}),
            Inexpressible,
            "generationConfig.responseMimeType",
        ),
        (
            json!({"contents": hi, "cachedContent": "cachedContents/x"}),
            Inexpressible,
            "cachedContent",
        ),
    ] {
        let failure = decode_request(body.clone()).unwrap_err();
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (kind, Some(param)),
            "{body}"
        );
    }
    assert!(decode_request(json!([])).is_err());
}
