//! What holds for every text.

use proptest::prelude::*;

use super::*;

/// Pieces of configuration files, which get further into the reader than arbitrary text does.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\n",
    " ",
    "//",
    "/*",
    "*/",
    "null",
    "true",
    "-1",
    "1e400",
    "0.5",
    "\"_global\":",
    "\"m\":{\"providers\":[{",
    "}]}",
    "\"name\":",
    "\"endpoint\":",
    "\"api_key\":",
    "\"model\":",
    "\"rate_limit\":{",
    "\"rate_limit\":[{",
    "\"rpm\":",
    "\"every\":",
    "\"timeout\":",
    "\"weight\":",
    "\"custom_headers\":{",
    "\"tls\":{",
    "\"api_keys\":[",
    "\"key\":",
    "\"quota_group\":{",
    "\"state\":{",
    "\"alerts\":{",
    "\"queue\":",
    "\"strategy\":",
    "\"aliases\":[",
    "\"model_redirects\":{",
    "\"http://h\"",
    "\"${A}\"",
    "\"${\"",
    "\"é\\u0000\"",
    "\"*\"",
    "\"\"",
    "\u{feff}",
    "\u{a0}",
];

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), strict: bool) {
        let _ = judge(&text, "f", strict, &env);
    }

    #[test]
    fn no_json_makes_the_reader_panic(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60),
        strict: bool,
    ) {
        if let Err(rejected) = judge(&pieces.concat(), "f", strict, &env) {
            prop_assert!(!rejected.problems.is_empty());
            prop_assert!(rejected.to_string().lines().count() == rejected.problems.len());
        }
    }

    #[test]
    fn a_file_with_a_piece_cut_out_does_not_make_the_reader_panic(from in 0usize..4000, length in 0usize..60) {
        let text = include_str!("../../../tests/fixtures/config/valid/full.json");
        let text: String = text
            .chars()
            .enumerate()
            .filter(|(i, _)| !(from..from + length).contains(i))
            .map(|(_, c)| c)
            .collect();
        let _ = judge(&text, "f", true, &env);
    }
}
