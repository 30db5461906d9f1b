//! What tools are called on either side. Vendors allow different letters and lengths, and only one of them knows
//! groups of tools and tools that take text.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use crate::chat::{Part, Request, Tool, ToolChoice};
use crate::protocol::dialect::Protocol;

/// The longest name and the longest id that everybody takes, in bytes.
const LENGTH_MAX: usize = 64;

/// By the name that a provider is told: the tool as the client knows it.
#[derive(Clone, Debug, Default)]
pub(in crate::protocol) struct Names(HashMap<String, Original>);

/// A tool as the client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Original {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) custom: bool,
    /// Whether a provider knows it as a function that takes an object with its text.
    pub(super) wrapped: bool,
}

impl Names {
    /// Renames the tools of a request for a provider, wherever they are spoken of.
    pub(super) fn of(request: &mut Request, to: Protocol) -> Names {
        let mut names = Names::default();
        if to == Protocol::Responses {
            names.valid_only(request, to); // groups and text it has itself
            return names;
        }
        let mut sent: HashMap<(Option<String>, String), String> = HashMap::new();
        for tool in &mut request.tools {
            let original = Original {
                name: tool.name.clone(),
                namespace: tool.namespace.take(),
                custom: tool.custom.is_some(),
                wrapped: tool.custom.is_some(),
            };
            let key = (original.namespace.clone(), original.name.clone());
            tool.name = names.add(original, to);
            sent.insert(key, tool.name.clone());
            describe_as_function(tool);
        }
        for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            let Part::Call(call) = part else { continue };
            let key = (call.namespace.take(), call.name.clone());
            // A tool that is no longer offered keeps the name it would have.
            let name = sent.entry(key).or_insert_with_key(|(namespace, name)| {
                valid(&flat(namespace.as_deref(), name), to)
            });
            call.name.clone_from(name);
            if std::mem::take(&mut call.custom) {
                call.arguments = json!({ "input": call.arguments }).to_string();
            }
        }
        let renamed = |name: &String| {
            let exact = sent.get(&(None, name.clone()));
            // A choice does not tell the group: the first that has one of that name.
            let grouped = || {
                let mut tools = request.tools.iter().map(|tool| &tool.name);
                tools.find(|sent| names.original(sent).is_some_and(|own| own.name == *name))
            };
            exact.or_else(grouped).unwrap_or(name).clone()
        };
        match &mut request.tool_choice {
            Some(ToolChoice::Tool(name)) => *name = renamed(name),
            Some(ToolChoice::Allowed(_, names)) => {
                names.iter_mut().for_each(|name| *name = renamed(name));
            }
            _ => {}
        }
        names
    }

    /// Renames only what has letters that this provider does not allow.
    fn valid_only(&mut self, request: &mut Request, to: Protocol) {
        for tool in &mut request.tools {
            let wanted = valid(&tool.name, to);
            if wanted != tool.name {
                let sent = distinct(wanted, |name| self.0.contains_key(name));
                let original = Original {
                    name: std::mem::replace(&mut tool.name, sent.clone()),
                    namespace: tool.namespace.clone(),
                    custom: tool.custom.is_some(),
                    wrapped: false,
                };
                self.0.insert(sent, original);
            }
        }
        let rename = |name: &mut String| {
            let known = self.0.iter().find(|(_, own)| own.name == *name);
            *name = known.map_or_else(|| valid(name, to), |(sent, _)| sent.clone());
        };
        for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            if let Part::Call(call) = part {
                rename(&mut call.name);
            }
        }
        match &mut request.tool_choice {
            Some(ToolChoice::Tool(name)) => rename(name),
            Some(ToolChoice::Allowed(_, names)) => names.iter_mut().for_each(rename),
            _ => {}
        }
    }

    fn add(&mut self, original: Original, to: Protocol) -> String {
        let wanted = valid(&flat(original.namespace.as_deref(), &original.name), to);
        let name = distinct(wanted, |name| self.0.contains_key(name));
        self.0.insert(name.clone(), original);
        name
    }

    /// The tool that a provider calls by this name.
    pub(super) fn original(&self, name: &str) -> Option<&Original> {
        self.0.get(name)
    }
}

/// A tool that takes text becomes one that takes an object with a text in it.
fn describe_as_function(tool: &mut Tool) {
    let Some(grammar) = tool.custom.take() else {
        return;
    };
    if let Some(definition) = grammar.definition {
        let description = tool.description.get_or_insert_default();
        description.push_str("\n\nThe input must follow this grammar:\n");
        description.push_str(&definition);
    }
    tool.schema = Some(json!({
        "type": "object",
        "properties": { "input": { "type": "string" } },
        "required": ["input"],
    }));
    tool.strict = None;
}

fn flat(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}

/// A name of the letters and the length that a provider allows.
fn valid(name: &str, to: Protocol) -> String {
    let more: &[u8] = match to {
        Protocol::Gemini => b"_-.:",
        _ => b"_-",
    };
    let name = restricted(name, more);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    match to {
        Protocol::Gemini if !begins_well => restricted(&format!("_{name}"), more),
        _ if name.is_empty() => "_".to_owned(),
        _ => name,
    }
}

/// A text in which only ASCII letters, digits and these remain, cut where it is too long.
fn restricted(text: &str, more: &[u8]) -> String {
    let is_good =
        |c: char| c.is_ascii() && (c.is_ascii_alphanumeric() || more.contains(&(c as u8)));
    let good = |c: char| if is_good(c) { c } else { '_' };
    text.chars().map(good).take(LENGTH_MAX).collect()
}

/// An id of a call that every provider takes and that none of `taken` is; the same id gives the same.
pub(super) fn sent_id(id: &str, taken: &mut HashSet<String>) -> String {
    let wanted = match restricted(id, b"_-") {
        id if id.is_empty() => "call".to_owned(),
        id => id,
    };
    let id = distinct(wanted, |id| taken.contains(id));
    taken.insert(id.clone());
    id
}

/// The text itself, or with a number behind it if it is taken.
fn distinct(wanted: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&wanted) {
        return wanted;
    }
    let numbered = |n: usize| {
        let end = format!("_{n}");
        let room = LENGTH_MAX - end.len();
        format!("{}{end}", &wanted[..wanted.len().min(room)])
    };
    (1..)
        .map(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or(wanted)
}
