//! A rate limit in the words that people use: `{"rpm": 10, "tpd": 100000}`.

use std::time::Duration;

use chrono_tz::Tz;

use super::{DAILY, EXPECTED, at_once, schedule, zone};
use crate::config::node::{Keys, Node};
use crate::config::reader::Reader;
use crate::quota::{Caps, Cycle, Limits, Schedule, Unit, Window};

/// Those that are not of any span are of requests at once.
pub(super) const WORDS: &[&str] = &[
    "requests_per_period",
    "tokens_per_period",
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
    "requests_per_second",
    "requests_per_minute",
    "requests_per_hour",
    "requests_per_day",
    "requests_per_week",
    "requests_per_month",
    "tokens_per_second",
    "tokens_per_minute",
    "tokens_per_hour",
    "tokens_per_day",
    "tokens_per_week",
    "tokens_per_month",
    "concurrency",
    "max_worker",
    "max_workers",
    "max_concurrency",
    "max_concurrent",
    "max_parallel_requests",
];

const KEYS: Keys = Keys {
    read: &["period_cron", "tz"],
    words: WORDS,
    // Ignoring one of these would leave somebody without a limit.
    refused: &[
        "requests",
        "tokens",
        "input_tokens",
        "output_tokens",
        "every",
        "window",
        "windows",
    ],
    ..Keys::NONE
};

/// In what time so much may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Span {
    /// As `period_cron` says.
    Period,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

/// How much of what in what time, and by which word it was said.
struct Said<'a> {
    unit: Unit,
    span: Span,
    word: &'a str,
    /// `None` after a mistake.
    most: Option<u64>,
}

/// So many requests per minute.
pub(super) fn per_minute(requests: u64) -> Limits {
    let said = Said {
        unit: Unit::Requests,
        span: Span::Minute,
        word: "rpm",
        most: Some(requests),
    };
    let every = Span::Minute.cycle(Tz::UTC);
    Limits::new(vec![window(Span::Minute, every, &[said])], None)
}

/// Reads an object of words.
pub(super) fn read(node: &Node<'_>, timezone: Tz, reader: &mut Reader<'_>) -> Option<Limits> {
    let fields = reader.fields(node, &KEYS, EXPECTED)?;
    let zone = zone(&fields, timezone, reader);
    let cron = fields.get("period_cron");
    let schedule = schedule(cron.as_ref(), zone, reader);

    let mut said: Vec<Said<'_>> = Vec::new();
    let mut max_concurrent = None;
    let words = fields.words();
    for (word, entry) in &words {
        let Some((unit, span)) = meaning(word) else {
            max_concurrent = at_once(Some(entry.value.clone()), max_concurrent, reader);
            continue;
        };
        let most = reader.whole(Some(entry.value.clone()), 0);
        let earlier = said.iter().find(|s| s.unit == unit && s.span == span);
        if let Some(earlier) = earlier {
            let (word, earlier) = (entry.key, earlier.word);
            let found = format!("found `{word}`, which says the same as `{earlier}`");
            reader.key_error(entry, format!("{found}, expected one of them"));
            continue;
        }
        said.push(Said {
            unit,
            span,
            word: entry.key,
            most,
        });
    }

    let mut windows = Vec::new();
    for span in Span::ALL {
        let named = said.iter().any(|said| said.span == span);
        match span {
            // An object that says nothing at all still says that there is a period in which is counted.
            Span::Period if named || cron.is_some() || words.is_empty() => {
                let cycle = schedule.clone().map_or(Cycle::Never, Cycle::Cron);
                windows.push(window(span, cycle, &said));
            }
            Span::Period => {}
            _ if named => windows.push(window(span, span.cycle(zone), &said)),
            _ => {}
        }
    }
    Some(Limits::new(windows, max_concurrent))
}

fn window(span: Span, cycle: Cycle, said: &[Said<'_>]) -> Window {
    let mut caps = Caps::default();
    for said in said.iter().filter(|said| said.span == span) {
        caps[said.unit] = said.most;
    }
    Window {
        id: span.id().into(),
        caps,
        cycle,
    }
}

/// What a word limits: `rpm` and `requests_per_minute` the requests of a minute. `None` where it is the
/// requests at once.
fn meaning(word: &str) -> Option<(Unit, Span)> {
    let (unit, span) = word.split_once("_per_").or_else(|| word.split_once('p'))?;
    let unit = match unit {
        "r" | "requests" => Unit::Requests,
        "t" | "tokens" => Unit::Tokens,
        "it" => Unit::InputTokens,
        "ot" => Unit::OutputTokens,
        _ => return None,
    };
    let span = match span {
        "period" => Span::Period,
        "s" | "second" => Span::Second,
        "m" | "minute" => Span::Minute,
        "h" | "hour" => Span::Hour,
        "d" | "day" => Span::Day,
        "w" | "week" => Span::Week,
        "month" => Span::Month,
        _ => return None,
    };
    Some((unit, span))
}

impl Span {
    const ALL: [Span; 7] = [
        Span::Period,
        Span::Second,
        Span::Minute,
        Span::Hour,
        Span::Day,
        Span::Week,
        Span::Month,
    ];

    /// What its window is called. What was counted is kept under it.
    fn id(self) -> &'static str {
        match self {
            Span::Period => Window::ONLY,
            Span::Second => "second",
            Span::Minute => "minute",
            Span::Hour => "hour",
            Span::Day => "day",
            Span::Week => "week",
            Span::Month => "month",
        }
    }

    /// Short ones roll, so that what a provider sees in any minute is within the limit wherever its own
    /// minutes begin. Long ones begin at midnight, as those of providers do.
    fn cycle(self, zone: Tz) -> Cycle {
        let rolling = |seconds| Cycle::Rolling(Duration::from_secs(seconds));
        let cron = |expression| Schedule::parse(expression, zone).map_or(Cycle::Never, Cycle::Cron);
        match self {
            Span::Second => rolling(1),
            Span::Minute => rolling(60),
            Span::Hour => rolling(3600),
            Span::Period | Span::Day => cron(DAILY),
            Span::Week => cron("0 0 * * 1"),
            Span::Month => cron("0 0 1 * *"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_meaning_of_its_own_or_is_of_requests_at_once() {
        let at_once = ["concurrency", "max_"];
        for word in WORDS {
            let is_at_once = at_once.iter().any(|start| word.starts_with(start));
            assert_eq!(meaning(word).is_none(), is_at_once, "{word}");
        }
        for (word, expected) in [
            ("rps", (Unit::Requests, Span::Second)),
            ("tph", (Unit::Tokens, Span::Hour)),
            ("itpm", (Unit::InputTokens, Span::Minute)),
            ("otpd", (Unit::OutputTokens, Span::Day)),
            ("rpw", (Unit::Requests, Span::Week)),
            ("tokens_per_month", (Unit::Tokens, Span::Month)),
            ("requests_per_period", (Unit::Requests, Span::Period)),
        ] {
            assert_eq!(meaning(word), Some(expected), "{word}");
        }
    }
}
