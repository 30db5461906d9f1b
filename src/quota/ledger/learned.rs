//! What the provider itself says is left of its limits.
//!
//! It may only tighten: a request is admitted if the configured windows have room *and* nothing learned
//! stands in the way. What was learned holds until the moment at which the provider has all of it back,
//! and every answer that says something newer replaces it.

use std::time::Duration;

use crate::chat::{Allowance, Span, Unit};
use crate::clock::UnixMillis;
use crate::quota::limit::Amount;

/// All that is known of a provider's own limits. A handful, and most have none.
#[derive(Clone, Debug, Default)]
pub(in crate::quota) struct Learned(Vec<Known>);

/// One of a provider's limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::quota) struct Known {
    unit: Unit,
    span: Option<Span>,
    limit: Option<u64>,
    remaining: u64,
    at: UnixMillis,
    until: UnixMillis,
    /// What comes back with each millisecond until then.
    refill: f64,
    /// What was sent since, or was under way then: perhaps not yet part of what the provider said.
    taken: u64,
}

/// More would be a mistake of somebody, and each costs a comparison with each request.
const KNOWN_MAX: usize = 12;

impl Learned {
    /// Takes over what a provider said, and believes it for no longer than `longest`. `under_way` is what else
    /// was sent to it and is not answered yet.
    pub(super) fn learn(
        &mut self,
        said: &[Allowance],
        under_way: Amount,
        longest: Duration,
        now: UnixMillis,
    ) {
        self.0.retain(|known| known.until > now);
        for allowance in said {
            let Some(resets_in) = allowance.resets_in else {
                continue; // it says nothing of for how long
            };
            if resets_in.is_zero() {
                continue;
            }
            let until = now.after(resets_in.min(longest));
            let missing = allowance
                .limit
                .map_or(0, |limit| limit.saturating_sub(allowance.remaining));
            let refill = match allowance.refills {
                true => missing as f64 / resets_in.as_millis().max(1) as f64,
                false => 0.0,
            };
            let known = Known {
                unit: allowance.unit,
                span: allowance.span,
                limit: allowance.limit,
                remaining: allowance.remaining,
                at: now,
                until,
                refill,
                taken: under_way[allowance.unit],
            };
            let same = |old: &Known| (old.unit, old.span) == (known.unit, known.span);
            self.0.retain(|old| !same(old));
            if self.0.len() < KNOWN_MAX {
                self.0.push(known);
            }
        }
    }

    /// A request was sent.
    pub(super) fn take(&mut self, amount: Amount) {
        for known in &mut self.0 {
            known.taken = known.taken.saturating_add(amount[known.unit]);
        }
    }

    /// What stands in the way of a request, and until when.
    pub(super) fn lacking(&self, amount: Amount, now: UnixMillis) -> Option<(Unit, UnixMillis)> {
        self.0
            .iter()
            .filter_map(|known| known.lacking(amount[known.unit], now))
            .max_by_key(|(_, until)| *until)
    }

    /// What is known now, for people: unit, window, limit, what is left, until when.
    pub(super) fn told(
        &self,
        now: UnixMillis,
    ) -> impl Iterator<Item = (Unit, Option<Span>, Option<u64>, u64, UnixMillis)> {
        let current = self.0.iter().filter(move |known| known.until > now);
        current.map(move |known| {
            let left = known.left(now).max(0.0) as u64;
            (known.unit, known.span, known.limit, left, known.until)
        })
    }
}

impl Known {
    fn left(&self, now: UnixMillis) -> f64 {
        let back = self.refill * (now.0 - self.at.0).max(0) as f64;
        self.remaining as f64 + back - self.taken as f64
    }

