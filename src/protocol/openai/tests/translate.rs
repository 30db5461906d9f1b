//! Requests and answers to the common language and back.

use serde_json::json;

use super::*;
use crate::chat::{
    Block, Effort, Event, FinishReason, Format, Logprob, Media, MediaKind, Part, Request, Response,
    Role, Sampling, Source, Tool, ToolCall, ToolChoice, ToolResult, Turn,
};
use crate::protocol::codec::{Addressee, Decoder, Encoder, Reply};
use crate::protocol::{Dialect, MaxTokensField, Protocol};

fn call(id: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        name: "weather".into(),
        arguments: r#"{"city":"Köln","n":1.50}"#.into(),
        ..ToolCall::default()
    }
}

fn full() -> Request {
    let image = Media {
        kind: MediaKind::Image,
        source: Source::Base64("AAAA".into()),
        mime: Some("image/png".into()),
        name: None,
        detail: Some("low".into()),
    };
    let result = ToolResult {
        id: "c1".into(),
        content: vec![Part::text("7 °C")],
        ..ToolResult::default()
    };
    Request {
        system: vec!["Be brief.".into()],
        turns: vec![
            Turn::new(Role::User, vec![Part::text("Look"), Part::Media(image)]),
            Turn::new(
                Role::Assistant,
                vec![Part::text("I see."), Part::Call(call("c1"))],
            ),
            Turn::new(Role::User, vec![Part::Result(result)]),
            Turn::new(Role::System, vec![Part::text("Now in French.")]),
        ],
        tools: vec![Tool {
            name: "weather".into(),
            description: Some("The weather.".into()),
            schema: Some(json!({ "type": "object" })),
            strict: Some(true),
            ..Tool::default()
        }],
        tool_choice: Some(ToolChoice::Tool("weather".into())),
        parallel_tools: Some(false),
        max_tokens: Some(99),
        sampling: Sampling {
            temperature: Some(0.5),
            top_p: Some(0.9),
            seed: Some(-7),
            presence_penalty: Some(1.0),
            frequency_penalty: Some(-1.0),
            top_k: None,
        },
        stop: vec!["END".into()],
        format: Format::JsonSchema {
            name: Some("answer".into()),
            description: None,
            schema: json!({ "type": "object" }),
            strict: Some(true),
        },
        effort: Some(Effort::High),
        include_thoughts: true,
        logprobs: Some(2),
        choices: 1,
        user: Some("u".into()),
        ..Request::default()
    }
}

fn written(request: &Request, dialect: &Dialect) -> Value {
    let model = "upstream";
    encode_request(request, Addressee { model, dialect })
        .unwrap()
        .body
}

#[test]
fn what_is_written_for_a_provider_can_be_read_from_a_client() {
    let dialect = Dialect::plain(Protocol::OpenAi);
    let body = written(&full(), &dialect);
    assert_eq!(body["max_tokens"], 99);
    assert_eq!(body["stream_options"], Value::Null);
    assert_eq!(decode_request(body).unwrap(), full());
}

#[test]
fn providers_differ_in_the_name_of_the_bound_and_in_what_they_are_asked() {
    let mut dialect = Dialect::plain(Protocol::OpenAi);
    dialect.max_tokens_field = MaxTokensField::MaxCompletionTokens;
    let request = Request {
        stream: true,
        ask_usage: true,
        stop: (0..6).map(|n| n.to_string()).collect(),
        user: Some("u".repeat(65)),
        ..full()
    };
    let body = written(&request, &dialect);
    assert_eq!(
        (&body["max_completion_tokens"], &body["max_tokens"]),
        (&json!(99), &Value::Null)
    );
    assert_eq!(body["stream_options"], json!({ "include_usage": true }));
    assert_eq!(body["stop"], json!(["0", "1", "2", "3"]));
    assert_eq!(body["user"], Value::Null);
}

#[test]
fn mistakes_in_a_request_name_their_place() {
    for (body, param) in [
        (json!({}), "messages"),
        (json!({ "messages": 1 }), "messages"),
        (
            json!({ "messages": [{ "role": "king" }] }),
            "messages[0].role",
        ),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "x" }] }] }),
            "messages[0].content[0].type",
        ),
        (
            json!({ "messages": [], "temperature": "hot" }),
            "temperature",
        ),
        (
            json!({ "messages": [], "tools": [{ "type": "function" }] }),
            "tools[0].function",
        ),
        (json!({ "messages": [], "tool_choice": 1 }), "tool_choice"),
        (
            json!({ "messages": [], "response_format": { "type": "xml" } }),
            "response_format.type",
        ),
        (
            json!({ "messages": [], "modalities": ["text", "audio"] }),
            "modalities",
        ),
    ] {
        let failure = decode_request(body.clone()).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some(param), "{body}");
    }
}

