//! One of a few words.

use super::node::Node;
use super::reader::Reader;
use super::wording::{did_you_mean, nearest};

/// Reads one of the words of `known` and returns what it means.
pub(super) fn one_of<T: Copy>(
    node: Option<Node<'_>>,
    known: &[(&'static str, T)],
    reader: &mut Reader<'_>,
) -> Option<T> {
    let words: Vec<String> = known.iter().map(|(word, _)| format!("{word:?}")).collect();
    let expected = match words.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    };
    let node = node?;
    let word = reader.text(&node, &expected)?;
    let found = known.iter().find(|(known, _)| *known == word);
    if found.is_none() {
        let hint = did_you_mean(nearest(&word, known.iter().map(|(word, _)| *word)));
        let message = format!("found {}, expected {expected}", node.shown());
        reader.error_with(&node, message, hint);
    }
    found.map(|(_, meaning)| *meaning)
}