    fn lacking(&self, asked: u64, now: UnixMillis) -> Option<(Unit, UnixMillis)> {
        if now >= self.until {
            return None;
        }
        // What is larger than the limit itself never fits: there our estimate is wrong, not the moment.
        let asked = asked.min(self.limit.unwrap_or(u64::MAX).max(1)) as f64;
        // An estimate is the most that it may be; a request that is alone may take the rest.
        let enough = match self.unit {
            Unit::Requests => asked,
            _ if self.taken == 0 => 1.0,
            _ => asked,
        };
        let left = self.left(now);
        if left >= enough {
            return None;
        }
        let until = match self.refill > 0.0 {
            true => now
                .0
                .saturating_add(((enough - left) / self.refill).ceil() as i64),
            false => self.until.0,
        };
        Some((self.unit, UnixMillis(until).min(self.until)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Learned;
    use crate::chat::{Allowance, Unit};
    use crate::clock::UnixMillis;
    use crate::quota::limit::{Amount, PerUnit};

    const NOW: UnixMillis = UnixMillis::from_secs(1_000);
    const DAY: Duration = Duration::from_secs(86_400);
    const ONE: Amount = PerUnit([1, 100, 100, 0]);

    fn said(unit: Unit, remaining: u64, refills: bool) -> Allowance {
        Allowance {
            unit,
            span: None,
            limit: Some(60),
            remaining,
            resets_in: Some(Duration::from_secs(60)),
            refills,
        }
    }

    fn lacking(learned: &Learned, secs: i64) -> Option<i64> {
        let now = UnixMillis::from_secs(1_000 + secs);
        let lacking = learned.lacking(ONE, now);
        lacking.map(|(_, until)| until.secs() - 1_000)
    }

    #[test]
    fn nothing_left_means_nobody_is_asked_until_it_is_back() {
        let mut learned = Learned::default();
        learned.learn(
            &[said(Unit::Requests, 0, false)],
            Amount::default(),
            DAY,
            NOW,
        );
        assert_eq!(lacking(&learned, 0), Some(60));
        assert_eq!(lacking(&learned, 59), Some(60));
        assert_eq!(lacking(&learned, 60), None);
    }

    #[test]
    fn a_bucket_fills_bit_by_bit() {
        let mut learned = Learned::default();
        learned.learn(
            &[said(Unit::Requests, 0, true)],
            Amount::default(),
            DAY,
            NOW,
        );
        assert_eq!(lacking(&learned, 0), Some(1));
        assert_eq!(lacking(&learned, 1), None);
        learned.take(ONE);
        assert_eq!(lacking(&learned, 1), Some(2));
    }

    #[test]
    fn what_is_under_way_may_not_be_part_of_what_was_said() {
        let mut learned = Learned::default();
        learned.learn(&[said(Unit::Requests, 2, false)], ONE, DAY, NOW);
        assert_eq!(lacking(&learned, 0), None);
        learned.take(ONE);
        assert_eq!(lacking(&learned, 0), Some(60));
        // What is said later counts.
        learned.learn(
            &[said(Unit::Requests, 30, false)],
            Amount::default(),
            DAY,
            NOW,
        );
        assert_eq!(lacking(&learned, 0), None);
    }

    #[test]
    fn an_estimate_of_tokens_that_never_fits_is_no_obstacle() {
        let mut learned = Learned::default();
        learned.learn(&[said(Unit::Tokens, 1, false)], Amount::default(), DAY, NOW);
        assert_eq!(lacking(&learned, 0), None);
        learned.learn(&[said(Unit::Tokens, 0, false)], Amount::default(), DAY, NOW);
        assert_eq!(lacking(&learned, 0), Some(60));
    }

    #[test]
    fn nobody_is_believed_for_ever() {
        let mut learned = Learned::default();
        let mut absurd = said(Unit::Requests, 0, false);
        absurd.resets_in = Some(300 * DAY);
        learned.learn(&[absurd], Amount::default(), DAY, NOW);
        assert_eq!(lacking(&learned, 86_399), Some(86_400));
        assert_eq!(lacking(&learned, 86_400), None);
    }

    #[test]
    fn without_a_word_on_when_nothing_is_learned() {
        let mut learned = Learned::default();
        let mut unsaid = said(Unit::Requests, 0, false);
        unsaid.resets_in = None;
        learned.learn(&[unsaid], Amount::default(), DAY, NOW);
        assert_eq!(lacking(&learned, 0), None);
    }
}
