//! For each dialect a request that is fine, and what each of many changes makes of it.

use api_gateway::simulator::Dialect;
use serde_json::{Value, json};

use super::check;

/// Where something is put, what (`null` takes it away), and a part of the complaint.
type Change = (&'static str, Value, &'static str);

struct Case {
    dialect: Dialect,
    path: &'static str,
    body: Value,
}

impl Case {
    fn check(&self, body: &Value) -> Result<(), String> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header("Content-Type", "application/json"),
            header("authorization", "Bearer k"),
            header("x-goog-api-key", "k"),
            header("anthropic-version", "2023-06-01"),
        ];
        check(
            self.dialect,
            self.path,
            &headers,
            body.to_string().as_bytes(),
        )
    }

    fn run(&self, changes: &[Change]) {
        assert_eq!(self.check(&self.body), Ok(()), "{:?}", self.dialect);
        for (place, value, complaint) in changes {
            let mut body = self.body.clone();
            let (parent, name) = place.rsplit_once('/').unwrap();
            let parent = body
                .pointer_mut(parent)
                .unwrap_or_else(|| panic!("{place}"));
            match (parent, value) {
                (Value::Object(members), Value::Null) => drop(members.shift_remove(name)),
                (Value::Object(members), value) => drop(members.insert(name.into(), value.clone())),
                (Value::Array(items), Value::Null) => drop(items.remove(name.parse().unwrap())),
                (Value::Array(items), value) => items.insert(name.parse().unwrap(), value.clone()),
                _ => panic!("{place} is nowhere"),
            }
            let error = self.check(&body).expect_err(place);
            assert!(error.contains(complaint), "{place}: {error}");
        }
    }
}

#[test]
fn chat_completions() {
    let case = Case {
        dialect: Dialect::OpenAi,
        path: "/v1/chat/completions",
        body: json!({
            "model": "m", "max_tokens": 9, "stream": true, "stream_options": {"include_usage": true},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [
                    {"type": "text", "text": "t"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": "b", "content": "1"},
                {"role": "tool", "tool_call_id": "a", "content": ""},
                {"role": "user", "content": "go on"},
            ],
        }),
    };
    case.run(&[
        ("/top_k", json!(1), "unknown field"),
        ("/max_completion_tokens", json!(1), "given twice"),
        ("/model", Value::Null, "model"),
        ("/stream", json!(false), "needs a stream"),
        ("/tools", json!([]), "is empty"),
        (
            "/tools/0/function/parameters",
            json!({}),
            "not of type object",
        ),
        ("/tools/0/cache_control", json!({}), "another vendor's"),
        ("/stop", json!(["a", "b", "c", "d", "e"]), "more than four"),
        ("/temperature", json!(2.5), "out of range"),
        (
            "/response_format",
            json!({"type": "json_schema", "json_schema": {"schema": {}}}),
            "name",
        ),
        (
            "/messages/3",
            json!({"role": "user", "content": "x"}),
            "were not answered",
        ),
        ("/messages/4", Value::Null, "were not answered"),
        (
            "/messages/5",
            json!({"role": "tool", "tool_call_id": "a", "content": "1"}),
            "answers no call",
        ),
        ("/messages/2/tool_calls/1/id", json!("a"), "comes twice"),
        (
            "/messages/2/tool_calls/1/function/arguments",
            json!("{"),
            "no object",
        ),
        ("/messages/2/tool_calls", json!([]), "is empty"),
        ("/messages/1/content/0/text", json!(""), "blank"),
        (
            "/messages/1/content/1/image_url/url",
            json!("data:image/png;base64,A"),
            "no base64",
        ),
    ]);
}

#[test]
fn responses() {
    let case = Case {
        dialect: Dialect::Responses,
        path: "/v1/responses",
        body: json!({
            "model": "m", "instructions": "i", "max_output_tokens": 16,
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": null}],
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
            "input": [
                {"role": "user", "content": "hi"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAA"},
                {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "t"}]},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
            ],
        }),
    };
    case.run(&[
        ("/messages", json!([]), "unknown field"),
        ("/max_output_tokens", json!(5), "out of range"),
        ("/text/format/name", Value::Null, "name"),
        ("/tools/0/function", json!({}), "unknown field"),
        ("/input/4", Value::Null, "no tool output found"),
        ("/input/3", Value::Null, "no tool call found"),
        ("/input/2/id", json!("chatcmpl-1"), "does not begin with"),
        ("/input/2/content/0/type", json!("input_text"), "none of"),
        (
            "/input/1/encrypted_content",
            json!("an:EqQB"),
            "could not be verified",
        ),
        (
            "/input/2",
            json!({"type": "function_call_output", "call_id": "a", "output": ""}),
            "reasoning without",
        ),
    ]);
}

