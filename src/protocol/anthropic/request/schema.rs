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
    schema.into()
}

/// The schema of an answer. The vendor insists that objects say that they have no other members than those that
/// are named; other vendors' clients do not say it.
pub(super) fn of_answer(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close(&mut schema);
    schema
}

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
