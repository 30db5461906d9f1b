//! The readable files under `data/usage`: what they say, where they lie, what deleting one means.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use api_gateway::simulator::{Behavior, Simulator};
use serde_json::{Value, json};

use crate::support::gateway::{chat, program};
use crate::support::{Gateway, model, ms, provider};

async fn simulator() -> Simulator {
    Simulator::start(Behavior::answering("hi")).await.unwrap()
}

fn daily(requests: u64) -> Value {
    json!({ "rate_limit": {
        "requests_per_period": requests, "tokens_per_period": 500_000, "period_cron": "0 0 29 2 *"
    } })
}

async fn ask(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        assert_eq!(gateway.chat("hi").await.status, 200);
    }
}

fn read(gateway: &Gateway, path: &str) -> Option<Value> {
    serde_json::from_str(&gateway.read(path)).ok()
}

/// Waits until this file tells this number of requests, and whatever else it tells.
async fn saved(gateway: &Gateway, path: &str, requests: u64) -> Value {
    gateway
        .wait_for(&format!("{requests} requests in {path}"), || {
            read(gateway, path).filter(|file| file["requests"] == requests)
        })
        .await
}

/// Every file under `folder`, by its path from there.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).unwrap();
                found.insert(path.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

const FILE: &str = "data/usage/m/a.json";

#[tokio::test]
async fn a_file_tells_a_person_how_its_provider_stands() {
    let simulator = simulator().await;
    let gateway = Gateway::start(&model([provider("a", &simulator, daily(5))]));
    ask(&gateway, 2).await;
    let file = saved(&gateway, FILE, 2).await;
    let stats = gateway.stats("a").await;
    let keys = [
        "model",
        "provider",
        "requests",
        "tokens",
        "limit_requests",
        "limit_tokens",
        "period_cron",
        "timezone",
        "last_reset",
        "next_reset",
    ];
    let told: Vec<_> = keys.iter().map(|key| &file[*key]).collect();
    assert_eq!(
        json!(told),
        json!([
            "m",
            "a",
            2,
            60,
            5,
            500_000,
            "0 0 29 2 *",
            "UTC",
            stats["last_reset"],
            stats["next_reset"],
        ])
    );
    assert!(
        gateway.read(FILE).lines().count() > keys.len(),
        "one line for each"
    );
}

#[tokio::test]
async fn a_count_survives_a_stop_and_a_start() {
    let simulator = simulator().await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, daily(5))]));
    ask(&gateway, 3).await;
    assert_eq!(gateway.stop().code(), Some(0));
    assert_eq!(read(&gateway, FILE).unwrap()["requests"], 3);
    gateway.launch();
    let stats = gateway.stats("a").await;
    assert_eq!(
        (&stats["requests"], &stats["tokens"]),
        (&json!(3), &json!(90))
    );
    ask(&gateway, 2).await;
    assert_eq!(gateway.chat("hi").await.status, 429);
}

#[tokio::test]
async fn deleting_a_file_resets_its_provider_while_it_runs() {
    let simulator = simulator().await;
    let gateway = Gateway::start(&model([
        provider("a", &simulator, daily(2)),
        provider("b", &simulator, daily(2)),
    ]));
    ask(&gateway, 4).await;
    saved(&gateway, FILE, 2).await;
    saved(&gateway, "data/usage/m/b.json", 2).await;
    assert_eq!(gateway.chat("hi").await.status, 429);

    std::fs::remove_file(gateway.path(FILE)).unwrap();
    let deleted = Instant::now();
    saved(&gateway, FILE, 0).await;

    assert!(
        deleted.elapsed() <= Duration::from_secs(2 + 1),
        "{:?}",
        deleted.elapsed()
    );
    let log = gateway
        .wait_for_log("Reset usage: its file was deleted")
        .await;
    assert!(
        log.contains("model=m provider=a requests=2 tokens=60"),
        "{log}"
    );
    assert_eq!(gateway.stats("a").await["requests"], 0);
    assert_eq!(gateway.stats("b").await["requests"], 2, "the other stays");
    let answer = gateway.chat("hi").await;
    assert_eq!(answer.header("x-gateway-provider"), Some("a"));
}

