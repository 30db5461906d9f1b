//! One model of the file: its names and its providers.

use std::collections::HashSet;
use std::path::Path;

use super::global::Defaults;
use super::group::Groups;
use super::node::{Entry, Keys};
use super::reader::Reader;
use super::{Model, provider, strategy};

const KEYS: Keys = Keys {
    read: &["providers", "aliases", "hidden", "strategy"],
    ..Keys::NONE
};

const EXPECTED: &str = "an object with `providers`";
const PROVIDERS: &str = "an array of providers";
const ALIASES: &str = "an array of names";

/// Reads one model. `names` holds all models of the file and gets its aliases, `groups` gets those of its
/// providers.
pub(super) fn read<'a>(
    entry: &Entry<'a>,
    defaults: &Defaults,
    folder: &Path,
    names: &mut HashSet<String>,
    groups: &mut Groups<'a>,
    reader: &mut Reader<'_>,
) -> Option<Model> {
    let stars = entry.key.matches('*').count();
    if stars > 1 {
        reader.key_error(
            entry,
            format!("found {stars} `*` in the name of a model, expected at most one"),
        );
    }
    if entry.key.is_empty() {
        reader.key_error(entry, "found an empty name, expected the name of a model");
    }
    if entry.key.contains(char::is_control) {
        reader.key_error(
            entry,
            "found a control character, expected the name of a model",
        );
    }
    let fields = reader.fields(&entry.value, &KEYS, EXPECTED)?;

    let mut aliases = Vec::new();
    for node in reader.elements(fields.get("aliases"), ALIASES) {
        let Some(alias) = reader.name(&node, "a name") else {
            continue;
        };
        if alias.contains('*') {
            reader.error(&node, "found a `*` in an alias, expected a plain name");
        } else if !names.insert(alias.clone()) {
            let found = node.shown();
            reader.error(
                &node,
                format!(
                    "found {found}, which is a model or an alias already, expected another name"
                ),
            );
        }
        aliases.push(alias);
    }

    let providers = reader.required(&fields, "providers", PROVIDERS);
    let mut provider_names = HashSet::new();
    let providers: Vec<_> = reader
        .elements(providers, PROVIDERS)
        .iter()
        .flat_map(|node| {
            provider::read(
                node,
                stars > 0,
                defaults,
                folder,
                &mut provider_names,
                groups,
                reader,
            )
        })
        .collect();
    if !providers.iter().any(|provider| provider.enabled) {
        reader.warn(
            &entry.value,
            "found no provider that is enabled, so nothing serves this model",
            None,
        );
    }

    if stars > 0
        && providers
            .iter()
            .any(|provider| provider.model.contains('*'))
    {
        for node in reader.elements(fields.get("aliases"), ALIASES) {
            reader.warn(
                &node,
                "found an alias of a pattern, which leaves nothing for the `*` in a provider's model",
                None,
            );
        }
    }

    Some(Model {
        name: entry.key.to_owned(),
        aliases,
        hidden: reader.flag(fields.get("hidden")).unwrap_or(false),
        strategy: strategy::read(fields.get("strategy"), reader).unwrap_or(defaults.strategy),
        providers,
    })
}
