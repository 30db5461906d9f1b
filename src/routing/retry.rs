//! How often, and how soon, a provider that failed is asked again.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::UnixMillis;

/// Retries allowed per second however quiet the gateway is.
const FLOOR_PER_SECOND: f64 = 10.0;

/// Share of a retry that each request earns.
const SHARE: f64 = 0.2;

/// Most retries that can be saved up.
const SAVED_MAX: f64 = 100.0;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// No pause is longer. A provider that asks for more is left for the next one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bounds retries on the same provider over all requests to a fifth of the traffic, but at least 10 a
/// second: a dead provider never sees a storm, and a quiet gateway retries as configured.
#[derive(Debug)]
pub struct RetryBudget(Mutex<Saved>);

#[derive(Debug)]
struct Saved {
    retries: f64,
    at: UnixMillis,
}

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget(Mutex::new(Saved {
            retries: FLOOR_PER_SECOND,
            at: UnixMillis(0),
        }))
    }
}

impl RetryBudget {
    /// A request began.
    pub fn earn(&self) {
        let mut saved = self.0.lock();
        saved.retries = (saved.retries + SHARE).min(SAVED_MAX);
    }

    /// Takes one retry, if there is one left.
    pub fn take(&self, now: UnixMillis) -> bool {
        let mut saved = self.0.lock();
        let elapsed = saved.at.until(now).as_secs_f64();
        // Also backwards: a clock that was set back must not stop the seconds from counting.
        saved.at = now;
        if saved.retries < FLOOR_PER_SECOND {
            saved.retries = (saved.retries + elapsed * FLOOR_PER_SECOND).min(FLOOR_PER_SECOND);
        }
        let allowed = saved.retries >= 1.0;
        if allowed {
            saved.retries -= 1.0;
        }
        allowed
    }
}

/// How long to wait before the attempt after `failed` ones: exponential, between half and all of it by
/// the draw (0 to 1), or what the provider asked for.
pub fn pause(failed: u32, asked: Option<Duration>, draw: f64) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_PAUSE);
    }
    let full = FIRST_PAUSE
        .saturating_mul(1 << failed.saturating_sub(1).min(10))
        .min(LONGEST_PAUSE);
    full.mul_f64(0.5 + draw / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RetryBudget, pause};
    use crate::clock::UnixMillis;

    #[test]
    fn a_quiet_gateway_has_ten_retries_a_second() {
        let budget = RetryBudget::default();
        let second = |at: i64| {
            (0..50)
                .filter(|_| budget.take(UnixMillis::from_secs(at)))
                .count()
        };
        assert_eq!([second(1), second(2), second(60)], [10, 10, 10]);
    }

    #[test]
    fn a_clock_that_is_set_back_costs_nothing_but_the_second_it_happens_in() {
        let budget = RetryBudget::default();
        let second = |at: i64| {
            (0..50)
                .filter(|_| budget.take(UnixMillis::from_secs(at)))
                .count()
        };
        assert_eq!([second(9_000), second(100), second(101)], [10, 0, 10]);
    }

    #[test]
    fn a_busy_gateway_has_a_fifth_of_its_traffic() {
        let budget = RetryBudget::default();
        let now = UnixMillis::from_secs(1);
        while budget.take(now) {}
        for _ in 0..200 {
            budget.earn();
        }
        assert!((39..=41).contains(&(0..500).filter(|_| budget.take(now)).count()));
    }

    #[test]
    fn pauses_double_and_end_at_five_seconds() {
        let millis = |failed, draw| pause(failed, None, draw).as_millis();
        assert_eq!(
            [
                millis(1, 1.0),
                millis(2, 1.0),
                millis(3, 1.0),
                millis(30, 1.0)
            ],
            [100, 200, 400, 5000]
        );
        assert_eq!(millis(2, 0.0), 100);
        assert_eq!(
            pause(1, Some(Duration::from_secs(2)), 0.3),
            Duration::from_secs(2)
        );
    }
}
