//! Where log lines go: stdout, and a file that may be rotated away.
//!
//! Each sink is a bounded buffer and a thread. Whoever logs only appends to the buffer, so a full disk
//! or a reader that stopped reading never holds up a request; what does not fit is counted and
//! reported once there is room again. So is what could not be written.

use std::fs::{self, File, OpenOptions};
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

/// A batch of this size is written at once: larger ones push what requests work on out of the cache.
const BATCH: usize = 128 * 1024;

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
    reopen: bool,
    dropped: u64,
}

/// What the thread of a sink does next.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// How many lost lines the last of these lines tells of.
    told: u64,
    /// Whether to open the file again first.
    reopen: bool,
}

/// Where a batch goes: returns how many of its bytes were written.
type Out = Box<dyn FnMut(&[u8], bool) -> usize + Send>;

/// Every sink that is a file, for [`reopen`].
static FILES: Mutex<Vec<Sink>> = Mutex::new(Vec::new());

/// Opens the log file again, as is asked for after it was rotated away. What is logged from here on is in
/// the file that has its name.
pub fn reopen() {
    for sink in FILES.lock().iter() {
        sink.reopen();
    }
}

impl Sink {
    /// A sink that writes to `out`, which is also told when to open its file again.
    fn spawn(name: &str, note: Note, mut out: Out) -> io::Result<Sink> {
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
                let mut batch = Batch::default();
                loop {
                    shared.next_batch(&mut batch);
                    let written = out(&batch.lines, batch.reopen);
                    shared.note_written(&batch, written);
                }
            })?;
        Ok(sink)
    }

    /// Standard output.
    pub(super) fn stdout(note: Note) -> io::Result<Sink> {
        let out = |batch: &[u8], _| {
            let mut out = io::stdout().lock();
            let written = write_all(&mut out, batch);
            // Whoever closed it does not want to know.
            let _ = out.flush();
            written
        };
        Sink::spawn("log-stdout", note, Box::new(out))
    }

    /// The file at `path`, opened anew when it was moved or deleted, and when told to.
    pub(super) fn file(path: &Path, note: Note) -> io::Result<Sink> {
        let mut file = LogFile::open(path)?;
        let out = move |batch: &[u8], reopen| file.write(batch, reopen);
        let sink = Sink::spawn("log-file", note, Box::new(out))?;
        FILES.lock().push(sink.clone());
        Ok(sink)
    }

    /// Opens the file again before anything else is written, and without waiting for a line.
    fn reopen(&self) {
        self.0.state.lock().reopen = true;
        self.0.arrived.notify_one();
    }

    /// Takes one whole line.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.0.state.lock();
        if state.waiting.len() + line.len() > BUFFER_MAX {
            state.dropped += 1;
            return;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(line);
        let now = state.waiting.len();
        drop(state);
        if before == 0 || (before < BATCH && now >= BATCH) {
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
    /// Waits for something to do and takes all of it.
    fn next_batch(&self, batch: &mut Batch) {
        batch.lines.clear();
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.reopen {
            self.arrived.wait(&mut state);
        }
        if !state.hurry && !state.reopen && state.waiting.len() < BATCH {
            self.arrived.wait_for(&mut state, GATHER);
        }
        std::mem::swap(&mut state.waiting, &mut batch.lines);
        batch.reopen = std::mem::take(&mut state.reopen);
        batch.told = 0;
        if !batch.lines.is_empty() && state.dropped > 0 {
            batch.told = std::mem::take(&mut state.dropped);
            (self.note)(batch.told, &mut batch.lines);
        }
        state.writing = true;
    }

    /// Counts what could not be written as dropped: nobody else is left to tell but the other sink, and
    /// telling it would come back here.
    fn note_written(&self, batch: &Batch, written: usize) {
        let lost = &batch.lines[written.min(batch.lines.len())..];
        let lines = memchr::memchr_iter(b'\n', lost).count() as u64;
        let mut state = self.state.lock();
        if lines > 0 {
            // With a batch ends its note, which is none of the lines that somebody logged.
            state.dropped += batch.told + lines - u64::from(batch.told > 0);
        }
        state.writing = false;
        self.written.notify_all();
    }
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

struct LogFile {
    path: PathBuf,
    file: File,
    checked: Instant,
    /// Whether its last line lacks its end, as the disk was full.
    torn: bool,
}

impl LogFile {
    /// Opens the file, and makes it and its folder if they are gone.
    fn open(path: &Path) -> io::Result<LogFile> {
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
    fn write(&mut self, batch: &[u8], reopen: bool) -> usize {
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
    use std::io::Write as _;

    use super::{BUFFER_MAX, LogFile, Sink};

    fn note(dropped: u64, out: &mut Vec<u8>) {
        writeln!(out, "{dropped} dropped").unwrap();
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_once() {
        let (told, tell) = std::sync::mpsc::sync_channel::<Vec<u8>>(0);
        // Takes each batch only when it is asked for.
        let out = move |batch: &[u8], _| {
            told.send(batch.to_vec()).unwrap();
            batch.len()
        };
        let sink = Sink::spawn("test", note, Box::new(out)).unwrap();
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
    #[test]
    fn what_could_not_be_written_is_counted_and_told() {
        let (told, tell) = std::sync::mpsc::channel::<Vec<u8>>();
        // A disk with room for so many bytes of each batch in turn.
        let mut room = [4, 0, 3, usize::MAX].into_iter();
        let out = move |batch: &[u8], _| {
            told.send(batch.to_vec()).unwrap();
            room.next().unwrap().min(batch.len())
        };
        let sink = Sink::spawn("test", note, Box::new(out)).unwrap();
        for (lines, batch) in [
            ("one\ntwo\nthree\n", "one\ntwo\nthree\n"),
            ("four\n", "four\n2 dropped\n"),
            ("five\n", "five\n3 dropped\n"),
            ("six\n", "six\n4 dropped\n"),
        ] {
            sink.append(lines.as_bytes());
            sink.flush();
            assert_eq!(String::from_utf8(tell.recv().unwrap()).unwrap(), batch);
        }
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
