//! What the vendors' APIs differ in as far as a simulator cares: their paths and their errors.

use serde_json::{Value, json};

use super::script::Act;

/// Whose API a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, and what every compatible vendor offers.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini.
    Gemini,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] = [
        Dialect::OpenAi,
        Dialect::Responses,
        Dialect::Anthropic,
        Dialect::Gemini,
    ];

    /// Its name in configurations and among the recorded answers.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
            Dialect::Responses => "responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
        }
    }

    /// Whose API has this path, without its query, under some base URL; `None` when nobody's.
    pub fn of_path(path: &str) -> Option<Dialect> {
        const OPENAI: [&str; 3] = ["/chat/completions", "/completions", "/embeddings"];
        const RESPONSES: [&str; 2] = ["/responses", "/responses/input_tokens"];
        const ANTHROPIC: [&str; 2] = ["/messages", "/messages/count_tokens"];
        const GEMINI: [&str; 5] = [
            "generateContent",
            "streamGenerateContent",
            "countTokens",
            "embedContent",
            "batchEmbedContents",
        ];
        let ends = |paths: &[&str]| paths.iter().any(|known| path.ends_with(known));
        if let Some((model, action)) = path.rsplit_once(':') {
            return (model.contains("/models/") && GEMINI.contains(&action))
                .then_some(Dialect::Gemini);
        }
        if ends(&OPENAI) {
            Some(Dialect::OpenAi)
        } else if ends(&RESPONSES) {
            Some(Dialect::Responses)
        } else if ends(&ANTHROPIC) {
            Some(Dialect::Anthropic)
        } else {
            None
        }
    }

    /// What this vendor says with a status.
    pub fn error(self, status: u16, message: &str) -> Value {
        match self {
            Dialect::OpenAi | Dialect::Responses => {
                let (kind, code) = openai_words(status);
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic_word(status), "message": message},
                "request_id": "req_011CSimulatedRequest7Qk2m",
            }),
            Dialect::Gemini => json!({
                "error": {"code": status, "message": message, "status": google_word(status)},
            }),
        }
    }

    /// What breaks off a stream of this vendor: one event, framed as its streams are.
    pub fn error_event(self, status: u16, message: &str) -> String {
        let error = self.error(status, message);
        match self {
            Dialect::OpenAi => format!("data: {error}\n\n"),
            Dialect::Responses => {
                let code = openai_words(status).0;
                let event = json!({
                    "type": "error", "sequence_number": 9, "code": code, "message": message, "param": null,
                });
                format!("event: error\ndata: {event}\n\n")
            }
            Dialect::Anthropic => format!("event: error\ndata: {error}\n\n"),
            Dialect::Gemini => format!("data: {error}\r\n\r\n"),
        }
    }
}

/// Type and code.
fn openai_words(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        400 | 413 | 422 => ("invalid_request_error", None),
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("insufficient_quota", Some("insufficient_quota")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        _ => ("server_error", None),
    }
}

fn anthropic_word(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

fn google_word(status: u16) -> &'static str {
    match status {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

impl Act {
    /// This status with an error object in the form of a vendor.
    pub fn error_of(dialect: Dialect, status: u16, message: &str) -> Act {
        let body = dialect.error(status, message).to_string();
        Act::body(status, "application/json", body)
    }

    /// 429 that says when to come again, in the way of a vendor: Google in the body, the others in a header.
    pub fn rate_limited_by(dialect: Dialect, retry_after: u32) -> Act {
        let message = format!("simulated rate limit, try again in {retry_after}s");
        if dialect != Dialect::Gemini {
            let act = Act::error_of(dialect, 429, &message);
            return act.with_header("retry-after", &retry_after.to_string());
        }
        let mut error = dialect.error(429, &message);
        error["error"]["details"] = json!([
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}],
            },
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{retry_after}s"),
            },
        ]);
        Act::body(429, "application/json; charset=UTF-8", error.to_string())
    }
}
