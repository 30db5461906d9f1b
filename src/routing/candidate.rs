//! One provider as it takes part in serving: what was configured, and what lives on through reloads.

use std::sync::Arc;

use super::health::Health;
use super::name::Name;
use super::provider::Provider;
use super::target::Target;
use crate::clock::UnixMillis;
use crate::quota::{Account, Cost, Exhausted, Lack};

/// A provider of one route, with its counters and its health.
#[derive(Debug)]
pub struct Candidate {
    /// What was configured.
    pub provider: Provider,
    /// The provider's name, ready to be shown.
    pub name: Name,
    /// The model's name at the provider, ready to be shown.
    pub model: Name,
    /// What a request to it looks like.
    pub target: Target,
    /// Its quota counters.
    pub account: Arc<Account>,
    /// How it has been doing.
    pub health: Arc<Health>,
    /// The part of the requested name that fills a `*` in the provider's model is put in by this.
    pub pattern: bool,
}

/// Why a candidate would not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// It is switched off.
    Disabled,
    /// Its quota has no room.
    Exhausted(Exhausted),
    /// It said that it should be left alone for a while.
    Resting,
}

/// Tokens of an answer of which nothing is known: no bound in the request, and no answer seen yet. With
/// none at all, as many requests as come at once would pass a limit together; this is about what chat
/// answers take.
pub const ANSWER_TOKENS_DEFAULT: u64 = 512;

impl Candidate {
    /// The model's name at the provider; `rest` is what the client's name had in place of the `*`.
    pub fn model(&self, rest: Option<&str>) -> Name {
        match rest {
            Some(rest) if self.pattern => Name::new(&self.provider.model.replacen('*', rest, 1)),
            _ => self.model.clone(),
        }
    }

    /// Whether a prompt of `tokens` fits its context window.
    pub fn fits(&self, tokens: u64) -> bool {
        self.provider
            .max_context_length
            .is_none_or(|max| tokens <= max)
    }

    /// What to hold for a request: the prompt, and the answer's bound or its usual length.
    pub fn estimate(&self, prompt_tokens: u64, max_tokens: Option<u64>) -> Cost {
        Cost::estimate(
            prompt_tokens,
            max_tokens.unwrap_or_else(|| self.usual_answer()),
        )
    }

    /// What a request most likely took whose answer nobody waited for: unlike an estimate it is no more
    /// than usual, also when the request allows more.
    pub fn likely(&self, prompt_tokens: u64, max_tokens: Option<u64>) -> Cost {
        let answer = self.usual_answer().min(max_tokens.unwrap_or(u64::MAX));
        Cost::estimate(prompt_tokens, answer)
    }

    fn usual_answer(&self) -> u64 {
        self.health
            .expected_answer()
            .unwrap_or(ANSWER_TOKENS_DEFAULT)
    }

    /// Whether it rests or is used up, and is not merely busy.
    pub fn is_out(&self, now: UnixMillis) -> bool {
        self.health.resting_until(now).is_some()
            || self.account.peek(now).is_err_and(|lack| !lack.temporary)
    }

    /// Why it would not be chosen now; `None` when it would.
    pub fn ineligible(&self, now: UnixMillis) -> Option<Ineligible> {
        if !self.provider.enabled {
            return Some(Ineligible::Disabled);
        }
        match self.account.peek(now) {
            // Others are asked when it is chosen.
            Ok(()) => {}
            Err(exhausted) if exhausted.lack == Lack::Lease => {}
            Err(exhausted) => return Some(Ineligible::Exhausted(exhausted)),
        }
        let resting = self.health.resting_until(now);
        resting.map(|_| Ineligible::Resting)
    }
}

impl Ineligible {
    /// The reason in one word, for people and programs.
    pub fn word(&self) -> &'static str {
        match self {
            Ineligible::Disabled => "disabled",
            Ineligible::Resting => "cooling_down",
            Ineligible::Exhausted(exhausted) => match exhausted.lack {
                Lack::Room(_) | Lack::Allowance(_) | Lack::Lease => "quota_exhausted",
                Lack::Place => "busy",
                Lack::Contact => "out_of_contact",
            },
        }
    }
}
