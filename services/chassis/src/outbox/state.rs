//! What a process knows of its outbox: how many events wait, whether the bus takes them, and a bell for the relay.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::Notify;

use super::handed::Handed;
use crate::event::Event;

/// Shared by the database handle, the relay, the admission gate and the statistics.
#[derive(Debug, Default)]
pub struct OutboxState {
    backlog: AtomicI64,
    published: AtomicU64,
    flowing: AtomicBool,
    leading: AtomicBool,
    unannounced: AtomicBool,
    handed: Handed,
    bell: Notify,
    lower: Notify,
}

impl OutboxState {
    /// Events in the outbox that are not confirmed yet. Counted here between two counts of the table, so it may be
    /// off by what other replicas did within the last second; above 100,000 it is estimated, rather too high than too low.
    pub fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Events confirmed to this process since it started.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Whether the bus can be reached from this process, and confirmed something lately or has nothing to confirm: what waits in the
    /// outbox becomes less, by whichever replica's relay.
    pub fn flowing(&self) -> bool {
        self.flowing.load(Ordering::Relaxed)
    }

    /// Whether this process's relay holds the lease.
    pub fn leading(&self) -> bool {
        self.leading.load(Ordering::Relaxed)
    }

    /// A transaction with `events` under these numbers has been committed.
    pub(crate) fn added(&self, events: Vec<(i64, Event)>) {
        self.backlog.fetch_add(i64::try_from(events.len()).unwrap_or(0), Ordering::Relaxed);
        if self.leading() {
            self.handed.add(events);
        } else {
            self.unannounced.store(true, Ordering::Relaxed);
        }
        self.bell.notify_one();
    }

    /// The bus has confirmed `events` and their rows are gone.
    pub(crate) fn removed(&self, events: usize) {
        self.backlog.fetch_sub(i64::try_from(events).unwrap_or(0), Ordering::Relaxed);
        self.published.fetch_add(events as u64, Ordering::Relaxed);
        self.lower.notify_waiters();
    }

    pub(crate) fn set_backlog(&self, events: i64) {
        self.backlog.store(events, Ordering::Relaxed);
        self.lower.notify_waiters();
    }

    pub(crate) fn set_flowing(&self, flowing: bool) {
        self.flowing.store(flowing, Ordering::Relaxed);
        if !flowing {
            self.lower.notify_waiters();
        }
    }

    pub(crate) fn set_leading(&self, leading: bool) {
        self.leading.store(leading, Ordering::Relaxed);
    }

    /// Whether another process's relay should be told of new rows; resets.
    pub(crate) fn take_unannounced(&self) -> bool {
        self.unannounced.swap(false, Ordering::Relaxed)
    }

    /// Rings the relay: there are rows that this process does not know.
    pub(crate) fn ring(&self) {
        self.handed.besides();
        self.bell.notify_one();
    }

    /// The relay is to read the table next.
    pub(super) fn read_next(&self) {
        self.handed.besides();
    }

    /// What was committed here and follows `next` without a gap ([`Handed::take`]).
    pub(super) fn take_handed(&self, next: Option<i64>, most: usize) -> Option<(Vec<(i64, Event)>, bool)> {
        self.handed.take(next, most)
    }

    /// Waits for the bell.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Waits until the backlog is at most `limit`, the bus has stopped, or `patience` is over.
    pub(crate) async fn wait_lower(&self, limit: u64, patience: Duration) {
        let wait = async {
            loop {
                let lower = self.lower.notified();
                if self.backlog() <= limit || !self.flowing() {
                    return;
                }
                lower.await;
            }
        };
        // Being late is fine: admission is delayed, not refused.
        let _ = tokio::time::timeout(patience, wait).await;
    }
}
