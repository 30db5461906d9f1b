//! The dialects our clients and providers speak. Pure: bytes in, bytes out; no IO, no clock, no log.
//!
//! Where both sides speak the same dialect, bytes pass as they came and are only read; a dialect's
//! folder is the only place that knows its JSON.

pub mod openai;
pub mod sse;

mod estimate;
mod json;

pub use estimate::estimate_tokens;
