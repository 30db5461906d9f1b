//! `finishReason` both ways.

use crate::chat::FinishReason;

/// What a provider's word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The answer ended.
    Finished(FinishReason),
    /// The model produced something that the provider could not use.
    Broken,
}

/// What a provider's word means; `None` if it says that there is no reason yet.
pub(super) fn read(word: &str) -> Option<Ending> {
    let word = word.to_ascii_uppercase();
    Some(match word.as_str() {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "MAX_TOKENS" => Ending::Finished(FinishReason::Length),
        "CONTINUATION" => Ending::Finished(FinishReason::Pause),
        "SAFETY" | "PROHIBITED_CONTENT" | "BLOCKLIST" | "RECITATION" | "SPII" | "LANGUAGE"
        | "MODEL_ARMOR" => Ending::Finished(FinishReason::Filter),
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Ending::Broken,
        image if image.starts_with("IMAGE_") => Ending::Finished(FinishReason::Filter),
        _ => Ending::Finished(FinishReason::Stop),
    })
}

/// The word for a client. Calls leave it at `STOP`.
pub(super) const fn write(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop
        | FinishReason::StopSequence
        | FinishReason::ToolUse
        | FinishReason::Pause => "STOP",
        FinishReason::Length | FinishReason::ContextFull => "MAX_TOKENS",
        FinishReason::Filter => "SAFETY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_google_has_a_meaning() {
        use FinishReason::{Filter, Length, Pause, Stop};
        let ended = |reason| Some(Ending::Finished(reason));
        for (word, expected) in [
            ("STOP", ended(Stop)),
            ("stop", ended(Stop)),
            ("OTHER", ended(Stop)),
            ("SOMETHING_NEW", ended(Stop)),
            ("MAX_TOKENS", ended(Length)),
            ("SAFETY", ended(Filter)),
            ("PROHIBITED_CONTENT", ended(Filter)),
            ("BLOCKLIST", ended(Filter)),
            ("RECITATION", ended(Filter)),
            ("SPII", ended(Filter)),
            ("LANGUAGE", ended(Filter)),
            ("IMAGE_SAFETY", ended(Filter)),
            ("IMAGE_PROHIBITED_CONTENT", ended(Filter)),
            ("MODEL_ARMOR", ended(Filter)),
            ("CONTINUATION", ended(Pause)),
            ("MALFORMED_FUNCTION_CALL", Some(Ending::Broken)),
            ("UNEXPECTED_TOOL_CALL", Some(Ending::Broken)),
            ("TOO_MANY_TOOL_CALLS", Some(Ending::Broken)),
            ("MISSING_THOUGHT_SIGNATURE", Some(Ending::Broken)),
            ("MALFORMED_RESPONSE", Some(Ending::Broken)),
            ("FINISH_REASON_UNSPECIFIED", None),
            ("", None),
        ] {
            assert_eq!(read(word), expected, "{word}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_google() {
        for (reason, word) in [
            (FinishReason::Stop, "STOP"),
            (FinishReason::StopSequence, "STOP"),
            (FinishReason::ToolUse, "STOP"),
            (FinishReason::Pause, "STOP"),
            (FinishReason::Length, "MAX_TOKENS"),
            (FinishReason::ContextFull, "MAX_TOKENS"),
            (FinishReason::Filter, "SAFETY"),
        ] {
            assert_eq!(write(reason), word);
        }
    }
}
