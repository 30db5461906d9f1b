//! The lists of models, in the shape that each dialect has for them.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::reply;
use super::speech;
use super::visit::Visit;
use crate::chat::Failure;
use crate::protocol::Protocol;
use crate::routing::Route;

/// When a model was made: nobody knows when a provider's was, but clients require it.
const CREATED: &str = "1970-01-01T00:00:00Z";

fn model(id: &str, shape: Protocol) -> Value {
    match shape {
        Protocol::OpenAi | Protocol::Responses => {
            json!({ "id": id, "object": "model", "created": 0, "owned_by": "api-gateway" })
        }
        Protocol::Anthropic => json!({
            "type": "model",
            "id": id,
            "display_name": id,
            "created_at": CREATED,
            "lifecycle": "active",
        }),
        Protocol::Gemini => json!({
            "name": format!("models/{id}"),
            "displayName": id,
            "supportedGenerationMethods": [
                "generateContent", "countTokens", "embedContent", "batchEmbedContents",
            ],
        }),
    }
}

/// `GET /v1/models`, `GET /v1beta/models`: every model that somebody serves, on one page.
pub(crate) async fn list(visit: Visit) -> Result<HttpResponse, Failure> {
    let request = &visit.request;
    let shape = speech::dialect(request);
    let names = names(&visit);
    let models: Vec<Value> = names.iter().map(|name| model(name, shape)).collect();
    let list = match shape {
        Protocol::OpenAi | Protocol::Responses => json!({ "object": "list", "data": models }),
        Protocol::Anthropic => json!({
            "data": models,
            "has_more": false,
            "first_id": names.first(),
            "last_id": names.last(),
        }),
        Protocol::Gemini => json!({ "models": models }),
    };
    Ok(reply::json(200, &list))
}

/// The names that are shown to the caller. Whose key is for an alias, a redirect or one of the models of a
/// pattern finds that very name, as it knows no other.
fn names(visit: &Visit) -> Vec<&str> {
    let routes = &visit.snapshot.routes;
    let listed = routes.listed().map(|route| (route.model.as_str(), route));
    let mut names: Vec<&str> = listed
        .filter(|(name, route)| may_use(visit, name, route))
        .map(|(name, _)| name)
        .collect();
    let own = visit.caller.iter().flat_map(|caller| caller.named());
    names.extend(own.filter(|name| {
        let found = routes.find(name);
        found.is_some_and(|found| !found.route.hidden && !found.route.tiers.is_empty())
    }));
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether the caller may use a model. What one may not use, one need not see.
fn may_use(visit: &Visit, asked: &str, route: &Route) -> bool {
    let caller = visit.caller.as_ref();
    caller.is_none_or(|caller| caller.may_use(asked, route))
}

/// `GET /v1/models/{model}`: whether one can be asked.
pub(crate) async fn one(visit: Visit) -> Result<HttpResponse, Failure> {
    let request = &visit.request;
    let shape = speech::dialect(request);
    let asked = request.match_info().query("model");
    let asked = percent_encoding::percent_decode_str(asked).decode_utf8_lossy();
    let found = visit.snapshot.routes.find(&asked);
    match found.filter(|found| may_use(&visit, &asked, found.route)) {
        Some(_) => Ok(reply::json(200, &model(&asked, shape))),
        None => {
            // What one may not use does not exist, and is no better name for what one meant either.
            let may_see = |route: &Route| may_use(&visit, &route.model, route);
            Err(visit.snapshot.routes.unknown(&asked, may_see))
        }
    }
}
