//! What people's programs will see: the official SDKs against a real gateway process.
//!
//! `tests/setup` installs the SDKs; the checks themselves are in `tests/sdk/`.

use std::process::Command;

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Map, Value, json};

use crate::support::scripts::{installed, root};
use crate::support::{Gateway, global, provider};

const KEY: &str = "sk-of-the-client";

/// The models that the scripts ask for, each with one provider of its own.
#[derive(Default)]
struct Setup {
    models: Map<String, Value>,
    simulators: Vec<Simulator>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_python_sdk_is_content() {
    let setup = Setup::new().await;
    let python = installed("target/sdk-python/bin/python");
    let script = root().join("tests/sdk/test_openai.py");
    setup.run(Command::new(python).arg(script).arg("--verbose"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_node_sdk_is_content() {
    let setup = Setup::new().await;
    let folder = installed("target/sdk-node");
    let script = root().join("tests/sdk/openai.test.mjs");
    setup.run(
        Command::new("node")
            .arg("--test")
            .arg(script)
            .env("SDK_DIR", folder),
    );
}

impl Setup {
    async fn new() -> Setup {
        let mut setup = Setup::default();
        let tools = || {
            Answer::text("Let me see.")
                .reasoning("Two cities, two calls.")
                .tool_call("weather", r#"{"city":"Köln"}"#)
                .tool_call("weather", r#"{"city":"São Paulo"}"#)
        };
        let midway = json!({"error": {"message": "overloaded", "type": "server_error", "param": null, "code": null}});
        let numbers = || Answer::text("one two three four");
        let too_hot = Act::error(400, "invalid_value", "temperature is too high");
        let hello = || Behavior::answering("Hello, world!");

        setup.add("hello", hello(), json!({})).await;
        setup.add("maker/hello", hello(), json!({})).await;
        setup.add("tools", tools(), json!({})).await;
        setup
            .add(
                "tools-plain-only",
                tools().never_streams(),
                json!({"stream_support": false}),
            )
            .await;
        setup
            .add(
                "tools-stream-only",
                tools().always_streams(),
                json!({"non_stream_support": false}),
            )
            .await;
        setup.add("bad-request", too_hot, json!({})).await;
        setup.add("broken", Act::status(500), json!({})).await;
        setup
            .add("silent", Act::hang(), json!({"timeout": 1}))
            .await;
        setup
            .add(
                "spent",
                hello(),
                json!({"rate_limit": {"requests_per_period": 0, "period_cron": "0 0 1 1 *"}}),
            )
            .await;
        setup
            .add("error-midway", numbers().error_after(3, midway), json!({}))
            .await;
        setup
            .add("cut-midway", numbers().cut_after(3), json!({}))
            .await;
        setup
    }

    /// Adds a model with one simulated provider that is not retried.
    async fn add(&mut self, model: &str, behavior: impl Into<Behavior>, more: Value) {
        let behavior = behavior.into().requiring_key("sk-secret-of-simulated");
        let simulator = Simulator::start(behavior).await.unwrap();
        let providers = [provider("simulated", &simulator, more)];
        self.models
            .insert(model.into(), json!({ "providers": providers }));
        self.simulators.push(simulator);
    }

    /// Runs a script against a gateway. Its failure is the test's, shown with what the gateway logged.
    fn run(self, script: &mut Command) {
        let config = global(Value::Object(self.models), json!({ "api_key": KEY }));
        let gateway = Gateway::start(&config);
        let output = script
            .env("BASE_URL", format!("http://{}/v1", gateway.addr()))
            .env("API_KEY", KEY)
            .env_remove("OPENAI_API_KEY")
            .env_remove("OPENAI_BASE_URL")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap_or_else(|error| panic!("cannot run {script:?}: {error}"));
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
}
