//! The book of all accounts, whether they are this process' own or shared with other gateways.
//!
//! Requests never come here: they hold an [`Account`]. Here is what happens beside them, once a second and
//! when the configuration changes. All of it may touch the disk, so none of it belongs on an async worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::account::Account;
use super::joint::Joint;
use super::limit::Limits;
use super::local::Local;
use super::sharing::{Running, Sharing};
use super::store::{Flushed, OpenError};
use crate::clock::UnixMillis;

/// All accounts.
#[derive(Debug)]
pub struct Quotas(Book);

#[derive(Debug)]
enum Book {
    Local(Box<Local>),
    Joint(Joint),
}

/// Whose an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A provider's, under one model.
    Provider {
        /// The model.
        model: &'a str,
        /// The provider.
        provider: &'a str,
    },
    /// That of providers that share a quota.
    Group {
        /// Which group.
        id: &'a str,
    },
    /// That of somebody who calls.
    Client {
        /// Its name.
        name: &'a str,
    },
}

/// Under what the accounts of groups are kept and told: no model has a name that begins like this.
pub const GROUPS: &str = "_groups";

/// The same for the accounts of clients.
pub const CLIENTS: &str = "_clients";

/// Something that happened to an account, to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A period ended, and the counts returned to zero.
    Reset {
        /// The account's model.
        model: String,
        /// The account's provider.
        provider: String,
        /// The window whose period it was.
        window: String,
        /// Requests used in the period that ended.
        requests: u64,
        /// Tokens used in it.
        tokens: u64,
    },
    /// The operator deleted the readable file, and the counts returned to zero.
    Deleted {
        /// The account's model.
        model: String,
        /// The account's provider.
        provider: String,
        /// Requests used until then.
        requests: u64,
        /// Tokens used until then.
        tokens: u64,
    },
    /// The readable file could not be read: an error. The account counts from zero.
    Corrupt {
        /// The account's model.
        model: String,
        /// The account's provider.
        provider: String,
        /// The file that was to be read.
        path: PathBuf,
        /// What was wrong with it, and where it is now.
        reason: String,
    },
}

impl Owner<'_> {
    pub(super) fn of<'a>(model: &'a str, name: &'a str) -> Owner<'a> {
        match model {
            GROUPS => Owner::Group { id: name },
            CLIENTS => Owner::Client { name },
            model => Owner::Provider {
                model,
                provider: name,
            },
        }
    }
}

impl Quotas {
    /// The accounts of this process alone, remembered in `<data_dir>/usage`, which is created if needed.
    ///
    /// # Errors
    /// [`OpenError`] if another process uses the folder or it cannot be read. A disk that cannot
    /// be written is no error but [`trouble`](Quotas::trouble).
    pub fn open(data_dir: &Path, now: UnixMillis) -> Result<Quotas, OpenError> {
        let local = Local::open(data_dir, now)?;
        Ok(Quotas(Book::Local(Box::new(local))))
    }

    /// Accounts that other gateways share. Nothing of them is kept on disk.
    pub fn shared(sharing: Arc<Sharing>, running: Running) -> Quotas {
        Quotas(Book::Joint(Joint::new(sharing, running)))
    }

    /// Whether other gateways share the accounts.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Book::Joint(_))
    }

    /// The account of `provider` under `model`: the one that exists, or the one that is stored, or
    /// a new one. In any case it has these `limits` from now on, and keeps its counts.
    ///
    /// A new account gets its file at once, so that a missing one always means that it was deleted.
    pub fn account(
        &self,
        model: &str,
        provider: &str,
        limits: Limits,
        now: UnixMillis,
    ) -> Arc<Account> {
        match &self.0 {
            Book::Local(local) => local.account(model, provider, limits, now),
            Book::Joint(joint) => joint.account(model, provider, limits, now),
        }
    }

    /// The account of the group `id`, which is shared by providers.
    pub fn group(&self, id: &str, limits: Limits, now: UnixMillis) -> Arc<Account> {
        self.account(GROUPS, id, limits, now)
    }

    /// The account of the client `name`.
    pub fn client(&self, name: &str, limits: Limits, now: UnixMillis) -> Arc<Account> {
        self.account(CLIENTS, name, limits, now)
    }

    /// Lets go of the accounts that `keep` denies. They are saved and forgotten
    /// by [`maintain`](Quotas::maintain) as soon as nobody holds them; their files stay, so that
    /// an entry that returns within its period goes on where it was.
    pub fn retain(&self, keep: &dyn Fn(Owner<'_>) -> bool) {
        match &self.0 {
            Book::Local(local) => local.retain(keep),
            Book::Joint(joint) => joint.retain(keep),
        }
    }

    /// The housekeeping of one second: begins new periods, notices deleted files, saves what
    /// changed, renews the journal. Tells what is worth a line in the log.
    ///
    /// Syncs files, and so may take a while: call it from a thread of its own.
    pub fn maintain(&self, now: UnixMillis) -> Vec<Event> {
        match &self.0 {
            Book::Local(local) => local.maintain(now),
            Book::Joint(joint) => joint.maintain(now),
        }
    }

    /// Saves everything that changed, or tells others what is left. For the end of the process.
    ///
    /// # Errors
    /// The first file that could not be written; the others are written all the same.
    pub fn flush(&self, now: UnixMillis) -> Flushed {
        match &self.0 {
            Book::Local(local) => local.flush(now),
            Book::Joint(joint) => {
                joint.stop();
                Ok(())
            }
        }
    }

    /// What keeps counts from being written or shared, for people; `None` if all is well. Counts in memory
    /// stay right.
    pub fn trouble(&self) -> Option<String> {
        match &self.0 {
            Book::Local(local) => local.trouble(),
            Book::Joint(joint) => joint.trouble(),
        }
    }
}
