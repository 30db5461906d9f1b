//! What a provider says of the client's tools, in the client's own words again.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use super::names::{Names, Original, sent_id};
use crate::chat::{Block, Event, Part, Response, Signed};
use crate::protocol::dialect::Protocol;

/// Stands between a provider's answer and its client.
#[derive(Debug)]
pub(in crate::protocol) struct Restore {
    names: Rc<Names>,
    client: Protocol,
    provider: Protocol,
    /// What ids begin with that the provider did not give.
    id: String,
    /// Ids given so far.
    given: usize,
    /// Ids that the client has seen.
    shown: HashSet<String>,
    /// A call that is held back until it is complete.
    held: Option<Held>,
}

/// A call that is held back.
#[derive(Debug)]
struct Held {
    block: Block,
    is_custom: bool,
    arguments: String,
    signature: Option<Signed>,
}

impl Restore {
    /// For a request whose tools have these names, and an answer of this id.
    pub(in crate::protocol) fn new(
        names: Rc<Names>,
        client: Protocol,
        provider: Protocol,
        id: &str,
    ) -> Restore {
        Restore {
            names,
            client,
            provider,
            id: id.to_owned(),
            given: 0,
            shown: HashSet::new(),
            held: None,
        }
    }

    /// Hands an event on, as the client is to know it.
    pub(in crate::protocol) fn event(&mut self, event: Event, mut emit: impl FnMut(Event)) {
        match (event, &mut self.held) {
            (
                Event::Begin(Block::Call {
                    id,
                    name,
                    namespace,
                    custom,
                }),
                _,
            ) => {
                let (block, is_custom) = self.call(id, name, namespace, custom);
                // Text within an object, and a signature that must come first, are known when all is there.
                if is_custom || self.signs_first() {
                    self.held = Some(Held {
                        block,
                        is_custom,
                        arguments: String::new(),
                        signature: None,
                    });
                } else {
                    emit(Event::Begin(block));
                }
            }
            (Event::Delta(more), Some(held)) => held.arguments.push_str(&more),
            (Event::Signature(signed), Some(held)) => held.signature = Some(signed),
            (Event::End, Some(_)) => {
                if let Some(held) = self.held.take() {
                    self.release(held, emit);
                }
            }
            (event, _) => emit(event),
        }
    }

    /// A whole answer, as the client is to know it.
    pub(in crate::protocol) fn response(&mut self, mut response: Response) -> Response {
        let mut parts = Vec::with_capacity(response.parts.len());
        for part in response.parts {
            let Part::Call(mut call) = part else {
                parts.push(part);
                continue;
            };
            let (block, is_custom) = self.call(call.id, call.name, call.namespace, call.custom);
            let Block::Call {
                id,
                name,
                namespace,
                custom,
            } = block
            else {
                continue;
            };
            if is_custom {
                call.arguments = input(&call.arguments);
            }
            if self.lifts_signatures()
                && let Some(signature) = call.signature.take()
            {
                parts.push(Part::Thinking {
                    text: String::new(),
                    signature: Some(signature),
                });
            }
            (call.id, call.name, call.namespace, call.custom) = (id, name, namespace, custom);
            parts.push(Part::Call(call));
        }
        response.parts = parts;
        response
    }

    /// The call by its own name and with an id; and whether its text stands within an object.
    fn call(
        &mut self,
        id: String,
        name: String,
        namespace: Option<String>,
        custom: bool,
    ) -> (Block, bool) {
        let id = match id.is_empty() {
            true => {
                self.given += 1;
                format!("call_{}{}", self.id, self.given)
            }
            // Anthropic's clients take few letters, and each id once.
            false if self.client == Protocol::Anthropic => sent_id(&id, &mut self.shown),
            false => id,
        };
        let original = self.names.original(&name).cloned();
        let is_custom = original.as_ref().is_some_and(|original| original.wrapped);
        let original = original.unwrap_or(Original {
            name,
            namespace,
            custom,
            wrapped: false,
        });
        let block = Block::Call {
            id,
            name: original.name,
            namespace: original.namespace,
            custom: original.custom,
        };
        (block, is_custom)
    }

    /// Whether this client's dialect wants a call's signature before its arguments: where it knows those of thoughts
    /// alone, before the call; in chat with its first piece, as programs look for it nowhere else.
    fn signs_first(&self) -> bool {
        self.client != Protocol::Gemini && self.provider == Protocol::Gemini
    }

    /// Whether this client's dialect knows signatures of thoughts alone, and not of calls.
    fn lifts_signatures(&self) -> bool {
        matches!(self.client, Protocol::Anthropic | Protocol::Responses)
            && self.provider == Protocol::Gemini
    }

    fn release(&self, held: Held, mut emit: impl FnMut(Event)) {
        let (before, within) = match self.lifts_signatures() {
            true => (held.signature, None),
            false => (None, held.signature),
        };
        if let Some(signature) = before {
            emit(Event::Begin(Block::Thinking));
            emit(Event::Signature(signature));
            emit(Event::End);
        }
        emit(Event::Begin(held.block));
        if let Some(signature) = within {
            emit(Event::Signature(signature));
        }
        let text = match held.is_custom {
            true => input(&held.arguments),
            false => held.arguments,
        };
        if !text.is_empty() {
            emit(Event::Delta(text));
        }
        emit(Event::End);
    }
}

/// The text within the object that a custom tool was offered as.
fn input(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut members)) => match members.shift_remove("input") {
            Some(Value::String(text)) => text,
            _ => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}
