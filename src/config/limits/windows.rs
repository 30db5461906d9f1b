//! A rate limit as an array of windows: `[{"requests": 10, "every": "1m"}]`.

use std::collections::HashSet;
use std::time::Duration;

use chrono_tz::Tz;

use super::words::WORDS;
use super::{DAILY, at_once, schedule, zone};
use crate::config::node::{Fields, Keys, Node};
use crate::config::reader::Reader;
use crate::config::wording::quoted;
use crate::quota::{Caps, Cycle, Limits, PerUnit, Window};

const KEYS: Keys = Keys {
    read: &[
        "id",
        "requests",
        "tokens",
        "input_tokens",
        "output_tokens",
        "period_cron",
        "every",
        "tz",
        "max_concurrent",
    ],
    // Ignoring one of these would leave somebody without a limit.
    refused: WORDS,
    ..Keys::NONE
};

const EXPECTED: &str = "a window such as {\"requests\": 10, \"every\": \"1m\"}";
const EXPECTED_EVERY: &str =
    "a time from 100ms to 400d such as \"30s\", \"90m\", \"24h\" or \"7d\", or a number of seconds";

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// Reads an array of windows.
pub(super) fn read(node: &Node<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Option<Limits> {
    let elements = reader.elements(Some(node.clone()), EXPECTED);
    if elements.is_empty() {
        reader.error(node, "found an empty array, expected at least one window");
        return None;
    }
    let mut windows = Vec::new();
    let mut ids = HashSet::new();
    let mut max_concurrent = None;
    for element in elements {
        let Some(fields) = reader.fields(&element, &KEYS, EXPECTED) else {
            continue;
        };
        let places = fields.get("max_concurrent");
        let caps = caps(&fields, reader);
        if caps == Caps::default() && places.is_none() {
            reader.warn(&element, "found a window that limits nothing", None);
        }
        max_concurrent = at_once(places, max_concurrent, reader);

        let cycle = cycle(&fields, timezone, reader);
        let named = fields.get("id");
        let id = match &named {
            Some(node) => reader.name(node, "a name that is unique within the array"),
            None => cycle.as_ref().map(|(_, id)| id.clone()),
        };
        let (Some((cycle, _)), Some(id)) = (cycle, id) else {
            continue;
        };
        if !ids.insert(id.clone()) {
            let found = format!("found a second window {}", quoted(&id));
            let expected = "expected one window with all limits, or another `id`";
            reader.error(
                named.as_ref().unwrap_or(&element),
                format!("{found}, {expected}"),
            );
        }
        windows.push(Window {
            id: id.into(),
            caps,
            cycle,
        });
    }
    Some(Limits::new(windows, max_concurrent))
}

fn caps(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Caps {
    let units = ["requests", "tokens", "input_tokens", "output_tokens"];
    PerUnit(units.map(|unit| reader.whole(fields.get(unit), 0)))
}

/// When what was used may be used again, and what such a window is called.
fn cycle(fields: &Fields<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Option<(Cycle, String)> {
    let zone = zone(fields, timezone, reader);
    let cron = fields.get("period_cron");
    let Some(node) = fields.get("every") else {
        let schedule = schedule(cron.as_ref(), zone, reader)?;
        let expression = cron.map_or(DAILY, |_| schedule.expression()).to_owned();
        let id = match fields.get("tz") {
            Some(_) => format!("{expression} {zone}"),
            None => expression,
        };
        return Some((Cycle::Cron(schedule), id));
    };
    if let Some(cron) = cron {
        reader.error(
            &cron,
            "found `period_cron` beside `every`, expected one of them",
        );
    }
    if let Some(node) = fields.get("tz") {
        let hint = "`every` is a length of time, which is the same everywhere".to_owned();
        reader.warn(
            &node,
            "found a time zone beside `every`, which has no effect",
            Some(hint),
        );
    }
    let (every, id) = every(&node, reader)?;
    Some((Cycle::Rolling(every), id))
}

/// A length of time, and how it was written.
fn every(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<(Duration, String)> {
    let (every, text) = match node.number() {
        Some(number) => {
            let every = milliseconds(number, 1000.0);
            let text = every.map(|every| match every.subsec_millis() {
                0 => format!("{}s", every.as_secs()),
                _ => format!("{}ms", every.as_millis()),
            });
            (every, text.unwrap_or_default())
        }
        None => {
            let text = reader.filled_text(node, EXPECTED_EVERY)?;
            (length(&text), text)
        }
    };
    let every = every.filter(|every| (SHORTEST..=LONGEST).contains(every));
    if every.is_none() {
        reader.wrong(node, EXPECTED_EVERY);
    }
    Some((every?, text))
}

/// The time that a text such as `90m` means.
fn length(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let milliseconds_each = match unit {
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        "w" => 604_800_000.0,
        _ => return None,
    };
    milliseconds(number, milliseconds_each)
}

fn milliseconds(number: &str, each: f64) -> Option<Duration> {
    let number: f64 = number.parse().ok()?;
    let duration = Duration::try_from_secs_f64((number * each).round() / 1000.0).ok()?;
    Some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_a_number_and_a_unit() {
        for (text, seconds) in [
            ("500ms", 0.5),
            ("30s", 30.0),
            ("90m", 5400.0),
            ("24h", 86_400.0),
            ("7d", 604_800.0),
            ("1w", 604_800.0),
            ("0s", 0.0),
        ] {
            let expected = Some(Duration::from_secs_f64(seconds));
            assert_eq!(length(text), expected, "{text}");
        }
        for text in [
            "", "m", "10", "1.5h", "-1m", "1M", "1 m", "1m ", "1min", "h1",
        ] {
            assert_eq!(length(text), None, "{text}");
        }
    }
}
