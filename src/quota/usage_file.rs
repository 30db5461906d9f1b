//! What a readable file says of its account, and how it is written in JSON.

use std::time::Duration;

use chrono::{DateTime, FixedOffset, Offset, SecondsFormat};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::journal::Recovered;
use super::ledger::{Standing, Stored, Tally};
use super::limit::{Amount, Cycle, PerUnit, Window};
use super::period::Schedule;
use crate::clock::UnixMillis;

/// One readable file. Times are RFC 3339, in the time zone of the schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UsageFile {
    pub(super) model: String,
    pub(super) provider: String,
    /// The longest window, which most accounts have alone.
    #[serde(flatten)]
    main: WindowFile,
    /// The others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    windows: Vec<WindowFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_concurrent: Option<u64>,
    updated_at: Time,
}

/// What a readable file says of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct WindowFile {
    #[serde(default = "the_only", skip_serializing_if = "is_the_only")]
    window: String,
    id: Id,
    version: u64,
    period_start: Time,
    requests: u64,
    tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    input_tokens: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    output_tokens: u64,
    limit_requests: Option<u64>,
    limit_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit_output_tokens: Option<u64>,
    period_cron: Option<String>,
    timezone: Option<String>,
    /// The length of a rolling window, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    /// What was used in each slot of a rolling window: its start in milliseconds since 1970, then requests,
    /// tokens, input tokens, output tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slots: Vec<(i64, u64, u64, u64, u64)>,
    last_reset: Option<Time>,
    next_reset: Option<Time>,
}

/// An id, written as in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(u64);

/// A moment with the offset in which people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time(DateTime<FixedOffset>);

fn the_only() -> String {
    Window::ONLY.to_owned()
}

