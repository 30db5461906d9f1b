//! The door: who may come in, how a request is read, how an answer leaves.
//!
//! Knows actix. Which URL leads where is in [`routes`](crate::routes); the way of a model request goes on
//! in [`proxy`](crate::proxy).

mod access;
mod allowance;
mod error;
pub(crate) mod gemini;
pub(crate) mod health;
pub(crate) mod inbound;
pub(crate) mod models;
mod reply;
pub(crate) mod responses;
mod speech;
mod visit;

pub(crate) use access::Access;
pub use access::Door;
pub(crate) use reply::json;
pub use visit::Worker;
pub(crate) use visit::{Visit, endpoint, unknown_path};
