//! `_global.state`: where several gateways keep their counters together.

use std::time::Duration;

use super::choice::one_of;
use super::node::{Keys, Node};
use super::reader::Reader;
use super::{OnError, SharedState};
use crate::quota::shared;
use crate::secret::Secret;

const KEYS: Keys = Keys {
    read: &["backend", "url", "on_error", "prefix", "lease"],
    ..Keys::NONE
};

const EXPECTED: &str = "an object with `backend` and `url`";
const EXPECTED_BACKEND: &str = "\"redis\", \"valkey\" or \"file\"";
const EXPECTED_URL: &str = "a URL such as redis://host:6379 or rediss://user:password@host:6379/0";

/// The environment variable that holds the URL where the file does not.
const VARIABLE: &str = "REDIS_URL";

/// Followed by the path of a socket instead of a host.
const SOCKETS: [&str; 2] = ["unix", "redis+unix"];

/// Reads what is shared, if anything is.
pub(super) fn read(node: Option<Node<'_>>, reader: &mut Reader<'_>) -> Option<SharedState> {
    let Some(node) = node else {
        return of_environment(reader).map(SharedState::at);
    };
    let fields = reader.fields(&node, &KEYS, EXPECTED)?;
    let backend = reader.required(&fields, "backend", EXPECTED_BACKEND);
    let backends = [("redis", true), ("valkey", true), ("file", false)];
    let is_shared = one_of(backend, &backends, reader);

    let url = fields.get("url").map(Node::secret);
    let url = match url {
        Some(node) => reader
            .filled_text(&node, EXPECTED_URL)
            .and_then(|text| match check(&text) {
                Ok(()) => Some(Secret::new(text)),
                Err(found) => {
                    reader.error(&node, format!("found {found}, expected {EXPECTED_URL}"));
                    None
                }
            }),
        None if is_shared == Some(true) => {
            let url = of_environment(reader);
            if url.is_none() && !reader.has(VARIABLE) {
                let expected =
                    format!("{EXPECTED_URL}, or one in the environment variable {VARIABLE}");
                reader.required(&fields, "url", &expected);
            }
            url
        }
        None => None,
    };
    let plain = SharedState::at(url.unwrap_or_else(|| Secret::new("")));
    let on_error = [("local", OnError::Local), ("refuse", OnError::Refuse)];
    let prefix = fields.get("prefix");
    let lease = fields.get("lease");
    let state = SharedState {
        on_error: one_of(fields.get("on_error"), &on_error, reader).unwrap_or_default(),
        prefix: prefix
            .and_then(|node| reader.name(&node, "a text that all keys in it begin with"))
            .unwrap_or(plain.prefix),
        lease: lease
            .and_then(|node| {
                let lease = reader.seconds(Some(node.clone()))?;
                if lease < Duration::from_secs(1) {
                    reader.wrong(&node, "1 second or more");
                }
                Some(lease)
            })
            .unwrap_or(plain.lease),
        url: plain.url,
    };
    (is_shared == Some(true)).then_some(state)
}

/// The URL that the environment holds.
fn of_environment(reader: &mut Reader<'_>) -> Option<Secret> {
    if !reader.has(VARIABLE) {
        return None;
    }
    let text = reader.variable(VARIABLE)?;
    if let Err(found) = check(&text) {
        let found = format!("found {found} in the environment variable {VARIABLE}");
        reader.error_at(None, "", format!("{found}, expected {EXPECTED_URL}"), None);
        return None;
    }
    Some(Secret::new(text))
}

/// Says what is wrong with a URL, without repeating it: it may hold a password.
fn check(text: &str) -> Result<(), &'static str> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("a text that does not begin with redis:// or rediss://");
    };
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a URL with blanks or other characters that must be escaped");
    }
    let scheme = scheme.to_ascii_lowercase();
    if SOCKETS.contains(&scheme.as_str()) {
        return match rest.starts_with('/') {
            true => Ok(()),
            false => Err("a URL of a socket without its absolute path"),
        };
    }
    if scheme != "redis" && scheme != "rediss" {
        return Err("a URL that is neither redis nor rediss");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("a URL without a host");
    }
    match shared::is_url(text) {
        true => Ok(()),
        false => Err("a URL with a wrong port or number of a database"),
    }
}

impl SharedState {
    /// A server at `url`, and everything else as it is when nothing is said.
    fn at(url: Secret) -> SharedState {
        SharedState {
            url,
            on_error: OnError::default(),
            prefix: "api-gateway".to_owned(),
            lease: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_wrong_url_is_described_and_not_repeated() {
        for url in [
            "redis://localhost",
            "REDISS://user:p%40ss@host:6380/2",
            "redis://[::1]:6379",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=1",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for (url, expected) in [
            ("localhost:6379", "does not begin"),
            ("http://localhost", "neither"),
            ("redis://", "host"),
            ("redis://:6379", "host"),
            ("redis://user:pass@", "host"),
            ("redis://a b", "blanks"),
            ("unix://redis.sock", "absolute"),
            ("redis://host:99999", "port"),
            ("redis://host/abc", "database"),
        ] {
            let found = check(url).unwrap_err();
            assert!(found.contains(expected), "{url}: {found}");
        }
    }
}
