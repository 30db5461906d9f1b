//! JSON Schemas as the vendor wants them.

use serde_json::{Map, Value, json};

/// Members of a schema that are schemas by name.
const BY_NAME: [&str; 3] = ["properties", "$defs", "definitions"];

/// Members of a schema that are a schema, or a list of them.
const NESTED: [&str; 4] = ["items", "anyOf", "oneOf", "allOf"];

/// The schema of a tool's arguments, which must be one of an object.
pub(super) fn of_arguments(schema: Option<&Value>) -> Value {
    let Some(Value::Object(schema)) = schema else {
        return json!({"type": "object", "properties": {}});
    };
    let mut schema = schema.clone();
    if schema.get("type").is_none_or(|kind| kind != "object") {
        schema.insert("type".into(), "object".into());
    }
    unite(&mut schema);
    schema.into()
}

/// The vendor refuses alternatives at the top of a tool's schema: they become one object that has the members of all,
/// of which only those that every call has are demanded.
fn unite(schema: &mut Map<String, Value>) {
    for (name, is_all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
        let Some(Value::Array(variants)) = schema.shift_remove(name) else {
            continue;
        };
        let variants = variants.into_iter().filter_map(|variant| match variant {
            Value::Object(variant) => Some(variant),
            _ => None,
        });
        for mut variant in variants {
            if let Some(Value::Object(own)) = variant.shift_remove("properties") {
                let members = schema.entry("properties").or_insert_with(|| json!({}));
                if let Value::Object(members) = members {
                    own.into_iter().for_each(|(name, member)| {
                        members.entry(name).or_insert(member);
                    });
                }
            }
            if let (true, Some(Value::Array(own))) = (is_all, variant.shift_remove("required")) {
                let required = schema.entry("required").or_insert_with(|| json!([]));
                if let Value::Array(required) = required {
                    required.extend(own);
                }
            }
        }
    }
}

/// The schema of an answer. The vendor insists that objects say that they have no other members than those that
/// are named; other vendors' clients do not say it.
pub(super) fn of_answer(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close(&mut schema);
    schema
}

/// What the vendor refuses in schemas of answers. Without it the answer is of the same form.
const UNSUPPORTED: [&str; 11] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
];

fn close(schema: &mut Value) {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(schemas) => return schemas.iter_mut().for_each(close),
        _ => return,
    };
    for name in BY_NAME {
        if let Some(Value::Object(schemas)) = members.get_mut(name) {
            schemas.values_mut().for_each(close);
        }
    }
    for name in NESTED {
        members.get_mut(name).into_iter().for_each(close);
    }
    for name in UNSUPPORTED {
        members.shift_remove(name);
    }
    if names_members(members) && !members.contains_key("additionalProperties") {
        members.insert("additionalProperties".into(), false.into());
    }
}

/// Whether it is of an object that has members at all. One of any members cannot be had from the vendor, and it
/// says so better than we could.
fn names_members(schema: &Map<String, Value>) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| !properties.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_at_the_top_become_one_object() {
        let schema = json!({
            "properties": {"a": {"type": "string"}}, "required": ["a"],
            "allOf": [{"properties": {"b": {}}, "required": ["b"]}],
            "anyOf": [{"properties": {"c": {}}, "required": ["c"]}, {"properties": {"a": {}, "d": {}}}, true],
        });
        let expected = json!({
            "properties": {"a": {"type": "string"}, "b": {}, "c": {}, "d": {}}, "required": ["a", "b"],
            "type": "object",
        });
        assert_eq!(of_arguments(Some(&schema)), expected);
    }

    #[test]
    fn what_the_vendor_refuses_of_an_answer_is_left_out() {
        let schema = json!({"type": "object", "properties": {
            "minimum": {"type": "integer", "minimum": 1, "maximum": 9},
        }});
        let expected = json!({"type": "object", "properties": {"minimum": {"type": "integer"}},
            "additionalProperties": false});
        assert_eq!(of_answer(&schema), expected);
    }
}
