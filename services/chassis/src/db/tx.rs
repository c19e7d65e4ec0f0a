//! One open transaction: the connection, domain time, and the events it will send. Events only leave with the commit.

use std::{collections::HashMap, sync::Arc};

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

use super::News;
use crate::{
    Result, Timestamp,
    clock::new_id,
    event::{Emit, Event, Stretch},
    outbox::{OutboxState, store},
    telemetry::current_traceparent,
};

/// Who and what caused an event: the last four attributes of the envelope.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Ties together everything that one request brought about.
    pub correlation_id: Uuid,
    /// The event that caused this one; `None` when a request did.
    pub causation_id: Option<Uuid>,
    /// Pseudonym of the acting person.
    pub actor_ref: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl Origin {
    /// The beginning of something new, in the current trace.
    pub fn new(actor_ref: Option<String>) -> Self {
        Self { correlation_id: new_id(), causation_id: None, actor_ref, traceparent: current_traceparent() }
    }

    /// Caused by `event`.
    pub fn caused_by(event: &Event) -> Self {
        Self {
            correlation_id: event.correlation_id,
            causation_id: Some(event.id),
            actor_ref: event.actor_ref.clone(),
            traceparent: event.traceparent.clone(),
        }
    }
}

/// An open transaction.
pub struct Tx<'c> {
    /// The connection, inside the transaction.
    pub conn: &'c mut AsyncPgConnection,
    /// Domain time at the start of the transaction.
    pub now: Timestamp,
    effects: &'c mut Effects,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c mut AsyncPgConnection, now: Timestamp, effects: &'c mut Effects) -> Self {
        Self { conn, now, effects }
    }

    /// Sends an event with the commit. Its cause is, in this order: the one given on the `Emit`, the one set by
    /// [`caused_by`](Self::caused_by), the latest consumed event of the same partition key, the first consumed event.
    pub fn emit(&mut self, emit: Emit) {
        self.effects.emit(emit, self.now);
    }

    /// Everything emitted from now on is caused by `event`, until the next call.
    pub fn caused_by(&mut self, event: &Event) {
        self.set_origin(Some(Arc::new(Origin::caused_by(event))));
    }

    /// Everything emitted from now on has this origin; `None` goes back to the default.
    pub fn set_origin(&mut self, origin: Option<Arc<Origin>>) {
        self.effects.origin = origin;
    }

    /// Defaults for the cause of what is emitted: the events being consumed.
    pub(crate) fn consume(&mut self, events: Stretch) {
        self.effects.consumed.push(events);
    }

    /// Whoever follows this key in [`News`] is told with the commit, as for the keys of events: for changes that no event
    /// tells of.
    pub fn changed(&mut self, key: Uuid) {
        self.effects.changed.push(key);
    }

    /// For what is written last before the commit: the connection, and the events so far, which the caller writes to the
    /// outbox in the same go and then gives to [`written`](Self::written).
    pub(crate) fn last_statements(&mut self) -> (&AsyncPgConnection, Vec<Event>) {
        (&*self.conn, self.effects.take())
    }

    /// These events are in the outbox, under these numbers.
    pub(crate) fn written(&mut self, events: Vec<(i64, Event)>) {
        self.effects.written.extend(events);
    }

    /// Runs `act` once the transaction is committed; not at all when it is rolled back.
    pub fn after_commit(&mut self, act: Box<dyn FnOnce() + Send>) {
        self.effects.after.push(act);
    }
}

/// What a transaction does besides its statements: events to write before the commit, acts to do after it.
pub(crate) struct Effects {
    source: Arc<str>,
    origin: Option<Arc<Origin>>,
    /// Events being consumed of which the next two do not tell yet. Most consumers say themselves what caused what they emit, or
    /// emit nothing.
    consumed: Vec<Stretch>,
    by_key: HashMap<Uuid, Arc<Origin>>,
    first: Option<Arc<Origin>>,
    events: Vec<Event>,
    /// Those that are written already, with their numbers.
    written: Vec<(i64, Event)>,
    /// Keys whose followers are told.
    changed: Vec<Uuid>,
    after: Vec<Box<dyn FnOnce() + Send>>,
}

