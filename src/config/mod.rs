//! The configuration file: read, judged and watched.
//!
//! A file becomes a [`Config`] whose values are complete and legal, or is [`Rejected`] with all its
//! mistakes at once. Nobody else knows the file's syntax, its keys or its defaults, and nothing
//! here knows what is done with the values.
//!
//! From text to meaning: `syntax` parses, `reader` reads single values and gathers problems,
//! `file`, `global`, `clients`, `model`, `provider`, `group` and `limits` know the keys, `authorities` the
//! one file that a configuration may name. [`Source`] is a file on disk,
//! [`Watcher`] notices when it changes.

mod authorities;
mod choice;
mod clients;
mod dialect;
mod endpoint;
mod expand;
mod file;
mod global;
mod group;
mod header;
mod keys;
mod limits;
mod model;
mod node;
mod number;
mod problem;
mod provider;
mod reader;
mod shared_state;
mod source;
mod strategy;
mod syntax;
mod watch;
mod wording;
mod zone;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use chrono_tz::Tz;

use crate::clock::UnixMillis;
use crate::quota::Limits;
use crate::routing::{Provider, Strategy};
use crate::secret::{KeyDigest, Secret};

pub use problem::{Problem, Rejected};
pub use source::{News, Source};
pub use watch::Watcher;
pub use zone::zone_of;

/// What a file means once all is known. It never changes; a changed file makes another.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What concerns all models.
    pub global: Global,
    /// In the order of the file.
    pub models: Vec<Model>,
    /// What is probably not meant but does no harm.
    pub warnings: Vec<Problem>,
}

/// What concerns all models: the file's `_global`.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// The key that clients must present; `None` when anyone may call.
    pub api_key: Option<Secret>,
    /// The key for the admin routes, when it is another.
    pub admin_key: Option<Secret>,
    /// Whether each request leaves a line in the log.
    pub log_requests: bool,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Most attempts for one request, over all its candidates.
    pub max_attempts: Option<u32>,
    /// Bound on the time until a request is committed.
    pub deadline: Duration,
    /// Where a day begins and ends, unless a rate limit names its own zone.
    pub timezone: Tz,
    /// Model names that stand for others: (what the client asks for, what it gets).
    pub model_redirects: Vec<(String, String)>,
    /// Whether answers carry the `x-gateway-*` headers.
    pub expose_headers: bool,
    /// Those who may call with keys of their own.
    pub clients: Vec<Client>,
    /// Whether requests wait for room, and how long.
    pub queue: Option<Queue>,
    /// Where counters are kept that several gateways share.
    pub state: Option<SharedState>,
    /// Who is told of what.
    pub alerts: Alerts,
}

/// Somebody who may call: one of `_global.api_keys`.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Unique. Its counts are kept under it, and logs show it.
    pub name: String,
    /// The digest of its key.
    pub key: KeyDigest,
    /// The models it may use: names, or patterns with one `*`. Empty: all of them.
    pub models: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// From when on it may no longer call.
    pub expires_at: Option<UnixMillis>,
    /// Whether it may call at all.
    pub enabled: bool,
}

/// How requests wait for room: `_global.queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Longest wait of one request.
    pub max_wait: Duration,
    /// Most requests that wait for one model at once.
    pub max_waiting: usize,
}

/// Where several gateways keep their counters together: `_global.state`.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedState {
    /// The URL of the Redis or Valkey server. May hold a password.
    pub url: Secret,
    /// What is done while it is away.
    pub on_error: OnError,
    /// What all keys in it begin with.
    pub prefix: String,
    /// What a gateway holds comes back when it was not heard of for this long.
    pub lease: Duration,
}

/// What is done while the shared state is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Serve with a small share that was set aside before.
    #[default]
    Local,
    /// Refuse whatever has a limit.
    Refuse,
}

/// Who is told of what: `_global.alerts`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alerts {
    /// Percentages of a limit at which somebody is told, in ascending order.
    pub quota: Vec<u8>,
    /// The URL that alerts are sent to, beside the log. May hold a secret.
    pub webhook: Option<Secret>,
}

impl Default for Queue {
    fn default() -> Queue {
        Queue {
            max_wait: Duration::from_secs(10),
            max_waiting: 100,
        }
    }
}

impl Default for Alerts {
    fn default() -> Alerts {
        Alerts {
            quota: vec![80, 95],
            webhook: None,
        }
    }
}

/// One model name and who serves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What clients ask for. May hold one `*`, which stands for any text.
    pub name: String,
    /// Further names for it; none holds a `*`.
    pub aliases: Vec<String>,
    /// Whether it is left out of the list of models.
    pub hidden: bool,
    /// How the providers of one priority are put in order.
    pub strategy: Strategy,
    /// In the order of the file, those that are switched off included.
    pub providers: Vec<Provider>,
}

/// What a file may refer to.
pub struct Outside<'e> {
    /// Looks up an environment variable.
    pub env: &'e dyn Fn(&str) -> Option<String>,
    /// Reads another file.
    pub file: &'e dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// When it is read.
    pub now: UnixMillis,
}

/// Reads the text of a configuration file.
///
/// `file` is its name for messages, and relative paths in it start from its folder. `strict` makes
/// unknown keys an error.
///
/// # Errors
/// All mistakes in the text.
pub fn parse(
    text: &str,
    file: &str,
    strict: bool,
    outside: &Outside<'_>,
) -> Result<Config, Rejected> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut reader = reader::Reader::new(strict, outside);
    let contents = file::read(text, folder, &mut reader);
    let (problems, warnings) = reader.finish(file, text);
    match contents {
        Some((global, models)) if problems.is_empty() => Ok(Config {
            global,
            models,
            warnings,
        }),
        _ => Err(Rejected { problems }),
    }
}
