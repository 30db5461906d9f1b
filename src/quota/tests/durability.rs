//! What survives the end of the process.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::gateway::{Gateway, spend, used};
use super::{NOW, hourly, limits, minutes};
use crate::quota::{Account, Event, Limits, OpenError, Quotas, Reservation};

#[test]
fn a_second_process_is_refused() {
    let gateway = Gateway::start();
    let error = Quotas::open(gateway.data.path(), NOW).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(error.to_string().ends_with("is in use by another gateway"));
    let Gateway { data, quotas } = gateway;
    drop(quotas);
    Gateway::open(data, NOW);
}

#[test]
fn a_commit_is_on_disk_when_it_returns() {
    let gateway = Gateway::start();
    let account = gateway.account();
    let mut reservation = account.reserve(100, NOW).unwrap();
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (0, 0));
    reservation.commit(NOW);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (1, 100));
    reservation.settle(60, NOW);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (1, 60));

    let lines = || {
        fs::read_to_string(gateway.segment())
            .unwrap()
            .lines()
            .count()
    };
    let before = lines();
    account.reserve(10, NOW).unwrap().settle(20, NOW);
    assert_eq!(lines(), before + 1, "settling alone is one line");
}

#[test]
fn ticks_missed_while_down_are_one_reset_at_start() {
    let gateway = Gateway::start();
    spend(&gateway.account(), 42);
    gateway.quotas.flush(NOW).unwrap();

    let later = minutes(300);
    let restarted = gateway.crashed(later);
    let limits = hourly(1000, 1_000_000);
    let account = restarted
        .quotas
        .account("gpt-4o", "provider-1", limits, later);
    assert_eq!(used(&account, later), (0, 0));
    let reset = Event::Reset {
        model: "gpt-4o".into(),
        provider: "provider-1".into(),
        window: "period".into(),
        requests: 1,
        tokens: 42,
    };
    assert_eq!(restarted.quotas.maintain(later), [reset]);
    assert_eq!(restarted.quotas.maintain(minutes(301)), []);
    assert_eq!(restarted.json()["last_reset"], "2026-11-20T15:00:00Z");
}

#[test]
fn what_is_no_whole_line_is_ignored() {
    let gateway = Gateway::start();
    spend(&gateway.account(), 42);
    let id = gateway.json()["id"].as_str().unwrap().to_owned();
    let start = NOW.secs() / 3600 * 3_600_000;
    let text = [
        format!("\n\0\0\0\n{id}\n{id} 90 {start} 9\n{id} 91 {start} 9 9 9\n").into_bytes(),
        format!("{id} -1 {start} 9 9\n{id}0 92 {start} 9 9\n{id} 93 {start} 9 {id} ").into_bytes(),
        format!("94 {start} 9 9\n\u{e9}\n").into_bytes(),
        format!("{id} 1 {start} 0 0\n{id} 95 {start} 7 7").into_bytes(),
    ]
    .concat();
    fs::write(gateway.usage().join("journal/77.log"), text).unwrap();
    fs::write(gateway.usage().join("journal/notes.txt"), "mine").unwrap();
    let restarted = gateway.crashed(NOW);
    assert_eq!(used(&restarted.account(), NOW), (1, 42));
    let expected = BTreeSet::from(["78.log".to_owned(), "notes.txt".to_owned()]);
    assert_eq!(restarted.segments(), expected);
}

#[test]
fn a_large_segment_gives_way_to_a_new_one() {
    let gateway = Gateway::start();
    let account = gateway.account();
    spend(&account, 42);
    let first = gateway.segment();
    gateway.fill_segment();
    spend(&account, 1);
    gateway.quotas.maintain(NOW);

    assert_eq!(gateway.segments().len(), 1);
    assert_ne!(gateway.segment(), first);
    assert_eq!(gateway.json()["tokens"], 43);
    spend(&account, 1);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (3, 44));
}

