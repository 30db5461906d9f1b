//! Requests: read from clients, written for providers.

mod content;
mod decode;
mod encode;
mod messages;
mod schema;
mod thinking;

pub(crate) use decode::decode_request;
pub(crate) use encode::{count_request, encode_request};
