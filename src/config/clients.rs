//! `_global.api_keys`: who may call with a key of his own, and what he may use.

use std::collections::HashSet;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;

use super::limits::{self, at_once};
use super::node::{Fields, Keys, Node};
use super::reader::Reader;
use super::wording::{did_you_mean, nearest, quoted};
use super::{Client, Global, header, keys};
use crate::clock::UnixMillis;
use crate::quota::Limits;
use crate::routing;
use crate::secret::{KeyDigest, Secret};

const KEYS: Keys = Keys {
    read: &[
        "name",
        "key",
        "key_sha256",
        "models",
        "rate_limit",
        "max_concurrent",
        "expires_at",
        "enabled",
    ],
    ..Keys::NONE
};

const EXPECTED: &str = "an array of keys";
const EXPECTED_ONE: &str = "a key, or an object with `key` or `key_sha256`";
const EXPECTED_NAME: &str = "a name that is unique among all keys";
const EXPECTED_DIGEST: &str = "the SHA-256 of a key in 64 hexadecimal digits";
const EXPECTED_MODELS: &str = "an array of names of models";
const EXPECTED_MODEL: &str = "the name of a model, or a pattern with one `*`";
const EXPECTED_MOMENT: &str =
    "a date such as 2026-12-31, or a moment such as 2026-12-31T18:00:00+01:00";

/// Shorter keys can be guessed.
const KEY_CHARS_MIN: usize = 16;

/// How many hexadecimal digits of a key's digest name it.
const DIGITS: usize = 8;

/// Reads all clients. `names` are the models, patterns and aliases of the file.
pub(super) fn read(
    fields: Option<&Fields<'_>>,
    global: &Global,
    names: &HashSet<String>,
    reader: &mut Reader<'_>,
) -> Vec<Client> {
    let Some(node) = fields.and_then(|fields| fields.get("api_keys")) else {
        return Vec::new();
    };
    let elements = reader.elements(Some(node.clone().secret()), EXPECTED);
    if node.is_array() && elements.is_empty() {
        let hint = "without any key everybody may call; leave `api_keys` out if that is meant";
        reader.error_with(
            &node,
            "found an empty array, expected at least one key",
            Some(hint.to_owned()),
        );
    }
    let mut clients: Vec<Client> = Vec::new();
    let (mut known_keys, mut known_names) = (HashSet::new(), HashSet::new());
    for element in &elements {
        for client in clients_of(element, global, names, reader) {
            let is_new_key = known_keys.insert(client.key.bytes());
            let is_new_name = known_names.insert(client.name.clone());
            let is_key = |key: &Option<Secret>| {
                key.as_ref()
                    .is_some_and(|key| client.key.matches(key.expose()))
            };
            if is_key(&global.api_key) {
                reader.error(element, "found the key of `api_key`, expected another");
            } else if is_key(&global.admin_key) {
                reader.error(element, "found the key of `admin_key`, expected another");
            } else if !is_new_key {
                let found = "found a key a second time";
                reader.error(element, format!("{found}, expected each key once"));
            } else if !is_new_name {
                let found = format!("found a second {}", quoted(&client.name));
                reader.error(element, format!("{found}, expected {EXPECTED_NAME}"));
            }
            clients.push(client);
        }
    }
    reader.switched_off = false;
    let waiting = elements.iter().find(|element| element.text().is_none());
    if let Some(waiting) = waiting
        && clients.is_empty()
        && !reader.has_errors()
    {
        // Everybody could call if there were no key because the only one waits for its variable.
        let found = "found an only key that is not there yet";
        reader.error(waiting, format!("{found}, expected at least one key"));
    }
    if !clients.is_empty() && global.api_key.is_none() && global.admin_key.is_none() {
        let hint = "set `admin_key` to open it".to_owned();
        let found = "found neither `admin_key` nor `api_key` beside it, so that /admin is closed";
        reader.warn(&node, found, Some(hint));
    }
    clients
}

/// The clients of one element: several where a text holds several keys.
fn clients_of(
    element: &Node<'_>,
    global: &Global,
    names: &HashSet<String>,
    reader: &mut Reader<'_>,
) -> Vec<Client> {
    reader.switched_off = false;
    if element.text().is_some() {
        let keys = keys::in_text(element, reader).unwrap_or_default();
        let client = |key: Secret| {
            check_strength(&key, element, reader);
            let key = KeyDigest::of(key.expose());
            Client {
                name: name_of(&key),
                key,
                models: Vec::new(),
                limits: Limits::default(),
                expires_at: None,
                enabled: true,
            }
        };
        return keys.into_iter().map(client).collect();
    }
    let Some(fields) = reader.fields(element, &KEYS, EXPECTED_ONE) else {
        return Vec::new();
    };
    let enabled = reader.flag(fields.get("enabled")).unwrap_or(true);
    let named = fields.get("name");
    let name = named.and_then(|node| reader.name(&node, EXPECTED_NAME));
    reader.switched_off = !enabled;
    let key = key(&fields, reader);
    let models = models(&fields, global, names, reader);
    let mut limits = match fields.get("rate_limit") {
        Some(node) => limits::read(&node, global.timezone, reader).unwrap_or_default(),
        None => Limits::default(),
    };
    limits.max_concurrent = at_once(fields.get("max_concurrent"), limits.max_concurrent, reader);
    let expires_at = fields.get("expires_at");
    let expires_at = expires_at.and_then(|node| moment(&node, global.timezone, enabled, reader));
    let Some(key) = key else {
        return Vec::new();
    };
    vec![Client {
        name: name.unwrap_or_else(|| name_of(&key)),
        key,
        models,
        limits,
        expires_at,
        enabled,
    }]
}

