//! The dialects our clients and providers speak. Pure: bytes in, bytes out; no IO, no clock, no log.
//!
//! Where both sides speak the same dialect, bytes pass as they came and are only read. Else they go
//! through the common language of [`chat`](crate::chat): each dialect has one folder, with the way there
//! and the way back, and knows nothing of the others. A dialect's folder is the only place that knows its
//! JSON.

mod anthropic;
mod gemini;
pub mod openai;
mod responses;
pub mod sse;

mod allowance;
mod bridge;
mod call;
mod codec;
mod dialect;
mod dialects;
mod endpoint;
mod error;
mod estimate;
mod gather;
mod json;
mod media;
mod relay;
mod run;
mod seen;
mod signature;
mod spent;
mod tree;

pub use allowance::{allowances, tells_allowance};
pub use bridge::{Bridge, Errand, Whole, count_answer, count_errand};
pub use call::{Call, Opening, Shape};
pub use codec::{Addressee, Decoder, Encoder, Outbound, Reply};
pub use dialect::{Dialect, MaxTokensField, Protocol, SchemaStyle, ThinkingStyle};
pub use dialects::render;
pub use endpoint::{Action, Endpoint, Passed};
pub use error::decode as decode_error;
pub use estimate::estimate_tokens;
pub use gather::Gather;
pub use relay::Relay;
pub use seen::Seen;
