//! `embedContent` and `batchEmbedContents`: texts as vectors.

use serde_json::{Map, Value, json};

use super::{names, resource};
use crate::chat::{Embedding, Embeddings, Failure};
use crate::protocol::codec::{Addressee, Outbound};
use crate::protocol::tree::{Fields, set, wrong};

/// A client's request: `requests` of a batch, or one alone.
///
/// # Errors
/// It is malformed, or asks for a vector of something else than text.
pub(crate) fn decode_request(mut body: Value) -> Result<Embedding, Failure> {
    names::normalise(&mut body);
    let mut fields = Fields::root(body)?;
    let requests = if fields.peek("requests").is_some() {
        fields.objects("requests")?
    } else {
        vec![fields]
    };
    let mut embedding = Embedding::default();
    for mut request in requests {
        let mut dimensions = request.count("outputDimensionality")?;
        if let Some(mut config) = request.object("embedContentConfig")? {
            dimensions = dimensions.or(config.count("outputDimensionality")?);
        }
        if !embedding.inputs.is_empty() && dimensions != embedding.dimensions {
            return Err(request.wrong("outputDimensionality", "must be the same for all"));
        }
        embedding.dimensions = dimensions;
        embedding.inputs.push(read_content(&mut request)?);
    }
    if embedding.inputs.is_empty() {
        return Err(wrong("requests", "must not be empty"));
    }
    Ok(embedding)
}

/// The text of a content. Several parts make one vector.
fn read_content(request: &mut Fields) -> Result<String, Failure> {
    let path = request.path("content");
    let mut content = match request.take("content") {
        None => return Err(wrong(&path, "is missing")),
        Some(Value::String(text)) => return Ok(text),
        Some(content) => Fields::of(content, &path)?,
    };
    let mut texts = Vec::new();
    for mut part in content.objects("parts")? {
        match part.text("text")? {
            Some(text) => texts.push(text),
            None => {
                let message = format!("`{path}` holds something else than text");
                return Err(Failure::inexpressible(&path, message));
            }
        }
    }
    Ok(texts.join("\n"))
}

/// A request as a provider gets it, always as a batch.
pub(crate) fn encode_request(embedding: &Embedding, to: Addressee<'_>) -> Outbound {
    let requests = embedding.inputs.iter().map(|text| {
        let mut request = Map::new();
        request.insert("model".into(), resource(to.model).into());
        request.insert("content".into(), json!({"parts": [{"text": text}]}));
        set(&mut request, "outputDimensionality", embedding.dimensions);
        Value::Object(request)
    });
    let requests: Vec<_> = requests.collect();
    Outbound {
        body: json!({"requests": requests}),
        dropped: Vec::new(),
    }
}

/// A provider's answer, of either form.
///
/// # Errors
/// It holds no vectors.
pub(crate) fn decode_response(mut body: Value) -> Result<Embeddings, Failure> {
    names::normalise(&mut body);
    let vectors = match (&body["embeddings"], &body["embedding"]) {
        (Value::Array(embeddings), _) => embeddings.iter().map(values).collect(),
        (_, embedding) => values(embedding).map(|values| vec![values]),
    };
    let vectors: Vec<Vec<f32>> = vectors
        .filter(|vectors: &Vec<_>| !vectors.is_empty())
        .ok_or_else(|| Failure::upstream("upstream's answer holds no embeddings"))?;
    Ok(Embeddings {
        vectors,
        tokens: body["usageMetadata"]["promptTokenCount"].as_u64(),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "vectors have single precision"
)]
fn values(embedding: &Value) -> Option<Vec<f32>> {
    let values = embedding["values"].as_array()?.iter();
    values
        .map(|value| value.as_f64().map(|value| value as f32))
        .collect()
}

/// The answer for a client who asked for a batch, or for one vector.
pub(crate) fn encode_response(embeddings: &Embeddings, batch: bool) -> Value {
    let mut vectors = embeddings
        .vectors
        .iter()
        .map(|vector| json!({"values": vector}));
    let mut answer = Map::new();
    if batch {
        answer.insert("embeddings".into(), vectors.collect());
    } else {
        let first = vectors.next().unwrap_or_else(|| json!({"values": []}));
        answer.insert("embedding".into(), first);
    }
    let usage = embeddings.tokens;
    let usage = usage.map(|tokens| json!({"promptTokenCount": tokens}));
    set(&mut answer, "usageMetadata", usage);
    answer.into()
}