/// What a client without a name is called.
fn name_of(key: &KeyDigest) -> String {
    format!("key-{}", key.short(DIGITS))
}

/// The digest of the key; `None` after a mistake, or where it waits for its variable.
fn key(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<KeyDigest> {
    let Some(node) = fields.get("key_sha256").map(Node::secret) else {
        let node = reader.required(fields, "key", "a key, or `key_sha256`")?;
        let key = header::required_key(node.clone(), reader)?;
        check_strength(&key, &node, reader);
        return Some(KeyDigest::of(key.expose()));
    };
    if fields.get("key").is_some() {
        reader.error(
            &node,
            "found `key_sha256` beside `key`, expected one of them",
        );
    }
    let text = reader.filled_text(&node, EXPECTED_DIGEST)?;
    let digest = KeyDigest::from_hex(&text);
    if digest.is_none() {
        reader.wrong(&node, EXPECTED_DIGEST);
    }
    digest
}

fn check_strength(key: &Secret, node: &Node<'_>, reader: &mut Reader<'_>) {
    let key = key.expose();
    let is_weak = key.chars().count() < KEY_CHARS_MIN && !header::is_placeholder(key);
    if is_weak && !reader.switched_off {
        let message = format!("found a key of less than {KEY_CHARS_MIN} characters");
        let hint = "short keys can be guessed; `openssl rand -hex 24` makes a good one".to_owned();
        reader.warn(node, message, Some(hint));
    }
}

fn models(
    fields: &Fields<'_>,
    global: &Global,
    names: &HashSet<String>,
    reader: &mut Reader<'_>,
) -> Vec<String> {
    let node = fields.get("models");
    let elements = reader.elements(node.clone(), EXPECTED_MODELS);
    if let Some(node) = node
        && node.is_array()
        && elements.is_empty()
    {
        let hint = "leave it out for all models".to_owned();
        let message = format!("found an empty array, expected {EXPECTED_MODELS}");
        reader.error_with(&node, message, Some(hint));
    }
    let redirects = global.model_redirects.iter().map(|(from, _)| from.as_str());
    let known: Vec<&str> = names.iter().map(String::as_str).chain(redirects).collect();
    let mut models = Vec::new();
    for node in elements {
        let Some(model) = reader.name(&node, EXPECTED_MODEL) else {
            continue;
        };
        if model.matches('*').count() > 1 {
            reader.wrong(&node, EXPECTED_MODEL);
        } else if !known.iter().any(|known| overlap(known, &model)) {
            let hint = did_you_mean(nearest(&model, known.iter().copied()));
            let message = format!("found {}, which is no model", node.shown());
            reader.warn(&node, message, hint);
        }
        models.push(model);
    }
    models
}

/// Whether some name may be meant by both, of which each is a name or a pattern.
fn overlap(one: &str, other: &str) -> bool {
    match (one.split_once('*'), other.split_once('*')) {
        (None, None) => one == other,
        (Some(_), None) => routing::capture(one, other).is_some(),
        (None, Some(_)) => routing::capture(other, one).is_some(),
        (Some((start, end)), Some((other_start, other_end))) => {
            (start.starts_with(other_start) || other_start.starts_with(start))
                && (end.ends_with(other_end) || other_end.ends_with(end))
        }
    }
}

/// A moment, or the end of a day in `timezone`.
fn moment(
    node: &Node<'_>,
    timezone: Tz,
    enabled: bool,
    reader: &mut Reader<'_>,
) -> Option<UnixMillis> {
    let text = reader.filled_text(node, EXPECTED_MOMENT)?;
    let moment = DateTime::parse_from_rfc3339(&text)
        .ok()
        .map(|moment| moment.timestamp_millis())
        .or_else(|| end_of_day(&text, timezone))
        .map(UnixMillis);
    match moment {
        None => reader.wrong(node, EXPECTED_MOMENT),
        Some(moment) if enabled && moment <= reader.now() => {
            reader.warn(
                node,
                "found a moment that has passed, so the key opens nothing",
                None,
            );
        }
        Some(_) => {}
    }
    moment
}

/// The first moment after a day such as `2026-12-31`.
fn end_of_day(text: &str, timezone: Tz) -> Option<i64> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let midnight = day.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN);
    // Where clocks go forward at midnight, the day begins an hour later.
    let hours = (0..3).filter_map(|hours| {
        let time = midnight.checked_add_signed(chrono::TimeDelta::hours(hours))?;
        timezone.from_local_datetime(&time).earliest()
    });
    hours.map(|moment| moment.timestamp_millis()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_where_a_name_fits_both() {
        for (one, other, expected) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4", false),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "gpt-4*", true),
            ("gpt-*", "*-mini", true),
            ("gpt-*", "o*", false),
            ("*-mini", "*-maxi", false),
            ("*", "anything", true),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_day_ends_where_the_next_begins() {
        let end = |day, zone| end_of_day(day, zone).map(|end| UnixMillis(end).rfc3339());
        let expected = Some("2026-12-31T23:00:00Z".to_owned());
        assert_eq!(end("2026-12-31", Tz::Europe__Berlin), expected);
        // Clocks go forward at midnight.
        let expected = Some("2026-09-06T04:00:00Z".to_owned());
        assert_eq!(end("2026-09-05", Tz::America__Santiago), expected);
        for text in ["", "2026-02-30", "31.12.2026", "2026-12-31 "] {
            assert_eq!(end(text, Tz::UTC), None, "{text:?}");
        }
    }
}
