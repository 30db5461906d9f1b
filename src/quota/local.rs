//! The book of all accounts of one process: which exist, what of them is stored, and what is to be told.
//!
//! Requests never come here: they hold an [`Account`], and that writes to the journal by itself.
//! Here is what happens beside them, once a second and when the configuration changes. All of it
//! may touch the disk, so none of it belongs on an async worker.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use parking_lot::Mutex;

use super::account::Account;
use super::entry::{Entry, new_id};
use super::journal::{self, Journal, Recovered};
use super::ledger::Ledger;
use super::limit::{Amount, Limits, Unit};
use super::quotas::{Event, Owner};
use super::store::{self, OpenError, ReadError, Stopwatch, Store, Written};
use super::usage_file::UsageFile;
use crate::clock::UnixMillis;

/// All accounts, and the folder that remembers them.
#[derive(Debug)]
pub(super) struct Local {
    store: Store,
    journal: Arc<Journal>,
    book: Mutex<Book>,
    /// Why a readable file could not be written; for those who must not wait for the book.
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Book {
    entries: BTreeMap<(String, String), Entry>,
    /// What the older segments of the journal know.
    recovered: Recovered,
    /// Whether older segments wait until the readable files contain what they know.
    older_segments: bool,
    /// What could not be brought up to what the journal knew, as we have no right to it.
    passed_over: Option<String>,
    events: Vec<Event>,
}

/// How many files are saved at most in one round, each with a sync of some milliseconds, so that
/// a round never delays the resets of the next second.
const SAVES_PER_ROUND: usize = 64;

/// How long one round may save, as a sync may take much longer on a busy disk.
const SAVING_PER_ROUND: Duration = Duration::from_millis(500);

impl Local {
    /// Opens `<data_dir>/usage`, and creates it if needed.
    ///
    /// # Errors
    /// [`OpenError`] if another process uses the folder or it cannot be read. A disk that cannot
    /// be written is no error but [`trouble`](Local::trouble).
    pub(super) fn open(data_dir: &Path, now: UnixMillis) -> Result<Local, OpenError> {
        let store = Store::open(data_dir)?;
        let folder = store.journal();
        let recovered = journal::replay(&folder).map_err(|source| OpenError::Io {
            path: folder.clone(),
            source,
        })?;
        let quotas = Local {
            journal: Arc::new(Journal::open(folder)),
            store,
            book: Mutex::new(Book {
                entries: BTreeMap::new(),
                recovered,
                older_segments: true,
                passed_over: None,
                events: Vec::new(),
            }),
            trouble: Mutex::new(None),
        };
        quotas.maintain(now);
        Ok(quotas)
    }

    /// The account of `provider` under `model`: the one that exists, or the one that is stored, or
    /// a new one. In any case it has these `limits` from now on, and keeps its counts.
    ///
    /// A new account gets its file at once, so that a missing one always means that it was deleted.
    pub(super) fn account(
        &self,
        model: &str,
        provider: &str,
        limits: Limits,
        now: UnixMillis,
    ) -> Arc<Account> {
        let mut book = self.book.lock();
        let key = (model.to_owned(), provider.to_owned());
        if let Some(entry) = book.entries.get_mut(&key) {
            entry.configured = true;
            let renamed = entry.account.set_limits(limits, new_id, now);
            // What is counted under an id that no file has would be lost with this process.
            if renamed && entry.save(model, provider, now).is_err() {
                self.trouble.lock().clone_from(&entry.failure);
            }
            return Arc::clone(&entry.account);
        }
        let (mut entry, renamed) = self.load(&mut book, model, provider, limits, now);
        if (renamed || !entry.on_disk) && entry.save(model, provider, now).is_err() {
            self.trouble.lock().clone_from(&entry.failure);
        }
        let account = Arc::clone(&entry.account);
        book.entries.insert(key, entry);
        account
    }

