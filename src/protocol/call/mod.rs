//! A client's request: read once, without building a tree, and written again by splicing.
//!
//! What the gateway does not have to change reaches the provider byte for byte: key order, number
//! forms and fields that nobody has heard of yet all survive. Not here: judging the request. Whether
//! messages are there and make sense is the provider's to say. Nor what is to be done for a provider of
//! another dialect; see [`Bridge`](super::Bridge).

mod edit;
mod multipart;
mod scan;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

use super::dialect::Protocol;
use super::endpoint::{Action, Endpoint};
use super::json::Span;
use crate::chat::Failure;
use edit::{Edit, Options, splice};
use scan::Found;

/// Longest name of a model, in bytes: it is compared with others, shown and logged.
const MODEL_MAX: usize = 1024;

/// What of a request is known before its body is read.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// What is called.
    pub endpoint: Endpoint,
    /// The model, where the URL names it.
    pub model: Option<&'a str>,
    /// The URL's query, without `?`.
    pub query: Option<&'a str>,
    /// The `Content-Type` of a body that is not JSON.
    pub content_type: Option<&'a str>,
}

/// A client's request.
#[derive(Clone)]
pub struct Call {
    /// What was called.
    pub endpoint: Endpoint,
    /// What the URL said behind its `?`, where a provider of the same dialect may want to know (Anthropic).
    pub query: Option<Box<str>>,
    /// The `Content-Type` of a body that is not JSON.
    pub content_type: Option<Box<str>>,
    /// Whether the stream is wanted as one JSON array (Gemini).
    pub array: bool,
    /// A member that refers to what a provider keeps (Responses).
    pub state: Option<&'static str>,
    /// Whether some call has `extra_content`, which Google's servers alone know (OpenAI).
    pub extra_content: bool,
    /// The request as it came.
    pub body: Bytes,
    /// The model that the client asks for.
    pub model: String,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Whether the client wants usage told at the end of the stream.
    pub include_usage: bool,
    /// What the prompt costs in tokens, estimated.
    pub prompt_tokens: u64,
    /// The most tokens that the answer may have, over all choices; `None` if the client set no bound.
    pub max_tokens: Option<u64>,
    /// How many choices the client asks for, over all prompts; 1 unless it says so.
    pub choices: u64,
    places: Places,
}

/// What a provider is to be asked for, where that may differ from what the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether it shall stream.
    pub stream: bool,
    /// Whether it shall tell usage at the end of the stream.
    pub ask_usage: bool,
}

