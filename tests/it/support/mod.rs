//! What every test needs: a real gateway process, simulated providers, a raw client.

pub mod gateway;
pub mod http;
pub mod load;
pub mod pair;
pub mod recorded;
pub mod redis;
pub mod scripts;
pub mod strict;

pub use gateway::{Gateway, global, model, provider};

use std::time::Duration;

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);

/// Milliseconds, for scripts that read as sentences.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
