//! What other vendors signed, taken out of a request that reaches Anthropic as it came: a conversation may have begun with
//! another model, and a signature that is not Anthropic's own ends it with a 400.

use memchr::memmem;
use serde_json::Value;

use crate::chat::Vendor;
use crate::protocol::signature;

/// Whether there may be something to take out. Looks at text, so that nobody else's request is parsed.
pub(crate) fn may_have_foreign(body: &[u8]) -> bool {
    let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
    has("\"ge:") || has("\"oa:") || has("\"signature\":\"\"") || has("\"signature\": \"\"")
}

/// Takes out thoughts that are not signed by Anthropic, and the messages that had nothing else. Where calls lose
/// theirs, the request goes on without thinking.
pub(crate) fn without_foreign(body: &mut Value) {
    let mut is_thoughtless = false;
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    if let Some(messages) = messages {
        messages.retain_mut(|message| {
            let blocks = message.get_mut("content").and_then(Value::as_array_mut);
            let Some(blocks) = blocks else {
                return true;
            };
            let before = blocks.len();
            blocks.retain(|block| !is_foreign(block));
            let calls = blocks.iter().any(|block| block["type"] == "tool_use");
            is_thoughtless |= calls && blocks.len() < before;
            before == 0 || !blocks.is_empty()
        });
    }
    // With a budget each call must follow a thought of Anthropic's own.
    if is_thoughtless
        && body["thinking"]["type"] == "enabled"
        && let Some(body) = body.as_object_mut()
    {
        body.shift_remove("thinking");
    }
}

fn is_foreign(block: &Value) -> bool {
    block["type"] == "thinking"
        && block["signature"].as_str().is_none_or(|text| {
            text.is_empty()
                || signature::unwrap(text, Vendor::Anthropic).origin != Vendor::Anthropic
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thoughts_of_others_go_and_those_of_calls_end_thinking() {
        let thought =
            |signature: &str| json!({"type": "thinking", "thinking": "", "signature": signature});
        let call = json!({"type": "tool_use", "id": "a", "name": "f", "input": {}});
        let mut body = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [thought("ge:AA"), call]},
            {"role": "assistant", "content": [thought("")]},
            {"role": "assistant", "content": [thought("EqQB"), {"type": "text", "text": "ge:"}]},
        ]});
        assert!(may_have_foreign(body.to_string().as_bytes()));
        without_foreign(&mut body);
        let expected = json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [call]},
            {"role": "assistant", "content": [thought("EqQB"), {"type": "text", "text": "ge:"}]},
        ]});
        assert_eq!(body, expected);
        assert!(!may_have_foreign(br#"{"messages":[{"signature":"EqQB"}]}"#));
    }
}
