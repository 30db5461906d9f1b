//! `make bench`: the gateway beside nginx as a plain reverse proxy, in one run.
//!
//! Both stand between the same load and the same simulated provider, one worker each, pinned to one
//! CPU where `taskset` can; the gateway has two providers, a client key, quotas, their journal and its
//! request log switched on. What is reported is CPU time per request, because it repeats on a busy
//! machine, and its ratio to nginx. Nothing here passes or fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark talks to its terminal and has nobody to hand an error to"
)]

mod load;
mod proxies;

use std::time::Duration;

use api_gateway::simulator::{Answer, Behavior, Simulator};

use load::{Load, Request};
use proxies::Proxy;

/// Rounds in which the two take turns; the median counts.
const ROUNDS: usize = 3;

/// Load of one measurement.
const LOAD: Load = Load {
    connections: 64,
    warm_up: Duration::from_millis(500),
    time: Duration::from_secs(3),
};

/// Streams held open for the memory figure.
const OPEN_STREAMS: usize = 1000;

fn main() {
    // `cargo test --all-targets` runs this file, too; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(run());
}

async fn run() {
    let text = "The simulated model answers with plain words and nothing else. ".repeat(4);
    let provider = Behavior::new(Answer::text(text).chunks(20).in_one_write());
    let provider = Simulator::start(provider).await.unwrap();
    provider.record(false);
    let folder = tempfile::tempdir().unwrap();
    let proxies = [
        Proxy::nginx(folder.path(), provider.addr()),
        Proxy::gateway(folder.path(), &provider.endpoint()),
    ];
    for proxy in &proxies {
        proxy.wait_until_ready().await;
    }

    let scenarios = [
        ("plain, 200-byte prompt", Request::plain(200)),
        ("plain, 32 KB prompt", Request::plain(32 * 1024)),
        ("stream of 20 events", Request::stream()),
    ];
    println!(
        "\nCPU time per request, median of {ROUNDS} rounds; one worker, {} connections\n",
        LOAD.connections
    );
    println!("| | nginx µs | gateway µs | ratio | nginx req/s | gateway req/s |");
    println!("|---|---|---|---|---|---|");
    for (name, request) in scenarios {
        let mut cost = [Vec::new(), Vec::new()];
        let mut rate = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (index, proxy) in proxies.iter().enumerate() {
                let measured = LOAD.run(proxy, &request).await;
                cost[index].push(measured.cpu_micros);
                rate[index].push(measured.per_second);
            }
        }
        let ratios: Vec<f64> = cost[1]
            .iter()
            .zip(&cost[0])
            .map(|(ours, nginx)| ours / nginx)
            .collect();
        println!(
            "| {name} | {:.1} | {:.1} | {:.2} | {:.0} | {:.0} |",
            median(&cost[0]),
            median(&cost[1]),
            median(&ratios),
            median(&rate[0]),
            median(&rate[1]),
        );
    }

    let held = Answer::words(4).drip(4, Duration::from_secs(5));
    provider.set(Behavior::new(held));
    println!("\n| memory | nginx MB | gateway MB |\n|---|---|---|");
    let idle: Vec<f64> = proxies.iter().map(Proxy::memory_mb).collect();
    println!("| after that load | {:.1} | {:.1} |", idle[0], idle[1]);
    let mut open = Vec::new();
    for proxy in &proxies {
        let streams = load::hold(proxy, OPEN_STREAMS).await;
        open.push(proxy.memory_mb());
        drop(streams);
    }
    println!(
        "| with {OPEN_STREAMS} open streams | {:.1} | {:.1} |",
        open[0], open[1]
    );
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
