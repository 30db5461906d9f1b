//! Counting tokens, and embeddings.

use serde_json::json;

use super::{asking, plain, user};
use crate::chat::{Embedding, Embeddings, FailureKind, Part, Tool};
use crate::protocol::Addressee;
use crate::protocol::gemini::{self, embed};

#[test]
fn a_provider_counts_instructions_and_tools() {
    let mut request = asking(vec![user(vec![Part::text("hi")])]);
    request.system = vec!["be brief".into()];
    request.tools = vec![Tool {
        name: "f".into(),
        ..Tool::default()
    }];
    request.max_tokens = Some(5);
    request.choices = 3;
    let dialect = plain();
    for (model, resource) in [
        ("gemini-3-pro", "models/gemini-3-pro"),
        ("models/x", "models/x"),
        ("google/x", "models/google/x"),
    ] {
        let to = Addressee {
            model,
            dialect: &dialect,
        };
        let expected = json!({"generateContentRequest": {
            "model": resource,
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
        }});
        assert_eq!(gemini::count_request(&request, to).unwrap(), expected);
    }
}

#[test]
fn a_client_counts_contents_or_a_whole_request() {
    let contents = json!([{"parts": [{"text": "hi"}]}]);
    for body in [
        json!({"contents": contents}),
        json!({"generateContentRequest": {"model": "models/m", "contents": contents}}),
        json!({"generate_content_request": {"contents": contents}}),
    ] {
        let request = gemini::decode_count_request(body).unwrap();
        assert_eq!(request.turns, [user(vec![Part::text("hi")])]);
    }
    for body in [json!({}), json!([]), json!({"generateContentRequest": 1})] {
        let failure = gemini::decode_count_request(body).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
    }
}

#[test]
fn a_count_is_a_number_wherever_it_stands() {
    for (answer, expected) in [
        (
            json!({"totalTokens": 7, "promptTokensDetails": []}),
            Some(7),
        ),
        (json!({"total_tokens": "7"}), Some(7)),
        (json!({"totalTokens": -1}), None),
        (json!([]), None),
    ] {
        assert_eq!(gemini::read_count(&answer), expected);
    }
    assert_eq!(gemini::write_count(7), json!({"totalTokens": 7}));
}

#[test]
fn a_client_asks_for_one_vector_or_many() {
    let one = json!({
        "model": "models/m", "content": {"parts": [{"text": "a"}, {"text": "b"}]}, "taskType": "RETRIEVAL_QUERY",
        "output_dimensionality": 3,
    });
    let expected = Embedding {
        inputs: vec!["a\nb".into()],
        dimensions: Some(3),
    };
    assert_eq!(embed::decode_request(one.clone()).unwrap(), expected);
    let many = json!({"requests": [one, {"content": {"parts": [{"text": "c"}]}, "outputDimensionality": 3}]});
    let many = embed::decode_request(many).unwrap();
    assert_eq!(many.inputs, ["a\nb", "c"]);
}

#[test]
fn what_is_no_text_has_no_vector() {
    for (body, kind, param) in [
        (
            json!({"requests": []}),
            FailureKind::InvalidRequest,
            "requests",
        ),
        (json!({}), FailureKind::InvalidRequest, "content"),
        (
            json!({"content": {"parts": [{"inlineData": {}}]}}),
            FailureKind::Inexpressible,
            "content",
        ),
        (
            json!({"requests": [
                {"content": {"parts": [{"text": "a"}]}},
                {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3},
            ]}),
            FailureKind::InvalidRequest,
            "requests[1].outputDimensionality",
        ),
    ] {
        let failure = embed::decode_request(body).unwrap_err();
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (kind, Some(param))
        );
    }
}

#[test]
fn a_provider_gets_a_batch() {
    let embedding = Embedding {
        inputs: vec!["a".into(), "b".into()],
        dimensions: Some(2),
    };
    let dialect = plain();
    let to = Addressee {
        model: "e",
        dialect: &dialect,
    };
    let body = embed::encode_request(&embedding, to).body;
    let expected = json!({"requests": [
        {"model": "models/e", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2},
        {"model": "models/e", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 2},
    ]});
    assert_eq!(body, expected);
    assert_eq!(embed::decode_request(body).unwrap(), embedding);
}

#[test]
fn vectors_come_back_as_they_were() {
    let embeddings = Embeddings {
        vectors: vec![vec![0.1, -1.0], vec![1e-7, 0.0]],
        tokens: Some(4),
    };
    let batch = embed::encode_response(&embeddings, true);
    assert_eq!(
        batch["embeddings"][0].to_string(),
        r#"{"values":[0.1,-1.0]}"#
    );
    assert_eq!(embed::decode_response(batch).unwrap(), embeddings);
    let single = embed::encode_response(&embeddings, false);
    let first = Embeddings {
        vectors: embeddings.vectors[..1].to_vec(),
        ..embeddings
    };
    assert_eq!(embed::decode_response(single).unwrap(), first);
    for body in [
        json!({}),
        json!({"embeddings": []}),
        json!({"embedding": {"values": ["x"]}}),
    ] {
        assert!(embed::decode_response(body).is_err());
    }
}
