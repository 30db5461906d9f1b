//! Whatever comes, nothing breaks.

use serde_json::{Value, json};

use super::{plain, reply};
use crate::chat::Event;
use crate::protocol::gemini::{self, StreamDecoder, StreamEncoder, embed, schema};
use crate::protocol::{Addressee, Decoder, Encoder};

/// Values of every type, in the place of each other.
fn scraps() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1.5),
        json!(1_u64 << 63),
        json!(""),
        json!("models/x:y"),
        json!([]),
        json!([[], null, 1]),
        json!({}),
        json!({"text": 1}),
        json!({"": {"": []}}),
    ]
}

const NAMES: [&str; 34] = [
    "contents",
    "parts",
    "role",
    "text",
    "thought",
    "thoughtSignature",
    "functionCall",
    "name",
    "args",
    "id",
    "functionResponse",
    "response",
    "inlineData",
    "mimeType",
    "data",
    "fileData",
    "fileUri",
    "tools",
    "functionDeclarations",
    "parameters",
    "toolConfig",
    "functionCallingConfig",
    "generationConfig",
    "thinkingConfig",
    "candidates",
    "content",
    "finishReason",
    "usageMetadata",
    "promptFeedback",
    "error",
    "logprobsResult",
    "systemInstruction",
    "requests",
    "index",
];

/// Documents that are nearly right: each scrap under each name, a few levels deep.
fn documents() -> Vec<Value> {
    let mut documents = scraps();
    for name in NAMES {
        for scrap in scraps() {
            let leaf = json!({name: scrap});
            for document in [
                json!({"contents": [{"parts": [leaf]}]}),
                json!({"contents": [leaf], "tools": [leaf], "toolConfig": leaf}),
                json!({"contents": [{"parts": [{"functionCall": leaf}]}], "generationConfig": leaf}),
                json!({"contents": [{"parts": [{"functionResponse": leaf}]}]}),
                json!({"contents": [{"parts": [{"inlineData": leaf}]}], "tools": [{"functionDeclarations": [leaf]}]}),
                json!({"contents": [{"parts": []}], "generationConfig": {"thinkingConfig": leaf}}),
                json!({"candidates": [leaf], "usageMetadata": leaf}),
                json!({"candidates": [{"content": leaf, "finishReason": "STOP"}]}),
                json!({"candidates": [{"content": {"parts": [leaf, {"functionCall": leaf}]}, "logprobsResult": leaf}]}),
                json!({"requests": [leaf], "promptFeedback": leaf}),
                leaf,
            ] {
                documents.push(document);
            }
        }
    }
    documents
}

#[test]
fn no_document_breaks_anything() {
    let dialect = plain();
    let to = Addressee {
        model: "m",
        dialect: &dialect,
    };
    for document in documents() {
        if let Ok(request) = gemini::decode_request(document.clone()) {
            let _ = gemini::encode_request(&request, to);
        }
        let _ = gemini::decode_count_request(document.clone());
        let _ = gemini::read_count(&document);
        let _ = embed::decode_request(document.clone());
        let _ = embed::decode_response(document.clone());
        let _ = schema::to_openapi(&document);
        let _ = schema::from_openapi(document.clone());
        if let Ok(response) = gemini::decode_response(document) {
            gemini::encode_response(response, &reply());
        }
    }
}

#[test]
fn no_stream_leaves_the_grammar() {
    for document in documents() {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        for _ in 0..2 {
            decoder.decode(document.to_string().as_bytes(), &mut events);
        }
        decoder.end(&mut events);
        check_grammar(&events);
        let mut encoder = StreamEncoder::new(reply());
        let mut out = Vec::new();
        for event in events {
            encoder.encode(event, &mut out);
        }
        assert!(out.is_empty() || out.ends_with(b"\n\n"));
    }
}

#[test]
fn bytes_that_are_no_json_end_the_stream() {
    for data in [&b"{"[..], b"\xff\xfe", b"{}}", b"nonsense"] {
        let mut decoder = StreamDecoder::default();
        let mut events = Vec::new();
        decoder.decode(data, &mut events);
        decoder.decode(b"{\"candidates\":[]}", &mut events);
        decoder.end(&mut events);
        assert!(
            matches!(events.as_slice(), [Event::Failed(_)]),
            "{events:?}"
        );
    }
}

/// Start first and once; blocks one after the other; nothing behind the end.
pub(super) fn check_grammar(events: &[Event]) {
    let (mut started, mut open, mut finished, mut over) = (false, false, false, false);
    for event in events {
        assert!(!over, "{events:?}");
        match event {
            Event::Untold => {}
            Event::Start => {
                assert!(!started, "{events:?}");
                started = true;
            }
            Event::Begin(_) => {
                assert!(started && !open && !finished, "{events:?}");
                open = true;
            }
            Event::Delta(_) | Event::Signature(_) | Event::Logprobs(_) => {
                assert!(open, "{events:?}")
            }
            Event::End => {
                assert!(open, "{events:?}");
                open = false;
            }
            Event::Usage(_) => assert!(started, "{events:?}"),
            Event::Finish(_) => {
                assert!(started && !open && !finished, "{events:?}");
                finished = true;
            }
            Event::Close => {
                assert!(finished, "{events:?}");
                over = true;
            }
            Event::Failed(_) => over = true,
        }
    }
}
