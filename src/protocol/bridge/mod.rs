//! One request on its way to one provider and back: which dialects meet, and what is done about it.
//!
//! Same dialect on both sides: the bytes go through. Different ones: the request is read once into the common
//! language, brought into a form that is strict enough for everybody (`normalize`, `pair`, `names`), and written for
//! the provider; its answer comes back the same way (`restore`). Not here: any dialect's JSON.

mod count;
mod names;
mod normalize;
mod pair;
mod restore;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::Value;

use super::call::{Call, Shape};
use super::codec::{Addressee, Reply};
use super::dialect::{Dialect, Protocol};
use super::endpoint::{Action, Endpoint};
use super::estimate::Tally;
use super::gather::Gather;
use super::openai::embed::Coding;
use super::relay::{Coded, Output, Relay, Unread};
use super::{dialects, openai};
use crate::chat::{Embedding, Failure, Part, Request, Response, Usage};
use names::Names;

pub use count::{count_answer, count_errand};
pub(super) use restore::Restore;

/// One request on its way to one provider and back.
pub struct Bridge<'a> {
    call: &'a Call,
    dialect: &'a Dialect,
    /// Nothing where the provider's own answer goes through, in chat.
    reply: Option<Box<Reply>>,
    lane: Lane,
}

/// How a request gets there.
enum Lane {
    /// As it is.
    Verbatim,
    /// Through the common language. How it is asked differs from attempt to attempt.
    Translated(Box<RefCell<Request>>, Rc<Names>),
    /// Texts to vectors, through a common language of their own.
    Embedding(Box<Embedding>, Coding),
}

/// What is sent to a provider.
#[derive(Debug)]
pub struct Errand {
    /// What is called there.
    pub endpoint: Endpoint,
    /// The body, in pieces that follow each other.
    pub body: Vec<Bytes>,
    /// What of the request was left out, as the provider has no word for it.
    pub dropped: Vec<String>,
}

/// An answer that is complete.
#[derive(Debug)]
pub struct Whole {
    /// What the client gets.
    pub body: Bytes,
    /// What it cost, if the provider told.
    pub usage: Option<Usage>,
}

