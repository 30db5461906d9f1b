//! A data folder, the quotas in it, and what a killed process would leave.
//!
//! A crash is a copy of the folder as it is at that moment, opened while the original lives on:
//! nothing of what a dying process could still do takes part.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::{NOW, hourly};
use crate::clock::UnixMillis;
use crate::quota::{Account, Quotas, Unit};

/// A data folder and the quotas in it.
pub(super) struct Gateway {
    pub(super) data: TempDir,
    pub(super) quotas: Quotas,
}

impl Gateway {
    pub(super) fn start() -> Gateway {
        Gateway::open(TempDir::new().unwrap(), NOW)
    }

    pub(super) fn open(data: TempDir, now: UnixMillis) -> Gateway {
        let quotas = Quotas::open(data.path(), now).unwrap();
        Gateway { data, quotas }
    }

    /// What a new process would find if this one were killed now.
    pub(super) fn crashed(&self, now: UnixMillis) -> Gateway {
        let data = TempDir::new().unwrap();
        copy(self.data.path(), data.path());
        Gateway::open(data, now)
    }

    pub(super) fn account(&self) -> Arc<Account> {
        self.quotas
            .account("gpt-4o", "provider-1", hourly(1000, 1_000_000), NOW)
    }

    pub(super) fn usage(&self) -> PathBuf {
        self.data.path().join("usage")
    }

    pub(super) fn file(&self) -> PathBuf {
        self.usage().join("gpt-4o/provider-1.json")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }

    /// The segment that is written to.
    pub(super) fn segment(&self) -> PathBuf {
        let name = self.segments().pop_last().unwrap();
        self.usage().join("journal").join(name)
    }

    /// Makes the live segment so large that the next round begins a new one.
    pub(super) fn fill_segment(&self) {
        let file = fs::OpenOptions::new().write(true).open(self.segment());
        file.unwrap().set_len(16 << 20).unwrap();
    }

    pub(super) fn segments(&self) -> BTreeSet<String> {
        names(&self.usage().join("journal"))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub(super) fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

pub(super) fn used(account: &Account, now: UnixMillis) -> (u64, u64) {
    let used = account.standing(now).windows[0].used;
    (used[Unit::Requests], used[Unit::Tokens])
}

pub(super) fn spend(account: &Arc<Account>, tokens: u64) {
    account.reserve(tokens, NOW).unwrap().settle(tokens, NOW);
}
