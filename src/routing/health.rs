//! How a candidate has been doing, and whether it should be left alone for a while.
//!
//! Only the cooldown after a refusal (429, 402) exists here. A circuit breaker over consecutive
//! failures belongs in this file too: it would be a further state next to [`Cooldown`], fed by the same
//! [`Health::failed`] and [`Health::succeeded`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::UnixMillis;

/// A cooldown that no `Retry-After` set begins with this.
const FIRST: Duration = Duration::from_secs(60);

/// No cooldown is longer.
const LONGEST: Duration = Duration::from_secs(600);

/// No provider is left alone for longer than this, whatever it says: a daily quota is back by then.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// Share of the newest answer in the running average of answer lengths.
const NEWEST: f64 = 0.2;

/// Stands for "none" in [`Health::resting_until`] and [`Health::answer_tokens`].
const NEVER: i64 = i64::MIN;
const UNKNOWN: u64 = u64::MAX;

/// What one candidate's past tells about its future. Shared by all workers and kept over reloads.
///
/// Each request asks it several times, hence the atomics: they stand for themselves, and nothing is
/// concluded from two of them together.
#[derive(Debug)]
pub struct Health {
    /// The end of the cooldown that is in `trouble`, in milliseconds since 1970.
    resting_until: AtomicI64,
    /// The average of answer lengths: the bits of an `f64`.
    answer_tokens: AtomicU64,
    rejects_stream_options: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Kept after its end, until a success.
    cooldown: Option<Cooldown>,
    /// Refusals since the last success: each doubles the cooldown.
    refusals: u32,
    last_failure: Option<(UnixMillis, String)>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            resting_until: AtomicI64::new(NEVER),
            answer_tokens: AtomicU64::new(UNKNOWN),
            rejects_stream_options: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }
}

/// A rest that a provider asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cooldown {
    /// When it ends.
    pub until: UnixMillis,
    /// What the provider said.
    pub reason: String,
}

/// A copy of what is known, for people.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The running cooldown.
    pub cooldown: Option<Cooldown>,
    /// Answers committed since the start.
    pub answered: u64,
    /// Failed attempts since the start.
    pub failed: u64,
    /// The last failed attempt.
    pub last_failure: Option<(UnixMillis, String)>,
}

impl Health {
    /// When the candidate's rest ends, if it is resting.
    pub fn resting_until(&self, now: UnixMillis) -> Option<UnixMillis> {
        Some(UnixMillis(self.resting_until.load(Relaxed))).filter(|until| *until > now)
    }

    /// The provider refused for lack of quota: leave it alone for as long as it asked, a day at most,
    /// else for 60 s, doubled with each further refusal, 10 min at most. A shorter rest never replaces a longer one.
    pub fn refused(
        &self,
        retry_after: Option<Duration>,
        reason: &str,
        now: UnixMillis,
    ) -> Cooldown {
        let mut trouble = self.trouble.lock();
        let usual = FIRST
            .saturating_mul(1 << trouble.refusals.min(8))
            .min(LONGEST);
        let rest = retry_after.map_or(usual, |asked| asked.min(LONGEST_ASKED));
        trouble.refusals = trouble.refusals.saturating_add(1);
        let until = now.after(rest);
        match &trouble.cooldown {
            Some(running) if running.until >= until => running.clone(),
            _ => {
                let cooldown = Cooldown {
                    until,
                    reason: reason.to_owned(),
                };
                trouble.cooldown = Some(cooldown.clone());
                self.resting_until.store(until.0, Relaxed);
                cooldown
            }
        }
    }

    /// An attempt failed.
    pub fn failed(&self, reason: &str, now: UnixMillis) {
        self.failed.fetch_add(1, Relaxed);
        self.trouble.lock().last_failure = Some((now, reason.to_owned()));
    }

