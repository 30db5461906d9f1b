//! What a readable file says of its account, and how it is written in JSON.

use chrono::{DateTime, FixedOffset, Offset, SecondsFormat};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ledger::{Standing, Tally};
use super::limit::Limits;
use super::period::Schedule;
use crate::clock::UnixMillis;

/// One readable file. Times are RFC 3339, in the time zone of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UsageFile {
    pub(super) model: String,
    pub(super) provider: String,
    id: Id,
    version: u64,
    period_start: Time,
    requests: u64,
    tokens: u64,
    limit_requests: Option<u64>,
    limit_tokens: Option<u64>,
    period_cron: Option<String>,
    timezone: Option<String>,
    last_reset: Option<Time>,
    next_reset: Option<Time>,
    updated_at: Time,
}

/// An id, written as in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(u64);

/// A moment with the offset in which people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(DateTime<FixedOffset>);

impl UsageFile {
    /// What an account has to say of itself.
    pub(super) fn new(
        model: &str,
        provider: &str,
        tally: Tally,
        standing: &Standing,
        now: UnixMillis,
    ) -> UsageFile {
        let schedule = standing.limits.schedule.as_ref();
        let zone = schedule.map_or(Tz::UTC, |s| s.zone());
        UsageFile {
            model: model.to_owned(),
            provider: provider.to_owned(),
            id: Id(tally.id),
            version: tally.version,
            period_start: Time::new(tally.period_start, zone),
            requests: tally.requests,
            tokens: tally.tokens,
            limit_requests: standing.limits.requests,
            limit_tokens: standing.limits.tokens,
            period_cron: schedule.map(|s| s.expression().to_owned()),
            timezone: schedule.map(|s| s.zone().name().to_owned()),
            last_reset: standing.last_reset.map(|at| Time::new(at, zone)),
            next_reset: standing.next_reset.map(|at| Time::new(at, zone)),
            updated_at: Time::new(now, zone),
        }
    }

    /// The counts in it.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            id: self.id.0,
            version: self.version,
            period_start: self.period_start.moment(),
            requests: self.requests,
            tokens: self.tokens,
        }
    }

    /// The limits it was counted under.
    pub(super) fn limits(&self) -> Limits {
        let cron = self.period_cron.as_deref();
        let zone = self.timezone.as_deref().and_then(|zone| zone.parse().ok());
        Limits {
            requests: self.limit_requests,
            tokens: self.limit_tokens,
            schedule: cron.and_then(|cron| Schedule::parse(cron, zone.unwrap_or(Tz::UTC)).ok()),
        }
    }

    /// When its counts were zero last.
    pub(super) fn last_reset(&self) -> Option<UnixMillis> {
        self.last_reset.map(Time::moment)
    }

    /// Takes over what the journal knows of the same id, if that is newer. Tells whether it was.
    pub(super) fn catch_up(&mut self, journal: &Tally) -> bool {
        if journal.id != self.id.0 || journal.version <= self.version {
            return false;
        }
        if journal.period_start > self.period_start.moment() {
            let zone = self.timezone.as_deref().and_then(|zone| zone.parse().ok());
            self.period_start = Time::new(journal.period_start, zone.unwrap_or(Tz::UTC));
            self.last_reset = Some(self.period_start);
        }
        self.version = journal.version;
        self.requests = journal.requests;
        self.tokens = journal.tokens;
        true
    }

    /// Whether both say the same, but for when they were written.
    pub(super) fn says_the_same_as(&self, other: &UsageFile) -> bool {
        UsageFile {
            updated_at: other.updated_at,
            ..self.clone()
        } == *other
    }
}

impl Time {
    fn new(at: UnixMillis, zone: Tz) -> Time {
        let local = at.to_utc().with_timezone(&zone);
        Time(local.with_timezone(&local.offset().fix()))
    }

    fn moment(self) -> UnixMillis {
        UnixMillis(self.0.timestamp_millis())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let text = String::deserialize(from)?;
        DateTime::parse_from_rfc3339(&text)
            .map(Time)
            .map_err(de::Error::custom)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Id, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16)
            .map(Id)
            .map_err(de::Error::custom)
    }
}
