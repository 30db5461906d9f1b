//! What somebody should look at: told once, in the log and to a webhook.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_gateway::simulator::{Act, Answer, Behavior, Simulator};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::support::redis::Redis;
use crate::support::{Gateway, SOON, global, model, ms, provider};

/// What the webhook's URL holds and no log may.
const TOKEN: &str = "hook-token-4711";

async fn simulator(behavior: impl Into<Behavior>) -> Simulator {
    Simulator::start(behavior).await.unwrap()
}

/// A webhook that takes everything.
async fn hook() -> Simulator {
    simulator(Act::body(200, "text/plain", "ok")).await
}

fn url(hook: &Simulator) -> String {
    format!("{}/chat/completions?token={TOKEN}", hook.endpoint())
}

fn alerts_to(hook: &Simulator) -> Value {
    json!({ "alerts": { "webhook": url(hook) } })
}

/// What the webhook got, as soon as it is so many.
async fn told(hook: &Simulator, count: usize) -> Vec<Value> {
    let came = hook
        .wait_until(|seen| seen.requests >= count as u64, 2 * SOON)
        .await;
    let requests = hook.requests();
    assert!(came, "{} of {count} alerts", requests.len());
    let told = requests.iter().map(|request| {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.path.ends_with(TOKEN), "{}", request.path);
        serde_json::from_slice(&request.body).unwrap()
    });
    told.collect()
}

/// Waits until housekeeping has surely looked at what is so now.
async fn two_looks() {
    tokio::time::sleep(ms(2_200)).await;
}

