//! Embeddings for and by way of other dialects.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::chat::{Embedding, Embeddings, Failure};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::tree::{Fields, set, wrong};

/// How a client wants vectors written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As arrays of numbers.
    #[default]
    Float,
    /// As base64 of numbers of four bytes, the lowest first. OpenAI's SDKs ask for that by themselves.
    Base64,
}

/// A client's request, and how it wants the answer.
///
/// # Errors
/// It is malformed, or gives tokens instead of text, which mean something to one model only.
pub(crate) fn decode_request(body: Value) -> Result<(Embedding, Coding), Failure> {
    let mut fields = Fields::root(body)?;
    let inputs = match fields.take("input") {
        None => return Err(wrong("input", "is missing")),
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) if !items.is_empty() => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                Value::Number(_) | Value::Array(_) => {
                    let message = "tokens cannot be given to this provider, only text";
                    Err(Failure::inexpressible("input", message))
                }
                _ => Err(wrong("input", "must be a string or an array of strings")),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong("input", "must be a string or an array of strings")),
    };
    let coding = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => Coding::Float,
        Some("base64") => Coding::Base64,
        Some(_) => return Err(wrong("encoding_format", "must be float or base64")),
    };
    let embedding = Embedding {
        inputs,
        dimensions: fields.count("dimensions")?,
    };
    Ok((embedding, coding))
}

/// A request as a provider gets it.
pub(crate) fn encode_request(embedding: &Embedding, to: Addressee<'_>) -> Outbound {
    let mut body = Map::new();
    body.insert("model".into(), to.model.into());
    body.insert("input".into(), json!(embedding.inputs));
    set(&mut body, "dimensions", embedding.dimensions);
    body.insert("encoding_format".into(), "float".into());
    Outbound {
        body: body.into(),
        dropped: Vec::new(),
    }
}

/// A provider's answer.
///
/// # Errors
/// It holds no vectors.
pub(crate) fn decode_response(body: &Value) -> Result<Embeddings, Failure> {
    let none = || Failure::upstream("upstream's answer holds no embeddings");
    let data = body["data"].as_array().ok_or_else(none)?;
    let mut data: Vec<_> = data.iter().collect();
    // The order is told where it matters; a stable sort keeps it where it is not.
    data.sort_by_key(|item| item["index"].as_u64());
    let vectors = data.into_iter().map(|item| vector(&item["embedding"]));
    let vectors: Vec<_> = vectors.collect::<Option<_>>().ok_or_else(none)?;
    if vectors.is_empty() {
        return Err(none());
    }
    let usage = &body["usage"];
    let tokens = usage["prompt_tokens"].as_u64();
    Ok(Embeddings {
        vectors,
        tokens: tokens.or_else(|| usage["total_tokens"].as_u64()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "vectors have single precision"
)]
fn vector(said: &Value) -> Option<Vec<f32>> {
    match said {
        Value::Array(numbers) => numbers
            .iter()
            .map(|number| number.as_f64().map(|number| number as f32))
            .collect(),
        Value::String(text) => {
            let bytes = STANDARD.decode(text).ok()?;
            let (numbers, rest) = bytes.as_chunks::<4>();
            let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes));
            rest.is_empty().then(|| numbers.collect())
        }
        _ => None,
    }
}

/// The answer for a client. `model` is what the client calls it.
pub(crate) fn encode_response(embeddings: &Embeddings, coding: Coding, model: &str) -> Value {
    let data = embeddings
        .vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = match coding {
                Coding::Float => json!(vector),
                Coding::Base64 => {
                    let bytes: Vec<u8> = vector
                        .iter()
                        .flat_map(|number| number.to_le_bytes())
                        .collect();
                    STANDARD.encode(bytes).into()
                }
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        });
    let tokens = embeddings.tokens.unwrap_or(0);
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::FailureKind;
    use crate::protocol::{Dialect, Protocol};

    #[test]
    fn a_client_gives_one_text_or_many() {
        for (body, inputs, coding) in [
            (json!({"input": "a"}), vec!["a"], Coding::Float),
            (
                json!({"input": ["a", "b"], "encoding_format": "base64", "user": "u"}),
                vec!["a", "b"],
                Coding::Base64,
            ),
            (
                json!({"input": ["a"], "encoding_format": "float"}),
                vec!["a"],
                Coding::Float,
            ),
        ] {
            let (embedding, asked) = decode_request(body).unwrap();
            assert_eq!(embedding.inputs, inputs);
            assert_eq!(asked, coding);
        }
    }

    #[test]
    fn tokens_mean_something_to_one_model_only() {
        for (input, kind) in [
            (json!([1, 2]), FailureKind::Inexpressible),
            (json!([[1, 2]]), FailureKind::Inexpressible),
            (json!([]), FailureKind::InvalidRequest),
            (json!([{}]), FailureKind::InvalidRequest),
            (json!(1), FailureKind::InvalidRequest),
            (json!(null), FailureKind::InvalidRequest),
        ] {
            let failure = decode_request(json!({"input": input})).unwrap_err();
            assert_eq!(failure.kind, kind);
            assert_eq!(failure.param.as_deref(), Some("input"));
        }
    }

    #[test]
    fn a_provider_is_asked_for_numbers() {
        let embedding = Embedding {
            inputs: vec!["a".into()],
            dimensions: Some(2),
        };
        let dialect = Dialect::plain(Protocol::OpenAi);
        let to = Addressee {
            model: "e",
            dialect: &dialect,
        };
        let body = encode_request(&embedding, to).body;
        let expected =
            json!({"model": "e", "input": ["a"], "dimensions": 2, "encoding_format": "float"});
        assert_eq!(body, expected);
        assert_eq!(decode_request(body).unwrap(), (embedding, Coding::Float));
    }

    #[test]
    fn vectors_come_back_as_they_were_in_either_coding() {
        let embeddings = Embeddings {
            vectors: vec![vec![0.1, -1.0], vec![1e-7, f32::MAX]],
            tokens: Some(4),
        };
        for coding in [Coding::Float, Coding::Base64] {
            let answer = encode_response(&embeddings, coding, "m");
            assert_eq!(
                answer["usage"],
                json!({"prompt_tokens": 4, "total_tokens": 4})
            );
            assert_eq!(decode_response(&answer).unwrap(), embeddings, "{coding:?}");
        }
        let answer = encode_response(&embeddings, Coding::Base64, "m");
        assert_eq!(answer["data"][0]["embedding"], "zczMPQAAgL8=");
    }

    #[test]
    fn vectors_stand_where_they_say() {
        let answer = json!({"data": [
            {"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]},
        ]});
        let vectors = decode_response(&answer).unwrap().vectors;
        assert_eq!(vectors, [[0.0], [1.0]]);
    }

    #[test]
    fn what_is_no_vector_is_the_providers_fault() {
        for answer in [
            json!({}),
            json!({"data": []}),
            json!({"data": [{"embedding": ["x"]}]}),
            json!({"data": [{"embedding": "AAA="}]}),
            json!({"data": [null]}),
        ] {
            let failure = decode_response(&answer).unwrap_err();
            assert_eq!(failure.kind, FailureKind::BadUpstream);
        }
    }
}
