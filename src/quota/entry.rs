//! One account in the book: what of it is stored, and when that was tried.

use std::path::PathBuf;
use std::sync::Arc;

use super::account::Account;
use super::store::{self, Saved, Written};
use super::usage_file::UsageFile;
use crate::clock::UnixMillis;

/// An account, and how far it is stored.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) account: Arc<Account>,
    /// Whether we know of a file. If it is missing then, the operator deleted it.
    pub(super) on_disk: bool,
    /// Whether it was deleted after the configuration had let go of the account: then it stays so.
    pub(super) deleted: bool,
    /// The version in the file; 0 if that says something else than the account.
    pub(super) saved: u64,
    /// When saving was last tried: the others' turn comes first.
    pub(super) tried_at: UnixMillis,
    /// Why it failed then.
    pub(super) failure: Option<String>,
    /// Whether the configuration still has it. If not it stays until nobody holds it any more.
    pub(super) configured: bool,
}

impl Entry {
    /// Whether the account says something else than its file.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.on_disk || self.saved != self.account.version()
    }

    /// Writes the account as it stands.
    pub(super) fn save(&mut self, model: &str, provider: &str, now: UnixMillis) -> Saved {
        let (version, stored, standing) = self.account.state(now);
        match UsageFile::new(model, provider, &stored, &standing, now) {
            Some(file) => self.write(&file, version, now),
            None => Ok(Written::Yes),
        }
    }

    /// Counts from zero after a deletion, under new ids. The file comes first: were the account the
    /// first, lines of the new ids could be in the journal that no file vouches for. A crash in between
    /// is the deletion. The reset makes a version that is higher than the file's, so all that is
    /// counted later wins over it. Without a disk the account is reset all the same.
    pub(super) fn begin_anew(&mut self, model: &str, provider: &str, now: UnixMillis) -> Saved {
        let (version, stored, standing) = self.account.state(now);
        let ids: Vec<u64> = stored.iter().map(|_| new_id()).collect();
        let file = UsageFile::new(model, provider, &stored, &standing, now);
        let outcome = match file {
            Some(mut file) => {
                file.begin_anew(&ids, now);
                self.write(&file, version, now)
            }
            None => Ok(Written::Yes),
        };
        self.account.reset(&ids, now);
        outcome
    }

    fn write(&mut self, file: &UsageFile, version: u64, now: UnixMillis) -> Saved {
        self.tried_at = now;
        let outcome = store::write(&self.path, file, self.on_disk);
        self.failure = outcome.as_ref().err().map(|e| e.to_string());
        if matches!(outcome, Ok(Written::Yes)) {
            self.on_disk = true;
            self.saved = version;
        }
        outcome
    }
}

/// A random id for counts that begin at zero.
pub(super) fn new_id() -> u64 {
    fastrand::u64(1..)
}
