//! Two providers, one behind the other, and a gateway in front of them.

#![allow(dead_code, reason = "each test uses some of it")]

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::{Value, json};

use super::http::{Client, Response};
use super::{Gateway, global, model, provider};

/// A gateway that asks `a` first, and `b`, which answers [`FROM_B`], when that has failed.
pub struct Pair {
    pub a: Simulator,
    pub b: Simulator,
    pub gateway: Gateway,
}

/// What `b` says.
pub const FROM_B: &str = "this is provider b";

impl Pair {
    /// `a` behaves like this, and has these further keys in its configuration.
    pub async fn start(a: impl Into<Behavior>, more: Value) -> Pair {
        Pair::start_with(a, more, json!({})).await
    }

    /// The same, with global settings.
    pub async fn start_with(a: impl Into<Behavior>, more: Value, settings: Value) -> Pair {
        let a = simulator(a).await;
        let b = simulator(Behavior::answering(FROM_B)).await;
        let config = model([
            provider("a", &a, more),
            provider("b", &b, json!({ "priority": 2 })),
        ]);
        let gateway = Gateway::start(&global(config, settings));
        Pair { a, b, gateway }
    }

    /// How many requests reached `a` and `b`.
    pub fn asked(&self) -> (u64, u64) {
        (self.a.seen().requests, self.b.seen().requests)
    }
}

/// A simulator.
pub async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

/// What the provider itself says to a chat request, without a gateway.
pub async fn directly(simulator: &Simulator, request: &Value) -> Response {
    let mut request = request.clone();
    request["model"] = json!("simulated");
    let client = Client::new(simulator.addr());
    client.post("/v1/chat/completions", &request).await
}
