//! Periods by a clock that the test sets, and the files that remember them.

use std::path::PathBuf;

use api_gateway::simulator::{Behavior, Simulator};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Gateway, global, model, ms, provider};

/// A clock for a gateway, by `libfaketime`. Moves on by itself.
pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// At this moment, in UTC: `2026-11-20 23:59:57`.
    pub fn at(text: &str) -> Clock {
        let clock = Clock {
            folder: TempDir::new().unwrap(),
        };
        clock.set(text);
        clock
    }

    /// Sets it, also while the gateway runs.
    pub fn set(&self, text: &str) {
        // As a distance, because a date would be read in the gateway's own zone.
        let ahead = moment(text) - real_now();
        let millis = ahead.num_milliseconds();
        let new = self.folder.path().join("new");
        std::fs::write(
            &new,
            format!("{:+}.{:03}\n", millis / 1000, millis.abs() % 1000),
        )
        .unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Starts a gateway by this clock.
    pub fn start(&self, config: &Value) -> Gateway {
        self.start_in(config, &[])
    }

    /// The same with further environment variables.
    fn start_in(&self, config: &Value, more: &[(&str, &str)]) -> Gateway {
        let file = self.file();
        let library = library();
        let mut environment = vec![
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        environment.extend_from_slice(more);
        Gateway::start_with(config, &environment)
    }
}

/// Where Debian's package `faketime` puts it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    folders
        .map(|folder| folder.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("libfaketime is not installed; tests/setup installs it")
}

fn moment(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .unwrap()
        .and_utc()
}

fn real_now() -> DateTime<Utc> {
    let now = api_gateway::clock::now();
    DateTime::from_timestamp_millis(now.0).unwrap()
}

fn limited(requests: u64, cron: &str) -> Value {
    json!({ "rate_limit": { "requests_per_period": requests, "period_cron": cron } })
}

async fn simulator() -> Simulator {
    Simulator::start(Behavior::answering("hi")).await.unwrap()
}

/// The readable file of a provider of model `m`, as it is now.
fn file(gateway: &Gateway, name: &str) -> Value {
    let text = gateway.read(&format!("data/usage/m/{name}.json"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

/// Waits until the readable file tells this number of requests.
async fn saved(gateway: &Gateway, name: &str, requests: u64) -> Value {
    let what = format!("{requests} requests in the file of {name}");
    gateway
        .wait_for(&what, || {
            let file = file(gateway, name);
            (file["requests"] == requests).then_some(file)
        })
        .await
}

async fn ask(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
}

fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

/// When the line with this text was logged, by the gateway's clock.
fn logged_at(log: &str, text: &str) -> DateTime<Utc> {
    let line = log.lines().find(|line| line.contains(text)).unwrap();
    let time = line.split(' ').next().unwrap();
    DateTime::parse_from_rfc3339(time).unwrap().to_utc()
}

#[tokio::test]
async fn a_period_ends_within_a_second_of_the_tick_though_nobody_asks() {
    let simulator = simulator().await;
    let clock = Clock::at("2026-11-20 23:58:00");
    let gateway = clock.start(&model([provider("a", &simulator, limited(2, "0 0 * * *"))]));
    ask(&gateway, 2).await;
    let spent = gateway.chat("hi").await;
    assert_eq!(spent.status, 429);
    assert_eq!(spent.json()["error"]["resets_at"], "2026-11-21T00:00:00Z");
    assert_eq!(gateway.stats("a").await["requests"], 2);

    clock.set("2026-11-20 23:59:59");
    let log = gateway.wait_for_log("Reset usage").await;

    let late = logged_at(&log, "Reset usage") - moment("2026-11-21 00:00:00");
    assert!(late >= TimeDelta::zero(), "{late}");
    assert!(late <= TimeDelta::milliseconds(1000 + 500), "{late}");
    assert!(
        log.contains("INFO Reset usage model=m provider=a requests=2 tokens=60"),
        "{log}"
    );
    let file = saved(&gateway, "a", 0).await;
    assert_eq!(file["tokens"], 0);
    assert_eq!(file["last_reset"], "2026-11-21T00:00:00Z");
    assert_eq!(file["next_reset"], "2026-11-22T00:00:00Z");
    let stats = gateway.stats("a").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"], &stats["last_reset"]),
        (&json!(0), &json!(0), &json!("2026-11-21T00:00:00Z"))
    );
    ask(&gateway, 2).await;
    assert_eq!(count(&gateway.log(), "Reset usage"), 1);
}

#[tokio::test]
async fn ticks_missed_while_it_was_down_are_one_reset_at_start() {
    let simulator = simulator().await;
    let clock = Clock::at("2026-11-20 10:00:00");
    let mut gateway = clock.start(&model([provider("a", &simulator, limited(3, "0 * * * *"))]));
    ask(&gateway, 3).await;
    assert!(gateway.stop().success());
    assert_eq!(file(&gateway, "a")["requests"], 3);

    clock.set("2026-11-25 15:30:00");
    gateway.launch();

    // Before the first request.
    let stats = gateway.stats("a").await;
    assert_eq!(
        (
            &stats["requests"],
            &stats["last_reset"],
            &stats["next_reset"]
        ),
        (
            &json!(0),
            &json!("2026-11-25T15:00:00Z"),
            &json!("2026-11-25T16:00:00Z")
        )
    );
    gateway.wait_for_log("Reset usage").await;
    saved(&gateway, "a", 0).await;
    ask(&gateway, 1).await;
    saved(&gateway, "a", 1).await;
    assert_eq!(count(&gateway.log(), "Reset usage"), 1);

    // No tick was missed this time.
    assert!(gateway.stop().success());
    clock.set("2026-11-25 15:59:00");
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 1);
    // A round of housekeeping that saves this has logged whatever it reset.
    ask(&gateway, 1).await;
    saved(&gateway, "a", 2).await;
    assert_eq!(count(&gateway.log(), "Reset usage"), 1);
}

#[tokio::test]
async fn periods_follow_the_zone_of_the_limit_of_the_file_and_of_the_environment() {
    let simulator = simulator().await;
    let daily = limited(5, "0 0 * * *");
    let mut tokyo = daily.clone();
    tokyo["rate_limit"]["tz"] = json!("Asia/Tokyo");
    let config = model([
        provider("own", &simulator, tokyo),
        provider("common", &simulator, daily),
    ]);
    let clock = Clock::at("2026-07-01 12:00:00");
    let berlin = global(config.clone(), json!({ "timezone": "Europe/Berlin" }));
    for (config, tz, common, zone) in [
        (&config, None, "2026-07-02T00:00:00Z", "UTC"),
        (
            &config,
            Some("America/New_York"),
            "2026-07-02T04:00:00Z",
            "America/New_York",
        ),
        (
            &berlin,
            Some("America/New_York"),
            "2026-07-01T22:00:00Z",
            "Europe/Berlin",
        ),
    ] {
        let tz: Vec<_> = tz.map(|tz| ("TZ", tz)).into_iter().collect();
        let gateway = clock.start_in(config, &tz);
        assert_eq!(
            gateway.stats("own").await["next_reset"],
            "2026-07-01T15:00:00Z"
        );
        assert_eq!(gateway.stats("common").await["next_reset"], common);
        assert_eq!(file(&gateway, "common")["timezone"], zone);
        assert_eq!(
            file(&gateway, "own")["next_reset"],
            "2026-07-02T00:00:00+09:00"
        );
    }
}

#[tokio::test]
async fn a_reset_comes_at_the_midnight_of_its_zone() {
    let simulator = simulator().await;
    let mut kathmandu = limited(2, "0 0 * * *");
    kathmandu["rate_limit"]["tz"] = json!("Asia/Kathmandu");
    let clock = Clock::at("2026-11-20 18:13:00");
    let gateway = clock.start(&model([
        provider("there", &simulator, kathmandu),
        provider(
            "here",
            &simulator,
            json!({ "rate_limit": { "requests_per_period": 2 } }),
        ),
    ]));
    ask(&gateway, 2).await;
    saved(&gateway, "there", 1).await;
    clock.set("2026-11-20 18:14:59");
    let log = gateway.wait_for_log("Reset usage").await;
    assert!(logged_at(&log, "Reset usage") >= moment("2026-11-20 18:15:00"));
    let file = saved(&gateway, "there", 0).await;
    assert_eq!(file["last_reset"], "2026-11-21T00:00:00+05:45");
    assert_eq!(gateway.stats("here").await["requests"], 1);
}

#[tokio::test]
async fn a_clock_set_back_resets_nothing_and_stops_nothing() {
    let simulator = simulator().await;
    let clock = Clock::at("2026-11-20 12:00:30");
    let gateway = clock.start(&model([provider("a", &simulator, limited(5, "0 * * * *"))]));
    ask(&gateway, 3).await;
    saved(&gateway, "a", 3).await;

    // Two hours back, over two ticks.
    clock.set("2026-11-20 10:30:00");
    assert_eq!(gateway.stats("a").await["requests"], 3);
    ask(&gateway, 1).await;
    saved(&gateway, "a", 4).await;

    // And through both ticks again.
    clock.set("2026-11-20 11:59:59");
    let log = || gateway.log();
    ask(&gateway, 1).await;
    saved(&gateway, "a", 5).await;
    assert_eq!(gateway.chat("hi").await.status, 429);
    assert_eq!(count(&log(), "Reset usage"), 0);

    clock.set("2026-11-20 12:59:59");
    gateway.wait_for_log("Reset usage").await;
    saved(&gateway, "a", 0).await;
    assert_eq!(count(&log(), "Reset usage"), 1);
}

#[tokio::test]
async fn a_clock_set_back_before_the_start_resets_nothing() {
    let simulator = simulator().await;
    let clock = Clock::at("2026-11-20 12:00:30");
    let mut gateway = clock.start(&model([provider("a", &simulator, limited(5, "0 0 * * *"))]));
    ask(&gateway, 3).await;
    assert!(gateway.stop().success());
    clock.set("2026-11-18 12:00:30");
    gateway.launch();
    let stats = gateway.stats("a").await;
    assert_eq!(stats["requests"], 3);
    assert_eq!(stats["next_reset"], "2026-11-21T00:00:00Z");
    // A round of housekeeping that saves this has logged whatever it reset.
    ask(&gateway, 1).await;
    saved(&gateway, "a", 4).await;
    assert_eq!(count(&gateway.log(), "Reset usage"), 0);
}

#[tokio::test]
async fn a_clock_set_forward_resets_at_once() {
    let simulator = simulator().await;
    let clock = Clock::at("2026-11-20 12:00:30");
    let gateway = clock.start(&model([provider("a", &simulator, limited(5, "0 0 * * *"))]));
    ask(&gateway, 3).await;
    clock.set("2026-11-23 12:00:30");
    gateway.wait_for_log("Reset usage").await;
    let file = saved(&gateway, "a", 0).await;
    assert_eq!(file["last_reset"], "2026-11-23T00:00:00Z");
    assert_eq!(count(&gateway.log(), "Reset usage"), 1);
}

#[tokio::test]
async fn a_stream_that_began_before_the_tick_is_not_counted_after_it() {
    let words = api_gateway::simulator::Answer::words(8).drip(8, ms(300));
    let simulator = Simulator::start(words).await.unwrap();
    let clock = Clock::at("2026-11-20 23:58:00");
    let gateway = clock.start(&model([provider("a", &simulator, limited(5, "0 0 * * *"))]));
    let question = crate::support::gateway::chat_stream("hi");
    let mut stream = gateway
        .client()
        .post_stream("/v1/chat/completions", &question)
        .await;
    stream.next_event().await.unwrap();
    assert_eq!(gateway.stats("a").await["requests"], 1);

    clock.set("2026-11-20 23:59:59");
    let log = gateway.wait_for_log("Reset usage").await;
    assert!(log.contains("Reset usage model=m provider=a requests=1 "));
    assert!(!stream.ended_cleanly());
    assert_eq!(stream.rest().await.last().unwrap(), "[DONE]");

    let stats = gateway.stats("a").await;
    assert_eq!(
        (
            &stats["requests"],
            &stats["tokens"],
            &stats["in_flight"],
            &stats["tokens_reserved"]
        ),
        (&json!(0), &json!(0), &json!(0), &json!(0))
    );
}

#[tokio::test]
async fn editing_the_limits_keeps_the_count() {
    let simulator = simulator().await;
    let with = |limits: Value| model([provider("a", &simulator, limits)]);
    let clock = Clock::at("2026-11-20 12:00:00");
    let mut gateway = clock.start(&with(limited(5, "0 0 * * *")));
    ask(&gateway, 3).await;

    gateway.write_config(&with(limited(4, "0 */6 * * *")));
    let reloaded = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(reloaded.status, 200);
    assert_eq!(reloaded.json()["updated"], json!(["m/a"]));
    let stats = gateway.stats("a").await;
    assert_eq!(
        (
            &stats["requests"],
            &stats["limit_requests"],
            &stats["next_reset"]
        ),
        (&json!(3), &json!(4), &json!("2026-11-20T18:00:00Z"))
    );
    ask(&gateway, 1).await;
    assert_eq!(gateway.chat("hi").await.status, 429);

    // While it is stopped, too.
    assert!(gateway.stop().success());
    gateway.write_config(&with(limited(6, "0 0 * * 1")));
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 4);
    gateway
        .wait_for("the new schedule in the file", || {
            (file(&gateway, "a")["period_cron"] == "0 0 * * 1").then_some(())
        })
        .await;
    ask(&gateway, 2).await;
    assert_eq!(gateway.chat("hi").await.status, 429);
    assert_eq!(count(&gateway.log(), "Reset usage"), 0);
}
