//! Signatures on their way through our clients, who keep them in thinking blocks and nowhere else.
//!
//! Other vendors sign more than thoughts. What a signature belongs to is written before it, so that it finds its
//! place when the client sends it back. A colon ends each mark: none is in base64.

use serde_json::{Value, json};

use crate::chat::{Part, Signed, Vendor};
use crate::protocol::signature;

const REDACTED: &str = "redacted:";
const CALL: &str = "call:";

/// What a thinking block of a client is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    /// What it looks like.
    Part(Part),
    /// The proof of the call with this id (Gemini).
    OfCall(String, Signed),
}

/// A signature of thoughts, as a client gets it.
pub(super) fn of_thoughts(signed: &Signed) -> String {
    signature::wrap(signed, Vendor::Anthropic)
}

/// Thoughts that only their maker can read, as a client gets them. Those of another vendor cannot be shown as
/// what they are, for the client's own vendor would take them for its own.
pub(super) fn redacted(signed: &Signed) -> Value {
    if signed.origin == Vendor::Anthropic {
        return json!({"type": "redacted_thinking", "data": signed.blob});
    }
    carrier(REDACTED, signed)
}

/// The proof of a call, as a client gets it; `None` for what Anthropic itself has no place for.
pub(super) fn of_call(id: &str, signed: &Signed) -> Option<Value> {
    (signed.origin != Vendor::Anthropic).then(|| carrier(&format!("{CALL}{id}:"), signed))
}

/// What a client sends back.
pub(super) fn kept(thinking: String, text: &str) -> Kept {
    let signed = signature::unwrap(text, Vendor::Anthropic);
    let of = |blob: &str| Signed {
        origin: signed.origin,
        blob: blob.to_owned(),
    };
    if signed.origin != Vendor::Anthropic && thinking.is_empty() {
        if let Some(blob) = signed.blob.strip_prefix(REDACTED) {
            return Kept::Part(Part::Redacted(of(blob)));
        }
        // An id may hold colons, the signature does not.
        let call = signed.blob.strip_prefix(CALL);
        if let Some((id, blob)) = call.and_then(|rest| rest.rsplit_once(':')) {
            return Kept::OfCall(id.to_owned(), of(blob));
        }
    }
    Kept::Part(Part::Thinking {
        text: thinking,
        signature: Some(signed).filter(|signed| !signed.blob.is_empty()),
    })
}

/// A thinking block without thoughts that carries a signature.
fn carrier(mark: &str, signed: &Signed) -> Value {
    let marked = Signed {
        origin: signed.origin,
        blob: format!("{mark}{}", signed.blob),
    };
    json!({
        "type": "thinking",
        "thinking": "",
        "signature": signature::wrap(&marked, Vendor::Anthropic),
    })
}
