//! Proofs of thinking, as `thoughtSignature` has them: base64, whoever made them.
//!
//! The field is bytes to Google's SDKs: they decode it and send it back in the alphabet for URLs. So what a client
//! sends is brought to the standard alphabet, and other vendors' proofs travel as base64 of their marked form.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::chat::{Signed, Vendor};
use crate::protocol::signature;

/// What stands for a signature that got lost. It proves nothing, so it is not kept.
pub(super) const DUMMY: &str = "skip_thought_signature_validator";

/// What unreadable thoughts of another vendor are marked with, behind the vendor's own mark.
const REDACTED: &str = "redacted:";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a client's `thoughtSignature` is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Proof {
    /// The signature of thinking, or of a call.
    Signature(Signed),
    /// Unreadable thoughts.
    Redacted(Signed),
}

/// What a client sends back; `None` if it proves nothing.
pub(super) fn of_client(text: &str) -> Option<Proof> {
    if text.is_empty() || text == DUMMY {
        return None;
    }
    let standard = standard(text);
    let Ok(bytes) = LENIENT.decode(&standard) else {
        return Some(Proof::Signature(google(text.to_owned())));
    };
    let Ok(inside) = String::from_utf8(bytes) else {
        return Some(Proof::Signature(google(standard)));
    };
    if inside == DUMMY {
        return None;
    }
    let signed = signature::unwrap(&inside, Vendor::Google);
    if signed.origin == Vendor::Google {
        return Some(Proof::Signature(google(standard)));
    }
    Some(match signed.blob.strip_prefix(REDACTED) {
        Some(blob) => Proof::Redacted(Signed {
            origin: signed.origin,
            blob: blob.to_owned(),
        }),
        None => Proof::Signature(signed),
    })
}

/// A signature for a client.
pub(super) fn for_client(signed: &Signed) -> String {
    if signed.origin == Vendor::Google {
        signed.blob.clone()
    } else {
        STANDARD.encode(signature::wrap(signed, Vendor::Google))
    }
}

/// Unreadable thoughts for a client.
pub(super) fn redacted_for_client(signed: &Signed) -> String {
    for_client(&Signed {
        origin: signed.origin,
        blob: format!("{REDACTED}{}", signed.blob),
    })
}

/// A signature that Google made.
pub(super) fn google(blob: String) -> Signed {
    Signed {
        origin: Vendor::Google,
        blob,
    }
}

/// Base64 in the standard alphabet, padded. Nothing is decoded: it may be an image of megabytes.
pub(super) fn standard(text: &str) -> String {
    let mut standard = text
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    standard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_for_urls_is_the_same_signature() {
        for (sent, expected) in [
            ("+/8=", "+/8="),
            ("-_8", "+/8="),
            ("-_8=", "+/8="),
            ("no base64!", "no base64!"),
        ] {
            let expected = Proof::Signature(google(expected.to_owned()));
            assert_eq!(of_client(sent), Some(expected), "{sent}");
        }
    }

    #[test]
    fn a_placeholder_is_no_signature() {
        for text in ["", DUMMY, &STANDARD.encode(DUMMY)] {
            assert_eq!(of_client(text), None, "{text}");
        }
    }

    #[test]
    fn proofs_of_other_vendors_travel_marked() {
        let signed = Signed {
            origin: Vendor::Anthropic,
            blob: "EqQB+/=?".to_owned(),
        };
        let sent = for_client(&signed);
        assert_eq!(STANDARD.decode(&sent).unwrap(), b"an:EqQB+/=?");
        let for_urls = sent.replace('+', "-").replace('/', "_");
        let expected = Proof::Signature(signed.clone());
        assert_eq!(of_client(for_urls.trim_end_matches('=')), Some(expected));
        let sent = redacted_for_client(&signed);
        assert_eq!(of_client(&sent), Some(Proof::Redacted(signed)));
    }
}