impl Effects {
    pub(crate) fn new(source: Arc<str>) -> Self {
        Self {
            source,
            origin: None,
            consumed: Vec::new(),
            by_key: HashMap::new(),
            first: None,
            events: Vec::new(),
            written: Vec::new(),
            changed: Vec::new(),
            after: Vec::new(),
        }
    }

    fn emit(&mut self, emit: Emit, now: Timestamp) {
        let given = emit.origin().or(self.origin.as_ref()).cloned();
        let origin = given.unwrap_or_else(|| self.origin_of(emit.partition_key()));
        self.events.push(emit.into_event(self.source.to_string(), now, &origin));
    }

    /// Of what is emitted with this partition key and nothing is said of: see [`Tx::emit`].
    fn origin_of(&mut self, key: Uuid) -> Arc<Origin> {
        for events in std::mem::take(&mut self.consumed) {
            for event in events.iter() {
                let origin = Arc::new(Origin::caused_by(event));
                self.first.get_or_insert_with(|| origin.clone());
                self.by_key.insert(event.partition_key, origin);
            }
        }
        let consumed = self.by_key.get(&key).or(self.first.as_ref()).cloned();
        consumed.unwrap_or_else(|| Arc::new(Origin::new(None)))
    }

    fn take(&mut self) -> Vec<Event> {
        self.changed.extend(self.events.iter().map(|event| event.partition_key));
        std::mem::take(&mut self.events)
    }

    /// Writes the outbox. The caller commits next.
    pub(crate) async fn write(&mut self, conn: &AsyncPgConnection) -> Result<()> {
        let events = self.take();
        self.written.extend(store::insert(conn, events).await?);
        Ok(())
    }

    /// To be called right after the commit.
    pub(crate) fn committed(self, outbox: &OutboxState, news: &News) {
        if !self.written.is_empty() {
            crate::crash::seam("outbox.after_commit");
            outbox.added(self.written);
        }
        for act in self.after {
            act();
        }
        news.tell(&self.changed); // whoever is woken finds what was done after the commit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Happened {}

    impl proto::EventMessage for Happened {
        const TYPE: &'static str = "test.v1.Happened";
    }

    #[test]
    fn what_is_emitted_is_caused_by_what_is_said_or_the_latest_consumed_event_of_its_key_or_the_first() {
        let (now, [first, key, other]) = (Clock::system().now(), [(); 3].map(|()| new_id()));
        let of = |key: &Uuid| Event::of("elsewhere", now, *key, 1, &Happened {});
        let consumed: Vec<Event> = [first, key, key, other].iter().map(of).collect();
        let mut effects = Effects::new("here".into());
        let cause = |effects: &mut Effects, emit: Emit| {
            effects.emit(emit, now);
            effects.events.last().and_then(|event| event.causation_id)
        };
        let emit = |key: Uuid| Emit::new(key, 1, &Happened {});
        assert_eq!(cause(&mut effects, emit(key)), None, "nothing is consumed");
        effects.consumed.push(consumed.clone().into());
        assert_eq!(cause(&mut effects, emit(key).caused_by(&consumed[1])), Some(consumed[1].id));
        assert_eq!(cause(&mut effects, emit(key)), Some(consumed[2].id));
        assert_eq!(cause(&mut effects, emit(other)), Some(consumed[3].id));
        assert_eq!(cause(&mut effects, emit(new_id())), Some(consumed[0].id));
        effects.origin = Some(Arc::new(Origin::caused_by(&consumed[1])));
        assert_eq!(cause(&mut effects, emit(other)), Some(consumed[1].id), "it was said of all");
        effects.origin = None;
        assert_eq!(cause(&mut effects, emit(key)), Some(consumed[2].id), "as before");
    }
}
