//! `rate_limit`: how much of a provider may be used in one period.

use chrono_tz::Tz;

use super::node::{Keys, Node};
use super::reader::Reader;
use super::zone;
use crate::quota::{Limits, Schedule};

const KEYS: Keys = Keys {
    read: &[
        "requests_per_period",
        "tokens_per_period",
        "period_cron",
        "tz",
    ],
    unsupported: &["max_worker"],
};

/// Keys of the other forms. Ignoring them would leave a provider without its limit.
const OTHER_FORMS: [&str; 10] = [
    "rps", "rpm", "rph", "rpd", "tpm", "tph", "tpd", "requests", "tokens", "every",
];

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
    if let Some(key) = OTHER_FORMS.into_iter().find(|key| node.has(key)) {
        let found = format!("found `{key}`, which this version does not support");
        reader.error(node, format!("{found}, expected {EXPECTED}"));
        return None;
    }
    let fields = reader.fields(node, &KEYS, EXPECTED)?;
    let zone = match fields.get("tz") {
        Some(node) => zone::read(&node, reader),
        None => Some(timezone),
    };
    let cron = fields.get("period_cron");
    Some(Limits {
        requests: reader.whole(fields.get("requests_per_period"), 0),
        tokens: reader.whole(fields.get("tokens_per_period"), 0),
        schedule: schedule(cron.as_ref(), zone.unwrap_or(timezone), reader),
    })
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
