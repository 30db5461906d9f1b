//! The call out: the only place that knows awc.
//!
//! What awc does wrong is repaired here, each with a test: a cut body that looks whole and a `1xx`
//! taken for the answer in `wire`, its five-second timeout, its hundred connections for all hosts
//! and its redirects in `client`. Which provider is called, and what an answer means, is decided
//! elsewhere.

mod client;
mod dial;
mod hook;
mod outgoing;
mod retry_after;
mod wire;

pub use client::{Client, Post, Response, Unanswered};
pub use outgoing::Sent;
