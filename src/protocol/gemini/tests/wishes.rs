//! What clients wish for beside the conversation.

use serde_json::{Value, json};

use super::{asking, user};
use crate::chat::{Effort, Format, Part, Request, Sampling, ToolChoice};
use crate::protocol::gemini::decode_request;

/// What these members say beside a greeting.
fn read(members: Value) -> Request {
    let mut body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    decode_request(body).unwrap()
}

#[test]
fn wishes_for_the_answer_are_understood() {
    let request = read(json!({"generationConfig": {
        "maxOutputTokens": 10, "temperature": 1, "top_p": 0.95, "topK": 64.0, "seed": -5, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "stopSequences": ["x"], "candidateCount": 2, "responseLogprobs": true, "logprobs": 3,
        "responseModalities": ["TEXT"], "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }}));
    let sampling = Sampling {
        temperature: Some(1.0),
        top_p: Some(0.95),
        top_k: Some(64),
        seed: Some(-5),
        presence_penalty: Some(0.1),
        frequency_penalty: Some(0.2),
    };
    let expected = Request {
        max_tokens: Some(10),
        sampling,
        stop: vec!["x".into()],
        choices: 2,
        logprobs: Some(3),
        ..asking(vec![user(vec![Part::text("hi")])])
    };
    assert_eq!(request, expected);
    let silent = read(json!({"generationConfig": {"logprobs": 3}}));
    assert_eq!((silent.logprobs, silent.choices), (None, 1));
}

#[test]
fn thinking_is_asked_for_by_words_and_numbers() {
    for (config, effort, include) in [
        (json!({}), None, false),
        (json!({"includeThoughts": true}), None, true),
        (json!({"thinkingLevel": "LOW"}), Some(Effort::Low), false),
        (
            json!({"thinking_level": "high", "includeThoughts": true}),
            Some(Effort::High),
            true,
        ),
        (
            json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}),
            None,
            false,
        ),
        (json!({"thinkingBudget": 0}), Some(Effort::None), false),
        (json!({"thinkingBudget": -1}), None, true),
        (
            json!({"thinkingBudget": -1, "includeThoughts": false}),
            None,
            false,
        ),
        (json!({"thinkingBudget": 512}), Some(Effort::Minimal), false),
        (json!({"thinkingBudget": 4096}), Some(Effort::Low), false),
        (
            json!({"thinkingBudget": 8192, "includeThoughts": true}),
            Some(Effort::Medium),
            true,
        ),
        (json!({"thinkingBudget": 24576}), Some(Effort::High), false),
        (json!({"thinkingBudget": 32768}), Some(Effort::XHigh), false),
    ] {
        let request = read(json!({"generationConfig": {"thinkingConfig": config}}));
        assert_eq!(
            (request.effort, request.include_thoughts),
            (effort, include),
            "{config}"
        );
    }
}

#[test]
fn an_answers_form_is_told_by_type_and_schema() {
    let schema = |schema| Format::JsonSchema {
        name: None,
        description: None,
        schema,
        strict: None,
    };
    for (config, expected) in [
        (json!({}), Format::Text),
        (json!({"responseMimeType": "text/plain"}), Format::Text),
        (
            json!({"responseMimeType": "application/json"}),
            Format::JsonObject,
        ),
        (
            json!({"response_mime_type": "application/json", "response_schema": {"type": "STRING"}}),
            schema(json!({"type": "string"})),
        ),
        (
            json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "string", "x_y": 1}}),
            schema(json!({"type": "string", "x_y": 1})),
        ),
        (
            json!({"_responseJsonSchema": {"type": "object"}}),
            schema(json!({"type": "object"})),
        ),
    ] {
        assert_eq!(
            read(json!({"generationConfig": config})).format,
            expected,
            "{config}"
        );
    }
}

#[test]
fn tools_have_either_kind_of_schema() {
    let request = read(json!({"tools": [
        {"functionDeclarations": [
            {"name": "a", "description": "d", "parameters": {"type": "OBJECT", "properties": {"x_y": {"type": "STRING"}}}},
            {"name": "b", "parametersJsonSchema": {"type": "object"}, "response": {}, "behavior": "BLOCKING"},
        ]},
        {"google_search": {}},
        {"function_declarations": [{"name": "c"}]},
    ]}));
    let schemas: Vec<_> = request
        .tools
        .iter()
        .map(|tool| (tool.name.as_str(), tool.schema.clone()))
        .collect();
    let expected = [
        (
            "a",
            Some(json!({"type": "object", "properties": {"x_y": {"type": "string"}}})),
        ),
        ("b", Some(json!({"type": "object"}))),
        ("c", None),
    ];
    assert_eq!(schemas, expected);
    assert_eq!(request.dropped, ["tools[1].googleSearch"]);
}

#[test]
fn calling_may_be_free_forced_or_forbidden() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    for (config, expected) in [
        (json!({}), None),
        (json!({"mode": "MODE_UNSPECIFIED"}), None),
        (json!({"mode": "AUTO"}), Some(ToolChoice::Auto)),
        (json!({"mode": "auto"}), Some(ToolChoice::Auto)),
        (json!({"mode": "VALIDATED"}), Some(ToolChoice::Auto)),
        (json!({"mode": "NONE"}), Some(ToolChoice::None)),
        (json!({"mode": "ANY"}), Some(ToolChoice::Any)),
        (
            json!({"mode": "ANY", "allowed_function_names": ["f"]}),
            Some(ToolChoice::Tool("f".into())),
        ),
        (
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
            Some(ToolChoice::Allowed(true, names(&["f", "g"]))),
        ),
        (
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
            Some(ToolChoice::Allowed(false, names(&["f"]))),
        ),
    ] {
        let request = read(json!({"toolConfig": {"functionCallingConfig": config}}));
        assert_eq!(request.tool_choice, expected, "{config}");
    }
}

#[test]
fn what_means_nothing_elsewhere_is_named() {
    let request = read(json!({
        "model": "models/m", "safety_settings": [{}], "labels": {"a": "b"}, "store": true, "serviceTier": "x",
        "unknown": 1, "nothing": null, "generationConfig": {"speechConfig": {}},
        "toolConfig": {"retrievalConfig": {}},
    }));
    let mut dropped = request.dropped;
    dropped.sort();
    let expected = [
        "generationConfig.speechConfig",
        "labels",
        "safetySettings",
        "serviceTier",
        "store",
        "toolConfig.retrievalConfig",
        "unknown",
    ];
    assert_eq!(dropped, expected);
}
