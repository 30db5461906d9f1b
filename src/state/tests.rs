//! Days that take no time: what strategies make of the same quotas and the same demand.

use std::time::Duration;

use tempfile::TempDir;

use super::Gateway;
use crate::clock::UnixMillis;
use crate::config::Source;
use crate::quota::{Cost, Quotas};
use crate::routing::Plan;

/// Midnight in California, where the day of these quotas begins.
const MIDNIGHT: UnixMillis = UnixMillis::from_secs(1_795_161_600);

/// Three accounts of one tier: a large one, and two that allow more at once but less in a day.
fn gateway(folder: &TempDir, strategy: &str) -> Gateway {
    let provider = |name: &str, limits: &str| {
        format!(
            r#"{{"name": "{name}", "endpoint": "http://localhost:1/v1", "api_key": "sk-of-{name}-0123456789",
                "model": "x", "rate_limit": {limits}}}"#
        )
    };
    let text = format!(
        r#"{{"_global": {{"timezone": "America/Los_Angeles"}}, "m": {{"strategy": "{strategy}", "providers": [{}, {}, {}]}}}}"#,
        provider("large", r#"{"rpm": 10, "rpd": 1000}"#),
        provider("middle", r#"{"rpm": 15, "rpd": 250}"#),
        provider("small", r#"{"rpm": 20, "tpd": 50000}"#),
    );
    let path = folder.path().join("provider.json");
    std::fs::write(&path, text).unwrap();
    let source = Source::new(path, true);
    let config = source.load().unwrap();
    let quotas = Quotas::open(&folder.path().join(strategy), MIDNIGHT).unwrap();
    Gateway::new(source, config, quotas)
}

/// How many requests come in a minute of the day: few at night, a steady stream by day, bursts in the evening.
fn demand(minute: u32) -> u32 {
    match (minute / 60, minute % 60) {
        (0..=6, of_hour) => u32::from(of_hour % 6 == 0),
        (18..=21, of_hour) if of_hour % 20 < 2 => 40,
        (7..=22, of_hour) => u32::from(of_hour % 4 != 3),
        _ => 0,
    }
}

/// Serves a day. Each request takes its second of the minute, a few seconds, and a thousand tokens. Gives how
/// many were served in all, and how many of each provider by noon.
fn day(gateway: &Gateway) -> (u32, u32, Vec<u64>) {
    let snapshot = gateway.snapshot();
    let route = snapshot.routes.named("m").unwrap();
    let (mut asked, mut served, mut by_noon) = (0, 0, Vec::new());
    for minute in 0..24 * 60 {
        for number in 0..demand(minute) {
            let secs = u64::from(minute * 60 + number * 60 / demand(minute));
            let now = MIDNIGHT.after(Duration::from_secs(secs));
            asked += 1;
            let mut plan = Plan::new(route, 100);
            while let Some(candidate) = plan.next(now) {
                match candidate.account.reserve(Cost::estimate(100, 512), now) {
                    Ok(mut reservation) => {
                        drop(reservation.commit(now));
                        let done = now.after(Duration::from_secs(4));
                        drop(reservation.settle(Cost::estimate(400, 600), done));
                        served += 1;
                        break;
                    }
                    Err(exhausted) => plan.send_back(&exhausted),
                }
            }
        }
        if minute == 12 * 60 {
            let now = MIDNIGHT.after(Duration::from_secs(12 * 3600));
            by_noon = route
                .candidates()
                .map(|candidate| candidate.account.standing(now).windows[0].used.0[0])
                .collect();
        }
    }
    (asked, served, by_noon)
}

#[test]
fn a_day_by_headroom_serves_more_than_a_day_by_turns() {
    let folder = TempDir::new().unwrap();
    let (asked, by_turns, turns_by_noon) = day(&gateway(&folder, "weighted_round_robin"));
    let (_, by_headroom, headroom_by_noon) = day(&gateway(&folder, "quota"));
    println!(
        "asked {asked}: by turns {by_turns} (by noon {turns_by_noon:?}), by headroom {by_headroom} (by noon {headroom_by_noon:?})"
    );
    // By turns the small ones are burnt before the evening, when they are needed.
    assert!(turns_by_noon[2] >= 50, "{turns_by_noon:?}");
    assert!(headroom_by_noon[2] < 25, "{headroom_by_noon:?}");
    assert!(
        by_headroom >= by_turns + asked / 20,
        "{by_headroom} of {asked}, by turns {by_turns}"
    );
}