#[tokio::test]
async fn deleting_the_whole_folder_resets_everything_while_it_runs() {
    let simulator = simulator().await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, daily(2))]));
    ask(&gateway, 2).await;
    saved(&gateway, FILE, 2).await;
    std::fs::remove_dir_all(gateway.path("data/usage")).unwrap();
    // The file is there a moment before the account is reset.
    gateway
        .wait_for_log("Reset usage: its file was deleted")
        .await;
    saved(&gateway, FILE, 0).await;
    ask(&gateway, 1).await;
    // What is counted from then on is as safe as before.
    gateway.kill();
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 1);
}

#[tokio::test]
async fn deleting_a_file_resets_its_provider_while_it_is_stopped() {
    let simulator = simulator().await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, daily(2))]));
    ask(&gateway, 2).await;
    // Killed, so that the journal still knows what the file may not.
    gateway.kill();
    std::fs::remove_file(gateway.path(FILE)).unwrap();
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 0);
    ask(&gateway, 2).await;
    gateway.kill();
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside_and_the_gateway_starts() {
    let simulator = simulator().await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, daily(2))]));
    for (round, corrupt) in [&b"{\"requests\": 1,"[..], b"", b"[1]", b"\xff\xfe"]
        .into_iter()
        .enumerate()
    {
        ask(&gateway, 1).await;
        assert!(gateway.stop().success());
        std::fs::write(gateway.path(FILE), corrupt).unwrap();
        gateway.launch();

        assert_eq!(gateway.stats("a").await["requests"], 0);
        let set_aside: Vec<_> = files(&gateway.path("data/usage/m"))
            .into_iter()
            .filter(|name| name.starts_with("a.json.corrupt-"))
            .collect();
        assert!(!set_aside.is_empty());
        let kept = set_aside
            .iter()
            .map(|name| std::fs::read(gateway.path("data/usage/m").join(name)).unwrap());
        assert!(kept.into_iter().any(|kept| kept == corrupt));
        gateway
            .wait_for("an ERROR for each", || {
                let log = gateway.log();
                let errors = log
                    .lines()
                    .filter(|line| line.contains(" ERROR unreadable usage file set aside as "));
                (errors.count() == round + 1).then_some(())
            })
            .await;
        saved(&gateway, FILE, 0).await;
    }
}

/// Names that are folders, are each other in another case, or are ours.
const NAMES: [&str; 9] = ["a/b", "..", "A", "a", ".", "journal", "a\\b", "%2e", "*x"];

