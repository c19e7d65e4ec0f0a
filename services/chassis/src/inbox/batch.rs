//! One batch of deliveries, in one transaction, or in smaller ones until what is to blame has been found.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use super::{Consumer, RunnerConfig, claim::Claim, store, store::Cause};
use crate::{
    Error, Result,
    bus::Delivery,
    crash,
    db::{Db, Tx},
    event::{Catalogue, Event},
    telemetry,
};

/// How often an event may fail alone, in a way that passes, until it no longer looks as if the database were away: it
/// is then set aside. If the database is away, that fails too and changes nothing.
const PATIENCE: u32 = 5;

/// The pause after the first such failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// A panic of a handler, as an error. What it said may hold data: neither the log nor whoever lists what is parked has it.
#[derive(Debug, thiserror::Error)]
#[error("the handler panicked")]
struct Panicked;

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
    /// Keys of which something is parked already: what came may be behind it.
    behind: Vec<Uuid>,
}

impl Intake {
    /// Takes deliveries in; returns when every one of them is committed in one way or another, or gives
    /// `Unavailable` when `stop` came while it had to wait for the database.
    pub(super) async fn take_in(&self, batch: &[Delivery], stop: &CancellationToken) -> Result<()> {
        let mut ranges = vec![batch];
        let (mut failures, mut pause) = (0, FIRST_PAUSE);
        while let Some(range) = ranges.pop() {
            let error = match self.attempt(range).await {
                Ok(counted) => {
                    self.count(&counted);
                    (failures, pause) = (0, FIRST_PAUSE);
                    continue;
                }
                Err(error) => error,
            };
            let passes = error.retryable();
            if passes {
                tracing::warn!(error = %error.chain(), service = %self.db.service(), "a batch waits");
            }
            let [delivery] = range else {
                // Something in it is to blame, or it is too much at once; if the database is away, it costs little.
                if passes {
                    rest(&mut pause, stop).await?;
                }
                let (left, right) = range.split_at(range.len() / 2);
                ranges.push(right);
                ranges.push(left);
                continue;
            };
            failures += 1;
            if passes && failures < PATIENCE {
                rest(&mut pause, stop).await?;
                ranges.push(range);
                continue;
            }
            match self.park(delivery, &error).await {
                Ok(()) => {
                    failures = 0;
                    tracing::warn!(
                        event.id = %delivery.event.id, event.r#type = %delivery.event.r#type,
                        error = %error.chain(), "an event is parked"
                    );
                }
                Err(again) if again.retryable() => {
                    rest(&mut pause, stop).await?;
                    ranges.push(range);
                }
                Err(defect) => return Err(defect),
            }
        }
        Ok(())
    }

