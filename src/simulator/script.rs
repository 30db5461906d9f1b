//! What a simulator does with each request: the parts of a script, and the choice among them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answer::Answer;
use super::recording::Recording;

/// What happens to one request.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and acts are not kept in numbers"
)]
pub enum Act {
    /// Answer it.
    Answer(Answer),
    /// Answer it in the bytes of a recording, in whatever dialect.
    Recorded(Box<Recording>),
    /// Answer with this status, these headers and this body, whatever was asked.
    Status {
        /// HTTP status.
        status: u16,
        /// Headers besides `Content-Length`.
        headers: Vec<(String, String)>,
        /// The whole body.
        body: Vec<u8>,
    },
    /// Reset the connection: right after it was accepted if the script is that far, else before answering.
    Refuse,
    /// Read the request and never answer.
    Hang,
    /// Write these bytes instead of an answer, and keep the connection.
    Bytes(Vec<u8>),
    /// Write these bytes instead of an answer, and close the connection.
    BytesThenClose(Vec<u8>),
    /// Wait, then act.
    Delay(Duration, Box<Act>),
    /// Send an interim head (100, 102, 103) first, then act.
    Interim(u16, Box<Act>),
    /// Act, then close the connection without having announced it.
    CloseIdle(Box<Act>),
}

impl Act {
    /// A whole answer with this text.
    pub fn answering(text: impl Into<String>) -> Act {
        Act::Answer(Answer::text(text))
    }

    /// This status; with an error object in OpenAI's form unless it is a 2xx, which has no body.
    pub fn status(status: u16) -> Act {
        if (200..300).contains(&status) {
            return Act::body(status, "application/json", "");
        }
        let (kind, code) = match status {
            400 => ("invalid_request_error", None),
            401 => ("invalid_request_error", Some("invalid_api_key")),
            403 => ("permission_error", None),
            404 => ("invalid_request_error", Some("model_not_found")),
            429 => ("requests", Some("rate_limit_exceeded")),
            _ => ("server_error", None),
        };
        Act::failure(status, kind, code, &format!("simulated status {status}"))
    }

    /// An error in OpenAI's form with a code of your choice.
    pub fn error(status: u16, code: &str, message: &str) -> Act {
        Act::failure(status, "invalid_request_error", Some(code), message)
    }

    fn failure(status: u16, kind: &str, code: Option<&str>, message: &str) -> Act {
        let error = json!({"message": message, "type": kind, "param": null, "code": code});
        Act::body(
            status,
            "application/json",
            json!({ "error": error }).to_string(),
        )
    }

    /// 429 with `Retry-After` in seconds.
    pub fn rate_limited(retry_after: u32) -> Act {
        Act::status(429).with_header("retry-after", &retry_after.to_string())
    }

