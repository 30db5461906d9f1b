//! From a configuration to what is served by: routes, counters, keys. Whatever kept its name keeps its past.

use std::sync::Arc;

use super::Snapshot;
use super::callers::Callers;
use crate::clock::UnixMillis;
use crate::config::{Config, Model};
use crate::quota::Quotas;
use crate::routing::{Candidate, Health, Name, Route, Routes, Target, Tier, Wheel};
use crate::secret::KeyDigest;

/// Makes a snapshot of a configuration. Counters, health and turns of whatever kept its name are taken
/// over from the old one.
pub(super) fn assemble(
    config: Config,
    old: Option<&Snapshot>,
    quotas: &Quotas,
    now: UnixMillis,
) -> Snapshot {
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
        callers: Callers::new(&global.clients, quotas, now),
        admin_key: admin_key.or_else(|| client_key.clone()),
        client_key,
        global,
        warnings,
    }
}

/// The route of the model that has this very name. An alias finds the route of another model, whose
/// providers may have the same names.
pub(super) fn own_route<'a>(routes: &'a Routes, name: &str) -> Option<&'a Arc<Route>> {
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
