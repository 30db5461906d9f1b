//! Signatures on their way through clients that speak another dialect than their maker.
//!
//! A signature only ever goes back to its maker. On a client's side it is marked with whose it is, so that it can be
//! told from the client's own vendor's when it comes back. (protocols.md 3.1)

use crate::chat::{Signed, Vendor};

const MARKS: [(Vendor, &str); 3] = [
    (Vendor::OpenAi, "oa:"),
    (Vendor::Anthropic, "an:"),
    (Vendor::Google, "ge:"),
];

/// A signature as a client of vendor `own` gets it: as it is if that vendor made it, else marked.
pub(crate) fn wrap(signed: &Signed, own: Vendor) -> String {
    if signed.origin == own {
        return signed.blob.clone();
    }
    let mark = MARKS.iter().find(|(vendor, _)| *vendor == signed.origin);
    format!("{}{}", mark.map_or("", |(_, mark)| mark), signed.blob)
}

/// What a client of vendor `own` sends back.
pub(crate) fn unwrap(text: &str, own: Vendor) -> Signed {
    let marked = MARKS
        .iter()
        .find_map(|(vendor, mark)| Some((*vendor, text.strip_prefix(mark)?)));
    let (origin, blob) = marked.unwrap_or((own, text));
    Signed {
        origin,
        blob: blob.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_as_what_it_was() {
        for origin in [Vendor::OpenAi, Vendor::Anthropic, Vendor::Google] {
            for own in [Vendor::OpenAi, Vendor::Anthropic, Vendor::Google] {
                let signed = Signed {
                    origin,
                    blob: "EqQB+/=".into(),
                };
                assert_eq!(unwrap(&wrap(&signed, own), own), signed);
            }
        }
    }
}
