//! Google's signatures of calls, taken out of a request that reaches another provider as it came: a conversation may
//! have begun with Gemini, and strict servers refuse members that they do not know.

use serde_json::Value;

use crate::protocol::tree::list;

/// Whether a model takes them: Google's own, wherever it is served.
pub(crate) fn takes_signatures(model: &str) -> bool {
    model.to_ascii_lowercase().contains("gemini")
}

/// Takes them out.
pub(crate) fn without_foreign(body: &mut Value) {
    let messages = list(body, "messages");
    let calls = messages.flat_map(|message| list(message, "tool_calls"));
    for call in calls.filter_map(Value::as_object_mut) {
        call.shift_remove("extra_content");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signatures_of_calls_go() {
        let mut body = json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [{"id": "a", "extra_content": {"google": {}}}]},
        ]});
        without_foreign(&mut body);
        let expected = json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [{"id": "a"}]},
        ]});
        assert_eq!(body, expected);
        assert!(takes_signatures("google/Gemini-3-pro") && !takes_signatures("gpt-4o"));
    }
}
