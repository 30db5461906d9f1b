//! The judge: what follows from a failed attempt, and what a client is told when nobody was left.
//!
//! Pure. The rules are those of the documentation's failover table; nothing else decides on retrying.

use std::time::Duration;

use crate::chat::{Failure, FailureKind, Side};
use crate::clock::UnixMillis;
use crate::quota::{Exhausted, Lack, Unit};
use crate::routing::{LONGEST_PAUSE, Refusals};

/// Quotas that reset within this time are worth waiting for: a minute, and as long as a rolling minute
/// gives back later.
const SOON: Duration = Duration::from_secs(61);

/// When the room is only held by requests in flight.
const VERY_SOON: Duration = Duration::from_secs(1);

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same provider may do better in a moment.
    Retry,
    /// The next candidate.
    Candidate,
    /// The request itself is at fault: the client is told.
    Stop,
}

/// Why a candidate did not answer, in the words for the client and in those for the log.
pub(super) struct Reason {
    pub(super) told: String,
    pub(super) logged: String,
}

/// Judges a failed attempt by its kind and by whose doing it was.
pub(super) fn after(failure: &Failure) -> Next {
    use FailureKind as Kind;
    match (failure.side, failure.kind) {
        (Side::Client | Side::Gateway, Kind::ContextTooLong | Kind::Inexpressible) => {
            Next::Candidate
        }
        (Side::Client | Side::Gateway, _) => Next::Stop,
        (
            Side::Upstream,
            Kind::BadUpstream | Kind::Timeout | Kind::Unavailable | Kind::Internal,
        ) => match failure.retry_after {
            Some(asked) if asked > LONGEST_PAUSE => Next::Candidate,
            _ => Next::Retry,
        },
        (Side::Upstream, Kind::InvalidRequest | Kind::TooLarge) => Next::Stop,
        (Side::Upstream, _) => Next::Candidate,
    }
}

/// Whether a provider said that its own quota is spent, and so should rest.
pub(super) fn is_refusal(failure: &Failure) -> bool {
    failure.side == Side::Upstream
        && matches!(
            failure.kind,
            FailureKind::RateLimited | FailureKind::QuotaExhausted
        )
}

/// What a client is told when no candidate is left.
pub(super) fn verdict(
    model: &str,
    last: Option<Failure>,
    tried: &[Reason],
    refusals: &Refusals,
    now: UnixMillis,
) -> Failure {
    if let Some(last) = last {
        return failed(model, last, tried);
    }
    if refusals.away {
        return out_of_contact(model);
    }
    if refusals.exhausted {
        return exhausted(model, refusals, now);
    }
    if let Some(window) = refusals.window {
        let message = format!(
            "the prompt is longer than the context length of every provider of `{model}` (maximum context {window} tokens)"
        );
        return Failure::new(FailureKind::ContextTooLong, Side::Client, message).about("messages");
    }
    let message = format!("no provider of `{model}` is enabled");
    Failure::new(FailureKind::Unavailable, Side::Gateway, message)
}

fn failed(model: &str, last: Failure, tried: &[Reason]) -> Failure {
    // The provider's own words say best why a prompt does not fit.
    let is_telling = match last.kind {
        FailureKind::ContextTooLong => true,
        // Where others were asked and failed, that matters more.
        FailureKind::Inexpressible => tried.is_empty(),
        _ => false,
    };
    if is_telling {
        return last;
    }
    let kind = match last.kind {
        FailureKind::Timeout => FailureKind::Timeout,
        _ => FailureKind::BadUpstream,
    };
    let listed = |words: fn(&Reason) -> &str| {
        let words: Vec<&str> = tried.iter().map(words).collect();
        format!(
            "no provider of `{model}` could answer: {}",
            words.join("; ")
        )
    };
    let mut failure = Failure::new(kind, Side::Upstream, listed(|reason| &reason.told));
    failure.label = Some(listed(|reason| &reason.logged).into());
    failure
}

fn exhausted(model: &str, refusals: &Refusals, now: UnixMillis) -> Failure {
    let wait = refusals.resets_at.map(|at| now.until(at));
    let soon = match wait {
        _ if refusals.temporary => Some(VERY_SOON),
        Some(wait) if wait <= SOON => Some(wait),
        _ => None,
    };
    let said = format!("the quota of every provider of `{model}` is used up");
    if let Some(wait) = soon {
        return for_the_moment(format!("{said} for the moment"), wait, refusals.resets_at);
    }
    let said = match refusals.resets_at {
        Some(at) => format!("{said}; the first resets at {}", at.rfc3339()),
        None => said,
    };
    for_long(said, refusals.resets_at)
}

/// What a client is told while nobody knows what other gateways have used.
fn out_of_contact(model: &str) -> Failure {
    let said = format!("the state in which the quotas of `{model}` are kept cannot be reached");
    let mut failure = Failure::new(FailureKind::Unavailable, Side::Gateway, said);
    failure.retry_after = Some(VERY_SOON);
    failure
}

