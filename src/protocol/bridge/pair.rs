//! Calls and their results, brought together.

use std::collections::VecDeque;

use crate::chat::{Part, Role, ToolCall, ToolResult, Turn};

/// What a tool is taken to have said that was called and never heard of again.
const NO_RESULT: &str = "(no result)";

/// Puts the results of each turn's calls at the head of the turn after it, in the order of the calls. A call without a
/// result gets one; a result without a call becomes text.
pub(super) fn pair(turns: Vec<Turn>) -> Vec<Turn> {
    let mut results = Vec::new();
    let mut rest = Vec::with_capacity(turns.len());
    // Results are taken out, and leave a mark where they stood.
    for turn in turns {
        let mut parts = Vec::with_capacity(turn.parts.len());
        for part in turn.parts {
            match part {
                Part::Result(result) => {
                    parts.push(Slot::Result(results.len()));
                    results.push(Some(result));
                }
                other => parts.push(Slot::Part(other)),
            }
        }
        rest.push((turn.role, parts));
    }
    let mut paired: Vec<Turn> = Vec::with_capacity(rest.len() + 1);
    let mut waiting: VecDeque<Part> = VecDeque::new();
    for at in 0..rest.len() {
        let (role, parts) = &rest[at];
        if *role == Role::Assistant {
            flush(&mut waiting, &mut paired);
        }
        for part in parts {
            if let Slot::Part(Part::Call(call)) = part {
                let later = rest[at..].iter().flat_map(|(_, parts)| parts);
                let later = later.filter_map(|part| match part {
                    Slot::Result(index) => Some(*index),
                    Slot::Part(_) => None,
                });
                let result = answer_to(call, later, &mut results);
                waiting.push_back(Part::Result(result));
            }
        }
        if *role == Role::Assistant {
            let said = parts.iter().filter_map(Slot::part);
            paired.push(Turn::new(*role, said.collect()));
            continue;
        }
        let mut said: Vec<Part> = match role {
            Role::User => waiting.drain(..).collect(),
            _ => Vec::new(),
        };
        said.extend(parts.iter().filter_map(|part| match part {
            Slot::Part(part) => Some(part.clone()),
            // Whoever comes later has taken his own by now, or never will.
            Slot::Result(index) => results[*index].take().map(orphan),
        }));
        paired.push(Turn::new(*role, said));
    }
    flush(&mut waiting, &mut paired);
    paired
}

/// A part, or the place of a result.
enum Slot {
    Part(Part),
    Result(usize),
}

impl Slot {
    fn part(&self) -> Option<Part> {
        match self {
            Slot::Part(part) => Some(part.clone()),
            Slot::Result(_) => None,
        }
    }
}

/// The result of a call: by its id, else the next one of its name that has no id.
fn answer_to(
    call: &ToolCall,
    later: impl Iterator<Item = usize> + Clone,
    results: &mut [Option<ToolResult>],
) -> ToolResult {
    let by_id = later.clone().find(|index| {
        let result = results[*index].as_ref();
        result.is_some_and(|result| !result.id.is_empty() && result.id == call.id)
    });
    let by_name = || {
        later.clone().find(|index| {
            let result = results[*index].as_ref();
            result.is_some_and(|result| {
                (result.id.is_empty() || call.id.is_empty())
                    && result.name.as_ref().is_none_or(|name| *name == call.name)
            })
        })
    };
    let found = by_id.or_else(by_name);
    let mut result = found
        .and_then(|index| results[index].take())
        .unwrap_or_else(|| ToolResult {
            content: vec![Part::text(NO_RESULT)],
            is_error: true,
            ..ToolResult::default()
        });
    result.id = call.id.clone();
    result.name = Some(call.name.clone());
    result.custom = call.custom;
    result
}

/// A result of a call that nobody made, as text.
fn orphan(result: ToolResult) -> Part {
    let texts = result.content.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let of = result
        .name
        .map_or(String::new(), |name| format!(" of {name}"));
    Part::Text(format!("Result{of}: {text}"))
}

/// Results that no turn of the user's follows make one of their own.
fn flush(waiting: &mut VecDeque<Part>, paired: &mut Vec<Turn>) {
    if !waiting.is_empty() {
        paired.push(Turn::new(Role::User, waiting.drain(..).collect()));
    }
}
