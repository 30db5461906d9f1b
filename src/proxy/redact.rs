//! Takes a provider's secrets out of what it says: some quote the key they refuse.

use bytes::Bytes;
use memchr::memmem;

use crate::chat::Failure;
use crate::routing::Provider;

/// What is shorter than this is no secret, and may well be a part of other words.
const SHORTEST: usize = 6;

const INSTEAD: &str = "***";

/// How a message ends that was cut.
const CUT: &str = "...";

/// Cleans a failure: its message, and the provider's answer where that is kept.
pub(super) fn failure(failure: &mut Failure, provider: &Provider) {
    for secret in secrets(provider) {
        if failure.message.contains(secret) {
            failure.message = failure.message.replace(secret, INSTEAD);
        }
        cut_off(&mut failure.message, secret);
        if let Some(label) = &mut failure.label
            && label.contains(secret)
        {
            *label = label.replace(secret, INSTEAD).into();
        }
    }
    if let Some(said) = &mut failure.verbatim
        && let Some(body) = &mut said.body
    {
        bytes(body, provider);
    }
}

/// Long messages are cut before they come here, perhaps within a secret.
fn cut_off(message: &mut String, secret: &str) {
    let Some(text) = message.strip_suffix(CUT) else {
        return;
    };
    let begun = (SHORTEST..secret.len())
        .rev()
        .filter_map(|length| secret.get(..length))
        .find(|begun| text.ends_with(begun));
    if let Some(begun) = begun {
        let clean = text.len() - begun.len();
        message.replace_range(clean.., INSTEAD);
    }
}

/// Cleans what is about to be handed on.
pub(super) fn bytes(said: &mut Bytes, provider: &Provider) {
    for secret in secrets(provider) {
        replace(said, secret);
        // As PHP writes it in JSON.
        if secret.contains('/') {
            replace(said, &secret.replace('/', "\\/"));
        }
    }
}

fn replace(said: &mut Bytes, secret: &str) {
    if memmem::find(said, secret.as_bytes()).is_some() {
        let text = String::from_utf8_lossy(said);
        *said = text.replace(secret, INSTEAD).into();
    }
}

fn secrets(provider: &Provider) -> impl Iterator<Item = &str> {
    let headers = provider.custom_headers.iter();
    std::iter::once(provider.api_key.expose())
        .chain(headers.map(|(_, value)| value.expose()))
        .flat_map(|text| [Some(text), key_of(text)])
        .flatten()
        .filter(|secret| secret.len() >= SHORTEST)
}

/// The key in the value of a header that says what kind of key it is: `Bearer sk-…`.
fn key_of(text: &str) -> Option<&str> {
    let (scheme, key) = text.split_once(' ')?;
    let known = ["bearer", "basic", "token", "key", "apikey", "api-key"];
    let is_known = known.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| key.trim())
}

#[cfg(test)]
mod tests {
    use super::{cut_off, key_of};

    #[test]
    fn a_secret_that_was_cut_is_taken_out_too() {
        for (said, clean) in [
            ("wrong key sk-secre...", "wrong key ***"),
            ("wrong key sk-se...", "wrong key sk-se..."),
            ("wrong key...", "wrong key..."),
            ("sk-secre", "sk-secre"),
        ] {
            let mut message = said.to_owned();
            cut_off(&mut message, "sk-secret-of-a");
            assert_eq!(message, clean);
        }
    }

    #[test]
    fn a_header_may_hold_a_key_behind_its_kind() {
        assert_eq!(key_of("Bearer sk-1"), Some("sk-1"));
        assert_eq!(key_of("token abc"), Some("abc"));
        assert_eq!(key_of("My gateway"), None);
    }
}
