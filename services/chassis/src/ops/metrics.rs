//! The event spine in figures of this process, read whenever metrics are sent: what the bus confirms, what the inbox takes in and how
//! late; and how wrong the machine's time is. Those of the database, which replicas share, are told by [`super::gauges`].

use opentelemetry::KeyValue;

use crate::{db::Db, inbox::InboxState, outbox::OutboxState};

/// One figure of a service.
type Read = fn(&OutboxState, &InboxState) -> u64;

/// What stands at some height now.
const GAUGES: [(&str, &str, Read); 3] = [
    (
        "jianghan.bus.flowing",
        "1 while the bus can be reached and takes what there is, else 0",
        |outbox, _| u64::from(outbox.flowing()),
    ),
    ("jianghan.inbox.leased", "Groups of events that this process is to take in", |_, inbox| inbox.leased()),
    ("jianghan.inbox.subscribed", "Groups of events that the bus delivers to this process", |_, inbox| {
        inbox.subscribed()
    }),
];

/// What is counted since the process started.
const COUNTERS: [(&str, &str, Read); 4] = [
    ("jianghan.bus.confirmed", "Events that the bus has confirmed", |outbox, _| outbox.published()),
    ("jianghan.inbox.consumed", "Events whose handling was committed", |_, inbox| inbox.consumed()),
    ("jianghan.inbox.duplicates", "Second deliveries that changed nothing", |_, inbox| {
        inbox.duplicates_dropped()
    }),
    ("jianghan.inbox.parked", "Events that were parked", |_, inbox| inbox.parked()),
];

/// Upper bounds of the histogram of lags in seconds.
const LAGS: [f64; 15] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

/// Has them sent from now on. Services that share a process are told apart by `jianghan.service`.
pub(crate) fn register(db: &Db) {
    let meter = opentelemetry::global::meter("jianghan");
    let labels = [KeyValue::new("jianghan.service", db.service().to_string())];
    let lags = meter
        .f64_histogram("jianghan.inbox.lag")
        .with_unit("s")
        .with_description("Time from an event to the commit of its handling")
        .with_boundaries(LAGS.to_vec())
        .build();
    db.inbox().tell_lags(lags, labels.clone());
    let (clock, own) = (db.clock().clone(), labels.clone());
    meter
        .f64_observable_gauge("jianghan.clock.skew")
        .with_unit("s")
        .with_description("How far this machine's time is ahead of that of the database's server")
        .with_callback(move |told| told.observe(clock.skew().as_seconds_f64(), &own))
        .build();
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
