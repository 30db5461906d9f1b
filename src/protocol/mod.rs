//! The dialects our clients and providers speak. Pure: bytes in, bytes out; no IO, no clock, no log.
//!
//! Where both sides speak the same dialect, bytes pass as they came and are only read. Else they go
//! through the common language of [`chat`](crate::chat): each dialect has one folder, with the way there
//! and the way back, and knows nothing of the others. A dialect's folder is the only place that knows its
//! JSON.

mod gemini;
pub mod openai;
pub mod sse;

mod anthropic;
mod codec;
mod dialect;
mod error;
mod estimate;
mod json;
mod media;
mod responses;
mod signature;
mod tree;

pub use codec::{Addressee, Decoder, Encoder, Outbound, Reply};
pub use dialect::{Dialect, MaxTokensField, Protocol, SchemaStyle, ThinkingStyle};
pub use error::decode as decode_error;
pub use estimate::estimate_tokens;
