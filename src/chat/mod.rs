//! The common language: what the dialects, the router and the log say to each other.
//!
//! Plain data without serde: JSON and vendors' field names belong to the folders of
//! [`protocol`](crate::protocol). A [`Request`] is a conversation to continue, a [`Response`] its
//! continuation, [`Event`]s the same as it comes, a [`Failure`] why there is none.

mod allowance;
mod embedding;
mod event;
mod failure;
mod request;
mod response;
mod usage;

pub use allowance::{Allowance, Span, Unit};
pub use embedding::{Embedding, Embeddings};
pub use event::{Block, Event, Finish, FinishReason, Logprob};
pub use failure::{Failure, FailureKind, KEY_REFUSED, Side, Verbatim};
pub use request::{
    Effort, Format, Grammar, Media, MediaKind, Part, Request, Role, Sampling, Signed, Source, Tool,
    ToolCall, ToolChoice, ToolResult, Turn, Vendor,
};
pub(crate) use response::pieces;
pub use response::{Collector, Response};
pub use usage::Usage;