#[tokio::test]
async fn odd_names_stay_apart_and_inside_the_folder() {
    let simulator = simulator().await;
    let mut config = json!({});
    for model in NAMES {
        let providers: Vec<Value> = NAMES
            .iter()
            .map(|name| provider(name, &simulator, json!({ "weight": 1 })))
            .collect();
        config[model] = json!({ "providers": providers });
    }
    let mut gateway = Gateway::start(&config);
    let mut expected = json!({});
    for (more, model) in NAMES.into_iter().enumerate() {
        // One turn for each provider, and one more for some.
        let mut question = chat("hi");
        question["model"] = json!(if model == "*x" { "yx" } else { model });
        for _ in 0..NAMES.len() + more {
            let answer = gateway
                .client()
                .post("/v1/chat/completions", &question)
                .await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
        for (place, name) in NAMES.into_iter().enumerate() {
            expected[model][name] = json!(1 + u64::from(place < more));
        }
    }

    for _ in 0..2 {
        let stats = gateway.client().get("/admin/stats").await.json();
        let mut told = json!({});
        for model in NAMES {
            for name in NAMES {
                told[model][name] = stats[model][name]["requests"].clone();
            }
        }
        assert_eq!(told, expected);
        assert!(gateway.stop().success());
        gateway.launch();
    }
    assert!(gateway.stop().success());

    let all = files(&gateway.path(""));
    let (usage, others): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|path| path.starts_with("data/usage/") && path.ends_with(".json"));
    assert_eq!(usage.len(), NAMES.len() * NAMES.len());
    let without_case: BTreeSet<String> = usage.iter().map(|path| path.to_uppercase()).collect();
    assert_eq!(without_case.len(), usage.len());
    let others: BTreeSet<&str> = others
        .into_iter()
        .map(String::as_str)
        .filter(|path| path.starts_with("data/") || path.ends_with(".json"))
        .filter(|path| !path.starts_with("data/usage/journal/"))
        .collect();
    assert_eq!(others, BTreeSet::from(["data/.lock", "provider.json"]));
    for path in usage {
        let file = read(&gateway, path).unwrap();
        let (model, name) = (
            file["model"].as_str().unwrap(),
            file["provider"].as_str().unwrap(),
        );
        assert_eq!(file["requests"], expected[model][name], "{path}");
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_refuses_to_start() {
    let simulator = simulator().await;
    let mut gateway = Gateway::start(&model([provider("a", &simulator, daily(5))]));
    ask(&gateway, 1).await;
    let start = || {
        let folder = gateway.path("");
        let arguments = [
            "--config",
            "provider.json",
            "--port",
            "0",
            "--log-dir",
            "other-logs",
        ];
        let mut second = program(&folder, &arguments);
        second.stdout(Stdio::piped()).stderr(Stdio::piped());
        second.spawn().unwrap()
    };

    let mut second = start();
    let since = Instant::now();
    while second.try_wait().unwrap().is_none() {
        if since.elapsed() > crate::support::SOON {
            second.kill().unwrap();
        }
        tokio::time::sleep(ms(10)).await;
    }
    let output = second.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the data folder data is in use by another gateway"),
        "{said}"
    );
    // The first has not noticed.
    ask(&gateway, 1).await;
    gateway.kill();
    gateway.launch();
    assert_eq!(gateway.stats("a").await["requests"], 2);
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_logged_once_and_so_is_its_return() {
    let simulator = simulator().await;
    let gateway = Gateway::start(&model([provider("a", &simulator, daily(9))]));
    let (folder, away) = (gateway.path("data/usage/m"), gateway.path("away"));
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    ask(&gateway, 2).await;
    let log = gateway.wait_for_log(" ERROR usage is not safe").await;
    assert!(log.contains("usage/m/a.json: not a directory"), "{log}");

    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    let log = gateway
        .wait_for_log(" INFO usage is safe on disk again")
        .await;
    // Every second something could be told; only what is new was.
    let told = log
        .lines()
        .filter_map(|line| line.split_once("usage is not safe"));
    let told: Vec<_> = told.map(|(_, reason)| reason).collect();
    assert_eq!(told.len(), 1, "{log}");
    saved(&gateway, FILE, 2).await;
}

#[tokio::test]
async fn an_alias_that_becomes_a_model_begins_with_a_health_of_its_own() {
    let simulator = simulator().await;
    let mut config = model([provider("a", &simulator, daily(9))]);
    config["m"]["aliases"] = json!(["n"]);
    let gateway = Gateway::start(&config);
    ask(&gateway, 2).await;

    config["m"]["aliases"] = json!([]);
    config["n"] = json!({ "providers": [provider("a", &simulator, daily(9))] });
    gateway.write_config(&config);
    let reloaded = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(reloaded.status, 200);
    let of_n = gateway.client().get("/admin/providers/n").await.json();
    assert_eq!(of_n[0]["answered"], 0);
    assert_eq!(gateway.standing("a").await["answered"], 2);
}
