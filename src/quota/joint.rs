//! The book of accounts that several gateways share: which exist, and what is to be told.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::account::Account;
use super::file_name::escape;
use super::limit::Limits;
use super::quotas::{Event, Owner};
use super::sharing::{Running, Sharing};
use crate::clock::UnixMillis;

/// All accounts, by model and name, and who carries their counts to the others.
#[derive(Debug)]
pub(super) struct Joint {
    sharing: Arc<Sharing>,
    running: Mutex<Option<Running>>,
    accounts: Mutex<BTreeMap<(String, String), Entry>>,
}

#[derive(Debug)]
struct Entry {
    account: Arc<Account>,
    /// Whether the configuration still has it. If not it stays until nobody holds it any more.
    configured: bool,
}

impl Joint {
    pub(super) fn new(sharing: Arc<Sharing>, running: Running) -> Joint {
        Joint {
            sharing,
            running: Mutex::new(Some(running)),
            accounts: Mutex::default(),
        }
    }

    pub(super) fn account(
        &self,
        model: &str,
        name: &str,
        limits: Limits,
        now: UnixMillis,
    ) -> Arc<Account> {
        let mut accounts = self.accounts.lock();
        let key = (model.to_owned(), name.to_owned());
        if let Some(entry) = accounts.get_mut(&key) {
            entry.configured = true;
            entry.account.set_limits(limits, || 0, now);
            return entry.account.clone();
        }
        // The same for all, whatever characters the names have.
        let shared_name = format!("{}/{}", escape(model), escape(name));
        let account = Account::shared(limits, shared_name, &self.sharing, now);
        let entry = Entry {
            account: account.clone(),
            configured: true,
        };
        accounts.insert(key, entry);
        account
    }

    pub(super) fn retain(&self, keep: &dyn Fn(Owner<'_>) -> bool) {
        for ((model, name), entry) in &mut *self.accounts.lock() {
            entry.configured = keep(Owner::of(model, name));
        }
    }

    pub(super) fn maintain(&self, now: UnixMillis) -> Vec<Event> {
        let mut events = Vec::new();
        let mut accounts = self.accounts.lock();
        for ((model, name), entry) in accounts.iter() {
            let ended = entry.account.roll(now);
            let ended = ended.into_iter().filter(|_| entry.configured);
            events.extend(ended.map(|ended| Event::Reset {
                model: model.clone(),
                provider: name.clone(),
                window: ended.window,
                requests: ended.requests,
                tokens: ended.tokens,
            }));
        }
        // This book and the sharing hold one each.
        const OURS: usize = 2;
        accounts.retain(|_, entry| {
            let held = Arc::strong_count(&entry.account) > OURS;
            entry.configured || held || entry.account.has_to_tell()
        });
        let kept: HashSet<*const Account> = accounts
            .values()
            .map(|entry| Arc::as_ptr(&entry.account))
            .collect();
        self.sharing
            .retain(|account| kept.contains(&std::ptr::from_ref(account)));
        events
    }

    /// Tells the others what is left, and ends the sharing.
    pub(super) fn stop(&self) {
        drop(self.running.lock().take());
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.sharing.trouble()
    }
}
