//! What a dialect's folder offers to be translated: to and from the common language.
//!
//! Whole requests and answers are functions, as they hold nothing: `decode_request` and `encode_response` towards
//! clients, `encode_request` and `decode_response` towards providers, `render` for failures. Streams are state machines.

use bytes::Bytes;
use serde_json::Value;

use super::dialect::Dialect;
use crate::chat::Event;

/// Reads a provider's stream.
pub trait Decoder {
    /// Takes the data of one event and adds what it means. What cannot be read is an
    /// [`Event::Failed`], too, and nothing follows it.
    fn decode(&mut self, data: &[u8], out: &mut Vec<Event>);

    /// The provider's stream has ended: adds what was held back, among it [`Event::Close`] if the answer had
    /// come to its end and that was not said yet.
    fn end(&mut self, out: &mut Vec<Event>);
}

/// Writes a client's stream.
pub trait Encoder {
    /// Adds what the client is to read of an event, in whole frames.
    fn encode(&mut self, event: Event, out: &mut Vec<u8>);
}

/// What an answer tells its client beside what the provider said.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Letters and digits that no other answer has; a dialect puts its prefix before them.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The model as the client calls it.
    pub model: String,
    /// Whether the client wants usage told at the end of a stream (OpenAI).
    pub include_usage: bool,
    /// Whether a stream is to be one JSON array (Gemini).
    pub array: bool,
    /// The client's request as it came: Responses repeats some of it.
    pub asked: Bytes,
}

/// A request as a provider is to get it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outbound {
    /// The body.
    pub body: Value,
    /// What of the request was left out, as the provider has no word for it.
    pub dropped: Vec<&'static str>,
}

/// Whom a request is written for.
#[derive(Clone, Copy, Debug)]
pub struct Addressee<'a> {
    /// The model's name there.
    pub model: &'a str,
    /// How it speaks.
    pub dialect: &'a Dialect,
}
