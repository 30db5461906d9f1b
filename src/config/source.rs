//! A configuration file on disk, and what was last seen in it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Config, Outside, Problem, Rejected, parse};
use crate::clock;

/// How long a file must stay the same to be taken for whole.
pub(super) const SETTLED: Duration = Duration::from_millis(150);

/// Largest file that is read. A thousand providers fit many times.
const BYTES_MAX: u64 = 16 << 20;

/// Said to somebody who has no file yet, or whose file is elsewhere.
const NOT_FOUND: &str = "there is no such file; copy config/provider.example.json to it, name \
                         another with --config or CONFIG_PATH, or see `api-gateway demo`";

/// Where the configuration comes from. Clones share the memory of what was loaded last, so that a
/// [`Watcher`](super::Watcher) does not report again what somebody else has loaded already.
#[derive(Clone)]
pub struct Source {
    path: PathBuf,
    strict: bool,
    judged: Arc<Mutex<Option<Content>>>,
}

/// A content of the file that was not told yet when it was found.
pub struct News {
    pub(super) source: Source,
    pub(super) content: Content,
    pub(super) outcome: Result<Config, Rejected>,
}

/// What a look at the file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// There is no file, or it cannot be read: why.
    Unreadable(String),
}

impl Source {
    /// The file at `path`. `strict` makes unknown keys an error.
    pub fn new(path: PathBuf, strict: bool) -> Source {
        Source {
            path,
            strict,
            judged: Arc::default(),
        }
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file as it is now, with the variables of the environment.
    ///
    /// # Errors
    /// The file cannot be read, or all its mistakes.
    pub fn load(&self) -> Result<Config, Rejected> {
        self.load_after(|| {})
    }

    /// As [`load`](Self::load), but a file with mistakes is given the time to be written to its end:
    /// whoever asks for a reload may be faster than whoever saves. Blocks for that time.
    ///
    /// # Errors
    /// The file cannot be read, or all its mistakes.
    pub fn load_settled(&self) -> Result<Config, Rejected> {
        self.load_after(|| thread::sleep(SETTLED))
    }

    /// Looks once more after `pause` where the first look found mistakes.
    fn load_after(&self, pause: impl FnOnce()) -> Result<Config, Rejected> {
        let mut content = self.look();
        let mut outcome = self.judge(&content);
        if outcome.is_err() {
            pause();
            let now = self.look();
            if now != content {
                outcome = self.judge(&now);
                content = now;
            }
        }
        self.remember(content);
        outcome
    }

    /// What the file holds at the moment.
    pub(super) fn look(&self) -> Content {
        match read(&self.path) {
            Ok(bytes) => Content::Bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Content::Unreadable(NOT_FOUND.to_owned())
            }
            Err(error) => Content::Unreadable(error.to_string()),
        }
    }

    /// What `content` means.
    pub(super) fn judge(&self, content: &Content) -> Result<Config, Rejected> {
        let file = self.path.display().to_string();
        match content {
            Content::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => {
                    let outside = Outside {
                        env: &|name| std::env::var(name).ok(),
                        file: &read,
                        now: clock::now(),
                    };
                    parse(text, &file, self.strict, &outside)
                }
                Err(error) => Err(not_utf8(&file, &bytes[..error.valid_up_to()])),
            },
            Content::Unreadable(reason) => Err(Rejected {
                problems: vec![Problem {
                    file,
                    line: 0,
                    column: 0,
                    path: String::new(),
                    message: format!("cannot be read: {reason}"),
                    hint: None,
                }],
            }),
        }
    }

    /// Whether `content` is what was judged last.
    pub(super) fn is_known(&self, content: &Content) -> bool {
        self.judged.lock().as_ref() == Some(content)
    }

    /// Takes note that `content` was judged and its outcome told.
    fn remember(&self, content: Content) {
        *self.judged.lock() = Some(content);
    }
}

impl News {
    /// What was found, if it still is what the file holds and nobody else has told it by now. It counts as
    /// told from here on. To be called while nobody else loads, else an older content could be served by
    /// after a newer one.
    pub fn take(self) -> Option<Result<Config, Rejected>> {
        let News {
            source,
            content,
            outcome,
        } = self;
        if source.is_known(&content) || source.look() != content {
            return None;
        }
        source.remember(content);
        Some(outcome)
    }
}

/// What a regular file holds, links followed. Opening a pipe would wait for somebody to write to it, for
/// as long as that takes.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > BYTES_MAX {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(bytes)
}

/// The report on a file of which only the beginning is UTF-8.
fn not_utf8(file: &str, valid: &[u8]) -> Rejected {
    let last_line = valid.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    Rejected {
        problems: vec![Problem {
            file: file.to_owned(),
            line: 1 + valid.iter().filter(|b| **b == b'\n').count(),
            column: 1 + String::from_utf8_lossy(last_line).chars().count(),
            path: String::new(),
            message: "found bytes that are not UTF-8, expected UTF-8".to_owned(),
            hint: None,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: &tempfile::TempDir) -> Source {
        Source::new(folder.path().join("provider.json"), false)
    }

    #[test]
    fn a_file_that_is_half_written_is_read_once_more() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&folder);
        let write = |text| fs::write(source.path(), text).unwrap();
        write("{");
        assert!(source.load_after(|| write("{}")).is_ok());
        assert!(source.is_known(&Content::Bytes(b"{}".to_vec())));
        // What is broken and stays so is told; what is whole is not waited for.
        write("{");
        assert!(source.load_after(|| {}).is_err());
        write("{}");
        assert!(source.load_after(|| panic!("no need to wait")).is_ok());
    }

    #[test]
    fn news_are_taken_once_and_only_while_they_are_true() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(&folder);
        let write = |text| fs::write(source.path(), text).unwrap();
        let news = || {
            let content = source.look();
            let outcome = source.judge(&content);
            News {
                source: source.clone(),
                content,
                outcome,
            }
        };
        write("{}");
        assert!(news().take().is_some());
        assert!(news().take().is_none(), "taken already");

        write("{ }");
        let older = news();
        source.load().unwrap();
        assert!(older.take().is_none(), "loaded by somebody else");

        write("{  }");
        let older = news();
        write("{   }");
        assert!(older.take().is_none(), "no longer true");
        assert!(news().take().is_some());
    }
}
