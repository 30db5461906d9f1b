//! What providers are sent beside the conversation.

use serde_json::json;

use super::{plain, sent, with};
use crate::chat::{Effort, Format, Sampling, Tool, ToolChoice};
use crate::protocol::{Dialect, SchemaStyle, ThinkingStyle};

#[test]
fn wishes_for_the_answer_go_by_googles_names() {
    let body = sent(
        &with(|request| {
            request.max_tokens = Some(9);
            request.sampling = Sampling {
                temperature: Some(2.5),
                top_p: Some(0.5),
                top_k: Some(3),
                seed: Some((1 << 32) + 7),
                presence_penalty: Some(0.1),
                frequency_penalty: Some(0.2),
            };
            request.stop = vec!["x".into()];
            request.logprobs = Some(2);
        }),
        &plain(),
    );
    let expected = json!({
        "maxOutputTokens": 9, "temperature": 2.0, "topP": 0.5, "topK": 3, "seed": 7, "presencePenalty": 0.1,
        "frequencyPenalty": 0.2, "stopSequences": ["x"], "responseLogprobs": true, "logprobs": 2,
    });
    assert_eq!(body["generationConfig"], expected);
}

#[test]
fn effort_is_a_word_or_a_number() {
    let budget = Dialect {
        thinking_style: ThinkingStyle::Budget,
        ..plain()
    };
    for (effort, word, tokens, shown) in [
        (Effort::None, "MINIMAL", 0, false),
        (Effort::Minimal, "MINIMAL", 512, true),
        (Effort::Low, "LOW", 2048, true),
        (Effort::Medium, "MEDIUM", 8192, true),
        (Effort::High, "HIGH", 16384, true),
        (Effort::XHigh, "XHIGH", 24576, true),
        (Effort::Max, "XHIGH", 32768, true),
    ] {
        let request = with(|request| request.effort = Some(effort));
        for (dialect, mut expected) in [
            (&plain(), json!({"thinkingLevel": word})),
            (&budget, json!({"thinkingBudget": tokens})),
        ] {
            if shown {
                expected["includeThoughts"] = true.into();
            }
            let body = sent(&request, dialect);
            assert_eq!(
                body["generationConfig"]["thinkingConfig"], expected,
                "{effort:?}"
            );
        }
    }
    let request = with(|request| {
        request.effort = Some(Effort::High);
        request.max_tokens = Some(1000);
    });
    let config = sent(&request, &budget)["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(config["thinkingBudget"], 999);
    let request = with(|request| {
        request.effort = Some(Effort::High);
        request.max_tokens = Some(1);
    });
    let config = sent(&request, &budget)["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(config, json!({"thinkingBudget": 0}), "no room to think");
    let request = with(|request| request.include_thoughts = true);
    let config = sent(&request, &plain())["generationConfig"]["thinkingConfig"].clone();
    assert_eq!(config, json!({"includeThoughts": true}));
}

#[test]
fn schemas_are_in_the_language_of_the_provider() {
    let schema = json!({"$schema": "x", "type": "object", "properties": {"a": {"type": ["string", "null"]}}});
    let request = with(|request| {
        request.tools = vec![
            Tool {
                name: "f".into(),
                description: Some("d".into()),
                schema: Some(schema.clone()),
                ..Tool::default()
            },
            Tool {
                name: "g".into(),
                schema: Some(json!({"type": "object", "properties": {}})),
                ..Tool::default()
            },
        ];
        request.format = Format::JsonSchema {
            name: Some("n".into()),
            description: None,
            schema: schema.clone(),
            strict: Some(true),
        };
    });
    let body = sent(&request, &plain());
    let expected = json!([{"functionDeclarations": [
        {"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "g"},
    ]}]);
    assert_eq!(body["tools"], expected);
    let expected = json!({"responseMimeType": "application/json", "responseJsonSchema": schema});
    assert_eq!(body["generationConfig"], expected);
    let older = Dialect {
        schema_style: SchemaStyle::OpenApi,
        ..plain()
    };
    let body = sent(&request, &older);
    let converted =
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}});
    let expected = json!([{"functionDeclarations": [
        {"name": "f", "description": "d", "parameters": converted}, {"name": "g"},
    ]}]);
    assert_eq!(body["tools"], expected);
    let expected = json!({"responseMimeType": "application/json", "responseSchema": converted});
    assert_eq!(body["generationConfig"], expected);
}

#[test]
fn any_json_needs_no_schema() {
    let body = sent(
        &with(|request| request.format = Format::JsonObject),
        &plain(),
    );
    assert_eq!(
        body["generationConfig"],
        json!({"responseMimeType": "application/json"})
    );
}

#[test]
fn calling_may_be_free_forced_or_forbidden() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    for (choice, expected, offered) in [
        (ToolChoice::Auto, json!({"mode": "AUTO"}), 2),
        (ToolChoice::None, json!({"mode": "NONE"}), 2),
        (ToolChoice::Any, json!({"mode": "ANY"}), 2),
        (
            ToolChoice::Tool("f".into()),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
            2,
        ),
        (
            ToolChoice::Allowed(true, names(&["f", "g"])),
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}),
            2,
        ),
        (
            ToolChoice::Allowed(false, names(&["g"])),
            json!({"mode": "AUTO"}),
            1,
        ),
    ] {
        let request = with(|request| {
            request.tool_choice = Some(choice.clone());
            request.tools = ["f", "g"]
                .map(|name| Tool {
                    name: name.into(),
                    ..Tool::default()
                })
                .into();
        });
        let body = sent(&request, &plain());
        assert_eq!(body["toolConfig"]["functionCallingConfig"], expected);
        let declared = body["tools"][0]["functionDeclarations"].as_array().unwrap();
        assert_eq!(declared.len(), offered, "{choice:?}");
    }
    let body = sent(
        &with(|request| request.tool_choice = Some(ToolChoice::Any)),
        &plain(),
    );
    assert!(
        body.get("toolConfig").is_none(),
        "without tools there is no choice"
    );
}
