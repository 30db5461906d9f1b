//! Signatures of other vendors within `encrypted_content`, the only place where clients keep something for us.
//!
//! Other vendors sign more than thoughts. What a signature belongs to is written before it, so that it finds
//! its place when the client sends it back. A colon ends each mark: none is in base64.

use crate::chat::{Signed, Vendor};
use crate::protocol::signature;

const REDACTED: &str = "redacted:";
const CALL: &str = "call:";

/// What `encrypted_content` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    /// The proof of the thoughts beside it.
    Thought(Signed),
    /// Thoughts that nobody can read but their maker.
    Redacted(Signed),
    /// The proof of the call with this id (Gemini).
    Call(String, Signed),
}

/// Writes it.
pub(super) fn close(sealed: &Sealed) -> String {
    let marked = |mark: String, signed: &Signed| Signed {
        origin: signed.origin,
        blob: mark + &signed.blob,
    };
    let signed = match sealed {
        Sealed::Thought(signed) => signed,
        // OpenAI's own reasoning is always encrypted.
        Sealed::Redacted(signed) if signed.origin == Vendor::OpenAi => signed,
        Sealed::Redacted(signed) => &marked(REDACTED.to_owned(), signed),
        Sealed::Call(id, signed) => &marked(format!("{CALL}{id}:"), signed),
    };
    signature::wrap(signed, Vendor::OpenAi)
}

/// Reads it.
pub(super) fn open(text: &str) -> Sealed {
    let signed = signature::unwrap(text, Vendor::OpenAi);
    let origin = signed.origin;
    if origin == Vendor::OpenAi {
        return Sealed::Thought(signed);
    }
    let of = |blob: &str| Signed {
        origin,
        blob: blob.to_owned(),
    };
    if let Some(blob) = signed.blob.strip_prefix(REDACTED) {
        return Sealed::Redacted(of(blob));
    }
    // An id may hold colons, the signature does not.
    let call = signed.blob.strip_prefix(CALL);
    match call.and_then(|rest| rest.rsplit_once(':')) {
        Some((id, blob)) => Sealed::Call(id.to_owned(), of(blob)),
        None => Sealed::Thought(signed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back_as_what_it_was() {
        let signed = |origin| Signed {
            origin,
            blob: "EqQB+/=".to_owned(),
        };
        for sealed in [
            Sealed::Thought(signed(Vendor::OpenAi)),
            Sealed::Thought(signed(Vendor::Anthropic)),
            Sealed::Thought(signed(Vendor::Google)),
            Sealed::Redacted(signed(Vendor::Anthropic)),
            Sealed::Call("call:1".to_owned(), signed(Vendor::Google)),
            Sealed::Call(String::new(), signed(Vendor::Google)),
        ] {
            assert_eq!(open(&close(&sealed)), sealed);
        }
    }

    #[test]
    fn openai_s_own_is_not_touched() {
        assert_eq!(
            open("call:gAAAA"),
            Sealed::Thought(Signed {
                origin: Vendor::OpenAi,
                blob: "call:gAAAA".to_owned()
            })
        );
    }
}
