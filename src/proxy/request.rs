//! One client's request on its way through the proxy.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

use super::answer::Served;
use super::hold;
use super::outcome::{self, Reason};
use super::queue::Wait;
use crate::chat::{Failure, FailureKind, Side};
use crate::clock;
use crate::protocol::{Call, Reply};
use crate::quota::Reservation;
use crate::routing::{Candidate, Name, Route};
use crate::state::{Caller, Gateway, Snapshot};
use crate::telemetry::Record;
use crate::upstream::Client;

/// The longest id of an answer, without its prefix.
const ID_MAX: usize = 32;

/// A request and what it has met so far.
pub struct Request<'a> {
    /// The shared state.
    pub gateway: &'a Arc<Gateway>,
    /// The worker's calls out.
    pub client: &'a Client,
    /// The configuration it began with.
    pub snapshot: Arc<Snapshot>,
    /// Who asks, if with a key of its own.
    pub caller: Option<Arc<Caller>>,
    /// What is held of that one's own limits, between attempts.
    pub(super) charge: Option<Box<Reservation>>,
    /// Its place among those who wait for room.
    pub(super) wait: Wait,
    /// What was asked.
    pub call: Rc<Call>,
    /// Headers of the client that providers may see.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
    /// The line it will leave. Moves into the answer when that is a stream.
    pub record: Option<Record>,
    /// Until when an answer must be committed.
    pub(super) deadline: Instant,
    /// When it was ready to be served; taken by the first attempt, which begins then.
    began: Cell<Option<Instant>>,
    /// Who was asked last, and how often anybody was; `None` until somebody is.
    pub asked: Option<Served>,
    /// Each candidate that failed, with the reason.
    pub(super) tried: Vec<Reason>,
}

impl<'a> Request<'a> {
    /// A request that nobody has been asked for yet.
    pub fn new(
        gateway: &'a Arc<Gateway>,
        client: &'a Client,
        snapshot: Arc<Snapshot>,
        caller: Option<Arc<Caller>>,
        call: Call,
        forwarded: Vec<(HeaderName, HeaderValue)>,
        record: Record,
    ) -> Request<'a> {
        let now = Instant::now();
        let deadline = now + snapshot.global.deadline;
        Request {
            gateway,
            client,
            snapshot,
            caller,
            charge: None,
            wait: Wait::default(),
            call: Rc::new(call),
            forwarded,
            record: Some(record),
            deadline,
            began: Cell::new(Some(now)),
            asked: None,
            tried: Vec::new(),
        }
    }

    /// Whether the caller may use this model, and has room for the request in its own limits, which is held
    /// from now on.
    pub(super) async fn charge_caller(&mut self, route: &Route) -> Result<(), Failure> {
        let Some(caller) = &self.caller else {
            return Ok(());
        };
        self.may_use(route)?;
        let charge = Box::pin(hold::charge(&caller.account, &self.call)).await;
        let charge = charge.map_err(|exhausted| outcome::own_limit(&exhausted, clock::now()))?;
        self.charge = Some(Box::new(charge));
        Ok(())
    }

    /// What is told of a model that does not exist; other models only as far as the caller may use them.
    pub(super) fn unknown_model(&self) -> Failure {
        let caller = self.caller.as_ref();
        let may_see =
            |route: &Route| caller.is_none_or(|caller| caller.may_use(&route.model, route));
        self.snapshot.routes.unknown(&self.call.model, may_see)
    }

    /// Whether the caller may use this model.
    pub(super) fn may_use(&self, route: &Route) -> Result<(), Failure> {
        match &self.caller {
            Some(caller) if !caller.may_use(&self.call.model, route) => {
                let message = format!("this API key may not use the model `{}`", self.call.model);
                Err(Failure::new(FailureKind::Forbidden, Side::Client, message).about("model"))
            }
            _ => Ok(()),
        }
    }

    /// The id that the client sees.
    pub(super) fn id(&self) -> &str {
        self.record.as_ref().map_or("", |record| &*record.id)
    }

    /// What its answer tells beside what a provider says.
    pub(super) fn reply(&self) -> Reply {
        // An id of a client's own may hold other characters, and be longer than the ids of vendors.
        let letters = self.id().chars().filter(char::is_ascii_alphanumeric);
        Reply {
            id: letters.take(ID_MAX).collect(),
            created: clock::now().secs(),
            model: self.call.model.clone(),
            include_usage: self.call.include_usage,
            array: self.call.array,
            asked: self.call.body.clone(),
        }
    }

    /// When an attempt begins: now.
    pub(super) fn attempt_begins(&self) -> Instant {
        self.began.take().unwrap_or_else(Instant::now)
    }

    /// Whether it does not matter who is asked. What a provider has kept is known to that one alone, and which
    /// one that was is not known here.
    pub(super) fn may_be_asked_of_any(&self) -> Result<(), Failure> {
        let Some(param) = self.call.state else {
            return Ok(());
        };
        let found = self.snapshot.routes.find(&self.call.model);
        match found.map_or(0, |found| found.route.candidates().count()) {
            0 | 1 => Ok(()),
            _ => {
                let message = format!(
                    "`{param}` refers to what one provider keeps, and the model has several; send the full input"
                );
                Err(Failure::invalid(message).about(param))
            }
        }
    }

    /// How long it may still wait for an answer.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether neither its time nor its attempts are used up.
    pub(super) fn may_try_again(&self) -> bool {
        let max = self.snapshot.global.max_attempts.unwrap_or(u32::MAX);
        let attempts = self.attempts();
        attempts < max && (attempts == 0 || !self.time_left().is_zero())
    }

    fn attempts(&self) -> u32 {
        self.asked.as_ref().map_or(0, |asked| asked.attempts)
    }

    /// A provider is about to be asked.
    pub(super) fn note_attempt(&mut self, candidate: &Candidate, model: &Name) {
        let attempts = self.attempts() + 1;
        self.asked = Some(Served {
            provider: candidate.name.clone(),
            model: model.clone(),
            attempts,
        });
        if let Some(record) = &mut self.record {
            record.attempts = attempts;
            record.provider = Some(candidate.name.text());
        }
        let level = match self.snapshot.global.log_requests {
            true => log::Level::Info,
            false => log::Level::Debug,
        };
        log::log!(
            level,
            request_id = self.id(),
            model = self.call.model.as_str(),
            provider = candidate.name.as_str(),
            attempt = attempts;
            "Selected provider"
        );
    }

    /// The next candidate is about to be asked, because `failure` ended the attempts on another.
    pub(super) fn note_switch(&self, to: &Candidate, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            log::warn!(
                request_id = self.id(),
                model = self.call.model.as_str(),
                to = to.name.as_str(),
                reason = &*failure.for_log();
                "Switching provider"
            );
        }
    }
}