    /// Lets go of the accounts that `keep` denies. They are saved and forgotten
    /// by [`maintain`](Local::maintain) as soon as nobody holds them; their files stay, so that
    /// an entry that returns within its period goes on where it was.
    pub(super) fn retain(&self, keep: &dyn Fn(Owner<'_>) -> bool) {
        for ((model, provider), entry) in &mut self.book.lock().entries {
            entry.configured = keep(Owner::of(model, provider));
        }
    }

    /// The housekeeping of one second: begins new periods, notices deleted files, saves what
    /// changed, renews the journal. Tells what is worth a line in the log.
    ///
    /// Syncs files, and so may take a while: call it from a thread of its own.
    pub(super) fn maintain(&self, now: UnixMillis) -> Vec<Event> {
        let mut book = self.book.lock();
        book.roll(now);
        let lock = self.store.keep_locked();
        if self.journal.renew() {
            book.older_segments = true;
        }
        let outcome = self.save(&mut book, now);
        book.forget();
        let failed = book.entries.values().find_map(|e| e.failure.clone());
        let trouble = lock.err().map(|e| e.to_string()).or(failed);
        let trouble = trouble.or(outcome.err().map(|e| e.to_string()));
        *self.trouble.lock() = trouble.or_else(|| book.passed_over.clone());
        mem::take(&mut book.events)
    }

    /// Saves everything that changed. For the end of the process.
    ///
    /// # Errors
    /// The first file that could not be written; the others are written all the same.
    pub(super) fn flush(&self, now: UnixMillis) -> io::Result<()> {
        let mut book = self.book.lock();
        book.save(usize::MAX, None, now)
    }

    /// What keeps counts from being written, for people; `None` if all is well. Serving goes on,
    /// and the counts in memory stay right.
    pub(super) fn trouble(&self) -> Option<String> {
        let saving = || self.trouble.lock().clone();
        self.journal.trouble().or_else(saving)
    }

    /// Saves some accounts; or all, if older segments of the journal wait for it.
    fn save(&self, book: &mut Book, now: UnixMillis) -> io::Result<()> {
        if !book.older_segments {
            return book.save(
                SAVES_PER_ROUND,
                Some(Stopwatch::start(SAVING_PER_ROUND)),
                now,
            );
        }
        book.save(usize::MAX, None, now)?;
        let passed_over = self.catch_up(book)?;
        book.passed_over = passed_over;
        self.journal.discard_older()?;
        book.recovered.clear();
        book.older_segments = false;
        Ok(())
    }

    /// Brings the files of accounts that are not in use up to what the journal knows of them.
    /// Tells the first that we have no right to: waiting for that would keep the journal for ever. Any
    /// other failure may pass, and until it does the journal is all there is.
    fn catch_up(&self, book: &Book) -> io::Result<Option<String>> {
        let in_use: HashSet<&Path> = book.entries.values().map(|e| e.path.as_path()).collect();
        let (paths, mut passed_over) = self.store.paths()?;
        for path in paths {
            if in_use.contains(path.as_path()) {
                continue;
            }
            let brought_up = match store::read(&path) {
                Ok(Some(mut file)) => match file.catch_up(&book.recovered) {
                    true => store::write(&path, &file, true).map(|_| ()),
                    false => Ok(()),
                },
                // What makes no sense is set aside and told when its account is used.
                Ok(None) | Err(ReadError::Corrupt(_)) => Ok(()),
                Err(ReadError::Io(error)) => Err(error),
            };
            match brought_up {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    passed_over.get_or_insert(format!("{}: {error}", path.display()));
                }
                brought_up => brought_up?,
            }
        }
        Ok(passed_over)
    }

    /// The account as it is stored, or a new one; and whether it counts under ids that no file has.
    fn load(
        &self,
        book: &mut Book,
        model: &str,
        provider: &str,
        limits: Limits,
        now: UnixMillis,
    ) -> (Entry, bool) {
        let path = self.store.path(model, provider);
        let stored = store::read(&path).unwrap_or_else(|error| {
            let reason = match store::set_aside(&path, now) {
                Ok(aside) => format!("{error}; it is now {}", aside.display()),
                Err(failure) => format!("{error}; it cannot be set aside: {failure}"),
            };
            book.events.push(Event::Corrupt {
                model: model.to_owned(),
                provider: provider.to_owned(),
                path: path.clone(),
                reason,
            });
            None
        });
        let on_disk = stored.is_some();
        let mut saved = 0;
        let mut renamed = false;
        let ledger = match stored {
            None => Ledger::new(new_id, limits, now),
            Some(mut file) => {
                let caught_up = file.catch_up(&book.recovered);
                let is_own = (&*file.model, &*file.provider) == (model, provider);
                if !is_own {
                    // Somebody copied or renamed the file: the counts hold, but an id is unique.
                    file.rename(new_id);
                }
                // By the limits it was counted under; what they were edited to comes after that.
                let mut ledger = Ledger::restore(file.stored(), file.max_concurrent(), now);
                renamed = ledger.set_limits(limits, new_id, now) || !is_own;
                let (stored, standing) = (ledger.stored(), ledger.standing(now));
                let fresh = UsageFile::new(model, provider, &stored, &standing, now);
                if !caught_up
                    && !renamed
                    && fresh.is_some_and(|fresh| file.says_the_same_as(&fresh))
                {
                    saved = ledger.version();
                }
                ledger
            }
        };
        let entry = Entry {
            path,
            account: Account::journaled(ledger, Arc::clone(&self.journal)),
            on_disk,
            deleted: false,
            saved,
            tried_at: now,
            failure: None,
            configured: true,
        };
        (entry, renamed)
    }
}

impl Book {
    fn roll(&mut self, now: UnixMillis) {
        for ((model, provider), entry) in &self.entries {
            let ended = entry.account.roll(now);
            let ended = ended.into_iter().filter(|_| entry.configured);
            self.events.extend(ended.map(|ended| Event::Reset {
                model: model.clone(),
                provider: provider.clone(),
                window: ended.window,
                requests: ended.requests,
                tokens: ended.tokens,
            }));
        }
    }

