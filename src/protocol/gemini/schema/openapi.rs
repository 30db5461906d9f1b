//! From JSON Schema to Google's `Schema`.

use serde_json::{Map, Value, json};

const KINDS: [&str; 6] = ["string", "number", "integer", "boolean", "array", "object"];

/// How deep references may lead.
const DEPTH_MAX: usize = 16;

/// How many schemas one may become. References that fan out would grow without end.
const SCHEMAS_MAX: usize = 4096;

/// What is the same on both sides.
const SAME: [&str; 15] = [
    "title",
    "description",
    "nullable",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "default",
    "minimum",
    "maximum",
    "propertyOrdering",
];

/// How deep schemas may be nested when their references are written out.
const NESTED_MAX: usize = 64;

/// JSON Schema as a `Schema`.
pub(in crate::protocol::gemini) fn to_openapi(schema: &Value) -> Value {
    let mut writer = Writer {
        root: schema,
        within: Vec::new(),
        depth: 0,
        left: SCHEMAS_MAX,
    };
    writer.schema(schema)
}

struct Writer<'a> {
    root: &'a Value,
    /// The references that are being written out.
    within: Vec<String>,
    depth: usize,
    /// How many schemas may still be written.
    left: usize,
}

impl Writer<'_> {
    fn schema(&mut self, schema: &Value) -> Value {
        if self.left == 0 || self.depth == NESTED_MAX {
            return any_object();
        }
        let Value::Object(members) = schema else {
            return any();
        };
        self.left -= 1;
        self.depth += 1;
        let out = if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            self.referred(reference, members)
        } else if let Some(Value::Array(all)) = members.get("allOf") {
            self.merged(members, all)
        } else {
            self.plain(members).into()
        };
        self.depth -= 1;
        out
    }

    fn plain(&mut self, members: &Map<String, Value>) -> Map<String, Value> {
        let mut out = Map::new();
        for name in SAME {
            if let Some(value) = members.get(name).filter(|value| !value.is_null()) {
                let weight = value.as_str().map_or(0, |text| text.len() / 256);
                self.left = self.left.saturating_sub(weight);
                out.insert(name.to_owned(), value.clone());
            }
        }
        for (exclusive, name) in [
            ("exclusiveMinimum", "minimum"),
            ("exclusiveMaximum", "maximum"),
        ] {
            if let Some(bound @ Value::Number(_)) = members.get(exclusive) {
                out.entry(name).or_insert_with(|| bound.clone());
            }
        }
        let branches = ["anyOf", "oneOf"]
            .into_iter()
            .find_map(|name| members.get(name).and_then(Value::as_array));
        if let Some(branches) = branches
            && !members.contains_key("properties")
        {
            self.any_of(branches, members.get("type"), &mut out);
            return out;
        }
        let values = values(members, &mut out);
        let kinds = kinds(members, values.as_deref(), &mut out);
        match kinds.as_slice() {
            [] => self.of_kind("string", members, values, &mut out),
            [kind] => self.of_kind(kind, members, values, &mut out),
            several => {
                let branches = several.iter().map(|kind| {
                    let mut branch = Map::new();
                    self.of_kind(kind, members, None, &mut branch);
                    Value::Object(branch)
                });
                let branches: Vec<_> = branches.collect();
                out.insert("anyOf".into(), branches.into());
            }
        }
        out
    }

    /// What a reference stands for, written out. What stands beside it says more of it.
    fn referred(&mut self, reference: &str, beside: &Map<String, Value>) -> Value {
        let found = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer));
        let circular = self.within.iter().any(|outer| outer == reference);
        let mut out = match found {
            Some(schema) if !circular && self.within.len() < DEPTH_MAX => {
                self.within.push(reference.to_owned());
                let out = self.schema(schema);
                self.within.pop();
                out
            }
            _ => any_object(),
        };
        for name in ["title", "description", "default"] {
            if let Some(value) = beside.get(name) {
                out[name] = value.clone();
            }
        }
        out
    }

    /// All of them at once: what the first says of a member stands, properties are put together.
    fn merged(&mut self, members: &Map<String, Value>, all: &[Value]) -> Value {
        self.left = self.left.saturating_sub(all.len() * 8);
        let mut whole = members.clone();
        whole.shift_remove("allOf");
        for schema in all {
            let Some(part) = self.resolved(schema) else {
                continue;
            };
            for (name, value) in part {
                match (whole.get_mut(&name), value) {
                    (Some(Value::Object(held)), Value::Object(more)) => {
                        for (name, value) in more {
                            held.entry(name).or_insert(value);
                        }
                    }
                    (Some(Value::Array(held)), Value::Array(more)) if name == "required" => {
                        held.extend(more);
                    }
                    (Some(_), _) => {}
                    (None, value) => {
                        whole.insert(name, value);
                    }
                }
            }
        }
        // Only one level is put together.
        whole.shift_remove("allOf");
        self.plain(&whole).into()
    }

    /// The members of a schema, behind a reference if need be.
    fn resolved(&self, schema: &Value) -> Option<Map<String, Value>> {
        let mut schema = schema;
        for _ in 0..DEPTH_MAX {
            match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => schema = self.root.pointer(reference.strip_prefix('#')?)?,
                None => return schema.as_object().cloned(),
            }
        }
        None
    }

    /// A union. `null` among its branches is a mark on the whole.
    fn any_of(&mut self, branches: &[Value], kind: Option<&Value>, out: &mut Map<String, Value>) {
        let mut written: Vec<Value> = Vec::new();
        for branch in branches {
            if is_null(branch) {
                out.insert("nullable".into(), true.into());
                continue;
            }
            let mut branch = branch.clone();
            if let (Some(members), Some(kind)) = (branch.as_object_mut(), kind) {
                let says_itself = ["type", "$ref", "anyOf", "oneOf", "allOf"];
                if !says_itself.iter().any(|name| members.contains_key(*name)) {
                    members.insert("type".into(), kind.clone());
                }
            }
            let branch = self.schema(&branch);
            if !written.contains(&branch) {
                written.push(branch);
            }
        }
        if written.len() > 1 {
            out.insert("anyOf".into(), written.into());
        } else {
            let only = written.pop().unwrap_or_else(any);
            for (name, value) in only.as_object().cloned().unwrap_or_default() {
                out.entry(name).or_insert(value);
            }
        }
    }

    fn of_kind(
        &mut self,
        kind: &str,
        members: &Map<String, Value>,
        values: Option<Vec<Value>>,
        out: &mut Map<String, Value>,
    ) {
        out.insert("type".into(), kind.to_ascii_uppercase().into());
        if let Some(format) = members.get("format").and_then(Value::as_str)
            && is_known(kind, format)
        {
            out.insert("format".into(), format.into());
        }
        add_values(kind, values, out);
        match kind {
            "object" => self.object(members, out),
            "array" => self.array(members, out),
            _ => {}
        }
    }

    fn object(&mut self, members: &Map<String, Value>, out: &mut Map<String, Value>) {
        let Some(Value::Object(properties)) = members.get("properties") else {
            return;
        };
        let properties = properties
            .iter()
            .map(|(name, schema)| (name.clone(), self.schema(schema)));
        let properties: Map<_, _> = properties.collect();
        if properties.is_empty() {
            return;
        }
        if let Some(Value::Array(required)) = members.get("required") {
            let mut known: Vec<&str> = Vec::new();
            for name in required.iter().filter_map(Value::as_str) {
                if properties.contains_key(name) && !known.contains(&name) {
                    known.push(name);
                }
            }
            if !known.is_empty() {
                out.insert("required".into(), json!(known));
            }
        }
        out.insert("properties".into(), properties.into());
    }

    /// An array must say of what. A tuple is an array of whatever is in it.
    fn array(&mut self, members: &Map<String, Value>, out: &mut Map<String, Value>) {
        let items = match (members.get("items"), members.get("prefixItems")) {
            (Some(schema @ Value::Object(_)), _) => self.schema(schema),
            (Some(Value::Array(tuple)), _) | (_, Some(Value::Array(tuple)))
                if !tuple.is_empty() =>
            {
                let mut branches: Vec<Value> = Vec::new();
                for schema in tuple {
                    let branch = self.schema(schema);
                    if !branches.contains(&branch) {
                        branches.push(branch);
                    }
                }
                match branches.pop() {
                    Some(only) if branches.is_empty() => only,
                    Some(last) => {
                        branches.push(last);
                        json!({"anyOf": branches})
                    }
                    None => any(),
                }
            }
            _ => any(),
        };
        out.insert("items".into(), items);
    }
}

