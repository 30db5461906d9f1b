//! What an operator sees and does over HTTP.

mod metrics;
mod stats;
mod usage;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::chat::{Failure, FailureKind, Side};
use crate::clock::{self, UnixMillis};
use crate::config::Problem;
use crate::http::{Visit, json as reply};
use crate::quota::{Exhausted, Lack};
use crate::routing::{Candidate, Ineligible, Route};
pub(crate) use metrics::metrics;
pub(crate) use stats::stats as own_stats;
use usage::Usage;

/// `GET /admin/stats`: every provider's counters, by model and name.
pub(crate) async fn stats(visit: Visit) -> Result<HttpResponse, Failure> {
    let now = clock::now();
    let mut models = Map::new();
    for route in visit.snapshot.routes.iter() {
        let mut providers = Map::new();
        for candidate in route.candidates() {
            let entry =
                serde_json::to_value(Usage::of(&candidate.account, now)).unwrap_or_default();
            providers.insert(candidate.provider.name.clone(), entry);
        }
        models.insert(route.model.clone(), Value::Object(providers));
    }
    Ok(reply(200, &models))
}

/// `POST /admin/reload`: reads the file again; 422 with every mistake when it is not accepted.
pub(crate) async fn reload(visit: Visit) -> Result<HttpResponse, Failure> {
    let gateway = visit.worker.gateway.clone();
    // Reading the file and settling the accounts touches the disk.
    let reloaded = actix_web::web::block(move || gateway.reload())
        .await
        .map_err(|_| {
            Failure::new(
                FailureKind::Internal,
                Side::Gateway,
                "the reload did not run",
            )
        })?;
    Ok(match reloaded {
        Ok(changes) => reply(
            200,
            &json!({
                "status": "ok",
                "message": "Configuration reloaded",
                "added": changes.added,
                "updated": changes.updated,
                "removed": changes.removed,
                "warnings": worded(&changes.warnings),
            }),
        ),
        Err(rejected) => {
            let errors = worded(&rejected.problems);
            let message = "Configuration rejected, the old one stays";
            reply(
                422,
                &json!({ "status": "error", "message": message, "errors": errors }),
            )
        }
    })
}

fn worded(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// `GET /admin/providers/{model}`: every provider of a model, and why it would not be chosen now.
pub(crate) async fn providers(visit: Visit) -> Result<HttpResponse, Failure> {
    let asked = visit.request.match_info().query("model");
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    let routes = &visit.snapshot.routes;
    let route = routes
        .named(&asked)
        .or_else(|| routes.find(&asked).map(|found| found.route));
    let Some(route) = route else {
        return Err(routes.unknown(&asked, |_| true));
    };
    Ok(reply(200, &standing(route, clock::now())))
}

fn standing(route: &Route, now: UnixMillis) -> Vec<Standing<'_>> {
    let mut all: Vec<_> = route.candidates().map(|c| Standing::of(c, now)).collect();
    all.sort_by_key(|standing| standing.priority);
    all
}

/// A quota that providers share.
#[derive(Serialize)]
struct Group<'a> {
    id: &'a str,
    #[serde(flatten)]
    usage: Usage,
}

/// What a quota lacks, in words.
fn lacking(exhausted: &Exhausted) -> String {
    let what = match exhausted.lack {
        Lack::Place => return "as many requests at once as allowed".to_owned(),
        Lack::Contact => return "the shared state cannot be reached".to_owned(),
        Lack::Allowance(unit) => {
            format!(
                "the provider says that its own quota of {} is used up",
                unit.name()
            )
        }
        Lack::Room(_) | Lack::Lease => "quota used up".to_owned(),
    };
    match exhausted.resets_at {
        _ if exhausted.temporary => format!("{what} for the moment"),
        Some(at) => format!("{what}, resets at {}", at.rfc3339()),
        None => what,
    }
}

/// One provider as selection sees it.
#[derive(Serialize)]
struct Standing<'a> {
    name: &'a str,
    model: &'a str,
    priority: i64,
    weight: u32,
    enabled: bool,
    status: &'static str,
    status_reason: Option<String>,
    stream_support: bool,
    non_stream_support: bool,
    max_context_length: Option<u64>,
    #[serde(flatten)]
    usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group<'a>>,
    answered: u64,
    failed: u64,
    last_failure: Option<Value>,
    cooling_until: Option<String>,
}

impl<'a> Standing<'a> {
    fn of(candidate: &'a Candidate, now: UnixMillis) -> Standing<'a> {
        let provider = &candidate.provider;
        let health = candidate.health.report(now);
        let usage = Usage::of(&candidate.account, now);
        let ineligible = candidate.ineligible(now);
        let status_reason = match &ineligible {
            Some(Ineligible::Resting) => health.cooldown.as_ref().map(|cooldown| {
                format!("{} (until {})", cooldown.reason, cooldown.until.rfc3339())
            }),
            Some(Ineligible::Exhausted(exhausted)) => Some(lacking(exhausted)),
            Some(Ineligible::Disabled) | None => None,
        };
        Standing {
            name: &provider.name,
            model: &provider.model,
            priority: provider.priority,
            weight: provider.weight,
            enabled: provider.enabled,
            status: ineligible.map_or("available", |ineligible| ineligible.word()),
            status_reason,
            stream_support: provider.stream_support,
            non_stream_support: provider.non_stream_support,
            max_context_length: provider.max_context_length,
            usage,
            group: provider.group.as_ref().and_then(|group| {
                Some(Group {
                    id: &group.id,
                    usage: Usage::of(&*candidate.account.group()?, now),
                })
            }),
            answered: health.answered,
            failed: health.failed,
            last_failure: health
                .last_failure
                .map(|(at, reason)| json!({ "at": at.rfc3339(), "reason": reason })),
            cooling_until: health.cooldown.map(|cooldown| cooldown.until.rfc3339()),
        }
    }
}
