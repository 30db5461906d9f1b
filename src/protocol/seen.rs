//! What has gone by in a stream, whatever its dialect.

use std::collections::BTreeMap;

use super::estimate::Tally;
use crate::chat::{Failure, Usage};

/// What has gone by in a stream.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Something of the answer itself, or its end. Comments and a mere role are not.
    pub meaningful: bool,
    /// The answer came to its end: a reason for it from each choice begun, or the stream's own mark.
    pub finished: bool,
    /// The mark that ends a stream, such as `[DONE]` or `message_stop`.
    pub done: bool,
    /// What the provider told last.
    pub usage: Option<Usage>,
    /// The provider gave up or talked nonsense. Before the first meaningful event nothing of it was
    /// handed on; after it, what was handed on ends with an error event.
    pub failure: Option<Failure>,
    /// Something went by that is no part of an answer: it may say anything, also what is secret.
    pub strange: bool,
    pub(super) text: Tally,
    /// Where there are many: each choice, and whether it came to its end.
    pub(super) choices: BTreeMap<u64, bool>,
}

impl Seen {
    /// Tokens of the answer so far, estimated from its text.
    pub fn output_tokens(&self) -> u64 {
        self.text.tokens()
    }

    /// What the answer cost so far: the provider's word, else our estimate. Of an answer that is not
    /// finished it is the larger one, as some providers tell a first number before they begin.
    pub fn usage(&self, prompt_tokens: u64) -> Usage {
        let estimate = || Usage::estimate(prompt_tokens, self.output_tokens());
        match self.usage {
            Some(told) if self.finished || told.total >= estimate().total => told,
            _ => estimate(),
        }
    }
}
