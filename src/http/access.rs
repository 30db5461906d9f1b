//! Who may come in: one function for every protocol and every route.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};

use crate::chat::{Failure, FailureKind, Side};
use crate::clock;
use crate::secret::KeyDigest;
use crate::state::{Caller, Snapshot};

/// What a browser says of the page that makes a request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may use a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody: it tells nothing that matters.
    Open,
    /// Whoever has the client key; when none is set, everybody but pages of foreign sites.
    Client,
    /// Whoever has the admin key, else the client key; when none is set, only pages of this machine.
    Admin,
}

/// How the process came to listen where it does.
#[derive(Clone, Debug)]
pub struct Door {
    /// The address or name that is listened on.
    pub host: String,
    /// Whether somebody named it, and did not leave it to be decided by whether there is a key.
    pub chosen: bool,
}

/// Lets a request in or says why not. Looks at the head alone, so that nobody's body is read in vain.
pub(super) fn admit(
    access: Access,
    request: &HttpRequest,
    snapshot: &Snapshot,
    door: &Door,
) -> Result<Option<Arc<Caller>>, Failure> {
    let headers = request.headers();
    let key = match access {
        Access::Open => return Ok(None),
        Access::Client => &snapshot.client_key,
        Access::Admin => &snapshot.admin_key,
    };
    if snapshot.is_keyed() || key.is_some() {
        let in_query = in_query(request.path(), request.query_string());
        let presented = presented(headers, in_query).unwrap_or_default();
        if access == Access::Admin && key.is_none() {
            return Err(closed());
        }
        return check(key.as_ref(), presented, |presented| match access {
            Access::Client => snapshot.callers.find(presented, clock::now()).cloned(),
            Access::Open | Access::Admin => None,
        });
    }
    check_peer(request.peer_addr(), door)?;
    match access {
        Access::Admin => check_origin(headers, &door.host)?,
        _ => check_site(headers, &door.host)?,
    }
    Ok(None)
}

/// Whose key was presented: `None` for the one that all may share. Missing, wrong, empty, differently cased,
/// expired: one and the same answer.
fn check<C>(
    key: Option<&KeyDigest>,
    presented: &str,
    find: impl FnOnce(&KeyDigest) -> Option<C>,
) -> Result<Option<C>, Failure> {
    let presented = KeyDigest::of(presented);
    if key.is_some_and(|key| *key == presented) {
        return Ok(None);
    }
    if let Some(caller) = find(&presented) {
        return Ok(Some(caller));
    }
    let message = "missing or wrong API key; send it as `Authorization: Bearer <key>`";
    Err(Failure::new(
        FailureKind::Unauthenticated,
        Side::Client,
        message,
    ))
}

/// Whoever has a key of its own must not be an operator by that.
fn closed() -> Failure {
    let message = "/admin is closed: `_global.api_keys` is set, and neither admin_key nor api_key";
    Failure::new(FailureKind::Forbidden, Side::Client, message)
}

/// The key that a client sent, in whichever header its dialect has for it; the first present wins.
fn presented<'a>(headers: &'a HeaderMap, in_query: Option<&'a str>) -> Option<&'a str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(key);
    }
    let header = ["x-api-key", "x-goog-api-key"]
        .iter()
        .find_map(|name| headers.get(*name));
    match header {
        Some(value) => value.to_str().ok(),
        None => in_query,
    }
}

/// The key in a URL, which only Google's clients put there: elsewhere it would end up in somebody's log.
fn in_query<'a>(path: &str, query: &'a str) -> Option<&'a str> {
    let is_googles = path.starts_with("/v1beta/") || path.starts_with("/v1/models");
    let mut pairs = query.split('&').filter(|_| is_googles);
    pairs.find_map(|pair| pair.strip_prefix("key="))
}

/// Without a key and a word on where to listen, only this machine may call. A listener that was opened to
/// others because there was a key stays open when a reload takes the key away.
fn check_peer(peer: Option<SocketAddr>, door: &Door) -> Result<(), Failure> {
    let is_ours = |peer: SocketAddr| peer.ip().to_canonical().is_loopback();
    if door.chosen || peer.is_some_and(is_ours) {
        return Ok(());
    }
    let message = "only this machine may use the gateway while neither an api_key nor HOST is set";
    Err(Failure::new(FailureKind::Forbidden, Side::Client, message))
}

/// Without a key, a page must not spend its visitor's quota. That it may not read the answer does not
/// keep its browser from sending the request. By the browser's word where it gives one: behind a proxy
/// that has put in another `Host`, one's own pages would look foreign by `Origin`. It gives none to hosts
/// that it does not trust, such as another machine by plain http. Programs send neither header.
fn check_site(headers: &HeaderMap, own_host: &str) -> Result<(), Failure> {
    let is_let_in = match headers.get(FETCH_SITE) {
        Some(site) => site != "cross-site",
        None => !headers.contains_key(ORIGIN) || is_own_page(headers, own_host),
    };
    if is_let_in {
        return Ok(());
    }
    let message = "pages of other sites may not use the gateway while no api_key is set";
    Err(Failure::new(FailureKind::Forbidden, Side::Client, message))
}

