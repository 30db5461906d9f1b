//! Wakes those who wait for room in an account.
//!
//! Who holds something gives it back far more often than anybody waits for it, so ringing costs one load
//! when nobody does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// Those who wait for something to be given back.
#[derive(Debug, Default)]
pub(super) struct Bell {
    awaited: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Bell {
    /// Wakes `waker` when the bell rings next. To be followed by another look at what is waited for, as it
    /// may have come just before.
    pub(super) fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        self.awaited.store(true, Ordering::SeqCst);
    }

    /// Something was given back.
    pub(super) fn ring(&self) {
        if !self.awaited.load(Ordering::SeqCst) {
            return;
        }
        let mut waiting = self.waiting.lock();
        self.awaited.store(false, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *waiting);
        for waker in waiting {
            waker.wake();
        }
    }
}
