//! Domain time of a simulation. Lives sleep in domain time; when none is awake, the clock moves every service
//! forward to the next wake-up, through the guarded `AdvanceClock` RPC. It never moves back.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use chrono::{DateTime, Duration, Utc};
use proto::ops::v1::{AdvanceClockRequest, GetClockRequest};
use tokio::sync::{Notify, oneshot};
use tonic::Code;

use crate::suite::{SERVICES, Session, Suite};

/// Shared by all lives of one simulation.
pub struct DomainClock {
    state: Mutex<State>,
    idle: Notify,
    suite: Suite,
    operator: Arc<Session>,
}

struct State {
    now: DateTime<Utc>,
    /// Domain time minus real time when the simulation began.
    real_start: std::time::Instant,
    base: DateTime<Utc>,
    base_offset: i64,
    awake: usize,
    sleepers: BinaryHeap<Reverse<Sleeper>>,
    sequence: u64,
    /// How far a step may overshoot the wake-up that it is for.
    overshoot: Duration,
}

struct Sleeper {
    at: DateTime<Utc>,
    sequence: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}
impl Eq for Sleeper {}
impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl DomainClock {
    /// Reads the domain's now from case-routing and brings every service to the latest of their offsets.
    pub async fn start(suite: &Suite, operator: Arc<Session>) -> Result<Arc<Self>> {
        let mut offset = 0;
        let mut base = DateTime::<Utc>::MIN_UTC;
        for service in SERVICES {
            let request = operator.request(GetClockRequest {}).await?;
            let answer = suite
                .ops(service)
                .get_clock(request)
                .await
                .with_context(|| format!("{service} does not answer GetClock"))?
                .into_inner();
            if answer.offset_seconds >= offset
                && let Some(now) = answer.domain_time.as_ref().and_then(instant)
            {
                offset = answer.offset_seconds;
                base = now;
            }
        }
        let clock = Arc::new(Self {
            state: Mutex::new(State {
                now: base,
                real_start: std::time::Instant::now(),
                base,
                base_offset: offset,
                awake: 0,
                sleepers: BinaryHeap::new(),
                sequence: 0,
                overshoot: Duration::minutes(10),
            }),
            idle: Notify::new(),
            suite: suite.clone(),
            operator,
        });
        clock.advance_services(offset).await?;
        Ok(clock)
    }

    /// Sets how far a step may overshoot the wake-up that it is for.
    pub fn step_by(&self, overshoot: Duration) {
        self.lock().overshoot = overshoot;
    }

    /// The domain's now, at least as late as the last wake-up.
    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now
    }

    /// Counts a life as awake; every life does this once before it starts.
    pub fn enter(&self) {
        self.lock().awake += 1;
    }

    /// A life has ended.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.awake -= 1;
        if state.awake == 0 {
            self.idle.notify_one();
        }
    }

    /// Sleeps until a domain instant.
    pub async fn sleep_until(&self, at: DateTime<Utc>) {
        let (wake, woken) = oneshot::channel();
        {
            let mut state = self.lock();
            if at <= state.now {
                return;
            }
            state.sequence += 1;
            let sequence = state.sequence;
            state.sleepers.push(Reverse(Sleeper { at, sequence, wake }));
            state.awake -= 1;
            if state.awake == 0 {
                self.idle.notify_one();
            }
        }
        // The sender lives in the heap until it is used; a closed channel means the simulation was stopped.
        let _ = woken.await;
    }

    /// Moves time whenever everybody sleeps. Runs until dropped.
    pub async fn drive(self: Arc<Self>) -> Result<()> {
        loop {
            let target = {
                let state = self.lock();
                match (state.awake, state.sleepers.peek()) {
                    (0, Some(Reverse(next))) => Some(next.at + state.overshoot),
                    _ => None,
                }
            };
            let Some(target) = target else {
                self.idle.notified().await;
                continue;
            };
            self.advance_to(target).await?;
            let mut state = self.lock();
            while state.sleepers.peek().is_some_and(|Reverse(next)| next.at <= target) {
                if let Some(Reverse(sleeper)) = state.sleepers.pop() {
                    state.awake += 1;
                    if sleeper.wake.send(()).is_err() {
                        state.awake -= 1;
                    }
                }
            }
        }
    }

    /// Moves every service to at least `target`.
    pub async fn advance_to(&self, target: DateTime<Utc>) -> Result<()> {
        let offset = {
            let state = self.lock();
            // Real time passes too, and domain time is real time plus the offset.
            let elapsed = state.real_start.elapsed().as_secs() as i64;
            (target - state.base).num_seconds() - elapsed + state.base_offset + 1
        };
        self.advance_services(offset).await?;
        let mut state = self.lock();
        state.now = state.now.max(target);
        Ok(())
    }

    async fn advance_services(&self, offset_seconds: i64) -> Result<()> {
        let calls = SERVICES.map(|service| async move {
            let request = self.operator.request(AdvanceClockRequest { offset_seconds }).await?;
            self.suite.ops(service).advance_clock(request).await
        });
        for (service, result) in SERVICES.iter().zip(futures::future::join_all(calls).await) {
            result.map_err(|status| {
                let needed = match status.code() {
                    Code::FailedPrecondition => "; simulations need JIANGHAN_ALLOW_TIME_TRAVEL=true",
                    _ => "",
                };
                anyhow::Error::new(status).context(format!("{service} refused to move its clock{needed}"))
            })?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A protobuf timestamp as an instant.
pub fn instant(time: &prost_types::Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).ok()?)
}
