//! IO: carries what accounts tell to Redis, and what others tell back to the accounts.
//!
//! One thread for all accounts. While an answer is under way new claims gather, so that all that came
//! meanwhile shares the next round trip: the busier it is, the less each request pays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::account::Account;
use super::ledger::Terms;
use super::shared::{Backup, Claim, Client, Settings, Told};
use crate::clock::UnixMillis;

/// The accounts that are shared, and how the others are.
#[derive(Debug)]
pub struct Sharing {
    accounts: Mutex<HashMap<String, Arc<Account>>>,
    /// How many there have been, those included that are gone.
    lives: AtomicU64,
    /// Somebody waits for an answer.
    called: Notify,
    /// How far the clock of Redis is ahead of ours, in milliseconds.
    ahead_ms: AtomicI64,
    trouble: Mutex<Option<String>>,
    pub(super) terms: Terms,
    /// Reads the clock of this machine.
    clock: fn() -> UnixMillis,
}

/// The thread looks this often whether something is to be told.
const BEAT: Duration = Duration::from_millis(50);

/// The first pause before another connection is tried, and the longest.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What Redis knows is fetched this often, so that it can be put back should Redis lose it.
const BACKUP_EVERY: Duration = Duration::from_secs(1);

/// How many accounts are in one round trip at most: Redis takes some 0.1 ms for each.
const AT_ONCE: usize = 500;

/// At the end of the process others are told what it leaves, for no longer than this.
const FAREWELL: Duration = Duration::from_secs(2);

