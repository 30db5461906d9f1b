//! Schemas, both ways.

use serde_json::json;

use crate::protocol::gemini::schema::{from_openapi, takes_nothing, to_openapi};

#[test]
fn json_schema_becomes_googles_schema() {
    for (what, schema, expected) in [
        (
            "types are upper-case",
            json!({"type": "object", "properties": {"a": {"type": "integer", "format": "int32"}}, "required": ["a"]}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "format": "int32"}}, "required": ["a"]}),
        ),
        (
            "what Google refuses is left out",
            json!({
                "$schema": "x", "$id": "y", "type": "object", "additionalProperties": false,
                "patternProperties": {}, "not": {}, "if": {}, "then": {}, "else": {}, "examples": [1],
                "properties": {"a": {"type": "string", "format": "uri"}},
            }),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
        ),
        (
            "what Google knows stays",
            json!({
                "type": "string", "title": "t", "description": "d", "minLength": 1, "maxLength": 2,
                "pattern": "p", "default": "x", "example": "y", "format": "date-time",
            }),
            json!({
                "type": "STRING", "title": "t", "description": "d", "minLength": 1, "maxLength": 2,
                "pattern": "p", "default": "x", "example": "y", "format": "date-time",
            }),
        ),
        (
            "constants are lists of one",
            json!({"const": "a"}),
            json!({"type": "STRING", "enum": ["a"]}),
        ),
        (
            "numbers that are listed keep their type",
            json!({"type": "integer", "enum": [1, 2], "description": "how many"}),
            json!({"type": "INTEGER", "description": "how many One of: 1, 2"}),
        ),
        (
            "a list tells the type",
            json!({"enum": [true]}),
            json!({"type": "BOOLEAN", "description": "One of: true"}),
        ),
        (
            "a mixed list is one of strings",
            json!({"enum": ["a", 1, null]}),
            json!({"type": "STRING", "nullable": true, "enum": ["a", "1"]}),
        ),
        (
            "oneOf is anyOf",
            json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            json!({"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ),
        (
            "null in a union marks the whole",
            json!({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"}),
            json!({"type": "STRING", "nullable": true, "description": "d"}),
        ),
        (
            "null among types marks the whole",
            json!({"type": ["string", "null"]}),
            json!({"type": "STRING", "nullable": true}),
        ),
        (
            "several types are a union",
            json!({"type": ["string", "integer"], "description": "d"}),
            json!({"description": "d", "anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        ),
        (
            "branches have the type of the whole",
            json!({"type": "object", "oneOf": [
                {"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}},
            ]}),
            json!({"anyOf": [
                {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
                {"type": "OBJECT", "properties": {"b": {"type": "STRING"}}},
            ]}),
        ),
        (
            "a union beside properties only refines",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}]}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
        ),
        (
            "allOf is put together",
            json!({
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"$ref": "#/$defs/b"},
                ],
                "$defs": {"b": {"properties": {"b": {"type": "number"}}, "required": ["b"]}},
            }),
            json!({
                "type": "OBJECT", "required": ["a", "b"],
                "properties": {"a": {"type": "STRING"}, "b": {"type": "NUMBER"}},
            }),
        ),
        (
            "exclusive bounds are bounds",
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!({"type": "NUMBER", "minimum": 0, "maximum": 1}),
        ),
        (
            "only what exists is required",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b", "a"]}),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}),
        ),
        (
            "an array says of what",
            json!({"type": "array", "minItems": 1}),
            json!({"type": "ARRAY", "minItems": 1, "items": {"type": "STRING"}}),
        ),
        (
            "a tuple is an array of what is in it",
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}, {"type": "string"}]}),
            json!({"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}}),
        ),
        (
            "references are written out",
            json!({
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/A", "description": "this one"}},
                "$defs": {"A": {"type": "string", "description": "any"}},
            }),
            json!({"type": "OBJECT", "properties": {"a": {"type": "STRING", "description": "this one"}}}),
        ),
        (
            "definitions have an older name",
            json!({"$ref": "#/definitions/A", "definitions": {"A": {"type": "boolean"}}}),
            json!({"type": "BOOLEAN"}),
        ),
        (
            "a circle ends in any object",
            json!({
                "$ref": "#/$defs/N",
                "$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}},
            }),
            json!({"type": "OBJECT", "properties": {"next": {"type": "OBJECT"}}}),
        ),
        (
            "a reference to nothing is any object",
            json!({"$ref": "https://example.com/schema"}),
            json!({"type": "OBJECT"}),
        ),
        ("anything goes", json!(true), json!({"type": "STRING"})),
        ("nothing is said", json!({}), json!({"type": "STRING"})),
        (
            "an object of whatever",
            json!({"type": "object", "properties": {}}),
            json!({"type": "OBJECT"}),
        ),
    ] {
        assert_eq!(to_openapi(&schema), expected, "{what}");
    }
}

#[test]
fn references_that_fan_out_come_to_an_end() {
    let mut definitions = serde_json::Map::new();
    for level in 0..30 {
        let next = json!({"$ref": format!("#/$defs/L{}", level + 1)});
        let properties = json!({"a": next, "b": next, "c": next});
        let schema = json!({"type": "object", "properties": properties});
        definitions.insert(format!("L{level}"), schema);
    }
    let schema = json!({"$ref": "#/$defs/L0", "$defs": definitions});
    assert!(to_openapi(&schema).to_string().len() < 1 << 20);
}

#[test]
fn circles_behind_all_of_come_to_an_end() {
    let schema = json!({
        "$ref": "#/$defs/A",
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"properties": {
            "x": {"allOf": [{"$ref": "#/$defs/A"}]},
            "y": {"allOf": [{"$ref": "#/$defs/A"}]},
        }}]}},
    });
    assert!(to_openapi(&schema).to_string().len() < 1 << 20);
}

