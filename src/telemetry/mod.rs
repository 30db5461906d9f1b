//! What we tell: the log, the one line that each request leaves in it, and alerts.

pub mod alerts;
mod line;
pub mod log;
mod record;
mod sink;
mod spool;

pub use record::{Outcome, Record};
