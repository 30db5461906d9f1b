//! How fast an account is used, and when its windows will be used up if that goes on.
//!
//! Some averages, as a system's load has them: over the last seconds, minute, quarter of an hour and four
//! hours. They are fed once a second with what was counted in all, so that no request pays for them.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::quota::limit::{Amount, UNITS, Unit};

/// The averages of one account.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// All that was ever counted by this process.
    total: Amount,
    /// What it was at the last look, and when the first and the last were.
    seen: Option<(UnixMillis, UnixMillis, Amount)>,
    /// Uses per second, of each unit, over each of [`MEMORIES`].
    rates: [[f64; 4]; 4],
}

/// Where a window is heading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The unit that runs out first.
    pub unit: Unit,
    /// How much of it is used in an hour, at the present pace.
    pub per_hour: f64,
    /// When it will be used up; `None` if it lasts until the counts return to zero.
    pub exhausted_at: Option<UnixMillis>,
    /// From 0, a guess, to 1: how long the pace has been watched, and how steady it is.
    pub confidence: f64,
}

/// How far back each average looks, in seconds.
const MEMORIES: [f64; 4] = [10.0, 60.0, 900.0, 14_400.0];

impl Pace {
    /// Something was counted.
    pub(super) fn count(&mut self, amount: Amount) {
        self.total = self.total.plus(amount);
    }

    /// An estimate was replaced by what it really was.
    pub(super) fn correct(&mut self, was: Amount, is: Amount) {
        self.total = self.total.minus(was).plus(is);
    }

    /// A second, or a while, has passed.
    pub(super) fn tick(&mut self, now: UnixMillis) {
        let Some((first, last, before)) = self.seen else {
            self.seen = Some((now, now, self.total));
            return;
        };
        let seconds = last.until(now).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let used = self.total.minus(before);
        for (rates, memory) in self.rates.iter_mut().zip(MEMORIES) {
            let weight = 1.0 - (-seconds / memory).exp();
            for (rate, used) in rates.iter_mut().zip(used.0) {
                *rate += weight * (used as f64 / seconds - *rate);
            }
        }
        self.seen = Some((first, now, self.total));
    }

    /// Uses per second over the memory of this number, free of the zeros before the first look.
    fn rate(&self, memory: usize, unit: Unit) -> f64 {
        let grown = 1.0 - (-self.watched() / MEMORIES[memory]).exp();
        if grown <= 0.0 {
            return 0.0;
        }
        self.rates[memory][unit as usize] / grown
    }

    /// For how many seconds it has been watched.
    fn watched(&self) -> f64 {
        self.seen
            .map_or(0.0, |(first, last, _)| first.until(last).as_secs_f64())
    }

    /// Where a window is heading of which `left` of each unit is left until `resets_at`.
    pub(super) fn forecast(
        &self,
        left: [Option<u64>; 4],
        length: Duration,
        resets_at: Option<UnixMillis>,
        rolling: bool,
        now: UnixMillis,
    ) -> Option<Forecast> {
        if self.watched() < 1.0 {
            return None;
        }
        let memory = match length.as_secs() {
            0..=300 => 1,
            301..=10_800 => 2,
            _ => 3,
        };
        let mut soonest: Option<(f64, Forecast)> = None;
        for unit in UNITS {
            let Some(left) = left[unit as usize] else {
                continue;
            };
            let rate = self.rate(memory, unit);
            let lasts = if left == 0 {
                0.0
            } else if rate > 0.0 {
                left as f64 / rate
            } else {
                f64::INFINITY
            };
            if soonest.as_ref().is_some_and(|(least, _)| *least <= lasts) {
                continue;
            }
            let at = (lasts < 1e10).then(|| now.after(Duration::from_secs_f64(lasts)));
            // A rolling window gives back what is used as it goes: it runs out within its length or never.
            let end = match rolling {
                true => Some(now.after(length)),
                false => resets_at,
            };
            let forecast = Forecast {
                unit,
                per_hour: rate * 3600.0,
                exhausted_at: at.filter(|at| end.is_none_or(|end| *at < end)),
                confidence: self.confidence(memory, unit),
            };
            soonest = Some((lasts, forecast));
        }
        soonest.map(|(_, forecast)| forecast)
    }

    fn confidence(&self, memory: usize, unit: Unit) -> f64 {
        let watched = 1.0 - (-self.watched() / MEMORIES[memory]).exp();
        let long = self.rate(memory, unit);
        let short = self.rate(memory.saturating_sub(1), unit);
        let steady = match long + short > 0.0 {
            true => 1.0 - (long - short).abs() / (long + short),
            false => 1.0,
        };
        watched * steady
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::clock::UnixMillis;
    use crate::quota::limit::PerUnit;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(secs: i64) -> UnixMillis {
        UnixMillis::from_secs(1_000_000 + secs)
    }

    /// One request each `every` seconds, looked at once a second for `secs`.
    fn steady(every: i64, secs: i64) -> Pace {
        let mut pace = Pace::default();
        for sec in 0..=secs {
            if sec > 0 && sec % every == 0 {
                pace.count(PerUnit([1, 0, 0, 0]));
            }
            pace.tick(at(sec));
        }
        pace
    }

    #[test]
    fn a_steady_pace_is_foreseen() {
        let pace = steady(2, 3_600);
        let left = [Some(1_800), None, None, None];
        let midnight = Some(at(3_600 + 40_000));
        let forecast = pace
            .forecast(left, DAY, midnight, false, at(3_600))
            .unwrap();
        assert!((forecast.per_hour - 1_800.0).abs() < 20.0, "{forecast:?}");
        let in_secs = forecast.exhausted_at.unwrap().secs() - at(3_600).secs();
        assert!((3_500..3_700).contains(&in_secs), "{in_secs}");
        // An hour of a day: not much yet, but steady.
        assert!((0.15..0.3).contains(&forecast.confidence), "{forecast:?}");
        let forecast = steady(2, 40_000).forecast(left, DAY, None, false, at(40_000));
        assert!(forecast.unwrap().confidence > 0.9, "{forecast:?}");
    }

    #[test]
    fn what_lasts_until_the_reset_is_no_alarm() {
        let pace = steady(2, 3_600);
        let left = [Some(1_800), None, None, None];
        let soon = Some(at(3_600 + 600));
        let forecast = pace.forecast(left, DAY, soon, false, at(3_600)).unwrap();
        assert_eq!(forecast.exhausted_at, None);
    }

    #[test]
    fn without_a_look_there_is_no_forecast() {
        let left = [Some(1), None, None, None];
        assert_eq!(
            Pace::default().forecast(left, DAY, None, false, at(0)),
            None
        );
    }

    #[test]
    fn a_burst_is_trusted_less_than_a_steady_pace() {
        let mut pace = steady(10, 3_600);
        for sec in 3_601..3_660 {
            pace.count(PerUnit([20, 0, 0, 0]));
            pace.tick(at(sec));
        }
        let left = [Some(100_000), None, None, None];
        let burst = pace.forecast(left, DAY, None, false, at(3_660)).unwrap();
        let calm = steady(10, 3_660).forecast(left, DAY, None, false, at(3_660));
        assert!(
            burst.confidence < 0.6 * calm.unwrap().confidence,
            "{burst:?}"
        );
    }
}