#[test]
fn a_clients_schema_becomes_json_schema() {
    for (what, schema, expected) in [
        (
            "types are lower-case",
            json!({"type": "OBJECT", "properties": {"A_b": {"type": "STRING", "format": "enum", "enum": ["x"]}},
                "required": ["A_b"], "propertyOrdering": ["A_b"]}),
            json!({"type": "object", "properties": {"A_b": {"type": "string", "enum": ["x"]}}, "required": ["A_b"]}),
        ),
        (
            "what may be null says so by its type",
            json!({"type": "STRING", "nullable": true, "enum": ["a"]}),
            json!({"type": ["string", "null"], "enum": ["a", null]}),
        ),
        (
            "so does a union",
            json!({"any_of": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": true}),
            json!({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]}),
        ),
        (
            "numbers of 64 bits are strings",
            json!({"type": "ARRAY", "min_items": "1", "maxItems": 2, "items": {"type": "INTEGER"}}),
            json!({"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}}),
        ),
        (
            "an example is one of several",
            json!({"type": "STRING", "example": "x"}),
            json!({"type": "string", "examples": ["x"]}),
        ),
        (
            "no type is none",
            json!({"type": "TYPE_UNSPECIFIED", "description": "d"}),
            json!({"description": "d"}),
        ),
        (
            "what is JSON Schema already stays",
            json!({"type": ["string", "null"], "$ref": "#/$defs/x", "additionalProperties": false}),
            json!({"type": ["string", "null"], "$ref": "#/$defs/x", "additionalProperties": false}),
        ),
    ] {
        assert_eq!(from_openapi(schema), expected, "{what}");
    }
}

#[test]
fn a_simple_schema_survives_both_ways() {
    let schema = json!({
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "where", "enum": ["a", "b"]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "unit": {"type": ["string", "null"]},
        },
        "required": ["city"],
    });
    assert_eq!(from_openapi(to_openapi(&schema)), schema);
}

#[test]
fn a_function_that_takes_nothing_has_no_schema() {
    for (schema, expected) in [
        (json!({"type": "object", "properties": {}}), true),
        (
            json!({"type": "object", "additionalProperties": false}),
            true,
        ),
        (json!({}), true),
        (json!(true), true),
        (json!({"type": "object", "properties": {"a": {}}}), false),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            false,
        ),
        (json!({"$ref": "#/$defs/A"}), false),
    ] {
        assert_eq!(takes_nothing(&schema), expected, "{schema}");
    }
}