fn is_the_only(window: &str) -> bool {
    window == Window::ONLY
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl UsageFile {
    /// What an account has to say of itself. `None` if it has no window, which cannot be.
    pub(super) fn new(
        model: &str,
        provider: &str,
        stored: &[Stored],
        standing: &Standing,
        now: UnixMillis,
    ) -> Option<UsageFile> {
        let mut windows: Vec<WindowFile> = stored
            .iter()
            .zip(&standing.windows)
            .map(|(stored, standing)| WindowFile::new(stored, standing.next_reset))
            .collect();
        let zone = stored.first()?.zone();
        let main = windows.remove(0);
        Some(UsageFile {
            model: model.to_owned(),
            provider: provider.to_owned(),
            main,
            windows,
            max_concurrent: standing.max_concurrent,
            updated_at: Time::new(now, zone),
        })
    }

    fn all(&self) -> impl Iterator<Item = &WindowFile> {
        std::iter::once(&self.main).chain(&self.windows)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut WindowFile> {
        std::iter::once(&mut self.main).chain(&mut self.windows)
    }

    /// The counts in it, and the windows they were counted in.
    pub(super) fn stored(&self) -> Vec<Stored> {
        self.all().map(WindowFile::stored).collect()
    }

    /// Most requests at once, as it was configured.
    pub(super) fn max_concurrent(&self) -> Option<u64> {
        self.max_concurrent
    }

    /// Gives every window another id: the file is somebody else's.
    pub(super) fn rename(&mut self, mut new_id: impl FnMut() -> u64) {
        for window in self.all_mut() {
            window.id = Id(new_id());
        }
    }

    /// Counts that begin at zero now, each window under an id of its own.
    pub(super) fn begin_anew(&mut self, ids: &[u64], now: UnixMillis) {
        for (window, id) in self.all_mut().zip(ids) {
            window.id = Id(*id);
            window.requests = 0;
            window.tokens = 0;
            window.input_tokens = 0;
            window.output_tokens = 0;
            window.slots.clear();
            window.last_reset = Some(Time::new(now, window.zone()));
        }
    }

    /// Takes over what the journal knows of the same ids, where that is newer. Tells whether it was.
    pub(super) fn catch_up(&mut self, journal: &Recovered) -> bool {
        let mut newer = false;
        for window in self.all_mut() {
            if let Some(known) = journal.get(&window.id.0) {
                newer |= window.catch_up(known.values());
            }
        }
        newer
    }

    /// Whether both say the same, but for when they were written.
    pub(super) fn says_the_same_as(&self, other: &UsageFile) -> bool {
        UsageFile {
            updated_at: other.updated_at,
            ..self.clone()
        } == *other
    }
}

impl WindowFile {
    fn new(stored: &Stored, next_reset: Option<UnixMillis>) -> WindowFile {
        let zone = stored.zone();
        let schedule = stored.window.cycle.schedule();
        let [requests, tokens, input_tokens, output_tokens] = stored.used.0;
        let caps = stored.window.caps.0;
        WindowFile {
            window: stored.window.id.to_string(),
            id: Id(stored.id),
            version: stored.version,
            period_start: Time::new(stored.start, zone),
            requests,
            tokens,
            // They are worth a line only where they are limited.
            input_tokens: caps[2].map_or(0, |_| input_tokens),
            output_tokens: caps[3].map_or(0, |_| output_tokens),
            limit_requests: caps[0],
            limit_tokens: caps[1],
            limit_input_tokens: caps[2],
            limit_output_tokens: caps[3],
            period_cron: schedule.map(|s| s.expression().to_owned()),
            timezone: schedule.map(|s| s.zone().name().to_owned()),
            every_ms: match stored.window.cycle {
                Cycle::Rolling(every) => u64::try_from(every.as_millis()).ok(),
                Cycle::Cron(_) | Cycle::Never => None,
            },
            slots: stored
                .slots
                .iter()
                .map(|(start, PerUnit([r, t, i, o]))| (start.0, *r, *t, *i, *o))
                .collect(),
            last_reset: stored.last_reset.map(|at| Time::new(at, zone)),
            next_reset: next_reset.map(|at| Time::new(at, zone)),
        }
    }

    fn zone(&self) -> Tz {
        let zone = self.timezone.as_deref().and_then(|zone| zone.parse().ok());
        zone.unwrap_or(Tz::UTC)
    }

    fn stored(&self) -> Stored {
        let cron = self.period_cron.as_deref();
        let schedule = cron.and_then(|cron| Schedule::parse(cron, self.zone()).ok());
        let cycle = match (self.every_ms, schedule) {
            (Some(every), _) => Cycle::Rolling(Duration::from_millis(every)),
            (None, Some(schedule)) => Cycle::Cron(schedule),
            (None, None) => Cycle::Never,
        };
        let slots = self.slots.iter();
        Stored {
            window: Window {
                id: self.window.as_str().into(),
                caps: PerUnit([
                    self.limit_requests,
                    self.limit_tokens,
                    self.limit_input_tokens,
                    self.limit_output_tokens,
                ]),
                cycle,
            },
            id: self.id.0,
            version: self.version,
            start: self.period_start.moment(),
            used: self.used(),
            slots: slots
                .map(|(start, r, t, i, o)| (UnixMillis(*start), PerUnit([*r, *t, *i, *o])))
                .collect(),
            last_reset: self.last_reset.map(Time::moment),
        }
    }

    fn used(&self) -> Amount {
        PerUnit([
            self.requests,
            self.tokens,
            self.input_tokens,
            self.output_tokens,
        ])
    }

    fn catch_up<'t>(&mut self, journal: impl Iterator<Item = &'t Tally>) -> bool {
        let newer: Vec<&Tally> = journal
            .filter(|tally| tally.version > self.version)
            .collect();
        let Some(newest) = newer.iter().max_by_key(|tally| tally.version) else {
            return false;
        };
        self.version = newest.version;
        if self.every_ms.is_some() {
            for tally in newer {
                let PerUnit([r, t, i, o]) = tally.used;
                self.slots.retain(|(start, ..)| *start != tally.start.0);
                self.slots.push((tally.start.0, r, t, i, o));
            }
            self.slots.sort_unstable();
            return true;
        }
        if newest.start > self.period_start.moment() {
            self.period_start = Time::new(newest.start, self.zone());
            self.last_reset = Some(self.period_start);
        }
        let PerUnit([requests, tokens, input_tokens, output_tokens]) = newest.used;
        self.requests = requests;
        self.tokens = tokens;
        self.input_tokens = input_tokens;
        self.output_tokens = output_tokens;
        true
    }
}

impl Stored {
    fn zone(&self) -> Tz {
        self.window.cycle.schedule().map_or(Tz::UTC, Schedule::zone)
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
