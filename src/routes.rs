//! The route table: every URL of the gateway on one page, who may use it, and who answers.

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

use crate::admin;
use crate::http::{Access, endpoint, gemini, health, inbound, models, responses, unknown_path};
use crate::protocol::{Endpoint, Passed, openai};

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const GET_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const ANY: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::DELETE];

/// The route table. A URL cannot be added without saying who may use it.
pub fn routes(app: &mut ServiceConfig) {
    let (open, client, admin) = (Access::Open, Access::Client, Access::Admin);

    // The busiest first: they are looked up in this order.
    let openai = |endpoint: openai::Endpoint| Endpoint::OpenAi(endpoint);
    for (paths, served) in [
        (
            ["/v1/chat/completions", "/chat/completions"],
            openai(openai::Endpoint::ChatCompletions),
        ),
        (["/v1/messages", "/messages"], Endpoint::Messages),
        (["/v1/responses", "/responses"], Endpoint::Responses),
        (
            ["/v1/embeddings", "/embeddings"],
            openai(openai::Endpoint::Embeddings),
        ),
        (
            ["/v1/completions", "/completions"],
            openai(openai::Endpoint::Completions),
        ),
        (
            ["/v1/messages/count_tokens", "/messages/count_tokens"],
            Endpoint::CountMessages,
        ),
        (
            ["/v1/responses/input_tokens", "/responses/input_tokens"],
            Endpoint::InputTokens,
        ),
    ] {
        endpoint(app, client, POST, &paths, move |visit| {
            inbound::serve(visit, served, None)
        });
    }
    for passed in Passed::ALL {
        let path = passed.path();
        endpoint(
            app,
            client,
            POST,
            &[&format!("/v1{path}"), path],
            move |visit| inbound::serve(visit, Endpoint::Passed(passed), None),
        );
    }

    endpoint(
        app,
        client,
        GET,
        &["/v1/models", "/v1beta/models", "/models"],
        models::list,
    );
    endpoint(
        app,
        client,
        GET_POST,
        &["/v1beta/models/{model:.+}", "/v1/models/{model:.+}"],
        gemini::model,
    );
    endpoint(app, client, GET, &["/models/{model:.+}"], models::one);
    endpoint(
        app,
        client,
        ANY,
        &["/v1/responses/{id}", "/v1/responses/{id}/{of:.*}"],
        responses::kept,
    );

    endpoint(app, open, GET, &["/"], health::index);
    endpoint(app, open, GET, &["/health"], health::health);
    endpoint(app, open, GET, &["/healthz", "/livez"], health::live);
    endpoint(app, open, GET, &["/readyz"], health::ready);

    endpoint(app, admin, GET, &["/metrics"], admin::metrics);
    endpoint(app, admin, GET, &["/admin/stats"], admin::stats);
    endpoint(app, admin, GET, &["/stats"], admin::own_stats);
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
