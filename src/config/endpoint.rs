//! What may stand where a provider's endpoint is expected.
//!
//! The faults are described and the text itself is never repeated: a wrong endpoint may hold a
//! password, or be a key that was pasted into the wrong line.

use std::net::Ipv6Addr;

/// What an endpoint is, for messages.
pub(super) const EXPECTED: &str =
    "an absolute http or https URL such as https://api.example.com/v1";

/// Checks `text` and returns it without its trailing slashes, the scheme in lower case.
///
/// # Errors
/// What was found instead of a usable URL.
pub(super) fn normalize(text: &str) -> Result<String, &'static str> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a URL with blanks or other characters that must be escaped");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("a text that does not begin with http:// or https://");
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("a URL that is neither http nor https");
    }
    if rest.contains('#') {
        return Err("a URL with a fragment");
    }
    if rest.contains('?') {
        return Err("a URL with a query");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("a URL with a user or password");
    }
    check_authority(authority)?;
    if path.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err("a URL with blanks or other characters that must be escaped");
    }
    let path = path.trim_end_matches('/');
    Ok(format!("{scheme}://{authority}{path}"))
}

/// Whether `endpoint` ends with a path that the gateway appends itself.
pub(super) fn names_a_resource(endpoint: &str) -> bool {
    [
        "/completions",
        "/embeddings",
        "/responses",
        "/messages",
        "/models",
    ]
    .iter()
    .any(|resource| endpoint.ends_with(resource))
}

/// Checks `host` or `host:port`.
fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (host, port) = match authority.rfind([':', ']']) {
        Some(i) if authority[i..].starts_with(':') => (&authority[..i], Some(&authority[i + 1..])),
        _ => (authority, None),
    };
    if host.is_empty() {
        return Err("a URL without a host");
    }
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let host_is_legal = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.bytes().all(legal),
    };
    if !host_is_legal {
        return Err("a URL whose host is not legal");
    }
    // Digits are asked for since numbers of Rust may begin with a sign.
    let digits = |port: &&str| port.bytes().all(|b| b.is_ascii_digit());
    match port.map(|port| Some(port).filter(digits)?.parse::<u16>().ok()) {
        None | Some(Some(1..)) => Ok(()),
        Some(_) => Err("a URL whose port is not a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_endpoints_lose_only_their_trailing_slashes() {
        for (text, expected) in [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            ("https://api.example.com/v1//", "https://api.example.com/v1"),
            ("HTTP://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080/a%20b/", "http://[::1]:8080/a%20b"),
            (
                "http://my_service.local/~x:y/v1",
                "http://my_service.local/~x:y/v1",
            ),
        ] {
            assert_eq!(normalize(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_wrong_endpoint_is_described_and_not_repeated() {
        for (text, expected) in [
            ("api.example.com/v1", "does not begin with http"),
            ("/v1", "does not begin with http"),
            ("ftp://example.com", "neither http nor https"),
            ("https://", "without a host"),
            ("https:///v1", "without a host"),
            ("https://:80/", "without a host"),
            ("https://api.example.com/v1?key=k", "a query"),
            ("https://api.example.com/v1#k", "a fragment"),
            ("https://me:pw@example.com/", "a user or password"),
            ("https://me:pw/x@example.com/", "port"),
            ("https://exa mple.com", "blanks"),
            ("https://exämple.com", "blanks"),
            ("https://example.com/{x}", "escaped"),
            ("https://exam!ple.com", "host is not legal"),
            ("https://[::1", "host is not legal"),
            ("https://::1/", "host is not legal"),
            ("https://a:+80", "port"),
            ("https://[x]", "host is not legal"),
            ("https://[::1]x", "host is not legal"),
            ("https://a:b:c", "host is not legal"),
            ("https://a:b", "port"),
            ("https://a:", "port"),
            ("https://a:0", "port"),
            ("https://a:65536", "port"),
        ] {
            let found = normalize(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