#[tokio::test]
async fn each_percentage_of_a_limit_is_told_once_and_again_after_a_reset() {
    let (a, hook) = (simulator(Answer::text("Hello!")).await, hook().await);
    let limit = json!({ "rate_limit": { "requests_per_period": 20, "period_cron": "0 0 1 1 *" } });
    let config = model([provider("a", &a, limit)]);
    let gateway = Gateway::start(&global(config, alerts_to(&hook)));
    let ask = async |count| {
        for _ in 0..count {
            assert_eq!(gateway.chat("hi").await.status, 200);
        }
    };
    ask(15).await;
    two_looks().await;
    assert_eq!(hook.seen().requests, 0);
    ask(1).await;
    let first = told(&hook, 1).await.remove(0);
    for (key, value) in [
        ("event", json!("quota")),
        ("model", json!("m")),
        ("provider", json!("a")),
        ("window", json!("period")),
        ("unit", json!("requests")),
        ("percent", json!(80)),
        ("used", json!(16)),
        ("limit", json!(20)),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    for key in ["at", "resets_at"] {
        assert!(first[key].as_str().unwrap().ends_with('Z'), "{first}");
    }
    let text = first["text"].as_str().unwrap();
    assert!(text.contains("m/a: 80% of the requests"), "{text}");

    ask(3).await;
    assert_eq!(told(&hook, 2).await[1]["percent"], 95);
    ask(1).await;
    two_looks().await;
    assert_eq!(hook.seen().requests, 2, "each only once");
    let log = gateway.wait_for_log("Quota alert").await;
    let lines: Vec<&str> = log.lines().filter(|l| l.contains("Quota alert")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = "WARNING Quota alert model=m provider=a unit=requests percent=80 used=16 limit=20 resets_at=";
    assert!(lines[0].contains(line), "{lines:?}");
    assert!(
        lines[1].contains(" percent=95 used=19 limit=20 "),
        "{lines:?}"
    );

    // The operator resets it.
    std::fs::remove_file(gateway.path("data/usage/m/a.json")).unwrap();
    gateway
        .wait_for_log("Reset usage: its file was deleted")
        .await;
    ask(16).await;
    assert_eq!(told(&hook, 3).await[2]["percent"], 80);

    let output = gateway.log() + &gateway.stdout() + &gateway.read("stderr");
    assert!(!output.contains(TOKEN) && !output.contains("sk-secret"));
    let told = format!("{:?}", told(&hook, 3).await);
    assert!(!told.contains(TOKEN) && !told.contains("sk-secret"));
}

#[tokio::test]
async fn a_hook_that_fails_is_called_twice_and_holds_up_nothing() {
    let a = simulator(Answer::text("Hello!")).await;
    let hook = simulator(Behavior::status(500)).await;
    let limit = |requests| json!({ "rate_limit": { "requests_per_period": requests } });
    let config = model([provider("a", &a, limit(1)), provider("b", &a, limit(100))]);
    let gateway = Gateway::start(&global(config, alerts_to(&hook)));
    for _ in 0..5 {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
    let log = gateway.wait_for_log("Alert not delivered").await;
    let line = "WARNING Alert not delivered event=quota reason=\"HTTP 500\"";
    assert!(log.contains(line), "{log}");
    assert_eq!(hook.seen().requests, 2);
    let metrics = gateway.client().get("/metrics").await;
    assert!(metrics.text().contains("\ngateway_alerts_lost_total 1\n"));

    // One that never answers: what is asked meanwhile is answered.
    hook.set(Behavior::hanging());
    gateway.write_config(&json!({ "m": 1 }));
    assert_eq!(
        gateway
            .client()
            .post("/admin/reload", &json!({}))
            .await
            .status,
        422
    );
    let came = hook.wait_until(|seen| seen.requests == 3, SOON).await;
    assert!(came, "it was not called");
    let since = Instant::now();
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(gateway.client().get("/health").await.status, 200);
    assert!(since.elapsed() < Duration::from_secs(2));
    assert!(!gateway.log().contains(TOKEN));
}

#[tokio::test]
async fn a_rejected_file_and_a_model_that_nobody_serves_are_told() {
    let hook = hook().await;
    let a = simulator(Act::rate_limited(60)).await;
    let config = global(model([provider("a", &a, json!({}))]), alerts_to(&hook));
    let gateway = Gateway::start(&config);
    for (file, event) in [
        (&json!({ "m": 1 }), "config_rejected"),
        (&config, "config_accepted"),
    ] {
        gateway.write_config(file);
        gateway.client().post("/admin/reload", &json!({})).await;
        let count = if event == "config_rejected" { 1 } else { 2 };
        assert_eq!(told(&hook, count).await[count - 1]["event"], event);
    }
    assert_eq!(gateway.chat("hi").await.status, 502);
    let third = told(&hook, 3).await.remove(2);
    assert_eq!(
        (&third["event"], &third["model"]),
        (&json!("model_unserved"), &json!("m"))
    );
    gateway
        .wait_for_log("WARNING Model has no provider model=m")
        .await;
    // A provider that is resting is asked when there is no other, and its answer ends the rest.
    a.set(Behavior::answering("again"));
    assert_eq!(gateway.chat("hi").await.status, 200);
    assert_eq!(told(&hook, 4).await[3]["event"], "model_served");
    gateway
        .wait_for_log("INFO Model has a provider again model=m")
        .await;
}

#[tokio::test]
async fn a_shared_state_that_stays_away_is_told() {
    let (a, hook) = (simulator(Answer::text("Hello!")).await, hook().await);
    let mut redis = Redis::start();
    let mut settings = alerts_to(&hook);
    settings["state"] = json!({ "backend": "redis", "url": redis.url(), "lease": 2 });
    let config = model([provider("a", &a, json!({}))]);
    let gateway = Gateway::start(&global(config, settings));
    gateway.wait_for_log("the shared state is reached").await;
    redis.kill();
    assert_eq!(told(&hook, 1).await[0]["event"], "shared_state_away");
    redis.launch();
    assert_eq!(told(&hook, 2).await[1]["event"], "shared_state_back");
}

#[tokio::test]
async fn a_hook_is_called_by_https_and_its_certificate_is_checked() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let hook = Simulator::start_tls(Behavior::answering("ok"), tls)
        .await
        .unwrap();
    let a = simulator(Answer::text("Hello!")).await;
    let limit = json!({ "rate_limit": { "requests_per_period": 1 } });
    let config = model([provider("a", &a, limit)]);
    let gateway = Gateway::start(&global(config, alerts_to(&hook)));
    assert_eq!(gateway.chat("hi").await.status, 200);
    let log = gateway.wait_for_log("Alert not delivered").await;
    assert!(log.contains("authority not known here"), "{log}");
    assert_eq!(hook.seen().requests, 0);
    assert!(!log.contains(TOKEN));
}
