//! `make bench`: what a request pays for its quotas, without sockets but that to Redis.
//!
//! A request reserves, commits before its answer is released, and settles: all three are counted, and so is
//! what is written to the journal. With Redis, many requests are under way at once, as on a busy gateway; each
//! waits for the others' word where it has to. Nothing here passes or fails.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark talks to its terminal and has nobody to hand an error to"
)]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use api_gateway::clock::UnixMillis;
use api_gateway::quota::{
    Account, Cost, Cycle, Lack, Limits, PerUnit, Quotas, Schedule, Sharing, Window, shared,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// How long one measurement goes on.
const TIME: Duration = Duration::from_millis(500);

/// The fastest of so many: what is slower was disturbed.
const ROUNDS: usize = 5;

fn main() {
    // `cargo test --all-targets` runs this file, too; only `cargo bench` means it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("| quota | µs per request |");
    println!("|---|---|");
    let in_memory = |windows| Account::detached(limits(windows), now());
    println!("| one window, in memory | {:.2} |", alone(&in_memory(1)));
    println!("| three windows, in memory | {:.2} |", alone(&in_memory(3)));
    let data = TempDir::new().unwrap();
    let quotas = Quotas::open(data.path(), now()).unwrap();
    for (windows, name) in [(1, "one window"), (3, "three windows")] {
        let account = quotas.account("m", name, limits(windows), now());
        for together in [1, 16] {
            let cost = journaled(&account, together);
            println!("| {name}, journal, {together} answers to a write | {cost:.2} |");
        }
    }
    let redis = Redis::start();
    for at_once in [1, 16, 64] {
        println!(
            "| three windows, Redis, {at_once} requests at once | {:.2} |",
            leased(&redis, at_once)
        );
    }
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}

/// So many windows of a free tier, large enough never to be spent.
fn limits(windows: usize) -> Limits {
    let daily = Schedule::parse("0 0 * * *", "America/Los_Angeles".parse().unwrap()).unwrap();
    let window = |id: &str, cycle| Window {
        id: id.into(),
        caps: PerUnit([Some(1 << 40), Some(1 << 50), None, None]),
        cycle,
    };
    let mut all = vec![
        window("day", Cycle::Cron(daily)),
        window("minute", Cycle::Rolling(Duration::from_secs(60))),
        window("second", Cycle::Rolling(Duration::from_secs(1))),
    ];
    all.truncate(windows);
    Limits::new(all, None)
}

fn fastest(mut round: impl FnMut() -> f64) -> f64 {
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// Microseconds for each of what `work` does, once for each of many times.
fn measured(mut work: impl FnMut()) -> f64 {
    let (since, mut times) = (Instant::now(), 0_u32);
    while since.elapsed() < TIME {
        for _ in 0..1000 {
            work();
        }
        times += 1000;
    }
    since.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

fn alone(account: &Arc<Account>) -> f64 {
    fastest(|| {
        measured(|| {
            let mut reservation = account.reserve(Cost::estimate(100, 500), now()).unwrap();
            drop(reservation.commit(now()));
            drop(reservation.settle(Cost::estimate(90, 80), now()));
        })
    })
}

/// A plain answer is settled at once; so many of them are ready in the same turn of the event loop.
fn journaled(account: &Arc<Account>, together: u32) -> f64 {
    let per_turn = fastest(|| {
        measured(|| {
            let receipts: Vec<_> = (0..together)
                .map(|_| {
                    let reservation = account.reserve(Cost::estimate(100, 500), now()).unwrap();
                    reservation.settle(Cost::estimate(90, 80), now())
                })
                .collect();
            drop(receipts);
        })
    });
    per_turn / f64::from(together)
}

fn leased(redis: &Redis, at_once: usize) -> f64 {
    let settings = shared::Settings {
        url: format!("redis://127.0.0.1:{}", redis.port),
        ca: None,
        prefix: format!("bench-{at_once}"),
        replica: "only".to_owned(),
        lease: Duration::from_secs(15),
        grace: Duration::ZERO,
    };
    let (sharing, running) = Sharing::start(settings, false, now).unwrap();
    let quotas = Quotas::shared(sharing, running);
    let account = quotas.account("m", "p", limits(3), now());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cost = fastest(|| {
        runtime.block_on(async {
            let since = Instant::now();
            let mut running = JoinSet::new();
            for _ in 0..at_once {
                let account = account.clone();
                running.spawn(async move {
                    let mut served = 0_u32;
                    while since.elapsed() < TIME {
                        one(&account).await;
                        served += 1;
                    }
                    served
                });
            }
            let served: u32 = running.join_all().await.into_iter().sum();
            since.elapsed().as_secs_f64() * 1e6 / f64::from(served)
        })
    });
    quotas.flush(now()).unwrap();
    cost
}

async fn one(account: &Arc<Account>) {
    let cost = Cost::estimate(100, 500);
    let mut reservation = loop {
        match account.reserve(cost, now()) {
            Ok(reservation) => break reservation,
            Err(exhausted) if exhausted.lack == Lack::Lease => account.ask_for_room(cost).await,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    // The provider would answer here.
    tokio::task::yield_now().await;
    reservation.commit(now()).heard().await;
    drop(reservation.settle(Cost::estimate(90, 80), now()));
}

struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    fn start() -> Redis {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server: {error}; run: apt-get install -y redis-server")
            });
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Redis { process, port }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
