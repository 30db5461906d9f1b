//! The keys of `_global`.

use std::collections::HashSet;
use std::time::Duration;

use chrono_tz::Tz;

use super::node::{Fields, Keys, Node, is_remark};
use super::reader::Reader;
use super::wording::{did_you_mean, nearest};
use super::{Alerts, Global, Queue, endpoint, header, shared_state, strategy, zone};
use crate::routing::{self, Strategy};
use crate::secret::Secret;

/// Where these settings stand in the file.
pub(super) const KEY: &str = "_global";

pub(super) const KEYS: Keys = Keys {
    read: &[
        "api_key",
        "admin_key",
        "log_requests",
        "max_body_bytes",
        "max_attempts",
        "deadline",
        "timezone",
        "model_redirects",
        "expose_headers",
        "default_retry",
        "default_timeout",
        "stream_idle_timeout",
        "connect_timeout",
        "api_keys",
        "strategy",
        "queue",
        "state",
        "alerts",
    ],
    unsupported: &[
        "circuit_breaker",
        "cors",
        "cache",
        "response_model",
        "request_log",
    ],
    ..Keys::NONE
};

const QUEUE_KEYS: Keys = Keys {
    read: &["max_wait", "max_waiting"],
    ..Keys::NONE
};

const ALERT_KEYS: Keys = Keys {
    read: &["quota", "webhook"],
    ..Keys::NONE
};

const REDIRECTS: &str = "an object of names, each with the model that it stands for";

/// What a model or a provider takes where it says nothing itself.
pub(super) struct Defaults {
    pub(super) retry: u32,
    pub(super) timeout: Duration,
    /// `None`: as long as the provider's own timeout.
    pub(super) stream_idle_timeout: Option<Duration>,
    pub(super) connect_timeout: Duration,
    pub(super) timezone: Tz,
    pub(super) strategy: Strategy,
}

/// Reads everything but the redirects and the clients, which can be judged only when the models are known.
pub(super) fn read(fields: Option<&Fields<'_>>, reader: &mut Reader<'_>) -> (Global, Defaults) {
    let get = |key| fields.and_then(|fields| fields.get(key));
    let timezone = match get("timezone") {
        Some(node) => zone::read(&node, reader).unwrap_or(Tz::UTC),
        None => zone::of_environment(reader),
    };
    let global = Global {
        api_key: get("api_key").and_then(|node| header::optional_key(node, reader)),
        admin_key: get("admin_key").and_then(|node| header::optional_key(node, reader)),
        log_requests: reader.flag(get("log_requests")).unwrap_or(true),
        max_body_bytes: reader.whole(get("max_body_bytes"), 1).unwrap_or(32 << 20),
        max_attempts: reader.whole(get("max_attempts"), 1),
        deadline: reader
            .seconds(get("deadline"))
            .unwrap_or(Duration::from_secs(300)),
        timezone,
        model_redirects: Vec::new(),
        expose_headers: reader.flag(get("expose_headers")).unwrap_or(true),
        clients: Vec::new(),
        queue: get("queue").and_then(|node| queue(&node, reader)),
        state: shared_state::read(get("state").map(Node::secret), reader),
        alerts: get("alerts")
            .map(Node::secret)
            .and_then(|node| alerts(&node, reader))
            .unwrap_or_default(),
    };
    let defaults = Defaults {
        retry: reader.whole(get("default_retry"), 0).unwrap_or(3),
        timeout: reader
            .seconds(get("default_timeout"))
            .unwrap_or(Duration::from_secs(60)),
        stream_idle_timeout: reader.seconds(get("stream_idle_timeout")),
        connect_timeout: reader
            .seconds(get("connect_timeout"))
            .unwrap_or(Duration::from_secs(10)),
        timezone,
        strategy: strategy::read(get("strategy"), reader).unwrap_or_default(),
    };
    (global, defaults)
}

/// Whether requests wait, and how long.
fn queue(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Queue> {
    let plain = Queue::default();
    if let Some(wait) = node.flag() {
        return wait.then_some(plain);
    }
    let expected = "true, false or an object with `max_wait` and `max_waiting`";
    let fields = reader.fields(node, &QUEUE_KEYS, expected)?;
    Some(Queue {
        max_wait: reader
            .seconds(fields.get("max_wait"))
            .unwrap_or(plain.max_wait),
        max_waiting: reader
            .whole(fields.get("max_waiting"), 1)
            .unwrap_or(plain.max_waiting),
    })
}

/// Who is told of what.
fn alerts(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Alerts> {
    const PERCENTAGES: &str = "an array of percentages such as [80, 95]";
    const URL: &str = "an absolute http or https URL such as https://hooks.example.com/a";
    let fields = reader.fields(node, &ALERT_KEYS, "an object with `quota` and `webhook`")?;
    let plain = Alerts::default();
    let quota = fields.get("quota").map(|node| {
        let mut percentages: Vec<u8> = Vec::new();
        for node in reader.elements(Some(node), PERCENTAGES) {
            let Some(percentage) = reader.whole(Some(node.clone()), 1) else {
                continue;
            };
            if percentage > 100 {
                reader.wrong(&node, "a percentage from 1 to 100");
            } else if percentages.last().is_some_and(|last| *last >= percentage) {
                reader.wrong(&node, "a larger percentage than the one before");
            } else {
                percentages.push(percentage);
            }
        }
        percentages
    });
    // Never shown: such URLs hold what allows to write there, often behind the `?`.
    let webhook = fields.get("webhook").map(Node::secret).and_then(|node| {
        let url = reader.filled_text(&node, URL)?;
        let (address, query) = url.split_once('?').unwrap_or((&url, ""));
        let is_query = query.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        let found = match endpoint::normalize(address) {
            Ok(_) if is_query => return Some(Secret::new(url)),
            Ok(_) => "a URL with a fragment, blanks or other characters that must be escaped",
            Err(found) => found,
        };
        reader.error(&node, format!("found {found}, expected {URL}"));
        None
    });
    Some(Alerts {
        quota: quota.unwrap_or(plain.quota),
        webhook,
    })
}

/// Reads `model_redirects`. `names` are the models, patterns and aliases of the file.
pub(super) fn redirects(
    fields: Option<&Fields<'_>>,
    names: &HashSet<String>,
    reader: &mut Reader<'_>,
) -> Vec<(String, String)> {
    let node: Option<Node<'_>> = fields.and_then(|fields| fields.get("model_redirects"));
    let mut redirects = Vec::new();
    for entry in reader.entries(node, REDIRECTS) {
        if is_remark(entry.key) {
            continue;
        }
        if entry.key.is_empty() {
            reader.key_error(&entry, "found an empty name, expected the name of a model");
        }
        let Some(to) = reader.name(&entry.value, "the name of a model") else {
            continue;
        };
        if entry.key.contains('*') || to.contains('*') {
            reader.key_error(&entry, "found a `*` in a redirect, expected plain names");
            continue;
        }
        let serves = |name: &String| *name == to || routing::capture(name, &to).is_some();
        if !names.iter().any(serves) {
            let hint = did_you_mean(nearest(&to, names.iter().map(String::as_str)));
            reader.warn(
                &entry.value,
                format!("found {}, which is no model", entry.value.shown()),
                hint,
            );
        }
        redirects.push((entry.key.to_owned(), to));
    }
    redirects
}