    /// Notices deleted files, and saves the accounts that changed: at most `limit`, those first
    /// that waited longest, and until `watch` has run down.
    fn save(&mut self, limit: usize, watch: Option<Stopwatch>, now: UnixMillis) -> io::Result<()> {
        let mut due: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| !entry.deleted)
            .filter_map(|(key, entry)| {
                let deleted = entry.on_disk && store::is_gone(&entry.path);
                (deleted || entry.is_unsaved()).then_some((!deleted, key, entry))
            })
            .collect();
        due.sort_by_key(|(present, _, entry)| (*present, entry.tried_at));

        let mut outcome = Ok(());
        for (present, (model, provider), entry) in due.into_iter().take(limit) {
            if watch.as_ref().is_some_and(Stopwatch::has_run_down) {
                break;
            }
            // A full disk must not hide a deletion that is known already.
            let mut saving = if present {
                entry.save(model, provider, now)
            } else {
                Ok(Written::Deleted)
            };
            if matches!(saving, Ok(Written::Deleted)) {
                entry.on_disk = false;
                entry.deleted = !entry.configured;
                if entry.configured {
                    let (_, _, standing) = entry.account.state(now);
                    let used = standing.main().map_or(Amount::default(), |main| main.used);
                    saving = entry.begin_anew(model, provider, now);
                    self.events.push(Event::Deleted {
                        model: model.clone(),
                        provider: provider.clone(),
                        requests: used[Unit::Requests],
                        tokens: used[Unit::Tokens],
                    });
                }
            }
            outcome = outcome.and(saving.map(|_| ()));
        }
        outcome
    }

    /// Drops accounts that left the configuration, once they are saved and nobody holds them; at once
    /// those whose file was deleted since.
    fn forget(&mut self) {
        self.entries.retain(|_, entry| {
            let held = Arc::get_mut(&mut entry.account).is_none();
            entry.configured || !entry.deleted && (held || entry.is_unsaved())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::ledger::Tally;
    use crate::quota::limit::PerUnit;

    const NOW: UnixMillis = UnixMillis::from_secs(1_795_170_615);

    /// A journal that could not be merged into the files at start is not lost on the way.
    #[test]
    fn what_the_journal_knows_is_kept_until_a_file_has_it() {
        for in_use in [false, true] {
            let data = tempfile::TempDir::new().unwrap();
            let quotas = Local::open(data.path(), NOW).unwrap();
            quotas.account("m", "p", Limits::default(), NOW);
            drop(quotas);

            let quotas = Local::open(data.path(), NOW).unwrap();
            let path = quotas.store.path("m", "p");
            let stored = || store::read(&path).unwrap().unwrap().stored().remove(0);
            let newer = Tally {
                id: stored().id,
                version: 9,
                start: stored().start,
                used: PerUnit([5, 0, 0, 0]),
            };
            {
                let mut book = quotas.book.lock();
                let known = BTreeMap::from([(newer.start, newer)]);
                book.recovered.insert(newer.id, known);
                book.older_segments = true;
            }
            if in_use {
                let account = quotas.account("m", "p", Limits::default(), NOW);
                assert_eq!(account.standing(NOW).windows[0].used, newer.used);
            }
            quotas.maintain(NOW);
            assert_eq!(
                (stored().version, stored().used),
                (newer.version, newer.used)
            );
            assert!(quotas.book.lock().recovered.is_empty());
        }
    }
}
