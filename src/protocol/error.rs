//! Errors of providers as [`Failure`]s, in whatever dialect: providers borrow each other's.
//!
//! What a provider calls unauthorized or forbidden concerns *our* key, and a client may not read the provider's
//! message then, which likes to quote the key.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::spent::spent_window;
use crate::chat::{Failure, FailureKind, KEY_REFUSED, Side, Span, Verbatim};

/// Longest message that we take over from a provider, in characters.
const MESSAGE_MAX: usize = 500;

/// What OpenAI and Anthropic call an account that is out of money.
const UNPAID: [&str; 2] = ["insufficient_quota", "billing_error"];

/// The longest `type` or `code` of an error that is a word and no text.
const WORD_MAX: usize = 64;

/// What an upstream's error answer means. There is no `body` where that cannot be read.
///
/// `retry_after` is what its headers say; the body is asked where they say nothing.
pub fn decode(
    status: u16,
    content_type: Option<&str>,
    body: Option<Bytes>,
    retry_after: Option<Duration>,
) -> Failure {
    let text = body.as_deref().unwrap_or_default();
    let said: Value = serde_json::from_slice(text).unwrap_or_default();
    let error = inner(&said);
    let message = message(&said);
    let (kind, side) = classify(status, error, message.as_deref());
    let spent = spent(kind, error, message.as_deref());
    // Without a text of the provider the message is as good as a label.
    let label = message
        .as_ref()
        .filter(|_| !helps_operators(kind))
        .map(|_| label(&format!("HTTP {status}"), error));
    let message = match message {
        _ if kind.is_of_key() => format!("{KEY_REFUSED} (HTTP {status})"),
        Some(message) => message,
        None => format!("upstream returned HTTP {status}"),
    };
    let mut failure = Failure::new(kind, side, message);
    failure.label = label;
    if side == Side::Client {
        failure.param = error["param"].as_str().map(Box::from);
    }
    failure.retry_after = retry_after.or_else(|| retry_delay(error));
    failure.spent = spent;
    failure.verbatim = Some(Box::new(Verbatim {
        status,
        content_type: content_type.map(str::to_owned),
        body,
    }));
    failure
}

/// What an error object inside a successful answer or a stream means. It never ends the request: who
/// said 200 before has shown little care in finding fault.
pub(crate) fn reported(document: &[u8]) -> Failure {
    const UNEXPLAINED: &str = "upstream reported an error";
    let said: Value = serde_json::from_slice(document).unwrap_or_default();
    let error = inner(&said);
    let message = message(&said).or_else(|| message(error));
    let known = told_status(error).map(|status| classify(status, error, message.as_deref()));
    let (kind, side) = match known {
        Some((FailureKind::ContextTooLong, side)) => (FailureKind::ContextTooLong, side),
        Some((kind, Side::Upstream)) => (kind, Side::Upstream),
        _ => (FailureKind::BadUpstream, Side::Upstream),
    };
    let spent = spent(kind, error, message.as_deref());
    let message = match message {
        _ if kind.is_of_key() => KEY_REFUSED.to_owned(),
        Some(message) => message,
        None => UNEXPLAINED.to_owned(),
    };
    let mut failure = Failure::new(kind, side, message);
    failure.label = (!helps_operators(kind)).then(|| label(UNEXPLAINED, error));
    failure.retry_after = retry_delay(error);
    failure.spent = spent;
    failure
}

/// The nature of an error with this status, and whose doing it is.
fn classify(status: u16, error: &Value, message: Option<&str>) -> (FailureKind, Side) {
    use FailureKind as Kind;
    let lower = message.unwrap_or_default().to_lowercase();
    let code = error["code"].as_str().unwrap_or_default();
    match status {
        408 => (Kind::Timeout, Side::Upstream),
        401 => (Kind::Unauthenticated, Side::Upstream),
        402 => (Kind::QuotaExhausted, Side::Upstream),
        403 => (Kind::Forbidden, Side::Upstream),
        // OpenAI's way of saying that the account is out of money; no pause helps.
        429 if means_unpaid(error) => (Kind::QuotaExhausted, Side::Upstream),
        429 => (Kind::RateLimited, Side::Upstream),
        404 if means_no_such_model(code, error["type"].as_str().unwrap_or_default(), &lower) => {
            (Kind::UnknownModel, Side::Upstream)
        }
        404 => (Kind::NotFound, Side::Client),
        // Gemini's OpenAI endpoint answers 400 to a wrong key.
        400 if lower.contains("api key not valid") || lower.contains("api key expired") => {
            (Kind::Unauthenticated, Side::Upstream)
        }
        400 | 413 | 422 if means_context_too_long(code, &lower) => {
            (Kind::ContextTooLong, Side::Client)
        }
        // Groq's 413 for a prompt beyond what it serves in a minute.
        400..=499 if code == "rate_limit_exceeded" => (Kind::RateLimited, Side::Upstream),
        413 => (Kind::TooLarge, Side::Client),
        400..=499 => (Kind::InvalidRequest, Side::Client),
        _ => (Kind::BadUpstream, Side::Upstream),
    }
}

