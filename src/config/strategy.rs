//! `strategy`: how the providers of one priority are put in order.

use super::choice::one_of;
use super::node::Node;
use super::reader::Reader;
use crate::routing::Strategy;

const KNOWN: [(&str, Strategy); 2] = [
    ("weighted_round_robin", Strategy::WeightedRoundRobin),
    ("quota", Strategy::Quota),
];

/// Those of other gateways. They differ in the order alone, so they can be ignored.
const UNSUPPORTED: [&str; 4] = ["random", "round_robin", "least_connections", "performance"];

/// Reads a strategy.
pub(super) fn read(node: Option<Node<'_>>, reader: &mut Reader<'_>) -> Option<Strategy> {
    let unsupported = |node: &Node<'_>| node.text().is_some_and(|word| UNSUPPORTED.contains(&word));
    if let Some(node) = node.as_ref().filter(|node| unsupported(node)) {
        let what = format!(
            "found {}, which is not supported by this version",
            node.shown()
        );
        reader.unread_key(node.at(), node.path.clone(), &what, None);
        return None;
    }
    one_of(node, &KNOWN, reader)
}
