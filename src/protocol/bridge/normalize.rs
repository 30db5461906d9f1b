//! What all providers of another dialect have in common, done once between reading a request and writing it.
//!
//! A client's dialect allows what the provider's forbids: turns of the same side in a row, results apart from their
//! calls, ids and names of any letters. What comes out of here is strict enough for the strictest of them.

use std::mem;

use super::names::{Names, sent_id};
use super::pair::pair;
use crate::chat::{Failure, Format, Part, Request, Role, Signed, Source, ToolChoice, Turn, Vendor};
use crate::protocol::dialect::{Dialect, Protocol};

/// What stands for the user where a conversation begins with the model.
const NOBODY: &str = ".";

/// A request as a provider of this dialect may be asked it, and what its tools are called by the client.
pub(super) fn normalize(
    mut request: Request,
    dialect: &Dialect,
) -> Result<(Request, Names), Failure> {
    let to = dialect.protocol;
    if request.choices > 1 {
        let message = "this provider gives one answer at a time; ask for `n` of 1";
        return Err(Failure::inexpressible("n", message));
    }
    drop_params(&mut request, &dialect.drop_params);
    request.stop.retain(|text| !text.is_empty());
    if !matches!(to, Protocol::OpenAi | Protocol::Responses) {
        hoist_system(&mut request);
    }
    own_only(&mut request, to)?;
    request.turns = merged(mem::take(&mut request.turns));
    request.turns = merged(pair(request.turns));
    let names = Names::of(&mut request, to);
    let offered = |name: &String| request.tools.iter().any(|tool| tool.name == *name);
    match &request.tool_choice {
        Some(ToolChoice::Tool(name)) if !offered(name) => {
            let message = format!("this provider is offered no tool `{name}` that it could call");
            return Err(Failure::inexpressible("tool_choice", message));
        }
        Some(ToolChoice::Allowed(must, names)) => {
            let names: Vec<_> = names.iter().filter(|name| offered(name)).cloned().collect();
            request.tool_choice = Some(match names.is_empty() {
                true => ToolChoice::None,
                false => ToolChoice::Allowed(*must, names),
            });
        }
        _ => {}
    }
    if request.tools.is_empty() {
        request.tool_choice = None;
        request.parallel_tools = None;
    }
    number_calls(&mut request.turns);
    if matches!(to, Protocol::Anthropic | Protocol::Gemini) {
        match request.turns.first() {
            Some(first) if first.role == Role::User => {}
            _ => {
                let nobody = Turn::new(Role::User, vec![Part::text(NOBODY)]);
                request.turns.insert(0, nobody);
            }
        }
    }
    Ok((request, names))
}

/// Whose signatures and files a provider understands.
pub(super) fn vendor(protocol: Protocol) -> Vendor {
    match protocol {
        Protocol::OpenAi | Protocol::Responses => Vendor::OpenAi,
        Protocol::Anthropic => Vendor::Anthropic,
        Protocol::Gemini => Vendor::Google,
    }
}

/// What this provider is never to see, by the names of [`Dialect::DROPPABLE`].
fn drop_params(request: &mut Request, names: &[String]) {
    for name in names {
        let sampling = &mut request.sampling;
        match name.as_str() {
            "temperature" => sampling.temperature = None,
            "top_p" => sampling.top_p = None,
            "top_k" => sampling.top_k = None,
            "seed" => sampling.seed = None,
            "presence_penalty" => sampling.presence_penalty = None,
            "frequency_penalty" => sampling.frequency_penalty = None,
            "stop" => request.stop.clear(),
            "logprobs" => request.logprobs = None,
            "effort" => request.effort = None,
            "response_format" => request.format = Format::Text,
            "parallel_tool_calls" => request.parallel_tools = None,
            "user" => request.user = None,
            _ => {}
        }
    }
}

/// Instructions in the midst of a conversation join those at its head.
fn hoist_system(request: &mut Request) {
    let (system, turns) = mem::take(&mut request.turns)
        .into_iter()
        .partition(|turn| turn.role == Role::System);
    request.turns = turns;
    let parts = Vec::into_iter(system).flat_map(|turn: Turn| turn.parts);
    request.system.extend(parts.filter_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    }));
}

/// Takes out what only another vendor can use. What was signed is worthless elsewhere; a file would be missed.
fn own_only(request: &mut Request, to: Protocol) -> Result<(), Failure> {
    let own = vendor(to);
    let is_own = |signed: &Signed| signed.origin == own && to != Protocol::OpenAi;
    for turn in &mut request.turns {
        if to == Protocol::Gemini {
            lower_signatures(turn);
        }
        turn.parts.retain_mut(|part| match part {
            Part::Thinking { signature, .. } => signature.as_ref().is_some_and(is_own),
            Part::Redacted(signed) => is_own(signed),
            Part::Call(call) => {
                // OpenAI's dialect carries Google's signatures, for Google's servers that speak it.
                let may = |signed: &Signed| {
                    signed.origin == own
                        || to == Protocol::OpenAi && signed.origin == Vendor::Google
                };
                call.signature = call.signature.take().filter(may);
                true
            }
            Part::Text(text) | Part::Refusal(text) => !text.is_empty(),
            Part::Media(_) | Part::Result(_) => true,
        });
        for part in &turn.parts {
            foreign_file(part, own)?;
        }
    }
    Ok(())
}

/// Google's signature of a call travels through clients that know only signed thoughts as an empty thought before it.
fn lower_signatures(turn: &mut Turn) {
    let mut at = 1;
    while at < turn.parts.len() {
        let [.., before, part] = &mut turn.parts[..=at] else {
            return;
        };
        match (before, part) {
            (Part::Thinking { text, signature }, Part::Call(call))
                if text.is_empty()
                    && call.signature.is_none()
                    && signature
                        .as_ref()
                        .is_some_and(|s| s.origin == Vendor::Google) =>
            {
                call.signature = signature.take();
                turn.parts.remove(at - 1);
            }
            _ => at += 1,
        }
    }
}

fn foreign_file(part: &Part, own: Vendor) -> Result<(), Failure> {
    match part {
        Part::Media(media) => match &media.source {
            Source::File(vendor, _) if *vendor != own => Err(Failure::inexpressible(
                "file_id",
                "this provider does not have the file; send it in the request",
            )),
            _ => Ok(()),
        },
        Part::Result(result) => result
            .content
            .iter()
            .try_for_each(|part| foreign_file(part, own)),
        _ => Ok(()),
    }
}

/// Turns of the same side in a row become one; empty ones vanish.
fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut merged: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.into_iter().filter(|turn| !turn.parts.is_empty()) {
        match merged.last_mut() {
            Some(last) if last.role == turn.role => last.parts.extend(turn.parts),
            _ => merged.push(turn),
        }
    }
    merged
}

/// Gives each call an id that is valid everywhere and that no other has, and its result the same.
fn number_calls(turns: &mut [Turn]) {
    let mut taken = std::collections::HashSet::new();
    let mut waiting = Vec::new().into_iter();
    for turn in turns {
        let mut calls = Vec::new();
        for part in &mut turn.parts {
            match part {
                Part::Call(call) => {
                    call.id = sent_id(&call.id, &mut taken);
                    calls.push((call.id.clone(), call.name.clone()));
                }
                // Results follow their calls in order.
                Part::Result(result) => {
                    if let Some((id, name)) = waiting.next() {
                        result.id = id;
                        result.name = Some(name);
                    }
                }
                _ => {}
            }
        }
        if !calls.is_empty() {
            waiting = calls.into_iter();
        }
    }
}
