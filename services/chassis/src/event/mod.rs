//! Events: facts in the past tense, as protobuf messages in a CloudEvents 1.0 envelope. What a handler emits
//! ([`Emit`]), what travels and arrives ([`Event`]), who consumes what ([`catalogue`]), and where a key goes
//! ([`partition`]). No personal data ever enters an event.

mod catalogue;
mod partition;
mod stretch;

use std::sync::Arc;

use bytes::Bytes;
use proto::EventMessage;
use uuid::Uuid;

pub(crate) use self::stretch::Stretch;
pub use self::{
    catalogue::{Catalogue, EventType, SERVICES, catalogue},
    partition::{PARTITIONS, group, partition},
};
use crate::{Error, Result, Timestamp, clock::new_id, db::Origin};

/// An event to be sent with the transaction: `Emit::new(case_id, version, &CaseAccepted { … }).unit(u).line(…)`.
#[derive(Debug, Clone)]
pub struct Emit {
    r#type: Arc<str>,
    partition_key: Uuid,
    aggregate_version: i64,
    subject: Option<String>,
    unit_id: Option<Uuid>,
    line: Option<String>,
    data: Bytes,
    origin: Option<Arc<Origin>>,
}

impl Emit {
    /// `partition_key` is the value of the field that the message declares as its key; `aggregate_version` the
    /// version of the aggregate after the change. The subject is the key unless set.
    pub fn new<M: EventMessage>(partition_key: Uuid, aggregate_version: i64, message: &M) -> Self {
        Self {
            r#type: catalogue().intern(M::TYPE),
            partition_key,
            aggregate_version,
            subject: None,
            unit_id: None,
            line: None,
            data: message.encode_to_vec().into(),
            origin: None,
        }
    }

    /// The unit the fact belongs to.
    pub fn unit(mut self, unit_id: Uuid) -> Self {
        self.unit_id = Some(unit_id);
        self
    }

    /// The unit, if there is one.
    pub fn unit_opt(mut self, unit_id: Option<Uuid>) -> Self {
        self.unit_id = unit_id;
        self
    }

    /// The line (department function), if it is known.
    pub fn line(mut self, line: Option<&str>) -> Self {
        self.line = line.map(str::to_owned);
        self
    }

    /// The thing the fact is about, where that is not the partition key.
    pub fn subject(mut self, id: impl ToString) -> Self {
        self.subject = Some(id.to_string());
        self
    }

    /// Names the event that caused this one, where the default (see `Tx::emit`) would name another.
    pub fn caused_by(mut self, event: &Event) -> Self {
        self.origin = Some(Arc::new(Origin::caused_by(event)));
        self
    }

    /// With a cause of its own, where the default (see `Tx::emit`) would say more than may be said.
    pub fn with_origin(mut self, origin: Arc<Origin>) -> Self {
        self.origin = Some(origin);
        self
    }

    /// The partition key.
    pub fn partition_key(&self) -> Uuid {
        self.partition_key
    }

    /// The message, if it is an `M`: for tests of pure decisions.
    pub fn decode<M: EventMessage>(&self) -> Option<M> {
        if &*self.r#type != M::TYPE {
            return None;
        }
        M::decode(self.data.clone()).ok()
    }

    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// As it arrives when it was sent at an instant: for tests of what consumers make of pure decisions.
    pub fn sent(self, source: &str, time: Timestamp) -> Event {
        self.into_event(source.to_owned(), time, &Origin::new(None))
    }

    /// Fills the envelope.
    pub(crate) fn into_event(self, source: String, now: Timestamp, origin: &Origin) -> Event {
        Event {
            id: new_id(),
            r#type: self.r#type,
            source,
            subject: self.subject.unwrap_or_else(|| self.partition_key.to_string()),
            time: now,
            partition_key: self.partition_key,
            aggregate_version: self.aggregate_version,
            unit_id: self.unit_id,
            line: self.line,
            correlation_id: origin.correlation_id,
            causation_id: origin.causation_id,
            actor_ref: origin.actor_ref.clone(),
            traceparent: origin.traceparent.clone(),
            data: self.data,
        }
    }
}

/// An event with its envelope (CloudEvents attributes of the same names, in lower case without underscores).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// UUIDv7; the inbox knows an event by it.
    pub id: Uuid,
    /// Full proto name of the message.
    pub r#type: Arc<str>,
    /// Service that emitted it.
    pub source: String,
    /// What it is about.
    pub subject: String,
    /// Domain time at which it happened.
    pub time: Timestamp,
    /// Events of one key keep their order.
    pub partition_key: Uuid,
    /// Version of the aggregate after the change.
    pub aggregate_version: i64,
    /// Unit the fact belongs to.
    pub unit_id: Option<Uuid>,
    /// Line (department function).
    pub line: Option<String>,
    /// Ties together what one request brought about.
    pub correlation_id: Uuid,
    /// The event that caused it.
    pub causation_id: Option<Uuid>,
    /// Pseudonym of the acting person.
    pub actor_ref: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The encoded message.
    pub data: Bytes,
}

impl Event {
    /// Whether this is an `M`.
    pub fn is<M: EventMessage>(&self) -> bool {
        &*self.r#type == M::TYPE
    }

    /// The message. An event of another type or with broken bytes is `Internal`, which parks it.
    pub fn decode<M: EventMessage>(&self) -> Result<M> {
        if !self.is::<M>() {
            return Err(Error::internal(format!(
                "event {} is a {}, not a {}",
                self.id,
                self.r#type,
                M::TYPE
            )));
        }
        M::decode(self.data.clone()).map_err(Error::internal)
    }

    /// The logical partition of the key.
    pub fn partition(&self) -> u8 {
        partition(self.partition_key)
    }

    /// An event made by hand: for tests that deliver to a consumer.
    pub fn of<M: EventMessage>(
        source: &str,
        time: Timestamp,
        partition_key: Uuid,
        version: i64,
        message: &M,
    ) -> Self {
        Emit::new(partition_key, version, message).sent(source, time)
    }
}
