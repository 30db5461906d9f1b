//! Reads all numbers at one moment.

use std::collections::BTreeSet;

use super::families::Families;
use super::names;
use crate::clock::UnixMillis;
use crate::quota::{CLIENTS, GROUPS, Standing, UNITS, WindowStanding};
use crate::routing::{Candidate, Queue};
use crate::state::{Gateway, Snapshot};

/// Whose numbers these are.
type Whose<'a> = [(&'static str, &'a str); 2];

/// All numbers of this moment.
pub(super) fn all(gateway: &Gateway, snapshot: &Snapshot, now: UnixMillis) -> Families {
    let mut families = Families::default();
    process(&mut families, gateway, now);
    let mut groups = BTreeSet::new();
    for route in snapshot.routes.iter() {
        for candidate in route.candidates() {
            let whose = whose(&route.model, &candidate.provider.name);
            provider(&mut families, whose, candidate, now);
            account(&mut families, whose, &candidate.account.standing(now));
            let id = candidate.provider.group.as_ref().map(|group| &*group.id);
            if let (Some(id), Some(group)) = (id, candidate.account.group())
                && groups.insert(id)
            {
                account(&mut families, whose_group(id), &group.standing(now));
            }
        }
        queue(&mut families, &route.model, &route.queue);
    }
    for caller in snapshot.callers.iter() {
        let whose = whose(CLIENTS, &caller.name);
        account(&mut families, whose, &caller.account.standing(now));
    }
    families
}

fn whose<'a>(model: &'a str, provider: &'a str) -> Whose<'a> {
    [("model", model), ("provider", provider)]
}

fn whose_group(id: &str) -> Whose<'_> {
    whose(GROUPS, id)
}

fn process(families: &mut Families, gateway: &Gateway, now: UnixMillis) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    families.add(names::BUILD, &version, 1.0);
    let uptime = gateway.started.until(now).as_secs_f64();
    families.add(names::UPTIME, &[], uptime);
    families.add(names::RELOADS, &[], gateway.reloads() as f64);
    families.add(names::REJECTED, &[], flag(gateway.rejected().is_some()));
    let lost = gateway.alerts.outbox.lost();
    families.add(names::ALERTS_LOST, &[], lost as f64);
    if gateway.quotas.is_shared() {
        let up = gateway.quotas.trouble().is_none();
        families.add(names::SHARED, &[], flag(up));
    }
}

fn provider(families: &mut Families, whose: Whose<'_>, candidate: &Candidate, now: UnixMillis) {
    let eligible = candidate.ineligible(now).is_none();
    families.add(names::ELIGIBLE, &whose, flag(eligible));
    if let Some(until) = candidate.health.resting_until(now) {
        families.add(names::COOLDOWN, &whose, seconds(until));
    }
}

fn account(families: &mut Families, whose: Whose<'_>, standing: &Standing) {
    families.add(names::CONCURRENT, &whose, standing.open as f64);
    if let Some(most) = standing.max_concurrent {
        families.add(names::CONCURRENT_LIMIT, &whose, most as f64);
    }
    for standing in &standing.windows {
        window(families, whose, standing);
    }
}

fn window(families: &mut Families, [model, provider]: Whose<'_>, standing: &WindowStanding) {
    let window = ("window", &*standing.window.id);
    for unit in UNITS {
        let labels = [model, provider, window, ("unit", unit.name())];
        let used = standing.used[unit];
        families.add(names::USED, &labels, used as f64);
        families.add(names::HELD, &labels, standing.held[unit] as f64);
        if let Some(limit) = standing.window.caps[unit] {
            let left = limit.saturating_sub(used);
            families.add(names::LIMIT, &labels, limit as f64);
            families.add(names::REMAINING, &labels, left as f64);
        }
    }
    if let Some(at) = standing.next_reset {
        families.add(names::RESET, &[model, provider, window], seconds(at));
    }
    if let Some(forecast) = &standing.forecast {
        let labels = [model, provider, window, ("unit", forecast.unit.name())];
        families.add(names::PER_HOUR, &labels, forecast.per_hour);
        families.add(names::CONFIDENCE, &labels, forecast.confidence);
        if let Some(at) = forecast.exhausted_at {
            families.add(names::EXHAUSTION, &labels, seconds(at));
        }
    }
}

fn queue(families: &mut Families, model: &str, queue: &Queue) {
    let labels = [("model", model)];
    let report = queue.report();
    for (metric, value) in [
        (names::WAITING, report.waiting as f64),
        (names::LONGEST, report.longest as f64),
        (names::SERVED, report.served as f64),
        (names::IN_VAIN, report.in_vain as f64),
        (names::LEFT, report.left as f64),
        (names::REFUSED, report.refused as f64),
        (names::WAITED, report.waited.as_secs_f64()),
    ] {
        families.add(metric, &labels, value);
    }
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

/// Since 1970, as Prometheus counts.
fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1000.0
}
