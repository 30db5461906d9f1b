//! The one line that a request leaves in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chat::Usage;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full.
    Answered,
    /// Refused or failed before anything was sent.
    Failed,
    /// Broke after a part of the answer was sent.
    Cut,
    /// The client hung up.
    Left,
}

/// What is known of one request. Logged when it is finished, or, as [`Outcome::Left`], when it is
/// dropped unfinished.
#[derive(Debug)]
pub struct Record {
    /// The id that the client sees.
    pub id: Arc<str>,
    /// The path it asked.
    pub path: &'static str,
    /// Who asked, if with a key of its own.
    pub client: Option<Arc<str>>,
    /// The model it asked for; empty when the request could not be read.
    pub model: String,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// The provider tried last.
    pub provider: Option<Arc<str>>,
    /// How often providers were asked.
    pub attempts: u32,
    /// What the answer cost.
    pub usage: Option<Usage>,
    /// When the first byte of a stream was released, since the start.
    pub first_byte: Option<Duration>,
    /// The HTTP status sent, 499 for a client that hung up first, as nginx has it.
    pub status: u16,
    /// What went wrong, in words.
    pub error: Option<String>,
    started: Instant,
    logged: bool,
}

impl Record {
    /// Begins a record; `logged` says whether it leaves a line at all.
    pub fn begin(id: Arc<str>, path: &'static str, logged: bool) -> Record {
        Record {
            id,
            path,
            client: None,
            model: String::new(),
            stream: false,
            provider: None,
            attempts: 0,
            usage: None,
            first_byte: None,
            status: 499,
            error: None,
            started: Instant::now(),
            logged,
        }
    }

    /// When the request arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Ends the record and writes its line.
    pub fn finish(mut self, outcome: Outcome) {
        self.write(outcome);
    }

    fn write(&mut self, outcome: Outcome) {
        if !std::mem::take(&mut self.logged) {
            return;
        }
        let said = match outcome {
            Outcome::Answered => "Request answered",
            Outcome::Failed => "Request failed",
            Outcome::Cut => "Answer broke off",
            Outcome::Left => "Client left",
        };
        let level = match outcome {
            Outcome::Cut => log::Level::Warn,
            Outcome::Failed if self.status >= 500 => log::Level::Error,
            _ => log::Level::Info,
        };
        let usage = self.usage.unwrap_or_default();
        let millis = |time: Duration| time.as_micros() as u64 as f64 / 1000.0;
        // What most requests have in common is left out: a log is read by people, and written by each.
        let when = |is_so: bool| is_so.then_some(true);
        log::log!(
            level,
            request_id = &*self.id,
            path = self.path,
            client = self.client.as_deref(),
            model = self.model.as_str(),
            provider = self.provider.as_deref().unwrap_or_default(),
            status = self.status,
            attempts = self.attempts,
            stream = when(self.stream),
            input_tokens = usage.input,
            output_tokens = usage.output,
            total_tokens = usage.total,
            estimated = when(usage.estimated),
            first_byte_ms = self.first_byte.map(millis),
            duration_ms = millis(self.started.elapsed()),
            error = self.error.as_deref();
            "{said}"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write(Outcome::Left);
    }
}
