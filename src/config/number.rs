//! Numbers as JSON writes them.

/// The largest whole number: the last up to which JSON readers of every language are exact.
pub(super) const WHOLE_MAX: u64 = 1 << 53;

/// Whether a text is a number that only needs its quotes taken away.
pub(super) fn is_number(text: &str) -> bool {
    text.parse().is_ok_and(f64::is_finite)
}

/// The value of a JSON number that is neither negative nor has a fraction, also when written `1e3`.
/// Far beyond [`WHOLE_MAX`] it is not exact, merely too large.
pub(super) fn whole_number(literal: &str) -> Option<u64> {
    if let Ok(number) = literal.parse() {
        return Some(number);
    }
    let number: f64 = literal.parse().ok()?;
    (number >= 0.0 && (number.fract() == 0.0 || number.is_infinite())).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn whole_numbers_may_be_written_as_json_allows() {
        for (literal, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1e3", Some(1000)),
            ("2.0", Some(2)),
            ("0.5", None),
            ("-1", None),
            ("-1e999", None),
            ("1e999", Some(u64::MAX)),
        ] {
            assert_eq!(whole_number(literal), expected, "{literal}");
        }
    }
}