#[test]
fn requests_go_on_while_segments_change_and_none_is_lost() {
    let gateway = Gateway::start();
    let account = gateway
        .quotas
        .account("gpt-4o", "provider-1", Limits::default(), NOW);
    let answered = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    spend(&account, 1);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..10 {
            gateway.fill_segment();
            gateway.quotas.maintain(NOW);
            let before = answered.load(Ordering::SeqCst);
            let (requests, tokens) = used(&gateway.crashed(NOW).account(), NOW);
            assert!(
                requests >= before && requests == tokens,
                "{requests} {before}"
            );
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(
        used(&gateway.crashed(NOW).account(), NOW),
        used(&account, NOW)
    );
}

#[test]
fn trouble_is_told_and_passes_without_a_loss() {
    let gateway = Gateway::start();
    let account = gateway.account();
    // Nothing can be written where files are in the way of folders.
    let model = gateway.usage().join("gpt-4o");
    let journal = gateway.usage().join("journal");
    for folder in [&model, &journal] {
        fs::rename(folder, folder.with_extension("away")).unwrap();
        fs::write(folder, "in the way").unwrap();
    }
    let restore = |folder: &Path| {
        fs::remove_file(folder).unwrap();
        fs::rename(folder.with_extension("away"), folder).unwrap();
    };
    spend(&account, 42);
    assert_eq!(gateway.quotas.maintain(NOW), []);
    let trouble = gateway.quotas.trouble().unwrap();
    assert!(
        trouble.starts_with("cannot write the quota journal"),
        "{trouble}"
    );
    assert!(gateway.quotas.flush(NOW).is_err());
    spend(&account, 1);

    restore(&journal);
    gateway.quotas.maintain(NOW);
    let trouble = gateway.quotas.trouble().unwrap();
    assert!(trouble.contains("provider-1.json: "), "{trouble}");

    restore(&model);
    assert_eq!(gateway.quotas.maintain(NOW), []);
    assert_eq!(gateway.quotas.trouble(), None);
    assert_eq!(gateway.segments().len(), 1);
    spend(&account, 1);
    assert_eq!(used(&gateway.crashed(NOW).account(), NOW), (3, 44));
}

#[test]
fn many_changed_accounts_take_turns_and_all_are_saved() {
    let gateway = Gateway::start();
    let accounts: Vec<_> = (0..160)
        .map(|i| {
            gateway
                .quotas
                .account("m", &format!("p{i}"), limits(9, 99), NOW)
        })
        .collect();
    let saved = || {
        let files = (0..160).map(|i| gateway.usage().join(format!("m/p{i}.json")));
        files
            .filter(|file| {
                fs::read_to_string(file)
                    .unwrap()
                    .contains(r#""requests": 1,"#)
            })
            .count()
    };
    gateway.quotas.maintain(minutes(1));
    accounts.iter().for_each(|account| spend(account, 1));
    // How many a round manages depends on the disk.
    let mut before = 0;
    for minute in 2.. {
        gateway.quotas.maintain(minutes(minute));
        let now = saved();
        assert!((1..=64).contains(&(now - before)), "{before}, then {now}");
        if now == 160 {
            break;
        }
        before = now;
    }
}

/// What happens to a folder and the process in it.
#[derive(Clone, Debug)]
enum Step {
    Reserve(usize, u64),
    Commit(usize),
    Settle(usize, u64),
    Drop(usize),
    Maintain,
    Flush,
    Delete(usize),
    Crash,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..3, 0_u64..60).prop_map(|(account, tokens)| Step::Reserve(account, tokens)),
        6 => (0_usize..6).prop_map(Step::Commit),
        4 => (0_usize..6, 0_u64..90).prop_map(|(i, tokens)| Step::Settle(i, tokens)),
        2 => (0_usize..6).prop_map(Step::Drop),
        2 => Just(Step::Maintain),
        1 => Just(Step::Flush),
        1 => (0_usize..3).prop_map(Step::Delete),
        3 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

const PROVIDERS: [&str; 3] = ["provider-1", "Provider-1", "../provider-1"];
const FILES: [&str; 3] = [
    "a%2fb/provider-1.json",
    "a%2fb/%50rovider-1.json",
    "a%2fb/%2e.%2fprovider-1.json",
];

fn accounts(gateway: &Gateway) -> Vec<Arc<Account>> {
    let account = |provider| {
        gateway
            .quotas
            .account("a/b", provider, limits(1000, 1 << 40), NOW)
    };
    PROVIDERS.into_iter().map(account).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_crash_loses_nothing_committed_and_a_deletion_holds(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut gateway = Gateway::start();
        let mut running = accounts(&gateway);
        let mut deleted = [false; 3];
        let mut open: Vec<(usize, Reservation)> = Vec::new();

        for step in steps {
            match step {
                Step::Reserve(account, tokens) => {
                    open.push((account, running[account].reserve(tokens, NOW).unwrap()));
                }
                Step::Commit(i) => if let Some((_, reservation)) = open.get_mut(i) {
                    reservation.commit(NOW);
                },
                Step::Settle(i, tokens) => if i < open.len() {
                    open.remove(i).1.settle(tokens, NOW);
                },
                Step::Drop(i) => if i < open.len() {
                    drop(open.remove(i));
                },
                Step::Maintain => {
                    let events = gateway.quotas.maintain(NOW);
                    prop_assert_eq!(events.len(), deleted.iter().filter(|d| **d).count());
                    deleted = [false; 3];
                }
                Step::Flush => {
                    gateway.quotas.flush(NOW).unwrap();
                    deleted = [false; 3];
                    gateway.quotas.maintain(NOW);
                }
                Step::Delete(account) => {
                    let _ = fs::remove_file(gateway.usage().join(FILES[account]));
                    deleted[account] = true;
                }
                Step::Crash | Step::Restart => {
                    let restarted = gateway.crashed(NOW);
                    let found = accounts(&restarted);
                    for i in 0..3 {
                        let expected = if deleted[i] { (0, 0) } else { used(&running[i], NOW) };
                        prop_assert_eq!(used(&found[i], NOW), expected);
                    }
                    if matches!(step, Step::Restart) {
                        open.clear();
                        running = found;
                        gateway = restarted;
                        deleted = [false; 3];
                    }
                }
            }
        }
    }
}
