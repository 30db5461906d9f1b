use std::time::Duration;

use proptest::prelude::*;

use super::{LIMITS_MAX, allowances, tells_allowance};
use crate::chat::{Allowance, Span, Unit};
use crate::clock::UnixMillis;

/// 2026-11-20 10:30:15 UTC.
const NOW: UnixMillis = UnixMillis::from_secs(1_795_170_615);

/// What is read from headers written one to a line.
fn read(headers: &str) -> Vec<Allowance> {
    let lines = headers.lines().filter_map(|line| line.split_once(':'));
    allowances(lines.map(|(name, value)| (name.trim(), value.trim())), NOW)
}

fn bucket(unit: Unit, span: Option<Span>, left: (u64, u64), seconds: f64) -> Allowance {
    Allowance {
        refills: true,
        ..window(unit, span, left, seconds)
    }
}

fn window(
    unit: Unit,
    span: Option<Span>,
    (remaining, limit): (u64, u64),
    seconds: f64,
) -> Allowance {
    Allowance {
        unit,
        span,
        limit: Some(limit),
        remaining,
        resets_in: Some(Duration::from_secs_f64(seconds)),
        refills: false,
    }
}

#[test]
fn openai_has_buckets_of_a_minute() {
    let read = read(
        "x-ratelimit-limit-requests: 5000
        x-ratelimit-limit-tokens: 160000
        x-ratelimit-limit-tokens_usage_based: 160000
        x-ratelimit-remaining-requests: 4999
        x-ratelimit-remaining-tokens: 159976
        x-ratelimit-remaining-tokens_usage_based: 159976
        x-ratelimit-reset-requests: 12ms
        x-ratelimit-reset-tokens: 9ms
        x-ratelimit-reset-tokens_usage_based: 9ms",
    );
    let minute = Some(Span::Minute);
    let expected = [
        bucket(Unit::Requests, minute, (4999, 5000), 0.012),
        bucket(Unit::Tokens, minute, (159_976, 160_000), 0.009),
    ];
    assert_eq!(read, expected);
}

#[test]
fn groqs_requests_are_those_of_a_day_by_arithmetic() {
    let read = read(
        "x-ratelimit-limit-requests: 14400
        x-ratelimit-limit-tokens: 6000
        x-ratelimit-remaining-requests: 14370
        x-ratelimit-remaining-tokens: 5234
        x-ratelimit-reset-requests: 2m59.56s
        x-ratelimit-reset-tokens: 7.66s",
    );
    let expected = [
        bucket(Unit::Requests, Some(Span::Day), (14_370, 14_400), 179.56),
        bucket(Unit::Tokens, Some(Span::Minute), (5_234, 6_000), 7.66),
    ];
    assert_eq!(read, expected);
}

#[test]
fn where_arithmetic_does_not_tell_the_window_it_is_not_known() {
    for (remaining, reset) in [
        // Full, or rounded to nothing.
        (5000, "0s"),
        (4999, "0s"),
        (4999, "1s"),
        (2500, "12m"),
    ] {
        let read = read(&format!(
            "x-ratelimit-limit-requests: 5000\nx-ratelimit-remaining-requests: {remaining}\n\
             x-ratelimit-reset-requests: {reset}"
        ));
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].span, None, "{remaining} {reset}");
        assert!(read[0].refills);
    }
}

#[test]
fn a_window_in_the_name_is_fixed() {
    let cerebras = read(
        "x-ratelimit-limit-requests-day: 1000000000
        x-ratelimit-limit-tokens-minute: 1000000000
        x-ratelimit-remaining-requests-day: 999997455
        x-ratelimit-remaining-tokens-minute: 999998298
        x-ratelimit-reset-requests-day: 33011.382867
        x-ratelimit-reset-tokens-minute: 11.382867",
    );
    let requests = (999_997_455, 1_000_000_000);
    let tokens = (999_998_298, 1_000_000_000);
    let expected = [
        window(Unit::Requests, Some(Span::Day), requests, 33_011.382_867),
        window(Unit::Tokens, Some(Span::Minute), tokens, 11.382_867),
    ];
    assert_eq!(cerebras, expected);

    // The window without a name is another one than that with a name; its end is a moment.
    let sambanova = read(
        "x-ratelimit-limit-requests: 60
        x-ratelimit-remaining-requests: 59
        x-ratelimit-reset-requests: 1795170675
        x-ratelimit-limit-requests-day: 12000
        x-ratelimit-remaining-requests-day: 11999
        x-ratelimit-reset-requests-day: 1795219200",
    );
    let expected = [
        window(Unit::Requests, None, (59, 60), 60.0),
        window(Unit::Requests, Some(Span::Day), (11_999, 12_000), 48_585.0),
    ];
    assert_eq!(sambanova, expected);
}

