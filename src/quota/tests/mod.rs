//! Properties and stories of the whole engine; the parts are tested beside their code.

mod accounts;
mod durability;
mod gateway;
mod lease;
mod operator;
mod windows;

use chrono_tz::Tz;

use super::{Cycle, Limits, PerUnit, Schedule, Window};
use crate::clock::UnixMillis;

/// 2026-11-20T10:30:15Z, a Friday.
const NOW: UnixMillis = UnixMillis::from_secs(1_795_170_615);

fn minutes(minutes: i64) -> UnixMillis {
    UnixMillis(NOW.0 + minutes * 60_000)
}

fn limits(requests: u64, tokens: u64) -> Limits {
    window(Some(requests), Some(tokens), Cycle::Never)
}

fn hourly(requests: u64, tokens: u64) -> Limits {
    scheduled(requests, tokens, "0 * * * *")
}

fn scheduled(requests: u64, tokens: u64, expression: &str) -> Limits {
    window(Some(requests), Some(tokens), cron(expression))
}

fn cron(expression: &str) -> Cycle {
    Cycle::Cron(Schedule::parse(expression, Tz::UTC).unwrap())
}

/// The seed's: one window.
fn window(requests: Option<u64>, tokens: Option<u64>, cycle: Cycle) -> Limits {
    let window = Window {
        id: Window::ONLY.into(),
        caps: PerUnit([requests, tokens, None, None]),
        cycle,
    };
    Limits::new(vec![window], None)
}

/// A random id for counts, as far as a test needs one.
fn any_id() -> u64 {
    fastrand::u64(1..)
}
