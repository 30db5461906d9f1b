//! What providers are sent.

use serde_json::{Value, json};

use super::{asking, call, model, plain, sent, signed, thinking, user, with};
use crate::chat::{
    Effort, FailureKind, Format, Media, MediaKind, Part, Request, Sampling, Source, Tool,
    ToolChoice, ToolResult, Vendor,
};
use crate::protocol::gemini::{decode_request, encode_request};
use crate::protocol::{Addressee, Dialect, SchemaStyle, ThinkingStyle};

const DUMMY: &str = "skip_thought_signature_validator";

/// The parts of the only turn.
fn parts(turn: crate::chat::Turn) -> Value {
    sent(&asking(vec![turn]), &plain())["contents"][0]["parts"].clone()
}

fn result(id: &str, name: &str, content: Vec<Part>, is_error: bool) -> Part {
    Part::Result(ToolResult {
        id: id.into(),
        name: Some(name.into()),
        content,
        is_error,
        custom: false,
    })
}

fn image(source: Source) -> Media {
    Media {
        kind: MediaKind::Image,
        source,
        mime: Some("image/png".into()),
        name: None,
        detail: None,
    }
}

#[test]
fn a_greeting_is_no_more_than_that() {
    let body = sent(&with(|_| {}), &plain());
    assert_eq!(
        body,
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
    );
}

#[test]
fn instructions_are_parts() {
    let body = sent(
        &with(|request| request.system = vec!["a".into(), String::new(), "b".into()]),
        &plain(),
    );
    assert_eq!(
        body["systemInstruction"],
        json!({"parts": [{"text": "a"}, {"text": "b"}]})
    );
}

