//! Calls and their results, brought together.

use std::collections::HashSet;

use crate::chat::{Part, Role, ToolCall, ToolResult, Turn};

/// What a tool is taken to have said that was called and never heard of again.
const NO_RESULT: &str = "(no result)";

/// A result that nobody has claimed yet, and in which turn it stood.
struct Unclaimed {
    turn: usize,
    result: Option<ToolResult>,
}

/// A part of a turn, or the place of a result.
enum Slot {
    Part(Part),
    Result(usize),
}

/// Puts the results of each turn's calls at the head of the turn after it, in the order of the calls. A call without a
/// result gets one; a result without a call becomes text.
pub(super) fn pair(turns: Vec<Turn>) -> Vec<Turn> {
    let mut results = Vec::new();
    let ids = call_ids(&turns);
    let turns: Vec<(Role, Vec<Slot>)> = turns
        .into_iter()
        .enumerate()
        .map(|(at, turn)| (turn.role, take_results(at, turn.parts, &mut results)))
        .collect();
    let mut paired: Vec<Turn> = Vec::with_capacity(turns.len() + 1);
    // Results of the calls so far, for the user's next turn.
    let mut waiting: Vec<Part> = Vec::new();
    for (at, (role, slots)) in turns.into_iter().enumerate() {
        // Nothing may stand between calls and their results, instructions neither.
        if role != Role::User {
            flush(&mut waiting, &mut paired);
        }
        let mut said = match role {
            Role::User => std::mem::take(&mut waiting),
            Role::System | Role::Assistant => Vec::new(),
        };
        for slot in slots {
            match slot {
                Slot::Part(part) => {
                    if let Part::Call(call) = &part {
                        let result = answer_to(call, at, &ids, &mut results);
                        waiting.push(Part::Result(result));
                    }
                    said.push(part);
                }
                // Whose it is has claimed it by now, or nobody will.
                Slot::Result(index) => {
                    said.extend(results[index].result.take().into_iter().flat_map(orphan));
                }
            }
        }
        paired.push(Turn::new(role, said));
    }
    flush(&mut waiting, &mut paired);
    paired
}

/// Takes the results out of a turn, and leaves marks where they stood.
fn take_results(turn: usize, parts: Vec<Part>, results: &mut Vec<Unclaimed>) -> Vec<Slot> {
    let slots = parts.into_iter().map(|part| match part {
        Part::Result(result) => {
            let result = Some(result);
            results.push(Unclaimed { turn, result });
            Slot::Result(results.len() - 1)
        }
        other => Slot::Part(other),
    });
    slots.collect()
}

/// The result of a call in this turn: by its id, else the next one of its name where ids are missing.
fn answer_to(
    call: &ToolCall,
    turn: usize,
    ids: &HashSet<String>,
    results: &mut [Unclaimed],
) -> ToolResult {
    let by_id = |result: &ToolResult| !result.id.is_empty() && result.id == call.id;
    let by_name = |result: &ToolResult| {
        (result.id.is_empty() || call.id.is_empty() && !ids.contains(&result.id))
            && result.name.as_ref().is_none_or(|name| *name == call.name)
    };
    let find = |is_it: &dyn Fn(&ToolResult) -> bool| {
        let later = |unclaimed: &Unclaimed| unclaimed.turn >= turn;
        results
            .iter()
            .position(|unclaimed| later(unclaimed) && unclaimed.result.as_ref().is_some_and(is_it))
    };
    let found = find(&by_id).or_else(|| find(&by_name));
    let mut result = found
        .and_then(|index| results[index].result.take())
        .unwrap_or_else(|| ToolResult {
            content: vec![Part::text(NO_RESULT)],
            is_error: true,
            ..ToolResult::default()
        });
    result.id.clone_from(&call.id);
    result.name = Some(call.name.clone());
    result.custom = call.custom;
    result
}

/// The ids of all calls: a result with one of them is no other call's.
fn call_ids(turns: &[Turn]) -> HashSet<String> {
    let parts = turns.iter().flat_map(|turn| &turn.parts);
    let ids = parts.filter_map(|part| match part {
        Part::Call(call) => Some(call.id.clone()),
        _ => None,
    });
    ids.collect()
}

/// A result of a call that nobody made: as text, and what it shows.
fn orphan(result: ToolResult) -> impl Iterator<Item = Part> {
    let texts = result.content.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    let of = match result.name {
        Some(name) => format!(" of {name}"),
        None => String::new(),
    };
    let media = result.content.into_iter();
    let media = media.filter(|part| matches!(part, Part::Media(_)));
    std::iter::once(Part::Text(format!("Result{of}: {text}"))).chain(media)
}

/// Results that no turn of the user's follows make one of their own.
fn flush(waiting: &mut Vec<Part>, paired: &mut Vec<Turn>) {
    if !waiting.is_empty() {
        paired.push(Turn::new(Role::User, std::mem::take(waiting)));
    }
}
