//! What all workers share: one snapshot of the configuration, and the counters that outlive it.

mod alerts;
mod assemble;
mod callers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::{self, UnixMillis};
use crate::config::{Config, Global, News, Problem, Rejected, Source};
use crate::quota::{Event, Owner, Quotas, Window};
use crate::routing::{Candidate, RetryBudget, Routes};
use crate::secret::KeyDigest;
use crate::telemetry::alerts::Alerts;
use assemble::{assemble, own_route};
pub use callers::{Caller, Callers};

/// The shared state of one process.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// Every provider's counters.
    pub quotas: Quotas,
    /// Bounds repeated attempts over all requests.
    pub retries: RetryBudget,
    /// What somebody was told to look at.
    pub alerts: Alerts,
    /// When the process began to serve.
    pub started: UnixMillis,
    source: Source,
    /// Reloads come from the watcher, a signal and over HTTP: one at a time.
    reloading: Mutex<()>,
    rejected: Mutex<Option<Rejected>>,
    /// What was last told of the quota's store, so that trouble is told once and not every second.
    trouble: Mutex<Option<String>>,
    draining: AtomicBool,
    reloads: AtomicU64,
}

/// One configuration, ready to serve. A request loads it once and keeps it to its end.
pub struct Snapshot {
    /// Settings that are nobody's in particular.
    pub global: Global,
    /// Who serves which model.
    pub routes: Routes,
    /// The key that clients must present.
    pub client_key: Option<KeyDigest>,
    /// Those who present keys of their own.
    pub callers: Callers,
    /// The key that operators must present.
    pub admin_key: Option<KeyDigest>,
    /// What the configuration was warned about.
    pub warnings: Vec<Problem>,
}

/// What a reload changed, by `model/provider`, and what it was warned about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Providers that were not there before.
    pub added: Vec<String>,
    /// Providers whose settings differ.
    pub updated: Vec<String>,
    /// Providers that are gone.
    pub removed: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

impl Snapshot {
    /// Whether whoever calls must present a key.
    pub fn is_keyed(&self) -> bool {
        self.client_key.is_some() || !self.callers.is_empty()
    }
}

