//! The way of one request. Read this first.
//!
//! [`handle`] tells the story; `attempt` asks one candidate, `exchange` is one exchange with it, `outcome`
//! judges what follows from a failure, `refusal` what follows for whoever has no quota left, `hold` keeps the
//! quota straight, `queue` waits for room, `redact` keeps secrets in, `answer` and `stream` carry what the client
//! gets. `count` counts tokens without asking for an answer. Nothing here knows actix-web or JSON: the door is
//! [`http`](crate::http), the dialects are in [`protocol`](crate::protocol).

mod answer;
mod attempt;
mod count;
mod exchange;
mod hold;
mod outcome;
mod queue;
mod redact;
mod refusal;
mod request;
mod stream;

pub use answer::{Answer, AnswerBody, Media, Served};
pub use count::count;
pub use request::Request;
pub use stream::StreamBody;

use crate::chat::Failure;
use crate::clock::now;
use crate::routing::Plan;
use attempt::Tried;
use outcome::Next;

/// Serves one request. Whatever may go wrong becomes a [`Failure`]; the door renders it.
///
/// # Errors
/// The request is at fault, or nobody could serve it.
pub async fn handle(request: &mut Request<'_>) -> Result<Answer, Failure> {
    let answered = serve(request).await;
    if answered.is_err() {
        request.charge = None; // before the caller is told what is left
    }
    answered
}

async fn serve(request: &mut Request<'_>) -> Result<Answer, Failure> {
    let snapshot = request.snapshot.clone(); // one request, one configuration
    let call = request.call.clone();
    let found = snapshot
        .routes
        .find(&call.model)
        .ok_or_else(|| request.unknown_model())?;
    request.charge_caller(found.route).await?; // who calls may have limits of its own
    let mut plan = Plan::new(found.route, call.prompt_tokens);
    let mut last = None;
    request.gateway.retries.earn();

    if snapshot.global.queue.is_some() {
        plan.spare(found.route.queue.sought()); // what others wait for is theirs
    }
    loop {
        while let Some(candidate) = request.may_try_again().then(|| plan.next(now())).flatten() {
            request.note_switch(candidate, last.as_ref());
            match attempt::serve(request, candidate, found.rest.as_deref()).await {
                Tried::Answered(answer) => return Ok(answer), // committed: no way back from here
                Tried::NoRoom(exhausted) => plan.send_back(&exhausted),
                Tried::Failed(failure) => {
                    if outcome::after(&failure) == Next::Stop {
                        return Err(failure);
                    }
                    plan.note(candidate, &failure);
                    last = Some(failure);
                }
            }
        }
        if !queue::for_room(request, &found.route.queue, &plan).await {
            break;
        }
        plan.reopen();
    }
    Err(outcome::verdict(
        &call.model,
        last,
        &request.tried,
        plan.refusals(),
        now(),
    ))
}
