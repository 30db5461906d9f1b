//! JSON Schema and the subset of OpenAPI that Google calls `Schema`, both ways.
//!
//! `Schema` has no references, no unions of types and no keywords beyond a handful, and whatever else it is given it
//! refuses. So references are written out, unions become `anyOf`, and the rest is left out: a model that sees less of
//! a schema still calls the tool, while a refused request helps nobody.

mod openapi;

use serde_json::{Map, Value, json};

pub(super) use openapi::to_openapi;

/// Whether a function with this schema takes nothing: then it is declared without one.
pub(super) fn takes_nothing(schema: &Value) -> bool {
    let empty = |name: &str| {
        schema
            .get(name)
            .and_then(Value::as_object)
            .is_none_or(Map::is_empty)
    };
    let Some(members) = schema.as_object() else {
        return true;
    };
    let is_object = members.get("type").is_none_or(|kind| {
        kind.as_str()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("object"))
    });
    let combined = ["$ref", "anyOf", "oneOf", "allOf", "patternProperties"];
    let open = members
        .get("additionalProperties")
        .is_some_and(Value::is_object);
    is_object
        && empty("properties")
        && !open
        && !combined.iter().any(|name| members.contains_key(*name))
}

/// A client's `Schema` as JSON Schema. What is JSON Schema already stays what it is.
pub(super) fn from_openapi(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return schema;
    };
    let mut plain = Map::with_capacity(members.len());
    let mut nullable = false;
    for (name, value) in members {
        let name = super::names::camel(&name);
        match (name.as_str(), value) {
            ("type", Value::String(kind)) => {
                if !kind.eq_ignore_ascii_case("TYPE_UNSPECIFIED") {
                    plain.insert(name, kind.to_ascii_lowercase().into());
                }
            }
            ("nullable", value) => nullable = value == Value::Bool(true),
            // Says only that there is an `enum`.
            ("format", Value::String(format)) if format == "enum" => {}
            // The order of properties is theirs already.
            ("propertyOrdering", _) => {}
            ("example", value) => {
                plain.insert("examples".into(), json!([value]));
            }
            ("properties" | "$defs" | "defs", Value::Object(properties)) => {
                let properties = properties
                    .into_iter()
                    .map(|(name, schema)| (name, from_openapi(schema)));
                let name = if name == "defs" { "$defs".into() } else { name };
                plain.insert(name, Value::Object(properties.collect()));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(schemas)) => {
                let schemas = schemas.into_iter().map(from_openapi);
                plain.insert(name, schemas.collect());
            }
            ("items" | "additionalProperties", schema) => {
                plain.insert(name, from_openapi(schema));
            }
            // Numbers of 64 bits are strings in Google's JSON.
            (
                "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minLength"
                | "maxLength",
                Value::String(digits),
            ) => {
                if let Ok(count) = digits.parse::<u64>() {
                    plain.insert(name, count.into());
                }
            }
            ("ref", value) => {
                plain.insert("$ref".into(), value);
            }
            (_, value) => {
                plain.insert(name, value);
            }
        }
    }
    if nullable {
        allow_null(&mut plain);
    }
    plain.into()
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind @ Value::String(_)) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    } else if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
        schemas.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}
