//! `usageMetadata` both ways.
//!
//! Google counts thoughts beside the answer and what its own tools read beside the prompt.

use serde_json::{Map, Value, json};

use crate::chat::Usage;

/// No answer takes more tokens than this. A larger number is a defect of the provider's, and would spend a whole
/// period's quota.
const COUNT_MAX: u64 = 1 << 40;

/// What a provider told so far. A later event may lack what an earlier one had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    prompt: Option<u64>,
    tools: Option<u64>,
    cached: Option<u64>,
    answer: Option<u64>,
    thoughts: Option<u64>,
    total: Option<u64>,
}

impl Told {
    /// Takes what an event says; `None` if that is nothing.
    pub(super) fn take(&mut self, said: &Value) -> Option<Usage> {
        let said = said.as_object()?;
        let count = |name: &str| {
            let value = said.get(name)?;
            let count = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            (count <= COUNT_MAX).then_some(count)
        };
        let mut news = false;
        for (told, name) in [
            (&mut self.prompt, "promptTokenCount"),
            (&mut self.tools, "toolUsePromptTokenCount"),
            (&mut self.cached, "cachedContentTokenCount"),
            (&mut self.answer, "candidatesTokenCount"),
            (&mut self.thoughts, "thoughtsTokenCount"),
            (&mut self.total, "totalTokenCount"),
        ] {
            if let Some(count) = count(name) {
                *told = Some(count);
                news = true;
            }
        }
        news.then(|| self.usage())
    }

    fn usage(&self) -> Usage {
        let known = |count: Option<u64>| count.unwrap_or(0);
        let reasoning = known(self.thoughts);
        let output = known(self.answer) + reasoning;
        let input = match (self.prompt, self.tools) {
            (None, None) => known(self.total).saturating_sub(output),
            (prompt, tools) => known(prompt) + known(tools),
        };
        Usage {
            input,
            output,
            total: known(self.total).max(input + output),
            cached: known(self.cached),
            reasoning,
            ..Usage::default()
        }
    }
}

/// For a client. Its types need the numbers also where nobody knows them.
pub(super) fn write(usage: Option<&Usage>) -> Value {
    let usage = usage.copied().unwrap_or_default();
    let mut said = Map::new();
    said.insert("promptTokenCount".into(), usage.input.into());
    let answer = usage.output.saturating_sub(usage.reasoning);
    said.insert("candidatesTokenCount".into(), answer.into());
    let total = usage.input.saturating_add(usage.output);
    said.insert("totalTokenCount".into(), total.into());
    for (name, count) in [
        ("cachedContentTokenCount", usage.cached),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        if count > 0 {
            said.insert(name.into(), count.into());
        }
    }
    json!(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_part_of_the_answer_and_tools_of_the_prompt() {
        let said = json!({
            "promptTokenCount": 10, "toolUsePromptTokenCount": 3, "cachedContentTokenCount": 4,
            "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 25,
        });
        let expected = Usage {
            input: 13,
            output: 12,
            total: 25,
            cached: 4,
            reasoning: 7,
            ..Usage::default()
        };
        assert_eq!(Told::default().take(&said), Some(expected));
    }

    #[test]
    fn later_events_add_to_earlier_ones() {
        let mut told = Told::default();
        told.take(&json!({"promptTokenCount": 10, "totalTokenCount": 10}));
        let usage = told.take(&json!({"candidatesTokenCount": 5})).unwrap();
        assert_eq!((usage.input, usage.output, usage.total), (10, 5, 15));
    }

    #[test]
    fn nonsense_is_no_usage() {
        for said in [
            json!(null),
            json!({}),
            json!([]),
            json!("x"),
            json!({"promptTokenCount": -1}),
            json!({"promptTokenCount": 1_u64 << 60}),
        ] {
            assert_eq!(Told::default().take(&said), None, "{said}");
        }
    }

    #[test]
    fn a_client_gets_its_own_sums() {
        let usage = Usage {
            input: 13,
            output: 12,
            total: 25,
            cached: 4,
            reasoning: 7,
            ..Usage::default()
        };
        let expected = json!({
            "promptTokenCount": 13, "candidatesTokenCount": 5, "totalTokenCount": 25,
            "cachedContentTokenCount": 4, "thoughtsTokenCount": 7,
        });
        assert_eq!(write(Some(&usage)), expected);
        let zeros = json!({"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0});
        assert_eq!(write(None), zeros);
    }
}
