//! What a process knows of its inbox: counters, and a bell for the retrier.

use std::{
    array,
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry::{KeyValue, metrics::Histogram};
use tokio::sync::Notify;
use uuid::Uuid;

/// Buckets of the lag histogram: bucket i holds lags of at most 2^(i/4) milliseconds, the last one all longer ones.
const LAGS: usize = 96;

/// Shared by the database handle, the runner and the statistics.
#[derive(Debug)]
pub struct InboxState {
    consumed: AtomicU64,
    duplicates: AtomicU64,
    parked: AtomicU64,
    lags: [AtomicU64; LAGS],
    /// The same as a metric, where metrics are sent.
    told: OnceLock<(Histogram<f64>, [KeyValue; 1])>,
    bell: Notify,
    leases: OnceLock<(u8, i64)>,
    /// Groups that this process is to take in, and those of them that the bus delivers to it.
    leased: AtomicU64,
    subscribed: AtomicU64,
    /// Keys of which an event may have been parked behind another, since the retrier last asked.
    behind: Mutex<HashSet<Uuid>>,
}

impl Default for InboxState {
    fn default() -> Self {
        Self {
            consumed: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            parked: AtomicU64::default(),
            lags: array::from_fn(|_| AtomicU64::default()),
            told: OnceLock::new(),
            bell: Notify::default(),
            leases: OnceLock::new(),
            leased: AtomicU64::default(),
            subscribed: AtomicU64::default(),
            behind: Mutex::default(),
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

    /// Groups of events that this process is to take in: it has their leases, or they are not leased.
    pub fn leased(&self) -> u64 {
        self.leased.load(Ordering::Relaxed)
    }

    /// Groups that the bus delivers to this process. Fewer than [`leased`](Self::leased) for long: it cannot reach the bus.
    pub fn subscribed(&self) -> u64 {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// From now on this is told, too, how long after the event its handling was committed, in seconds.
    pub(crate) fn tell_lags(&self, told: Histogram<f64>, labels: [KeyValue; 1]) {
        let _ = self.told.set((told, labels)); // metrics are registered once
    }

    /// Notes how long after the event its handling was committed.
    pub(super) fn lagged(&self, milliseconds: i64) {
        let milliseconds = milliseconds.max(1) as f64;
        if let Some((told, labels)) = self.told.get() {
            told.record(milliseconds / 1_000.0, labels);
        }
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

    /// So many groups are to be taken in here.
    pub(super) fn hold(&self, groups: usize) {
        self.leased.store(groups as u64, Ordering::Relaxed);
    }

    /// There is one subscription more.
    pub(super) fn subscribe(&self) {
        self.subscribed.fetch_add(1, Ordering::Relaxed);
    }

    /// There is one less.
    pub(super) fn unsubscribe(&self) {
        self.subscribed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Of these keys an event may have been parked behind another.
    pub(super) fn parked_behind(&self, keys: &[Uuid]) {
        if !keys.is_empty() {
            self.behind().extend(keys);
        }
    }

    /// The keys of which one was, since this was last asked.
    pub(super) fn take_behind(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.behind()).into_iter().collect()
    }

    fn behind(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the retrier.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}
