//! What is told, how often, and when again.

use std::time::Duration;

use super::{Alert, Event, Reading, Sight, Trouble, Watch};
use crate::chat::Unit;
use crate::clock::UnixMillis;
use crate::quota::{Cycle, Forecast, PerUnit, Schedule, Window, WindowStanding};

fn at(secs: i64) -> UnixMillis {
    UnixMillis::from_secs(1_795_170_615 + secs)
}

fn daily() -> Cycle {
    Cycle::Cron(Schedule::parse("0 0 * * *", chrono_tz::UTC).unwrap())
}

/// A window of which so many of 100 requests are used.
fn standing(cycle: Cycle, used: u64) -> WindowStanding {
    let resets = matches!(cycle, Cycle::Cron(_)).then_some(at(50_000));
    WindowStanding {
        window: Window {
            id: "day".into(),
            caps: PerUnit([Some(100), None, None, Some(0)]),
            cycle,
        },
        used: PerUnit([used, 1_000_000, 0, 0]),
        held: PerUnit([0; 4]),
        in_flight: 0,
        last_reset: None,
        next_reset: resets,
        forecast: None,
    }
}

/// What is said of one window.
fn look_at(watch: &mut Watch, window: &WindowStanding, now: UnixMillis) -> Vec<Alert> {
    let accounts = [Reading {
        model: "m".into(),
        provider: "p".into(),
        windows: vec![window.clone()],
    }];
    let sight = Sight {
        percentages: &[80, 95],
        accounts: &accounts,
        ..calm()
    };
    watch.look(&sight, now)
}

fn calm() -> Sight<'static> {
    Sight {
        percentages: &[],
        accounts: &[],
        models: &[],
        rejected: false,
        trouble: (Trouble::Disk, false),
    }
}

const NONE: [u8; 0] = [];

fn percents(alerts: &[Alert]) -> Vec<u8> {
    let percents = alerts.iter().map(|alert| alert.percent);
    percents.map(Option::unwrap).collect()
}

#[test]
fn each_percentage_is_told_once_in_a_period() {
    let mut watch = Watch::default();
    for (secs, used, told) in [
        (0, 79, &[][..]),
        (1, 80, &[80]),
        (2, 94, &[]),
        (3, 95, &[95]),
        (4, 100, &[]),
        // Some were given back.
        (5, 10, &[]),
        (6, 100, &[]),
    ] {
        let alerts = look_at(&mut watch, &standing(daily(), used), at(secs));
        assert_eq!(percents(&alerts), told, "{used}");
        for alert in alerts {
            assert_eq!(alert.event, Event::Quota);
            assert_eq!((alert.used, alert.limit), (Some(used), Some(100)));
            assert_eq!(alert.resets_at, Some(at(50_000)));
            assert_eq!(alert.unit, Some(Unit::Requests));
        }
    }
    // In the next period, and when the operator has reset the counts, and by another limit: again. Of two at
    // once the higher is enough.
    let mut next = standing(daily(), 97);
    next.next_reset = Some(at(140_000));
    assert_eq!(percents(&look_at(&mut watch, &next, at(50_001))), [95]);
    next.last_reset = Some(at(50_002));
    assert_eq!(percents(&look_at(&mut watch, &next, at(50_002))), [95]);
    next.window.caps[Unit::Requests] = Some(120);
    assert_eq!(percents(&look_at(&mut watch, &next, at(50_003))), [80]);
    assert_eq!(look_at(&mut watch, &next, at(50_004)), []);
}

#[test]
fn a_rolling_window_must_have_been_calm_before_it_is_told_again() {
    let minute = || Cycle::Rolling(Duration::from_secs(60));
    let mut watch = Watch::default();
    let mut look = |used, secs| {
        let alerts = look_at(&mut watch, &standing(minute(), used), at(secs));
        percents(&alerts)
    };
    assert_eq!(look(96, 0), [95]);
    // Not for long, and not by much.
    assert_eq!(look(0, 10), NONE);
    assert_eq!(look(96, 20), NONE);
    assert_eq!(look(86, 30), NONE);
    assert_eq!(look(86, 1_000), NONE);
    assert_eq!(look(96, 1_001), NONE);
    // Clearly below the higher one for ten minutes, but not below the lower one.
    assert_eq!(look(75, 1_002), NONE);
    assert_eq!(look(75, 1_602), NONE);
    assert_eq!(look(80, 1_603), NONE);
    assert_eq!(look(95, 1_604), [95]);
    // Below both.
    for secs in [2_000, 2_600, 2_601, 3_201] {
        assert_eq!(look(5, secs), NONE);
    }
    assert_eq!(look(80, 3_202), [80]);
}

