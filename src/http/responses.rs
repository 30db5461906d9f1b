//! Responses that were kept: none are.

use actix_web::HttpResponse;

use super::visit::Visit;
use crate::chat::{Failure, FailureKind, Side};

/// Whatever concerns a kept response: there is none of that id.
pub(crate) async fn kept(visit: Visit) -> Result<HttpResponse, Failure> {
    let id = visit.request.match_info().query("id");
    let message = format!("no response `{id}`: this gateway keeps none");
    Err(Failure::new(FailureKind::NotFound, Side::Client, message))
}