impl Gateway {
    /// Begins with a configuration that was already judged.
    pub fn new(source: Source, config: Config, quotas: Quotas) -> Gateway {
        let now = clock::now();
        let snapshot = assemble(config, None, &quotas, now);
        Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            quotas,
            retries: RetryBudget::default(),
            alerts: Alerts::default(),
            started: now,
            source,
            reloading: Mutex::new(()),
            rejected: Mutex::new(None),
            trouble: Mutex::new(None),
            draining: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
        }
    }

    /// The configuration of this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Reads the file again and serves by it from the next request on.
    ///
    /// # Errors
    /// The file's mistakes; nothing has changed then.
    pub fn reload(&self) -> Result<Changes, Rejected> {
        let _one_at_a_time = self.reloading.lock();
        // Read while nobody else can reload: else an older file could be served by after a newer one.
        self.replace(self.source.load_settled())
    }

    /// Serves by what the watcher found, unless that was loaded meanwhile or is no longer true. Nobody waits
    /// for the outcome: it is logged, and shown by `/health`.
    pub fn apply(&self, news: News) {
        let _one_at_a_time = self.reloading.lock();
        if let Some(read) = news.take() {
            drop(self.replace(read));
        }
    }

    fn replace(&self, read: Result<Config, Rejected>) -> Result<Changes, Rejected> {
        let config = match read {
            Ok(config) => config,
            Err(rejected) => {
                log::error!("configuration rejected, the old one stays:\n{rejected}");
                *self.rejected.lock() = Some(rejected.clone());
                return Err(rejected);
            }
        };
        let old = self.snapshot();
        if config.global.state != old.global.state {
            log::warn!(
                "_global.state has changed, which takes effect when the gateway is started again"
            );
        }
        let new = assemble(config, Some(&old), &self.quotas, clock::now());
        let mut changes = Changes::between(&old.routes, &new.routes);
        changes.warnings = new.warnings.clone();
        for warning in &new.warnings {
            log::warn!("{warning}");
        }
        if old.is_keyed() && !new.is_keyed() {
            // Said at the start of a gateway without a key, too.
            log::warn!(
                "no api_key is set any more: whoever reaches the gateway can use every provider; \
                 where HOST was not set, only this machine may"
            );
        }
        let new = Arc::new(new);
        self.snapshot.store(new.clone());
        let clients: HashSet<&str> = new.global.clients.iter().map(|c| c.name.as_str()).collect();
        self.quotas.retain(&|owner| match owner {
            Owner::Provider { model, provider } => own_route(&new.routes, model)
                .is_some_and(|route| route.candidates().any(|c| c.provider.name == provider)),
            Owner::Group { id } => new.routes.iter().any(|route| {
                let mut groups = route.candidates().filter_map(|c| c.provider.group.as_ref());
                groups.any(|group| group.id == id)
            }),
            Owner::Client { name } => clients.contains(name),
        });
        *self.rejected.lock() = None;
        self.reloads.fetch_add(1, Ordering::Relaxed);
        log::info!(
            added = changes.added.len(),
            updated = changes.updated.len(),
            removed = changes.removed.len();
            "Configuration loaded"
        );
        Ok(changes)
    }

    /// Why the file as it is now is not served by, if it is not.
    pub fn rejected(&self) -> Option<Rejected> {
        self.rejected.lock().clone()
    }

    /// How many configurations were loaded after the first.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Resets what is due, writes what changed, and looks around for what somebody should know. Blocks on the
    /// disk: never called by a worker.
    pub fn maintain(&self) {
        let now = clock::now();
        for event in self.quotas.maintain(now) {
            match event {
                Event::Reset {
                    model,
                    provider,
                    window,
                    requests,
                    tokens,
                } => log::info!(
                    model = model, provider = provider,
                    window = Some(window.as_str()).filter(|window| *window != Window::ONLY),
                    requests = requests, tokens = tokens;
                    "Reset usage"
                ),
                Event::Deleted {
                    model,
                    provider,
                    requests,
                    tokens,
                } => log::info!(
                    model = model, provider = provider, requests = requests, tokens = tokens;
                    "Reset usage: its file was deleted"
                ),
                Event::Corrupt {
                    model,
                    provider,
                    path,
                    reason,
                } => log::error!(
                    model = model, provider = provider, reason = reason;
                    "unreadable usage file set aside as {}, counting from zero",
                    path.display()
                ),
            }
        }
        self.tell_trouble();
        self.look_around(now);
    }

    /// Logs trouble with the quota's store when it appears or changes, and that it has passed.
    fn tell_trouble(&self) {
        let trouble = self.quotas.trouble();
        let mut told = self.trouble.lock();
        if *told != trouble {
            match &trouble {
                Some(reason) if self.quotas.is_shared() => {
                    log::error!("the shared state is away: {reason}");
                }
                Some(reason) => log::error!("usage is not safe on disk: {reason}"),
                None if self.quotas.is_shared() => log::info!("the shared state is reached"),
                None => log::info!("usage is safe on disk again"),
            }
            *told = trouble;
        }
    }

    /// Says that the process is about to stop.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

impl Changes {
    fn between(old: &Routes, new: &Routes) -> Changes {
        let named = |routes: &Routes| -> HashMap<String, Arc<Candidate>> {
            routes
                .iter()
                .flat_map(|route| {
                    route
                        .candidates()
                        .map(|c| (format!("{}/{}", route.model, c.provider.name), c.clone()))
                })
                .collect()
        };
        let (old, new) = (named(old), named(new));
        let mut changes = Changes::default();
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            match (old.get(name), new.get(name)) {
                (None, Some(_)) => changes.added.push(name.clone()),
                (Some(_), None) => changes.removed.push(name.clone()),
                (Some(a), Some(b)) if a.provider != b.provider => {
                    changes.updated.push(name.clone())
                }
                _ => {}
            }
        }
        changes
    }
}