#[test]
fn results_stand_together_and_are_objects() {
    let said = parts(user(vec![
        result("1", "f", vec![Part::text("done")], false),
        result("2", "g", vec![Part::text(r#"{"a":1.0}"#)], false),
        result("3", "h", vec![Part::text("no")], true),
        result("4", "i", vec![Part::text("[1]")], false),
        result(
            "5",
            "j",
            vec![Part::Media(image(Source::Base64("AAAA".into())))],
            false,
        ),
        result("", "k", vec![], false),
        Part::text("go on"),
    ]));
    let response = |id: &str, name: &str, response: Value| json!({"functionResponse": {"id": id, "name": name, "response": response}});
    let expected = json!([
        response("1", "f", json!({"output": "done"})),
        response("2", "g", serde_json::from_str(r#"{"a":1.0}"#).unwrap()),
        response("3", "h", json!({"error": "no"})),
        response("4", "i", json!({"output": "[1]"})),
        response("5", "j", json!({"output": "[see the attached file]"})),
        {"functionResponse": {"name": "k", "response": {"output": ""}}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "go on"},
    ]);
    assert_eq!(said, expected);
}

#[test]
fn the_first_call_of_a_turn_has_a_signature() {
    let google = Some(signed(Vendor::Google, "AAAA"));
    let foreign = Some(signed(Vendor::OpenAi, "x"));
    let of = |id: &str| json!({"functionCall": {"id": id, "name": "f", "args": {}}});
    let with_signature = |id: &str, signature: &str| json!({"functionCall": {"id": id, "name": "f", "args": {}}, "thoughtSignature": signature});
    for (what, calls, expected) in [
        (
            "its own",
            vec![
                call("1", "f", "{}", google.clone()),
                call("2", "f", "", None),
            ],
            json!([with_signature("1", "AAAA"), of("2")]),
        ),
        (
            "or a stand-in",
            vec![call("1", "f", "", None), call("2", "f", " ", None)],
            json!([with_signature("1", DUMMY), of("2")]),
        ),
        (
            "also where it had one of another vendor",
            vec![call("1", "f", "", foreign)],
            json!([with_signature("1", DUMMY)]),
        ),
        (
            "and the others keep theirs",
            vec![call("1", "f", "", None), call("2", "f", "", google)],
            json!([with_signature("1", DUMMY), with_signature("2", "AAAA")]),
        ),
    ] {
        assert_eq!(parts(model(calls)), expected, "{what}");
    }
    let silent = Dialect {
        dummy_signature: String::new(),
        ..plain()
    };
    let body = sent(
        &asking(vec![model(vec![call("1", "f", "", None)])]),
        &silent,
    );
    assert_eq!(body["contents"][0]["parts"], json!([of("1")]));
}

#[test]
fn arguments_are_objects() {
    for (arguments, expected) in [
        ("", "{}"),
        (
            r#"{"b":1.0,"a":10000000000000000000001}"#,
            r#"{"b":1.0,"a":10000000000000000000001}"#,
        ),
        ("[1]", r#"{"_raw":"[1]"}"#),
        ("{oops", r#"{"_raw":"{oops"}"#),
    ] {
        let said = parts(model(vec![call("", "f", arguments, None)]));
        assert_eq!(said[0]["functionCall"]["args"].to_string(), expected);
        assert!(said[0]["functionCall"].get("id").is_none());
    }
}

#[test]
fn own_thoughts_go_back_with_their_signatures() {
    let google = Some(signed(Vendor::Google, "AAAA"));
    for (what, said, expected) in [
        (
            "on the text that follows",
            vec![thinking("hm", google.clone()), Part::text("a")],
            json!([{"text": "hm", "thought": true}, {"text": "a", "thoughtSignature": "AAAA"}]),
        ),
        (
            "on the text, without thoughts",
            vec![thinking("", google.clone()), Part::text("a")],
            json!([{"text": "a", "thoughtSignature": "AAAA"}]),
        ),
        (
            "on an empty text",
            vec![Part::text("a"), thinking("", google.clone())],
            json!([{"text": "a"}, {"text": "", "thoughtSignature": "AAAA"}]),
        ),
        (
            "on the thoughts",
            vec![thinking("hm", google)],
            json!([{"text": "hm", "thought": true, "thoughtSignature": "AAAA"}]),
        ),
        (
            "but nobody else's",
            vec![
                thinking("hm", Some(signed(Vendor::Anthropic, "x"))),
                thinking("hm", None),
                Part::Redacted(signed(Vendor::Anthropic, "x")),
                Part::text("a"),
            ],
            json!([{"text": "a"}]),
        ),
    ] {
        assert_eq!(parts(model(said)), expected, "{what}");
    }
}

#[test]
fn media_are_inline_or_fetched() {
    let url = "https://x.example/a.png";
    let said = parts(user(vec![
        Part::Media(image(Source::Base64("AAAA".into()))),
        Part::Media(image(Source::Url(url.into()))),
        Part::Media(image(Source::File(Vendor::Google, "gs://b/a".into()))),
    ]));
    let expected = json!([
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/png", "fileUri": url}},
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/a"}},
    ]);
    assert_eq!(said, expected);
}

#[test]
fn what_google_has_no_word_for_is_named_or_refused() {
    let dialect = plain();
    let to = Addressee {
        model: "m",
        dialect: &dialect,
    };
    let request = with(|request| {
        request.user = Some("u".into());
        request.parallel_tools = Some(false);
        request.stop = vec!["x".into(); 6];
        request.tools = vec![Tool {
            name: "f".into(),
            strict: Some(true),
            ..Tool::default()
        }];
        request.turns[0].parts.push(Part::Media(Media {
            detail: Some("high".into()),
            ..image(Source::Base64("AAAA".into()))
        }));
    });
    let outbound = encode_request(&request, to).unwrap();
    assert_eq!(
        outbound.dropped,
        ["detail", "parallel_tool_calls", "stop", "strict", "user"]
    );
    let stop = outbound.body["generationConfig"]["stopSequences"]
        .as_array()
        .unwrap();
    assert_eq!(stop.len(), 5);
    for (request, param) in [
        (with(|request| request.choices = 2), "n"),
        (
            with(|request| {
                let file = Source::File(Vendor::OpenAi, "file-1".into());
                request.turns[0].parts.push(Part::Media(image(file)));
            }),
            "file_id",
        ),
    ] {
        let failure = encode_request(&request, to).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Inexpressible);
        assert_eq!(failure.param.as_deref(), Some(param));
    }
}

#[test]
fn what_can_be_said_is_understood_again() {
    let google = Some(signed(Vendor::Google, "AAAA"));
    let request = Request {
        system: vec!["be brief".into()],
        tools: vec![Tool {
            name: "f".into(),
            description: Some("d".into()),
            schema: Some(json!({"type": "object", "properties": {"a_b": {"type": "string"}}})),
            ..Tool::default()
        }],
        tool_choice: Some(ToolChoice::Tool("f".into())),
        max_tokens: Some(100),
        sampling: Sampling {
            temperature: Some(0.5),
            seed: Some(-3),
            ..Sampling::default()
        },
        stop: vec!["x".into()],
        format: Format::JsonObject,
        effort: Some(Effort::High),
        include_thoughts: true,
        logprobs: Some(0),
        ..asking(vec![
            user(vec![
                Part::text("hi"),
                Part::Media(image(Source::Base64("AAAA".into()))),
            ]),
            model(vec![
                thinking("hm", google.clone()),
                Part::text("let me see"),
                call("1", "f", r#"{"a_b":1.0}"#, google.clone()),
                call("2", "f", "{}", None),
            ]),
            user(vec![
                result("1", "f", vec![Part::text("done")], false),
                result("2", "f", vec![Part::text("no")], true),
                Part::text("and?"),
            ]),
            model(vec![Part::text("so"), thinking("", google)]),
            user(vec![Part::text("thanks")]),
        ])
    };
    assert_eq!(decode_request(sent(&request, &plain())).unwrap(), request);
    let older = Dialect {
        schema_style: SchemaStyle::OpenApi,
        thinking_style: ThinkingStyle::Budget,
        ..plain()
    };
    let mut request = request;
    request.max_tokens = None;
    assert_eq!(decode_request(sent(&request, &older)).unwrap(), request);
}
