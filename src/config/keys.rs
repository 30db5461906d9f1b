//! `api_keys` of a provider: several keys, and each is a provider of its own.

use std::collections::HashSet;

use super::node::{Keys, Node};
use super::reader::Reader;
use super::{expand, header};
use crate::routing::Provider;
use crate::secret::{KeyDigest, Secret};

const KEYS: Keys = Keys {
    read: &["name", "key", "enabled"],
    ..Keys::NONE
};

const EXPECTED: &str = "an array of keys";
const EXPECTED_ONE: &str = "a key, or an object with `name`, `key` and `enabled`";
const EXPECTED_NAME: &str = "a name that is unique within the array";

/// How many hexadecimal digits of a key's digest name it.
const DIGITS: usize = 6;

/// One key of a provider.
struct Key {
    /// What it is called, or the beginning of its digest. Not where it stands, so that what was counted
    /// stays with its key when others are added or removed.
    name: String,
    secret: Secret,
    enabled: bool,
}

/// Makes a provider for each key of an array, with everything else as `provider` has it.
pub(super) fn spread(
    node: &Node<'_>,
    provider: Provider,
    names: &mut HashSet<String>,
    reader: &mut Reader<'_>,
) -> Vec<Provider> {
    let elements = reader.elements(Some(node.clone().secret()), EXPECTED);
    if node.is_array() && elements.is_empty() {
        reader.error(node, "found an empty array, expected at least one key");
    }
    let mut providers = Vec::new();
    let mut known = HashSet::new();
    let mut none_is_meant = !elements.is_empty();
    for element in &elements {
        let Some(keys) = read(element, provider.enabled, reader) else {
            none_is_meant = false;
            continue;
        };
        for key in keys {
            none_is_meant = false;
            if !key.secret.is_empty() && !known.insert(KeyDigest::of(key.secret.expose()).bytes()) {
                reader.warn(element, "found a key a second time, used once", None);
                continue;
            }
            refuse_client(&key.secret, element, reader);
            let name = format!("{}#{}", provider.name, key.name);
            if !names.insert(name.clone()) {
                let message = format!("found a second name for a key, expected {EXPECTED_NAME}");
                reader.error(element, message);
            }
            providers.push(Provider {
                name,
                api_key: key.secret,
                enabled: provider.enabled && key.enabled,
                ..provider.clone()
            });
        }
    }
    reader.switched_off = !provider.enabled;
    if none_is_meant && provider.enabled {
        reader.error(node, "found no key in it, expected at least one");
    }
    // What is switched off and still waits for its keys stands for itself.
    if providers.is_empty() {
        providers.push(provider);
    }
    providers
}

/// A later version then passes on what the client sent; here it would be sent as a key.
pub(super) fn refuse_client(key: &Secret, node: &Node<'_>, reader: &mut Reader<'_>) {
    if key.expose() == "client" {
        let found = "found \"client\", which is not supported by this version";
        reader.error(node, format!("{found}, expected the key of this provider"));
    }
}

/// The keys of one element; `None` after a mistake.
fn read(element: &Node<'_>, provider_enabled: bool, reader: &mut Reader<'_>) -> Option<Vec<Key>> {
    reader.switched_off = !provider_enabled;
    if element.text().is_some() {
        let key = |secret: Secret| Key {
            name: KeyDigest::of(secret.expose()).short(DIGITS),
            secret,
            enabled: true,
        };
        let keys = in_text(element, reader)?;
        return Some(keys.into_iter().map(key).collect());
    }
    let fields = reader.fields(element, &KEYS, EXPECTED_ONE)?;
    let enabled = reader.flag(fields.get("enabled")).unwrap_or(true);
    let named = fields.get("name");
    let name = named.and_then(|node| reader.name(&node, EXPECTED_NAME));
    reader.switched_off = !provider_enabled || !enabled;
    let node = reader.required(&fields, "key", "a key")?;
    let secret = header::required_key(node, reader);
    let waits = secret.is_none() && reader.switched_off;
    let digest = |secret: &Secret| KeyDigest::of(secret.expose()).short(DIGITS);
    let Some(name) = name.or_else(|| secret.as_ref().map(digest)) else {
        return waits.then(Vec::new);
    };
    Some(vec![Key {
        name,
        secret: secret.unwrap_or_else(|| Secret::new("")),
        enabled,
    }])
}

/// The keys in a text: one, or several between commas, as a variable may hold them. None where the text says
/// with `${NAME:-}` that there may be none, or waits for its variable; `None` after a mistake.
pub(super) fn in_text(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Vec<Secret>> {
    let node = node.clone().secret();
    let Some(text) = reader.text(&node, "a key") else {
        return reader.switched_off.then(Vec::new);
    };
    let written = node.text().unwrap_or_default();
    let may_be_empty = written.contains("${") && expand::without_default(written).is_none();
    if text.is_empty() && (may_be_empty || reader.switched_off) {
        return Some(Vec::new());
    }
    let several = text.contains(',');
    let parts = text.split(',');
    let keys: Vec<&str> = match several {
        true => parts.map(str::trim).filter(|key| !key.is_empty()).collect(),
        false => parts.collect(),
    };
    if keys.is_empty() || text.is_empty() {
        reader.error(&node, "found an empty text, expected a key");
        return None;
    }
    for key in &keys {
        header::check_key(key, &node, reader);
    }
    Some(keys.into_iter().map(Secret::new).collect())
}
