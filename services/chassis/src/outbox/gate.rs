//! Admission of commands. While the bus confirms, a long outbox slows new commands down a little, so that consumers
//! keep up; while the bus is unreachable commands go on and the outbox holds them; only at a hard limit they are
//! refused, with the time after which to try again.

use std::{sync::Arc, time::Duration};

use super::OutboxState;
use crate::{Error, Result, config::SpineConfig};

/// Limits of the gate, in events of the outbox. More than 100,000 of them are estimated by their numbers: it may be fewer, for
/// numbers of what was rolled back are missing, but never more, so that the hard limit holds.
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;

    fn gate(backlog: i64, flowing: bool) -> Gate {
        let outbox = Arc::new(OutboxState::default());
        outbox.set_backlog(backlog);
        outbox.set_flowing(flowing);
        Gate::new(outbox, GateConfig { slow_above: 100, slow_ms: 100, refuse_above: 1_000 })
    }

    #[tokio::test]
    async fn a_long_outbox_delays_while_it_flows_and_no_longer_than_needed() {
        for open in [gate(100, true), gate(900, false)] {
            let at_once = open.admit().now_or_never();
            at_once.expect("neither a short outbox nor an absent broker delays").unwrap();
        }
        let start = Instant::now();
        gate(101, true).admit().await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(100));

        let mut gate = gate(101, true);
        gate.config.slow_ms = 60_000;
        let (waiting, start) = (gate.clone(), Instant::now());
        let waiter = tokio::spawn(async move { waiting.admit().await });
        tokio::task::yield_now().await;
        gate.outbox.removed(1);
        waiter.await.unwrap().unwrap();
        assert!(start.elapsed() < Duration::from_secs(30), "released as soon as the outbox is short again");
    }

    #[tokio::test]
    async fn only_the_hard_limit_refuses() {
        let refused = gate(1_001, false).admit().await;
        assert!(matches!(refused, Err(Error::Exhausted { retry_after }) if !retry_after.is_zero()));
    }
}
