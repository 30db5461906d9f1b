//! One provider of a model.

use std::collections::HashSet;
use std::path::Path;

use super::global::Defaults;
use super::group::Groups;
use super::node::{Fields, Keys, Node};
use super::reader::Reader;
use super::{authorities, dialect, endpoint, group, header, keys};
use crate::quota::Count;
use crate::routing::{Provider, Tls};
use crate::secret::Secret;

const KEYS: Keys = Keys {
    read: &[
        "name",
        "endpoint",
        "api_key",
        "model",
        "priority",
        "weight",
        "rate_limit",
        "quota_group",
        "max_concurrent",
        "count",
        "retry",
        "timeout",
        "first_byte_timeout",
        "stream_idle_timeout",
        "connect_timeout",
        "stream_support",
        "non_stream_support",
        "enabled",
        "custom_headers",
        "max_context_length",
        "tls",
        "api_keys",
        "protocol",
        "default_max_tokens",
        "max_tokens_field",
        "include_usage",
        "thinking_style",
        "schema_style",
        "drop_params",
        "anthropic_version",
        "dummy_signature",
    ],
    unsupported: &["proxy"],
    ..Keys::NONE
};

const TLS_KEYS: Keys = Keys {
    read: &["ca_file", "insecure_skip_verify"],
    ..Keys::NONE
};

/// Reads one provider, which is as many as it has keys. `names` are those of the model's providers so far,
/// `groups` those of the file.
pub(super) fn read<'a>(
    node: &Node<'a>,
    model_is_pattern: bool,
    defaults: &Defaults,
    folder: &Path,
    names: &mut HashSet<String>,
    groups: &mut Groups<'a>,
    reader: &mut Reader<'_>,
) -> Vec<Provider> {
    let expected = "an object with `name`, `endpoint`, `api_key` and `model`";
    let Some(fields) = reader.fields(node, &KEYS, expected) else {
        return Vec::new();
    };
    let name = name(&fields, names, reader);

    // What is switched off may wait for its variables; but its name is what its counts are kept under.
    let enabled = reader.flag(fields.get("enabled")).unwrap_or(true);
    reader.switched_off = !enabled;
    let timeout = reader
        .seconds(fields.get("timeout"))
        .unwrap_or(defaults.timeout);
    let (stream_support, non_stream_support) = support(&fields, reader);
    let model = model(&fields, model_is_pattern, reader).unwrap_or_default();
    let (limits, group) = group::read(&fields, &model, defaults.timezone, groups, reader);
    let keys = fields.get("api_keys");
    let provider = Provider {
        name: name.unwrap_or_default(),
        endpoint: endpoint(&fields, reader).unwrap_or_default(),
        dialect: dialect::read(&fields, reader),
        api_key: key(&fields, keys.as_ref(), reader),
        model,
        priority: reader.whole(fields.get("priority"), 0).unwrap_or(1),
        weight: reader.whole(fields.get("weight"), 0).unwrap_or(10),
        limits,
        group,
        count: count(&fields, reader),
        retry: reader
            .whole(fields.get("retry"), 0)
            .unwrap_or(defaults.retry),
        timeout,
        first_byte_timeout: reader.seconds(fields.get("first_byte_timeout")),
        stream_idle_timeout: reader
            .seconds(fields.get("stream_idle_timeout"))
            .or(defaults.stream_idle_timeout)
            .unwrap_or(timeout),
        connect_timeout: reader
            .seconds(fields.get("connect_timeout"))
            .unwrap_or(defaults.connect_timeout),
        stream_support,
        non_stream_support,
        enabled,
        custom_headers: header::custom(fields.get("custom_headers"), reader),
        max_context_length: reader.whole(fields.get("max_context_length"), 1),
        tls: tls(&fields, folder, reader),
    };
    let providers = match keys {
        Some(node) => keys::spread(&node, provider, names, reader),
        None => vec![provider],
    };
    reader.switched_off = false;
    providers
}

