//! A streamed answer in nobody's dialect: blocks that begin, grow and end, one after the other.

use super::failure::Failure;
use super::request::Signed;
use super::usage::Usage;

/// What happens in a stream.
///
/// The grammar: `Start`, then blocks, each `Begin (Delta | Signature | Logprobs)* End`, one open at a time;
/// among and after them `Usage`; then `Finish` and at last `Close`. Or `Failed`, at any point, and nothing after it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The answer begins. Says nothing of it yet.
    Start,
    /// A block begins.
    Begin(Block),
    /// The open block grows: text, thoughts, arguments, by what it is.
    Delta(String),
    /// The proof of the open block, which is thinking or a call.
    Signature(Signed),
    /// Log probabilities of the text that the next `Delta` brings.
    Logprobs(Vec<Logprob>),
    /// The open block ends.
    End,
    /// Something of the answer that has no words here, such as a picture. Clients of other dialects do not get it.
    Untold,
    /// What the answer cost so far, all that is known of it; the last one counts.
    Usage(Usage),
    /// The model has ended, for this reason. Usage may follow.
    Finish(Finish),
    /// The answer is complete.
    Close,
    /// The provider failed.
    Failed(Failure),
}

/// What a block is.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Text.
    Text,
    /// What the model thinks.
    Thinking,
    /// It declines.
    Refusal,
    /// It calls a tool; the arguments follow.
    Call {
        /// By which the result will be known. Empty where the provider gives none.
        id: String,
        /// The tool.
        name: String,
        /// The group that the tool was offered in.
        namespace: Option<String>,
        /// Whether it takes text instead of an object.
        custom: bool,
    },
    /// Thoughts that are complete and unreadable.
    Redacted(Signed),
}

/// How likely a token was.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprob {
    /// The token's text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest tokens at this place.
    pub top: Vec<(String, f64)>,
}

/// How an answer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// Why.
    pub reason: FinishReason,
    /// The text that ended it, where one did and that is told.
    pub stop_sequence: Option<String>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done.
    #[default]
    Stop,
    /// It came to a text that was to end it.
    StopSequence,
    /// As many tokens as were allowed.
    Length,
    /// It waits for the results of calls.
    ToolUse,
    /// Something was found improper.
    Filter,
    /// It will go on when asked again.
    Pause,
    /// The context window is full.
    ContextFull,
}

impl From<FinishReason> for Finish {
    fn from(reason: FinishReason) -> Finish {
        Finish {
            reason,
            stop_sequence: None,
        }
    }
}
