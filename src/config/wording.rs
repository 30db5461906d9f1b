//! How names and texts of the file appear in messages: on one line, shortened, and with the name
//! that was probably meant.

/// What the keys of well-known providers begin with, in lower case, and the word that stands before keys.
const KEY_BEGINNINGS: [&str; 6] = ["sk-", "aiza", "gsk_", "xai-", "hf_", "bearer "];

/// The longest text that a message repeats, in characters: keys are longer.
const TEXT_CHARS_MAX: usize = 20;

/// The longest piece of the file that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// The longest name for which a similar one is sought, in bytes.
const NAME_LEN_MAX: usize = 200;

/// Whether a text may be a key that slipped into the wrong line.
pub(super) fn may_be_secret(text: &str) -> bool {
    text.chars().count() > TEXT_CHARS_MAX || begins_like_a_key(text)
}

/// Whether a name may be a key that slipped into the wrong line. Names may be long.
pub(super) fn begins_like_a_key(name: &str) -> bool {
    secret_start(name).is_some()
}

/// How `name` begins, if that is how keys begin.
fn secret_start(name: &str) -> Option<&str> {
    let name = name.trim_start();
    let start = |known: &&str| {
        name.get(..known.len())
            .filter(|start| start.eq_ignore_ascii_case(known))
    };
    KEY_BEGINNINGS.iter().find_map(start)
}

/// A name as messages may show it: not all of it where it is too long or may be a key.
fn showable(name: &str) -> String {
    match secret_start(name) {
        Some(start) => format!("{start}…"),
        None => shortened(name),
    }
}

/// The way to `key` in the value that is reached by `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = showable(key);
    let plain = |c: char| c.is_alphanumeric() || "_-./:*@$+…".contains(c);
    if key.is_empty() || !key.chars().all(plain) {
        format!("{path}[{key:?}]")
    } else if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// The hint that names what was probably meant.
pub(super) fn did_you_mean(name: Option<&str>) -> Option<String> {
    name.map(|name| format!("did you mean {}?", quoted(name)))
}

/// The known name that `name` most resembles, if any is close.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // Comparing costs the product of the lengths, so what is far too long is not compared.
    if name.len() > NAME_LEN_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len() <= NAME_LEN_MAX)
        .filter_map(|candidate| {
            let tolerance = (name.len().max(candidate.len()) / 4).min(3);
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance <= tolerance).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A name from the file, set off from the words around it.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", showable(name).escape_debug())
}

/// The beginning of `text`, where it is too long for a message.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_close_or_not_named() {
        let known = [
            "name",
            "model",
            "priority",
            "weight",
            "stream_support",
            "UTC",
        ];
        for (name, expected) in [
            ("prioritty", Some("priority")),
            ("Priority", Some("priority")),
            ("nam", Some("name")),
            ("utc", Some("UTC")),
            ("ETC", None),
            ("streamSupport", Some("stream_support")),
            ("wieght", Some("weight")),
            ("endpoint", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }

    #[test]
    fn paths_stay_on_one_line() {
        assert_eq!(join("", "gpt-4.1"), "gpt-4.1");
        assert_eq!(join("m.providers[0]", "tls"), "m.providers[0].tls");
        assert_eq!(join("", "a b\n"), "[\"a b\\n\"]");
        assert_eq!(join("m", ""), "m[\"\"]");
        assert_eq!(join("", &"x".repeat(100)).chars().count(), 61);
    }

    #[test]
    fn what_may_be_a_key_is_not_repeated() {
        for text in ["sk-1", " SK-1", "AIza1", "Bearer x", &"é".repeat(21)] {
            assert!(may_be_secret(text), "{text}");
        }
        for text in ["", "ten", "sky", "Europe/Berln", &"é".repeat(20)] {
            assert!(!may_be_secret(text), "{text}");
        }
        assert_eq!(join("m", "sk-live-1"), "m.sk-…");
        assert_eq!(quoted("hf_live"), "`hf_…`");
        assert_eq!(
            quoted("llama-3.3-70b-versatile"),
            "`llama-3.3-70b-versatile`"
        );
    }
}
