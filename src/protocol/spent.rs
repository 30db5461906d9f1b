//! Which window of a provider's own quota an error says is spent.

use serde_json::Value;

use crate::chat::Span;

/// Windows from the longest to the shortest: where several are spent, it is the longest that keeps a provider from
/// answering. With them their names in Google's quotas, of which only letters count.
const WINDOWS: [(Span, &str); 5] = [
    (Span::Month, "permonth"),
    (Span::Day, "perday"),
    (Span::Hour, "perhour"),
    (Span::Minute, "perminute"),
    (Span::Second, "persecond"),
];

/// The window that is spent, where the error says so.
pub(super) fn spent_window(error: &Value, message: Option<&str>) -> Option<Span> {
    let message = message.unwrap_or_default();
    // A request beyond what is served in a minute is refused in every minute, and none is spent.
    if starts_with(message, "request too large") {
        return None;
    }
    let spans: Vec<Span> = violated(error)
        .chain(in_parentheses(message))
        .chain(of_free_models(message))
        .collect();
    WINDOWS
        .into_iter()
        .map(|(span, _)| span)
        .find(|span| spans.contains(span))
}

/// Google's `QuotaFailure`, in `error.details`: each violation has a `quotaId` like
/// `GenerateRequestsPerDayPerProjectPerModel-FreeTier`; where that names no window, the metric or the description
/// does. <https://cloud.google.com/apis/design/errors>, <https://ai.google.dev/gemini-api/docs/rate-limits>
fn violated(error: &Value) -> impl Iterator<Item = Span> {
    let details = error["details"].as_array().into_iter().flatten();
    details
        .filter_map(|detail| detail["violations"].as_array())
        .flatten()
        .filter_map(|violation| {
            ["quotaId", "quotaMetric", "description"]
                .iter()
                .find_map(|name| named(violation[*name].as_str()?))
        })
}

/// The window in the name of a quota: `PerDay`, `per_day` and `per day` are the same.
fn named(quota: &str) -> Option<Span> {
    let letters: String = quota
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    WINDOWS
        .into_iter()
        .find(|(_, name)| letters.contains(name))
        .map(|(span, _)| span)
}

/// OpenAI and Groq: `Rate limit reached for model … on tokens per day (TPD): Limit 200000, Used 199708`.
/// <https://console.groq.com/docs/rate-limits>
fn in_parentheses(message: &str) -> impl Iterator<Item = Span> {
    message.split('(').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once(')')?;
        match word {
            "RPD" | "TPD" | "ASD" => Some(Span::Day),
            "RPH" | "TPH" | "ASH" => Some(Span::Hour),
            "RPM" | "TPM" | "ITPM" | "OTPM" | "IPM" => Some(Span::Minute),
            "RPS" | "TPS" => Some(Span::Second),
            _ => None,
        }
    })
}

/// OpenRouter: `Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per
/// day`. <https://openrouter.ai/docs/api/reference/limits>
fn of_free_models(message: &str) -> Option<Span> {
    let (_, window) = message.split_once("free-models-per-")?;
    [("day", Span::Day), ("min", Span::Minute)]
        .into_iter()
        .find(|(name, _)| window.starts_with(name))
        .map(|(_, span)| span)
}

fn starts_with(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::spent_window;
    use crate::chat::Span;

    #[test]
    fn google_names_the_quotas_that_are_violated() {
        let id =
            |id: &str| json!({"quotaMetric": "generate_content_free_tier_requests", "quotaId": id});
        let day = id("GenerateRequestsPerDayPerProjectPerModel-FreeTier");
        let minute = id("GenerateContentInputTokensPerModelPerMinute-FreeTier");
        let metric = json!({"quotaMetric": "generate_content_requests_per_minute_per_base_model"});
        let text = json!({"description": "Quota exceeded: requests per day per project"});
        for (violations, expected) in [
            (json!([day]), Some(Span::Day)),
            (json!([minute]), Some(Span::Minute)),
            (json!([minute, day]), Some(Span::Day)),
            (json!([metric]), Some(Span::Minute)),
            (json!([text]), Some(Span::Day)),
            (json!([id("FreeTier"), minute]), Some(Span::Minute)),
            (json!([id("FreeTier"), {}, 7]), None),
            (json!("PerDay"), None),
        ] {
            let error = json!({"details": [
                {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"},
            ]});
            assert_eq!(
                spent_window(&error, Some("quota exceeded")),
                expected,
                "{error}"
            );
        }
    }

    #[test]
    fn openai_groq_and_openrouter_say_it_in_the_text() {
        let groq = "Rate limit reached for model `openai/gpt-oss-20b` in organization `org_01` service tier \
                    `on_demand` on tokens per day (TPD): Limit 200000, Used 199708, Requested 1214. Please try \
                    again in 6m38.304s.";
        for (message, expected) in [
            (groq, Some(Span::Day)),
            (
                "Rate limit reached for gpt-4 (for limit gpt-4) on requests per day (RPD): Limit 200",
                Some(Span::Day),
            ),
            (
                "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000",
                Some(Span::Minute),
            ),
            (
                "Rate limit reached for gpt-4 on requests per min (RPM): Limit 3",
                Some(Span::Minute),
            ),
            ("limits: (RPM), (RPD)", Some(Span::Day)),
            (
                "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7000",
                None,
            ),
            (
                "Rate limit exceeded: free-models-per-day. Add 10 credits",
                Some(Span::Day),
            ),
            (
                "Rate limit exceeded: free-models-per-day-high-balance.",
                Some(Span::Day),
            ),
            (
                "Rate limit exceeded: free-models-per-min.",
                Some(Span::Minute),
            ),
            ("Rate limit exceeded: free-models-per-", None),
            ("no more requests per day", None),
            ("(", None),
            ("", None),
        ] {
            assert_eq!(
                spent_window(&json!({}), Some(message)),
                expected,
                "{message}"
            );
        }
        assert_eq!(spent_window(&json!(null), None), None);
    }
}
