//! What follows for a provider that said its own quota is spent.

use chrono_tz::Tz;

use super::outcome;
use super::request::Request;
use crate::chat::{Failure, Span};
use crate::clock::UnixMillis;
use crate::protocol::Protocol;
use crate::quota::{Cycle, Schedule};
use crate::routing::{Candidate, Provider};

/// Lets a provider rest that refused for lack of quota. One whose quota of the day is spent is not asked
/// again that day: unlike a rest, a quota is never passed over.
pub(super) fn note(
    request: &Request<'_>,
    candidate: &Candidate,
    failure: &Failure,
    now: UnixMillis,
) {
    if !outcome::is_refusal(failure) {
        return;
    }
    let name = candidate.provider.name.as_str();
    if let Some(span) = failure.spent
        && let Some(until) = returns_at(&candidate.provider, span, now)
    {
        candidate.account.spent_until(span, until, now);
        log::warn!(
            request_id = request.id(),
            model = request.call.model.as_str(),
            provider = name,
            until = until.rfc3339();
            "Provider says that its quota is spent"
        );
        return;
    }
    let cooldown = candidate
        .health
        .refused(failure.retry_after, &failure.message, now);
    log::warn!(
        request_id = request.id(),
        model = request.call.model.as_str(),
        provider = name,
        until = cooldown.until.rfc3339();
        "Provider is cooling down"
    );
}

/// When a provider's quota of a day or a month is back, where that can be known: the configuration names a
/// window of that length, or the vendor has said when its days begin.
///
/// Google: "requests per day quotas reset at midnight Pacific time",
/// <https://ai.google.dev/gemini-api/docs/rate-limits>.
fn returns_at(provider: &Provider, span: Span, now: UnixMillis) -> Option<UnixMillis> {
    const DAY: u64 = 86_400;
    let lengths = match span {
        Span::Day => DAY - 3_700..=DAY + 3_700, // a day of changing clocks is one, too
        Span::Month => 28 * DAY - 3_700..=31 * DAY + 3_700,
        Span::Second | Span::Minute | Span::Hour => return None,
    };
    let group = provider.group.iter().map(|group| &group.limits);
    let windows = std::iter::once(&provider.limits)
        .chain(group)
        .flat_map(|limits| limits.windows());
    let configured = windows.filter_map(|window| match &window.cycle {
        Cycle::Cron(schedule) if lengths.contains(&window.cycle.length().as_secs()) => {
            Some(schedule.period(now).end)
        }
        _ => None,
    });
    let is_googles = provider.dialect.protocol == Protocol::Gemini
        || provider
            .endpoint
            .contains("generativelanguage.googleapis.com");
    configured.min().or_else(|| {
        let midnight = Schedule::parse("0 0 * * *", Tz::America__Los_Angeles).ok()?;
        (is_googles && span == Span::Day).then(|| midnight.period(now).end)
    })
}