/// Without a key, a page that the operator visits must not be able to drive the gateway: neither by
/// calling it across origins, nor by a name of its own that it lets resolve to this machine.
fn check_origin(headers: &HeaderMap, own_host: &str) -> Result<(), Failure> {
    if is_own_page(headers, own_host) {
        return Ok(());
    }
    let message = "this address may not use /admin while no admin_key is set";
    Err(Failure::new(FailureKind::Forbidden, Side::Client, message))
}

/// Whether a request can come from no page but one of ours.
fn is_own_page(headers: &HeaderMap, own_host: &str) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let host = text(HOST).unwrap_or_default();
    let same_origin = text(ORIGIN).is_none_or(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host))
    });
    same_origin && is_local_name(host, own_host)
}

/// Whether a `Host` cannot be a foreign page's: an address, a name of this machine, or the configured one.
fn is_local_name(host: &str, own_host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.eq_ignore_ascii_case(own_host)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Door, check, check_origin, check_peer, check_site, in_query, presented};
    use crate::secret::KeyDigest;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn the_key_is_taken_from_any_dialects_header() {
        let key = KeyDigest::of("sk-1");
        let opens = |headers: &HeaderMap, in_query: Option<&str>| {
            let presented = presented(headers, in_query).unwrap_or_default();
            check(Some(&key), presented, |_| None::<()>).is_ok()
        };
        for (name, value, let_in) in [
            ("authorization", "Bearer sk-1", true),
            ("authorization", "bearer sk-1", true),
            ("x-api-key", "sk-1", true),
            ("x-goog-api-key", "sk-1", true),
            ("authorization", "sk-1", false),
            ("authorization", "Basic sk-1", false),
            ("authorization", "Bearer  sk-1", false),
            ("authorization", "Bearer SK-1", false),
            ("authorization", "Bearer ", false),
            ("x-api-key", "", false),
        ] {
            let found = opens(&headers(&[(name, value)]), None);
            assert_eq!(found, let_in, "{name}: {value}");
        }
        assert!(!opens(&headers(&[]), None));
        for (path, query, let_in) in [
            ("/v1beta/models/m:generateContent", "alt=sse&key=sk-1", true),
            ("/v1/models", "key=sk-1", true),
            ("/v1/models", "key=sk-2", false),
            ("/v1/chat/completions", "key=sk-1", false),
        ] {
            let found = opens(&headers(&[]), in_query(path, query));
            assert_eq!(found, let_in, "{path}?{query}");
        }
    }

    #[test]
    fn without_a_key_only_pages_of_this_machine_may_administer() {
        for (pairs, let_in) in [
            (&[("host", "localhost:6010")][..], true),
            (&[("host", "127.0.0.1:6010")], true),
            (&[("host", "[::1]:6010")], true),
            (&[("host", "192.168.1.5:6010")], true),
            (&[("host", "gateway.internal:6010")], true),
            (
                &[
                    ("host", "localhost:6010"),
                    ("origin", "http://localhost:6010"),
                ],
                true,
            ),
            (
                &[
                    ("host", "localhost:6010"),
                    ("origin", "http://localhost:3000"),
                ],
                false,
            ),
            (
                &[
                    ("host", "localhost:6010"),
                    ("origin", "https://evil.example"),
                ],
                false,
            ),
            (&[("host", "localhost:6010"), ("origin", "null")], false),
            (&[("host", "evil.example:6010")], false),
            (&[("host", "localhost.evil.example")], false),
            (&[], false),
        ] {
            let found = check_origin(&headers(pairs), "gateway.internal").is_ok();
            assert_eq!(found, let_in, "{pairs:?}");
        }
    }

    #[test]
    fn without_a_key_only_pages_of_this_machine_may_spend() {
        let own = ("host", "localhost:6010");
        let foreign = ("origin", "https://evil.example");
        for (pairs, let_in) in [
            (&[][..], true),
            (&[("host", "gateway.example")], true),
            (&[own, ("origin", "http://localhost:6010")], true),
            (&[own, foreign], false),
            (&[own, ("origin", "null")], false),
            // A name that its owner lets resolve to this machine.
            (
                &[("host", "evil.example"), ("origin", "http://evil.example")],
                false,
            ),
            (
                &[
                    ("host", "gateway.internal"),
                    ("origin", "http://gateway.internal"),
                ],
                true,
            ),
            // Where a browser says of which site a page is, that counts.
            (&[own, foreign, ("sec-fetch-site", "cross-site")], false),
            (&[own, foreign, ("sec-fetch-site", "same-origin")], true),
        ] {
            let found = check_site(&headers(pairs), "gateway.internal").is_ok();
            assert_eq!(found, let_in, "{pairs:?}");
        }
    }

    #[test]
    fn without_a_key_others_may_come_only_where_that_was_said() {
        for (peer, chosen, let_in) in [
            ("127.0.0.1:1", false, true),
            ("127.1.2.3:1", false, true),
            ("[::1]:1", false, true),
            ("[::ffff:127.0.0.1]:1", false, true),
            ("192.168.1.5:1", false, false),
            ("[2001:db8::1]:1", false, false),
            ("192.168.1.5:1", true, true),
        ] {
            let host = "0.0.0.0".to_owned();
            let found = check_peer(peer.parse().ok(), &Door { host, chosen });
            assert_eq!(found.is_ok(), let_in, "{peer}");
        }
    }
}
