//! The dialects side by side: the one place that lists them. The compiler names what a fifth one would need here.

use bytes::Bytes;
use serde_json::Value;

use super::call::Call;
use super::codec::{Addressee, Decoder, Encoder, Outbound, Reply};
use super::dialect::Protocol;
use super::endpoint::{Action, Endpoint};
use super::relay::Interrupted;
use super::{anthropic, gemini, openai, responses, sse};
use crate::chat::{Embedding, Embeddings, Failure, Request, Response};

/// Reads a client's request.
pub(super) fn decode_request(call: &Call) -> Result<Request, Failure> {
    let body = tree(call)?;
    match call.endpoint {
        Endpoint::OpenAi(openai::Endpoint::Completions) => openai::decode_completion(body),
        Endpoint::OpenAi(_) | Endpoint::Passed(_) => openai::decode_request(body),
        Endpoint::Responses | Endpoint::InputTokens => responses::decode_request(body),
        Endpoint::Messages | Endpoint::CountMessages => anthropic::decode_request(body),
        Endpoint::Gemini(Action::CountTokens) => gemini::decode_count_request(body),
        Endpoint::Gemini(_) => gemini::decode_request(body),
    }
}

/// The body of a request to a provider of the client's own dialect without what other vendors signed; `None` if there is
/// nothing of that kind, as in nearly every request.
pub(super) fn without_foreign(call: &Call, to: Addressee<'_>) -> Option<Bytes> {
    let may_have = match call.endpoint {
        Endpoint::OpenAi(_) => call.extra_content && !openai::takes_signatures(to.model),
        Endpoint::Responses => responses::may_have_foreign(&call.body),
        Endpoint::Messages | Endpoint::CountMessages => anthropic::may_have_foreign(&call.body),
        Endpoint::Gemini(_) => gemini::may_have_foreign(&call.body),
        Endpoint::Passed(_) | Endpoint::InputTokens => false,
    };
    if !may_have {
        return None;
    }
    let mut body = tree(call).ok()?;
    match call.endpoint {
        Endpoint::Responses | Endpoint::InputTokens => responses::without_foreign(&mut body),
        Endpoint::Messages | Endpoint::CountMessages => anthropic::without_foreign(&mut body),
        Endpoint::Gemini(_) => gemini::without_foreign(&mut body, &to.dialect.dummy_signature),
        Endpoint::OpenAi(_) | Endpoint::Passed(_) => openai::without_foreign(&mut body),
    }
    Some(body.to_string().into())
}

/// Writes a request for a provider.
pub(super) fn encode_request(request: &Request, to: Addressee<'_>) -> Result<Outbound, Failure> {
    match to.dialect.protocol {
        Protocol::OpenAi => openai::encode_request(request, to),
        Protocol::Responses => responses::encode_request(request, to),
        Protocol::Anthropic => anthropic::encode_request(request, to),
        Protocol::Gemini => gemini::encode_request(request, to),
    }
}

/// Reads a provider's whole answer.
pub(super) fn decode_response(protocol: Protocol, body: Value) -> Result<Response, Failure> {
    match protocol {
        Protocol::OpenAi => openai::decode_response(body),
        Protocol::Responses => responses::decode_response(body),
        Protocol::Anthropic => anthropic::decode_response(body),
        Protocol::Gemini => gemini::decode_response(body),
    }
}

/// Writes a whole answer for whoever called this endpoint.
pub(super) fn encode_response(endpoint: Endpoint, response: Response, reply: &Reply) -> Value {
    match endpoint {
        Endpoint::OpenAi(openai::Endpoint::Completions) => {
            openai::encode_completion(response, reply)
        }
        Endpoint::OpenAi(_) | Endpoint::Passed(_) => openai::encode_response(response, reply),
        Endpoint::Responses | Endpoint::InputTokens => responses::encode_response(response, reply),
        Endpoint::Messages | Endpoint::CountMessages => anthropic::encode_response(response, reply),
        Endpoint::Gemini(_) => gemini::encode_response(response, reply),
    }
}

/// Reads a provider's stream.
pub(super) fn decoder(protocol: Protocol) -> Box<dyn Decoder> {
    match protocol {
        Protocol::OpenAi => Box::new(openai::StreamDecoder::default()),
        Protocol::Responses => Box::new(responses::StreamDecoder::default()),
        Protocol::Anthropic => Box::new(anthropic::StreamDecoder::default()),
        Protocol::Gemini => Box::new(gemini::StreamDecoder::default()),
    }
}

