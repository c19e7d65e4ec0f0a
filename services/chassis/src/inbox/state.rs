//! What a process knows of its inbox: counters, and a bell for the retrier.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Shared by the database handle, the runner and the statistics.
#[derive(Debug, Default)]
pub struct InboxState {
    consumed: AtomicU64,
    duplicates: AtomicU64,
    parked: AtomicU64,
    bell: Notify,
}

impl InboxState {
    /// Events whose handling was committed since the start.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Second deliveries that changed nothing, since the start.
    pub fn duplicates_dropped(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Events parked since the start, those queued behind another among them.
    pub fn parked(&self) -> u64 {
        self.parked.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, consumed: usize, duplicates: usize, parked: usize) {
        self.consumed.fetch_add(consumed as u64, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates as u64, Ordering::Relaxed);
        self.parked.fetch_add(parked as u64, Ordering::Relaxed);
    }

    /// Wakes the retrier.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
