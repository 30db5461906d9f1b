//! IO: the readable files, `<model>/<provider>.json`, one for each account.
//!
//! A file is written aside, synced and renamed, so that whoever looks sees the old or the new one.
//! It belongs to the operator: deleting it means "count from zero", and what cannot be read is set
//! aside for a look.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, FixedOffset, Offset, SecondsFormat};
use chrono_tz::Tz;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::file_name::{JOURNAL, escape};
use super::ledger::{Standing, Tally};
use super::limit::Limits;
use super::period::Schedule;
use crate::clock::UnixMillis;

/// The folder of the readable files.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    data_dir: PathBuf,
    /// Held as long as we live, so that no second process counts in the same folder.
    lock: Mutex<File>,
}

/// Why a file could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The system did not give it; it may yet, and what is in it may be well.
    Io(io::Error),
    /// What is in it makes no sense.
    Corrupt(String),
}

/// Bounds work on the disk by time that really passes.
#[derive(Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    patience: Duration,
}

/// Why the folder cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// Another process holds the lock.
    InUse {
        /// The data folder.
        folder: PathBuf,
    },
    /// The folder, its lock or its journal cannot be read.
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

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

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The file is there and on the disk.
    Yes,
    /// The file that was to be replaced is gone, so nothing was written.
    Deleted,
}

/// What files that are being written are called; no escaped name begins with a dot.
const TEMPORARY: &str = ".saving-";

/// What is locked in the data folder.
const LOCK: &str = ".lock";

impl Store {
    /// Opens and locks `<data_dir>/usage`, and creates it if needed.
    pub(super) fn open(data_dir: &Path) -> Result<Store, OpenError> {
        let root = data_dir.join("usage");
        if let Err(source) = fs::create_dir_all(&root) {
            return Err(OpenError::Io { path: root, source });
        }
        let lock = lock(data_dir)?;
        Ok(Store {
            root,
            data_dir: data_dir.to_owned(),
            lock: Mutex::new(lock),
        })
    }

    /// Locks the folder again if the lock was deleted: a second process would find it free.
    ///
    /// # Errors
    /// Somebody else was faster, or it cannot be created.
    pub(super) fn keep_locked(&self) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;

        let mut held = self.lock.lock();
        let ours = held.metadata()?;
        let found = match fs::metadata(self.data_dir.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?),
        };
        if found.is_some_and(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())) {
            return Ok(());
        }
        fs::create_dir_all(&self.data_dir)?;
        *held = lock(&self.data_dir).map_err(|error| match error {
            OpenError::Io { path, source } => {
                let text = format!("cannot lock {}: {source}", path.display());
                io::Error::new(source.kind(), text)
            }
            in_use => io::Error::other(in_use),
        })?;
        Ok(())
    }

    /// The folder of the journal.
    pub(super) fn journal(&self) -> PathBuf {
        self.root.join(JOURNAL)
    }

    /// The file of an account.
    pub(super) fn path(&self, model: &str, provider: &str) -> PathBuf {
        let mut file = escape(provider);
        file.push_str(".json");
        self.root.join(escape(model)).join(file)
    }

    /// All readable files, and why a folder was passed over that we may not look into, if there is one.
    /// Leftovers of writes that never ended are removed on the way.
    pub(super) fn paths(&self) -> io::Result<(Vec<PathBuf>, Option<String>)> {
        let mut paths = Vec::new();
        let mut passed_over = None;
        for model in fs::read_dir(&self.root)? {
            let model = model?;
            if model.file_name() == JOURNAL || !model.file_type()?.is_dir() {
                continue;
            }
            let files = match fs::read_dir(model.path()) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let path = model.path();
                    passed_over.get_or_insert(format!("cannot read {}: {error}", path.display()));
                    continue;
                }
                files => files?,
            };
            for file in files {
                let file = file?;
                if file
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(TEMPORARY.as_bytes())
                {
                    fs::remove_file(file.path())?;
                } else if file.path().extension().is_some_and(|e| e == "json")
                    && !file.file_type()?.is_dir()
                {
                    paths.push(file.path());
                }
            }
        }
        Ok((paths, passed_over))
    }
}

/// Reads a file; `None` if there is none.
///
/// # Errors
/// [`ReadError`], which tells what may pass from what will not.
pub(super) fn read(path: &Path) -> Result<Option<UsageFile>, ReadError> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(ReadError::Io)?,
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| ReadError::Corrupt(e.to_string()))
}

/// Writes `file` to `path`. If it is to `replace` one, that must still be there: the operator may
/// have deleted it while we were writing, and must not find it undone.
///
/// # Errors
/// What the system says, and of which file.
pub(super) fn write(path: &Path, file: &UsageFile, replace: bool) -> io::Result<Written> {
    write_aside(path, file, replace).map_err(|error| {
        let text = format!("cannot write {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

fn write_aside(path: &Path, file: &UsageFile, replace: bool) -> io::Result<Written> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !replace {
        fs::create_dir_all(folder)?;
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640));
    let mut aside = match builder.tempfile_in(folder) {
        Err(error) if replace && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Written::Deleted);
        }
        // Its words name the temporary file, which is another one each time: trouble would seem to change.
        aside => aside.map_err(|error| io::Error::from(error.kind()))?,
    };
    let mut text = serde_json::to_vec_pretty(file)?;
    text.push(b'\n');
    aside.write_all(&text)?;
    aside.as_file().sync_all()?;
    if replace && is_gone(path) {
        return Ok(Written::Deleted);
    }
    aside.persist(path)?;
    // A folder cannot be opened everywhere, and its sync only matters to a loss of power.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(Written::Yes)
}

/// Whether the file was deleted. A disk that does not answer deleted nothing.
pub(super) fn is_gone(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(e) if e.kind() == io::ErrorKind::NotFound)
}

/// Renames a file that cannot be read, and tells its new name.
pub(super) fn set_aside(path: &Path, now: UnixMillis) -> io::Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".corrupt-{}", now.secs()));
    let aside = PathBuf::from(name);
    fs::rename(path, &aside)?;
    Ok(aside)
}

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

impl Stopwatch {
    pub(super) fn start(patience: Duration) -> Stopwatch {
        Stopwatch {
            began: Instant::now(),
            patience,
        }
    }

    pub(super) fn has_run_down(&self) -> bool {
        self.began.elapsed() >= self.patience
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::Corrupt(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse { folder } => write!(
                f,
                "the data folder {} is in use by another gateway",
                folder.display()
            ),
            // Why is told by the source, which whoever shows errors shows too.
            OpenError::Io { path, .. } => write!(f, "cannot open {}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::InUse { .. } => None,
            OpenError::Io { source, .. } => Some(source),
        }
    }
}

/// Locks the data folder for this process. The system lets go of it when the process ends, however
/// it ends.
fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let path = data_dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let opened = options.open(&path);
    let locked = opened.map_err(TryLockError::Error).and_then(|file| {
        file.try_lock()?;
        Ok(file)
    });
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse {
            folder: data_dir.to_owned(),
        },
        TryLockError::Error(source) => OpenError::Io { path, source },
    })
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