/// What the value must be one of. `null` among them is a mark on the whole.
fn values(members: &Map<String, Value>, out: &mut Map<String, Value>) -> Option<Vec<Value>> {
    let listed = members.get("enum").and_then(Value::as_array).cloned();
    let constant = || members.get("const").map(|value| vec![value.clone()]);
    let mut values = listed.or_else(constant)?;
    if values.iter().any(Value::is_null) {
        out.insert("nullable".into(), true.into());
        values.retain(|value| !value.is_null());
    }
    (!values.is_empty()).then_some(values)
}

/// Of what types the value may be; none if nothing tells. `null` among them is a mark on the whole.
fn kinds(
    members: &Map<String, Value>,
    values: Option<&[Value]>,
    out: &mut Map<String, Value>,
) -> Vec<&'static str> {
    let told = match members.get("type") {
        Some(Value::Array(kinds)) => kinds.as_slice(),
        Some(kind) => std::slice::from_ref(kind),
        None => &[],
    };
    let told = told.iter().filter_map(Value::as_str);
    let mut kinds: Vec<&'static str> = Vec::new();
    for kind in told {
        if kind.eq_ignore_ascii_case("null") {
            out.insert("nullable".into(), true.into());
        }
        let known = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind));
        kinds.extend(known.filter(|known| !kinds.contains(known)).copied());
    }
    if !kinds.is_empty() || members.contains_key("type") {
        return kinds;
    }
    if members.contains_key("properties") {
        return vec!["object"];
    }
    if members.contains_key("items") || members.contains_key("prefixItems") {
        return vec!["array"];
    }
    let mut of_values = values.unwrap_or_default().iter().map(kind_of);
    let first = of_values.next().flatten();
    match first.filter(|first| of_values.all(|kind| kind == Some(first))) {
        Some(kind) => vec![kind],
        None => Vec::new(),
    }
}

