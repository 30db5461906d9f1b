//! What is left of a caller's own limits, in the headers in which its dialect looks for that.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::clock::{self, UnixMillis};
use crate::protocol::Protocol;
use crate::quota::{Cycle, Standing, Unit};
use crate::state::Caller;

/// One limit of a caller: the one that is nearest to its end.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    limit: u64,
    remaining: u64,
    /// When all of it is back.
    resets_at: Option<UnixMillis>,
}

/// Tells a caller with limits what is left of them. Whoever has none is told nothing.
pub(super) fn tell(headers: &mut HeaderMap, caller: Option<&Caller>, dialect: Protocol) {
    let Some(caller) = caller.filter(|caller| caller.limited) else {
        return;
    };
    let now = clock::now();
    let standing = caller.account.standing(now);
    for (unit, name) in [
        (Unit::Requests, "requests"),
        (Unit::Tokens, "tokens"),
        (Unit::InputTokens, "input-tokens"),
        (Unit::OutputTokens, "output-tokens"),
    ] {
        if let Some(left) = left(&standing, unit, now) {
            for (name, value) in written(name, &left, dialect, now) {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name), HeaderValue::try_from(value))
                {
                    headers.insert(name, value);
                }
            }
        }
    }
}

/// Of all windows that limit this unit, the one with least of it left.
fn left(standing: &Standing, unit: Unit, now: UnixMillis) -> Option<Left> {
    let windows = standing.windows.iter().filter_map(|window| {
        let limit = window.window.caps[unit]?;
        let taken = window.used[unit].saturating_add(window.held[unit]);
        let resets_at = window.next_reset.or(match window.window.cycle {
            // What is only held yet comes back that long after it will be used.
            Cycle::Rolling(length) if taken > 0 => Some(now.after(length)),
            _ => None,
        });
        Some(Left {
            limit,
            remaining: limit.saturating_sub(taken),
            resets_at,
        })
    });
    windows.min_by_key(|left| left.remaining)
}

/// OpenAI's `x-ratelimit-*` have a duration as Go writes it
/// (<https://platform.openai.com/docs/guides/rate-limits>), Anthropic's a moment
/// (<https://docs.anthropic.com/en/api/rate-limits>). Google has no such headers: its clients get OpenAI's.
fn written(what: &str, left: &Left, dialect: Protocol, now: UnixMillis) -> Vec<(String, String)> {
    let (limit, remaining) = (left.limit.to_string(), left.remaining.to_string());
    let header = |part: &str| match dialect {
        Protocol::Anthropic => format!("anthropic-ratelimit-{what}-{part}"),
        _ => format!("x-ratelimit-{part}-{what}"),
    };
    let mut written = vec![(header("limit"), limit), (header("remaining"), remaining)];
    let at = left.resets_at.unwrap_or(now);
    let reset = match (dialect, left.resets_at) {
        // What never comes back has no moment at which it does.
        (_, None) if left.remaining < left.limit => return written,
        (Protocol::Anthropic, _) => at.rfc3339(),
        _ => go_duration(now.until(at)),
    };
    written.push((header("reset"), reset));
    written
}

/// A duration as Go writes it: `1h2m3.5s`, `6m0s`, `20ms`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return match millis {
            0 => "0s".to_owned(),
            _ => format!("{millis}ms"),
        };
    }
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&(rest / 1000).to_string());
    if rest % 1000 > 0 {
        let fraction = format!(".{:03}", rest % 1000);
        text.push_str(fraction.trim_end_matches('0'));
    }
    text + "s"
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Left, go_duration, written};
    use crate::clock::UnixMillis;
    use crate::protocol::Protocol;

    #[test]
    fn durations_are_written_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1_000, "1s"),
            (7_660, "7.66s"),
            (360_000, "6m0s"),
            (3_723_500, "1h2m3.5s"),
            (86_400_000, "24h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn each_dialect_has_its_own_headers() {
        let now = UnixMillis::from_secs(1_795_170_615);
        let left = Left {
            limit: 60,
            remaining: 59,
            resets_at: Some(now.after(Duration::from_secs(360))),
        };
        let shown = |dialect, left: &Left| {
            let pairs = written("requests", left, dialect, now).into_iter();
            pairs
                .map(|(name, value)| format!("{name}: {value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Protocol::OpenAi, &left),
            [
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-remaining-requests: 59",
                "x-ratelimit-reset-requests: 6m0s",
            ]
        );
        assert_eq!(
            shown(Protocol::Anthropic, &left),
            [
                "anthropic-ratelimit-requests-limit: 60",
                "anthropic-ratelimit-requests-remaining: 59",
                "anthropic-ratelimit-requests-reset: 2026-11-20T10:36:15Z",
            ]
        );
        let never = Left {
            resets_at: None,
            ..left
        };
        assert_eq!(shown(Protocol::OpenAi, &never).len(), 2);
    }
}
