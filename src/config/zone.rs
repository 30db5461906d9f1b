//! Time zones, always by their IANA name: an offset would be wrong after the next change of clocks.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::node::Node;
use super::reader::Reader;
use super::wording::{did_you_mean, nearest, quoted};

const EXPECTED: &str = "an IANA time zone such as Europe/Berlin";

/// A time zone of the file.
pub(super) fn read(node: &Node<'_>, reader: &mut Reader<'_>) -> Option<Tz> {
    let name = reader.filled_text(node, EXPECTED)?;
    let zone = name.parse().ok();
    if zone.is_none() {
        let message = format!("found {}, expected {EXPECTED}", node.shown());
        reader.error_with(node, message, resembling(&name));
    }
    zone
}

/// The time zone that the environment variable `TZ` names, UTC when it is unset or empty.
pub(super) fn of_environment(reader: &mut Reader<'_>) -> Tz {
    let text = reader.variable("TZ").unwrap_or_default();
    // POSIX lets the name of a zone begin with a colon.
    let name = text.strip_prefix(':').unwrap_or(&text);
    if name.is_empty() {
        return Tz::UTC;
    }
    name.parse().unwrap_or_else(|_| {
        let found = quoted(&text);
        let message = format!("found {found} in the environment variable TZ, expected {EXPECTED}");
        reader.error_at(None, "", message, resembling(name));
        Tz::UTC
    })
}

fn resembling(name: &str) -> Option<String> {
    did_you_mean(nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())))
}
