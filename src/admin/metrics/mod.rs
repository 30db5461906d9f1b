//! `GET /metrics`: the numbers, for a program that draws curves and wakes people.
//!
//! They are read when somebody asks; a request that is served pays nothing for them. Labels come from the
//! configuration alone, so there are never more of them than it has entries, and none is a secret.

mod collect;
mod families;
mod names;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse};

use crate::chat::{Failure, FailureKind, Side};
use crate::clock;
use crate::http::{Visit, json as reply};

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`: in the text format, or as JSON for who accepts that.
pub(crate) async fn metrics(visit: Visit) -> Result<HttpResponse, Failure> {
    let families = collect::all(&visit.worker.gateway, &visit.snapshot, clock::now());
    if wants_json(&visit.request) {
        return Ok(reply(200, &families.json()));
    }
    let text = families.text().map_err(|error| {
        let message = format!("the metrics cannot be written: {error}");
        Failure::new(FailureKind::Internal, Side::Gateway, message)
    })?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT))
        .body(text))
}

/// Whether JSON is named among what is accepted: what stands for any type is not.
fn wants_json(request: &HttpRequest) -> bool {
    let accepted = request.headers().get_all(ACCEPT);
    let mut texts = accepted.filter_map(|value| value.to_str().ok());
    texts.any(|text| {
        text.split(',').any(|accepted| {
            let kind = accepted.split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("application/json")
        })
    })
}