/// Writes a stream for whoever called this endpoint.
pub(super) fn encoder(endpoint: Endpoint, reply: Reply) -> Box<dyn Encoder> {
    match endpoint {
        Endpoint::OpenAi(openai::Endpoint::Completions) => {
            Box::new(openai::CompletionEncoder::new(reply))
        }
        Endpoint::OpenAi(_) | Endpoint::Passed(_) => Box::new(openai::StreamEncoder::new(reply)),
        Endpoint::Responses | Endpoint::InputTokens => {
            Box::new(responses::StreamEncoder::new(reply))
        }
        Endpoint::Messages | Endpoint::CountMessages => {
            Box::new(anthropic::StreamEncoder::new(reply))
        }
        Endpoint::Gemini(_) => Box::new(gemini::StreamEncoder::new(reply)),
    }
}

/// The HTTP status and the body that tell a client of this dialect of a failure.
pub fn render(protocol: Protocol, failure: &Failure, request_id: &str) -> (u16, Bytes) {
    match protocol {
        Protocol::OpenAi => openai::render(failure),
        Protocol::Responses => responses::render(failure, request_id),
        Protocol::Anthropic => anthropic::render(failure, request_id),
        Protocol::Gemini => gemini::render(failure, request_id),
    }
}

/// Ends a stream of this dialect that was handed on as it came and broke.
pub(super) fn interrupted(protocol: Protocol) -> Box<dyn Interrupted> {
    match protocol {
        Protocol::Responses => Box::new(responses::Interruption::default()),
        other => Box::new(Stateless(other)),
    }
}

/// Dialects whose error events need to know nothing of what went before.
struct Stateless(Protocol);

impl Interrupted for Stateless {
    fn note(&mut self, _: &[u8]) {}

    fn broken(&mut self, failure: &Failure) -> Vec<u8> {
        let (_, body) = render(self.0, failure, "");
        let name = match self.0 {
            Protocol::Anthropic => Some("error"),
            _ => None,
        };
        let mut text = Vec::new();
        sse::write(
            &mut text,
            name,
            &serde_json::from_slice(&body).unwrap_or_default(),
        );
        text
    }
}

/// Reads texts that are to become vectors, and in which form those are expected.
pub(super) fn decode_embedding(call: &Call) -> Result<(Embedding, openai::embed::Coding), Failure> {
    let body = tree(call)?;
    match call.endpoint {
        Endpoint::Gemini(_) => Ok((gemini::embed::decode_request(body)?, Default::default())),
        _ => openai::embed::decode_request(body),
    }
}

/// Writes them for a provider.
pub(super) fn encode_embedding(
    embedding: &Embedding,
    to: Addressee<'_>,
) -> Result<(Endpoint, Outbound), Failure> {
    match to.dialect.protocol {
        Protocol::OpenAi | Protocol::Responses => Ok((
            openai::Endpoint::Embeddings.into(),
            openai::embed::encode_request(embedding, to),
        )),
        Protocol::Gemini => Ok((
            Endpoint::Gemini(Action::BatchEmbedContents),
            gemini::embed::encode_request(embedding, to),
        )),
        Protocol::Anthropic => Err(Failure::inexpressible(
            "model",
            "a provider of this model speaks another API, which has no embeddings",
        )),
    }
}

/// Reads a provider's vectors.
pub(super) fn decode_embeddings(body: Value, from: Protocol) -> Result<Embeddings, Failure> {
    match from {
        Protocol::Gemini => gemini::embed::decode_response(body),
        _ => openai::embed::decode_response(&body),
    }
}

/// Writes vectors for whoever called this endpoint.
pub(super) fn encode_embeddings(
    endpoint: Endpoint,
    embeddings: &Embeddings,
    coding: openai::embed::Coding,
    model: &str,
) -> Value {
    match endpoint {
        Endpoint::Gemini(action) => {
            gemini::embed::encode_response(embeddings, action == Action::BatchEmbedContents)
        }
        _ => openai::embed::encode_response(embeddings, coding, model),
    }
}

fn tree(call: &Call) -> Result<Value, Failure> {
    // It was read before, so what fails here is beyond one reader and not the other, such as very deep nesting.
    serde_json::from_slice(&call.body)
        .map_err(|error| Failure::invalid(format!("the body cannot be read: {error}")))
}
