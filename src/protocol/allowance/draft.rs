//! The two headers of the draft standard, `RateLimit` and `RateLimit-Policy`, in the forms it has had.
//!
//! Until draft 7 there was one limit and a list of what is known of it, `limit=100, remaining=50, reset=5`;
//! since draft 8 there are many, each with a name: `"default";r=50;t=30`.
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>

use super::name::{Family, Field};
use super::{Key, Said};
use crate::clock::UnixMillis;

/// Reads `RateLimit`: what is left.
pub(super) fn states<'h>(value: &'h str, now: UnixMillis, said: &mut Said<'h>) {
    for item in items(value) {
        if let Some((name, value)) = item.name.split_once('=') {
            note(said, None, name, value, now);
            continue;
        }
        for (name, value) in item.parameters() {
            note(said, Some(item.name), name, value, now);
        }
    }
}

/// Reads `RateLimit-Policy`: what there is.
pub(super) fn policies<'h>(value: &'h str, said: &mut Said<'h>) {
    // Before there were names a policy was known by its amount, and where there are many of them nothing tells
    // which one `RateLimit` is about.
    let is_alone = items(value).nth(1).is_none();
    // Nothing in it is a moment.
    let now = UnixMillis::default();
    for item in items(value) {
        let is_amount = item.name.bytes().all(|b| b.is_ascii_digit());
        if is_amount && !is_alone {
            continue;
        }
        let policy = (!is_amount).then_some(item.name);
        if is_amount {
            note(said, None, "limit", item.name, now);
        }
        for (name, value) in item.parameters().filter(|(name, _)| *name != "t") {
            note(said, policy, name, value, now);
        }
    }
}

fn note<'h>(
    said: &mut Said<'h>,
    policy: Option<&'h str>,
    name: &str,
    value: &str,
    now: UnixMillis,
) {
    let field = match name {
        "limit" | "q" => Field::Limit,
        "remaining" | "r" => Field::Remaining,
        "reset" | "t" => Field::Reset,
        "w" => Field::Window,
        "qu" if !matches!(value, "request" | "requests") => {
            if let Some(limit) = said.limit(key(policy)) {
                limit.is_foreign = true;
            }
            return;
        }
        _ => return,
    };
    if let Some(limit) = said.limit(key(policy)) {
        limit.note(field, value, now);
    }
}

/// A limit that is named by a policy, or by nothing, is of requests.
fn key(policy: Option<&str>) -> Key<'_> {
    Key {
        family: Family::Plain,
        unit: None,
        span: None,
        policy,
    }
}

/// One item of a list, as RFC 9651 writes them: a name, and parameters that follow it.
struct Item<'h> {
    name: &'h str,
    rest: &'h str,
}

impl<'h> Item<'h> {
    fn parameters(&self) -> impl Iterator<Item = (&'h str, &'h str)> {
        split(self.rest, ';').filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            Some((name.trim(), bare(value)))
        })
    }
}

fn items(list: &str) -> impl Iterator<Item = Item<'_>> {
    split(list, ',').filter_map(|item| {
        let name = split(item, ';').next()?;
        let rest = &item[name.len()..];
        let name = bare(name);
        (!name.is_empty()).then_some(Item { name, rest })
    })
}

/// The pieces between separators that are not inside quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    })
}

/// A value without blanks and quotes around it.
fn bare(text: &str) -> &str {
    text.trim().trim_matches('"')
}
