use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::scan::ROW;
use super::*;

fn check(text: &[u8]) -> Result<(), Fault> {
    let mut cursor = Cursor::new(text);
    cursor.skip()?;
    cursor.end()
}

#[test]
fn valid_documents_pass() {
    for text in [
        r#"{}"#,
        r#" { "a" : [ 1 , -0.5e+3 , true , false , null , "x\n\u00e9\"" , {} , [] ] } "#,
        r#""plain""#,
        "0",
        "-12.5E-7",
        "\"\u{7f}é你\"",
    ] {
        assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn faults_say_where_and_what() {
    for (text, expected) in [
        ("", "expected a value at line 1 column 1"),
        ("{\n  \"a\" 1}", "expected a colon at line 2 column 7"),
        (
            "{\"a\":1 \"b\"",
            "expected a comma or a closing brace at line 1 column 8",
        ),
        ("{a:1}", "expected a key in quotes at line 1 column 2"),
        ("[1,]", "expected a value at line 1 column 4"),
        (
            "[1",
            "expected a comma or a closing bracket at line 1 column 3",
        ),
        ("\"abc", "expected a closing quote at line 1 column 5"),
        ("\"a\\x\"", "expected a valid escape at line 1 column 3"),
        (
            "\"a\nb\"",
            "expected an escape instead of a control character at line 1 column 3",
        ),
        ("01", "expected nothing more at line 1 column 2"),
        ("1.", "expected a digit at line 1 column 3"),
        ("-", "expected a digit at line 1 column 2"),
        (
            "nul",
            "expected `true`, `false` or `null` at line 1 column 4",
        ),
        ("{} x", "expected nothing more at line 1 column 4"),
        ("\0", "expected a value at line 1 column 1"),
    ] {
        let fault = check(text.as_bytes()).unwrap_err();
        assert_eq!(fault.describe(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(check(&nested(128)), Ok(()));
    assert_eq!(
        check(&nested(129)).unwrap_err().expected,
        "less deep nesting"
    );
}

#[test]
fn keys_are_unescaped_and_located() {
    let text = br#"{ "mod\u0065l": 1, "\ud800": 2 }"#;
    let mut keys = Vec::new();
    Cursor::new(text)
        .members(|cursor, key| {
            keys.push((key.at(), key.name().into_owned()));
            cursor.skip()
        })
        .unwrap();
    assert_eq!(
        keys,
        [(2, b"model".to_vec()), (19, br"\ud800".to_vec())],
        "an impossible name stays as it is written"
    );
}

#[test]
fn truth_is_as_clients_see_it() {
    for nothing in ["null", "false", "0", "\"\"", "{ }", "[]"] {
        assert!(!is_truthy(nothing.as_bytes()), "{nothing}");
    }
    for something in ["true", "1", "\"x\"", "{\"a\":1}", "[0]"] {
        assert!(is_truthy(something.as_bytes()), "{something}");
    }
}

/// What a text may hold besides plain letters; the last ones are wrong there.
const MARKS: [&str; 13] = [
    "\\n", "\\\"", "\\t", "\\r", "\\\\", "\\/", "\\u00e9", "é", "\\x", "\\", "\n", "\"", "\u{1f}",
];

fn is_judged_alike(text: &str) -> bool {
    check(text.as_bytes()).is_ok() == serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Wherever two marks that follow each other lie in the rows that are judged at once.
#[test]
fn marks_in_long_texts_are_judged_as_serde_json_does() {
    let (long, rest) = ("a".repeat(LONG), "c".repeat(2 * ROW));
    for distance in 0..2 * ROW {
        let plain = "b".repeat(distance);
        for one in MARKS {
            for other in MARKS {
                let text = format!("\"{long}\\n{plain}{one}{other}{rest}\"");
                assert!(is_judged_alike(&text), "{text}");
            }
        }
    }
}

proptest! {
    #[test]
    fn long_texts_are_judged_as_serde_json_does(
        stretches in prop::collection::vec((0..3 * ROW / 2, 0usize..40), 0..24),
    ) {
        let mut text = format!("\"{}\\n", "a".repeat(LONG));
        for (length, mark) in stretches {
            text.push_str(&"b".repeat(length));
            // What is wrong comes seldom, so that texts get long.
            text.push_str(MARKS.get(mark).unwrap_or(&MARKS[mark % 8]));
        }
        text.push('"');
        prop_assert!(is_judged_alike(&text), "{}", text);
    }

    #[test]
    fn what_passes_is_exactly_json(text in r#"[\[\]{}",:0-9eE.+\-\\ntrufalse \n]{0,24}"#) {
        let ours = check(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_damaged_document_is_judged_as_serde_json_does(at in 0usize..70, byte: u8) {
        let mut text = br#"{"a":[1,-2.5e3,"x\u00e9\n",null],"b":{"c":true,"d":false},"e":"  "}"#.to_vec();
        let at = at.min(text.len() - 1);
        text[at] = byte;
        let ours = check(&text).is_ok();
        let theirs = serde_json::from_slice::<IgnoredAny>(&text).is_ok();
        prop_assert_eq!(ours, theirs);
    }
}
