//! How many tokens a request would take, asked of a provider that can tell.

use bytes::Bytes;
use serde_json::Value;

use super::Errand;
use super::normalize::normalize;
use crate::chat::Failure;
use crate::protocol::call::{Call, Shape};
use crate::protocol::codec::Addressee;
use crate::protocol::dialect::{Dialect, Protocol};
use crate::protocol::endpoint::{Action, Endpoint};
use crate::protocol::{anthropic, dialects, gemini, responses};

impl Dialect {
    /// Whether a provider of this dialect counts tokens.
    pub fn counts(&self) -> bool {
        matches!(self.protocol, Protocol::Anthropic | Protocol::Gemini)
    }
}

/// What to ask a provider that [counts](Dialect::counts).
///
/// # Errors
/// The request cannot be read, or said to this provider.
pub fn count_errand(call: &Call, dialect: &Dialect, model: &str) -> Result<Errand, Failure> {
    let endpoint = match dialect.protocol {
        Protocol::Anthropic => Endpoint::CountMessages,
        _ => Endpoint::Gemini(Action::CountTokens),
    };
    let plain = Shape {
        stream: false,
        ask_usage: false,
    };
    let body = if call.endpoint.protocol() == dialect.protocol {
        call.encode(model, plain, &dialect.drop_params)
    } else {
        let request = dialects::decode_request(call)?;
        let (request, _) = normalize(request, dialect)?;
        let to = Addressee { model, dialect };
        let body = match dialect.protocol {
            Protocol::Anthropic => anthropic::count_request(&request, to)?,
            _ => gemini::count_request(&request, to)?,
        };
        vec![body.to_string().into()]
    };
    Ok(Errand {
        endpoint,
        body,
        dropped: Vec::new(),
    })
}

/// What the client is told: the provider's own answer where both speak one dialect, the number in it, or our estimate.
pub fn count_answer(call: &Call, told: Option<(Protocol, Bytes)>) -> Bytes {
    let client = call.endpoint.protocol();
    let number = told.as_ref().and_then(|(protocol, body)| {
        let body: Value = serde_json::from_slice(body).ok()?;
        match protocol {
            Protocol::Anthropic => anthropic::read_count(&body),
            _ => gemini::read_count(&body),
        }
    });
    match (told, number) {
        (Some((protocol, body)), Some(_)) if protocol == client => body,
        (_, number) => {
            let tokens = number.unwrap_or(call.prompt_tokens);
            let body = match client {
                Protocol::Gemini => gemini::write_count(tokens),
                Protocol::Anthropic => anthropic::write_count(tokens),
                Protocol::OpenAi | Protocol::Responses => responses::write_count(tokens),
            };
            body.to_string().into()
        }
    }
}
