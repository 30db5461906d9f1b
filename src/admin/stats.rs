//! `GET /stats`: what the gateway itself does, beside what providers have counted.

use actix_web::HttpResponse;
use serde_json::{Map, Value, json};

use super::usage::Usage;
use crate::chat::Failure;
use crate::clock;
use crate::http::{Visit, json as reply};
use crate::routing::QueueReport;

/// `GET /stats`: how long it runs, who waits for which model, what clients with keys of their own have used,
/// and whether the state that gateways share can be reached.
pub(crate) async fn stats(visit: Visit) -> Result<HttpResponse, Failure> {
    let now = clock::now();
    let gateway = &visit.worker.gateway;
    let routes = visit.snapshot.routes.iter();
    let queues: Map<String, Value> = routes
        .map(|route| (route.model.clone(), queue(&route.queue.report())))
        .collect();
    let callers = visit.snapshot.callers.iter();
    let clients: Map<String, Value> = callers
        .map(|caller| {
            let usage = serde_json::to_value(Usage::of(&caller.account, now));
            (caller.name.to_string(), usage.unwrap_or_default())
        })
        .collect();
    let quotas = &gateway.quotas;
    let shared = quotas
        .is_shared()
        .then(|| json!({ "trouble": quotas.trouble() }));
    Ok(reply(
        200,
        &json!({
            "uptime_seconds": gateway.started.until(now).as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
            "queues": queues,
            "clients": clients,
            "shared_state": shared,
        }),
    ))
}

fn queue(report: &QueueReport) -> Value {
    json!({
        "waiting": report.waiting,
        "longest": report.longest,
        "served": report.served,
        "in_vain": report.in_vain,
        "left": report.left,
        "refused": report.refused,
        "waited_ms": u64::try_from(report.waited.as_millis()).unwrap_or(u64::MAX),
    })
}
