//! The event spine in figures of this process, read whenever metrics are sent: what the bus confirms, what the inbox takes in. Those
//! of the database, which replicas share, are told by [`super::gauges`].

use opentelemetry::KeyValue;

use crate::{db::Db, inbox::InboxState, outbox::OutboxState};

/// One figure of a service.
type Read = fn(&OutboxState, &InboxState) -> u64;

/// What stands at some height now.
const GAUGES: [(&str, &str, Read); 1] =
    [("jianghan.bus.flowing", "1 while the bus confirms events, else 0", |outbox, _| {
        u64::from(outbox.flowing())
    })];

/// What is counted since the process started.
const COUNTERS: [(&str, &str, Read); 4] = [
    ("jianghan.bus.confirmed", "Events that the bus has confirmed", |outbox, _| outbox.published()),
    ("jianghan.inbox.consumed", "Events whose handling was committed", |_, inbox| inbox.consumed()),
    ("jianghan.inbox.duplicates", "Second deliveries that changed nothing", |_, inbox| {
        inbox.duplicates_dropped()
    }),
    ("jianghan.inbox.parked", "Events that were parked", |_, inbox| inbox.parked()),
];

/// Has them sent from now on. Services that share a process are told apart by `jianghan.service`.
pub(crate) fn register(db: &Db) {
    let meter = opentelemetry::global::meter("jianghan");
    let labels = [KeyValue::new("jianghan.service", db.service().to_string())];
    for (name, about, read) in GAUGES {
        let (outbox, inbox, labels) = (db.outbox().clone(), db.inbox().clone(), labels.clone());
        meter
            .u64_observable_gauge(name)
            .with_description(about)
            .with_callback(move |told| told.observe(read(&outbox, &inbox), &labels))
            .build();
    }
    for (name, about, read) in COUNTERS {
        let (outbox, inbox, labels) = (db.outbox().clone(), db.inbox().clone(), labels.clone());
        meter
            .u64_observable_counter(name)
            .with_description(about)
            .with_callback(move |told| told.observe(read(&outbox, &inbox), &labels))
            .build();
    }
}
