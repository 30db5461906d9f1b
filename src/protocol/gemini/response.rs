//! Whole answers.

use serde_json::{Value, json};

use super::decoder::StreamDecoder;
use super::parts::{self, Parts};
use super::{finish, usage};
use crate::chat::{Collector, Failure, Part, Response};
use crate::protocol::codec::Reply;

/// A provider's whole answer: a stream of one event. Without `alt=sse` a stream is an array of them.
///
/// # Errors
/// It is none, or tells of a failure.
pub(crate) fn decode_response(body: Value) -> Result<Response, Failure> {
    let pieces = match body {
        Value::Array(pieces) => pieces,
        whole => vec![whole],
    };
    let mut decoder = StreamDecoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.take(piece, &mut events);
    }
    decoder.conclude(&mut events);
    let mut collector = Collector::default();
    for event in events {
        collector.take(event);
    }
    if collector.failure().is_none() && !collector.is_complete() {
        return Err(Failure::upstream("upstream's answer holds no candidate"));
    }
    collector.finish()
}

/// A whole answer for a client.
pub(crate) fn encode_response(response: Response, reply: &Reply) -> Value {
    let mut writer = Parts::default();
    let mut parts = Vec::new();
    for part in &response.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => writer.text(text, &mut parts),
            Part::Thinking { text, signature } => {
                writer.thought(text, &mut parts);
                if let Some(signed) = signature {
                    writer.proof(signed);
                }
            }
            Part::Redacted(signed) => writer.redacted(signed),
            Part::Call(call) => writer.call(call, &mut parts),
            // No part of an answer.
            Part::Media(_) | Part::Result(_) => {}
        }
    }
    writer.flush(&mut parts);
    let mut candidate = json!({
        "content": {"role": "model", "parts": parts},
        "finishReason": finish::write(response.finish.reason),
        "index": 0,
    });
    if !response.logprobs.is_empty() {
        candidate["logprobsResult"] = parts::logprobs(&response.logprobs);
    }
    let mut answer = parts::answer(candidate, reply);
    let usage = usage::write(response.usage.as_ref());
    answer.insert("usageMetadata".into(), usage);
    answer.into()
}
