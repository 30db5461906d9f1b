//! What other vendors signed, taken out of a request that reaches OpenAI as it came: a conversation may have begun with
//! another model, and reasoning that is not OpenAI's own ends it with a 400.

use memchr::memmem;
use serde_json::Value;

use crate::chat::Vendor;
use crate::protocol::signature;

/// Whether there may be something to take out. Looks at text, so that nobody else's request is parsed.
pub(crate) fn may_have_foreign(body: &[u8]) -> bool {
    let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
    has("\"an:") || has("\"ge:")
}

/// Takes out reasoning of other vendors.
pub(crate) fn without_foreign(body: &mut Value) {
    if let Some(items) = body.get_mut("input").and_then(Value::as_array_mut) {
        items.retain(|item| {
            let sealed = item["encrypted_content"].as_str();
            let is_own = |text| signature::unwrap(text, Vendor::OpenAi).origin == Vendor::OpenAi;
            item["type"] != "reasoning" || sealed.is_none_or(is_own)
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasoning_of_others_goes() {
        let item = |sealed: &str| json!({"type": "reasoning", "encrypted_content": sealed});
        let bare = json!({"type": "reasoning", "summary": []});
        let mut body = json!({"input": [item("an:x"), item("gAAA"), item("ge:call:1:x"), bare]});
        assert!(may_have_foreign(body.to_string().as_bytes()));
        without_foreign(&mut body);
        assert_eq!(body, json!({"input": [item("gAAA"), bare]}));
        let mut text = json!({"input": "an:"});
        without_foreign(&mut text);
        assert_eq!(text, json!({"input": "an:"}));
    }
}
