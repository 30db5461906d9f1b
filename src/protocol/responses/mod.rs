//! The dialect of OpenAI Responses.
//! Spec: <https://platform.openai.com/docs/api-reference/responses>
//!
//! A conversation is a flat list of items: messages, calls, their results, reasoning. An answer is a list of
//! items, too, and its stream announces each item, each part of it, and closes both again with their full text.
//!
//! Quirks: a call has two ids, and its result goes by `call_id`, not by `id`; ids, types and indices must be
//! the same in all events of an item and in the answer at the end; what was cut off ends with
//! `response.incomplete`, not `response.completed`; there is no end mark but that event; reasoning comes back
//! as `encrypted_content` that only its maker can read. The vendor keeps conversations, we do not: whatever
//! refers to one is refused.

mod decoder;
mod encoder;
mod envelope;
mod error;
mod foreign;
mod interruption;
mod item;
mod output;
mod request;
mod response;
mod seal;
mod sequence;
mod usage;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use decoder::StreamDecoder;
pub(crate) use encoder::StreamEncoder;
pub(crate) use error::render;
pub(crate) use foreign::{may_have_foreign, without_foreign};
pub(crate) use interruption::Interruption;
pub(crate) use request::{decode_request, encode_request};
pub(crate) use response::{decode_response, encode_response};
pub(crate) use usage::write_count;
