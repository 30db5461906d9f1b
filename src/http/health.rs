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
                "responses": "/v1/responses",
                "messages": "/v1/messages",
                "gemini": "/v1beta/models",
                "completions": "/v1/completions",
                "embeddings": "/v1/embeddings",
                "models": "/v1/models",
                "health": "/health",
                "stats": "/admin/stats",
                "gateway": "/stats",
                "metrics": "/metrics",
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
        problems.push(match gateway.quotas.is_shared() {
            true => "the shared state cannot be reached".to_owned(),
            false => "usage cannot be written to disk".to_owned(),
        });
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

/// How many mistakes, and where the first is. What they are, and with it the names of models and
/// providers, is for those who have the log or the admin key.
fn rejection(rejected: &Rejected) -> String {
    let mut said = match rejected.problems.len() {
        1 => "configuration rejected: 1 mistake".to_owned(),
        count => format!("configuration rejected: {count} mistakes"),
    };
    if let Some(first) = rejected.problems.first()
        && first.line > 0
    {
        let (line, column) = (first.line, first.column);
        said.push_str(&format!(", the first in line {line}, column {column}"));
    }
    said + "; serving by the old one, see the log or POST /admin/reload"
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

#[cfg(test)]
mod tests {
    use super::rejection;
    use crate::config::{Problem, Rejected};

    #[test]
    fn a_rejection_tells_places_and_nothing_else() {
        let problem = |line| Problem {
            file: "secret.json".to_owned(),
            line,
            column: 7,
            path: "secret-model".to_owned(),
            message: "found \"secret\"".to_owned(),
            hint: Some("secret".to_owned()),
        };
        for (lines, expected) in [
            (
                &[3, 4][..],
                "configuration rejected: 2 mistakes, the first in line 3, column 7; \
                 serving by the old one, see the log or POST /admin/reload",
            ),
            (
                &[0],
                "configuration rejected: 1 mistake; \
                 serving by the old one, see the log or POST /admin/reload",
            ),
        ] {
            let problems = lines.iter().map(|line| problem(*line)).collect();
            assert_eq!(rejection(&Rejected { problems }), expected);
        }
    }
}
