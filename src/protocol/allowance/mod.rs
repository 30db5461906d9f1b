//! What a provider's answer says of its own limits, read from its headers.
//!
//! | who | names | when it is back |
//! |---|---|---|
//! | [OpenAI], [Groq] and those that copy them | `x-ratelimit-remaining-requests`, `-tokens` | bit by bit; `6m0s` |
//! | [Cerebras], [SambaNova], [Mistral] | the same and the window: `-requests-day`, `-req-minute` | at once; seconds |
//! | [Mistral], formerly | `x-ratelimitbysize-remaining-minute`, `ratelimitbysize-remaining`; tokens | at once |
//! | [Anthropic] | `anthropic-ratelimit-input-tokens-remaining` | bit by bit; RFC 3339 |
//! | [OpenRouter], [GitHub] and most of the web | `x-ratelimit-remaining` | at once; epoch or seconds |
//! | the [draft standard], old and new | `ratelimit-remaining`; `ratelimit: "name";r=50;t=30` | at once; seconds |
//!
//! They differ in the order of words and in how a moment is written, so it is words that are read here,
//! and no list of names. A name with a word that is not known is about something else: tokens that were
//! cached, a share of a subscription, the cost of this request.
//!
//! Nonsense is no hint, and without `remaining` there is none.
//!
//! [OpenAI]: https://platform.openai.com/docs/guides/rate-limits
//! [Groq]: https://console.groq.com/docs/rate-limits
//! [Cerebras]: https://inference-docs.cerebras.ai/support/rate-limits
//! [SambaNova]: https://docs.sambanova.ai/docs/en/models/rate-limits
//! [Mistral]: https://github.com/mistralai/client-ts/issues/169
//! [Anthropic]: https://docs.anthropic.com/en/api/rate-limits
//! [OpenRouter]: https://openrouter.ai/docs/api/reference/limits
//! [GitHub]: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
//! [draft standard]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/

mod draft;
mod name;
mod reset;

use std::time::Duration;

use crate::chat::{Allowance, Span, Unit};
use crate::clock::UnixMillis;

use name::{Family, Field, Name};
use reset::Reset;

/// More limits than any provider has; what comes after them is not read.
const LIMITS_MAX: usize = 16;

/// How far a computed window may be from a day or a minute, as a share of it: providers round what they say.
const TOLERANCE: f64 = 0.03;

/// Whether a header of this name, in lower case, can say something of a limit. Costs next to nothing.
pub fn tells_allowance(name: &str) -> bool {
    name::after_prefix(name).is_some()
}

/// What the headers of an answer say of the provider's own limits; names are in lower case.
pub fn allowances<'h>(
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    now: UnixMillis,
) -> Vec<Allowance> {
    let mut said = Said::default();
    for (name, value) in headers {
        let Some((family, rest)) = name::after_prefix(name) else {
            continue;
        };
        match rest {
            "" => draft::states(value, now, &mut said),
            "-policy" => draft::policies(value, &mut said),
            _ => {
                if let Some(name) = name::read(family, rest) {
                    said.note(&name, value.trim(), now);
                }
            }
        }
    }
    said.limits.iter().filter_map(Limit::allowance).collect()
}

/// What was said so far, limit by limit.
#[derive(Default)]
struct Said<'h> {
    limits: Vec<Limit<'h>>,
}

/// Which limit it is about. Headers of one limit come one by one, and in any order.
#[derive(Clone, Copy, PartialEq)]
struct Key<'h> {
    family: Family,
    /// `None` where it has no name of its own, which then is of requests.
    unit: Option<Unit>,
    /// The window that is part of its name.
    span: Option<Span>,
    /// Its name in the draft standard.
    policy: Option<&'h str>,
}

/// What was said of one limit. What was said first counts.
struct Limit<'h> {
    key: Key<'h>,
    limit: Option<u64>,
    remaining: Option<u64>,
    reset: Option<Reset>,
    /// The length of its window in seconds.
    window: Option<u64>,
    /// Whether it counts something that we do not.
    is_foreign: bool,
}

