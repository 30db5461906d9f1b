//! Where log lines go: stdout, and a file that may be rotated away.
//!
//! Each sink is a bounded buffer and a thread. Whoever logs only appends to the buffer, so a full disk
//! or a reader that stopped reading never holds up a request; what does not fit is counted and
//! reported once there is room again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Most bytes that wait for a sink.
const BUFFER_MAX: usize = 8 * 1024 * 1024;

/// After the first line of a batch the thread waits this long for more: one write then carries them
/// all, and logging costs a request no system call.
const GATHER: Duration = Duration::from_millis(20);

/// How often the file is checked for having been rotated away.
const ROTATION_CHECK: Duration = Duration::from_secs(1);

/// A buffered way out.
#[derive(Clone)]
pub(super) struct Sink(Arc<Shared>);

/// Words the line that tells how many others were dropped, in the form of the log.
pub(super) type Note = fn(u64, &mut Vec<u8>);

struct Shared {
    note: Note,
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    writing: bool,
    hurry: bool,
    dropped: u64,
}

impl Sink {
    /// A sink that writes to what `out` opens. `out` is asked before each batch.
    fn spawn(
        name: &str,
        note: Note,
        mut out: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Sink> {
        let shared = Arc::new(Shared {
            note,
            state: Mutex::default(),
            arrived: Condvar::new(),
            written: Condvar::new(),
        });
        let sink = Sink(shared.clone());
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let mut batch = Vec::new();
                loop {
                    shared.next_batch(&mut batch);
                    // Nobody is left to tell but the other sink, and telling it would come back here.
                    let _ = out(&batch);
                    shared.state.lock().writing = false;
                    shared.written.notify_all();
                }
            })?;
        Ok(sink)
    }

    /// Standard output.
    pub(super) fn stdout(note: Note) -> io::Result<Sink> {
        Sink::spawn("log-stdout", note, |batch| {
            let mut out = io::stdout().lock();
            out.write_all(batch)?;
            out.flush()
        })
    }

    /// The file at `path`, opened anew when it was moved or deleted.
    pub(super) fn file(path: &Path, note: Note) -> io::Result<Sink> {
        let mut file = LogFile::open(path)?;
        Sink::spawn("log-file", note, move |batch| file.write(batch))
    }

    /// Takes one whole line.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.0.state.lock();
        if state.waiting.len() + line.len() > BUFFER_MAX {
            state.dropped += 1;
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.0.arrived.notify_one();
        }
    }

    /// Waits until everything appended so far is written, two seconds at most.
    pub(super) fn flush(&self) {
        let mut state = self.0.state.lock();
        state.hurry = true;
        self.0.arrived.notify_one();
        while !state.waiting.is_empty() || state.writing {
            if self
                .0
                .written
                .wait_for(&mut state, Duration::from_secs(2))
                .timed_out()
            {
                break;
            }
        }
        state.hurry = false;
    }
}

impl Shared {
    /// Waits for lines and takes them all.
    fn next_batch(&self, batch: &mut Vec<u8>) {
        batch.clear();
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            self.arrived.wait(&mut state);
        }
        if !state.hurry {
            self.arrived.wait_for(&mut state, GATHER);
        }
        std::mem::swap(&mut state.waiting, batch);
        if state.dropped > 0 {
            (self.note)(std::mem::take(&mut state.dropped), batch);
        }
        state.writing = true;
    }
}

struct LogFile {
    path: PathBuf,
    file: File,
    checked: Instant,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<LogFile> {
        // Appending makes copytruncate safe: the next line lands at the new end.
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(LogFile {
            path: path.to_owned(),
            file,
            checked: Instant::now(),
        })
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.checked.elapsed() >= ROTATION_CHECK {
            self.checked = Instant::now();
            if self.was_moved()
                && let Ok(opened) = LogFile::open(&self.path)
            {
                *self = opened;
            }
        }
        self.file.write_all(batch)
    }

    /// Whether the path now names another file, or none.
    #[cfg(unix)]
    fn was_moved(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        match (self.file.metadata(), std::fs::metadata(&self.path)) {
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
    use std::io::Write as _;

    use super::{BUFFER_MAX, Sink};

    fn note(dropped: u64, out: &mut Vec<u8>) {
        writeln!(out, "{dropped} dropped").unwrap();
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_once() {
        let (told, tell) = std::sync::mpsc::sync_channel::<Vec<u8>>(0);
        // Takes each batch only when it is asked for.
        let sink = Sink::spawn("test", note, move |batch| {
            told.send(batch.to_vec()).unwrap();
            Ok(())
        })
        .unwrap();
        let half = vec![b'x'; BUFFER_MAX / 2];
        sink.append(b"first\n");
        while !sink.0.state.lock().writing {
            std::thread::yield_now();
        }
        for _ in 0..5 {
            sink.append(&half);
        }
        assert_eq!(tell.recv().unwrap(), b"first\n");
        let second = tell.recv().unwrap();
        assert_eq!(&second[BUFFER_MAX..], b"3 dropped\n");
        sink.append(b"last\n");
        assert_eq!(tell.recv().unwrap(), b"last\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let sink = Sink::file(&path, note).unwrap();
        sink.append(b"one\n");
        sink.flush();
        std::fs::rename(&path, folder.path().join("gateway.log.1")).unwrap();
        // The check is at most one a second: append until it has happened, bounded by the test's patience.
        let patience = std::time::Instant::now();
        while !path.exists() && patience.elapsed().as_secs() < 10 {
            sink.append(b"two\n");
            sink.flush();
        }
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("two\n"));
    }
}
