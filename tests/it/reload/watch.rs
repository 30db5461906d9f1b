//! The ways to change a file.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use api_gateway::simulator::Simulator;
use serde_json::json;
use tokio::task::JoinSet;

use super::{NOTICED, named, simulator, wait_noticed};
use crate::support::{Gateway, model, ms, provider};

/// Starts with model `old`, changes the file so that it holds `new`, and expects that to be noticed.
async fn is_noticed(change: impl AsyncFnOnce(&Gateway, &Path, &str)) {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("old", &simulator));
    notices(&gateway, &simulator, change).await;
}

async fn notices(
    gateway: &Gateway,
    simulator: &Simulator,
    change: impl AsyncFnOnce(&Gateway, &Path, &str),
) {
    wait_noticed(gateway, "old").await;
    let new = format!("{:#}", named("new", simulator));
    change(gateway, &gateway.path("provider.json"), &new).await;
    wait_noticed(gateway, "new").await;
    let health = gateway.client().get("/health").await.json();
    assert_eq!(
        (&health["status"], &health["reloads"]),
        (&json!("healthy"), &json!(1))
    );
}

#[tokio::test]
async fn a_file_written_in_place_is_noticed() {
    is_noticed(async |_, file, new| fs::write(file, new).unwrap()).await;
}