impl<'h> Said<'h> {
    /// The limit of this key; `None` when there are too many.
    fn limit(&mut self, key: Key<'h>) -> Option<&mut Limit<'h>> {
        if let Some(at) = self.limits.iter().position(|limit| limit.key == key) {
            return self.limits.get_mut(at);
        }
        if self.limits.len() == LIMITS_MAX {
            return None;
        }
        self.limits.push(Limit {
            key,
            limit: None,
            remaining: None,
            reset: None,
            window: None,
            is_foreign: false,
        });
        self.limits.last_mut()
    }

    fn note(&mut self, name: &Name, value: &str, now: UnixMillis) {
        let key = Key {
            family: name.family,
            unit: name.unit,
            span: name.span,
            policy: None,
        };
        let Some(limit) = self.limit(key) else { return };
        limit.note(name.field, value, now);
    }
}

impl Limit<'_> {
    fn note(&mut self, field: Field, value: &str, now: UnixMillis) {
        // An older draft lists every window after the number that counts: `100, 100;w=60, 5000;w=3600`.
        let first = || value.split([',', ';']).next()?.trim().parse().ok();
        match field {
            Field::Limit => self.limit = self.limit.or_else(first),
            Field::Remaining => self.remaining = self.remaining.or_else(first),
            Field::Reset => self.reset = self.reset.or_else(|| reset::read(value, now)),
            Field::Window => self.window = self.window.or_else(first),
        }
    }

    fn allowance(&self) -> Option<Allowance> {
        let remaining = self.remaining?;
        // No provider that answers allows nothing at all: that is how some say that they do not know.
        let is_absurd = |limit| limit == 0 || remaining > limit;
        if self.is_foreign || self.limit.is_some_and(is_absurd) {
            return None;
        }
        let refills = self.refills();
        let resets_in = self.reset.map(|reset| reset.after);
        let told = self.key.span.or_else(|| span_of(self.window?));
        let computed = || bucket_span(self.limit?, remaining, resets_in?);
        Some(Allowance {
            unit: self.key.unit.unwrap_or(match self.key.family {
                Family::BySize => Unit::Tokens,
                Family::Plain | Family::Anthropic => Unit::Requests,
            }),
            span: told.or_else(|| refills.then(computed).flatten()),
            limit: self.limit,
            remaining,
            resets_in,
            refills,
        })
    }

    /// Whether it is a token bucket. OpenAI and those that copy it say how long until it is full; who names the
    /// window, or the moment of its end, has windows that end.
    fn refills(&self) -> bool {
        let is_moment = self.reset.is_some_and(|reset| reset.is_moment);
        match self.key.family {
            Family::Anthropic => true,
            Family::Plain => {
                let is_named = self.key.span.is_some() || self.window.is_some();
                self.key.unit.is_some() && !is_named && !is_moment
            }
            Family::BySize => false,
        }
    }
}

/// A window of so many seconds, if that is one of those with a name.
fn span_of(seconds: u64) -> Option<Span> {
    const DAY: u64 = 86_400;
    match seconds {
        1 => Some(Span::Second),
        60 => Some(Span::Minute),
        3600 => Some(Span::Hour),
        DAY => Some(Span::Day),
        seconds if (28..=31).any(|days| seconds == days * DAY) => Some(Span::Month),
        _ => None,
    }
}

/// The window of a token bucket, from how long it takes to fill again.
///
/// Groq's requests are those of a day and its tokens those of a minute, under OpenAI's names, where both are
/// those of a minute. A bucket that lacks 30 of 14,400 and is full in 179.56 s takes a day to fill.
fn bucket_span(limit: u64, remaining: u64, full_in: Duration) -> Option<Span> {
    let used = limit.checked_sub(remaining).filter(|used| *used > 0)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "it is compared with a tolerance"
    )]
    let window = full_in.as_secs_f64() * limit as f64 / used as f64;
    [(Span::Minute, 60.0), (Span::Day, 86_400.0)]
        .into_iter()
        .find(|(_, seconds)| (window / seconds - 1.0).abs() <= TOLERANCE)
        .map(|(span, _)| span)
}

#[cfg(test)]
mod tests;
