//! `rate_limit`: how much of a provider may be used in one period.

use chrono_tz::Tz;

use super::node::{Keys, Node};
use super::reader::Reader;
use super::zone;
use crate::quota::{Cycle, Limits, PerUnit, Schedule, Window};

const KEYS: Keys = Keys {
    read: &[
        "requests_per_period",
        "tokens_per_period",
        "period_cron",
        "tz",
    ],
    unsupported: &[],
    // Ignoring one of these would leave a provider without its limit.
    refused: &[
        "rps",
        "rpm",
        "rph",
        "rpd",
        "rpw",
        "tps",
        "tpm",
        "tph",
        "tpd",
        "tpw",
        "itpm",
        "itph",
        "itpd",
        "otpm",
        "otph",
        "otpd",
        "requests",
        "tokens",
        "input_tokens",
        "output_tokens",
        "every",
        "window",
        "windows",
        "requests_per_second",
        "requests_per_minute",
        "requests_per_hour",
        "requests_per_day",
        "requests_per_month",
        "tokens_per_second",
        "tokens_per_minute",
        "tokens_per_hour",
        "tokens_per_day",
        "tokens_per_month",
        "concurrency",
        "max_concurrency",
        "max_concurrent",
        "max_parallel_requests",
        "max_worker",
        "max_workers",
    ],
};

const EXPECTED: &str =
    "an object with `requests_per_period`, `tokens_per_period`, `period_cron` and `tz`";

/// Every day at midnight.
const DEFAULT_CRON: &str = "0 0 * * *";

/// Reads a rate limit; its periods are in `timezone` unless it names another.
pub(super) fn read(node: &Node<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Option<Limits> {
    if node.is_array() {
        let found = "found an array of windows, which this version does not support";
        reader.error(node, format!("{found}, expected {EXPECTED}"));
        return None;
    }
    let fields = reader.fields(node, &KEYS, EXPECTED)?;
    let zone = match fields.get("tz") {
        Some(node) => zone::read(&node, reader),
        None => Some(timezone),
    };
    let cron = fields.get("period_cron");
    let requests = reader.whole(fields.get("requests_per_period"), 0);
    let tokens = reader.whole(fields.get("tokens_per_period"), 0);
    let schedule = schedule(cron.as_ref(), zone.unwrap_or(timezone), reader);
    let period = Window {
        id: Window::ONLY.into(),
        caps: PerUnit([requests, tokens, None, None]),
        cycle: schedule.map_or(Cycle::Never, Cycle::Cron),
    };
    Some(Limits::new(vec![period], None))
}

fn schedule(node: Option<&Node<'_>>, zone: Tz, reader: &mut Reader<'_>) -> Option<Schedule> {
    let Some(node) = node else {
        return Schedule::parse(DEFAULT_CRON, zone).ok();
    };
    let expression = reader.filled_text(node, "a cron expression of five fields")?;
    match Schedule::parse(&expression, zone) {
        Ok(schedule) => Some(schedule),
        Err(reason) => {
            let found = node.shown();
            reader.error(
                node,
                format!("found {found}, expected a cron expression of five fields: {reason}"),
            );
            None
        }
    }
}
