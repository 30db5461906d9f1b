//! A name that requests show again and again: in the log and in headers.

use std::sync::Arc;

use actix_http::header::HeaderValue;

/// A name from the configuration, made ready once. Copies are two counters.
#[derive(Clone, Debug)]
pub struct Name {
    text: Arc<str>,
    header: HeaderValue,
}

impl Name {
    /// Makes `text` ready.
    pub fn new(text: &str) -> Name {
        // Names are free text: what no header can hold is shown escaped, and what is escaped can be held.
        let header = HeaderValue::from_str(text)
            .or_else(|_| HeaderValue::from_str(&text.escape_default().to_string()))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        Name {
            text: text.into(),
            header,
        }
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name itself, for keeps.
    pub fn text(&self) -> Arc<str> {
        self.text.clone()
    }

    /// The name as the value of a header.
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn what_no_header_can_hold_is_escaped() {
        for (text, shown) in [("gpt-4o", "gpt-4o"), ("模型", "模型"), ("a\nb", "a\\nb")] {
            let name = Name::new(text);
            assert_eq!(name.as_str(), text);
            assert_eq!(name.header().as_bytes(), shown.as_bytes());
        }
    }
}
