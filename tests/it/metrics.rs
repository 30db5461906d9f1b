//! The numbers for Prometheus: well-formed, and the same as everywhere else.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::chat;
use crate::support::redis::Redis;
use crate::support::{Gateway, SOON, global, model, ms, provider};

/// All samples of a scrape, by name and labels in the order of the alphabet: `name{a="x",b="y"}`.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads the text format, and fails on whatever a strict reader would refuse.
    fn read(text: &str) -> Scrape {
        let mut samples = BTreeMap::new();
        let (mut described, mut typed) = (HashSet::new(), HashSet::new());
        let mut family = "";
        assert!(text.ends_with('\n'), "the last line is not ended");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(!help.is_empty() && described.insert(name), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(["gauge", "counter"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(described.contains(name) && typed.insert(name), "{line}");
                family = name;
            } else {
                let (name, labels, value) = sample(line);
                assert_eq!(name, family, "not under its own type: {line}");
                let key = format!("{name}{{{}}}", labels.join(","));
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert_eq!(samples.insert(key, value), None, "twice: {line}");
            }
        }
        Scrape(samples)
    }

    fn get(&self, key: &str) -> Option<f64> {
        self.0.get(key).copied()
    }

    /// The samples of one name.
    fn of(&self, name: &str) -> Vec<(&str, f64)> {
        let samples = self.0.iter().map(|(key, value)| (key.as_str(), *value));
        let begun = format!("{name}{{");
        samples.filter(|(key, _)| key.starts_with(&begun)).collect()
    }
}

/// A line of the text format in its parts; the labels as they are written, in the order of the alphabet.
fn sample(line: &str) -> (&str, Vec<String>, &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = line.find(|c| !is_name(c)).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()));
    let mut labels = Vec::new();
    if let Some(begun) = rest.strip_prefix('{') {
        rest = begun;
        loop {
            let (label, value) = rest.split_once("=\"").unwrap();
            assert!(!label.is_empty() && label.chars().all(is_name), "{line}");
            let mut end = None;
            let mut chars = value.char_indices();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = Some(at);
                        break;
                    }
                    '\\' => {
                        let (_, escaped) = chars.next().unwrap();
                        assert!(['\\', '"', 'n'].contains(&escaped), "{line}");
                    }
                    _ => {}
                }
            }
            let (value, after) = value.split_at(end.expect("an open label"));
            labels.push(format!("{label}=\"{value}\""));
            rest = &after[1..];
            if let Some(ended) = rest.strip_prefix('}') {
                rest = ended;
                break;
            }
            rest = rest.strip_prefix(',').expect("a comma between labels");
        }
    }
    labels.sort();
    let names: HashSet<_> = labels.iter().map(|l| l.split('=').next()).collect();
    assert_eq!(names.len(), labels.len(), "{line}");
    (name, labels, rest.strip_prefix(' ').expect("a blank"))
}

async fn scrape(gateway: &Gateway) -> Scrape {
    let answer = gateway.client().get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    Scrape::read(answer.text())
}

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

const NEW_YEAR: &str = "0 0 1 1 *";

