//! The Anthropic dialect: messages, and the counting of their tokens.
//! Spec: <https://docs.anthropic.com/en/api/messages>
//!
//! Quirks: `max_tokens` is required, `temperature` ends at 1, and there is neither a mode for JSON without a
//! schema nor a second answer. `input_tokens` leaves out what was cached. Thinking is only taken back with its
//! signature, excludes sampling parameters and forced calls, and must not be missing from the calls that are
//! being answered. In streams every event is named, blocks come strictly one after the other, the usage of
//! `message_delta` replaces that of `message_start`, and errors may come in the midst.

mod decoder;
mod encoder;
mod error;
mod foreign;
mod request;
mod response;
mod sign;
mod usage;

#[cfg(test)]
mod tests;

pub(crate) use decoder::StreamDecoder;
pub(crate) use encoder::StreamEncoder;
pub(crate) use error::render;
pub(crate) use foreign::{may_have_foreign, without_foreign};
pub(crate) use request::{count_request, decode_request, encode_request};
pub(crate) use response::{decode_response, encode_response};
pub(crate) use usage::{read_count, write_count};

use crate::chat::{Finish, FinishReason};

/// What `stop_reason` says. What is new ends an answer like any other.
fn finish_of(reason: &str, stop_sequence: Option<&str>) -> Finish {
    let reason = match reason {
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" => FinishReason::Length,
        "tool_use" => FinishReason::ToolUse,
        "refusal" => FinishReason::Filter,
        "pause_turn" => FinishReason::Pause,
        "model_context_window_exceeded" => FinishReason::ContextFull,
        _ => FinishReason::Stop,
    };
    Finish {
        reason,
        stop_sequence: stop_sequence.map(str::to_owned),
    }
}

/// The `stop_reason` of an ending.
fn stop_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolUse => "tool_use",
        FinishReason::Filter => "refusal",
        FinishReason::Pause => "pause_turn",
        FinishReason::ContextFull => "model_context_window_exceeded",
    }
}

/// How an answer ended, as members of the message, or of `delta` in a stream.
fn ending(finish: &Finish) -> [(&'static str, serde_json::Value); 3] {
    let details = (finish.reason == FinishReason::Filter)
        .then(|| serde_json::json!({"type": "refusal", "category": null, "explanation": null}));
    [
        ("stop_reason", stop_reason(finish.reason).into()),
        ("stop_sequence", finish.stop_sequence.clone().into()),
        ("stop_details", details.into()),
    ]
}
