//! The keys of `_global`.

use std::collections::HashSet;
use std::time::Duration;

use chrono_tz::Tz;

use super::node::{Fields, Keys, Node, is_remark};
use super::reader::Reader;
use super::wording::{did_you_mean, nearest};
use super::{Alerts, Global, header, zone};
use crate::routing;

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
    ],
    unsupported: &[
        "strategy",
        "circuit_breaker",
        "cors",
        "queue",
        "cache",
        "alerts",
        "response_model",
        "state",
        "request_log",
    ],
    ..Keys::NONE
};

const REDIRECTS: &str = "an object of names, each with the model that it stands for";

/// What a provider takes where it says nothing itself.
pub(super) struct Defaults {
    pub(super) retry: u32,
    pub(super) timeout: Duration,
    /// `None`: as long as the provider's own timeout.
    pub(super) stream_idle_timeout: Option<Duration>,
    pub(super) connect_timeout: Duration,
    pub(super) timezone: Tz,
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
        queue: None,
        state: None,
        alerts: Alerts::default(),
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
    };
    (global, defaults)
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
