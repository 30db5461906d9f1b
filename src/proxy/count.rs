//! How many tokens a request would take. Free at the providers that can tell, so no quota counts it; where nobody can,
//! or nobody does in time, it is our estimate. Never an error: agents ask before each step.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::request::Request;
use crate::chat::Failure;
use crate::clock::now;
use crate::protocol::{count_answer, count_errand};
use crate::routing::Candidate;
use crate::telemetry::Outcome;
use crate::upstream::{Post, Sent};

/// An estimate now is better than a number later.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most of an answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

/// Counts the tokens of a request: the body that tells the client.
///
/// # Errors
/// There is no such model.
pub async fn count(request: &mut Request<'_>) -> Result<Bytes, Failure> {
    let snapshot = request.snapshot.clone();
    let call = request.call.clone();
    let found = snapshot
        .routes
        .find(&call.model)
        .ok_or_else(|| request.unknown_model())?;
    request.may_use(found.route)?;
    let can_tell = |candidate: &&std::sync::Arc<Candidate>| {
        candidate.provider.dialect.counts() && candidate.ineligible(now()).is_none()
    };
    let told = match found.route.candidates().find(can_tell) {
        Some(candidate) => {
            let model = candidate.model(found.rest.as_deref());
            let asked = timeout(PATIENCE, ask(request, candidate, model.as_str())).await;
            let told = asked.ok().flatten();
            told.map(|body| (candidate.provider.dialect.protocol, body))
        }
        None => None,
    };
    let answer = count_answer(&call, told);
    if let Some(mut record) = request.record.take() {
        record.status = 200;
        record.finish(Outcome::Answered);
    }
    Ok(answer)
}

/// What a provider says, if it says anything in good form.
async fn ask(request: &Request<'_>, candidate: &Candidate, model: &str) -> Option<Bytes> {
    let call = &request.call;
    let dialect = &candidate.provider.dialect;
    let errand = count_errand(call, dialect, model).ok()?;
    let is_same = call.endpoint.protocol() == dialect.protocol;
    let query = call.query.as_deref().filter(|_| is_same);
    let target = &candidate.target;
    let uri = match target.uri(errand.endpoint) {
        Some(_) if query.is_none() => None,
        _ => Some(Box::new(target.uri_of(errand.endpoint, model, query).ok()?)),
    };
    let post = Post {
        target,
        endpoint: errand.endpoint,
        uri,
        content_type: None,
        forwarded: if is_same { &request.forwarded } else { &[] },
        body: errand.body,
        fresh: true,
    };
    let mut response = request.client.post(post, &Sent::default()).await.ok()?;
    if response.status() != 200 {
        return None;
    }
    response.collect(ANSWER_MAX).await.ok()
}
