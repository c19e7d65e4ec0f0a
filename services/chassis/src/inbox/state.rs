//! What a process knows of its inbox: counters, and a bell for the retrier.

use std::{
    array,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// Buckets of the lag histogram: bucket i holds lags of at most 2^(i/4) milliseconds, the last one all longer ones.
const LAGS: usize = 96;

/// Shared by the database handle, the runner and the statistics.
#[derive(Debug)]
pub struct InboxState {
    consumed: AtomicU64,
    duplicates: AtomicU64,
    parked: AtomicU64,
    lags: [AtomicU64; LAGS],
    bell: Notify,
    leases: OnceLock<(u8, i64)>,
}

impl Default for InboxState {
    fn default() -> Self {
        Self {
            consumed: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            parked: AtomicU64::default(),
            lags: array::from_fn(|_| AtomicU64::default()),
            bell: Notify::default(),
            leases: OnceLock::new(),
        }
    }
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

    /// Handled events by the time from the event to the commit of its handling, since the start.
    pub fn lags(&self) -> Vec<u64> {
        self.lags.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect()
    }

    /// Notes how long after the event its handling was committed.
    pub(super) fn lagged(&self, milliseconds: i64) {
        let milliseconds = milliseconds.max(1) as f64;
        let bucket = ((milliseconds.log2() * 4.0).ceil() as usize).min(LAGS - 1);
        self.lags[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, consumed: usize, duplicates: usize, parked: usize) {
        self.consumed.fetch_add(consumed as u64, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates as u64, Ordering::Relaxed);
        self.parked.fetch_add(parked as u64, Ordering::Relaxed);
    }

    /// So many groups are leased, each for so many milliseconds.
    pub(super) fn lease(&self, groups: u8, lease_ms: i64) {
        let _ = self.leases.set((groups, lease_ms)); // a process has one bus
    }

    /// How many groups are leased, each for how many milliseconds; none where this process takes in all.
    pub(super) fn leases(&self) -> (u8, i64) {
        self.leases.get().copied().unwrap_or_default()
    }

    /// Wakes the retrier.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
