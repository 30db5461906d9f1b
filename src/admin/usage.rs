//! How an account stands, in JSON.

use serde::Serialize;
use serde_json::{Value, json};

use crate::chat::Span;
use crate::clock::UnixMillis;
use crate::quota::{
    Account, Cycle, Forecast, LearnedStanding, PerUnit, Standing, Unit, WindowStanding,
};

/// The counters of one account. The first five fields are what existing users' scripts read; they are those
/// of the longest window.
#[derive(Serialize)]
pub(super) struct Usage {
    requests: u64,
    tokens: u64,
    last_reset: Option<String>,
    limit_requests: Option<u64>,
    limit_tokens: Option<u64>,
    next_reset: Option<String>,
    requests_in_flight: u64,
    in_flight: u64,
    tokens_reserved: u64,
    remaining_requests: Option<u64>,
    remaining_tokens: Option<u64>,
    concurrent: u64,
    max_concurrent: Option<u64>,
    windows: Vec<Window>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learned: Vec<Value>,
}

/// One window.
#[derive(Serialize)]
struct Window {
    id: String,
    period: String,
    requests: u64,
    tokens: u64,
    input_tokens: u64,
    output_tokens: u64,
    limit_requests: Option<u64>,
    limit_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_output_tokens: Option<u64>,
    requests_held: u64,
    tokens_held: u64,
    in_flight: u64,
    last_reset: Option<String>,
    next_reset: Option<String>,
    forecast: Option<Value>,
}

impl Usage {
    pub(super) fn of(account: &Account, now: UnixMillis) -> Usage {
        let standing = account.standing(now);
        Usage::from(&standing)
    }
}

impl From<&Standing> for Usage {
    fn from(standing: &Standing) -> Usage {
        let windows: Vec<Window> = standing.windows.iter().map(Window::from).collect();
        let main = standing.windows.first().map(Window::from);
        let main = main.unwrap_or_default();
        let left = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        Usage {
            requests: main.requests,
            tokens: main.tokens,
            remaining_requests: left(main.limit_requests, main.requests),
            remaining_tokens: left(main.limit_tokens, main.tokens),
            last_reset: main.last_reset,
            limit_requests: main.limit_requests,
            limit_tokens: main.limit_tokens,
            next_reset: main.next_reset,
            requests_in_flight: main.requests_held,
            in_flight: main.in_flight,
            tokens_reserved: main.tokens_held,
            concurrent: standing.open,
            max_concurrent: standing.max_concurrent,
            windows,
            learned: standing.learned.iter().map(learned).collect(),
        }
    }
}

impl From<&WindowStanding> for Window {
    fn from(standing: &WindowStanding) -> Window {
        let PerUnit([requests, tokens, input_tokens, output_tokens]) = standing.used;
        let caps = &standing.window.caps;
        Window {
            id: standing.window.id.to_string(),
            period: period(&standing.window.cycle),
            requests,
            tokens,
            input_tokens,
            output_tokens,
            limit_requests: caps[Unit::Requests],
            limit_tokens: caps[Unit::Tokens],
            limit_input_tokens: caps[Unit::InputTokens],
            limit_output_tokens: caps[Unit::OutputTokens],
            requests_held: standing.held[Unit::Requests],
            tokens_held: standing.held[Unit::Tokens],
            in_flight: standing.in_flight,
            last_reset: standing.last_reset.map(UnixMillis::rfc3339),
            next_reset: standing.next_reset.map(UnixMillis::rfc3339),
            forecast: standing.forecast.as_ref().map(forecast),
        }
    }
}

impl Default for Window {
    fn default() -> Window {
        Window {
            id: String::new(),
            period: period(&Cycle::Never),
            requests: 0,
            tokens: 0,
            input_tokens: 0,
            output_tokens: 0,
            limit_requests: None,
            limit_tokens: None,
            limit_input_tokens: None,
            limit_output_tokens: None,
            requests_held: 0,
            tokens_held: 0,
            in_flight: 0,
            last_reset: None,
            next_reset: None,
            forecast: None,
        }
    }
}

/// When it begins anew, in words.
fn period(cycle: &Cycle) -> String {
    match cycle {
        Cycle::Never => "never resets".to_owned(),
        Cycle::Cron(schedule) => format!("{} in {}", schedule.expression(), schedule.zone()),
        Cycle::Rolling(every) => format!("every {} s", every.as_secs_f64()),
    }
}

fn forecast(forecast: &Forecast) -> Value {
    json!({
        "unit": forecast.unit.name(),
        "per_hour": rounded(forecast.per_hour),
        "exhausted_at": forecast.exhausted_at.map(UnixMillis::rfc3339),
        "confidence": rounded(forecast.confidence),
    })
}

fn learned(learned: &LearnedStanding) -> Value {
    json!({
        "unit": learned.unit.name(),
        "per": learned.span.map(span),
        "limit": learned.limit,
        "remaining": learned.left,
        "until": learned.until.rfc3339(),
    })
}

fn span(span: Span) -> &'static str {
    match span {
        Span::Second => "second",
        Span::Minute => "minute",
        Span::Hour => "hour",
        Span::Day => "day",
        Span::Month => "month",
    }
}

/// As precise as anybody reads it.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
