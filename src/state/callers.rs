//! Those who call with keys of their own, and what they may use.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::config::Client;
use crate::quota::{Account, Quotas};
use crate::routing::{Route, capture};
use crate::secret::KeyDigest;

/// Somebody who may call with a key of its own.
#[derive(Debug)]
pub struct Caller {
    /// What logs call it.
    pub name: Arc<str>,
    /// What it has used. Kept under the name.
    pub account: Arc<Account>,
    /// Whether something is limited, so that it is worth telling what is left.
    pub limited: bool,
    models: Vec<String>,
    expires_at: Option<UnixMillis>,
}

/// All of them, by their keys.
#[derive(Debug, Default)]
pub struct Callers {
    by_key: HashMap<[u8; 32], Arc<Caller>, foldhash::fast::RandomState>,
    /// Whether there are any at all, also ones that are switched off.
    any: bool,
}

impl Callers {
    pub(super) fn new(clients: &[Client], quotas: &Quotas, now: UnixMillis) -> Callers {
        let enabled = clients.iter().filter(|client| client.enabled);
        let caller = |client: &Client| Caller {
            name: client.name.as_str().into(),
            account: quotas.client(&client.name, client.limits.clone(), now),
            limited: !client.limits.is_unlimited(),
            models: client.models.clone(),
            expires_at: client.expires_at,
        };
        Callers {
            by_key: enabled
                .map(|client| (client.key.bytes(), Arc::new(caller(client))))
                .collect(),
            any: !clients.is_empty(),
        }
    }

    /// Whether nobody has a key of its own.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// Whose key this is, unless it has expired. Found by the digest: how long that takes says nothing of
    /// the key.
    pub fn find(&self, key: &KeyDigest, now: UnixMillis) -> Option<&Arc<Caller>> {
        let caller = self.by_key.get(&key.bytes())?;
        let expired = caller.expires_at.is_some_and(|at| at <= now);
        (!expired).then_some(caller)
    }

    /// All that may call, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Caller>> {
        let mut all: Vec<_> = self.by_key.values().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.into_iter()
    }
}

impl Caller {
    /// The models that it may use by names and not by patterns.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let models = self.models.iter().map(String::as_str);
        models.filter(|model| !model.contains('*'))
    }

    /// Whether it may use a model: by the name it asked for, or by the one of the route that serves it.
    pub fn may_use(&self, asked: &str, route: &Route) -> bool {
        let covers = |pattern: &String| {
            [asked, route.model.as_str()]
                .into_iter()
                .any(|name| pattern == name || capture(pattern, name).is_some())
        };
        self.models.is_empty() || self.models.iter().any(covers)
    }
}
