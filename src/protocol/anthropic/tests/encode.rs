//! What providers are sent.

use super::*;

#[test]
fn the_least_request_names_a_bound() {
    let out = written(&hello());
    assert_eq!(
        out.body,
        json!({
            "model": "claude",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
            "max_tokens": 8192,
        })
    );
    assert_eq!(out.dropped, [] as [&str; 0]);
    let dialect = Dialect {
        default_max_tokens: 100,
        ..Dialect::plain(Protocol::Anthropic)
    };
    assert_eq!(written_for(&hello(), &dialect).body["max_tokens"], 100);
    let mut request = hello();
    request.max_tokens = Some(0);
    assert_eq!(written(&request).body["max_tokens"], 1);
}

#[test]
fn a_request_is_written_in_full() {
    let mut request = asking(vec![
        user(vec![Part::text("what time is it?")]),
        assistant(vec![
            Part::text("I look."),
            call("toolu_1", "now", r#"{"zone":"UTC","precision":1.50}"#),
            call("toolu_2", "now", ""),
        ]),
        user(vec![
            result("toolu_1", "12:00"),
            Part::Result(ToolResult {
                id: "toolu_2".into(),
                is_error: true,
                ..ToolResult::default()
            }),
            Part::text("well?"),
        ]),
    ]);
    request.system = vec!["Be brief.".into(), String::new(), "Be kind.".into()];
    request.tools = vec![Tool {
        name: "now".into(),
        description: Some("tells the time".into()),
        schema: Some(json!({"type": "object", "properties": {"zone": {"type": "string"}}})),
        strict: Some(true),
        ..Tool::default()
    }];
    request.tool_choice = Some(ToolChoice::Auto);
    request.parallel_tools = Some(false);
    request.max_tokens = Some(500);
    request.sampling.temperature = Some(1.7);
    request.sampling.top_k = Some(5);
    request.stop = vec!["END".into(), " \n".into()];
    request.user = Some("u".into());
    request.stream = true;
    let out = written(&request);
    let expected = json!({
        "model": "claude",
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "what time is it?"}]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "now",
                 "input": serde_json::from_str::<Value>(r#"{"zone":"UTC","precision":1.50}"#).unwrap()},
                {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "error", "is_error": true},
                {"type": "text", "text": "well?"}]},
        ],
        "tools": [{"name": "now", "description": "tells the time", "strict": true,
                   "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "max_tokens": 500, "temperature": 1.0, "top_k": 5, "stop_sequences": ["END"],
        "metadata": {"user_id": "u"}, "stream": true,
    });
    assert_eq!(out.body, expected);
    assert_eq!(out.dropped, ["stop"]);
}

#[test]
fn what_the_vendor_has_no_word_for_is_left_out_and_named() {
    let mut request = hello();
    request.sampling = Sampling {
        temperature: Some(0.2),
        top_p: Some(0.9),
        top_k: None,
        seed: Some(7),
        presence_penalty: Some(0.1),
        frequency_penalty: Some(0.1),
    };
    let out = written(&request);
    assert_eq!(
        out.dropped,
        ["top_p", "seed", "presence_penalty", "frequency_penalty"]
    );
    request.sampling.temperature = None;
    assert_eq!(written(&request).body["top_p"], 0.9);
}

#[test]
fn what_would_change_the_answer_is_refused() {
    let inexpressible = |change: &dyn Fn(&mut Request), param: &str| {
        let mut request = hello();
        change(&mut request);
        let dialect = Dialect::plain(Protocol::Anthropic);
        let failure = encode_request(&request, to(&dialect)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Inexpressible);
        assert_eq!(failure.param.as_deref(), Some(param));
    };
    let show = |medium: Media| {
        move |request: &mut Request| request.turns[0].parts.push(Part::Media(medium.clone()))
    };
    inexpressible(&|request| request.choices = 2, "n");
    inexpressible(&|request| request.logprobs = Some(0), "logprobs");
    let must = ToolChoice::Allowed(true, vec!["g".into()]);
    inexpressible(
        &|request| {
            request.tools = vec![tool("f")];
            request.tool_choice = Some(must.clone());
        },
        "tool_choice",
    );
    let here = || Source::Base64("AAAA".into());
    let there = Source::File(Vendor::OpenAi, "file-1".into());
    for medium in [
        medium(MediaKind::Audio, here(), Some("audio/wav")),
        medium(MediaKind::Image, here(), Some("image/tiff")),
        medium(MediaKind::Image, here(), None),
        medium(MediaKind::Document, here(), Some("application/msword")),
        medium(MediaKind::Document, there, None),
    ] {
        inexpressible(&show(medium), "messages");
    }
}

