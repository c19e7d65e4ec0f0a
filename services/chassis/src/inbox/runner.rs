//! The runner: one task per consumer group takes deliveries in batches, through outages of bus and database. It must
//! never acknowledge before the commit. A replica that cannot reach the bus has no use for groups, and leaves them to others.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    Consumer,
    batch::{Batch, Intake},
    lease::Leases,
    retrier,
    subscriptions::Subscriptions,
};
use crate::{
    Error, Result,
    bus::{Aside, Delivery, EventBus, Subscription},
    config::SpineConfig,
    crash,
    db::Db,
    event::{Catalogue, catalogue},
};

/// How events are taken in.
#[derive(Debug, Clone)]
pub struct RunnerConfig {
    /// Most events per transaction.
    pub batch: usize,
    /// How long to wait for a batch to fill on a shared bus.
    pub linger: Duration,
    /// Most events per transaction in one process, where nothing limits what is delivered ahead of acknowledgements.
    pub local_batch: usize,
    /// How long to wait for a batch to fill there, where deliveries cost nothing.
    pub local_linger: Duration,
    /// Delay before the second attempt of a parked event; it doubles.
    pub retry_first: Duration,
    /// Longest such delay.
    pub retry_max: Duration,
    /// Attempts before a parked event is dead.
    pub max_attempts: i32,
    /// Lease of a consumer group on a shared bus.
    pub lease: Duration,
    /// How long a replica may be without any subscription before it leaves its groups to others.
    pub patience: Duration,
}

/// For so many leases it leaves them to others where the bus answers and is of no use nevertheless; not while it is the only one.
const ASIDE: u32 = 10;

impl Default for RunnerConfig {
    fn default() -> Self {
        Self::from(&SpineConfig::default())
    }
}

impl From<&SpineConfig> for RunnerConfig {
    fn from(spine: &SpineConfig) -> Self {
        let linger = Duration::from_millis(spine.consume_linger_ms);
        let batch = spine.consume_batch.max(1);
        Self {
            batch,
            linger,
            local_batch: batch,
            local_linger: linger / 2,
            retry_first: Duration::from_millis(spine.retry_first_ms),
            retry_max: Duration::from_millis(spine.retry_max_ms),
            max_attempts: spine.max_attempts,
            lease: Duration::from_millis(spine.lease_ms),
            patience: Duration::from_secs(10),
        }
    }
}

impl RunnerConfig {
    /// Larger batches, waited for longer. A batch stays within half of what a bus delivers ahead of acknowledgements (1,600),
    /// and batch and wait in one process short of what would hold the relay back. No wait stays none.
    pub(crate) fn bulk(self) -> Self {
        Self {
            batch: 4 * self.batch,
            linger: 5 * self.linger,
            local_batch: 4 * self.local_batch,
            local_linger: 6 * self.local_linger,
            ..self
        }
    }