#[test]
fn mistral_tells_no_reset_and_once_counted_by_size() {
    let untold = |unit, span, remaining, limit| Allowance {
        resets_in: None,
        ..window(unit, Some(span), (remaining, limit), 0.0)
    };
    let today = read(
        "x-ratelimit-limit-tokens-minute: 5000000
        x-ratelimit-remaining-tokens-minute: 4999911
        x-ratelimit-tokens-query-cost: 52
        x-ratelimit-limit-req-minute: 720
        x-ratelimit-remaining-req-minute: 717",
    );
    let expected = [
        untold(Unit::Tokens, Span::Minute, 4_999_911, 5_000_000),
        untold(Unit::Requests, Span::Minute, 717, 720),
    ];
    assert_eq!(today, expected);

    let once = read(
        "ratelimitbysize-limit: 500000
        ratelimitbysize-remaining: 499968
        ratelimitbysize-reset: 38
        ratelimitbysize-query-cost: 32
        x-ratelimitbysize-limit-month: 1000000000
        x-ratelimitbysize-remaining-month: 999999000",
    );
    let expected = [
        window(Unit::Tokens, None, (499_968, 500_000), 38.0),
        untold(Unit::Tokens, Span::Month, 999_999_000, 1_000_000_000),
    ];
    assert_eq!(once, expected);
}

