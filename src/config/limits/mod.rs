//! `rate_limit`: how much may be used, and in what time.
//!
//! It has three forms: a number of requests per minute, an object of [`words`], and an array of [`windows`].

mod windows;
mod words;

use chrono_tz::Tz;

use super::node::{Fields, Node};
use super::reader::Reader;
use super::zone;
use crate::quota::{Limits, Schedule};

const EXPECTED: &str = "an object such as {\"rpm\": 10, \"tpd\": 100000}, a number of requests per minute, \
                        or an array of windows such as [{\"requests\": 10, \"every\": \"1m\"}]";

/// Every day at midnight.
const DAILY: &str = "0 0 * * *";

/// Reads a rate limit; its periods are in `timezone` unless it names another.
pub(super) fn read(node: &Node<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Option<Limits> {
    if node.is_array() {
        windows::read(node, timezone, reader)
    } else if node.number().is_some() {
        let requests = reader.whole(Some(node.clone()), 0)?;
        Some(words::per_minute(requests))
    } else {
        words::read(node, timezone, reader)
    }
}

/// Reads how many requests there may be at once. `said` is what was said of it elsewhere.
pub(super) fn at_once(
    node: Option<Node<'_>>,
    said: Option<u64>,
    reader: &mut Reader<'_>,
) -> Option<u64> {
    let number = reader.whole(node.clone(), 0);
    if let (Some(node), Some(number), Some(said)) = (node, number, said)
        && number != said
    {
        let message =
            format!("found {number} beside {said}, expected one number of requests at once");
        reader.error(&node, message);
    }
    said.or(number)
}

fn zone(fields: &Fields<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Tz {
    let named = fields.get("tz").and_then(|node| zone::read(&node, reader));
    named.unwrap_or(timezone)
}

fn schedule(node: Option<&Node<'_>>, zone: Tz, reader: &mut Reader<'_>) -> Option<Schedule> {
    let Some(node) = node else {
        return Schedule::parse(DAILY, zone).ok();
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
