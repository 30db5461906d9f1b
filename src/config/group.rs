//! What a provider may use alone, and what together with others that are one account at the vendor.
//!
//! The members of a group need not all say its limits, and may be in several models; so the limits of a group
//! are known only when the whole file was read.

use std::collections::HashMap;

use chrono_tz::Tz;

use super::Model;
use super::choice::one_of;
use super::limits::{self, at_once};
use super::node::{Fields, Keys, Node};
use super::reader::Reader;
use super::wording::quoted;
use crate::quota::Limits;
use crate::routing::Group;

const KEYS: Keys = Keys {
    read: &["name", "per", "rate_limit", "max_concurrent"],
    ..Keys::NONE
};

const EXPECTED: &str =
    "the name of a group, or an object with `name`, `per`, `rate_limit` and `max_concurrent`";
const EXPECTED_NAME: &str = "a name without `/`";

/// All groups of a file.
#[derive(Default)]
pub(super) struct Groups<'a> {
    known: HashMap<String, Known<'a>>,
}

/// What is known of one group.
struct Known<'a> {
    /// Where it was named first.
    first: Node<'a>,
    /// Its limits, and where they were said first.
    limits: Option<(Limits, String)>,
}

/// What a provider says of its group.
struct Member<'a> {
    name: String,
    /// Whether each of the vendor's models has the limits for itself.
    per_model: bool,
    rate_limit: Option<Node<'a>>,
    max_concurrent: Option<Node<'a>>,
}

/// Reads what a provider may use, alone and in its group. `model` is the model's name at the vendor.
pub(super) fn read<'a>(
    fields: &Fields<'a>,
    model: &str,
    timezone: Tz,
    groups: &mut Groups<'a>,
    reader: &mut Reader<'_>,
) -> (Limits, Option<Group>) {
    let rate_limit = fields.get("rate_limit");
    let limits = |node: Option<&Node<'_>>, reader: &mut Reader<'_>| {
        let limits = node.and_then(|node| limits::read(node, timezone, reader));
        limits.unwrap_or_default()
    };
    let mut own = limits(rate_limit.as_ref(), reader);
    let place = fields.get("quota_group");
    let member = place.as_ref().and_then(|node| member(node, reader));
    let (Some(node), Some(member)) = (place, member) else {
        own.max_concurrent = at_once(fields.get("max_concurrent"), own.max_concurrent, reader);
        return (own, None);
    };

    // A `rate_limit` beside the name of a group is the group's, unless that has one of its own.
    let mut shared = match &member.rate_limit {
        Some(node) => limits(Some(node), reader),
        None => std::mem::take(&mut own),
    };
    own.max_concurrent = at_once(fields.get("max_concurrent"), own.max_concurrent, reader);
    shared.max_concurrent = at_once(member.max_concurrent, shared.max_concurrent, reader);

    // Both kinds cannot meet, as no name has a `/`.
    let id = match member.per_model {
        true => format!("{}/{model}", member.name),
        false => member.name,
    };
    let said = member.rate_limit.or(rate_limit);
    groups.join(&id, &node, said.as_ref().unwrap_or(&node), &shared, reader);
    let group = Group { id, limits: shared };
    (own, Some(group))
}

fn member<'a>(node: &Node<'a>, reader: &mut Reader<'_>) -> Option<Member<'a>> {
    if node.text().is_some() {
        return Some(Member {
            name: name(node, reader)?,
            per_model: false,
            rate_limit: None,
            max_concurrent: None,
        });
    }
    let fields = reader.fields(node, &KEYS, EXPECTED)?;
    let named = reader.required(&fields, "name", EXPECTED_NAME);
    let per = [("account", false), ("model", true)];
    let per_model = one_of(fields.get("per"), &per, reader).unwrap_or(false);
    Some(Member {
        name: named.and_then(|node| name(&node, reader))?,
        per_model,
        rate_limit: fields.get("rate_limit"),
        max_concurrent: fields.get("max_concurrent"),
    })
}

fn name(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.name(node, EXPECTED_NAME)?;
    if name.contains('/') {
        reader.wrong(node, EXPECTED_NAME);
        return None;
    }
    Some(name)
}

impl<'a> Groups<'a> {
    /// Takes note of a member, named at `node`, and of the limits that it says at `said`, if it says any.
    fn join(
        &mut self,
        id: &str,
        node: &Node<'a>,
        said: &Node<'_>,
        limits: &Limits,
        reader: &mut Reader<'_>,
    ) {
        let known = self.known.entry(id.to_owned()).or_insert_with(|| Known {
            first: node.clone(),
            limits: None,
        });
        if limits.is_unlimited() {
            return;
        }
        match &known.limits {
            None => known.limits = Some((limits.clone(), said.path.clone())),
            Some((earlier, place)) if earlier != limits => {
                let found = format!("found other limits than in {place}");
                let expected = format!("expected the same for all of the group {}", quoted(id));
                let hint = "say them in one place only, or give each group a name".to_owned();
                reader.error_with(said, format!("{found}, {expected}"), Some(hint));
            }
            Some(_) => {}
        }
    }

    /// Gives all members the limits of their groups.
    pub(super) fn settle(self, models: &mut [Model], reader: &mut Reader<'_>) {
        for known in self.known.values().filter(|known| known.limits.is_none()) {
            let hint = "give one of its members a `rate_limit`".to_owned();
            reader.warn(&known.first, "found a group without limits", Some(hint));
        }
        let providers = models.iter_mut().flat_map(|model| &mut model.providers);
        for group in providers.filter_map(|provider| provider.group.as_mut()) {
            let known = self.known.get(&group.id);
            if let Some((limits, _)) = known.and_then(|known| known.limits.as_ref()) {
                group.limits = limits.clone();
            }
        }
    }
}