/// What a client is told whose own limit is used up.
pub(super) fn own_limit(exhausted: &Exhausted, now: UnixMillis) -> Failure {
    let of = match exhausted.lack {
        Lack::Room(Unit::Requests) => "requests",
        Lack::Room(Unit::Tokens) => "tokens",
        Lack::Room(Unit::InputTokens) => "input tokens",
        Lack::Room(Unit::OutputTokens) => "output tokens",
        Lack::Place => "requests at once",
        Lack::Allowance(_) | Lack::Lease | Lack::Contact => "requests and tokens",
    };
    let said = format!("this API key's limit of {of} is reached");
    if exhausted.lack == Lack::Contact {
        let said = "the state in which this API key's limits are kept cannot be reached";
        let mut failure = Failure::new(FailureKind::Unavailable, Side::Gateway, said);
        failure.retry_after = Some(VERY_SOON);
        return failure;
    }
    let wait = exhausted.resets_at.map(|at| now.until(at));
    match wait {
        _ if exhausted.temporary => for_the_moment(said, VERY_SOON, exhausted.resets_at),
        Some(wait) if wait <= SOON => for_the_moment(said, wait, exhausted.resets_at),
        Some(_) => {
            let at = exhausted.resets_at.map(UnixMillis::rfc3339);
            let said = format!("{said}; it resets at {}", at.unwrap_or_default());
            for_long(said, exhausted.resets_at)
        }
        None => for_long(said, None),
    }
}

fn for_the_moment(said: String, wait: Duration, resets_at: Option<UnixMillis>) -> Failure {
    let mut failure = Failure::new(FailureKind::RateLimited, Side::Gateway, said);
    failure.retry_after = Some(wait.max(VERY_SOON));
    failure.resets_at = resets_at;
    failure
}

fn for_long(said: String, resets_at: Option<UnixMillis>) -> Failure {
    let mut failure = Failure::new(FailureKind::QuotaExhausted, Side::Gateway, said);
    failure.resets_at = resets_at;
    failure
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Next, Reason, after, verdict};
    use crate::chat::{Failure, FailureKind as Kind, Side};
    use crate::clock::UnixMillis;
    use crate::routing::Refusals;

    const NOW: UnixMillis = UnixMillis::from_secs(1_000);

    #[test]
    fn what_follows_depends_on_kind_and_side() {
        for (side, kind, next) in [
            (Side::Upstream, Kind::BadUpstream, Next::Retry),
            (Side::Upstream, Kind::Timeout, Next::Retry),
            (Side::Upstream, Kind::Unavailable, Next::Retry),
            (Side::Upstream, Kind::Unauthenticated, Next::Candidate),
            (Side::Upstream, Kind::Forbidden, Next::Candidate),
            (Side::Upstream, Kind::QuotaExhausted, Next::Candidate),
            (Side::Upstream, Kind::RateLimited, Next::Candidate),
            (Side::Upstream, Kind::UnknownModel, Next::Candidate),
            (Side::Upstream, Kind::ContextTooLong, Next::Candidate),
            (Side::Client, Kind::ContextTooLong, Next::Candidate),
            (Side::Client, Kind::InvalidRequest, Next::Stop),
            (Side::Client, Kind::NotFound, Next::Stop),
        ] {
            assert_eq!(
                after(&Failure::new(kind, side, "x")),
                next,
                "{side:?} {kind:?}"
            );
        }
    }

    #[test]
    fn a_provider_that_asks_for_a_long_pause_is_left_for_the_next() {
        let mut failure = Failure::upstream("HTTP 503");
        failure.retry_after = Some(Duration::from_secs(2));
        assert_eq!(after(&failure), Next::Retry);
        failure.retry_after = Some(Duration::from_secs(30));
        assert_eq!(after(&failure), Next::Candidate);
    }

    fn told(last: Option<Failure>, refusals: &Refusals) -> Failure {
        let tried = Reason {
            told: "a: HTTP 500".to_owned(),
            logged: "a: HTTP 500".to_owned(),
        };
        verdict("m", last, &[tried], refusals, NOW)
    }

    #[test]
    fn failed_attempts_are_a_502_and_a_last_timeout_a_504() {
        let none = Refusals::default();
        assert_eq!(
            told(Some(Failure::upstream("HTTP 500")), &none).kind,
            Kind::BadUpstream
        );
        assert_eq!(
            told(Some(Failure::timeout("late")), &none).kind,
            Kind::Timeout
        );
        let refused = Failure::new(Kind::RateLimited, Side::Upstream, "HTTP 429");
        assert_eq!(told(Some(refused), &none).kind, Kind::BadUpstream);
    }

    #[test]
    fn a_spent_quota_says_when_it_resets_and_whether_waiting_makes_sense() {
        let spent = |secs: Option<i64>, temporary| {
            let resets_at = secs.map(|secs| UnixMillis::from_secs(1_000 + secs));
            let refusals = Refusals {
                exhausted: true,
                temporary,
                away: false,
                resets_at,
                window: None,
            };
            let failure = told(None, &refusals);
            (failure.kind, failure.retry_after.map(|wait| wait.as_secs()))
        };
        assert_eq!(spent(Some(61), false), (Kind::RateLimited, Some(61)));
        assert_eq!(spent(Some(62), false), (Kind::QuotaExhausted, None));
        assert_eq!(spent(None, false), (Kind::QuotaExhausted, None));
        assert_eq!(spent(Some(3600), true), (Kind::RateLimited, Some(1)));
    }

    #[test]
    fn a_prompt_that_fits_nobody_is_the_clients_to_shorten() {
        let refusals = Refusals {
            window: Some(8_000),
            ..Refusals::default()
        };
        assert_eq!(told(None, &refusals).kind, Kind::ContextTooLong);
        assert_eq!(told(None, &Refusals::default()).kind, Kind::Unavailable);
    }
}
