//! Where log lines wait for their sinks.
//!
//! Whoever logs only appends to one buffer, so a full disk or a reader that stopped reading never holds up
//! a request. The buffer becomes a batch, which all sinks share, and each sink has a thread and a bounded
//! queue of batches. What does not fit is counted and reported once there is room again. So is what
//! could not be written.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Most bytes that wait for a sink.
const QUEUE_MAX: usize = 8 * 1024 * 1024;

/// After the first line of a batch this long is waited for more: one write then carries them all, and
/// logging costs a request no system call.
const GATHER: Duration = Duration::from_millis(20);

/// A batch of this size is written at once: larger ones push what requests work on out of the cache.
const BATCH: usize = 128 * 1024;

/// Most buffers that are kept for further batches: one is filled while another is written.
const SPARE_MAX: usize = 2;

/// How long [`flush`](Spool::flush) waits at most.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// Lines on their way to the sinks.
#[derive(Clone, Default)]
pub(super) struct Spool(Arc<Shared>);

/// Words the line that tells how many others were dropped, in the form of the log.
pub(super) type Note = fn(u64, &mut Vec<u8>);

/// Writes a batch and returns how many of its bytes were written. Is also told when to open its file again.
pub(super) type Out = Box<dyn FnMut(&[u8], bool) -> usize + Send>;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There are lines, a batch, or something else to do.
    arrived: Condvar,
    /// A sink has done something.
    written: Condvar,
}

#[derive(Default)]
struct State {
    /// The lines that are no batch yet.
    lines: Vec<u8>,
    queues: Vec<Queue>,
    hurry: bool,
    /// Buffers of batches that all have written, for the next.
    spare: Vec<Vec<u8>>,
}

/// What a sink has to do.
#[derive(Default)]
struct Queue {
    batches: VecDeque<Arc<Vec<u8>>>,
    /// How long they are together.
    bytes: usize,
    writing: bool,
    reopen: bool,
    /// Lines that it did not get and was not told of.
    dropped: u64,
}

/// What a sink does next.
#[derive(Default)]
struct Work {
    batch: Arc<Vec<u8>>,
    /// Whether to open the file again first.
    reopen: bool,
    /// How many lost lines to tell of after that.
    dropped: u64,
}

impl Spool {
    /// Adds a sink, with a thread of this `name`. What was appended before does not reach it.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn attach(&self, name: &str, note: Note, mut out: Out) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        let sink = {
            let mut state = shared.state.lock();
            state.queues.push(Queue::default());
            state.queues.len() - 1
        };
        let work = move || loop {
            let work = shared.next(sink);
            let written = out(&work.batch, work.reopen);
            let lost = lines(&work.batch[written.min(work.batch.len())..]);
            shared.done(sink, work.batch, lost);
            if work.dropped > 0 {
                let mut line = Vec::new();
                note(work.dropped, &mut line);
                if out(&line, false) < line.len() {
                    shared.state.lock().queues[sink].dropped += work.dropped;
                }
            }
            shared.rest(sink);
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)?;
        Ok(())
    }

    /// Takes one whole line.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.0.state.lock();
        let first = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        let full = state.lines.len() >= BATCH;
        if full {
            state.seal();
        }
        drop(state);
        if full {
            self.0.arrived.notify_all();
        } else if first {
            self.0.arrived.notify_one();
        }
    }

    /// Waits until everything appended so far is written, or a bounded time.
    pub(super) fn flush(&self) {
        let until = Instant::now() + FLUSH_PATIENCE;
        let mut state = self.0.state.lock();
        state.hurry = true;
        state.seal();
        self.0.arrived.notify_all();
        while state.queues.iter().any(Queue::is_busy) {
            if self.0.written.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.hurry = false;
    }

    /// Has every file opened again before anything else is written, and without waiting for a line.
    pub(super) fn reopen(&self) {
        for queue in &mut self.0.state.lock().queues {
            queue.reopen = true;
        }
        self.0.arrived.notify_all();
    }
}

impl Shared {
    /// Waits for something to do.
    fn next(&self, sink: usize) -> Work {
        let mut state = self.state.lock();
        loop {
            if let Some(work) = state.queues[sink].take() {
                return work;
            }
            if state.lines.is_empty() {
                self.arrived.wait(&mut state);
            } else if state.hurry || self.arrived.wait_for(&mut state, GATHER).timed_out() {
                state.seal();
                self.arrived.notify_all();
            }
        }
    }

