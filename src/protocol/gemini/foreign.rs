//! What other vendors signed, taken out of a request that reaches Google as it came: a conversation may have begun with
//! another model, and a signature that is not Google's own ends it with a 400.

use memchr::memmem;
use serde_json::Value;

use super::sign::{Proof, of_client};
use crate::chat::Vendor;
use crate::protocol::tree::list;

/// How base64 of our marks begins.
const MARKS: [&str; 2] = ["\"YW46", "\"b2E6"];

const NAMES: [&str; 2] = ["thoughtSignature", "thought_signature"];

/// Whether there may be something to take out. Looks at text, so that nobody else's request is parsed.
pub(crate) fn may_have_foreign(body: &[u8]) -> bool {
    MARKS
        .iter()
        .any(|mark| memmem::find(body, mark.as_bytes()).is_some())
}

/// Takes out signatures of other vendors. A call must have one; `dummy` stands for it, unless that is empty.
pub(crate) fn without_foreign(body: &mut Value, dummy: &str) {
    let contents = list(body, "contents");
    for part in contents.flat_map(|content| list(content, "parts")) {
        let Some(part) = part.as_object_mut() else {
            continue;
        };
        let is_call = part.contains_key("functionCall") || part.contains_key("function_call");
        for name in NAMES {
            let proof = part.get(name).and_then(Value::as_str).and_then(of_client);
            let (Some(Proof::Signature(signed)) | Some(Proof::Redacted(signed))) = proof else {
                continue;
            };
            if signed.origin == Vendor::Google {
                continue;
            }
            match is_call && !dummy.is_empty() {
                true => part.insert(name.to_owned(), dummy.into()),
                false => part.shift_remove(name),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signatures_of_others_go_and_calls_get_another() {
        // "an:x"
        let foreign = "YW46eA==";
        let mut body = json!({"contents": [{"role": "model", "parts": [
            {"text": "a", "thoughtSignature": foreign},
            {"functionCall": {"name": "f"}, "thoughtSignature": foreign},
            {"functionCall": {"name": "g"}, "thoughtSignature": "AAAA"},
        ]}]});
        assert!(may_have_foreign(body.to_string().as_bytes()));
        let mut bare = body.clone();
        without_foreign(&mut body, "dummy");
        without_foreign(&mut bare, "");
        let parts = |own: serde_json::Value| {
            json!({"contents": [{"role": "model", "parts": [
                {"text": "a"}, own, {"functionCall": {"name": "g"}, "thoughtSignature": "AAAA"},
            ]}]})
        };
        let with = json!({"functionCall": {"name": "f"}, "thoughtSignature": "dummy"});
        assert_eq!(body, parts(with));
        assert_eq!(bare, parts(json!({"functionCall": {"name": "f"}})));
    }
}