impl<'a> Bridge<'a> {
    /// Finds the way from a client's request to a provider that speaks like this.
    ///
    /// # Errors
    /// The request cannot be read, which is the client's failure; or this provider cannot be asked for what it
    /// asks for, and another perhaps can.
    pub fn new(
        call: &'a Call,
        dialect: &'a Dialect,
        reply: impl FnOnce() -> Reply,
    ) -> Result<Bridge<'a>, Failure> {
        let lane = lane(call, dialect)?;
        let reply = match lane {
            Lane::Verbatim if dialect.protocol == Protocol::OpenAi => None,
            _ => Some(Box::new(reply())),
        };
        Ok(Bridge {
            call,
            dialect,
            reply,
            lane,
        })
    }

    /// Whether the provider gets the client's own bytes, and the client the provider's.
    pub fn is_verbatim(&self) -> bool {
        matches!(self.lane, Lane::Verbatim)
    }

    /// The HTTP status by which a client of this dialect knows a failure.
    pub fn status_of(&self, failure: &Failure) -> u16 {
        dialects::render(self.call.endpoint.protocol(), failure, "").0
    }

    /// What to send to a provider that knows the model as `model`.
    ///
    /// # Errors
    /// The provider's dialect has no words for what the request means.
    pub fn errand(&self, model: &str, shape: Shape) -> Result<Errand, Failure> {
        let request = match &self.lane {
            Lane::Verbatim => {
                let dialect = self.dialect;
                let own = dialects::without_foreign(self.call, Addressee { model, dialect });
                let own = own.map(|body| self.call.with_body(body)).transpose()?;
                let call = own.as_ref().unwrap_or(self.call);
                return Ok(Errand {
                    endpoint: verbatim_endpoint(call.endpoint, shape.stream),
                    body: call.encode(model, shape, &dialect.drop_params),
                    dropped: Vec::new(),
                });
            }
            Lane::Embedding(embedding, _) => {
                let dialect = self.dialect;
                let to = Addressee { model, dialect };
                let (endpoint, outbound) = dialects::encode_embedding(embedding, to)?;
                return Ok(Errand {
                    endpoint,
                    body: vec![outbound.body.to_string().into()],
                    dropped: outbound.dropped.into_iter().map(str::to_owned).collect(),
                });
            }
            Lane::Translated(request, _) => request,
        };
        let mut request = request.borrow_mut();
        request.stream = shape.stream;
        request.ask_usage = shape.ask_usage;
        let to = Addressee {
            model,
            dialect: self.dialect,
        };
        let outbound = dialects::encode_request(&request, to)?;
        let mut dropped = request.dropped.clone();
        dropped.extend(outbound.dropped.into_iter().map(str::to_owned));
        Ok(Errand {
            endpoint: Endpoint::of_conversations(self.dialect.protocol, shape.stream),
            body: vec![outbound.body.to_string().into()],
            dropped,
        })
    }

    /// What hands the provider's stream on. `asked_usage`: whether it was us who asked to be told usage.
    pub fn relay(&self, asked_usage: bool) -> Relay {
        let call = self.call;
        let decoder = || dialects::decoder(self.dialect.protocol);
        let output = match (&self.lane, call.endpoint) {
            (Lane::Verbatim, Endpoint::OpenAi(endpoint)) => {
                let relay = openai::Relay::new(
                    endpoint,
                    call.include_usage,
                    asked_usage,
                    call.prompt_tokens,
                );
                return Relay::openai(relay.of_choices(call.choices));
            }
            (Lane::Verbatim, Endpoint::Passed(_)) => {
                return Relay::unread(Unread::new(true, call.prompt_tokens));
            }
            (Lane::Verbatim, _) => Output::AsItCame(dialects::interrupted(self.dialect.protocol)),
            _ => self.anew(),
        };
        let client = call.endpoint.protocol();
        let coded = Coded::new(client, decoder(), output, call.prompt_tokens);
        Relay::coded(match self.is_verbatim() && call.array {
            true => coded.into_array(),
            false => coded,
        })
    }

    /// What hands an answer on that is neither JSON nor a stream of events.
    pub fn unread(&self) -> Relay {
        Relay::unread(Unread::new(false, self.call.prompt_tokens))
    }

    /// What puts a provider's stream together, for a client that wants none.
    pub fn gather(&self) -> Gather {
        let prompt_tokens = self.call.prompt_tokens;
        match (&self.lane, self.call.endpoint) {
            (Lane::Verbatim, Endpoint::OpenAi(endpoint)) => {
                Gather::openai(openai::Gather::new(endpoint, prompt_tokens))
            }
            _ => Gather::coded(dialects::decoder(self.dialect.protocol), prompt_tokens),
        }
    }

    /// The answer that was put together.
    ///
    /// # Errors
    /// The upstream's failure when the stream broke off.
    pub fn gathered(&self, gather: Gather) -> Result<Whole, Failure> {
        match gather.finish()? {
            super::gather::Gathered::Body(body, usage) => Ok(Whole {
                body,
                usage: Some(usage),
            }),
            super::gather::Gathered::Response(response, usage) => Ok(Whole {
                body: self.written(response),
                usage: Some(usage),
            }),
        }
    }

    /// Judges a whole answer of the provider's, and puts it into the form that the client expects: whole, or a stream.
    ///
    /// # Errors
    /// The upstream's failure when the body is anything but an answer.
    pub fn whole(&self, content_type: Option<&str>, body: Bytes) -> Result<Whole, Failure> {
        let call = self.call;
        match (&self.lane, call.endpoint) {
            (Lane::Verbatim, Endpoint::OpenAi(endpoint)) => {
                let usage = openai::judge(endpoint, content_type, &body)?;
                let streams = call.stream && endpoint != openai::Endpoint::Embeddings;
                let body = match streams {
                    true => {
                        openai::synthesize(endpoint, &body, call.include_usage, call.prompt_tokens)?
                    }
                    false => body,
                };
                Ok(Whole { body, usage })
            }
            (Lane::Verbatim, Endpoint::Passed(_)) => {
                let usage = openai::judge_passed(content_type, &body)?;
                Ok(Whole { body, usage })
            }
            (lane, endpoint) if endpoint.embeds() => {
                let tree = parse(content_type, &body)?;
                let mut vectors = dialects::decode_embeddings(tree, self.dialect.protocol)?;
                if let Lane::Embedding(asked, _) = lane
                    && asked.inputs.len() != vectors.vectors.len()
                {
                    let message = "upstream's answer has not one vector for each text";
                    return Err(Failure::upstream(message));
                }
                let usage = vectors.tokens.map(|tokens| Usage {
                    input: tokens,
                    total: tokens,
                    ..Usage::default()
                });
                let body = match lane {
                    Lane::Embedding(_, coding) => {
                        let model = &self.reply().model;
                        vectors.tokens = vectors.tokens.or(Some(call.prompt_tokens));
                        let body = dialects::encode_embeddings(endpoint, &vectors, *coding, model);
                        body.to_string().into()
                    }
                    Lane::Verbatim | Lane::Translated(..) => body,
                };
                Ok(Whole { body, usage })
            }
            (lane, _) => {
                let tree = parse(content_type, &body)?;
                let response = dialects::decode_response(self.dialect.protocol, tree)?;
                let usage = response.usage;
                let is_as_wanted = matches!(lane, Lane::Verbatim) && !call.stream;
                let body = match call.stream {
                    _ if is_as_wanted => body,
                    true => self.streamed(response),
                    false => self.written(response),
                };
                Ok(Whole { body, usage })
            }
        }
    }

    /// An answer as the client's dialect writes it.
    fn written(&self, response: Response) -> Bytes {
        let response = self.restore().response(response);
        dialects::encode_response(self.call.endpoint, response, &self.reply())
            .to_string()
            .into()
    }

    /// An answer as the stream that it might have been.
    fn streamed(&self, response: Response) -> Bytes {
        let mut encoder = dialects::encoder(self.call.endpoint, self.reply());
        let mut text = Vec::new();
        let mut response = self.restore().response(response);
        if response.usage.is_none() && self.call.include_usage {
            response.usage = Some(estimate(&response, self.call.prompt_tokens));
        }
        for event in response.into_events() {
            encoder.encode(event, &mut text);
        }
        text.into()
    }

    fn anew(&self) -> Output {
        Output::Anew {
            restore: self.restore(),
            encoder: dialects::encoder(self.call.endpoint, self.reply()),
        }
    }

    fn reply(&self) -> Reply {
        self.reply.as_deref().cloned().unwrap_or_default()
    }

    fn restore(&self) -> Restore {
        let names = match &self.lane {
            Lane::Translated(_, names) => names.clone(),
            Lane::Verbatim | Lane::Embedding(..) => Rc::default(),
        };
        let client = self.call.endpoint.protocol();
        Restore::new(names, client, self.dialect.protocol, &self.reply().id)
    }
}