#[tokio::test]
async fn the_numbers_are_those_of_the_stats() {
    let a = simulator(Answer::text("Hello!").usage(7, 13)).await;
    let limits = json!([
        { "id": "year", "requests": 10, "tokens": 5000, "period_cron": NEW_YEAR },
        { "every": "1h", "requests": 6 },
    ]);
    let group = json!({ "name": "account", "rate_limit": {
        "requests_per_period": 100, "period_cron": NEW_YEAR,
    } });
    let config = json!({
        "_global": { "queue": { "max_wait": 1 }, "api_key": "sk-own", "api_keys": [
            { "name": "app", "key": "sk-app", "rate_limit": { "rpd": 5 }, "max_concurrent": 2 },
        ] },
        "m": { "providers": [
            provider("a", &a, json!({ "rate_limit": limits, "quota_group": group })),
            provider("b", &a, json!({ "priority": 2, "quota_group": "account" })),
            provider("off", &a, json!({ "enabled": false })),
        ] },
        "maker/\"odd\\": { "providers": [provider("a", &a, json!({ "max_concurrent": 3 }))] },
    });
    let gateway = Gateway::start(&config);
    let client = gateway.client().with_key("sk-app");
    for _ in 0..3 {
        let answer = client.post("/v1/chat/completions", &chat("hi")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let client = gateway.client().with_key("sk-own");
    let answer = client.get("/metrics").await;
    let told = Scrape::read(answer.text());

    // Window by window, the same as in `/admin/stats`.
    let stats = client.get("/admin/stats").await.json();
    let mut compared = 0;
    for (model, providers) in stats.as_object().unwrap() {
        let model = model.replace('\\', "\\\\").replace('"', "\\\"");
        for (name, stats) in providers.as_object().unwrap() {
            let whose = format!("model=\"{model}\",provider=\"{name}\"");
            let concurrent = told.get(&format!("gateway_concurrent{{{whose}}}"));
            assert_eq!(concurrent, stats["concurrent"].as_f64(), "{whose}");
            let most = told.get(&format!("gateway_concurrent_limit{{{whose}}}"));
            assert_eq!(most, stats["max_concurrent"].as_f64(), "{whose}");
            for window in stats["windows"].as_array().unwrap() {
                let id = window["id"].as_str().unwrap();
                for unit in ["requests", "tokens", "input_tokens", "output_tokens"] {
                    let of = |what: &str| {
                        let labels = format!("{whose},unit=\"{unit}\",window=\"{id}\"");
                        told.get(&format!("gateway_quota_{what}{{{labels}}}"))
                    };
                    let limit = window[format!("limit_{unit}")].as_f64();
                    let used = window[unit].as_f64();
                    assert_eq!((of("used"), of("limit")), (used, limit), "{whose} {id}");
                    let left = limit.map(|limit| limit - used.unwrap());
                    assert_eq!((of("remaining"), of("held")), (left, Some(0.0)));
                    compared += 1;
                }
                let reset =
                    format!("gateway_quota_reset_timestamp_seconds{{{whose},window=\"{id}\"}}");
                let next = window["next_reset"].as_str();
                let next = next.map(|at| chrono::DateTime::parse_from_rfc3339(at).unwrap());
                let next = next.map(|at| at.timestamp_millis() as f64 / 1000.0);
                assert_eq!(told.get(&reset).map(f64::floor), next.map(f64::floor));
            }
        }
    }
    assert_eq!(compared, 5 * 4);

    // Groups once, and clients.
    for (key, value) in [
        (
            r#"gateway_quota_used{model="_groups",provider="account",unit="requests",window="period"}"#,
            3.0,
        ),
        (
            r#"gateway_quota_limit{model="_groups",provider="account",unit="requests",window="period"}"#,
            100.0,
        ),
        (
            r#"gateway_concurrent_limit{model="_clients",provider="app"}"#,
            2.0,
        ),
        (r#"gateway_provider_eligible{model="m",provider="a"}"#, 1.0),
        (
            r#"gateway_provider_eligible{model="m",provider="off"}"#,
            0.0,
        ),
        (r#"gateway_queue_waiting{model="m"}"#, 0.0),
        (r#"gateway_queue_waited_seconds_total{model="m"}"#, 0.0),
        (r#"gateway_build_info{version="0.1.0"}"#, 1.0),
        ("gateway_config_reloads_total{}", 0.0),
        ("gateway_config_rejected{}", 0.0),
    ] {
        assert_eq!(told.get(key), Some(value), "{key}");
    }
    let clients = told.of("gateway_quota_remaining");
    let client = clients.iter().find(|(key, _)| key.contains("_clients"));
    assert_eq!(client.map(|(_, left)| *left), Some(2.0), "{clients:?}");
    assert!(told.get("gateway_uptime_seconds{}").is_some());
    assert_eq!(told.of("gateway_shared_state_up"), []);
    assert!(!answer.text().contains("sk-"), "no key");

    // The same in JSON.
    let client = client_accepting_json(&gateway);
    let json = client.get("/metrics").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let json = json.json();
    let used = &json["gateway_quota_used"];
    assert_eq!(used["type"], "gauge");
    let wanted = json!({
        "labels": { "model": "m", "provider": "a", "window": "year", "unit": "tokens" },
        "value": 60,
    });
    let samples = used["samples"].as_array().unwrap();
    assert!(samples.contains(&wanted), "{samples:?}");
    let count = |family: &Value| family["samples"].as_array().unwrap().len();
    let samples: usize = json.as_object().unwrap().values().map(count).sum();
    let forecasts = |keys: &mut dyn Iterator<Item = &String>| {
        keys.filter(|key| key.contains("_forecast_")).count()
    };
    // A forecast may have been made meanwhile.
    let plain = told.0.len() - forecasts(&mut told.0.keys());
    assert!(samples >= plain, "{samples} {plain}");
}

fn client_accepting_json(gateway: &Gateway) -> crate::support::http::Client {
    let client = gateway.client().with_key("sk-own");
    client.with_header("accept", "text/html, application/json;q=0.9")
}

#[tokio::test]
async fn who_has_no_admin_key_learns_nothing() {
    let a = simulator(Answer::text("Hello!")).await;
    let keys = json!({ "api_key": "sk-client", "admin_key": "sk-admin" });
    let gateway = Gateway::start(&global(model([provider("a", &a, json!({}))]), keys));
    for (key, status) in [("sk-client", 401), ("", 401), ("sk-admin", 200)] {
        let answer = gateway.client().with_key(key).get("/metrics").await;
        assert_eq!(answer.status, status, "{key}");
        assert_eq!(answer.text().contains("gateway_"), status == 200);
    }
    let client = gateway.client().with_key("sk-admin");
    let head = client.request("HEAD", "/metrics", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(client.post("/metrics", &json!({})).await.status, 405);
}

#[tokio::test]
async fn a_steady_pace_is_foreseen() {
    let a = simulator(Answer::text("Hello!")).await;
    a.record(false);
    let limit =
        json!({ "rate_limit": { "requests_per_period": 100_000, "period_cron": NEW_YEAR } });
    let gateway = Gateway::start(&model([provider("a", &a, limit)]));
    let labels = r#"{model="m",provider="a",unit="requests",window="period"}"#;
    let since = Instant::now();
    let told = loop {
        assert_eq!(gateway.chat("hi").await.status, 200);
        let told = scrape(&gateway).await;
        let pace = told.get(&format!("gateway_quota_forecast_per_hour{labels}"));
        if pace.is_some_and(|pace| pace > 0.0) {
            break told;
        }
        assert!(since.elapsed() < SOON, "no forecast");
        tokio::time::sleep(ms(50)).await;
    };
    let confidence = told.get(&format!("gateway_quota_forecast_confidence{labels}"));
    let confidence = confidence.unwrap();
    assert!((0.0..=1.0).contains(&confidence), "{confidence}");
    // At this pace the year's quota does not last for a day.
    let exhaustion = format!("gateway_quota_forecast_exhaustion_timestamp_seconds{labels}");
    let reset = r#"gateway_quota_reset_timestamp_seconds{model="m",provider="a",window="period"}"#;
    let (exhaustion, reset) = (told.get(&exhaustion).unwrap(), told.get(reset).unwrap());
    assert!(exhaustion < reset, "{exhaustion} {reset}");
}

#[tokio::test]
async fn a_rest_and_a_rejected_file_are_seen() {
    let a = simulator(Act::rate_limited(120)).await;
    let config = model([provider("a", &a, json!({}))]);
    let gateway = Gateway::start(&config);
    assert_eq!(gateway.chat("hi").await.status, 502);
    let told = scrape(&gateway).await;
    let whose = r#"{model="m",provider="a"}"#;
    let eligible = format!("gateway_provider_eligible{whose}");
    assert_eq!(told.get(&eligible), Some(0.0));
    let until = format!("gateway_provider_cooldown_until_timestamp_seconds{whose}");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let rest = told.get(&until).unwrap() - now.as_secs_f64();
    assert!((100.0..=120.0).contains(&rest), "{rest}");

    for (config, rejected, reloads) in [(json!({ "m": 1 }), 1.0, 0.0), (config, 0.0, 1.0)] {
        gateway.write_config(&config);
        gateway.client().post("/admin/reload", &json!({})).await;
        let told = scrape(&gateway).await;
        assert_eq!(told.get("gateway_config_rejected{}"), Some(rejected));
        assert!(told.get("gateway_config_reloads_total{}").unwrap() >= reloads);
    }
}

#[tokio::test]
async fn a_shared_state_is_up_or_not() {
    let a = simulator(Answer::text("Hello!")).await;
    let mut redis = Redis::start();
    let state = json!({ "state": { "backend": "redis", "url": redis.url(), "lease": 2 } });
    let gateway = Gateway::start(&global(model([provider("a", &a, json!({}))]), state));
    wait_for(&gateway, "gateway_shared_state_up{}", 1.0).await;
    redis.kill();
    wait_for(&gateway, "gateway_shared_state_up{}", 0.0).await;
}

async fn wait_for(gateway: &Gateway, key: &str, value: f64) {
    let since = Instant::now();
    while scrape(gateway).await.get(key) != Some(value) {
        assert!(since.elapsed() < SOON + Duration::from_secs(5), "{key}");
        tokio::time::sleep(ms(20)).await;
    }
}
