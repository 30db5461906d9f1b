//! Requests for an answer.

mod config;
mod decode;
mod encode;
mod part;

pub(crate) use decode::decode_request;
pub(crate) use encode::encode_request;
pub(super) use part::arguments;
