//! Every official SDK against providers of every dialect, through the gateway.
//!
//! The checks are in `tests/sdk/matrix*`; the same ones pass without a gateway (`sdk_fixtures`). What the providers
//! are asked meanwhile must be what their vendors accept, and must say all that the clients said.

use api_gateway::simulator::{Act, Answer, Behavior, Dialect, Simulator};
use serde_json::{Map, Value, json};

use crate::sdk_fixtures::{KEY, STATUSES, failure, scripts};
use crate::support::recorded::{cases, error_midway, folder, midway, recording};
use crate::support::scripts::run_all;
use crate::support::{Gateway, global, provider, strict};

mod asked;

/// A model with one provider that is not retried.
struct Entry {
    case: String,
    act: Act,
    settings: Value,
}

fn entries(dialect: Dialect) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |case: &str, act: Act, settings: Value| {
        entries.push(Entry {
            case: case.into(),
            act,
            settings,
        });
    };
    for case in cases(dialect).iter().filter(|case| *case != "embeddings") {
        add(case, recording(dialect, case).into(), json!({}));
    }
    match dialect {
        // These know both forms of numbers.
        Dialect::OpenAi | Dialect::Responses => {
            add("embeddings", Answer::text("").into(), json!({}));
        }
        Dialect::Gemini => add(
            "embeddings",
            recording(dialect, "embeddings").into(),
            json!({}),
        ),
        Dialect::Anthropic => {}
    }
    let hello = || recording(dialect, "hello");
    let tools = || recording(dialect, "tools-thinking");
    add("choice", tools().into(), json!({}));
    add("parameters", hello().into(), json!({}));
    add("pieces", hello().in_pieces(3).into(), json!({}));
    add("cut", hello().cut_after(midway(dialect)).into(), json!({}));
    add(
        "ended",
        hello().ending_after(midway(dialect), "").into(),
        json!({}),
    );
    add("error-midway", error_midway(dialect).into(), json!({}));
    add(
        "streams-only",
        tools().into(),
        json!({"non_stream_support": false}),
    );
    add(
        "plain-only",
        tools().into(),
        json!({"stream_support": false}),
    );
    for status in STATUSES {
        add(
            &format!("error-{status}"),
            failure(dialect, status),
            json!({}),
        );
    }
    let none = json!({"rate_limit": {"requests_per_period": 0, "period_cron": "0 0 1 1 *"}});
    add("spent", hello().into(), none);
    add("silent", Act::hang(), json!({"timeout": 1}));
    entries
}

/// What is named in this variable, or all: for whoever works on a part of the matrix.
///
/// `SDK_MATRIX_CLIENTS=anthropic SDK_MATRIX_PROVIDERS=openai,gemini` asks those providers through that SDK.
fn wanted(variable: &str) -> Vec<Dialect> {
    let names = std::env::var(variable).unwrap_or_default();
    let named = |dialect: &Dialect| names.split(',').any(|name| name == dialect.name());
    let all = Dialect::ALL.into_iter();
    all.filter(|dialect| names.is_empty() || named(dialect))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sdk_is_content_with_every_provider() {
    let mut models = Map::new();
    let mut providers = Vec::new();
    for dialect in wanted("SDK_MATRIX_PROVIDERS") {
        for entry in entries(dialect) {
            let name = format!("{}/{}", dialect.name(), entry.case);
            let behavior = Behavior::new(entry.act).requiring_key("sk-secret-of-simulated");
            let simulator = Simulator::start(behavior).await.unwrap();
            let mut settings = entry.settings;
            settings["protocol"] = json!(dialect.name());
            let configured = provider("simulated", &simulator, settings);
            models.insert(name.clone(), json!({ "providers": [configured] }));
            providers.push((dialect, name, simulator));
        }
    }
    let clients = wanted("SDK_MATRIX_CLIENTS");
    let names: Vec<String> = models.keys().cloned().collect();
    let gateway = Gateway::start(&global(Value::Object(models), json!({ "api_key": KEY })));
    let matrix = json!({
        "key": KEY,
        "clients": clients.iter().map(|client| client.name()).collect::<Vec<_>>(),
        "gateway": format!("http://{}", gateway.addr()),
        "cases": folder().join("cases.json"),
        "models": names,
        "endpoints": {},
    });
    let ran = tokio::task::spawn_blocking(move || run_all(scripts(&matrix)));
    let failures = ran.await.unwrap().err().unwrap_or_default();
    let refused = strict::refused(&providers);
    let lost = asked::lost(&providers, clients == Dialect::ALL);
    let panicked = gateway.log().contains("panicked");
    let panicked = panicked.then_some("the gateway panicked");
    // Its log would be long, and is of no use here.
    drop(gateway);
    // All of it at once: one cause shows in several ways.
    let complaints = [&failures[..], &refused, &lost, panicked.unwrap_or_default()];
    let complaints: Vec<&str> = complaints
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n=====\n"));
}