    /// Delay after the given attempt in milliseconds: doubling, with a ceiling.
    pub(super) fn delay_ms(&self, attempts: i32) -> i64 {
        let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(20);
        let delay = self.retry_first.saturating_mul(1 << doublings).min(self.retry_max);
        i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Consumes the events of one service.
pub struct Runner {
    intake: Intake,
    bus: Arc<dyn EventBus>,
}

impl Runner {
    /// A runner for the service of `db`.
    pub fn new(db: Db, bus: Arc<dyn EventBus>, consumer: Arc<dyn Consumer>, config: RunnerConfig) -> Self {
        Self { intake: Intake { db, consumer, catalogue: catalogue().clone(), config }, bus }
    }

    /// With a catalogue of one's own.
    pub fn with_catalogue(mut self, catalogue: Arc<Catalogue>) -> Self {
        self.intake.catalogue = catalogue;
        self
    }

    /// Consumes until `stop`, then finishes the batches in hand.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(retrier::run(self.intake.clone(), stop.clone()));
        let (groups, inbox) = (self.bus.groups(), self.intake.db.inbox().clone());
        let subscriptions = Subscriptions::new(inbox.clone(), self.intake.config.patience / 2);
        if self.bus.shared() {
            tasks.spawn(leased(self.intake, self.bus, subscriptions, stop.clone()));
        } else {
            inbox.hold(usize::from(groups));
            for group in 0..groups {
                let (intake, bus) = (self.intake.clone(), self.bus.clone());
                tasks.spawn(consume(intake, bus, group, subscriptions.clone(), stop.clone()));
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::task)??; // a task that dies takes the service down
        }
        inbox.hold(0);
        Ok(())
    }
}

/// What takes a group in, and what ends that.
type Taking = (CancellationToken, AbortOnDropHandle<Result<()>>);

/// Consumes the groups this replica holds leases for.
async fn leased(
    intake: Intake,
    bus: Arc<dyn EventBus>,
    subscriptions: Arc<Subscriptions>,
    stop: CancellationToken,
) -> Result<()> {
    let (inbox, lease) = (intake.db.inbox().clone(), intake.config.lease);
    let mut leases = Leases::new(intake.db.clone(), bus.groups(), lease);
    let mut running: HashMap<u8, Taking> = HashMap::new();
    // Whoever has not reached the bus yet takes nothing from those that have.
    let mut aside = Some(Aside::until_reached());
    let mut tick = tokio::time::interval(lease / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        if let Some(waiting) = &mut aside {
            let Some(checked) = stop.run_until_cancelled(bus.check()).await else { break };
            let over = waiting.is_over(checked.is_ok());
            if !over && (checked.is_err() || !leases.are_alone().await) {
                continue;
            }
            aside = None;
        } else if !running.is_empty() && subscriptions.none_for() >= intake.config.patience {
            tracing::warn!(
                service = %intake.db.service(),
                groups = running.len(),
                "the bus cannot be subscribed to; other replicas may take these groups in until it can"
            );
            give_back(&mut leases, running.drain().collect()).await?;
            leases.leave().await;
            inbox.hold(0);
            aside = Some(Aside::for_others(ASIDE * lease, true));
            continue;
        }
        let mine = match leases.renew().await {
            Ok(mine) => mine,
            Err(error) => {
                // The database is away: nothing can be consumed anyway, and a single active consumer stays single.
                tracing::warn!(error = %error.chain(), "consumer leases could not be renewed");
                continue;
            }
        };
        let gone: Vec<u8> = running.keys().copied().filter(|group| !mine.contains(group)).collect();
        let gone = gone.into_iter().filter_map(|group| running.remove_entry(&group)).collect();
        give_back(&mut leases, gone).await?;
        inbox.hold(mine.len());
        if running.is_empty() {
            subscriptions.expect();
        }
        for group in mine {
            let entry = running.entry(group).or_insert_with(|| {
                let cancel = stop.child_token();
                let (intake, subscriptions) = (intake.clone(), subscriptions.clone());
                let consuming = consume(intake, bus.clone(), group, subscriptions, cancel.clone());
                (cancel, AbortOnDropHandle::new(tokio::spawn(consuming)))
            });
            if entry.1.is_finished() {
                let (_, task) = running.remove(&group).ok_or_else(|| Error::internal("a group vanished"))?;
                task.await.map_err(Error::task)??;
            }
        }
    }
    give_back(&mut leases, running.into_iter().collect()).await?;
    leases.leave().await;
    Ok(())
}

/// Takes these groups in no longer, and leaves them to others.
async fn give_back(leases: &mut Leases, groups: Vec<(u8, Taking)>) -> Result<()> {
    for (group, (cancel, task)) in groups {
        cancel.cancel();
        task.await.map_err(Error::task)??;
        leases.release(group).await;
    }
    Ok(())
}

/// Consumes one group until `stop`, making a new subscription whenever one breaks.
async fn consume(
    intake: Intake,
    bus: Arc<dyn EventBus>,
    group: u8,
    subscriptions: Arc<Subscriptions>,
    stop: CancellationToken,
) -> Result<()> {
    let service = intake.db.service().clone();
    let config = &intake.config;
    let (most, linger) =
        if bus.shared() { (config.batch, config.linger) } else { (config.local_batch, config.local_linger) };
    let mut pause = Duration::from_millis(50);
    loop {
        let subscribed = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            subscribed = bus.subscribe(&service, group) => subscribed,
        };
        match subscribed {
            Ok(mut subscription) => {
                let (started, _subscribed) = (Instant::now(), subscriptions.one());
                match until_broken(&intake, &mut *subscription, (most, linger), &stop).await {
                    Ok(()) if stop.is_cancelled() => return Ok(()),
                    Ok(()) => tracing::debug!(group, "a subscription ended"),
                    Err(error) if error.retryable() => {
                        tracing::warn!(group, error = %error.chain(), "a subscription broke");
                    }
                    Err(error) => return Err(error),
                }
                if started.elapsed() > Duration::from_secs(5) {
                    pause = Duration::from_millis(50);
                }
            }
            Err(error) if error.retryable() => tracing::debug!(group, error = %error, "no subscription yet"),
            Err(error) => return Err(error),
        }
        let _ = tokio::time::timeout(pause, stop.cancelled()).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn until_broken(
    intake: &Intake,
    subscription: &mut dyn Subscription,
    (most, linger): (usize, Duration),
    stop: &CancellationToken,
) -> Result<()> {
    let mut batch: Vec<Delivery> = Vec::with_capacity(most);
    let mut before: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            first = subscription.next() => match first {
                Some(first) => batch.push(first),
                None => return Ok(()),
            },
        }
        // From the beginning of the one before on: what came while that was taken in has waited, and what comes after a rest
        // need not. Whatever is there already is taken in any case.
        let begun = Instant::now();
        let full_by = before.map_or(begun, |before| (before + linger).max(begun));
        before = Some(begun);
        while batch.len() < most {
            if let Some(delivery) = subscription.ready() {
                batch.push(delivery);
                continue;
            }
            let more = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                more = tokio::time::timeout_at(full_by, subscription.next()) => more,
            };
            match more {
                Ok(Some(delivery)) => batch.push(delivery),
                // A broken subscription redelivers what is not acknowledged; the inbox knows it then.
                Ok(None) | Err(_) => break,
            }
        }
        let Some(last) = batch.last().map(|delivery| delivery.tag) else { continue };
        intake.take_in(Batch::of(batch.drain(..)), stop).await?;
        subscription.ack(last).await?;
        crash::seam("inbox.after_ack");
    }
}
