//! Properties and stories of the whole engine; the parts are tested beside their code.

mod accounts;
mod durability;
mod gateway;
mod operator;

use chrono_tz::Tz;

use super::{Limits, Schedule};
use crate::clock::UnixMillis;

/// 2026-11-20T10:30:15Z, a Friday.
const NOW: UnixMillis = UnixMillis::from_secs(1_795_170_615);

fn minutes(minutes: i64) -> UnixMillis {
    UnixMillis(NOW.0 + minutes * 60_000)
}

fn limits(requests: u64, tokens: u64) -> Limits {
    Limits {
        requests: Some(requests),
        tokens: Some(tokens),
        schedule: None,
    }
}

fn hourly(requests: u64, tokens: u64) -> Limits {
    scheduled(limits(requests, tokens), "0 * * * *")
}

fn scheduled(limits: Limits, expression: &str) -> Limits {
    Limits {
        schedule: Some(Schedule::parse(expression, Tz::UTC).unwrap()),
        ..limits
    }
}
