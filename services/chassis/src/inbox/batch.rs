//! One batch of deliveries, in one transaction, or in smaller ones until what is to blame has been found.

use std::{any::Any, collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{Consumer, RunnerConfig, store, store::Cause};
use crate::{
    Error, Result,
    bus::Delivery,
    crash,
    db::{Db, Tx},
    event::{Catalogue, Event},
    telemetry,
};

/// A panic of a handler, as an error.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked: {0}")]
struct Panicked(String);

/// Takes batches in for one service.
#[derive(Clone)]
pub(super) struct Intake {
    pub db: Db,
    pub consumer: Arc<dyn Consumer>,
    pub catalogue: Arc<Catalogue>,
    pub config: RunnerConfig,
}

/// What one transaction did.
struct Counted {
    consumed: usize,
    duplicates: usize,
    parked: usize,
}

impl Intake {
    /// Takes deliveries in; returns when every one of them is committed in one way or another, or gives
    /// `Unavailable` when `stop` came while it had to wait for the database.
    pub(super) async fn take_in(&self, batch: &[Delivery], stop: &CancellationToken) -> Result<()> {
        let mut ranges = vec![batch];
        let mut stale = 0;
        let mut pause = Duration::from_millis(20);
        while let Some(range) = ranges.pop() {
            let error = match self.attempt(range).await {
                Ok(counted) => {
                    self.count(&counted);
                    pause = Duration::from_millis(20);
                    continue;
                }
                Err(error) => error,
            };
            stale += usize::from(matches!(error, Error::Stale { .. }));
            if error.retryable() && stale < 10 {
                tracing::warn!(error = %error.chain(), service = %self.db.service(), "a batch waits");
                if tokio::time::timeout(pause, stop.cancelled()).await.is_ok() {
                    return Err(Error::unavailable("the service is stopping"));
                }
                pause = (pause * 2).min(Duration::from_secs(2));
                ranges.push(range);
            } else if let [delivery] = range {
                match self.park(delivery, &error).await {
                    Ok(()) => tracing::warn!(
                        event.id = %delivery.event.id, event.r#type = %delivery.event.r#type,
                        error = %error.chain(), "an event is parked"
                    ),
                    Err(again) if again.retryable() => ranges.push(range),
                    Err(defect) => return Err(defect),
                }
            } else {
                let (left, right) = range.split_at(range.len() / 2);
                ranges.push(right);
                ranges.push(left);
            }
        }
        Ok(())
    }

    fn count(&self, counted: &Counted) {
        self.db.inbox().count(counted.consumed, counted.duplicates, counted.parked);
        if counted.parked > 0 {
            self.db.inbox().ring();
        }
    }

    async fn attempt(&self, range: &[Delivery]) -> Result<Counted> {
        let counted =
            self.db.transaction(async |tx: &mut Tx<'_>| self.in_transaction(tx, range).await).await?;
        crash::seam("inbox.after_commit");
        let now = self.db.clock().now();
        for delivery in range {
            self.db.inbox().lagged((now - delivery.event.time).num_milliseconds());
        }
        Ok(counted)
    }

    async fn in_transaction(&self, tx: &mut Tx<'_>, range: &[Delivery]) -> Result<Counted> {
        let ids: Vec<Uuid> = range.iter().map(|d| d.event.id).collect();
        let mut fresh = store::claim(tx.conn, &ids).await?;
        crash::seam("inbox.after_claim");
        let fresh: Vec<&Delivery> = range.iter().filter(|d| fresh.remove(&d.event.id)).collect();
        let duplicates = range.len() - fresh.len();
        if fresh.is_empty() {
            return Ok(Counted { consumed: 0, duplicates, parked: 0 });
        }
        let keys: HashSet<Uuid> = fresh.iter().map(|d| d.event.partition_key).collect();
        let keys: Vec<Uuid> = keys.into_iter().collect();
        let mut blocked = store::parked_keys(tx.conn, &keys).await?;
        let (mut parked, mut good) = (Vec::new(), Vec::with_capacity(fresh.len()));
        for delivery in fresh {
            let event = &delivery.event;
            if blocked.contains(&event.partition_key) {
                parked.push((event, Cause::behind()));
            } else if let Some(cause) = self.defect(delivery) {
                blocked.insert(event.partition_key);
                parked.push((event, cause));
            } else {
                good.push(event.clone());
            }
        }
        store::park(tx.conn, &parked).await?;
        let counted = Counted { consumed: good.len(), duplicates, parked: parked.len() };
        self.handle(tx, good).await?;
        crash::seam("inbox.before_commit");
        Ok(counted)
    }

    /// What can be seen to be wrong without asking the handler.
    fn defect(&self, delivery: &Delivery) -> Option<Cause> {
        let (code, detail) = if let Some(defect) = &delivery.defect {
            ("malformed", defect.clone())
        } else if self.catalogue.get(&delivery.event.r#type).is_none() {
            ("unknown_type", "no such event type is known here".to_owned())
        } else if let Err(error) = <() as prost::Message>::decode(delivery.event.data.clone()) {
            ("undecodable", error.to_string())
        } else {
            return None;
        };
        Some(Cause { code, detail, attempts: 1, delay_ms: self.config.delay_ms(1) })
    }

    /// Gives new events to the handler, each within its own trace; a panic becomes an error.
    pub(super) async fn handle(&self, tx: &mut Tx<'_>, mut events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let spans: Vec<Span> = events.iter_mut().map(|event| enter_trace(event, self.db.service())).collect();
        tx.consume(&events);
        let around = if let [span] = spans.as_slice() { span.clone() } else { Span::none() };
        let handled =
            AssertUnwindSafe(self.consumer.handle(tx, &events).instrument(around)).catch_unwind().await;
        tx.set_origin(None);
        handled.unwrap_or_else(|panic| Err(Error::internal(Panicked(panic_text(panic.as_ref())))))
    }

    /// Parks the one event that is to blame, together with its inbox record.
    async fn park(&self, delivery: &Delivery, error: &Error) -> Result<()> {
        let event = &delivery.event;
        let cause = self.cause(error, 1);
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                if store::claim(tx.conn, &[event.id]).await?.is_empty() {
                    return Ok(()); // somebody else took it in meanwhile
                }
                let behind = !store::parked_keys(tx.conn, &[event.partition_key]).await?.is_empty();
                let cause = if behind { Cause::behind() } else { cause };
                store::park(tx.conn, &[(event, cause)]).await
            })
            .await?;
        self.count(&Counted { consumed: 0, duplicates: 0, parked: 1 });
        Ok(())
    }

    /// The cause of a failure at the given attempt.
    pub(super) fn cause(&self, error: &Error, attempts: i32) -> Cause {
        let code = match error {
            Error::Internal(source) if source.is::<Panicked>() => "panic",
            Error::Internal(source) if source.is::<prost::DecodeError>() => "undecodable",
            other => other.code(),
        };
        let detail = error.chain().chars().take(500).collect();
        Cause { code, detail, attempts, delay_ms: self.config.delay_ms(attempts) }
    }
}

/// A span for the handling of one event, within the event's trace; the event then carries the span's own context, so
/// that what it causes continues from there. Untraced events cost nothing.
fn enter_trace(event: &mut Event, service: &str) -> Span {
    let Some(traceparent) = &event.traceparent else { return Span::none() };
    let span = tracing::info_span!(
        target: telemetry::SPAN,
        "consume",
        otel.name = %format_args!("process {}", event.r#type),
        otel.kind = "consumer",
        messaging.system = "jianghan",
        messaging.operation.name = "process",
        messaging.message.id = %event.id,
        event.r#type = %event.r#type,
        jianghan.service = service,
    );
    telemetry::set_parent_from(&span, traceparent);
    if let Some(own) = telemetry::traceparent_of(&span) {
        event.traceparent = Some(own);
    }
    span
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
