//! What we tell: the log, and the one line that each request leaves in it.

mod line;
pub mod log;
mod record;
mod sink;
mod spool;

pub use record::{Outcome, Record};