/// Which window of the provider's quota is spent, for an error that is about that at all.
fn spent(kind: FailureKind, error: &Value, message: Option<&str>) -> Option<Span> {
    use FailureKind as Kind;
    let is_refusal = matches!(kind, Kind::RateLimited | Kind::QuotaExhausted);
    is_refusal.then(|| spent_window(error, message)).flatten()
}

/// Whether an error says by a word, or by a number that its status is not, that the account is out of money.
fn means_unpaid(error: &Value) -> bool {
    ["code", "type", "status"].iter().any(|name| {
        let said = &error[*name];
        said.as_u64() == Some(402)
            || said
                .as_str()
                .is_some_and(|word| word == "402" || UNPAID.contains(&word))
    })
}

/// The HTTP status that an error should have come with: OpenRouter and Google write it into the error,
/// for others the words of OpenAI, Anthropic and Google say it.
fn told_status(error: &Value) -> Option<u16> {
    let number = |name: &str| {
        let value = &error[name];
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number)
            .ok()
            .filter(|status| (400..=599).contains(status))
    };
    let word = |name: &str| match error[name].as_str()? {
        word if UNPAID.contains(&word) => Some(402),
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" => Some(429),
        "invalid_api_key" | "authentication_error" | "UNAUTHENTICATED" => Some(401),
        "permission_error" | "PERMISSION_DENIED" => Some(403),
        "model_not_found" => Some(404),
        "context_length_exceeded" => Some(400),
        _ => None,
    };
    ["code", "status"]
        .into_iter()
        .find_map(number)
        .or_else(|| ["code", "type", "status"].into_iter().find_map(word))
}

/// Whether the provider's text is for an operator to read: what is said of quotas and models, which
/// quotes no prompt. What is said of keys was replaced.
fn helps_operators(kind: FailureKind) -> bool {
    use FailureKind as Kind;
    kind.is_of_key()
        || matches!(
            kind,
            Kind::RateLimited | Kind::QuotaExhausted | Kind::UnknownModel
        )
}

/// An error without its text: what kind it is, as far as that is told by plain words.
fn label(what: &str, error: &Value) -> Box<str> {
    let is_word = |text: &&str| {
        (1..=WORD_MAX).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let words = ["type", "code"].map(|name| error[name].as_str().filter(is_word));
    let mut label = what.to_owned();
    for word in words.into_iter().flatten() {
        label.push(' ');
        label.push_str(word);
    }
    label.into()
}

/// The error object itself. Google wraps the answer in an array; some servers send it bare, OpenRouter
/// also within a choice.
fn inner(said: &Value) -> &Value {
    let said = said.get(0).unwrap_or(said);
    let of = |holder: &'_ Value| holder.get("error").is_some_and(Value::is_object);
    let choices = said["choices"].as_array().map_or(&[][..], Vec::as_slice);
    std::iter::once(said)
        .chain(choices)
        .find(|holder| of(holder))
        .map_or(said, |holder| &holder["error"])
}

/// The text for people, wherever it stands, if it is text and not a web page.
fn message(said: &Value) -> Option<String> {
    match said {
        Value::String(text) => {
            let text = text.trim();
            if text.is_empty() || text.starts_with('<') {
                return None;
            }
            Some(match text.char_indices().nth(MESSAGE_MAX) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text.to_owned(),
            })
        }
        Value::Array(items) => items.iter().find_map(message),
        Value::Object(members) => ["error", "message", "detail", "errors", "msg"]
            .iter()
            .find_map(|name| members.get(*name).and_then(message)),
        _ => None,
    }
}

/// Azure, Anthropic and OpenRouter each say it in a way of their own.
fn means_no_such_model(code: &str, kind: &str, message: &str) -> bool {
    matches!(code, "model_not_found" | "DeploymentNotFound")
        || kind == "not_found_error" && message.starts_with("model:")
        || message.starts_with("no endpoints found for")
        || message.contains("model")
            && ["not found", "does not exist", "not exist"]
                .iter()
                .any(|phrase| message.contains(phrase))
}

fn means_context_too_long(code: &str, message: &str) -> bool {
    code == "context_length_exceeded"
        || [
            "context length",
            "context_length",
            "context size",
            "context window",
            "prompt is too long",
            "maximum context",
            "exceeds the maximum number of tokens",
        ]
        .iter()
        .any(|phrase| message.contains(phrase))
}

/// Google's `RetryInfo`: `{"details":[{"retryDelay":"7.5s"}]}`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let delays = error["details"].as_array()?;
    let delay = delays.iter().find_map(|d| d["retryDelay"].as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
