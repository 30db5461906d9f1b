//! Whether a provider is asked to think, and how: much excludes it.

use crate::chat::{Effort, Part, Request, Role, ToolChoice, Vendor};
use crate::protocol::{Dialect, ThinkingStyle};

/// The bound on an answer, thinking included: the client's, or our own, which leaves room for a budget beside it.
pub(super) fn bound(request: &Request, dialect: &Dialect) -> u64 {
    request.max_tokens.unwrap_or_else(|| {
        let budget = match (dialect.thinking_style, request.effort) {
            (ThinkingStyle::Budget, Some(effort)) => budget(effort),
            _ => 0,
        };
        dialect.default_max_tokens.saturating_add(budget)
    })
}

/// The least that a budget may be.
const BUDGET_MIN: u64 = 1024;

/// What is said of thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Nothing.
    Unsaid,
    /// It was wanted, and something else in the request excludes it.
    Excluded,
    /// It is switched off.
    Disabled,
    /// As much as the model finds right, or as its effort says.
    Adaptive,
    /// So many tokens at the most.
    Budget(u64),
}

impl Thinking {
    /// What the request comes to, with at most `max_tokens` in its answer.
    pub(super) fn of(request: &Request, dialect: &Dialect, max_tokens: u64) -> Thinking {
        let wanted = match (request.effort, dialect.thinking_style) {
            (Some(Effort::None), _) => return Thinking::Disabled,
            (None, ThinkingStyle::Effort) if request.include_thoughts => Thinking::Adaptive,
            // How much the client left open, and here it would have to be said.
            (None, _) => return Thinking::Unsaid,
            (Some(_), ThinkingStyle::Effort) => Thinking::Adaptive,
            (Some(effort), ThinkingStyle::Budget) => {
                let room = max_tokens.saturating_sub(1);
                Thinking::Budget(budget(effort).min(room))
            }
        };
        let excluded = match wanted {
            // Only with a budget the vendor looks for the thoughts behind the calls that are being answered.
            Thinking::Budget(tokens) => {
                tokens < BUDGET_MIN || has_lost_thoughts(request) || is_prefilled(request)
            }
            _ => is_prefilled(request),
        };
        if excluded || forces_a_call(request) {
            return Thinking::Excluded;
        }
        wanted
    }

    /// Whether the model will think.
    pub(super) fn is_on(self) -> bool {
        matches!(self, Thinking::Adaptive | Thinking::Budget(_))
    }
}

/// The word for an effort; there is none below `low`.
pub(super) fn word(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None => None,
        Effort::Minimal => Some(Effort::Low.word()),
        effort => Some(effort.word()),
    }
}

const fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 1024,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::XHigh => 32_768,
        Effort::Max => 49_152,
    }
}

fn forces_a_call(request: &Request) -> bool {
    let forced = matches!(
        request.tool_choice,
        Some(ToolChoice::Any | ToolChoice::Tool(_) | ToolChoice::Allowed(true, _))
    );
    forced && !request.tools.is_empty()
}

/// Whether the client has begun the answer itself: a model that thinks begins on its own.
fn is_prefilled(request: &Request) -> bool {
    let last = request.turns.last();
    last.is_some_and(|turn| turn.role == Role::Assistant)
}

/// Whether a call that is being answered was made without thoughts, or by somebody whose thoughts are gone.
fn has_lost_thoughts(request: &Request) -> bool {
    let results = |part: &Part| matches!(part, Part::Result(_));
    // Whoever asks anew ends what went before; whoever only brings results does not.
    let running = request
        .turns
        .iter()
        .rev()
        .take_while(|turn| turn.role != Role::User || turn.parts.iter().any(results));
    running
        .filter(|turn| turn.role == Role::Assistant)
        .any(|turn| {
            let mut thoughtless = turn.parts.iter().take_while(|part| !is_proven(part));
            thoughtless.any(|part| matches!(part, Part::Call(_)))
        })
}

/// Whether it is thinking that the vendor takes back.
pub(super) fn is_proven(part: &Part) -> bool {
    match part {
        Part::Thinking {
            signature: Some(signed),
            ..
        }
        | Part::Redacted(signed) => signed.origin == Vendor::Anthropic,
        _ => false,
    }
}