fn kind_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some("integer"),
        Value::Number(_) => Some("number"),
        _ => None,
    }
}

/// `enum` is for strings. Numbers keep their type, as the tool expects one, and are told in words.
fn add_values(kind: &str, values: Option<Vec<Value>>, out: &mut Map<String, Value>) {
    let Some(values) = values else {
        return;
    };
    let texts = values.into_iter().map(|value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
    match kind {
        _ if texts.is_empty() => {}
        "string" => {
            out.insert("enum".into(), json!(texts));
        }
        "integer" | "number" | "boolean" => {
            let one_of = format!("One of: {}", texts.join(", "));
            let description = match out.get("description").and_then(Value::as_str) {
                Some(said) if !said.is_empty() => format!("{said} {one_of}"),
                _ => one_of,
            };
            out.insert("description".into(), description.into());
        }
        _ => {}
    }
}

/// Whether Google takes this format: others it refuses.
fn is_known(kind: &str, format: &str) -> bool {
    matches!(
        (kind, format),
        ("string", "date-time" | "enum")
            | ("number", "float" | "double")
            | ("integer", "int32" | "int64")
    )
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null" || schema.get("const").is_some_and(Value::is_null)
}

/// A type is demanded also where anything goes.
fn any() -> Value {
    json!({"type": "STRING"})
}

fn any_object() -> Value {
    json!({"type": "OBJECT"})
}
