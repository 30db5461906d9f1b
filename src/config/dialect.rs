//! How a provider speaks: which dialect, and where it differs from others of it.

use super::choice::one_of;
use super::node::{Fields, Node};
use super::reader::Reader;
use crate::protocol::{Dialect, MaxTokensField, Protocol, SchemaStyle, ThinkingStyle};

/// Reads how a provider speaks.
pub(super) fn read(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Dialect {
    let protocols = Protocol::ALL.map(|protocol| (protocol.name(), protocol));
    let protocol = one_of(fields.get("protocol"), &protocols, reader).unwrap_or_default();
    let plain = Dialect::plain(protocol);
    let limits = [
        ("max_tokens", MaxTokensField::MaxTokens),
        ("max_completion_tokens", MaxTokensField::MaxCompletionTokens),
    ];
    let thinking = [
        ("effort", ThinkingStyle::Effort),
        ("budget", ThinkingStyle::Budget),
    ];
    let schemas = [
        ("json_schema", SchemaStyle::JsonSchema),
        ("openapi", SchemaStyle::OpenApi),
    ];
    Dialect {
        protocol,
        default_max_tokens: reader
            .whole(fields.get("default_max_tokens"), 1)
            .unwrap_or(plain.default_max_tokens),
        max_tokens_field: one_of(fields.get("max_tokens_field"), &limits, reader)
            .unwrap_or_default(),
        include_usage: reader
            .flag(fields.get("include_usage"))
            .unwrap_or(plain.include_usage),
        thinking_style: one_of(fields.get("thinking_style"), &thinking, reader).unwrap_or_default(),
        schema_style: one_of(fields.get("schema_style"), &schemas, reader).unwrap_or_default(),
        drop_params: drop_params(fields.get("drop_params"), reader),
        anthropic_version: text(fields, "anthropic_version", reader)
            .unwrap_or(plain.anthropic_version),
        dummy_signature: text(fields, "dummy_signature", reader).unwrap_or(plain.dummy_signature),
    }
}

fn text(fields: &Fields<'_>, key: &'static str, reader: &mut Reader<'_>) -> Option<String> {
    let node = fields.get(key)?;
    reader.text(&node, "a text")
}

fn drop_params(node: Option<Node<'_>>, reader: &mut Reader<'_>) -> Vec<String> {
    let expected = format!("one of {}", Dialect::DROPPABLE.join(", "));
    let mut names = Vec::new();
    for node in reader.elements(node, "an array of names of parameters") {
        let Some(name) = reader.text(&node, &expected) else {
            continue;
        };
        match Dialect::DROPPABLE.contains(&name.as_str()) {
            true => names.push(name),
            false => reader.wrong(&node, &expected),
        }
    }
    names
}