    /// A batch was written, but for so many lines of it: nobody else is left to tell but the other sink,
    /// and telling it would come back here.
    fn done(&self, sink: usize, batch: Arc<Vec<u8>>, lost: u64) {
        let mut state = self.state.lock();
        state.queues[sink].dropped += lost;
        if let Some(mut buffer) = Arc::into_inner(batch)
            && buffer.capacity() <= 2 * BATCH
            && state.spare.len() < SPARE_MAX
        {
            buffer.clear();
            state.spare.push(buffer);
        }
    }

    /// A sink has nothing more to write of what it took.
    fn rest(&self, sink: usize) {
        self.state.lock().queues[sink].writing = false;
        self.written.notify_all();
    }
}

impl State {
    /// Makes a batch of the lines.
    fn seal(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let spare = self.spare.pop().unwrap_or_default();
        let batch = Arc::new(mem::replace(&mut self.lines, spare));
        for queue in &mut self.queues {
            if queue.bytes + batch.len() > QUEUE_MAX {
                queue.dropped += lines(&batch);
            } else {
                queue.bytes += batch.len();
                queue.batches.push_back(Arc::clone(&batch));
            }
        }
    }
}

impl Queue {
    fn take(&mut self) -> Option<Work> {
        let batch = self.batches.pop_front();
        if batch.is_none() && !self.reopen {
            return None;
        }
        let batch = batch.unwrap_or_default();
        self.bytes -= batch.len();
        self.writing = true;
        let has_room = !batch.is_empty();
        Some(Work {
            reopen: mem::take(&mut self.reopen),
            dropped: if has_room {
                mem::take(&mut self.dropped)
            } else {
                0
            },
            batch,
        })
    }

    fn is_busy(&self) -> bool {
        self.writing || !self.batches.is_empty()
    }
}

/// How many lines end in a text.
fn lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::mpsc::{self, Receiver};

    use super::{QUEUE_MAX, Spool};

    fn note(dropped: u64, out: &mut Vec<u8>) {
        writeln!(out, "{dropped} dropped").unwrap();
    }

    /// A sink that hands over each text, as much of which is written as `room` says in turn.
    fn sink(
        spool: &Spool,
        room: impl IntoIterator<Item = usize, IntoIter: Send + 'static>,
    ) -> Receiver<Vec<u8>> {
        let (told, tell) = mpsc::sync_channel::<Vec<u8>>(0);
        let mut room = room.into_iter();
        let out = move |text: &[u8], _| {
            told.send(text.to_vec()).unwrap();
            room.next().unwrap().min(text.len())
        };
        spool.attach("test", note, Box::new(out)).unwrap();
        tell
    }

    fn is_writing(spool: &Spool) -> bool {
        spool.0.state.lock().queues[0].writing
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_once() {
        let spool = Spool::default();
        let tell = sink(&spool, std::iter::repeat(usize::MAX));
        let mut half = vec![b'x'; QUEUE_MAX / 2];
        half[QUEUE_MAX / 2 - 1] = b'\n';
        spool.append(b"first\n");
        while !is_writing(&spool) {
            std::thread::yield_now();
        }
        for _ in 0..5 {
            spool.append(&half);
        }
        assert_eq!(tell.recv().unwrap(), b"first\n");
        assert_eq!(tell.recv().unwrap(), half);
        assert_eq!(tell.recv().unwrap(), b"3 dropped\n");
        assert_eq!(tell.recv().unwrap(), half);
        spool.append(b"last\n");
        assert_eq!(tell.recv().unwrap(), b"last\n");
    }

    #[test]
    fn a_sink_that_stands_still_does_not_hold_up_another() {
        let spool = Spool::default();
        let _stands_still = sink(&spool, []);
        let (told, tell) = mpsc::channel::<Vec<u8>>();
        let out = move |text: &[u8], _| {
            told.send(text.to_vec()).unwrap();
            text.len()
        };
        spool.attach("test", note, Box::new(out)).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            spool.append(line.as_bytes());
            assert_eq!(tell.recv().unwrap(), line.as_bytes());
        }
    }

    #[test]
    fn what_could_not_be_written_is_counted_and_told() {
        let spool = Spool::default();
        // A disk with room for so many bytes of each text in turn.
        let tell = sink(&spool, [4, 0, 0, 3, 4, usize::MAX, usize::MAX]);
        for (line, texts) in [
            ("one\ntwo\nthree\n", &["one\ntwo\nthree\n"][..]),
            ("four\n", &["four\n", "2 dropped\n"]),
            ("five\n", &["five\n", "3 dropped\n"]),
            ("six\n", &["six\n", "4 dropped\n"]),
        ] {
            spool.append(line.as_bytes());
            for text in texts {
                assert_eq!(String::from_utf8(tell.recv().unwrap()).unwrap(), *text);
            }
            while is_writing(&spool) {
                std::thread::yield_now();
            }
        }
    }
}
