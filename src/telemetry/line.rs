//! A record as one line, of text or of JSON.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{SecondsFormat, TimeZone};
use chrono_tz::Tz;
use log::kv::{Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use memchr::memchr2;

use crate::clock;

/// The word of a level in the log, which is the word that `LOG_LEVEL` takes.
fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// A line for people: `time LEVEL message key=value`.
///
/// # Errors
/// What `out` says.
pub(super) fn text(out: &mut impl Write, record: &Record<'_>, zone: Tz) -> io::Result<()> {
    thread_local! { static LINE: RefCell<String> = const { RefCell::new(String::new()) }; }
    LINE.with_borrow_mut(|line| {
        line.clear();
        push_time(line, zone);
        line.push(' ');
        line.push_str(word(record.level()));
        line.push(' ');
        let start = line.len();
        match record.args().as_str() {
            Some(message) => line.push_str(message),
            None => drop(line.write_fmt(*record.args())),
        }
        let _ = record.key_values().visit(&mut Pairs(line));
        // One record is one line, whatever a provider put into its message.
        if memchr2(b'\n', b'\r', &line.as_bytes()[start..]).is_some() {
            let one = line[start..].replace('\n', "\\n").replace('\r', "\\r");
            line.replace_range(start.., &one);
        }
        line.push('\n');
        out.write_all(line.as_bytes())
    })
}

/// Whether there is nothing to show: both formats leave such a pair out.
fn is_null(value: &Value<'_>) -> bool {
    struct Look(bool);

    impl<'v> VisitValue<'v> for Look {
        fn visit_any(&mut self, _: Value<'_>) -> Result<(), log::kv::Error> {
            Ok(())
        }

        fn visit_null(&mut self) -> Result<(), log::kv::Error> {
            self.0 = true;
            Ok(())
        }
    }

    let mut look = Look(false);
    value.visit(&mut look).is_ok() && look.0
}

/// Pairs as ` key=value`. On the way of every request, so the usual values take no formatter.
struct Pairs<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let key = key.as_str();
        value.visit(Pair { line: self.0, key })
    }
}

/// One pair. There is none where the value is null.
struct Pair<'a> {
    line: &'a mut String,
    key: &'a str,
}

impl Pair<'_> {
    /// Everything before the value.
    fn begin(&mut self) -> &mut String {
        self.line.push(' ');
        self.line.push_str(self.key);
        self.line.push('=');
        self.line
    }
}

impl<'v> VisitValue<'v> for Pair<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), log::kv::Error> {
        self.visit_str(&value.to_string())
    }

    fn visit_null(&mut self) -> Result<(), log::kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), log::kv::Error> {
        self.begin().push_str(itoa::Buffer::new().format(value));
        Ok(())
    }

    /// Times in milliseconds are the only ones: three digits tell microseconds.
    fn visit_f64(&mut self, value: f64) -> Result<(), log::kv::Error> {
        let thousandths = (value.abs() * 1000.0).round() as u64;
        let line = self.begin();
        line.push_str(itoa::Buffer::new().format(thousandths / 1000));
        line.push('.');
        push_three_digits(line, thousandths % 1000);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), log::kv::Error> {
        self.begin().push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), log::kv::Error> {
        let line = self.begin();
        // A client's word for a model must not drive the terminal that shows it.
        if is_plain_ascii(value.as_bytes()) || !value.is_empty() && value.chars().all(is_plain) {
            line.push_str(value);
        } else {
            let _ = write!(line, "{value:?}");
        }
        Ok(())
    }
}

fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, ' ' | '"' | '=')
}

/// The same for nearly all values, by a table: names and ids are too short for more than that.
fn is_plain_ascii(value: &[u8]) -> bool {
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0x21;
        while byte < 0x7f {
            plain[byte] = !matches!(byte as u8, b'"' | b'=');
            byte += 1;
        }
        plain
    };
    !value.is_empty() && value.iter().all(|byte| PLAIN[usize::from(*byte)])
}

