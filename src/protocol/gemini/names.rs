//! Names of members. Google takes `camelCase` and `snake_case` for the same; from here on there is only the first.

use serde_json::{Map, Value};

/// Members whose insides belong to somebody else: a tool's arguments, its answer, a schema.
const OPAQUE: [&str; 8] = [
    "args",
    "response",
    "parameters",
    "parametersJsonSchema",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "labels",
];

/// Gives all members their `camelCase` names.
pub(super) fn normalise(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(normalise),
        Value::Object(members) => {
            if members.keys().any(|name| name.contains('_')) {
                rename(members);
            }
            for (name, value) in members.iter_mut() {
                if !OPAQUE.contains(&name.as_str()) {
                    normalise(value);
                }
            }
        }
        _ => {}
    }
}

/// A member's `camelCase` name. Underscores at the beginning are part of it.
pub(super) fn camel(name: &str) -> String {
    let body = name.trim_start_matches('_');
    let mut camel = name[..name.len() - body.len()].to_owned();
    let mut words = body.split('_').filter(|word| !word.is_empty());
    camel.extend(words.next());
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Of two members with the same meaning the one with the `camelCase` name wins, unless it says nothing.
fn rename(members: &mut Map<String, Value>) {
    let mut renamed = Map::with_capacity(members.len());
    for (name, value) in std::mem::take(members) {
        let camel = camel(&name);
        let taken = renamed
            .get(&camel)
            .is_some_and(|held: &Value| !held.is_null());
        if !taken || camel == name && !value.is_null() {
            renamed.insert(camel, value);
        }
    }
    *members = renamed;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let mut value = json!({
            "system_instruction": {"parts": [{"text": "a_b"}]},
            "generation_config": {"max_output_tokens": 1, "maxOutputTokens": 2, "top_k": 3},
            "_responseJsonSchema": 1,
        });
        normalise(&mut value);
        let expected = json!({
            "systemInstruction": {"parts": [{"text": "a_b"}]},
            "generationConfig": {"maxOutputTokens": 2, "topK": 3},
            "_responseJsonSchema": 1,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn what_belongs_to_somebody_else_keeps_its_names() {
        let mut value = json!({
            "function_call": {"name": "f_g", "args": {"file_path": 1}},
            "function_response": {"response": {"exit_code": 1}},
            "function_declarations": [{"parameters": {"properties": {"a_b": {}}}}],
            "response_json_schema": {"properties": {"a_b": {}}},
        });
        normalise(&mut value);
        assert_eq!(value["functionCall"]["args"]["file_path"], 1);
        assert_eq!(value["functionResponse"]["response"]["exit_code"], 1);
        assert!(value["functionDeclarations"][0]["parameters"]["properties"]["a_b"].is_object());
        assert!(value["responseJsonSchema"]["properties"]["a_b"].is_object());
    }
}
