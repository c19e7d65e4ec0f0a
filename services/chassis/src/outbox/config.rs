//! Settings of the relay.

use std::time::Duration;

use crate::config::SpineConfig;

/// How the relay works.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Rows read at once.
    pub batch: usize,
    /// Most events in flight.
    pub window: usize,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// How often the table is looked at without being told to.
    pub poll: Duration,
    /// How long a confirmation may take on a shared bus before everything in flight is published again; four times as long while
    /// others come, and twice as long each time that none came (up to eight times).
    pub confirm_deadline: Duration,
    /// How long the last pass may take when stopping.
    pub final_pass: Duration,
    /// How long a holder of the lease may go without having reached a shared bus, or with nothing arriving there, before it leaves
    /// the lease to others.
    pub patience: Duration,
    /// Take the lease at once, whoever holds it: only where nobody else can be running (all-in-one).
    pub take_over: bool,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            batch: 500,
            window: 2_000,
            lease: Duration::from_secs(3),
            poll: Duration::from_millis(250),
            confirm_deadline: Duration::from_secs(10),
            final_pass: Duration::from_secs(3),
            patience: Duration::from_secs(10),
            take_over: false,
        }
    }
}

impl From<&SpineConfig> for RelayConfig {
    fn from(spine: &SpineConfig) -> Self {
        let batch = usize::try_from(spine.relay_batch).unwrap_or(500).clamp(1, 10_000);
        Self {
            batch,
            window: 4 * batch,
            lease: Duration::from_millis(spine.lease_ms),
            confirm_deadline: Duration::from_millis(spine.confirm_timeout_ms),
            ..Self::default()
        }
    }
}
