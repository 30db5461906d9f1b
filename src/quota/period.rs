//! When a quota resets: a five-field cron expression in a time zone.
//!
//! A schedule cuts time into periods that touch and never overlap. Nothing here fires: whoever
//! counts asks for the period of a moment and compares its start with the one it counted in, so
//! ticks missed while the process was down, suspended or out of time need no special care.
//!
//! The dialect is that of Vixie cron: 0 and 7 are Sunday; names, ranges, lists and steps; when
//! day of month and day of week are both restricted, either is enough; a field that begins with
//! `*`, such as `*/2`, is not restricted in that sense.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};

use crate::clock::UnixMillis;

/// A cron expression in a time zone. Cheap to clone.
#[derive(Clone)]
pub struct Schedule(Arc<Inner>);

/// The stretch between two resets: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First moment of the period.
    pub start: UnixMillis,
    /// First moment after it.
    pub end: UnixMillis,
}

struct Inner {
    expression: Box<str>,
    zone: Tz,
    cron: Cron,
}

/// Named expressions, as `crontab(5)` has them.
const ALIASES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What the fields are called and what they hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT"),
];

/// How many wrong forward answers in a row are looked past before a schedule counts as over.
const WRONG_ANSWERS_MAX: usize = 16;

impl Schedule {
    /// Reads a five-field cron expression or an alias such as `@daily`.
    ///
    /// # Errors
    /// What is wrong with the expression, in words for its author. An expression that is well
    /// formed but names no day that exists, such as 30 February, is wrong too.
    pub fn parse(expression: &str, zone: Tz) -> Result<Schedule, String> {
        let expression = expression.trim();
        let fields = fields(expression)?;
        let cron = cron(&fields).map_err(|_| complaint(&fields))?;

        // Any moment would do: what fires at all fires again and again.
        let some_day = zoned(UnixMillis::from_secs(946_684_800), zone);
        cron.find_next_occurrence(&some_day, true)
            .map_err(|_| "never fires: no such day exists".to_owned())?;

        Ok(Schedule(Arc::new(Inner {
            expression: expression.into(),
            zone,
            cron,
        })))
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.0.expression
    }

    /// The zone in which it is read.
    pub fn zone(&self) -> Tz {
        self.0.zone
    }

    /// The period that contains `now`.
    pub fn period(&self, now: UnixMillis) -> Period {
        let now = zoned(now, self.0.zone);
        Period {
            start: self
                .0
                .cron
                .find_previous_occurrence(&now, true)
                .map_or(UnixMillis(i64::MIN), |at| moment(&at)),
            end: self
                .next(&now)
                .map_or(UnixMillis(i64::MAX), |at| moment(&at)),
        }
    }

    /// The first tick after `now`.
    ///
    /// Releases of croner up to 4.0.2 find a tick that is none on the day whose midnight does not
    /// exist (Santiago, Beirut, Cairo). The search backwards is right, so an answer stands only if
    /// both directions agree on it.
    fn next(&self, now: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        let cron = &self.0.cron;
        let mut from = *now;
        for _ in 0..WRONG_ANSWERS_MAX {
            let found = cron.find_next_occurrence(&from, false).ok()?;
            match cron.find_previous_occurrence(&found, true) {
                Ok(back) if back == found => return Some(found),
                _ => from = found,
            }
        }
        None
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?} in {})", self.expression(), self.zone())
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.expression() == other.expression() && self.zone() == other.zone()
    }
}

/// The five fields of `expression`, its alias resolved.
fn fields(expression: &str) -> Result<[&str; 5], String> {
    let fields = if expression.starts_with('@') {
        ALIASES
            .iter()
            .find(|(alias, _)| alias.eq_ignore_ascii_case(expression))
            .map(|(_, fields)| *fields)
            .ok_or_else(|| {
                let known: Vec<&str> = ALIASES.iter().map(|(alias, _)| *alias).collect();
                format!("unknown alias, known are {}", known.join(", "))
            })?
    } else {
        expression
    };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    fields.try_into().map_err(|found: Vec<&str>| {
        format!(
            "expected five fields (minute hour day month weekday), found {}",
            found.len()
        )
    })
}

fn cron(fields: &[&str; 5]) -> Result<Cron, CronError> {
    let [minute, hour, day, month, weekday] = fields;
    // With a `+` in front of the weekday croner asks for both days instead of either.
    let starred = |field: &str| field.starts_with(['*', '?']);
    let both = if starred(day) || starred(weekday) {
        "+"
    } else {
        ""
    };
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(&format!("{minute} {hour} {day} {month} {both}{weekday}"))
}

/// Which of the `fields` is not valid, and what it could hold.
fn complaint(fields: &[&str; 5]) -> String {
    let culprit = (0..fields.len()).find(|&i| {
        let mut alone = ["*"; 5];
        alone[i] = fields[i];
        cron(&alone).is_err()
    });
    culprit.map_or_else(
        || "not a cron expression".to_owned(),
        |i| {
            let (name, values) = FIELDS[i];
            format!(
                "{name} `{}` is not valid: expected `*`, values {values}, \
                 ranges `a-b`, steps `*/n` or `a-b/n`, or a list of these",
                fields[i]
            )
        },
    )
}

