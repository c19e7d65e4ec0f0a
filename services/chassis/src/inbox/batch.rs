//! One batch of deliveries, in one transaction, or in smaller ones until what is to blame has been found.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

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
    event::{Catalogue, Event, Stretch},
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

/// Deliveries that are taken in together, or some of them in a row.
#[derive(Debug)]
pub(super) struct Batch {
    events: Stretch,
    /// What is wrong with envelopes, by place among all that were delivered together.
    defects: Arc<BTreeMap<usize, String>>,
}

impl Batch {
    /// All of them, in their order.
    pub(super) fn of(deliveries: impl ExactSizeIterator<Item = Delivery>) -> Self {
        let mut events = Vec::with_capacity(deliveries.len());
        let mut defects = BTreeMap::new();
        for (place, delivery) in deliveries.enumerate() {
            events.push(delivery.event);
            defects.extend(delivery.defect.map(|defect| (place, defect)));
        }
        Self { events: events.into(), defects: Arc::new(defects) }
    }

    fn halves(&self) -> (Self, Self) {
        let (left, right) = self.events.halves();
        let part = |events| Self { events, defects: self.defects.clone() };
        (part(left), part(right))
    }

    /// What is wrong with the envelope of one of these.
    fn defect(&self, index: usize) -> Option<&str> {
        self.defects.get(&(self.events.start() + index)).map(String::as_str)
    }
}

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
    pub(super) async fn take_in(&self, batch: Batch, stop: &CancellationToken) -> Result<()> {
        let mut parts = vec![batch];
        let (mut failures, mut pause) = (0, FIRST_PAUSE);
        while let Some(part) = parts.pop() {
            let error = match self.attempt(&part).await {
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
            let [event] = &part.events[..] else {
                // Something in it is to blame, or it is too much at once; if the database is away, it costs little.
                if passes {
                    rest(&mut pause, stop).await?;
                }
                let (left, right) = part.halves();
                parts.push(right);
                parts.push(left);
                continue;
            };
            failures += 1;
            if passes && failures < PATIENCE {
                rest(&mut pause, stop).await?;
                parts.push(part);
                continue;
            }
            let parked = self.park(event, self.defect_of(&part, 0), &error).await;
            match parked {
                Ok(()) => {
                    failures = 0;
                    tracing::warn!(
                        event.id = %event.id, event.r#type = %event.r#type,
                        error = %error.chain(), "an event is parked"
                    );
                }
                Err(again) if again.retryable() => {
                    rest(&mut pause, stop).await?;
                    parts.push(part);
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

    async fn attempt(&self, part: &Batch) -> Result<Counted> {
        let counted =
            self.db.transaction(async |tx: &mut Tx<'_>| self.in_transaction(tx, part).await).await?;
        crash::seam("inbox.after_commit");
        let now = self.db.clock().now();
        for event in part.events.iter() {
            self.db.inbox().lagged((now - event.time).num_milliseconds());
        }
        Ok(counted)
    }

    async fn in_transaction(&self, tx: &mut Tx<'_>, part: &Batch) -> Result<Counted> {
        let events = &part.events;
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let mut keys: Vec<Uuid> = events.iter().map(|event| event.partition_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let claim = Claim::of(tx.conn, &ids, &keys).await?;
        crash::seam("inbox.after_claim");
        let free = claim.fresh.is_none() && claim.parked.is_empty();
        let counted = if free && (0..events.len()).all(|index| self.defect_of(part, index).is_none()) {
            self.handle(tx, events.clone()).await?;
            Counted { consumed: events.len(), duplicates: 0, parked: 0, behind: Vec::new() }
        } else {
            self.sort_out(tx, part, claim).await?
        };
        crash::seam("inbox.before_commit");
        Ok(counted)
    }

    /// Some have come before, wait behind what is parked, or are wrong by themselves: the handler gets the others.
    async fn sort_out(&self, tx: &mut Tx<'_>, part: &Batch, claim: Claim) -> Result<Counted> {
        let Claim { mut fresh, parked: mut blocked } = claim;
        // A duplicate counts too: it may have been parked by an earlier try whose answer was lost.
        let behind: Vec<Uuid> = blocked.iter().copied().collect();
        let (mut good, mut parked, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut duplicates = 0;
        for (index, event) in part.events.iter().enumerate() {
            if fresh.as_mut().is_some_and(|fresh| !fresh.remove(&event.id)) {
                duplicates += 1;
                continue;
            }
            let is_behind = blocked.contains(&event.partition_key);
            if let Some(cause) = self.defect_of(part, index) {
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
        self.handle(tx, good.into()).await?;
        Ok(counted)
    }

    /// What is wrong with one of them.
    fn defect_of(&self, part: &Batch, index: usize) -> Option<Cause> {
        let event = &part.events[index];
        self.defect(&event.r#type, &event.data, part.defect(index), 1)
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
    pub(super) async fn handle(&self, tx: &mut Tx<'_>, mut events: Stretch) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut spans: Vec<Span> = Vec::new();
        if events.iter().any(|event| event.traceparent.is_some()) {
            let mut traced = events.to_vec();
            spans.extend(traced.iter_mut().map(|event| enter_trace(event, self.db.service())));
            events = traced.into();
        }
        tx.consume(events.clone());
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
    async fn park(&self, event: &Event, defect: Option<Cause>, error: &Error) -> Result<()> {
        let sound = defect.is_none();
        let attempts = i32::from(!error.retryable()); // what passes costs none
        let cause = defect.unwrap_or_else(|| self.cause(error, attempts));
        let mut parked = self.park_as(event, &cause, sound, sound).await;
        if sound && parked.as_ref().is_err_and(|error| !error.retryable()) {
            parked = self.park_as(event, &cause, true, false).await;
        }
        if let Err(error) = &parked
            && !error.retryable()
        {
            let detail =
                format!("it could not be stored: {}; {}: {}", error.chain(), cause.code, cause.detail);
            let cause = Cause { code: store::MALFORMED, detail: storable(&detail), ..cause };
            parked = self.park_as(&bare(event), &cause, false, false).await;
        }
        parked?;
        let behind = vec![event.partition_key]; // it may be
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Happened {}

    impl proto::EventMessage for Happened {
        const TYPE: &'static str = "test.v1.Happened";
    }

    #[test]
    fn what_is_wrong_with_an_envelope_is_known_of_it_in_whichever_part_it_comes() {
        let event = Event::of("test", DateTime::UNIX_EPOCH, new_id(), 1, &Happened {});
        let defects = [None, Some("first"), None, None, Some("second")];
        let deliveries: Vec<Delivery> = defects
            .iter()
            .zip(1..)
            .map(|(defect, tag)| Delivery { tag, event: event.clone(), defect: defect.map(str::to_owned) })
            .collect();
        let (mut parts, mut found) = (vec![Batch::of(deliveries.into_iter())], Vec::new());
        while let Some(part) = parts.pop() {
            let of_part: Vec<Option<&str>> = (0..part.events.len()).map(|index| part.defect(index)).collect();
            let before = part.events.start();
            assert_eq!(of_part, defects[before..before + part.events.len()]);
            if let [alone] = of_part.as_slice() {
                found.push(alone.map(str::to_owned));
                continue;
            }
            let (left, right) = part.halves();
            parts.extend([right, left]);
        }
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), defects);
    }
}