#[test]
fn a_choice_of_tools_is_said_in_the_vendors_words() {
    use ToolChoice::{Allowed, Any, Auto, None as Nothing, Tool};
    let only_f = || vec!["f".to_owned()];
    for (choice, parallel, expected, offered) in [
        (None, None, Value::Null, 2),
        (None, Some(true), Value::Null, 2),
        (
            None,
            Some(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            2,
        ),
        (Some(Auto), None, json!({"type": "auto"}), 2),
        (Some(Nothing), Some(false), json!({"type": "none"}), 2),
        (
            Some(Any),
            Some(false),
            json!({"type": "any", "disable_parallel_tool_use": true}),
            2,
        ),
        (
            Some(Tool("g".into())),
            None,
            json!({"type": "tool", "name": "g"}),
            2,
        ),
        (
            Some(Allowed(true, only_f())),
            None,
            json!({"type": "any"}),
            1,
        ),
        (Some(Allowed(false, only_f())), None, Value::Null, 1),
        (
            Some(Allowed(false, only_f())),
            Some(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            1,
        ),
    ] {
        let mut request = hello();
        request.tools = vec![tool("f"), tool("g")];
        request.tool_choice = choice.clone();
        request.parallel_tools = parallel;
        let body = written(&request).body;
        assert_eq!(body["tool_choice"], expected, "{choice:?} {parallel:?}");
        assert_eq!(body["tools"].as_array().unwrap().len(), offered);
    }
    // Without tools nothing is to be chosen.
    let mut request = hello();
    request.tool_choice = Some(Auto);
    request.parallel_tools = Some(false);
    let body = written(&request).body;
    assert!(body.get("tools").is_none() && body.get("tool_choice").is_none());
}

#[test]
fn arguments_are_always_those_of_an_object() {
    for (schema, expected) in [
        (None, json!({"type": "object", "properties": {}})),
        (
            Some(json!(true)),
            json!({"type": "object", "properties": {}}),
        ),
        (
            Some(json!({"properties": {"a": {}}})),
            json!({"properties": {"a": {}}, "type": "object"}),
        ),
        (
            Some(json!({"type": ["object", "null"]})),
            json!({"type": "object"}),
        ),
        (
            Some(json!({"$schema": "s", "type": "object"})),
            json!({"$schema": "s", "type": "object"}),
        ),
    ] {
        let mut request = hello();
        request.tools = vec![Tool {
            schema,
            strict: Some(false),
            ..tool("f")
        }];
        assert_eq!(
            written(&request).body["tools"][0],
            json!({"name": "f", "input_schema": expected})
        );
    }
}

#[test]
fn json_is_asked_for_in_words_or_by_its_schema() {
    let mut request = hello();
    request.format = Format::JsonObject;
    let body = written(&request).body;
    let line = json!([{"type": "text", "text": "Respond with a single JSON object."}]);
    assert_eq!(body["system"], line);

    request.effort = Some(Effort::Low);
    request.format = Format::JsonSchema {
        name: Some("n".into()),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    let body = written(&request).body;
    assert_eq!(
        body["output_config"],
        json!({"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}})
    );
    assert!(body.get("system").is_none());
}

#[test]
fn the_objects_of_an_answer_have_no_other_members() {
    for (schema, expected) in [
        (
            json!({"type": "object", "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}}},
                "c": {"type": "array", "items": {"anyOf": [
                    {"type": "null"}, {"type": "object", "properties": {"d": {}}}]}},
                "e": {"$ref": "#/$defs/f"}},
                "$defs": {"f": {"type": "object", "properties": {"g": {}}}}}),
            json!({"type": "object", "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": false},
                "c": {"type": "array", "items": {"anyOf": [
                    {"type": "null"},
                    {"type": "object", "properties": {"d": {}}, "additionalProperties": false}]}},
                "e": {"$ref": "#/$defs/f"}},
                "$defs": {"f": {"type": "object", "properties": {"g": {}}, "additionalProperties": false}},
                "additionalProperties": false}),
        ),
        (json!({"type": "object"}), json!({"type": "object"})),
        (
            json!({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}),
            json!({"properties": {"a": {}}, "additionalProperties": {"type": "string"}}),
        ),
        (json!(true), json!(true)),
    ] {
        let mut request = hello();
        request.format = Format::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: None,
        };
        let body = written(&request).body;
        assert_eq!(body["output_config"]["format"]["schema"], expected);
    }
}

#[test]
fn a_request_is_counted_without_what_only_matters_to_its_answer() {
    let mut request = hello();
    request.system = vec!["s".into()];
    request.tools = vec![tool("f")];
    request.effort = Some(Effort::Low);
    request.max_tokens = Some(100);
    request.sampling.temperature = Some(0.5);
    request.stop = vec!["END".into()];
    request.user = Some("u".into());
    request.stream = true;
    let dialect = Dialect::plain(Protocol::Anthropic);
    let body = count_request(&request, to(&dialect)).unwrap();
    let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "model",
            "system",
            "messages",
            "tools",
            "thinking",
            "output_config"
        ]
    );
    assert_eq!(read_count(&json!({"input_tokens": 12})), Some(12));
    assert_eq!(read_count(&json!({"input_tokens": "many"})), None);
    assert_eq!(write_count(12), json!({"input_tokens": 12}));
}