fn name(
    fields: &Fields<'_>,
    names: &mut HashSet<String>,
    reader: &mut Reader<'_>,
) -> Option<String> {
    const EXPECTED: &str = "a name that is unique within the model";
    let node = reader.required(fields, "name", EXPECTED)?;
    let name = reader.name(&node, EXPECTED)?;
    if !names.insert(name.clone()) {
        let found = node.shown();
        reader.error(
            &node,
            format!("found {found} a second time, expected {EXPECTED}"),
        );
    }
    Some(name)
}

fn endpoint(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<String> {
    // Never shown: it may hold a password, or be a key that slipped into the wrong line.
    let node = reader
        .required(fields, "endpoint", endpoint::EXPECTED)?
        .secret();
    let text = reader.filled_text(&node, endpoint::EXPECTED)?;
    match endpoint::normalize(&text) {
        Ok(endpoint) => {
            if endpoint::names_a_resource(&endpoint) {
                let hint = "paths such as /chat/completions are appended".to_owned();
                reader.warn(
                    &node,
                    "found a URL that ends like a full request path",
                    Some(hint),
                );
            }
            Some(endpoint)
        }
        Err(found) => {
            reader.error(
                &node,
                format!("found {found}, expected {}", endpoint::EXPECTED),
            );
            None
        }
    }
}

/// The one key; none where there are `several`.
fn key(fields: &Fields<'_>, several: Option<&Node<'_>>, reader: &mut Reader<'_>) -> Secret {
    let node = match several {
        Some(node) => {
            if fields.get("api_key").is_some() {
                let message = "found `api_keys` beside `api_key`, expected one of them";
                reader.error(node, message);
            }
            None
        }
        None => reader.required(fields, "api_key", "the key of this provider"),
    };
    let key = node.and_then(|node| {
        let key = header::required_key(node.clone(), reader)?;
        keys::refuse_client(&key, &node, reader);
        Some(key)
    });
    key.unwrap_or_else(|| Secret::new(""))
}

fn model(fields: &Fields<'_>, model_is_pattern: bool, reader: &mut Reader<'_>) -> Option<String> {
    const EXPECTED: &str = "the name of the model at the provider";
    let node = reader.required(fields, "model", EXPECTED)?;
    let model = reader.name(&node, EXPECTED)?;
    match model.matches('*').count() {
        0 => {}
        1 if model_is_pattern => {}
        1 => reader.error(
            &node,
            "found a `*` although the model's own name has none, expected a plain name",
        ),
        stars => reader.error(&node, format!("found {stars} `*`, expected at most one")),
    }
    Some(model)
}

fn count(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Count {
    const EXPECTED: &str = "\"success\" or \"attempts\"";
    let Some(node) = fields.get("count") else {
        return Count::default();
    };
    match reader.text(&node, EXPECTED).as_deref() {
        Some("attempts") => Count::Attempts,
        Some("success") | None => Count::Success,
        Some(_) => {
            reader.wrong(&node, EXPECTED);
            Count::Success
        }
    }
}

fn support(fields: &Fields<'_>, reader: &mut Reader<'_>) -> (bool, bool) {
    let stream = reader.flag(fields.get("stream_support")).unwrap_or(true);
    let non_stream_node = fields.get("non_stream_support");
    let non_stream = reader.flag(non_stream_node.clone()).unwrap_or(true);
    if let Some(node) = non_stream_node
        && !stream
        && !non_stream
    {
        reader.wrong(&node, "true, as `stream_support` is false too");
    }
    (stream, non_stream)
}

fn tls(fields: &Fields<'_>, folder: &Path, reader: &mut Reader<'_>) -> Tls {
    let fields = fields.get("tls").and_then(|node| {
        reader.fields(
            &node,
            &TLS_KEYS,
            "an object with `ca_file` or `insecure_skip_verify`",
        )
    });
    let get = |key| fields.as_ref().and_then(|fields| fields.get(key));
    Tls {
        authorities: get("ca_file")
            .and_then(|node| authorities::read(&node, folder, reader))
            .unwrap_or_default(),
        insecure_skip_verify: reader.flag(get("insecure_skip_verify")).unwrap_or(false),
    }
}