fn answer() -> Response {
    Response {
        parts: vec![
            Part::Thinking {
                text: "hm".into(),
                signature: None,
            },
            Part::text("Hé"),
            Part::Call(call("c1")),
            Part::Call(call("c2")),
        ],
        logprobs: vec![Logprob {
            token: "H".into(),
            logprob: -0.5,
            top: vec![("H".into(), -0.5), ("h".into(), -1.5)],
        }],
        finish: FinishReason::ToolUse.into(),
        usage: Some(Usage {
            input: 10,
            output: 5,
            total: 15,
            cached: 4,
            cache_written: 1,
            reasoning: 2,
            estimated: false,
        }),
    }
}

fn reply() -> Reply {
    Reply {
        id: "1".into(),
        model: "m".into(),
        include_usage: true,
        ..Reply::default()
    }
}

#[test]
fn an_answer_is_the_same_whole_and_streamed_and_read_again() {
    let whole = encode_response(answer(), &reply());
    assert_eq!(whole["choices"][0]["message"]["reasoning_content"], "hm");
    assert_eq!(decode_response(whole).unwrap(), answer());
    let mut stream = Vec::new();
    let mut encoder = StreamEncoder::new(reply());
    for event in answer().into_events() {
        encoder.encode(event, &mut stream);
    }
    let stream = String::from_utf8(stream).unwrap();
    assert!(stream.ends_with("data: [DONE]\n\n"));
    assert_eq!(
        stream.matches("\"finish_reason\":\"tool_calls\"").count(),
        1
    );
    assert_eq!(stream.matches("\"id\":\"c2\"").count(), 1);
    let (mut decoder, mut events) = (StreamDecoder::default(), Vec::new());
    for data in stream.split("data: ").skip(1) {
        decoder.decode(data.trim_end().as_bytes(), &mut events);
    }
    let mut collector = crate::chat::Collector::default();
    events.into_iter().for_each(|event| collector.take(event));
    assert_eq!(collector.finish().unwrap(), answer());
}

#[test]
fn a_call_without_arguments_is_an_empty_object() {
    let mut stream = Vec::new();
    let mut encoder = StreamEncoder::new(Reply::default());
    let block = Block::Call {
        id: "c".into(),
        name: "now".into(),
        namespace: None,
        custom: false,
    };
    for event in [
        Event::Start,
        Event::Begin(block),
        Event::End,
        Event::Finish(FinishReason::Stop.into()),
        Event::Close,
    ] {
        encoder.encode(event, &mut stream);
    }
    let stream = String::from_utf8(stream).unwrap();
    assert!(stream.contains("\"arguments\":\"{}\""), "{stream}");
    assert!(
        stream.contains("\"finish_reason\":\"tool_calls\""),
        "{stream}"
    );
    assert!(!stream.contains("\"usage\""), "nobody asked");
}

#[test]
fn a_legacy_completion_is_a_conversation_of_one() {
    let asked = json!({ "prompt": ["Once"], "max_tokens": 5, "stop": "." });
    let request = decode_completion(asked).unwrap();
    assert_eq!(
        request.turns,
        [Turn::new(Role::User, vec![Part::text("Once")])]
    );
    assert_eq!(
        (request.max_tokens, &request.stop[..]),
        (Some(5), &[".".to_owned()][..])
    );
    for (body, param) in [
        (json!({}), "prompt"),
        (json!({ "prompt": ["a", "b"] }), "prompt"),
        (json!({ "prompt": [1, 2] }), "prompt"),
        (json!({ "prompt": "a", "suffix": "b" }), "suffix"),
        (json!({ "prompt": "a", "echo": true }), "echo"),
        (json!({ "prompt": "a", "best_of": 2 }), "best_of"),
    ] {
        assert_eq!(
            decode_completion(body).unwrap_err().param.as_deref(),
            Some(param)
        );
    }
    let said = encode_completion(answer(), &reply());
    assert_eq!(said["choices"][0]["text"], "Hé");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
}
