//! The subscriptions of one process, and how long it has had none: leases of groups say nothing of that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::InboxState;

/// Counts them.
#[derive(Debug)]
pub(super) struct Subscriptions {
    inbox: Arc<InboxState>,
    /// One that breaks sooner is none to speak of.
    steady: Duration,
    /// Until when there was one, or none was needed.
    until: Mutex<Instant>,
}

impl Subscriptions {
    /// None yet. One that breaks before `steady` does not count.
    pub(super) fn new(inbox: Arc<InboxState>, steady: Duration) -> Arc<Self> {
        Arc::new(Self { inbox, steady, until: Mutex::new(Instant::now()) })
    }

    /// From now on there ought to be one.
    pub(super) fn expect(&self) {
        *self.until() = Instant::now();
    }

    /// There is one, until what this gives is dropped.
    pub(super) fn one(self: &Arc<Self>) -> Subscribed {
        self.inbox.subscribe();
        Subscribed { among: self.clone(), since: Instant::now() }
    }

    /// How long there has been none.
    pub(super) fn none_for(&self) -> Duration {
        if self.inbox.subscribed() > 0 { Duration::ZERO } else { self.until().elapsed() }
    }

    fn until(&self) -> MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Subscribed {
    among: Arc<Subscriptions>,
    since: Instant,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        if self.since.elapsed() >= self.among.steady {
            self.among.expect();
        }
        self.among.inbox.unsubscribe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_that_breaks_at_once_again_and_again_is_none() {
        let inbox = Arc::new(InboxState::default());
        let hour = Duration::from_secs(3_600);
        let subscriptions = Subscriptions::new(inbox.clone(), hour);
        let ago = Instant::now().checked_sub(hour).expect("this machine runs for longer");
        *subscriptions.until() = ago;
        for _ in 0..3 {
            let one = subscriptions.one();
            assert_eq!((subscriptions.none_for(), inbox.subscribed()), (Duration::ZERO, 1));
            drop(one);
            assert!(subscriptions.none_for() >= hour && inbox.subscribed() == 0);
        }
        subscriptions.expect();
        assert!(subscriptions.none_for() < hour);
        // One that has lasted counts to its end.
        let subscriptions = Subscriptions::new(inbox, Duration::ZERO);
        let one = subscriptions.one();
        *subscriptions.until() = ago;
        drop(one);
        assert!(subscriptions.none_for() < hour);
    }
}