/// The same as an object of JSON.
///
/// # Errors
/// What `out` says.
pub(super) fn json(out: &mut impl Write, record: &Record<'_>, zone: Tz) -> io::Result<()> {
    let mut time = String::with_capacity(32);
    push_time(&mut time, zone);
    write!(
        out,
        "{{\"time\":\"{time}\",\"level\":\"{}\",\"message\":",
        word(record.level())
    )?;
    match record.args().as_str() {
        Some(message) => serde_json::to_writer(&mut *out, message)?,
        None => serde_json::to_writer(&mut *out, &record.args().to_string())?,
    }
    let mut members = Members {
        out: &mut *out,
        result: Ok(()),
    };
    let _ = record.key_values().visit(&mut members);
    members.result?;
    out.write_all(b"}\n")
}

struct Members<'a, W> {
    out: &'a mut W,
    result: io::Result<()>,
}

impl<W: Write> Members<'_, W> {
    fn write(&mut self, key: &str, value: &Value<'_>) -> io::Result<()> {
        if is_null(value) {
            return Ok(());
        }
        write!(self.out, ",\"{key}\":")?;
        // Text stays text, even where it looks like something else.
        if value.to_f64().is_some() || value.to_u64().is_some() || value.to_bool().is_some() {
            write!(self.out, "{value}")
        } else {
            Ok(serde_json::to_writer(&mut *self.out, &value.to_string())?)
        }
    }
}

impl<'kvs, W: Write> VisitSource<'kvs> for Members<'_, W> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if self.result.is_ok() {
            self.result = self.write(key.as_str(), &value);
        }
        Ok(())
    }
}

fn push_three_digits(line: &mut String, number: u64) {
    for digit in [number / 100 % 10, number / 10 % 10, number % 10] {
        line.push(char::from(b'0' + digit as u8));
    }
}

/// RFC 3339 with milliseconds in the zone. All but the milliseconds is kept for the rest of its second.
fn push_time(line: &mut String, zone: Tz) {
    thread_local! {
        static SECOND: RefCell<(i64, String, String)> =
            const { RefCell::new((i64::MIN, String::new(), String::new())) };
    }
    let now = clock::now();
    SECOND.with_borrow_mut(|(second, date, offset)| {
        if *second != now.secs() {
            *second = now.secs();
            let moment = zone.from_utc_datetime(&now.to_utc().naive_utc());
            let shown = moment.to_rfc3339_opts(SecondsFormat::Secs, true);
            let (at, zone) = shown.split_at(19.min(shown.len()));
            *date = at.to_owned();
            *offset = zone.to_owned();
        }
        let millis = now.0.rem_euclid(1000);
        line.push_str(date);
        line.push('.');
        push_three_digits(line, millis.unsigned_abs());
        line.push_str(offset);
    });
}

#[cfg(test)]
mod tests {
    use log::kv::Value;
    use log::{Level, Record};

    use super::{json, text};

    fn shown(
        format: fn(&mut Vec<u8>, &Record<'_>, chrono_tz::Tz) -> std::io::Result<()>,
    ) -> String {
        let mut out = Vec::new();
        let pairs = [
            ("model", Value::from("None")),
            ("ms", Value::from(0.25)),
            ("why", Value::from("two words")),
            ("odd", Value::from("\u{1b}[2J")),
            ("gone", Value::null()),
        ];
        let record = Record::builder()
            .level(Level::Warn)
            .args(format_args!("Switching provider\nforged line"))
            .key_values(&pairs)
            .build();
        format(&mut out, &record, chrono_tz::Asia::Shanghai).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_record_is_one_line_in_the_zone_of_the_operator() {
        let line = shown(text);
        assert!(line.ends_with(
            "+08:00 WARNING Switching provider\\nforged line model=None ms=0.250 why=\"two words\" odd=\"\\u{1b}[2J\"\n"
        ));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_json_record_is_one_object() {
        let line = shown(json);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["message"], "Switching provider\nforged line");
        assert_eq!(value["model"], "None");
        assert_eq!(value["ms"], 0.25);
        assert_eq!(value["why"], "two words");
        assert!(value.get("gone").is_none());
    }
}
