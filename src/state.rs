//! What all workers share: one snapshot of the configuration, and the counters that outlive it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::clock::{self, UnixMillis};
use crate::config::{Config, Global, Model, News, Problem, Rejected, Source};
use crate::quota::{Event, Owner, Quotas};
use crate::routing::{Candidate, Health, Name, RetryBudget, Route, Routes, Target, Tier, Wheel};
use crate::secret::KeyDigest;

/// The shared state of one process.
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// Every provider's counters.
    pub quotas: Quotas,
    /// Bounds repeated attempts over all requests.
    pub retries: RetryBudget,
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

impl Gateway {
    /// Begins with a configuration that was already judged.
    pub fn new(source: Source, config: Config, quotas: Quotas) -> Gateway {
        let now = clock::now();
        let snapshot = assemble(config, None, &quotas, now);
        Gateway {
            snapshot: ArcSwap::from_pointee(snapshot),
            quotas,
            retries: RetryBudget::default(),
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
        let new = assemble(config, Some(&old), &self.quotas, clock::now());
        let mut changes = Changes::between(&old.routes, &new.routes);
        changes.warnings = new.warnings.clone();
        for warning in &new.warnings {
            log::warn!("{warning}");
        }
        if old.client_key.is_some() && new.client_key.is_none() {
            // Said at the start of a gateway without a key, too.
            log::warn!(
                "no api_key is set any more: whoever reaches the gateway can use every provider; \
                 where HOST was not set, only this machine may"
            );
        }
        let new = Arc::new(new);
        self.snapshot.store(new.clone());
        self.quotas.retain(&|owner| match owner {
            Owner::Provider { model, provider } => own_route(&new.routes, model)
                .is_some_and(|route| route.candidates().any(|c| c.provider.name == provider)),
            Owner::Group { id } => new.routes.iter().any(|route| {
                let mut groups = route.candidates().filter_map(|c| c.provider.group.as_ref());
                groups.any(|group| group.id == id)
            }),
            Owner::Client { name } => new.global.clients.iter().any(|client| client.name == name),
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

    /// Resets what is due and writes what changed. Blocks on the disk: never called by a worker.
    pub fn maintain(&self) {
        for event in self.quotas.maintain(clock::now()) {
            match event {
                Event::Reset {
                    model,
                    provider,
                    window,
                    requests,
                    tokens,
                } => log::info!(
                    model = model, provider = provider, window = window, requests = requests, tokens = tokens;
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
    }

    /// Logs trouble with the quota's store when it appears or changes, and that it has passed.
    fn tell_trouble(&self) {
        let trouble = self.quotas.trouble();
        let mut told = self.trouble.lock();
        if *told != trouble {
            match &trouble {
                Some(reason) => log::error!("usage is not safe on disk: {reason}"),
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

/// Makes a snapshot of a configuration. Counters, health and turns of whatever kept its name are taken
/// over from the old one.
fn assemble(config: Config, old: Option<&Snapshot>, quotas: &Quotas, now: UnixMillis) -> Snapshot {
    let Config {
        global,
        models,
        warnings,
    } = config;
    let redirects = global.model_redirects.clone();
    let routes = models
        .into_iter()
        .map(|model| {
            let old = old.and_then(|old| own_route(&old.routes, &model.name));
            route(model, old.map(Arc::as_ref), quotas, now)
        })
        .collect();
    let client_key = global
        .api_key
        .as_ref()
        .map(|key| KeyDigest::of(key.expose()));
    let admin_key = global
        .admin_key
        .as_ref()
        .map(|key| KeyDigest::of(key.expose()));
    Snapshot {
        routes: Routes::new(routes, redirects),
        admin_key: admin_key.or_else(|| client_key.clone()),
        client_key,
        global,
        warnings,
    }
}

/// The route of the model that has this very name. An alias finds the route of another model, whose
/// providers may have the same names.
fn own_route<'a>(routes: &'a Routes, name: &str) -> Option<&'a Arc<Route>> {
    routes.named(name).filter(|route| route.model == name)
}

fn route(model: Model, old: Option<&Route>, quotas: &Quotas, now: UnixMillis) -> Route {
    let pattern = model.name.contains('*');
    let mut tiers: Vec<(i64, Vec<Arc<Candidate>>)> = Vec::new();
    let mut disabled = Vec::new();
    for provider in model.providers {
        let kept = old.and_then(|old| old.candidates().find(|c| c.provider.name == provider.name));
        let target = match Target::new(&provider) {
            Ok(target) => target,
            Err(why) => {
                // The configuration was judged before; what it let through must still not stop the rest.
                log::error!("{}/{}: {why}, left out", model.name, provider.name);
                continue;
            }
        };
        let account = quotas.account(&model.name, &provider.name, provider.limits.clone(), now);
        let group = provider.group.as_ref();
        let group = group.map(|group| quotas.group(&group.id, group.limits.clone(), now));
        account.join(group);
        let candidate = Arc::new(Candidate {
            account,
            health: kept.map_or_else(|| Arc::new(Health::default()), |kept| kept.health.clone()),
            target,
            name: Name::new(&provider.name),
            model: Name::new(&provider.model),
            pattern: pattern && provider.model.contains('*'),
            provider,
        });
        let priority = candidate.provider.priority;
        if !candidate.provider.enabled {
            disabled.push(candidate);
        } else if let Some((_, tier)) = tiers.iter_mut().find(|(known, _)| *known == priority) {
            tier.push(candidate);
        } else {
            tiers.push((priority, vec![candidate]));
        }
    }
    tiers.sort_by_key(|(priority, _)| *priority);
    let tiers = tiers
        .into_iter()
        .map(|(priority, candidates)| tier(priority, candidates, old))
        .collect();
    Route {
        model: model.name,
        aliases: model.aliases,
        hidden: model.hidden,
        strategy: model.strategy,
        queue: old.map_or_else(Arc::default, |old| old.queue.clone()),
        tiers,
        disabled,
    }
}

/// A tier keeps its turns when its members and their weights stayed.
fn tier(priority: i64, candidates: Vec<Arc<Candidate>>, old: Option<&Route>) -> Tier {
    let weights: Vec<u32> = candidates.iter().map(|c| c.provider.weight).collect();
    let same = |tier: &&Tier| {
        tier.priority == priority
            && tier.wheel.weights() == weights
            && tier
                .candidates
                .iter()
                .map(|c| &c.provider.name)
                .eq(candidates.iter().map(|c| &c.provider.name))
    };
    let wheel = old.and_then(|old| old.tiers.iter().find(same)).map_or_else(
        || Arc::new(Wheel::new(weights.clone())),
        |tier| tier.wheel.clone(),
    );
    Tier {
        priority,
        candidates,
        wheel,
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
