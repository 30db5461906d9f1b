//! Where log lines end: stdout, and a file that may be rotated away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the file is checked for having been rotated away.
const ROTATION_CHECK: Duration = Duration::from_secs(1);

/// Writes to standard output, and returns how much of `batch` was written.
pub(super) fn write_stdout(batch: &[u8]) -> usize {
    let mut out = io::stdout().lock();
    let written = write_all(&mut out, batch);
    // Whoever closed it does not want to know.
    let _ = out.flush();
    written
}

/// Writes as much as can be written, and returns how much that is.
fn write_all(out: &mut impl Write, batch: &[u8]) -> usize {
    let mut written = 0;
    while written < batch.len() {
        match out.write(&batch[written..]) {
            Ok(0) => break,
            Ok(some) => written += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

/// A file that is opened anew when it was moved or deleted, and when told to.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    checked: Instant,
    /// Whether its last line lacks its end, as the disk was full.
    torn: bool,
}

impl LogFile {
    /// Opens the file, and makes it and its folder if they are gone.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<LogFile> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Appending makes copytruncate safe: the next line lands at the new end.
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            file,
            checked: Instant::now(),
            torn: false,
        })
    }

    /// Writes what can be written, and returns how much of `batch` that is.
    pub(super) fn write(&mut self, batch: &[u8], reopen: bool) -> usize {
        if reopen || self.checked.elapsed() >= ROTATION_CHECK {
            self.checked = Instant::now();
            if (reopen || self.was_moved())
                && let Ok(opened) = LogFile::open(&self.path)
            {
                *self = opened;
            }
        }
        if self.torn && self.file.write_all(b"\n").is_err() {
            return 0;
        }
        let written = write_all(&mut self.file, batch);
        self.torn = written > 0 && batch[written - 1] != b'\n';
        written
    }

    /// Whether the path now names another file, or none.
    #[cfg(unix)]
    fn was_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) != (named.dev(), named.ino()),
            _ => true,
        }
    }

    #[cfg(not(unix))]
    fn was_moved(&self) -> bool {
        !self.path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::LogFile;

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let mut file = LogFile::open(&path).unwrap();
        file.write(b"one\n", false);
        std::fs::rename(&path, folder.path().join("gateway.log.1")).unwrap();
        // The check is at most one a second: write until it has happened, bounded by the test's patience.
        let patience = std::time::Instant::now();
        while !path.exists() && patience.elapsed().as_secs() < 10 {
            file.write(b"two\n", false);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let mut file = LogFile::open(&path).unwrap();
        assert_eq!(file.write(b"one\ntw", false), 6);
        assert_eq!(file.write(b"three\n", false), 6);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntw\nthree\n");
    }

    #[test]
    fn a_file_is_opened_again_when_that_is_asked_for_and_its_folder_made() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let path = logs.join("gateway.log");
        let mut file = LogFile::open(&path).unwrap();
        file.write(b"one\n", false);
        std::fs::remove_dir_all(&logs).unwrap();
        file.write(b"", true);
        assert!(path.exists(), "without a line");
        file.write(b"two\n", false);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
