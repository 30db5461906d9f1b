//! Clients and providers of different dialects, as far as no SDK shows it: failing over, quotas, errors, the rest of the door.

mod beside;
mod crossing;
mod door;

use api_gateway::simulator::{Act, Dialect, Simulator};
use serde_json::{Value, json};

use crate::support::recorded::recording;
use crate::support::{Gateway, model, provider};

/// A gateway whose model `m` has these providers, `a`, `b` and so on, one behind the other.
async fn gateway(acts: Vec<(Dialect, Act, Value)>) -> (Gateway, Vec<Simulator>) {
    let mut simulators = Vec::new();
    let mut providers = Vec::new();
    for (at, (dialect, act, mut more)) in acts.into_iter().enumerate() {
        let simulator = Simulator::start(act).await.unwrap();
        let name = ["a", "b", "c"][at];
        more["protocol"] = json!(dialect.name());
        more["priority"] = json!(at + 1);
        providers.push(provider(name, &simulator, more));
        simulators.push(simulator);
    }
    (Gateway::start(&model(providers)), simulators)
}

/// A provider that says hello.
fn hello(dialect: Dialect) -> (Dialect, Act, Value) {
    (dialect, recording(dialect, "hello").into(), json!({}))
}

/// What a client of this dialect sends, and where to.
fn ask(client: Dialect, stream: bool) -> (&'static str, Value) {
    let said = json!([{ "role": "user", "content": "hi" }]);
    match client {
        Dialect::OpenAi => (
            "/v1/chat/completions",
            json!({ "model": "m", "messages": said, "stream": stream }),
        ),
        Dialect::Responses => (
            "/v1/responses",
            json!({ "model": "m", "input": "hi", "stream": stream }),
        ),
        Dialect::Anthropic => (
            "/v1/messages",
            json!({ "model": "m", "messages": said, "max_tokens": 50, "stream": stream }),
        ),
        Dialect::Gemini => (
            match stream {
                true => "/v1beta/models/m:streamGenerateContent?alt=sse",
                false => "/v1beta/models/m:generateContent",
            },
            json!({ "contents": [{ "parts": [{ "text": "hi" }] }] }),
        ),
    }
}

/// The text of a whole answer.
fn text_of(client: Dialect, answer: &Value) -> &str {
    let text = match client {
        Dialect::OpenAi => &answer["choices"][0]["message"]["content"],
        Dialect::Responses => {
            let items = answer["output"].as_array().unwrap();
            let message = items.iter().find(|item| item["type"] == "message");
            return message.unwrap()["content"][0]["text"].as_str().unwrap();
        }
        Dialect::Anthropic => &answer["content"][0]["text"],
        Dialect::Gemini => &answer["candidates"][0]["content"]["parts"][0]["text"],
    };
    text.as_str().unwrap_or_default()
}