/// Stops the sharing when it is dropped, once the others know what is left.
#[derive(Debug)]
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sharing {
    /// Begins to share by this server. Whether it can be reached is not known yet.
    ///
    /// # Errors
    /// The settings make no sense, or no thread can be had; in words, without a secret.
    pub fn start(
        settings: Settings,
        serves_alone: bool,
        clock: fn() -> UnixMillis,
    ) -> Result<(Arc<Sharing>, Running), String> {
        let terms = Terms {
            // What is pledged is lost if this process dies, so no more than what is worth it.
            ahead: match serves_alone {
                true => Duration::from_secs(2),
                false => Duration::from_millis(100),
            },
            serves_alone,
            lease: settings.lease,
        };
        let client = Client::new(settings).map_err(|error| error.to_string())?;
        let sharing = Arc::new(Sharing {
            accounts: Mutex::default(),
            lives: AtomicU64::new(0),
            called: Notify::new(),
            ahead_ms: AtomicI64::new(0),
            trouble: Mutex::new(Some(format!("not connected to {} yet", client.address()))),
            terms,
            clock,
        });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let worker = Worker {
            sharing: sharing.clone(),
            client,
            backups: HashMap::new(),
            backed_up_at: UnixMillis(0),
        };
        let thread = thread::Builder::new()
            .name("shared-quota".to_owned())
            .spawn(move || runtime.block_on(worker.run(stopped)))
            .map_err(|error| error.to_string())?;
        let running = Running {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((sharing, running))
    }

    /// What time it is for all who share.
    pub(super) fn now(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_add(self.ahead_ms.load(Relaxed)))
    }

    /// What the clock of this machine shows at a moment of all who share.
    pub(super) fn here(&self, time: UnixMillis) -> UnixMillis {
        UnixMillis(time.0.saturating_sub(self.ahead_ms.load(Relaxed)))
    }

    /// Somebody waits for an answer.
    pub(super) fn call(&self) {
        self.called.notify_one();
    }

    /// A number that no account has had before. One that comes back under its name begins at zero, and what
    /// was used before stays counted as if another gateway had used it.
    pub(super) fn new_life(&self) -> u64 {
        self.lives.fetch_add(1, Relaxed)
    }

    /// Shares one more account, under its name for all.
    pub(super) fn add(&self, name: String, account: Arc<Account>) {
        self.accounts.lock().insert(name, account);
        self.call();
    }

    /// No longer shares those that `keep` denies, once nobody holds them and the others know what they used.
    pub(super) fn retain(&self, keep: impl Fn(&Account) -> bool) {
        self.accounts.lock().retain(|_, account| keep(account));
    }

    /// Why the others cannot be heard, if they cannot.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }

    /// Those of which Redis knows something, and the claim that it heard last.
    fn told(&self) -> HashMap<String, u64> {
        let accounts = self.accounts.lock();
        let told = accounts.iter().filter_map(|(name, account)| {
            let answered = account.answered();
            (answered > 0).then(|| (name.clone(), answered))
        });
        told.collect()
    }

    fn all(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().values().cloned().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Worker {
    sharing: Arc<Sharing>,
    client: Client,
    /// What Redis knew of an account when it had heard the claim of this version.
    backups: HashMap<String, (u64, Backup)>,
    backed_up_at: UnixMillis,
}

impl Worker {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut pause = PAUSE;
        loop {
            if !self.client.is_connected() {
                match self.client.connect().await {
                    Ok(()) => pause = PAUSE,
                    Err(error) => {
                        self.lose(&error.to_string());
                        if timeout(pause, &mut stopped).await.is_ok() {
                            return;
                        }
                        pause = (pause * 2).min(PAUSE_MAX);
                        continue;
                    }
                }
                // Whoever was silent for a while may be taken for dead: everything is said at once.
                self.exchange(|_, _| true).await;
            }
            self.exchange(Account::is_due).await;
            self.back_up().await;
            let called = self.sharing.called.notified();
            tokio::select! {
                _ = &mut stopped => break,
                _ = timeout(BEAT, called) => {}
            }
        }
        // What was set aside goes back to the others.
        for account in self.sharing.all() {
            account.give_credit_up();
        }
        let _ = timeout(FAREWELL, self.exchange(|_, _| true)).await;
    }

    fn now(&self) -> UnixMillis {
        self.sharing.now((self.sharing.clock)())
    }

    /// Tells what those accounts have to tell that are `due`, and what comes back.
    async fn exchange(&mut self, due: impl Fn(&Account, UnixMillis) -> bool) {
        let now = self.now();
        let mut accounts = self.sharing.all();
        accounts.retain(|account| due(account, now));
        // In parts, so that none takes Redis so long that it seems to be away.
        for accounts in accounts.chunks(AT_ONCE) {
            let claims = accounts.iter().filter_map(|account| {
                let claim = account.claim(now)?;
                Some((account, claim))
            });
            let (accounts, claims): (Vec<&Arc<Account>>, Vec<Claim>) = claims.unzip();
            if claims.is_empty() {
                continue;
            }
            match self.client.exchange(&claims).await {
                Ok(told) => self.take_in(&accounts, &claims, &told).await,
                Err(error) => {
                    for account in &accounts {
                        account.claim_failed();
                    }
                    return self.lose(&error.to_string());
                }
            }
        }
    }

    /// Takes in what is told to these claims.
    async fn take_in(&mut self, accounts: &[&Arc<Account>], claims: &[Claim], told: &[Told]) {
        self.keep_time(told);
        self.restore(claims, told).await;
        let now = self.now();
        for (account, told) in accounts.iter().zip(told) {
            account.told(told, now);
        }
        let recovering = told.iter().any(|told| told.recovering);
        self.sharing.set_trouble(recovering.then(|| {
            let server = self.client.address();
            format!(
                "{server} was started anew, and waits until every gateway has said what it used"
            )
        }));
    }

    /// Redis has the clock that counts. Small steps are the way of the answer; but nobody may be ahead of it,
    /// as a period that it has not begun has no room.
    fn keep_time(&self, told: &[Told]) {
        const NOISE: i64 = 20;
        if let Some(told) = told.first() {
            let ahead = told.time.0 - (self.sharing.clock)().0;
            let known = self.sharing.ahead_ms.load(Relaxed);
            if ahead < known || ahead - known > NOISE {
                self.sharing.ahead_ms.store(ahead, Relaxed);
            }
        }
    }

    /// Puts back what Redis has lost and only we still know.
    async fn restore(&mut self, claims: &[Claim], told: &[Told]) {
        let lost = claims
            .iter()
            .zip(told)
            .filter(|(_, told)| told.lost || told.recovering);
        let known: Vec<(&str, &Backup)> = lost
            .filter_map(|(claim, _)| {
                let (_, backup) = self.backups.get(&claim.account)?;
                Some((claim.account.as_str(), backup))
            })
            .collect();
        if !known.is_empty()
            && let Err(error) = self.client.restore(&known).await
        {
            self.lose(&error.to_string());
        }
    }

    async fn back_up(&mut self) {
        let now = self.now();
        if self.backed_up_at.until(now) < BACKUP_EVERY && self.backed_up_at <= now {
            return;
        }
        self.backed_up_at = now;
        let told = self.sharing.told();
        self.backups.retain(|name, _| told.contains_key(name));
        // Those of which Redis has heard something since; what is left over has its turn a second later.
        let changed = told.into_iter().filter(|(name, version)| {
            let known = self.backups.get(name);
            known.is_none_or(|(backed_up, _)| backed_up != version)
        });
        let changed: Vec<(String, u64)> = changed.take(AT_ONCE).collect();
        let asked: Vec<&str> = changed.iter().map(|(name, _)| name.as_str()).collect();
        match self.client.backup(&asked).await {
            Ok(backups) => {
                let backups = changed.into_iter().zip(backups);
                let backups = backups.map(|((name, version), backup)| (name, (version, backup)));
                self.backups.extend(backups);
            }
            Err(error) => self.lose(&error.to_string()),
        }
    }

    /// The others cannot be heard.
    fn lose(&self, why: &str) {
        for account in self.sharing.all() {
            account.set_away();
        }
        self.sharing.set_trouble(Some(why.to_owned()));
    }
}