/// The cost of an answer whose provider never told.
fn estimate(response: &Response, prompt_tokens: u64) -> Usage {
    let mut text = Tally::default();
    for part in &response.parts {
        match part {
            Part::Text(said) | Part::Refusal(said) | Part::Thinking { text: said, .. } => {
                text.add(said.as_bytes());
            }
            Part::Call(call) => text.add(call.arguments.as_bytes()),
            Part::Redacted(_) | Part::Media(_) | Part::Result(_) => {}
        }
    }
    Usage::estimate(prompt_tokens, text.tokens())
}

/// How a request gets to a provider of this dialect.
fn lane(call: &Call, dialect: &Dialect) -> Result<Lane, Failure> {
    let provider = dialect.protocol;
    let (endpoint, client) = (call.endpoint, call.endpoint.protocol());
    // Who speaks Responses has OpenAI's other endpoints, too.
    let shares = provider == Protocol::Responses
        && (matches!(endpoint, Endpoint::Passed(_)) || endpoint.embeds());
    if client == provider || shares && client == Protocol::OpenAi {
        return Ok(Lane::Verbatim);
    }
    if endpoint.embeds() {
        let (embedding, coding) = dialects::decode_embedding(call)?;
        return Ok(Lane::Embedding(Box::new(embedding), coding));
    }
    if let Endpoint::Passed(passed) = endpoint {
        let message = format!(
            "a provider of this model speaks another API, which has nothing like {}",
            passed.path()
        );
        return Err(Failure::inexpressible("model", message));
    }
    let request = dialects::decode_request(call)?;
    let (request, names) = normalize::normalize(request, dialect)?;
    let request = Box::new(RefCell::new(request));
    Ok(Lane::Translated(request, Rc::new(names)))
}

/// Gemini's URLs say whether a stream is wanted.
fn verbatim_endpoint(endpoint: Endpoint, stream: bool) -> Endpoint {
    match endpoint {
        Endpoint::Gemini(Action::GenerateContent | Action::StreamGenerateContent) => {
            Endpoint::of_conversations(Protocol::Gemini, stream)
        }
        other => other,
    }
}

fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Value, Failure> {
    openai::expect_json(content_type, body)?;
    serde_json::from_slice(body).map_err(|error| {
        Failure::upstream(match error.is_eof() {
            true => "upstream's answer is cut off",
            false => "upstream's answer is not valid JSON",
        })
    })
}
