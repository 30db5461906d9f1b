//! Many reloads at once.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{named, reload, simulator, wait_noticed};
use crate::support::{Gateway, SOON, ms, provider};

#[tokio::test]
async fn a_storm_of_signals_is_a_few_reloads_and_delays_nobody() {
    let simulator = simulator("Hello!").await;
    let providers: Vec<Value> = (0..200)
        .map(|n| provider(&format!("p{n}"), &simulator, json!({})))
        .collect();
    let models: Map<String, Value> = (0..5)
        .map(|n| (format!("m{n}"), json!({ "providers": providers })))
        .collect();
    let gateway = Gateway::start(&Value::Object(models));

    let id = gateway.id();
    let storm = format!("for n in $(seq 500); do kill -HUP {id}; sleep 0.002; done");
    let mut storm = std::process::Command::new("sh")
        .args(["-c", &storm])
        .spawn()
        .unwrap();
    let mut most = 0;
    while storm.try_wait().unwrap().is_none() {
        let threads = std::fs::read_dir(format!("/proc/{id}/task"));
        most = most.max(threads.map_or(0, Iterator::count));
        tokio::time::sleep(ms(20)).await;
    }
    assert!(most < 64, "{most} threads wait for each other");

    let since = Instant::now();
    gateway.write_config(&named("next", &simulator));
    assert_eq!(reload(&gateway).await.status, 200);
    assert!(since.elapsed() < SOON);
    wait_noticed(&gateway, "next").await;
}
