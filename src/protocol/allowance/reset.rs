//! When a limit is whole again, in all the ways in which that is written.

use std::time::Duration;

use chrono::DateTime;

use crate::clock::UnixMillis;

/// A number from here on is a moment in seconds since 1970, not a wait of thirty years.
const EPOCH_SECONDS_FROM: f64 = 1e9;

/// A number from here on is a moment in milliseconds since 1970.
const EPOCH_MILLIS_FROM: f64 = 1e11;

/// No window is longer than a month; what is farther away than this was written in a unit we do not know.
const LONGEST: Duration = Duration::from_secs(32 * 86_400);

/// When a limit is whole again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reset {
    pub(super) after: Duration,
    /// Whether it was written as a moment, not as a wait.
    pub(super) is_moment: bool,
}

/// Reads seconds (`12`, `0.5`), a duration in Go's way (`6m0s`, `120ms`), seconds or milliseconds since
/// 1970, or a moment in RFC 3339. A moment that has passed is now.
pub(super) fn read(text: &str, now: UnixMillis) -> Option<Reset> {
    let text = text.trim();
    let reset = if let Some(number) = number(text) {
        match number {
            number if number >= EPOCH_MILLIS_FROM => moment(millis(number), now),
            number if number >= EPOCH_SECONDS_FROM => moment(millis(number * 1000.0), now),
            number => wait(number)?,
        }
    } else if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        moment(UnixMillis(at.timestamp_millis()), now)
    } else {
        wait(seconds(text)?)?
    };
    Some(reset).filter(|reset| reset.after <= LONGEST)
}

fn wait(seconds: f64) -> Option<Reset> {
    Some(Reset {
        after: Duration::try_from_secs_f64(seconds).ok()?,
        is_moment: false,
    })
}

fn moment(at: UnixMillis, now: UnixMillis) -> Reset {
    Reset {
        after: now.until(at),
        is_moment: true,
    }
}

/// A number without a sign, an exponent or a name, which Rust would read too.
fn number(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| is_plain)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a moment beyond all dates is the last of them"
)]
fn millis(since_epoch: f64) -> UnixMillis {
    UnixMillis(since_epoch as i64)
}

/// Go's `time.Duration` as text, and days, which Go does not have: <https://pkg.go.dev/time#ParseDuration>.
fn seconds(mut text: &str) -> Option<f64> {
    let mut seconds = 0.0;
    if text.is_empty() {
        return None;
    }
    while !text.is_empty() {
        let is_unit = |c: char| !c.is_ascii_digit() && c != '.';
        let (amount, rest) = text.split_at(text.find(is_unit)?);
        let end = rest.find(|c: char| !is_unit(c)).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            // The micro sign and the Greek letter.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        seconds += number(amount)? * unit;
        text = rest;
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::clock::UnixMillis;

    /// 2026-11-20 10:30:15 UTC.
    const NOW: UnixMillis = UnixMillis::from_secs(1_795_170_615);

    #[test]
    fn every_way_of_writing_it_is_read() {
        for (text, seconds, is_moment) in [
            ("1s", 1.0, false),
            ("6m0s", 360.0, false),
            ("120ms", 0.12, false),
            ("12.5ms", 0.0125, false),
            ("1h2m3.5s", 3723.5, false),
            ("2m59.56s", 179.56, false),
            ("7.66s", 7.66, false),
            ("1d2h", 93_600.0, false),
            ("4h17m", 15_420.0, false),
            ("0s", 0.0, false),
            ("250us", 0.000_25, false),
            ("250\u{b5}s", 0.000_25, false),
            ("500ns", 0.000_000_5, false),
            ("12", 12.0, false),
            (" 0.5 ", 0.5, false),
            ("0", 0.0, false),
            ("33011.382867097855", 33_011.382_867_097, false),
            ("1795170675", 60.0, true),
            ("1795170675.5", 60.5, true),
            ("1795170675500", 60.5, true),
            ("1795170000", 0.0, true),
            ("2026-11-20T10:31:15Z", 60.0, true),
            ("2026-11-20T11:31:15.250+01:00", 60.25, true),
            ("2020-11-20T10:31:15Z", 0.0, true),
        ] {
            let read = read(text, NOW).unwrap_or_else(|| panic!("{text} is not read"));
            let after = read.after.as_secs_f64();
            assert!((after - seconds).abs() < 1e-6, "{text}: {after}");
            assert_eq!(read.is_moment, is_moment, "{text}");
        }
    }

    #[test]
    fn nonsense_is_not_read() {
        for text in [
            "",
            " ",
            "-1",
            "-1s",
            "+1",
            "1e5",
            "inf",
            "NaN",
            "soon",
            "s",
            "1x",
            "1m2",
            "1.2.3",
            ".",
            "1 s",
            "6m 0s",
            "2026-11-20",
            "10:31:15",
            "\u{b5}s",
            "\u{663}s",
        ] {
            assert_eq!(read(text, NOW), None, "{text}");
        }
        let endless = "9".repeat(400);
        let microseconds = "1795170675000000";
        for text in [&endless, &format!("{endless}h"), microseconds, "367d"] {
            assert_eq!(read(text, NOW), None, "{text}");
        }
    }
}