#[tokio::test]
async fn a_file_truncated_and_written_slowly_in_two_halves_is_noticed_once_it_is_whole() {
    is_noticed(async |_, file, new| {
        let (first, _) = new.split_at(new.len() / 2);
        fs::write(file, "").unwrap();
        tokio::time::sleep(ms(200)).await;
        fs::write(file, first).unwrap();
        tokio::time::sleep(ms(200)).await;
        fs::write(file, new).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_renamed_over_it_is_noticed() {
    is_noticed(async |gateway, file, new| {
        let aside = gateway.path("aside");
        fs::write(&aside, new).unwrap();
        fs::rename(aside, file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_moves_the_old_file_away_is_noticed() {
    is_noticed(async |gateway, file, new| {
        fs::rename(file, gateway.path("provider.json~")).unwrap();
        tokio::time::sleep(ms(100)).await;
        fs::write(file, new).unwrap();
        fs::remove_file(gateway.path("provider.json~")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_deleted_and_created_again_is_noticed() {
    is_noticed(async |_, file, new| {
        fs::remove_file(file).unwrap();
        tokio::time::sleep(ms(400)).await;
        fs::write(file, new).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_older_file_put_back_is_noticed() {
    is_noticed(async |gateway, file, new| {
        let backup = gateway.path("backup");
        fs::write(&backup, new).unwrap();
        let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let times = fs::FileTimes::new().set_modified(long_ago);
        fs::File::open(&backup).unwrap().set_times(times).unwrap();
        fs::rename(backup, file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_link_that_points_elsewhere_is_noticed() {
    let simulator = simulator("hi").await;
    let mut gateway = Gateway::start(&named("old", &simulator));
    assert!(gateway.stop().success());
    let file = gateway.path("provider.json");
    fs::create_dir(gateway.path("one")).unwrap();
    fs::create_dir(gateway.path("two")).unwrap();
    fs::rename(&file, gateway.path("one/file")).unwrap();
    symlink("one/file", &file).unwrap();
    gateway.launch();
    notices(&gateway, &simulator, async |gateway, file, new| {
        fs::write(gateway.path("two/file"), new).unwrap();
        symlink("two/file", gateway.path("link")).unwrap();
        fs::rename(gateway.path("link"), file).unwrap();
    })
    .await;
    // And the file behind the new link.
    let newest = named("newest", &simulator);
    fs::write(gateway.path("two/file"), newest.to_string()).unwrap();
    wait_noticed(&gateway, "newest").await;
}

#[tokio::test]
async fn the_swap_of_a_mounted_config_map_is_noticed_each_time() {
    let simulator = simulator("hi").await;
    let mut gateway = Gateway::start(&named("old", &simulator));
    assert!(gateway.stop().success());
    let mount = |version: &str, text: &str| {
        fs::create_dir(gateway.path(version)).unwrap();
        fs::write(gateway.path(version).join("provider.json"), text).unwrap();
        symlink(version, gateway.path("..data_tmp")).unwrap();
        fs::rename(gateway.path("..data_tmp"), gateway.path("..data")).unwrap();
    };
    mount("..1", &named("old", &simulator).to_string());
    let file = gateway.path("provider.json");
    fs::remove_file(&file).unwrap();
    symlink("..data/provider.json", &file).unwrap();
    gateway.launch();
    wait_noticed(&gateway, "old").await;
    for (version, before, name) in [
        ("..2", "..1", "new"),
        ("..3", "..2", "newer"),
        ("..4", "..3", "newest"),
    ] {
        fs::create_dir(gateway.path(version)).unwrap();
        let text = named(name, &simulator).to_string();
        fs::write(gateway.path(version).join("provider.json"), text).unwrap();
        symlink(version, gateway.path("..data_tmp")).unwrap();
        fs::rename(gateway.path("..data_tmp"), gateway.path("..data")).unwrap();
        fs::remove_dir_all(gateway.path(before)).unwrap();
        wait_noticed(&gateway, name).await;
    }
}

#[tokio::test]
async fn a_hangup_signal_reloads() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("old", &simulator));
    gateway.write_config(&named("new", &simulator));
    gateway.signal("HUP");
    wait_noticed(&gateway, "new").await;
    // The signal alone does it, too: nothing changed, and it says so once more.
    gateway.signal("HUP");
    gateway
        .wait_for("the reload", || {
            (gateway.log().matches("Configuration loaded").count() >= 2).then_some(())
        })
        .await;
}

#[tokio::test]
async fn the_watcher_too_tells_of_a_broken_file_and_of_its_repair() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&model([provider("a", &simulator, json!({}))]));
    let file = gateway.path("provider.json");
    let good = fs::read_to_string(&file).unwrap();
    let status = async |expected: &str| {
        let since = Instant::now();
        while gateway.client().get("/health").await.json()["status"] != expected {
            assert!(since.elapsed() <= NOTICED, "not {expected}");
            tokio::time::sleep(ms(20)).await;
        }
    };
    for broken in [&good[..good.len() / 2], ""] {
        fs::write(&file, broken).unwrap();
        status("degraded").await;
        assert_eq!(gateway.chat("hi").await.status, 200);
        fs::write(&file, &good).unwrap();
        status("healthy").await;
    }
    fs::remove_file(&file).unwrap();
    status("degraded").await;
    assert_eq!(gateway.chat("hi").await.status, 200);
    gateway
        .wait_for("a line for each", || {
            let log = gateway.log();
            (log.matches("ERROR configuration rejected").count() == 3).then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_was_asked_for_is_not_told_again_by_the_watcher() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("old", &simulator));
    fs::write(gateway.path("provider.json"), "{").unwrap();
    // By now the watcher has seen it, and gives it half a second to become whole.
    tokio::time::sleep(ms(100)).await;
    let refused = gateway.client().post("/admin/reload", &json!({})).await;
    assert_eq!(refused.status, 422);
    tokio::time::sleep(ms(1200)).await;
    let told = gateway
        .log()
        .matches("ERROR configuration rejected")
        .count();
    assert_eq!(told, 1, "{}", gateway.log());
}

#[tokio::test]
async fn reloads_at_the_same_time_end_with_what_the_file_holds() {
    let simulator = simulator("hi").await;
    let gateway = Gateway::start(&named("old", &simulator));
    for round in 0..50 {
        let mut reloads = JoinSet::new();
        for half in ["a", "b"] {
            let aside = gateway.path("aside");
            let config = named(&format!("{half}-{round}"), &simulator);
            fs::write(&aside, config.to_string()).unwrap();
            fs::rename(aside, gateway.path("provider.json")).unwrap();
            for _ in 0..3 {
                let client = gateway.client();
                reloads.spawn(async move { client.post("/admin/reload", &json!({})).await.status });
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(reloads.join_all().await, [200; 6]);
        wait_noticed(&gateway, &format!("b-{round}")).await;
    }
}
