//! The readable files: what they say, and what the operator may do to them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use super::gateway::{Gateway, names, spend, used};
use super::{NOW, limits, minutes};
use crate::quota::{Event, Owner, Quotas};

#[test]
fn the_file_says_what_a_person_wants_to_know() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    assert_eq!(gateway.json()["requests"], 0, "the initial file");
    gateway.quotas.maintain(minutes(1));

    let mut found = gateway.json();
    assert_eq!(found["id"].take().as_str().unwrap().len(), 16);
    assert_eq!(
        found,
        json!({
            "model": "gpt-4o", "provider": "provider-1", "id": null, "version": 2,
            "period_start": "2026-11-20T10:00:00Z", "requests": 1, "tokens": 42,
            "limit_requests": 1000, "limit_tokens": 1_000_000,
            "period_cron": "0 * * * *", "timezone": "UTC",
            "last_reset": "2026-11-20T10:00:00Z", "next_reset": "2026-11-20T11:00:00Z",
            "updated_at": "2026-11-20T10:31:15Z",
        })
    );
    assert_eq!(
        names(&gateway.usage().join("gpt-4o")).len(),
        1,
        "nothing left aside"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(gateway.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "not for everybody: {mode:o}");
        assert_eq!(mode & 0o600, 0o600);
    }
}

#[test]
fn deleting_the_file_resets_a_running_account() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    let held = account.reserve(7, NOW).unwrap();
    let mut committed = account.reserve(8, NOW).unwrap();
    committed.commit(NOW);
    gateway.quotas.maintain(NOW);
    let id = gateway.json()["id"].clone();

    fs::remove_file(gateway.file()).unwrap();
    let deleted = Event::Deleted {
        model: "gpt-4o".into(),
        provider: "provider-1".into(),
        requests: 2,
        tokens: 50,
    };
    assert_eq!(gateway.quotas.maintain(minutes(1)), [deleted]);
    assert_eq!(gateway.quotas.maintain(minutes(2)), []);
    let file = gateway.json();
    assert_eq!((&file["requests"], &file["tokens"]), (&json!(0), &json!(0)));
    assert_eq!(file["last_reset"], "2026-11-20T10:31:15Z");
    assert_ne!(file["id"], id);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (0, 0));

    // What was committed before stays forgotten; what was only held counts as anything new.
    committed.settle(9, NOW);
    assert_eq!(used(&account, NOW), (0, 0));
    held.settle(6, NOW);
    assert_eq!(used(&account, NOW), (1, 6));
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (1, 6));
}

#[test]
fn deleting_the_file_resets_a_stopped_account() {
    let gateway = Gateway::start();
    spend(&gateway.account(), 42);
    fs::remove_file(gateway.file()).unwrap();
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (0, 0));
}

#[test]
fn deleting_the_whole_folder_resets_everything() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    fs::remove_dir_all(gateway.usage()).unwrap();
    assert_eq!(gateway.quotas.maintain(NOW).len(), 1);
    assert_eq!(gateway.quotas.trouble(), None);
    spend(&account, 7);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (1, 7));
}

#[test]
fn a_deletion_is_noticed_though_the_new_file_cannot_be_written() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    gateway.quotas.maintain(NOW);
    let folder = gateway.usage().join("gpt-4o");
    fs::remove_dir_all(&folder).unwrap();
    // A link that leads nowhere: the file is gone, and nothing can be created.
    std::os::unix::fs::symlink("nowhere/at/all", &folder).unwrap();

    assert_eq!(gateway.quotas.maintain(NOW).len(), 1);
    assert_eq!(used(&account, NOW), (0, 0));
    assert!(gateway.quotas.trouble().is_some());
    spend(&account, 7);
    fs::remove_file(&folder).unwrap();
    assert_eq!(gateway.quotas.maintain(NOW), []);
    assert_eq!(gateway.json()["tokens"], 7);
}

#[test]
fn an_account_that_was_never_written_is_kept_until_it_is() {
    let gateway = Gateway::start();
    let folder = gateway.usage().join("gpt-4o");
    fs::write(&folder, "in the way").unwrap();
    spend(&gateway.account(), 42);
    gateway.quotas.retain(&|_| false);
    gateway.quotas.maintain(NOW);
    assert_eq!(used(&gateway.account(), NOW), (1, 42));

    gateway.quotas.retain(&|_| false);
    fs::remove_file(&folder).unwrap();
    gateway.quotas.maintain(NOW);
    assert_eq!(gateway.json()["tokens"], 42);
}