#[test]
fn a_likely_end_before_the_reset_is_told_once() {
    let forecast = |confidence, exhausted_at| Forecast {
        unit: Unit::Requests,
        per_hour: 60.0,
        exhausted_at,
        confidence,
    };
    let mut watch = Watch::default();
    let mut window = standing(daily(), 50);
    for (secs, seen, told) in [
        (0, Some(forecast(0.4, Some(at(3_000)))), false),
        (1, Some(forecast(0.9, None)), false),
        (2, None, false),
        (3, Some(forecast(0.5, Some(at(3_000)))), true),
        (4, Some(forecast(0.9, Some(at(2_900)))), false),
        (5, None, false),
        (2_000, Some(forecast(0.9, Some(at(2_900)))), false),
    ] {
        window.forecast = seen;
        let alerts = look_at(&mut watch, &window, at(secs));
        assert_eq!(alerts.len(), usize::from(told), "{secs}");
        for alert in alerts {
            assert_eq!(alert.event, Event::Forecast);
            assert_eq!(alert.exhausted_at, Some(at(3_000)));
        }
    }
    window.next_reset = Some(at(140_000));
    assert_eq!(look_at(&mut watch, &window, at(2_001)).len(), 1);
    // What is used up is no forecast, and of a short window nobody wants one.
    window.last_reset = Some(at(2_002));
    window.used[Unit::Requests] = 100;
    assert_eq!(percents(&look_at(&mut watch, &window, at(2_002))), [95]);
    let mut short = standing(Cycle::Rolling(Duration::from_secs(60)), 50);
    short.forecast = Some(forecast(1.0, Some(at(2_020))));
    assert_eq!(look_at(&mut watch, &short, at(2_003)), []);
}

#[test]
fn nothing_is_told_of_quotas_where_no_percentages_are_wanted() {
    let accounts = [Reading {
        model: "m".into(),
        provider: "p".into(),
        windows: vec![standing(daily(), 100)],
    }];
    let sight = Sight {
        accounts: &accounts,
        ..calm()
    };
    assert_eq!(Watch::default().look(&sight, at(0)), []);
}

fn events(alerts: &[Alert]) -> Vec<Event> {
    alerts.iter().map(|alert| alert.event).collect()
}

#[test]
fn a_model_without_a_provider_is_told_when_it_lasts() {
    let mut watch = Watch::default();
    let mut look = |unserved, secs| {
        let models = [("m".to_owned(), unserved), ("other".to_owned(), false)];
        let sight = Sight {
            models: &models,
            ..calm()
        };
        let alerts = watch.look(&sight, at(secs));
        assert!(alerts.iter().all(|a| a.model.as_deref() == Some("m")));
        events(&alerts)
    };
    assert_eq!(look(true, 0), []);
    assert_eq!(look(true, 4), []);
    assert_eq!(look(false, 5), []);
    assert_eq!(look(true, 6), []);
    assert_eq!(look(true, 11), [Event::ModelUnserved]);
    assert_eq!(look(true, 1_000), []);
    assert_eq!(look(false, 1_001), []);
    assert_eq!(look(false, 1_006), [Event::ModelServed]);
    // Not again within ten minutes; but if it still is so then.
    let mut watch = Watch::default();
    let mut look = |unserved, secs| {
        let models = [("m".to_owned(), unserved)];
        let sight = Sight {
            models: &models,
            ..calm()
        };
        events(&watch.look(&sight, at(secs)))
    };
    for (unserved, secs, told) in [
        (true, 0, &[][..]),
        (true, 5, &[Event::ModelUnserved]),
        (false, 10, &[]),
        (false, 15, &[Event::ModelServed]),
        (true, 20, &[]),
        (true, 604, &[]),
        (true, 605, &[Event::ModelUnserved]),
    ] {
        assert_eq!(look(unserved, secs), told, "{secs}");
    }
}

#[test]
fn a_rejected_file_is_told_at_once_and_other_trouble_when_it_lasts() {
    let mut watch = Watch::default();
    for (secs, rejected, bad, told) in [
        (0, false, true, &[][..]),
        (1, true, false, &[Event::ConfigRejected]),
        (2, false, true, &[Event::ConfigAccepted]),
        (3, true, true, &[Event::ConfigRejected]),
        (7, true, true, &[Event::SharedStateAway]),
        (8, true, true, &[]),
        (9, true, false, &[]),
        (14, true, false, &[Event::SharedStateBack]),
    ] {
        let sight = Sight {
            rejected,
            trouble: (Trouble::SharedState, bad),
            ..calm()
        };
        assert_eq!(events(&watch.look(&sight, at(secs))), told, "{secs}");
    }
}
