//! What anybody may know about the process: how it is, and what an operator should mend. No secrets.

use actix_web::HttpResponse;
use serde_json::json;

use super::reply;
use super::visit::Visit;
use crate::chat::Failure;
use crate::clock;
use crate::config::Rejected;

/// `GET /`: what this is.
pub(crate) async fn index(_: Visit) -> Result<HttpResponse, Failure> {
    Ok(reply::json(
        200,
        &json!({
            "name": "api-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "endpoints": {
                "chat": "/v1/chat/completions",
                "completions": "/v1/completions",
                "embeddings": "/v1/embeddings",
                "models": "/v1/models",
                "health": "/health",
                "stats": "/admin/stats",
            },
        }),
    ))
}

/// `GET /health`: healthy, or what is not as it should be. Always 200 while the process serves: a
/// rejected file or a full disk is an alarm, not a reason to be restarted.
pub(crate) async fn health(visit: Visit) -> Result<HttpResponse, Failure> {
    let gateway = &visit.worker.gateway;
    let rejected = gateway.rejected();
    let trouble = gateway.quotas.trouble();
    let mut problems = Vec::new();
    if let Some(rejected) = &rejected {
        problems.push(rejection(rejected));
    }
    if trouble.is_some() {
        problems.push("usage cannot be written to disk".to_owned());
    }
    Ok(reply::json(
        200,
        &json!({
            "status": if problems.is_empty() { "healthy" } else { "degraded" },
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": gateway.started.until(clock::now()).as_secs(),
            "models": visit.snapshot.routes.listed().count(),
            "reloads": gateway.reloads(),
            "problems": problems,
        }),
    ))
}

/// Where the first mistake is and what it is. Secret values are never part of a mistake's words; where
/// the file lies is nobody's business.
fn rejection(rejected: &Rejected) -> String {
    let count = rejected.problems.len();
    let said = format!("configuration rejected ({count} mistakes), serving by the old one");
    match rejected.problems.first() {
        Some(first) => {
            let (line, column) = (first.line, first.column);
            format!(
                "{said}: line {line}, column {column}: {}: {}",
                first.path, first.message
            )
        }
        None => said,
    }
}

/// `GET /livez`: the process answers.
pub(crate) async fn live(_: Visit) -> Result<HttpResponse, Failure> {
    Ok(reply::json(200, &json!({ "status": "alive" })))
}

/// `GET /readyz`: whether new requests should be sent here.
pub(crate) async fn ready(visit: Visit) -> Result<HttpResponse, Failure> {
    if visit.worker.gateway.is_draining() {
        return Ok(reply::json(503, &json!({ "status": "draining" })));
    }
    Ok(reply::json(200, &json!({ "status": "ready" })))
}
