//! Admission of commands. While the bus confirms, a long outbox slows new commands down a little, so that consumers
//! keep up; while the bus is unreachable commands go on and the outbox holds them; only at a hard limit they are
//! refused, with the time after which to try again.

use std::{sync::Arc, time::Duration};

use super::OutboxState;
use crate::{Error, Result, config::SpineConfig};

/// Limits of the gate, in events of the outbox.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Above this many unsent events commands wait a little.
    pub slow_above: u64,
    /// Longest wait in milliseconds.
    pub slow_ms: u64,
    /// Above this many unsent events commands are refused.
    pub refuse_above: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self { slow_above: 1_500, slow_ms: 100, refuse_above: 5_000_000 }
    }
}

impl From<&SpineConfig> for GateConfig {
    fn from(spine: &SpineConfig) -> Self {
        let limit = |events: i64| u64::try_from(events).unwrap_or(0);
        Self {
            slow_above: limit(spine.gate_backlog),
            refuse_above: limit(spine.refuse_backlog),
            ..Self::default()
        }
    }
}

/// The gate of one service. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate {
    outbox: Arc<OutboxState>,
    config: GateConfig,
}

impl Gate {
    /// A gate over an outbox.
    pub fn new(outbox: Arc<OutboxState>, config: GateConfig) -> Self {
        Self { outbox, config }
    }

    /// Waits as long as the backlog asks for, or refuses with `Exhausted`.
    pub async fn admit(&self) -> Result<()> {
        let backlog = self.outbox.backlog();
        if backlog <= self.config.slow_above {
            return Ok(());
        }
        if backlog > self.config.refuse_above {
            return Err(Error::Exhausted { retry_after: Duration::from_secs(5) });
        }
        self.outbox.wait_lower(self.config.slow_above, Duration::from_millis(self.config.slow_ms)).await;
        Ok(())
    }
}