/// `moment` on the calendar of `zone`, in whole seconds: cron knows nothing smaller.
fn zoned(moment: UnixMillis, zone: Tz) -> DateTime<Tz> {
    UnixMillis::from_secs(moment.secs())
        .to_utc()
        .with_timezone(&zone)
}

fn moment(at: &DateTime<Tz>) -> UnixMillis {
    UnixMillis(at.with_timezone(&Utc).timestamp_millis())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use chrono_tz::Tz::{
        Africa__Cairo, America__New_York, America__Santiago, America__St_Johns, Asia__Beirut,
        Asia__Kathmandu, Asia__Shanghai, Australia__Lord_Howe, Europe__London, UTC,
    };
    use proptest::prelude::*;

    use super::*;

    fn schedule(expression: &str, zone: Tz) -> Schedule {
        Schedule::parse(expression, zone).unwrap()
    }

    /// A moment in UTC, written as `2026-11-20 10:30:15`.
    fn utc(text: &str) -> UnixMillis {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
        moment(&Tz::UTC.from_utc_datetime(&naive))
    }

    /// Every tick after `from` up to and with `to`, in UTC.
    fn ticks(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = schedule.period(utc(from)).end;
        while at <= utc(to) {
            found.push(at.to_utc().format("%m-%d %H:%M").to_string());
            at = schedule.period(at).end;
        }
        found
    }

    #[test]
    fn periods_of_the_documented_expressions() {
        // A Friday.
        let now = utc("2026-11-20 10:30:15");
        for (expression, start, end) in [
            ("0 0 * * *", "2026-11-20 00:00:00", "2026-11-21 00:00:00"),
            ("0 */6 * * *", "2026-11-20 06:00:00", "2026-11-20 12:00:00"),
            ("0 0 * * 0", "2026-11-15 00:00:00", "2026-11-22 00:00:00"),
            ("0 0 * * 1", "2026-11-16 00:00:00", "2026-11-23 00:00:00"),
            ("0 0 1 * *", "2026-11-01 00:00:00", "2026-12-01 00:00:00"),
            ("*/30 * * * *", "2026-11-20 10:30:00", "2026-11-20 11:00:00"),
            ("0 0 * * 7", "2026-11-15 00:00:00", "2026-11-22 00:00:00"),
            ("0 0 * * SUN", "2026-11-15 00:00:00", "2026-11-22 00:00:00"),
            (
                "0 0 * * mon-fri",
                "2026-11-20 00:00:00",
                "2026-11-23 00:00:00",
            ),
            (
                "0 0 * jan,Dec *",
                "2026-01-31 00:00:00",
                "2026-12-01 00:00:00",
            ),
            (
                "10-40/15 10 * * *",
                "2026-11-20 10:25:00",
                "2026-11-20 10:40:00",
            ),
            ("0 0 29 2 *", "2024-02-29 00:00:00", "2028-02-29 00:00:00"),
            // Both days restricted: either will do. The 20th is a Friday.
            ("0 0 1,15 * 1", "2026-11-16 00:00:00", "2026-11-23 00:00:00"),
            ("0 0 15 * 3", "2026-11-18 00:00:00", "2026-11-25 00:00:00"),
            // A starred day is no restriction: both must hold.
            ("0 0 */2 * 1", "2026-11-09 00:00:00", "2026-11-23 00:00:00"),
            ("@hourly", "2026-11-20 10:00:00", "2026-11-20 11:00:00"),
            ("@daily", "2026-11-20 00:00:00", "2026-11-21 00:00:00"),
            ("@midnight", "2026-11-20 00:00:00", "2026-11-21 00:00:00"),
            ("@Weekly", "2026-11-15 00:00:00", "2026-11-22 00:00:00"),
            ("@monthly", "2026-11-01 00:00:00", "2026-12-01 00:00:00"),
            ("@yearly", "2026-01-01 00:00:00", "2027-01-01 00:00:00"),
            ("@annually", "2026-01-01 00:00:00", "2027-01-01 00:00:00"),
        ] {
            let expected = Period {
                start: utc(start),
                end: utc(end),
            };
            assert_eq!(
                schedule(expression, UTC).period(now),
                expected,
                "{expression}"
            );
        }
    }

    #[test]
    fn a_period_begins_in_its_first_millisecond() {
        let daily = schedule("0 0 * * *", Asia__Shanghai);
        let midnight = utc("2026-11-20 16:00:00");
        assert_eq!(daily.period(midnight).start, midnight);
        assert_eq!(daily.period(UnixMillis(midnight.0 + 999)).start, midnight);
        assert_eq!(daily.period(UnixMillis(midnight.0 - 1)).end, midnight);
    }

    #[test]
    fn a_daylight_saving_day_resets_once() {
        for (expression, zone, from, to, expected) in [
            // Midnight does not exist on these days: the first moment after the gap stands for it.
            (
                "0 0 * * *",
                America__Santiago,
                "2026-09-05 12:00:00",
                "2026-09-08 12:00:00",
                vec!["09-06 04:00", "09-07 03:00", "09-08 03:00"],
            ),
            (
                "0 0 * * *",
                Asia__Beirut,
                "2026-03-28 12:00:00",
                "2026-03-30 12:00:00",
                vec!["03-28 22:00", "03-29 21:00"],
            ),
            // Nothing else may tick there: this is where croner's forward search went wrong.
            (
                "0 5 * * *",
                America__Santiago,
                "2026-09-05 12:00:00",
                "2026-09-07 12:00:00",
                vec!["09-06 08:00", "09-07 08:00"],
            ),
            // 02:30 does not exist on 8 March and exists twice on 1 November.
            (
                "30 2 * * *",
                America__New_York,
                "2026-03-07 12:00:00",
                "2026-03-09 12:00:00",
                vec!["03-08 07:00", "03-09 06:30"],
            ),
            (
                "30 1 * * *",
                America__New_York,
                "2026-10-31 12:00:00",
                "2026-11-02 12:00:00",
                vec!["11-01 05:30", "11-02 06:30"],
            ),
            // The real half hours go on through the repeated hour.
            (
                "*/30 * * * *",
                America__New_York,
                "2026-11-01 04:45:00",
                "2026-11-01 07:00:00",
                vec![
                    "11-01 05:00",
                    "11-01 05:30",
                    "11-01 06:00",
                    "11-01 06:30",
                    "11-01 07:00",
                ],
            ),
        ] {
            assert_eq!(
                ticks(&schedule(expression, zone), from, to),
                expected,
                "{expression} in {zone}"
            );
        }
    }

    #[test]
    fn errors_name_the_field_and_what_it_takes() {
        for (expression, part) in [
            ("", "found 0"),
            ("* * * *", "found 4"),
            ("0 0 * * * *", "found 6"),
            ("61 * * * *", "minute `61`"),
            ("5/15 * * * *", "steps `*/n`"),
            ("* 24 * * *", "hour `24`"),
            ("* 22-2 * * *", "hour `22-2`"),
            ("0 0 0 * *", "day of month `0`"),
            ("0 0 * foo *", "month `foo`"),
            ("0 0 * * 8", "day of week `8`"),
            ("0 0 * */0 *", "month `*/0`"),
            ("@reboot", "unknown alias"),
            ("@every 1h", "unknown alias"),
            ("0 0 30 2 *", "never fires"),
            ("0 0 31 4,6,9,11 *", "never fires"),
        ] {
            let error = Schedule::parse(expression, UTC).unwrap_err();
            assert!(error.contains(part), "{expression}: {error}");
        }
    }

    #[test]
    fn schedules_are_equal_when_expression_and_zone_are() {
        let daily = schedule(" 0 0 * * * ", UTC);
        assert_eq!(daily, schedule("0 0 * * *", UTC));
        assert_ne!(daily, schedule("0 0 * * *", Europe__London));
        assert_ne!(daily, schedule("@daily", UTC));
        assert_eq!(format!("{daily:?}"), r#"Schedule("0 0 * * *" in UTC)"#);
    }

    proptest! {
        #[test]
        fn periods_touch_and_never_overlap(
            expression in prop::sample::select(vec![
                "0 0 * * *", "0 */6 * * *", "0 0 * * 0", "0 0 1 * *", "*/30 * * * *",
                "30 2 * * *", "0 5 * * *", "15 1 1,15 * 1", "0 0 29 2 *", "0 0 */2 * 1",
                "7-59/13 0,2,23 * * *",
            ]),
            zone in prop::sample::select(vec![
                UTC, Asia__Shanghai, America__New_York, America__Santiago, America__St_Johns,
                Asia__Beirut, Africa__Cairo, Asia__Kathmandu, Australia__Lord_Howe, Europe__London,
            ]),
            // 1990 to 2040, and often within a day of a change of the clocks.
            secs in prop_oneof![
                631_152_000_i64..2_208_988_800,
                (prop::sample::select(vec![
                    1_774_735_200_i64, 1_788_667_200, 1_772_953_200, 1_793_512_800, 1_776_981_600,
                    1_792_875_600, 1_793_307_600, 1_775_358_000,
                ]), -90_000_i64..90_000).prop_map(|(change, by)| change + by),
            ],
            millis in 0_i64..1000,
        ) {
            let schedule = schedule(expression, zone);
            let now = UnixMillis(secs * 1000 + millis);
            let period = schedule.period(now);
            prop_assert!(period.start <= now && now < period.end, "{period:?}");
            prop_assert_eq!(schedule.period(period.start), period);
            prop_assert_eq!(schedule.period(UnixMillis(period.end.0 - 1)), period);
            prop_assert_eq!(schedule.period(period.end).start, period.end);
        }
    }
}
