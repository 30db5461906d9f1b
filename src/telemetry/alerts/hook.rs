//! IO: brings alerts to a webhook.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use actix_rt::time::{sleep, timeout};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::alert::Alert;
use crate::chat::Failure;
use crate::secret::Secret;
use crate::upstream::Client;

/// Most alerts that wait. When there are more, the oldest is dropped: newer ones say more of how it is now.
const WAITING_MAX: usize = 64;

/// Bound on one call, until the status is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between the first try and the second.
const PAUSE: Duration = Duration::from_secs(1);

/// Alerts that wait for the webhook.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<VecDeque<Alert>>,
    added: Notify,
    lost: AtomicU64,
}

impl Outbox {
    /// Lets an alert wait.
    pub(super) fn push(&self, alert: Alert) {
        let mut waiting = self.waiting.lock();
        if waiting.len() == WAITING_MAX {
            waiting.pop_front();
            self.lost.fetch_add(1, Relaxed);
        }
        waiting.push_back(alert);
        drop(waiting);
        self.added.notify_one();
    }

    /// How many alerts the webhook did not get: too many waited, or it did not take them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    async fn next(&self) -> Alert {
        loop {
            // What is added after a look wakes the wait that follows it.
            if let Some(alert) = self.waiting.lock().pop_front() {
                return alert;
            }
            self.added.notified().await;
        }
    }
}

/// Calls the webhook with each alert, one after the other and for ever. `webhook` tells its URL at that moment.
pub async fn deliver(outbox: Arc<Outbox>, webhook: impl Fn() -> Option<Secret>) {
    let client = Client::default();
    loop {
        let alert = outbox.next().await;
        // Taken out of the configuration meanwhile.
        let Some(url) = webhook() else { continue };
        let mut told = tell(&client, &url, &alert).await;
        if told.is_err() {
            sleep(PAUSE).await;
            told = tell(&client, &url, &alert).await;
        }
        if let Err(why) = told {
            outbox.lost.fetch_add(1, Relaxed);
            // Not the URL: it may hold what allows to write there.
            log::warn!(event = alert.event.name(), reason = why; "Alert not delivered");
        }
    }
}

async fn tell(client: &Client, url: &Secret, alert: &Alert) -> Result<(), String> {
    let body = alert.json().to_string().into();
    let answer = timeout(PATIENCE, client.tell(url.expose(), body)).await;
    match answer.unwrap_or_else(|_| Err(Failure::timeout("no answer in time"))) {
        Ok(200..300) => Ok(()),
        Ok(status) => Err(format!("HTTP {status}")),
        Err(failure) => Err(failure.message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::alert::Event;
    use super::{Alert, Outbox, WAITING_MAX};
    use crate::clock::UnixMillis;

    #[tokio::test]
    async fn the_oldest_are_dropped_and_counted() {
        let outbox = Outbox::default();
        let alert = |secs| Alert::new(Event::DiskWell, UnixMillis::from_secs(secs));
        for secs in 0..70 {
            outbox.push(alert(secs));
        }
        assert_eq!(outbox.lost(), 70 - WAITING_MAX as u64);
        assert_eq!(outbox.next().await, alert(6));
        outbox.push(alert(70));
        for secs in 7..=70 {
            assert_eq!(outbox.next().await, alert(secs));
        }
        assert_eq!(outbox.lost(), 6);
    }
}