    /// An answer was committed. Ends any rest.
    pub fn succeeded(&self) {
        self.answered.fetch_add(1, Relaxed);
        if self.resting_until.load(Relaxed) != NEVER {
            let mut trouble = self.trouble.lock();
            trouble.refusals = 0;
            trouble.cooldown = None;
            self.resting_until.store(NEVER, Relaxed);
        }
    }

    /// The length of an answer, for [`Health::expected_answer`].
    pub fn answer_length(&self, tokens: u64) {
        let tokens = tokens as f64;
        let average = match self.answer_tokens.load(Relaxed) {
            UNKNOWN => tokens,
            old => f64::from_bits(old) + NEWEST * (tokens - f64::from_bits(old)),
        };
        // Of two at once one may be lost: it is an average.
        self.answer_tokens.store(average.to_bits(), Relaxed);
    }

    /// How many tokens an answer of this candidate has had on average, lately.
    pub fn expected_answer(&self) -> Option<u64> {
        match self.answer_tokens.load(Relaxed) {
            UNKNOWN => None,
            average => Some(f64::from_bits(average).ceil() as u64),
        }
    }

    /// Whether the provider refuses `stream_options`.
    pub fn rejects_stream_options(&self) -> bool {
        self.rejects_stream_options.load(Relaxed)
    }

    /// The provider refused `stream_options`: it is not asked again.
    pub fn remember_stream_options_rejected(&self) {
        self.rejects_stream_options.store(true, Relaxed);
    }

    /// All of it, for people.
    pub fn report(&self, now: UnixMillis) -> Report {
        let trouble = self.trouble.lock();
        Report {
            cooldown: trouble
                .cooldown
                .clone()
                .filter(|cooldown| cooldown.until > now),
            answered: self.answered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            last_failure: trouble.last_failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Health;
    use crate::clock::UnixMillis;

    const NOW: UnixMillis = UnixMillis::from_secs(1_000);

    fn rest(health: &Health, now: UnixMillis) -> Option<i64> {
        health
            .resting_until(now)
            .map(|until| until.secs() - now.secs())
    }

    #[test]
    fn a_refusal_rests_for_as_long_as_asked() {
        let health = Health::default();
        health.refused(Some(Duration::from_secs(7)), "HTTP 429", NOW);
        assert_eq!(rest(&health, NOW), Some(7));
        assert_eq!(rest(&health, UnixMillis::from_secs(1_007)), None);
    }

    #[test]
    fn without_a_hint_the_rest_doubles_up_to_ten_minutes() {
        let health = Health::default();
        let rests: Vec<_> = (0..6)
            .map(|_| {
                health.refused(None, "HTTP 429", NOW);
                rest(&health, NOW)
            })
            .collect();
        assert_eq!(rests, [60, 120, 240, 480, 600, 600].map(Some));
    }

    #[test]
    fn a_rest_of_a_year_ends_after_a_day() {
        let health = Health::default();
        health.refused(Some(Duration::from_secs(31_536_000)), "HTTP 429", NOW);
        assert_eq!(rest(&health, NOW), Some(86_400));
    }

    #[test]
    fn a_shorter_rest_never_replaces_a_longer_one() {
        let health = Health::default();
        health.refused(Some(Duration::from_secs(300)), "HTTP 429", NOW);
        health.refused(Some(Duration::from_secs(1)), "HTTP 429", NOW);
        assert_eq!(rest(&health, NOW), Some(300));
    }

    #[test]
    fn a_success_clears_everything() {
        let health = Health::default();
        health.refused(None, "HTTP 429", NOW);
        health.succeeded();
        assert_eq!(rest(&health, NOW), None);
        health.refused(None, "HTTP 429", NOW);
        assert_eq!(rest(&health, NOW), Some(60));
    }

    #[test]
    fn the_expected_answer_follows_the_newest() {
        let health = Health::default();
        assert_eq!(health.expected_answer(), None);
        health.answer_length(100);
        health.answer_length(200);
        assert_eq!(health.expected_answer(), Some(120));
    }
}
