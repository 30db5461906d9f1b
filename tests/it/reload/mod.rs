//! A changed configuration: noticed however it was changed, swapped without a failed request.

mod storm;
mod swap;
mod watch;

use std::time::{Duration, Instant};

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Gateway, ms, provider};

/// A change is noticed within 2 s; a busy machine may take another to say so.
const NOTICED: Duration = Duration::from_secs(2 + 1);

async fn simulator(text: &str) -> Simulator {
    let simulator = Simulator::start(Behavior::answering(text)).await.unwrap();
    simulator.record(false);
    simulator
}

async fn reload(gateway: &Gateway) -> Response {
    gateway.client().post("/admin/reload", &json!({})).await
}

/// One model, of this name.
fn named(name: &str, simulator: &Simulator) -> Value {
    json!({ name: { "providers": [provider("a", simulator, json!({}))] } })
}

/// Waits until the model called `name` is the only one, and fails if that takes too long.
async fn wait_noticed(gateway: &Gateway, name: &str) {
    let since = Instant::now();
    loop {
        let models = gateway.client().get("/v1/models").await.json();
        if models["data"][0]["id"] == name {
            break;
        }
        assert!(since.elapsed() <= NOTICED, "{models}");
        tokio::time::sleep(ms(20)).await;
    }
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}