/// Where in the body stands what may have to change.
#[derive(Clone)]
struct Places {
    /// `None` where the body does not name it.
    model: Option<Span>,
    stream: Option<Span>,
    options: Option<Options>,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// A failure of the client's when the body is not a JSON object, names no model, or is ambiguous
    /// or of the wrong type where the gateway must understand it.
    pub fn open<'a>(opening: impl Into<Opening<'a>>, body: Bytes) -> Result<Call, Failure> {
        let opening = opening.into();
        let endpoint = opening.endpoint;
        let found = match opening.content_type {
            Some(kind) => multipart::read(kind, &body)?,
            None => Found::read(endpoint, &body).map_err(|fault| {
                let place = fault.describe(&body);
                Failure::invalid(format!("the body is not valid JSON: {place}"))
            })?,
        };
        if !found.is_object {
            return Err(Failure::invalid("the body must be a JSON object"));
        }
        if let Some(name) = found.duplicate {
            let message = format!("`{name}` is given more than once");
            return Err(Failure::invalid(message).about(name));
        }
        if let Some(name) = found.miswritten {
            return Err(wrong(
                name,
                "must be written in small letters: some providers read it in any",
            ));
        }
        let (model_at, model) = named(&opening, found.model)?;
        let stream = match (endpoint, found.stream) {
            (Endpoint::Gemini(action), _) => action == Action::StreamGenerateContent,
            (_, Some((_, Some(stream)))) => stream,
            (_, Some((_, None))) => return Err(wrong("stream", "must be true or false")),
            (_, None) => false,
        };
        let max_tokens = found.max_completion_tokens.flatten();
        let max_tokens = max_tokens.or(found.max_tokens.flatten());
        let choices = found.choices.flatten().unwrap_or(1).max(1);
        let choices = choices.saturating_mul(found.prompts.max(1));
        let query = opening.query.filter(|query| !query.is_empty());
        Ok(Call {
            endpoint,
            query: query
                .filter(|_| endpoint.protocol() == Protocol::Anthropic)
                .map(Box::from),
            content_type: opening.content_type.map(Box::from),
            array: stream
                && matches!(endpoint, Endpoint::Gemini(_))
                && !query.is_some_and(wants_events),
            state: found.state,
            extra_content: found.extra_content,
            model,
            stream,
            include_usage: found.options.as_ref().is_some_and(|o| o.wants_usage),
            prompt_tokens: found.prompt.tokens() + found.other_tokens,
            max_tokens: max_tokens.map(|tokens| tokens.saturating_mul(choices)),
            choices,
            places: Places {
                model: model_at,
                stream: found.stream.map(|(at, _)| at),
                options: found.options,
            },
            body,
        })
    }

    /// The request for a provider that knows the model as `model`, in pieces that follow each other.
    ///
    /// The very same bytes if nothing has to change; else every byte that does not have to change.
    ///
    /// `drop` names members that this provider is never to see.
    pub fn encode(&self, model: &str, shape: Shape, drop: &[String]) -> Vec<Bytes> {
        let mut edits = self.without(drop);
        // Members that the client did not write go right behind the model, which is always there.
        let mut added = String::new();
        let by_body = self.endpoint.streams_by_body();
        let stream = shape.stream && by_body;
        if by_body && stream != self.stream {
            match self.places.stream {
                Some(at) => edits.push(Edit::new(at, if stream { "true" } else { "false" })),
                None => added.push_str(r#","stream":true"#),
            }
        }
        match (&self.places.options, stream) {
            (None, true) if shape.ask_usage => {
                added.push_str(r#","stream_options":{"include_usage":true}"#);
            }
            (Some(options), true) if shape.ask_usage => edits.extend(options.asking()),
            (Some(options), true) => edits.extend(options.not_asking(&self.body)),
            // Without a stream the option is an error at most providers.
            (Some(options), false) if self.stream => {
                edits.push(Edit::removing(options.member, &self.body));
            }
            _ => {}
        }
        if let Some(mut at) = self.places.model {
            if model == self.model {
                at.start = at.end;
            } else if self.content_type.is_some() {
                added.insert_str(0, model);
            } else {
                added.insert_str(0, &serde_json::Value::from(model).to_string());
            }
            if !added.is_empty() {
                edits.push(Edit::new(at, added));
            }
        } else if model != self.model && self.content_type.is_none() {
            edits.extend(self.naming(model));
        }
        splice(&self.body, edits)
    }

    /// The same request with another body.
    ///
    /// # Errors
    /// That body is none.
    pub(super) fn with_body(&self, body: Bytes) -> Result<Call, Failure> {
        let opening = Opening {
            endpoint: self.endpoint,
            model: Some(&self.model),
            query: self.query.as_deref(),
            content_type: self.content_type.as_deref(),
        };
        Call::open(opening, body)
    }

    /// What makes a body that need not name its model ask for this one.
    fn naming(&self, model: &str) -> Vec<Edit> {
        match self.endpoint {
            Endpoint::Gemini(
                Action::CountTokens | Action::EmbedContent | Action::BatchEmbedContents,
            ) => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                let name = serde_json::Value::from(format!("models/{model}")).to_string();
                let places = edit::repeated_models(&self.body).into_iter();
                places.map(|at| Edit::new(at, name.clone())).collect()
            }
            Endpoint::Gemini(_) => Vec::new(),
            _ => edit::named(&self.body, model).into_iter().collect(),
        }
    }

    /// What takes these members out of the body. A second pass, for the few providers that need it.
    fn without(&self, names: &[String]) -> Vec<Edit> {
        if names.is_empty() || self.content_type.is_some() {
            return Vec::new();
        }
        edit::members(&self.body, names)
    }
}

/// The model that is asked for, and where in the body it stands.
fn named(
    opening: &Opening<'_>,
    found: Option<(Span, Option<String>)>,
) -> Result<(Option<Span>, String), Failure> {
    let default = match opening.endpoint {
        Endpoint::Passed(passed) => passed.default_model(),
        _ => None,
    };
    let (at, model) = match (opening.model.or(default), found) {
        (_, Some((at, Some(model)))) => (Some(at), model),
        (_, Some((_, None))) => return Err(wrong("model", "must be a string")),
        (Some(model), None) => (None, model.to_owned()),
        (None, None) => return Err(wrong("model", "is missing")),
    };
    match model.len() {
        0 => Err(wrong("model", "must not be empty")),
        1..=MODEL_MAX => Ok((at, model)),
        _ => Err(wrong("model", "is longer than 1024 bytes")),
    }
}

/// Whether a query of Gemini's asks for server-sent events.
fn wants_events(query: &str) -> bool {
    query.split('&').any(|pair| pair == "alt=sse")
}

impl<'a, E: Into<Endpoint>> From<E> for Opening<'a> {
    fn from(endpoint: E) -> Opening<'a> {
        Opening {
            endpoint: endpoint.into(),
            model: None,
            query: None,
            content_type: None,
        }
    }
}

// The prompt belongs to the client and must not end up in a log.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("endpoint", &self.endpoint)
            .field("model", &self.model)
            .field("stream", &self.stream)
            .field("include_usage", &self.include_usage)
            .field("prompt_tokens", &self.prompt_tokens)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

fn wrong(param: &str, what: &str) -> Failure {
    Failure::invalid(format!("`{param}` {what}")).about(param)
}
