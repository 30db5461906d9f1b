//! The common language: what a dialect, the router and the log say to each other.
//!
//! Plain data without serde: JSON and vendors' field names belong to the folders of
//! [`protocol`](crate::protocol).

mod failure;
mod usage;

pub use failure::{Failure, FailureKind, KEY_REFUSED, Side, Verbatim};
pub use usage::Usage;
