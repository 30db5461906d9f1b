//! What is worth an alert, and whether it was told already. Pure: what is seen comes in, alerts come out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, Event};
use crate::chat::Unit;
use crate::clock::UnixMillis;
use crate::quota::{Cycle, UNITS, WindowStanding};

/// A forecast is told if it is at least as likely as not.
const CONFIDENT: f64 = 0.5;

/// Of shorter windows nobody wants to know when they will be used up; and what comes and goes is told again
/// after this long at the earliest.
const LONG: Duration = Duration::from_secs(600);

/// What may be over in a moment is told when it has lasted this long.
const LASTING: Duration = Duration::from_secs(5);

/// How far below a percentage a rolling window must fall before it can reach it again.
const BELOW: u64 = 10;

/// How an account stands.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Its model; or what stands for groups and clients.
    pub model: String,
    /// Its provider's name; or that of the group or the client.
    pub provider: String,
    /// Its windows.
    pub windows: Vec<WindowStanding>,
}

/// What keeps counts from being safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk.
    Disk,
    /// The state that several gateways share.
    SharedState,
}

/// All that is looked at.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// Percentages of limits that are told, in ascending order. None: neither they nor forecasts.
    pub percentages: &'a [u8],
    /// Every account.
    pub accounts: &'a [Reading],
    /// Every model, and whether all its providers rest or are spent.
    pub models: &'a [(String, bool)],
    /// Whether the configuration file is not valid.
    pub rejected: bool,
    /// What there would be trouble with, and whether there is.
    pub trouble: (Trouble, bool),
}

/// What was told.
#[derive(Debug, Default)]
pub struct Watch {
    quotas: HashMap<(Place, Unit), Mark>,
    forecasts: HashMap<Place, Mark>,
    models: BTreeMap<String, Condition>,
    rejected: Condition,
    trouble: Condition,
}

/// A window: its model, provider and id.
type Place = (String, String, Arc<str>);

/// Which period a window is in: what was told is told again in the next. Also under another limit.
type Period = (Option<UnixMillis>, Option<UnixMillis>, Option<u64>);

/// How far a number has risen in the present period.
#[derive(Debug, Default)]
struct Mark {
    period: Period,
    /// The highest step that was told; 0 for none.
    told: u8,
    /// Since when it has been clearly below that.
    below: Option<UnixMillis>,
}

/// Something that is bad or is not.
#[derive(Debug, Default)]
struct Condition {
    /// What was told last.
    bad: bool,
    /// Since when it has been otherwise.
    otherwise: Option<UnixMillis>,
    /// When it was last told to be bad.
    told: Option<UnixMillis>,
}

impl Watch {
    /// What is new since the last look.
    pub fn look(&mut self, sight: &Sight<'_>, now: UnixMillis) -> Vec<Alert> {
        let mut alerts = Vec::new();
        self.look_at_quotas(sight, now, &mut alerts);
        self.look_at_models(sight, now, &mut alerts);
        // Each rejection is somebody's doing, who wants to know of it at once.
        if self
            .rejected
            .turns(sight.rejected, [Duration::ZERO; 2], now)
        {
            let event = match sight.rejected {
                true => Event::ConfigRejected,
                false => Event::ConfigAccepted,
            };
            alerts.push(Alert::new(event, now));
        }
        let (what, bad) = sight.trouble;
        if self.trouble.turns(bad, [LASTING, LONG], now) {
            let event = match (what, bad) {
                (Trouble::Disk, true) => Event::DiskFailing,
                (Trouble::Disk, false) => Event::DiskWell,
                (Trouble::SharedState, true) => Event::SharedStateAway,
                (Trouble::SharedState, false) => Event::SharedStateBack,
            };
            alerts.push(Alert::new(event, now));
        }
        alerts
    }

    fn look_at_quotas(&mut self, sight: &Sight<'_>, now: UnixMillis, alerts: &mut Vec<Alert>) {
        // Only what is still there is remembered.
        let mut quotas = std::mem::take(&mut self.quotas);
        let mut forecasts = std::mem::take(&mut self.forecasts);
        if sight.percentages.is_empty() {
            return;
        }
        for reading in sight.accounts {
            for standing in &reading.windows {
                let caps = &standing.window.caps;
                let limited = UNITS
                    .into_iter()
                    .filter_map(|unit| Some((unit, caps[unit].filter(|limit| *limit > 0)?)));
                let place = (
                    reading.model.clone(),
                    reading.provider.clone(),
                    standing.window.id.clone(),
                );
                let about = |event, unit, limit| Alert {
                    model: Some(reading.model.clone()),
                    provider: Some(reading.provider.clone()),
                    window: Some(standing.window.id.clone()),
                    unit: Some(unit),
                    used: Some(standing.used[unit]),
                    limit: Some(limit),
                    resets_at: standing.next_reset,
                    ..Alert::new(event, now)
                };
                for (unit, limit) in limited {
                    let key = (place.clone(), unit);
                    let mut mark = quotas.remove(&key).unwrap_or_default();
                    mark.enter(period(standing, Some(limit)));
                    let used = standing.used[unit];
                    let near = used.saturating_add(limit.saturating_mul(BELOW) / 100);
                    let levels = [used, near].map(|used| level(sight.percentages, used, limit));
                    if mark.rises(levels, sight.percentages, pause(standing), now) {
                        alerts.push(Alert {
                            percent: Some(mark.told),
                            ..about(Event::Quota, unit, limit)
                        });
                    }
                    self.quotas.insert(key, mark);
                }
                if let Some((unit, limit, exhausted_at)) = foreseen(standing, now) {
                    let mut mark = forecasts.remove(&place).unwrap_or_default();
                    mark.enter(period(standing, None));
                    if mark.rises([1, 1], &[1], pause(standing), now) {
                        alerts.push(Alert {
                            exhausted_at: Some(exhausted_at),
                            ..about(Event::Forecast, unit, limit)
                        });
                    }
                    self.forecasts.insert(place, mark);
                } else if let Some(mut mark) = forecasts.remove(&place) {
                    mark.enter(period(standing, None));
                    mark.rises([0, 0], &[1], pause(standing), now);
                    self.forecasts.insert(place, mark);
                }
            }
        }
    }

