//! Embeddings: vectors that depend on nothing but their place.

use serde_json::{Value, json};

use super::answer::Answer;
use super::openai;
use super::request::Asked;

/// Length of a vector, unless the request says otherwise.
const DIMENSIONS: usize = 8;

/// A list of vectors, one per input, in the encoding that was asked for.
pub(super) fn render(answer: &Answer, asked: &Asked<'_>) -> String {
    let inputs = match &asked.input {
        // An array of numbers is one text, already cut into tokens.
        Some(Value::Array(inputs)) if !inputs.iter().any(Value::is_number) => inputs.len(),
        _ => 1,
    };
    let dimensions = asked.dimensions.unwrap_or(DIMENSIONS);
    let data: Vec<Value> = (0..inputs)
        .map(|index| {
            let vector = vector(index, dimensions);
            let embedding = match asked.encoding_format.as_deref() {
                Some("base64") => Value::from(base64(&vector)),
                _ => Value::from(vector),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut body = json!({"object": "list", "data": data, "model": openai::model(answer, asked)});
    if let Some((prompt, _)) = answer.usage {
        body["usage"] = json!({"prompt_tokens": prompt, "total_tokens": prompt});
    }
    body.to_string()
}

/// Numbers that single precision holds exactly, so that both encodings say the same.
fn vector(index: usize, dimensions: usize) -> Vec<f32> {
    (0..dimensions)
        .map(|i| ((index * 31 + i * 7) % 64) as f32 / 64.0 - 0.5)
        .collect()
}

fn base64(numbers: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() {
                digit as char
            } else {
                '='
            });
        }
    }
    text
}