#[test]
fn anthropic_has_buckets_for_each_kind_of_tokens() {
    let read = read(
        "anthropic-ratelimit-requests-limit: 1000
        anthropic-ratelimit-requests-remaining: 994
        anthropic-ratelimit-requests-reset: 2026-11-20T10:30:16Z
        anthropic-ratelimit-tokens-limit: 540000
        anthropic-ratelimit-tokens-remaining: 14000
        anthropic-ratelimit-tokens-reset: 2026-11-20T10:31:00Z
        anthropic-ratelimit-input-tokens-limit: 450000
        anthropic-ratelimit-input-tokens-remaining: 0
        anthropic-ratelimit-input-tokens-reset: 2026-11-20T10:31:15Z
        anthropic-ratelimit-output-tokens-limit: 90000
        anthropic-ratelimit-output-tokens-remaining: 45000
        anthropic-ratelimit-output-tokens-reset: 2026-11-20T10:30:45Z
        anthropic-ratelimit-unified-status: allowed",
    );
    let minute = Some(Span::Minute);
    let expected = [
        bucket(Unit::Requests, None, (994, 1000), 1.0),
        bucket(Unit::Tokens, None, (14_000, 540_000), 45.0),
        bucket(Unit::InputTokens, minute, (0, 450_000), 60.0),
        bucket(Unit::OutputTokens, minute, (45_000, 90_000), 30.0),
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_limit_without_a_unit_is_a_window_of_requests() {
    let openrouter = "x-ratelimit-limit: 50
        x-ratelimit-remaining: 0
        x-ratelimit-reset: 1795219200000";
    let github = "x-ratelimit-limit: 50
        x-ratelimit-remaining: 0
        x-ratelimit-used: 50
        x-ratelimit-resource: core
        x-ratelimit-reset: 1795219200";
    let seconds = "ratelimit-limit: 50, 50;w=60\nratelimit-remaining: 0\nratelimit-reset: 48585";
    for headers in [openrouter, github, seconds] {
        let expected = window(Unit::Requests, None, (0, 50), 48_585.0);
        assert_eq!(read(headers), [expected], "{headers}");
    }
    let kong = "x-ratelimit-limit-hour: 9\nx-ratelimit-remaining-hour: 8\nratelimit-reset: 7";
    let expected = Allowance {
        resets_in: None,
        ..window(Unit::Requests, Some(Span::Hour), (8, 9), 0.0)
    };
    assert_eq!(read(kong), [expected]);
}

#[test]
fn the_draft_standard_is_read_in_all_its_forms() {
    let minute = Some(Span::Minute);
    let plain = window(Unit::Requests, None, (50, 100), 5.0);
    let a_minute = window(Unit::Requests, minute, (50, 100), 30.0);
    let daily = window(Unit::Requests, Some(Span::Day), (4000, 5000), 36_000.0);
    let unlimited = Allowance {
        limit: None,
        ..window(Unit::Requests, None, (50, 0), 30.0)
    };
    let cases: [(&str, &[Allowance]); 9] = [
        ("ratelimit: limit=100, remaining=50, reset=5", &[plain]),
        (
            "ratelimit-policy: 100;w=60\nratelimit: limit=100, remaining=50, reset=30",
            &[a_minute],
        ),
        (
            "ratelimit-policy: 10;w=1, 100;w=60\nratelimit: limit=100, remaining=50, reset=5",
            &[plain],
        ),
        ("ratelimit: \"default\";r=50;t=30", &[unlimited]),
        (
            "ratelimit: \"default\";r=50;t=30\nratelimit-policy: \"default\";q=100;w=60",
            &[a_minute],
        ),
        (
            "ratelimit-policy: a;q=100;w=60, \"b, c\";q=5000;w=86400;pk=:cHNk:\n\
             ratelimit: a; r=50; t=30, \"b, c\"; r=4000; t=36000",
            &[a_minute, daily],
        ),
        (
            "ratelimit-policy: \"p\";q=100;w=60;qu=\"requests\"\nratelimit: \"p\";r=50;t=30",
            &[a_minute],
        ),
        (
            "ratelimit-policy: \"p\";q=100;qu=\"content-bytes\"\nratelimit: \"p\";r=50;t=30",
            &[],
        ),
        ("ratelimit-policy: \"default\";q=100;w=60", &[]),
    ];
    for (headers, expected) in cases {
        assert_eq!(read(headers), expected, "{headers}");
    }
}

#[test]
fn a_window_told_in_seconds_is_fixed() {
    let read = read(
        "x-ratelimit-limit-requests: 15
        x-ratelimit-remaining-requests: 14
        x-ratelimit-renewalperiod-requests: 60",
    );
    let expected = Allowance {
        resets_in: None,
        ..window(Unit::Requests, Some(Span::Minute), (14, 15), 0.0)
    };
    assert_eq!(read, [expected]);
}

#[test]
fn nonsense_is_no_hint() {
    for headers in [
        "",
        "content-type: application/json",
        "x-ratelimit-limit-requests: 5",
        "x-ratelimit-reset-requests: 1s",
        "x-ratelimit-remaining-requests:",
        "x-ratelimit-remaining-requests: many",
        "x-ratelimit-remaining-requests: 1.5",
        // Azure.
        "x-ratelimit-limit-tokens: -1\nx-ratelimit-remaining-tokens: -1\nx-ratelimit-reset-tokens: 0",
        "x-ratelimit-limit-tokens: 5\nx-ratelimit-remaining-tokens: 6",
        "x-ratelimit-limit: 0\nx-ratelimit-remaining: 0",
        "x-ratelimit-remaining: 99999999999999999999999",
        "ratelimit: ",
        "ratelimit: ,;,=;\"",
        "ratelimit: \"a\"",
        "ratelimit: \"a\";r=x;t=30",
        "ratelimit: limit=1, remaining=2, reset=3",
    ] {
        assert_eq!(read(headers), [], "{headers}");
    }
    let partly = read("x-ratelimit-limit: none\nx-ratelimit-remaining: 7\nx-ratelimit-reset: soon");
    let expected = Allowance {
        limit: None,
        resets_in: None,
        ..window(Unit::Requests, None, (7, 0), 0.0)
    };
    assert_eq!(partly, [expected]);
}

#[test]
fn headers_about_something_else_cost_no_memory() {
    let read = read(
        "date: Fri, 20 Nov 2026 10:30:15 GMT
        content-type: application/json
        access-control-allow-origin: *
        x-request-id: 1
        retry-after: 1",
    );
    assert_eq!(read.capacity(), 0);
    assert!(!tells_allowance("retry-after"));
    assert!(tells_allowance("x-ratelimit-remaining"));
}

#[test]
fn there_is_an_end_to_what_is_read() {
    let many: Vec<String> = (0..1000).map(|n| format!("p{n};r=1")).collect();
    let read = read(&format!("ratelimit: {}", many.join(", ")));
    assert_eq!(read.len(), LIMITS_MAX);
}

/// Text that looks like the values of such headers, or like anything.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9dhmsnu\u{b5}.:TZ+-]{0,24}",
        "[0-9a-z\";=, ]{0,40}",
        any::<f64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        values in prop::collection::vec(value(), 3),
        odd: String,
        now: i64,
        names in prop::sample::select(&[
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
            ["ratelimit", "ratelimit-policy", "ratelimit-remaining"],
            [
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ],
            ["x-ratelimit-remaining-day", "ratelimitbysize-remaining", "x-ratelimit-reset-day"],
        ][..]),
    ) {
        let odd = format!("x-ratelimit-{odd}");
        let odd = (odd.as_str(), values[0].as_str());
        let headers = names.into_iter().zip(values.iter().map(String::as_str));
        for allowance in allowances(headers.chain([odd]), UnixMillis(now)) {
            prop_assert!(allowance.limit.is_none_or(|limit| allowance.remaining <= limit));
        }
    }
}