#[test]
fn messages() {
    let case = Case {
        dialect: Dialect::Anthropic,
        path: "/v1/messages",
        body: json!({
            "model": "m", "max_tokens": 4096, "system": [{"type": "text", "text": "s"}],
            "thinking": {"type": "enabled", "budget_tokens": 2048},
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "t", "signature": "EqQB"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                    {"type": "tool_use", "id": "b", "name": "f", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "b", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "2"}]},
                ]},
            ],
        }),
    };
    case.run(&[
        ("/stop", json!([]), "unknown field"),
        ("/max_tokens", Value::Null, "is required"),
        ("/max_tokens", json!(2048), "not less than max_tokens"),
        ("/temperature", json!(0.5), "goes with no temperature"),
        ("/tool_choice", json!({"type": "any"}), "may not be forced"),
        (
            "/tool_choice",
            json!({"type": "none", "disable_parallel_tool_use": true}),
            "unknown field",
        ),
        ("/stop_sequences", json!([" "]), "is blank"),
        ("/system", json!([]), "is empty"),
        (
            "/output_config",
            json!({"format": {"type": "json_schema", "schema": {"type": "object"}}}),
            "must be false",
        ),
        ("/tools/0/input_schema", json!({}), "not of type object"),
        (
            "/messages/0",
            json!({"role": "assistant", "content": "x"}),
            "alternate",
        ),
        (
            "/messages/1",
            json!({"role": "user", "content": "x"}),
            "alternate",
        ),
        ("/messages/1/content/0", Value::Null, "expected thinking"),
        (
            "/messages/1/content/0/signature",
            json!("ge:xyz"),
            "invalid signature",
        ),
        ("/messages/1/content/2/id", json!("a"), "unique"),
        ("/messages/1/content/2/id", json!("b.c"), "is no name"),
        ("/messages/1/content/2/input", json!("{}"), "no object"),
        (
            "/messages/2/content/0",
            json!({"type": "text", "text": "x"}),
            "must come first",
        ),
        ("/messages/2/content/0", Value::Null, "without tool_result"),
        (
            "/messages/2/content/2",
            json!({"type": "text", "text": ""}),
            "is blank",
        ),
        (
            "/messages/2/content/2",
            json!({"type": "tool_result", "tool_use_id": "a", "content": "1"}),
            "has no tool_use",
        ),
        ("/messages/2", Value::Null, "end with the assistant's"),
    ]);
}

#[test]
fn gemini() {
    let signature = "CpYBAXLI2vvvaW52ZW50ZWQ=";
    let case = Case {
        dialect: Dialect::Gemini,
        path: "/v1/models/m:streamGenerateContent?alt=sse",
        body: json!({
            "systemInstruction": {"parts": [{"text": "s"}]},
            "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": {}},
            "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}]},
                {"role": "model", "parts": [
                    {"text": "", "thoughtSignature": signature},
                    {"functionCall": {"name": "f", "args": {}, "id": "a"}, "thoughtSignature": signature},
                    {"function_call": {"name": "g"}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "f", "id": "a", "response": {"output": "1"}}},
                    {"functionResponse": {"name": "g", "response": {}}},
                ]},
            ],
        }),
    };
    case.run(&[
        ("/model", json!("m"), "unknown field"),
        ("/stream", json!(true), "unknown field"),
        ("/other_thing", json!({}), "unknown field"),
        ("/systemInstruction/parts", json!([]), "is empty"),
        (
            "/generationConfig/responseMimeType",
            Value::Null,
            "must be JSON",
        ),
        (
            "/generationConfig/stopSequences",
            json!(["1", "2", "3", "4", "5", "6"]),
            "more than five",
        ),
        (
            "/generationConfig/thinkingConfig",
            json!({"thinkingBudget": 1, "thinkingLevel": "LOW"}),
            "both",
        ),
        (
            "/tools/0/functionDeclarations/0/name",
            json!("1f"),
            "begins with",
        ),
        (
            "/tools/0/functionDeclarations/0/parameters",
            json!({"type": "OBJECT"}),
            "two schemas",
        ),
        (
            "/toolConfig",
            json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["x"]}}),
            "names no function",
        ),
        ("/contents/0/parts/0/text", json!(""), "empty text"),
        ("/contents/1", Value::Null, "are not those of the calls"),
        ("/contents/2", Value::Null, "end with the model's"),
        (
            "/contents/2/parts/1",
            Value::Null,
            "are not those of the calls",
        ),
        (
            "/contents/2/parts/0/functionResponse/id",
            Value::Null,
            "are not those of the calls",
        ),
        (
            "/contents/2/parts/0/functionResponse/name",
            json!("g"),
            "are not those of the calls",
        ),
        (
            "/contents/2/parts/0/functionResponse/response",
            json!("1"),
            "no object",
        ),
        (
            "/contents/1/parts/1/thoughtSignature",
            Value::Null,
            "missing a thought_signature",
        ),
        (
            "/contents/1/parts/1/thoughtSignature",
            json!("EqQBCkgI"),
            "invalid thought_signature",
        ),
        (
            "/contents/1/parts/1/functionCall/args",
            json!("{}"),
            "no object",
        ),
        ("/contents/1/parts/1/text", json!("x"), "exactly one kind"),
    ]);
    let without = Case {
        path: "/v1/models/m:streamGenerateContent",
        ..case
    };
    let error = without.check(&without.body).unwrap_err();
    assert!(error.contains("asks for no events"), "{error}");
}

#[test]
fn heads_count_too() {
    let body = json!({"model": "m", "input": "x"}).to_string();
    let json = ("content-type".to_owned(), "application/json".to_owned());
    let bearer = ("authorization".to_owned(), "Bearer k".to_owned());
    let check = |path: &str, headers: &[(String, String)]| {
        check(Dialect::Responses, path, headers, body.as_bytes())
    };
    let whole = [json.clone(), bearer.clone()];
    assert_eq!(check("/v1/responses", &whole), Ok(()));
    assert_eq!(check("/v1/embeddings", &whole), Ok(()));
    assert!(check("/v1/responses?key=k", &whole).is_err());
    assert!(check("/v1/messages", &whole).is_err());
    assert!(check("/v1/responses", &[json]).is_err());
    assert!(check("/v1/responses", &[bearer]).is_err());
}
