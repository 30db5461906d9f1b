//! One HTTP request at the door: its id, its permission, and the endpoint that answers it.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::access::{self, Access, Door};
use super::{error, reply, speech};
use crate::chat::{Failure, FailureKind, Side};
use crate::protocol::Protocol;
use crate::state::{Caller, Gateway, Snapshot};
use crate::upstream::Client;

/// The longest path in the log, in characters.
const PATH_SHOWN_MAX: usize = 200;

/// What one worker thread serves with.
pub struct Worker {
    /// What it shares with the others.
    pub gateway: Arc<Gateway>,
    /// Its own calls out.
    pub client: Client,
    /// Where this process listens.
    pub door: Door,
}

/// A request that was let in.
pub(crate) struct Visit {
    /// The worker that serves it.
    pub(crate) worker: Rc<Worker>,
    /// The configuration it was judged by.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Who calls, if with a key of its own.
    pub(crate) caller: Option<Arc<Caller>>,
    /// Its head.
    pub(crate) request: HttpRequest,
    /// Its body, unread.
    pub(crate) payload: Payload,
    /// The id that the client sees.
    pub(crate) id: Arc<str>,
}

/// Adds an endpoint: its URLs, its methods, who may use it.
pub(crate) fn endpoint<H, F>(
    app: &mut ServiceConfig,
    access: Access,
    methods: &'static [Method],
    paths: &[&str],
    handler: H,
) where
    H: Fn(Visit) -> F + Clone + 'static,
    F: Future<Output = Result<HttpResponse, Failure>> + 'static,
{
    // A resource each: actix compares a single path as text, and a list of them by regular expressions. Its
    // guards for methods write down for each request which methods there are, which is known here.
    for path in paths {
        let handler = handler.clone();
        let spoken = speech::of_route(path);
        let serve = move |request: HttpRequest, payload: Payload| {
            let handler = handler.clone();
            async move {
                if methods.contains(request.method()) {
                    answer(access, spoken, request, payload, handler).await
                } else {
                    other_method(access, methods, &request)
                }
            }
        };
        app.service(web::resource(*path).to(serve));
    }
}

async fn answer<H, F>(
    access: Access,
    spoken: Option<Protocol>,
    request: HttpRequest,
    payload: Payload,
    handler: H,
) -> HttpResponse
where
    H: Fn(Visit) -> F,
    F: Future<Output = Result<HttpResponse, Failure>>,
{
    let id = reply::request_id(&request);
    let Some(worker) = request.app_data::<Rc<Worker>>().cloned() else {
        return HttpResponse::InternalServerError().finish();
    };
    let snapshot = worker.gateway.snapshot();
    let keyed = snapshot.is_keyed();
    let origin = access != Access::Admin && keyed && request.headers().contains_key(header::ORIGIN);
    let dialect = spoken.unwrap_or_else(|| speech::dialect(&request));
    let answered = match access::admit(access, &request, &snapshot, &worker.door) {
        Ok(caller) => {
            let visit = Visit {
                worker,
                caller,
                snapshot,
                request,
                payload,
                id: id.clone(),
            };
            handler(visit).await
        }
        Err(failure) => {
            let path = beginning(request.path());
            log::info!(request_id = &*id, path = path; "Request refused: {}", failure.message);
            Err(failure)
        }
    };
    let mut response = answered.unwrap_or_else(|failure| error::response(&failure, dialect, &id));
    reply::stamp(&mut response, &id, dialect, origin);
    response
}

/// As much of a path as a line of the log takes. Who is refused must not fill the disk.
fn beginning(path: &str) -> &str {
    let end = path.char_indices().nth(PATH_SHOWN_MAX);
    end.map_or(path, |(end, _)| &path[..end])
}

/// The path exists, the method does not. A browser's preflight is answered here, too.
fn other_method(access: Access, methods: &'static [Method], request: &HttpRequest) -> HttpResponse {
    let id = reply::request_id(request);
    let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let allowed = allowed.join(", ");
    let worker = request.app_data::<Rc<Worker>>();
    // A web page must not spend its visitor's quota where no key stands in the way.
    let cors = access != Access::Admin
        && worker.is_some_and(|worker| worker.gateway.snapshot().is_keyed());
    let mut response = if request.method() == Method::OPTIONS {
        reply::preflight(&allowed, cors)
    } else {
        let message = format!(
            "{} {} is not possible; allowed: {allowed}",
            request.method(),
            request.path()
        );
        let failure = Failure::new(FailureKind::MethodNotAllowed, Side::Client, message);
        let dialect = speech::dialect(request);
        let mut response = error::response(&failure, dialect, &id);
        if let Ok(value) = allowed.parse() {
            response.headers_mut().insert(header::ALLOW, value);
        }
        response
    };
    let dialect = speech::dialect(request);
    reply::stamp(&mut response, &id, dialect, cors);
    response
}

/// No such path.
pub(crate) async fn unknown_path(request: HttpRequest) -> HttpResponse {
    let id = reply::request_id(&request);
    let message = format!("no such path: {} {}", request.method(), request.path());
    let failure = Failure::new(FailureKind::NotFound, Side::Client, message);
    let dialect = speech::dialect(&request);
    let mut response = error::response(&failure, dialect, &id);
    reply::stamp(&mut response, &id, dialect, false);
    response
}