    fn look_at_models(&mut self, sight: &Sight<'_>, now: UnixMillis, alerts: &mut Vec<Alert>) {
        let mut models = std::mem::take(&mut self.models);
        for (model, unserved) in sight.models {
            let mut condition = models.remove(model).unwrap_or_default();
            if condition.turns(*unserved, [LASTING, LONG], now) {
                let event = match unserved {
                    true => Event::ModelUnserved,
                    false => Event::ModelServed,
                };
                alerts.push(Alert {
                    model: Some(model.clone()),
                    ..Alert::new(event, now)
                });
            }
            self.models.insert(model.clone(), condition);
        }
    }
}

/// What runs out before it is renewed, if that is likely and there is still something left.
fn foreseen(standing: &WindowStanding, now: UnixMillis) -> Option<(Unit, u64, UnixMillis)> {
    let forecast = standing.forecast.filter(|f| f.confidence >= CONFIDENT)?;
    let at = forecast.exhausted_at.filter(|at| *at > now)?;
    let limit = standing.window.caps[forecast.unit]?;
    let is_long = standing.window.cycle.length() >= LONG;
    (is_long && standing.used[forecast.unit] < limit).then_some((forecast.unit, limit, at))
}

/// A rolling window has no periods.
fn period(standing: &WindowStanding, limit: Option<u64>) -> Period {
    let next = match &standing.window.cycle {
        Cycle::Cron(_) => standing.next_reset,
        Cycle::Never | Cycle::Rolling(_) => None,
    };
    (standing.last_reset, next, limit)
}

/// How long a rolling window must be calm before it can be alarming again; `None` where the next period is
/// waited for.
fn pause(standing: &WindowStanding) -> Option<Duration> {
    match &standing.window.cycle {
        Cycle::Rolling(every) => Some(LONG.max(*every)),
        Cycle::Never | Cycle::Cron(_) => None,
    }
}

/// The highest percentage that is reached; 0 for none.
fn level(percentages: &[u8], used: u64, limit: u64) -> u8 {
    let reached = |percent: &u8| u128::from(used) * 100 >= u128::from(limit) * u128::from(*percent);
    percentages.iter().rev().copied().find(reached).unwrap_or(0)
}

impl Mark {
    /// Begins anew in another period.
    fn enter(&mut self, period: Period) {
        if self.period != period {
            *self = Mark {
                period,
                ..Mark::default()
            };
        }
    }

    /// Whether a level is reached that was not told yet. When it has been below even with some allowance for
    /// as long as `pause`, what was told is forgotten, step by step.
    fn rises(
        &mut self,
        [level, with_allowance]: [u8; 2],
        steps: &[u8],
        pause: Option<Duration>,
        now: UnixMillis,
    ) -> bool {
        if level > self.told {
            self.told = level;
            self.below = None;
            return true;
        }
        if with_allowance >= self.told {
            self.below = None;
        } else if let Some(pause) = pause {
            let since = self.below.map_or(now, |since| since.min(now));
            self.below = Some(since);
            if since.until(now) >= pause {
                let lower = steps.iter().rev().find(|step| **step < self.told);
                self.told = lower.copied().unwrap_or(0);
                self.below = None;
            }
        }
        false
    }
}

impl Condition {
    /// Whether it has turned from bad to good or back: it has been otherwise for as long as `lasting`, and is
    /// not told to be bad twice within `rest`.
    fn turns(&mut self, bad: bool, [lasting, rest]: [Duration; 2], now: UnixMillis) -> bool {
        if bad == self.bad {
            self.otherwise = None;
            return false;
        }
        let since = self.otherwise.map_or(now, |since| since.min(now));
        self.otherwise = Some(since);
        let is_soon = bad && self.told.is_some_and(|told| told.until(now) < rest);
        if since.until(now) < lasting || is_soon {
            return false;
        }
        self.bad = bad;
        self.otherwise = None;
        if bad {
            self.told = Some(now);
        }
        true
    }
}

#[cfg(test)]
mod tests;