    fn count(&self, counted: &Counted) {
        let inbox = self.db.inbox();
        inbox.count(counted.consumed, counted.duplicates, counted.parked);
        inbox.parked_behind(&counted.behind);
        if counted.parked > 0 {
            inbox.ring();
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
        let mut keys: Vec<Uuid> = range.iter().map(|d| d.event.partition_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let Claim { fresh, parked: mut blocked } = Claim::of(tx.conn, &ids, &keys).await?;
        crash::seam("inbox.after_claim");
        // A duplicate counts too: it may have been parked by an earlier try whose answer was lost.
        let behind: Vec<Uuid> = blocked.iter().copied().collect();
        let fresh: Vec<&Delivery> = match fresh {
            None => range.iter().collect(),
            Some(mut fresh) => range.iter().filter(|d| fresh.remove(&d.event.id)).collect(),
        };
        let duplicates = range.len() - fresh.len();
        if fresh.is_empty() {
            return Ok(Counted { consumed: 0, duplicates, parked: 0, behind });
        }
        let (mut parked, mut waiting) = (Vec::new(), Vec::new());
        let mut good = Vec::with_capacity(fresh.len());
        for delivery in fresh {
            let event = &delivery.event;
            let is_behind = blocked.contains(&event.partition_key);
            if let Some(cause) = self.defect_of(delivery) {
                blocked.insert(event.partition_key);
                // Behind another or not: what is wrong with it must stay known.
                parked.push((event, Cause { delay_ms: cause.delay_ms.filter(|_| !is_behind), ..cause }));
            } else if is_behind {
                waiting.push(event.clone());
                parked.push((event, Cause::behind()));
            } else {
                good.push(event.clone());
            }
        }
        store::park(tx.conn, &parked).await?;
        let counted = Counted { consumed: good.len(), duplicates, parked: parked.len(), behind };
        self.waiting(tx, &waiting).await?;
        self.handle(tx, good).await?;
        crash::seam("inbox.before_commit");
        Ok(counted)
    }

    fn defect_of(&self, delivery: &Delivery) -> Option<Cause> {
        self.defect(&delivery.event.r#type, &delivery.event.data, delivery.defect.as_deref(), 1)
    }

    /// What can be seen to be wrong without asking the handler, which must never get such an event: consumers pass
    /// over types they do not know, and a broken envelope is filled with attributes that nobody has sent.
    pub(super) fn defect(
        &self,
        event_type: &str,
        data: &[u8],
        malformed: Option<&str>,
        attempts: i32,
    ) -> Option<Cause> {
        let (code, detail) = if let Some(defect) = malformed {
            (store::MALFORMED, storable(defect))
        } else if self.catalogue.get(event_type).is_none() {
            ("unknown_type", "no such event type is known here".to_owned())
        } else if let Err(error) = <() as prost::Message>::decode(data) {
            ("undecodable", error.to_string())
        } else {
            return None;
        };
        Some(Cause { code, detail, attempts, delay_ms: Some(self.config.delay_ms(attempts)) })
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
        handled.unwrap_or_else(|_| Err(Error::internal(Panicked)))
    }

    /// Shows the handler what has to wait.
    async fn waiting(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let seen = AssertUnwindSafe(self.consumer.waiting(tx, events)).catch_unwind().await;
        seen.unwrap_or_else(|_| Err(Error::internal(Panicked)))
    }

    /// Parks the one event that is to blame, together with its inbox record: whole; if that cannot be, without
    /// showing it to the handler; if that cannot be either, a bare row, because nothing a sender puts into an
    /// event may end the service.
    async fn park(&self, delivery: &Delivery, error: &Error) -> Result<()> {
        let defect = self.defect_of(delivery);
        let sound = defect.is_none();
        let attempts = i32::from(!error.retryable()); // what passes costs none
        let cause = defect.unwrap_or_else(|| self.cause(error, attempts));
        let mut parked = self.park_as(&delivery.event, &cause, sound, sound).await;
        if sound && parked.as_ref().is_err_and(|error| !error.retryable()) {
            parked = self.park_as(&delivery.event, &cause, true, false).await;
        }
        if let Err(error) = &parked
            && !error.retryable()
        {
            let detail =
                format!("it could not be stored: {}; {}: {}", error.chain(), cause.code, cause.detail);
            let cause = Cause { code: store::MALFORMED, detail: storable(&detail), ..cause };
            parked = self.park_as(&bare(&delivery.event), &cause, false, false).await;
        }
        parked?;
        let behind = vec![delivery.event.partition_key]; // it may be
        self.count(&Counted { consumed: 0, duplicates: 0, parked: 1, behind });
        Ok(())
    }

    /// `sound`: it may only be waiting for an earlier event of its key; `shown`: to the handler.
    async fn park_as(&self, event: &Event, cause: &Cause, sound: bool, shown: bool) -> Result<()> {
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                let claim = Claim::of(tx.conn, &[event.id], &[event.partition_key]).await?;
                if claim.fresh.is_some() {
                    return Ok(()); // somebody else took it in meanwhile
                }
                let behind = sound && !claim.parked.is_empty();
                let cause = if behind { Cause::behind() } else { cause.clone() };
                store::park(tx.conn, &[(event, cause)]).await?;
                if shown {
                    self.waiting(tx, std::slice::from_ref(event)).await?;
                }
                Ok(())
            })
            .await
    }

    /// The cause of a failure at the given attempt.
    pub(super) fn cause(&self, error: &Error, attempts: i32) -> Cause {
        let code = match error {
            Error::Internal(source) if source.is::<Panicked>() => "panic",
            Error::Internal(source) if source.is::<prost::DecodeError>() => "undecodable",
            other => other.code(),
        };
        let detail = storable(&error.chain());
        Cause { code, detail, attempts, delay_ms: Some(self.config.delay_ms(attempts)) }
    }
}

/// Waits a little, longer each time; `Unavailable` when `stop` comes meanwhile.
async fn rest(pause: &mut Duration, stop: &CancellationToken) -> Result<()> {
    if tokio::time::timeout(*pause, stop.cancelled()).await.is_ok() {
        return Err(Error::unavailable("the service is stopping"));
    }
    *pause = (*pause * 2).min(Duration::from_secs(2));
    Ok(())
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

/// A text as the database takes it, and not longer than an operator reads.
fn storable(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(500).collect()
}

/// What is left of an event that cannot be stored: its id and its key.
fn bare(event: &Event) -> Event {
    Event {
        id: event.id,
        r#type: "".into(),
        source: String::new(),
        subject: String::new(),
        time: DateTime::UNIX_EPOCH,
        partition_key: event.partition_key,
        aggregate_version: 0,
        unit_id: None,
        line: None,
        correlation_id: event.id,
        causation_id: None,
        actor_ref: None,
        traceparent: None,
        data: Bytes::new(),
    }
}
