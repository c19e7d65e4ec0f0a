//! When what another system has to hear is delivered, tried again and given up. The changes themselves, in order, are the
//! store's; this says what a success or a failure of the first of them means.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, UnknownCode};

codes! {
    /// How far the other system knows what became of a ticket. That its system is paused stands with the system.
    SyncState {
        Pending = "pending",
        Synced = "synced",
        Retrying = "retrying",
        Failed = "failed",
    }
}

/// How long to wait between attempts, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure, in milliseconds; it doubles.
    pub first_ms: i64,
    /// The longest, in milliseconds.
    pub most_ms: i64,
    /// Failures in a row after which it is given up; at least 1.
    pub attempts: i32,
}

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A code such as `timeout`, `http_503` or, where it is our own fault, `internal`; never what the other side said.
    pub code: String,
    /// The other side does not want to hear of it again.
    pub gone: bool,
    /// The other side asks to wait this long, in milliseconds.
    pub wait_ms: Option<i64>,
}

/// Failures of what was sent, and not answered: the other side may have it all the same. A gateway that had no answer says nothing
/// of what stands behind it.
const UNANSWERED: [&str; 4] = ["timeout", "broken_off", "http_502", "http_504"];

impl Failure {
    /// Whether the other side may have what was sent.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        UNANSWERED.contains(&self.code.as_str())
    }
}

/// Where a ticket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    pub state: SyncState,
    /// Changes that are not delivered.
    pub waiting: i32,
    /// Failed attempts in a row.
    pub attempts: i32,
    /// When the first of the waiting changes is sent; real time.
    pub due_at: Option<Timestamp>,
    /// Why the last attempt failed; empty after a success.
    pub last_error: String,
    /// Whether the first of the waiting changes may have arrived by some attempt that failed.
    pub maybe_there: bool,
}

impl Backoff {
    /// Milliseconds until the next attempt after so many failures: doubling, between half of it and all of it by `jitter`, so
    /// that a system that comes back is not met by everybody at once.
    #[must_use]
    pub fn wait_ms(&self, failures: i32, jitter: u64) -> i64 {
        let doublings = u32::try_from(failures - 1).unwrap_or(0).min(30);
        let whole = self.first_ms.saturating_mul(1 << doublings).min(self.most_ms).max(1);
        let half = whole / 2;
        let spread = u64::try_from(whole - half + 1).unwrap_or(1);
        half + i64::try_from(jitter % spread).unwrap_or(0)
    }
}

impl Default for Sync {
    fn default() -> Self {
        Self::new()
    }
}

impl Sync {
    /// With nothing to say yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: SyncState::Synced,
            waiting: 0,
            attempts: 0,
            due_at: None,
            last_error: String::new(),
            maybe_there: false,
        }
    }

    /// More has happened. What waits for its next attempt or was given up goes on waiting, for the first change comes first.
    #[must_use]
    pub fn told(mut self, more: i32, now: Timestamp) -> Self {
        self.waiting += more;
        if self.state == SyncState::Synced && self.waiting > 0 {
            self.state = SyncState::Pending;
            self.due_at = Some(now);
        }
        self
    }

    /// The other system has so many of the changes now.
    #[must_use]
    pub fn delivered(mut self, count: i32, now: Timestamp) -> Self {
        self.waiting = (self.waiting - count).max(0);
        self.attempts = 0;
        self.last_error.clear();
        self.maybe_there = false;
        (self.state, self.due_at) =
            if self.waiting == 0 { (SyncState::Synced, None) } else { (SyncState::Pending, Some(now)) };
        self
    }

    /// The first change could not be delivered; nothing where it was acknowledged meanwhile and no other waits.
    #[must_use]
    pub fn failed(mut self, failure: &Failure, now: Timestamp, backoff: &Backoff, jitter: u64) -> Self {
        if self.waiting == 0 {
            return self;
        }
        self.attempts = self.attempts.saturating_add(1);
        failure.code.clone_into(&mut self.last_error);
        // What fails for certain later on does not take it back.
        self.maybe_there |= failure.may_have_arrived();
        if failure.gone || self.attempts >= backoff.attempts {
            (self.state, self.due_at) = (SyncState::Failed, None);
            return self;
        }
        let asked = failure.wait_ms.unwrap_or(0).clamp(0, backoff.most_ms);
        let wait = backoff.wait_ms(self.attempts, jitter).max(asked);
        (self.state, self.due_at) = (SyncState::Retrying, Some(now + chrono::TimeDelta::milliseconds(wait)));
        self
    }

    /// Somebody wants it tried again at once; nothing where nothing waits.
    #[must_use]
    pub fn retried(mut self, now: Timestamp) -> Option<Self> {
        if self.waiting == 0 {
            return None;
        }
        self.attempts = 0;
        (self.state, self.due_at) = (SyncState::Pending, Some(now));
        Some(self)
    }
}
