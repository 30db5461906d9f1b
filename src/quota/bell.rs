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

    /// `waker` waits no longer. A bell may not ring for a day,
    /// and a waker keeps its task in memory.
    pub(super) fn leave(&self, waker: &Waker) {
        self.waiting.lock().retain(|known| !known.will_wake(waker));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::Bell;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn who_leaves_is_not_kept() {
        let bell = Bell::default();
        let tasks = [Arc::new(Task), Arc::new(Task)];
        let wakers = tasks.clone().map(Waker::from);
        for waker in &wakers {
            bell.wait(waker);
            bell.wait(waker);
        }
        bell.leave(&wakers[0]);
        drop(wakers);
        assert_eq!(tasks.each_ref().map(Arc::strong_count), [1, 2]);
        bell.ring();
        assert_eq!(tasks.each_ref().map(Arc::strong_count), [1, 1]);
    }
}
