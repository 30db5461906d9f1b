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

use parking_lot::Mutex;

use super::file_name::{JOURNAL, escape};
use super::usage_file::UsageFile;
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

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The file is there and on the disk.
    Yes,
    /// The file that was to be replaced is gone, so nothing was written.
    Deleted,
}

/// What became of saving, or what the system said.
pub(super) type Saved = io::Result<Written>;

/// Whether all is on the disk, or what the system said of the first file that is not.
pub type Flushed = io::Result<()>;

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
pub(super) fn write(path: &Path, file: &UsageFile, replace: bool) -> Saved {
    write_aside(path, file, replace).map_err(|error| {
        let text = format!("cannot write {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}

fn write_aside(path: &Path, file: &UsageFile, replace: bool) -> Saved {
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