#[test]
fn a_lock_that_was_deleted_is_taken_again() {
    let gateway = Gateway::start();
    fs::remove_dir_all(gateway.data.path()).unwrap();
    gateway.quotas.maintain(NOW);
    assert!(Quotas::open(gateway.data.path(), NOW).is_err());
    assert_eq!(gateway.quotas.trouble(), None);

    fs::remove_file(gateway.data.path().join(".lock")).unwrap();
    let other = Quotas::open(gateway.data.path(), NOW).unwrap();
    gateway.quotas.maintain(NOW);
    let trouble = gateway.quotas.trouble().unwrap();
    assert!(trouble.contains("in use by another gateway"), "{trouble}");
    drop(other);
    gateway.quotas.maintain(NOW);
    assert_eq!(gateway.quotas.trouble(), None);
}

#[test]
fn a_corrupt_file_is_set_aside_and_told() {
    for text in ["", "{", "[]", r#"{"requests": 3}"#] {
        let gateway = Gateway::start();
        spend(&gateway.account(), 42);
        fs::write(gateway.file(), text).unwrap();

        let restarted = gateway.crashed(NOW);
        assert_eq!(used(&restarted.account(), NOW), (0, 0));
        let [Event::Corrupt { path, reason, .. }] = &restarted.quotas.maintain(NOW)[..] else {
            panic!("no event for {text:?}");
        };
        assert_eq!(*path, restarted.file());
        let aside = "provider-1.json.corrupt-1795170615";
        assert!(reason.ends_with(aside), "{reason}");
        let expected = BTreeSet::from(["provider-1.json".to_owned(), aside.to_owned()]);
        assert_eq!(names(&restarted.usage().join("gpt-4o")), expected);
    }
}

#[test]
fn an_entry_that_leaves_and_returns_goes_on_where_it_was() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    let late = account.reserve(5, NOW).unwrap();
    gateway.quotas.retain(&|owner| {
        !matches!(
            owner,
            Owner::Provider {
                provider: "provider-1",
                ..
            }
        )
    });
    gateway.quotas.maintain(NOW);
    assert_eq!(gateway.json()["tokens"], 42);

    // While somebody holds it, it is the same account.
    assert!(Arc::ptr_eq(&account, &gateway.account()));
    gateway.quotas.retain(&|_| false);
    late.settle(5, NOW);
    drop(account);
    gateway.quotas.maintain(NOW);
    assert_eq!(gateway.json()["tokens"], 47);
    // After that it comes from its file.
    let text = fs::read_to_string(gateway.file()).unwrap();
    fs::write(gateway.file(), text.replace(": 47,", ": 40,")).unwrap();
    assert_eq!(used(&gateway.account(), NOW), (2, 40));

    // A file that is deleted meanwhile stays deleted.
    gateway.quotas.retain(&|_| false);
    fs::remove_file(gateway.file()).unwrap();
    gateway.quotas.maintain(NOW);
    assert!(!gateway.file().exists());
    assert_eq!(used(&gateway.account(), NOW), (0, 0));
}

#[test]
fn new_limits_keep_the_count_and_are_written() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    let limits = limits(1, 50);
    gateway
        .quotas
        .account("gpt-4o", "provider-1", limits.clone(), NOW);
    assert!(account.peek(NOW).is_err());
    gateway.quotas.maintain(NOW);
    assert_eq!(gateway.json()["limit_requests"], 1);
    assert_eq!(gateway.json()["next_reset"], Value::Null);

    let restarted = gateway.crashed(NOW);
    let account = restarted.account();
    assert_eq!(used(&account, NOW), (1, 42));
    restarted.quotas.maintain(NOW);
    assert_eq!(restarted.json()["limit_requests"], 1000);
}

#[test]
fn a_copied_file_hands_on_its_counts_but_not_its_id() {
    let gateway = Gateway::start();
    spend(&gateway.account(), 42);
    gateway.quotas.maintain(NOW);
    let copy = gateway.usage().join("gpt-4o/provider-2.json");
    fs::copy(gateway.file(), &copy).unwrap();
    let other = || {
        gateway
            .quotas
            .account("gpt-4o", "provider-2", limits(9, 99), NOW)
    };
    assert_eq!(used(&other(), NOW), (1, 42));
    spend(&other(), 1);
    gateway.quotas.maintain(NOW);
    let other: Value = serde_json::from_slice(&fs::read(copy).unwrap()).unwrap();
    assert_eq!(other["provider"], "provider-2");
    assert_ne!(other["id"], gateway.json()["id"]);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (1, 42));
}
