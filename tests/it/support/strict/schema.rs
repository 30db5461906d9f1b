//! JSON Schemas, and Google's own narrower kind of them.

use serde_json::Value;

use super::{Checked, ensure};

/// What tools of most vendors need: a schema of an object.
pub fn of_object(schema: &Value, at: &str) -> Checked {
    ensure(schema.is_object(), at, "is no schema")?;
    ensure(schema["type"] == "object", at, "is not of type object")
}

/// What Anthropic takes for the shape of an answer: objects that say that they have no further members.
pub fn closed(schema: &Value, at: &str) -> Checked {
    ensure(schema.is_object(), at, "is no schema")?;
    let is_object = schema["type"] == "object" || schema["properties"].is_object();
    let closed = schema["additionalProperties"] == false;
    ensure(
        closed || !is_object,
        at,
        "additionalProperties must be false",
    )?;
    for name in ["properties", "$defs"] {
        for (name, part) in schema[name].as_object().into_iter().flatten() {
            closed_part(part, &format!("{at}.{name}"))?;
        }
    }
    for part in schema["anyOf"].as_array().into_iter().flatten() {
        closed_part(part, at)?;
    }
    closed_part(&schema["items"], at)
}

fn closed_part(part: &Value, at: &str) -> Checked {
    match part {
        Value::Object(_) => closed(part, at),
        _ => Ok(()),
    }
}

/// Google's `Schema`, which refuses every word that it does not know.
pub fn openapi(schema: &Value, at: &str) -> Checked {
    const KNOWN: [&str; 22] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    ];
    const TYPES: [&str; 7] = [
        "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
    ];
    super::object(schema, at, &KNOWN)?;
    let kind = schema["type"].as_str().unwrap_or_default().to_uppercase();
    let fine =
        TYPES.contains(&kind.as_str()) || schema["type"].is_null() && schema["anyOf"].is_array();
    ensure(fine, at, "has no type")?;
    let properties = schema["properties"].as_object();
    if kind == "OBJECT" {
        let some = properties.is_some_and(|properties| !properties.is_empty());
        ensure(some, at, "should be non-empty for OBJECT type")?;
    }
    for (name, property) in properties.into_iter().flatten() {
        openapi(property, &format!("{at}.{name}"))?;
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let known = name
            .as_str()
            .and_then(|name| properties?.get(name))
            .is_some();
        ensure(known, at, &format!("required {name} is not defined"))?;
    }
    for word in schema["enum"].as_array().into_iter().flatten() {
        ensure(
            word.is_string() && kind == "STRING",
            at,
            "enum is only for texts",
        )?;
    }
    for part in schema["anyOf"].as_array().into_iter().flatten() {
        openapi(part, at)?;
    }
    match &schema["items"] {
        Value::Null => ensure(kind != "ARRAY", at, "has no items"),
        items => openapi(items, &format!("{at}[]")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A schema with one member more, or with another of that name.
    fn with(schema: &Value, name: &str, value: Value) -> Value {
        let mut schema = schema.clone();
        schema[name] = value;
        schema
    }

    #[test]
    fn googles_own() {
        let list =
            json!({"type": "array", "items": {"type": "STRING", "enum": ["x"], "nullable": true}});
        let whole = json!({"type": "OBJECT", "required": ["a"], "properties": {"a": list}});
        assert_eq!(openapi(&whole, "it"), Ok(()));
        let cases = [
            (with(&whole, "$schema", json!("x")), "unknown field"),
            (
                with(&whole, "additionalProperties", json!(false)),
                "unknown field",
            ),
            (
                with(&whole, "type", json!(["object", "null"])),
                "has no type",
            ),
            (with(&whole, "properties", json!({})), "non-empty"),
            (with(&whole, "required", json!(["b"])), "not defined"),
            (json!({"type": "INTEGER", "enum": ["1"]}), "only for texts"),
            (json!({"type": "ARRAY"}), "no items"),
        ];
        for (schema, complaint) in cases {
            let error = openapi(&schema, "it").unwrap_err();
            assert!(error.contains(complaint), "{schema}: {error}");
        }
    }

    #[test]
    fn closed_to_the_bottom() {
        let inner = json!({"type": "object", "properties": {}, "additionalProperties": false});
        let whole = with(
            &inner,
            "properties",
            json!({"a": {"type": "array", "items": inner}}),
        );
        assert_eq!(closed(&whole, "it"), Ok(()));
        let open = with(
            &whole,
            "properties",
            json!({"a": {"type": "array", "items": {"type": "object"}}}),
        );
        assert!(closed(&open, "it").is_err());
    }
}