    /// This status with this body.
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Act {
        Act::Status {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// A web page with status 200, as a login wall or a broken balancer would send.
    pub fn html() -> Act {
        Act::body(
            200,
            "text/html",
            "<!doctype html><title>Sign in</title><p>Please sign in.",
        )
    }

    /// 200 without a body.
    pub fn empty() -> Act {
        Act::status(200)
    }

    /// [`Act::Hang`].
    pub fn hang() -> Act {
        Act::Hang
    }

    /// [`Act::Refuse`].
    pub fn refuse() -> Act {
        Act::Refuse
    }

    /// [`Act::Bytes`].
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Act {
        Act::Bytes(bytes.into())
    }

    /// [`Act::BytesThenClose`].
    pub fn bytes_then_close(bytes: impl Into<Vec<u8>>) -> Act {
        Act::BytesThenClose(bytes.into())
    }

    /// This act after a wait.
    pub fn after(self, wait: Duration) -> Act {
        Act::Delay(wait, Box::new(self))
    }

    /// This act after an interim head such as 103.
    pub fn with_interim(self, status: u16) -> Act {
        Act::Interim(status, Box::new(self))
    }

    /// This act, then an unannounced end of the connection.
    pub fn closing_idle(self) -> Act {
        Act::CloseIdle(Box::new(self))
    }

    /// This act with one more header, where it has a head of its own making.
    pub fn with_header(mut self, name: &str, value: &str) -> Act {
        match &mut self {
            Act::Answer(Answer { headers, .. }) | Act::Status { headers, .. } => {
                headers.push((name.into(), value.into()));
            }
            Act::Recorded(recording) => {
                recording.manner.headers.push((name.into(), value.into()));
            }
            Act::Delay(_, act) | Act::Interim(_, act) | Act::CloseIdle(act) => {
                let inner = std::mem::replace(&mut **act, Act::Hang);
                **act = inner.with_header(name, value);
            }
            Act::Refuse | Act::Hang | Act::Bytes(_) | Act::BytesThenClose(_) => {}
        }
        self
    }
}

impl From<Answer> for Act {
    fn from(answer: Answer) -> Act {
        Act::Answer(answer)
    }
}

/// How a simulator behaves until it is told otherwise.
#[derive(Clone, Debug)]
pub struct Behavior {
    /// What a request gets unless another line of the script says otherwise.
    pub act: Act,
    /// Every nth request gets this act instead.
    pub every: Option<(u64, Act)>,
    /// This share of the requests, in percent, gets this act instead.
    pub percent: Option<(u8, Act)>,
    /// Seed of the draw behind `percent`: the same seed, the same requests.
    pub seed: u64,
    /// Who answers, in the `Server` header.
    pub name: String,
    /// The key that requests must carry, in the header of any vendor; any when `None`.
    pub key: Option<String>,
    /// What `/models` lists.
    pub models: Vec<String>,
}

impl Behavior {
    /// Always this act.
    pub fn new(act: impl Into<Act>) -> Behavior {
        Behavior {
            act: act.into(),
            every: None,
            percent: None,
            seed: 1,
            name: "simulator".into(),
            key: None,
            models: vec!["simulated".into()],
        }
    }

    /// Answers everything with this text.
    pub fn answering(text: impl Into<String>) -> Behavior {
        Behavior::new(Act::answering(text))
    }

    /// Answers everything with this status; see [`Act::status`].
    pub fn status(status: u16) -> Behavior {
        Behavior::new(Act::status(status))
    }

    /// Resets every connection.
    pub fn refusing() -> Behavior {
        Behavior::new(Act::Refuse)
    }

    /// Never answers.
    pub fn hanging() -> Behavior {
        Behavior::new(Act::Hang)
    }

    /// Waits before each ordinary act.
    pub fn slowly(mut self, wait: Duration) -> Behavior {
        self.act = self.act.after(wait);
        self
    }

    /// Every nth request gets `act` instead: with 3, the third, the sixth, and so on.
    pub fn every(mut self, nth: u64, act: impl Into<Act>) -> Behavior {
        self.every = Some((nth, act.into()));
        self
    }

    /// `percent` of the requests, drawn with [`seed`](Self::seed), get `act` instead.
    pub fn percent(mut self, percent: u8, act: impl Into<Act>) -> Behavior {
        self.percent = Some((percent, act.into()));
        self
    }

    /// Names itself in the `Server` header.
    pub fn named(mut self, name: impl Into<String>) -> Behavior {
        self.name = name.into();
        self
    }

    /// Answers 401 to a request without this key: as `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`.
    pub fn requiring_key(mut self, key: impl Into<String>) -> Behavior {
        self.key = Some(key.into());
        self
    }

    /// Lists these under `/models`.
    pub fn with_models<M: Into<String>>(mut self, models: impl IntoIterator<Item = M>) -> Behavior {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }
}

impl<A: Into<Act>> From<A> for Behavior {
    fn from(act: A) -> Behavior {
        Behavior::new(act)
    }
}

/// A behavior in progress.
pub(super) struct Script {
    behavior: Arc<Behavior>,
    queued: VecDeque<Act>,
    asked: u64,
    random: fastrand::Rng,
}

/// What was decided for one request.
pub(super) struct Turn {
    pub(super) act: Act,
    pub(super) behavior: Arc<Behavior>,
}

impl Script {
    pub(super) fn new(behavior: Behavior) -> Script {
        Script {
            random: fastrand::Rng::with_seed(behavior.seed),
            behavior: Arc::new(behavior),
            queued: VecDeque::new(),
            asked: 0,
        }
    }

    pub(super) fn set(&mut self, behavior: Behavior) {
        let queued = std::mem::take(&mut self.queued);
        *self = Script {
            queued,
            ..Script::new(behavior)
        };
    }

    pub(super) fn queue(&mut self, act: Act) {
        self.queued.push_back(act);
    }

    /// Whether the next request is refused whatever it is: then its connection need not be served at all.
    pub(super) fn take_refusal(&mut self) -> bool {
        let act = match self.queued.front() {
            Some(act) => act,
            None if self.behavior.every.is_some() || self.behavior.percent.is_some() => {
                return false;
            }
            None => &self.behavior.act,
        };
        let refuses = matches!(act, Act::Refuse);
        if refuses {
            self.queued.pop_front();
        }
        refuses
    }

    pub(super) fn turn(&mut self) -> Turn {
        Turn {
            act: self.act(),
            behavior: Arc::clone(&self.behavior),
        }
    }

    fn act(&mut self) -> Act {
        if let Some(act) = self.queued.pop_front() {
            return act;
        }
        self.asked += 1;
        match (&self.behavior.every, &self.behavior.percent) {
            (Some((nth, act)), _) if *nth > 0 && self.asked.is_multiple_of(*nth) => act.clone(),
            (_, Some((percent, act))) if self.random.u8(0..100) < *percent => act.clone(),
            _ => self.behavior.act.clone(),
        }
    }
}
