//! The names of headers, word by word.

use crate::chat::{Span, Unit};

/// Whose way of naming it is. What one family says is not mixed with what another says: a gateway may send
/// limits of its own besides those of the provider behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Family {
    /// `x-ratelimit-` and the draft standard's `ratelimit-`.
    Plain,
    /// Mistral's `ratelimitbysize-`, which counts tokens without saying so.
    BySize,
    /// `anthropic-ratelimit-`.
    Anthropic,
}

/// Which part of a limit a header tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field {
    Limit,
    Remaining,
    Reset,
    /// The length of the window in seconds.
    Window,
}

/// What a header is about.
#[derive(Debug, PartialEq)]
pub(super) struct Name {
    pub(super) family: Family,
    pub(super) field: Field,
    pub(super) unit: Option<Unit>,
    pub(super) span: Option<Span>,
}

/// What follows the prefix by which headers about limits are known. Most names are told apart by a byte.
pub(super) fn after_prefix(name: &str) -> Option<(Family, &str)> {
    let (family, prefix) = match name.as_bytes().first()? {
        b'x' => (Family::Plain, "x-ratelimit"),
        b'r' => (Family::Plain, "ratelimit"),
        b'a' => (Family::Anthropic, "anthropic-ratelimit"),
        _ => return None,
    };
    let rest = name.strip_prefix(prefix)?;
    match rest.strip_prefix("bysize") {
        Some(rest) if family == Family::Plain => Some((Family::BySize, rest)),
        _ => Some((family, rest)),
    }
}

/// What the words after the prefix say; `None` for a name that is about something else.
pub(super) fn read(family: Family, rest: &str) -> Option<Name> {
    let (mut field, mut unit, mut span) = (None, None, None);
    for word in rest.strip_prefix('-')?.split('-') {
        match word {
            "limit" => field = Some(Field::Limit),
            "remaining" => field = Some(Field::Remaining),
            "reset" => field = Some(Field::Reset),
            // Azure's and GitHub's models.
            "renewalperiod" => field = Some(Field::Window),
            "requests" | "request" | "req" => unit = Some(Unit::Requests),
            // `input-tokens`, but also `tokens-prompt` (Fireworks).
            "tokens" => unit = unit.or(Some(Unit::Tokens)),
            "input" | "prompt" => unit = Some(Unit::InputTokens),
            "output" | "generated" => unit = Some(Unit::OutputTokens),
            "second" => span = Some(Span::Second),
            "minute" => span = Some(Span::Minute),
            "hour" => span = Some(Span::Hour),
            "day" => span = Some(Span::Day),
            "month" => span = Some(Span::Month),
            _ => return None,
        }
    }
    Some(Name {
        family,
        field: field?,
        unit,
        span,
    })
}

#[cfg(test)]
mod tests {
    use super::{Family, Field, after_prefix, read};
    use crate::chat::{Span, Unit};

    fn told(name: &str) -> Option<(Family, Field, Option<Unit>, Option<Span>)> {
        let (family, rest) = after_prefix(name)?;
        let name = read(family, rest)?;
        Some((name.family, name.field, name.unit, name.span))
    }

    #[test]
    fn a_name_is_read_word_by_word() {
        use Family::{Anthropic, BySize, Plain};
        use Field::{Limit, Remaining, Reset, Window};
        for (name, expected) in [
            ("x-ratelimit-limit", (Plain, Limit, None, None)),
            ("ratelimit-reset", (Plain, Reset, None, None)),
            (
                "x-ratelimit-remaining-tokens",
                (Plain, Remaining, Some(Unit::Tokens), None),
            ),
            (
                "x-ratelimit-reset-requests-day",
                (Plain, Reset, Some(Unit::Requests), Some(Span::Day)),
            ),
            (
                "x-ratelimit-remaining-req-minute",
                (Plain, Remaining, Some(Unit::Requests), Some(Span::Minute)),
            ),
            (
                "x-ratelimit-remaining-tokens-prompt",
                (Plain, Remaining, Some(Unit::InputTokens), None),
            ),
            (
                "x-ratelimit-renewalperiod-requests",
                (Plain, Window, Some(Unit::Requests), None),
            ),
            (
                "x-ratelimitbysize-remaining-month",
                (BySize, Remaining, None, Some(Span::Month)),
            ),
            ("ratelimitbysize-limit", (BySize, Limit, None, None)),
            (
                "anthropic-ratelimit-output-tokens-limit",
                (Anthropic, Limit, Some(Unit::OutputTokens), None),
            ),
        ] {
            assert_eq!(told(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_name_about_something_else_is_left_alone() {
        for name in [
            "",
            "x",
            "retry-after",
            "x-request-id",
            "x-ratelimit-used",
            "x-ratelimit-resource",
            "x-ratelimit-requests",
            "x-ratelimit-tokens-query-cost",
            "x-ratelimit-remaining-tokens_usage_based",
            "x-ratelimit-remaining-tokens-cache-adjusted-prompt",
            "ratelimitbysize-query-cost",
            "anthropic-ratelimit-unified-5h-utilization",
            "anthropic-ratelimit-unified-reset",
            "anthropic-ratelimitbysize-limit",
            "x-ratelimit-remaining-",
            "x-ratelimitremaining",
        ] {
            assert_eq!(told(name), None, "{name}");
        }
    }
}
