//! Requests: read from clients, written for providers.

mod content;
mod decode;
mod encode;
mod input;
mod items;
mod tools;

pub(crate) use decode::decode_request;
pub(crate) use encode::encode_request;
