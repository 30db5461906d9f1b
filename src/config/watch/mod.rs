//! Notices that the configuration file changed, however that was done.
//!
//! A thread of its own reads the file about every 0.6 s and compares what it holds; neither names
//! nor times of files are trusted, so links, mounts and restored copies need no special care.
//! Where the file system reports events they merely make the thread look sooner.
//!
//! A file that is being written is given time to settle, the longer the less it looks finished.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::{Condvar, Mutex};

use super::source::{Content, News, SETTLED, Source};

/// The longest time between two looks. This and the times below add up to less than 2 s.
const POLL: Duration = Duration::from_millis(600);

/// The shortest time between two looks, however many events there are.
const BREATH: Duration = Duration::from_millis(50);

/// How much longer if it is no valid configuration: it may be half a file.
const PATIENCE_BROKEN: Duration = Duration::from_millis(400);

/// How much longer if there is nothing: editors and deployments delete and create.
const PATIENCE_MISSING: Duration = Duration::from_millis(850);

/// A running watch on a configuration file; it ends when this is dropped.
pub struct Watcher {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

/// Takes each new content. What it leaves is found again with the next look.
type OnChange = Box<dyn FnMut(News) + Send>;

/// The state of the watching thread.
struct Watch {
    source: Source,
    on_change: OnChange,
    signals: Arc<Signals>,
    hints: Option<Hints>,
}

/// Events of the folders in which the file's name and the file itself are.
struct Hints {
    folders: Vec<PathBuf>,
    /// `None` where the system has no events, or no more of them to give.
    _watcher: Option<RecommendedWatcher>,
}

/// Wakes the watching thread.
#[derive(Default)]
struct Signals {
    raised: Mutex<Raised>,
    condition: Condvar,
}

#[derive(Default)]
struct Raised {
    stop: bool,
    hint: bool,
}

impl Watcher {
    /// Calls `on_change`, on a thread of its own, with each content that differs from what `source` or a
    /// clone of it loaded last.
    pub fn start(source: Source, on_change: OnChange) -> Watcher {
        Watcher::start_with(source, on_change, true)
    }

    fn start_with(source: Source, on_change: OnChange, hinted: bool) -> Watcher {
        let signals = Arc::new(Signals::default());
        let mut watch = Watch {
            source,
            on_change,
            signals: Arc::clone(&signals),
            hints: hinted.then(Hints::none),
        };
        let thread = thread::Builder::new()
            .name("config-watch".into())
            .spawn(move || watch.run())
            .inspect_err(|error| log::error!("configuration is not watched: {error}"))
            .ok();
        Watcher { signals, thread }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.signals.raise(|raised| raised.stop = true);
        if let Some(thread) = self.thread.take()
            // Dropped by `on_change` itself, the thread cannot wait for its own end.
            && thread.thread().id() != thread::current().id()
        {
            // Fails only if `on_change` panicked, which was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Watch {
    fn run(&mut self) {
        loop {
            if let Some(hints) = &mut self.hints {
                // Before the look, so that no change falls between the two.
                hints.follow(self.source.path(), &self.signals);
            }
            if let Some(news) = self.news() {
                if self.signals.is_stopped() {
                    return;
                }
                (self.on_change)(news);
                if let Some(hints) = &mut self.hints {
                    // The folder may have been replaced by another of the same name.
                    *hints = Hints::none();
                }
            }
            if !self.signals.await_hint(POLL) || !self.signals.pause(BREATH) {
                return;
            }
        }
    }

    /// What the file holds once it has settled, if that was not told yet.
    fn news(&self) -> Option<News> {
        let mut content = self.source.look();
        loop {
            if self.source.is_known(&content) {
                return None;
            }
            if !self.stays(&mut content, SETTLED) {
                continue;
            }
            let outcome = self.source.judge(&content);
            let patience = match &content {
                _ if outcome.is_ok() => Duration::ZERO,
                Content::Bytes(bytes) if !bytes.is_empty() => PATIENCE_BROKEN,
                _ => PATIENCE_MISSING,
            };
            if self.stays(&mut content, patience) {
                return Some(News {
                    source: self.source.clone(),
                    content,
                    outcome,
                });
            }
        }
    }

    /// Whether the file holds `content` for as long as `time`. If not, `content` is what it holds now.
    fn stays(&self, content: &mut Content, time: Duration) -> bool {
        let mut left = time;
        while !left.is_zero() && self.signals.pause(left.min(SETTLED)) {
            let now = self.source.look();
            if now != *content {
                *content = now;
                return false;
            }
            left = left.saturating_sub(SETTLED);
        }
        true
    }
}

impl Hints {
    fn none() -> Hints {
        Hints {
            folders: Vec::new(),
            _watcher: None,
        }
    }

    /// Listens where `path` is at present, unless it does so already.
    fn follow(&mut self, path: &Path, signals: &Arc<Signals>) {
        let folders = folders(path);
        if folders == self.folders {
            return;
        }
        let signals = Arc::clone(signals);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is an access. Errors, such as an overflow, are worth a look.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                signals.raise(|raised| raised.hint = true);
            }
        });
        let mut watcher = watcher.ok();
        for folder in &folders {
            if let Some(watcher) = &mut watcher {
                // Where this is refused, looking regularly must do.
                let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
            }
        }
        *self = Hints {
            folders,
            _watcher: watcher,
        };
    }
}

impl Signals {
    fn raise(&self, signal: impl FnOnce(&mut Raised)) {
        signal(&mut self.raised.lock());
        self.condition.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.raised.lock().stop
    }

    /// Waits for a hint, but not longer than `time`. Returns whether to go on.
    fn await_hint(&self, time: Duration) -> bool {
        let mut raised = self.raised.lock();
        self.condition
            .wait_while_for(&mut raised, |raised| !raised.stop && !raised.hint, time);
        !raised.stop
    }

    /// Waits for `time`, in which all hints are one. Returns whether to go on.
    fn pause(&self, time: Duration) -> bool {
        let mut raised = self.raised.lock();
        self.condition
            .wait_while_for(&mut raised, |raised| !raised.stop, time);
        raised.hint = false;
        !raised.stop
    }
}

/// The folder that holds the name, and the one that holds the file if the name is a link; of those,
/// the ones that exist.
fn folders(path: &Path) -> Vec<PathBuf> {
    let of_name = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let of_file = fs::canonicalize(path)
        .ok()
        .and_then(|file| file.parent().map(Path::to_owned));
    let mut folders: Vec<PathBuf> = [fs::canonicalize(of_name).ok(), of_file]
        .into_iter()
        .flatten()
        .collect();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests;
