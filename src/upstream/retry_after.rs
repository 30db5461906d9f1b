//! When a provider says it may be asked again.

use std::time::Duration;

use crate::clock::UnixMillis;

/// Reads `retry-after-ms`, else `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3). Nonsense
/// is no hint.
pub(super) fn retry_after(
    millis: Option<&str>,
    seconds_or_date: Option<&str>,
    now: UnixMillis,
) -> Option<Duration> {
    let from_millis = millis
        .and_then(|text| text.trim().parse::<f64>().ok())
        .map(|ms| ms / 1000.0);
    let text = seconds_or_date.map(str::trim);
    if let Some(seconds) = from_millis.or_else(|| text?.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(text?).ok()?;
    let since_epoch = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(now.until(UnixMillis::from_secs(
        i64::try_from(since_epoch.as_secs()).ok()?,
    )))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::retry_after;
    use crate::clock::UnixMillis;

    #[test]
    fn every_form_is_read_and_nonsense_is_not() {
        // 2026-11-20 10:30:15 UTC
        let now = UnixMillis::from_secs(1_795_170_615);
        for (millis, text, expected) in [
            (None, Some("7"), Some(7.0)),
            (None, Some(" 0.5 "), Some(0.5)),
            (Some("250"), Some("7"), Some(0.25)),
            (None, Some("Fri, 20 Nov 2026 10:31:15 GMT"), Some(60.0)),
            (None, Some("Fri, 20 Nov 2020 10:31:15 GMT"), Some(0.0)),
            (None, Some("-3"), None),
            (None, Some("soon"), None),
            (Some("x"), None, None),
            (None, None, None),
        ] {
            assert_eq!(
                retry_after(millis, text, now),
                expected.map(Duration::from_secs_f64),
                "{millis:?} {text:?}"
            );
        }
    }
}
