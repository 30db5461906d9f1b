//! The recorded answers are what the vendors' own SDKs expect: each SDK reads those of its own dialect.
//!
//! No gateway is between them. What it makes of them for SDKs of other vendors can be wrong only in its own part.

use api_gateway::simulator::{Act, Behavior, Dialect, Simulator};
use serde_json::{Map, Value, json};

use crate::support::recorded::{cases, error_midway, folder, recording};
use crate::support::scripts::{Language, run_all};
use crate::support::strict;

/// The key of the clients.
pub const KEY: &str = "sk-of-the-client";

/// The statuses that vendors fail with.
pub const STATUSES: [u16; 9] = [400, 401, 403, 404, 413, 429, 500, 503, 529];

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_fixtures_are_what_the_sdks_expect() {
    let mut simulators = Vec::new();
    let mut endpoints = Map::new();
    for dialect in Dialect::ALL {
        let mut acts: Vec<(String, Act)> = Vec::new();
        for case in cases(dialect) {
            acts.push((case.clone(), recording(dialect, &case).into()));
        }
        for status in STATUSES {
            acts.push((format!("error-{status}"), failure(dialect, status)));
        }
        acts.push(("error-midway".into(), error_midway(dialect).into()));
        for (case, act) in acts {
            let behavior = Behavior::new(act).requiring_key(KEY);
            let simulator = Simulator::start(behavior).await.unwrap();
            let name = format!("{}/{case}", dialect.name());
            endpoints.insert(name.clone(), json!(format!("http://{}", simulator.addr())));
            simulators.push((dialect, name, simulator));
        }
    }
    let matrix = json!({
        "key": KEY,
        "clients": Dialect::ALL.map(Dialect::name),
        "gateway": null,
        "cases": folder().join("cases.json"),
        "models": endpoints.keys().collect::<Vec<_>>(),
        "endpoints": endpoints,
    });
    let ran = tokio::task::spawn_blocking(move || run_all(scripts(&matrix)));
    if let Err(failures) = ran.await.unwrap() {
        panic!("{failures}");
    }
    // The checks of what the gateway sends must not be stricter than what the SDKs send.
    let refused = strict::refused(&simulators);
    assert!(refused.is_empty(), "{refused}");
}

/// How a vendor fails with a status.
pub fn failure(dialect: Dialect, status: u16) -> Act {
    match status {
        429 => Act::rate_limited_by(dialect, 7),
        _ => Act::error_of(dialect, status, &format!("simulated status {status}")),
    }
}

/// Every script in every language, for this matrix.
pub fn scripts(matrix: &Value) -> Vec<std::process::Command> {
    let names = ["matrix_openai", "matrix_anthropic", "matrix_gemini"];
    let mut commands = Vec::new();
    for name in names {
        for language in Language::ALL {
            let mut command = language.script(name);
            command.env("MATRIX", matrix.to_string());
            commands.push(command);
        }
    }
    commands
}
