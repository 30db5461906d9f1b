//! The lists of models.

use actix_web::HttpResponse;
use serde::Serialize;

use super::reply;
use super::visit::Visit;
use crate::chat::Failure;

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    /// Nobody knows when a provider's model was made; clients require the field.
    created: i64,
    owned_by: &'static str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

fn model(id: &str) -> Model<'_> {
    Model {
        id,
        object: "model",
        created: 0,
        owned_by: "api-gateway",
    }
}

/// `GET /v1/models`: every model that somebody serves.
pub(crate) async fn list(visit: Visit) -> Result<HttpResponse, Failure> {
    let data = visit
        .snapshot
        .routes
        .listed()
        .map(|route| model(&route.model))
        .collect();
    Ok(reply::json(
        200,
        &List {
            object: "list",
            data,
        },
    ))
}

/// `GET /v1/models/{model}`: whether one can be asked.
pub(crate) async fn one(visit: Visit) -> Result<HttpResponse, Failure> {
    let asked = visit.request.match_info().query("model");
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    match visit.snapshot.routes.find(&asked) {
        Some(_) => Ok(reply::json(200, &model(&asked))),
        None => Err(visit.snapshot.routes.unknown(&asked)),
    }
}
