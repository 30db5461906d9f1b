//! Many clients at once, with a count of what they were told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::task::JoinSet;

use super::Gateway;
use super::http::{Client, Response};

/// What happened to the requests of a load.
#[derive(Default)]
pub struct Answers(pub Vec<Response>);

/// Sends `body` to `path` `total` times, by `clients` clients that each keep their connection.
pub async fn ask(
    gateway: &Gateway,
    path: &'static str,
    body: &Value,
    clients: usize,
    total: usize,
) -> Answers {
    ask_as(gateway, None, path, body, clients, total).await
}

/// The same with a key.
pub async fn ask_as(
    gateway: &Gateway,
    key: Option<&str>,
    path: &'static str,
    body: &Value,
    clients: usize,
    total: usize,
) -> Answers {
    let left = Arc::new(AtomicUsize::new(total));
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (left, body) = (Arc::clone(&left), body.clone());
        let client = Client::new(gateway.addr()).keeping_alive();
        let client = key.into_iter().fold(client, Client::with_key);
        running.spawn(async move {
            let mut answers = Vec::new();
            let take = |left: usize| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
            {
                let answer = client.post(path, &body).await;
                assert!(answer.ended_cleanly, "an answer broke off");
                answers.push(answer);
            }
            answers
        });
    }
    Answers(running.join_all().await.into_iter().flatten().collect())
}

impl Answers {
    /// How many had this status.
    pub fn with_status(&self, status: u16) -> usize {
        self.0.iter().filter(|a| a.status == status).count()
    }

    /// How many successes each provider gave.
    pub fn by_provider(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for answer in self.0.iter().filter(|a| a.status == 200) {
            let provider = answer.header("x-gateway-provider").unwrap();
            *counts.entry(provider.to_owned()).or_default() += 1;
        }
        counts
    }
}
