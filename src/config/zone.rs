//! Time zones, always by their IANA name: an offset would be wrong after the next change of clocks.

use std::path::{Path, PathBuf};

use chrono_tz::{TZ_VARIANTS, Tz};

use super::node::Node;
use super::reader::Reader;
use super::wording::{did_you_mean, nearest, quoted};

const EXPECTED: &str = "an IANA time zone such as Europe/Berlin";

/// A link to the zone of the machine, by which systems tell it.
const LOCALTIME: &str = "/etc/localtime";

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
    zone_of(&text).unwrap_or_else(|| {
        let found = quoted(&text);
        let message = format!("found {found} in the environment variable TZ, expected {EXPECTED}");
        let hint = resembling(text.trim_start_matches(':'));
        reader.error_at(None, "", message, hint);
        Tz::UTC
    })
}

/// The time zone that `TZ` with this value means: an IANA name, or a file that is called by one. UTC when
/// it is empty.
pub fn zone_of(text: &str) -> Option<Tz> {
    named(text, || std::fs::read_link(LOCALTIME).ok())
}

/// `localtime` tells where [`LOCALTIME`] leads.
fn named(text: &str, localtime: impl FnOnce() -> Option<PathBuf>) -> Option<Tz> {
    // POSIX lets the name of a zone, and wants the name of a file, begin with a colon.
    let name = text.strip_prefix(':').unwrap_or(text);
    if name.is_empty() {
        return Some(Tz::UTC);
    }
    if name == LOCALTIME {
        return of_file(&localtime()?);
    }
    name.parse().ok().or_else(|| of_file(Path::new(name)))
}

/// The zone by whose name a file of the system's zones is called.
fn of_file(path: &Path) -> Option<Tz> {
    let (_, name) = path.to_str()?.split_once("zoneinfo/")?;
    // The same zones, with and without leap seconds.
    let name = name.strip_prefix("posix/").unwrap_or(name);
    name.strip_prefix("right/").unwrap_or(name).parse().ok()
}

fn resembling(name: &str) -> Option<String> {
    did_you_mean(nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_may_be_named_by_its_file() {
        let berlin = Some(Tz::Europe__Berlin);
        let link = || Some(PathBuf::from("../usr/share/zoneinfo/Europe/Berlin"));
        for (text, expected) in [
            ("", Some(Tz::UTC)),
            (":", Some(Tz::UTC)),
            ("Europe/Berlin", berlin),
            (":Europe/Berlin", berlin),
            ("/etc/localtime", berlin),
            (":/etc/localtime", berlin),
            ("/usr/share/zoneinfo/Europe/Berlin", berlin),
            (":/usr/share/zoneinfo/posix/Europe/Berlin", berlin),
            ("/etc/timezone", None),
            ("/usr/share/zoneinfo/Nowhere", None),
            ("CET-1CEST", None),
        ] {
            assert_eq!(named(text, link), expected, "{text}");
        }
        // A copy instead of a link has no name.
        assert_eq!(named("/etc/localtime", || None), None);
    }
}
