//! The file as a whole: `_global`, and one key for each model.

use std::collections::HashSet;
use std::path::Path;

use super::group::Groups;
use super::node::{Entry, Fields, Node};
use super::reader::Reader;
use super::wording::{did_you_mean, nearest};
use super::{Global, Model, clients, global, model, syntax};

/// Reads the whole text; `None` when it is no JSON.
pub(super) fn read(
    text: &str,
    folder: &Path,
    reader: &mut Reader<'_>,
) -> Option<(Global, Vec<Model>)> {
    let tree = syntax::tree(text, reader)?;
    syntax::survey(&tree, text, reader);
    let root = Node::root(&tree);
    let (reserved, models): (Vec<_>, Vec<_>) = reader
        .entries(Some(root.clone()), "an object with a key for each model")
        .into_iter()
        .partition(|entry| entry.key.starts_with(['_', '$']));
    if models.is_empty() {
        reader.warn(&root, "found no model", None);
    }

    // Models take defaults from `_global`, and it names models: both wherever it stands.
    let global_fields = reserved_fields(reserved, reader);
    let (mut global, defaults) = global::read(global_fields.as_ref(), reader);
    let mut names: HashSet<String> = models.iter().map(|entry| entry.key.to_owned()).collect();
    let mut groups = Groups::default();
    let mut models: Vec<Model> = models
        .into_iter()
        .filter_map(|entry| model::read(&entry, &defaults, folder, &mut names, &mut groups, reader))
        .collect();
    groups.settle(&mut models, reader);
    global.model_redirects = global::redirects(global_fields.as_ref(), &names, reader);
    global.clients = clients::read(global_fields.as_ref(), &global, &names, reader);
    Some((global, models))
}

/// The fields of `_global`, after the other reserved keys were looked at.
fn reserved_fields<'a>(reserved: Vec<Entry<'a>>, reader: &mut Reader<'_>) -> Option<Fields<'a>> {
    let mut fields = None;
    for entry in reserved {
        if entry.key == global::KEY {
            if !entry.value.is_null() {
                fields = reader.fields(&entry.value, &global::KEYS, "an object with settings");
            }
        } else if entry.key != "$schema" {
            let hint = did_you_mean(nearest(entry.key, [global::KEY, "$schema"]));
            reader.unread_key(
                entry.at,
                entry.value.path,
                "found an unknown reserved key",
                hint,
            );
        }
    }
    fields
}
