//! Setting up the log: levels, text or JSON lines, stdout and `logs/gateway.log`.
//!
//! `Selected provider`, `Switching provider`, `Reset usage` and `ERROR` are words that people's
//! monitoring looks for; they appear literally. Keys and prompts are never given to the log.

use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use chrono_tz::Tz;
use log::{Level, LevelFilter, Record};

use super::line::{json, text};
use super::sink::{LogFile, write_stdout};
use super::spool::{Note, Spool};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-20T10:30:00.123Z INFO message key=value`
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What is logged, for [`flush`] and [`reopen`].
static SPOOL: OnceLock<Spool> = OnceLock::new();

/// Reads a level as users write it: DEBUG, INFO, WARNING, ERROR.
///
/// # Errors
/// Names the levels.
pub fn level(word: &str) -> Result<LevelFilter, String> {
    match word.to_ascii_uppercase().as_str() {
        "TRACE" => Ok(LevelFilter::Trace),
        "DEBUG" => Ok(LevelFilter::Debug),
        "INFO" => Ok(LevelFilter::Info),
        "WARNING" | "WARN" => Ok(LevelFilter::Warn),
        "ERROR" | "CRITICAL" => Ok(LevelFilter::Error),
        _ => Err("expected DEBUG, INFO, WARNING or ERROR".to_owned()),
    }
}

/// Starts logging to stdout and, when given, to a file in `folder`.
///
/// # Errors
/// The folder cannot be made, the file cannot be opened, or logging was started before.
pub fn start(
    level: LevelFilter,
    format: Format,
    zone: Tz,
    folder: Option<&Path>,
) -> io::Result<()> {
    let note: Note = match format {
        Format::Text => |dropped, out| note(dropped, |record| text(out, record, Tz::UTC)),
        Format::Json => |dropped, out| note(dropped, |record| json(out, record, Tz::UTC)),
    };
    let spool = Spool::default();
    let stdout = |batch: &[u8], _| write_stdout(batch);
    spool.attach("log-stdout", note, Box::new(stdout))?;
    if let Some(folder) = folder {
        let mut file = LogFile::open(&folder.join("gateway.log"))?;
        let out = move |batch: &[u8], reopen| file.write(batch, reopen);
        spool.attach("log-file", note, Box::new(out))?;
    }
    let target = Target(spool.clone());
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(level)
        .target(env_logger::Target::Pipe(Box::new(target)));
    if level < LevelFilter::Debug {
        // What the server library says about its own starting and stopping, we say better.
        for library in [
            "actix_server",
            "actix_http",
            "tokio_cron_scheduler",
            "rustls",
            "mio",
        ] {
            builder.filter_module(library, LevelFilter::Warn.min(level));
        }
    }
    builder.format(move |out, record| match format {
        Format::Text => text(out, record, zone),
        Format::Json => json(out, record, zone),
    });
    builder.try_init().map_err(io::Error::other)?;
    let _ = SPOOL.set(spool);
    Ok(())
}

/// Tells that lines were dropped, at a time in UTC. Cannot go through the log, which is what is in trouble.
fn note(dropped: u64, write: impl FnOnce(&Record<'_>) -> io::Result<()>) {
    let _ = write(
        &Record::builder()
            .level(Level::Warn)
            .args(format_args!(
                "{dropped} log lines were dropped, the log is slow or cannot be written"
            ))
            .build(),
    );
}

/// Waits until everything logged so far is written.
pub fn flush() {
    if let Some(spool) = SPOOL.get() {
        spool.flush();
    }
}

/// Opens the log file again, as is asked for after it was rotated away. What is logged from here on is in
/// the file that has its name.
pub fn reopen() {
    if let Some(spool) = SPOOL.get() {
        spool.reopen();
    }
}

/// Where env_logger writes.
struct Target(Spool);

impl Write for Target {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
