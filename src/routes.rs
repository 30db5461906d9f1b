//! The route table: every URL of the gateway on one page, who may use it, and who answers.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

use crate::admin;
use crate::http::{Access, endpoint, health, inbound, models, unknown_path};
use crate::protocol::openai::Endpoint;

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];

/// The route table. A URL cannot be added without saying who may use it.
pub fn routes(app: &mut ServiceConfig) {
    let (open, client, admin) = (Access::Open, Access::Client, Access::Admin);

    // The busiest first: they are looked up in this order.
    for (paths, served) in [
        (
            ["/v1/chat/completions", "/chat/completions"],
            Endpoint::ChatCompletions,
        ),
        (["/v1/completions", "/completions"], Endpoint::Completions),
        (["/v1/embeddings", "/embeddings"], Endpoint::Embeddings),
    ] {
        endpoint(app, client, POST, &paths, move |visit| {
            inbound::serve(visit, served)
        });
    }

    endpoint(app, client, GET, &["/v1/models", "/models"], models::list);
    endpoint(
        app,
        client,
        GET,
        &["/v1/models/{model:.+}", "/models/{model:.+}"],
        models::one,
    );

    endpoint(app, open, GET, &["/"], health::index);
    endpoint(app, open, GET, &["/health"], health::health);
    endpoint(app, open, GET, &["/healthz", "/livez"], health::live);
    endpoint(app, open, GET, &["/readyz"], health::ready);

    endpoint(app, admin, GET, &["/admin/stats"], admin::stats);
    endpoint(app, admin, POST, &["/admin/reload"], admin::reload);
    endpoint(
        app,
        admin,
        GET,
        &["/admin/providers/{model:.+}"],
        admin::providers,
    );

    app.default_service(web::to(unknown_path));
}
