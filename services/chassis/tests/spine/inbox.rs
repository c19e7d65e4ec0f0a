//! Taking events in: once each, in order per key, poison kept apart.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use chassis::{
    bus::{EventBus, Faults, InProcess},
    event::Event,
    inbox::ops,
    outbox::RelayConfig,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::common::*;

fn bus(faults: Option<Faults>) -> InProcess {
    InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, faults)
}

/// Puts events on the bus and waits until they are confirmed, that is, committed by the ledger in some way.
async fn deliver(bus: &InProcess, events: Vec<Event>) {
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    let count = events.len();
    bus.publish((0..).zip(events).collect(), &sender).await.unwrap();
    for _ in 0..count {
        let one =
            tokio::time::timeout(Duration::from_secs(30), confirmed.recv()).await.expect("in time").unwrap();
        assert!(one.taken);
    }
}

#[tokio::test]
async fn a_second_delivery_has_no_second_effect() {
    let world = world(LEDGER).await;
    let bus = bus(None);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), Arc::default());
    let events: Vec<Event> =
        (1..=20).map(|n| event(Uuid::from_u128(n % 4), i64::try_from(n).unwrap(), 1)).collect();
    deliver(&bus, events.clone()).await;
    deliver(&bus, events.clone()).await;
    deliver(&bus, events.iter().rev().cloned().collect()).await;
    assert_eq!(effects(&world.db).await.values().map(Vec::len).sum::<usize>(), 20);
    assert_eq!(world.db.inbox().duplicates_dropped(), 40);
    assert_eq!(world.db.inbox().consumed(), 20);
    running.stop().await;
}

#[tokio::test]
async fn poison_parks_only_its_own_key_and_order_holds_behind_it() {
    let world = world(LEDGER).await;
    let (bus, ledger) = (bus(None), Arc::new(Ledger::default()));
    ledger.broken.store(true, Ordering::Relaxed);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), ledger.clone());
    let keys: Vec<Uuid> = (0..20).map(|_| id()).collect();
    let mut events = Vec::new();
    for version in 1..=10 {
        for (n, key) in keys.iter().enumerate() {
            let value = match (n, version) {
                (3, 4) => -1, // the fourth event of key 3 fails
                (7, 2) => -2, // the second event of key 7 panics
                _ => version,
            };
            events.push(event(*key, version, value));
        }
    }
    deliver(&bus, events).await;
    let all: Vec<i64> = (1..=10).collect();
    let done = effects(&world.db).await;
    for (n, key) in keys.iter().enumerate() {
        let expected = match n {
            3 => &all[..3],
            7 => &all[..1],
            _ => &all[..],
        };
        assert_eq!(done[key], expected, "key {n}");
    }
    until("attempts run out", async || ops::list(&world.db, true, 0, 10).await.unwrap().len() == 2).await;
    let dead = ops::list(&world.db, true, 0, 10).await.unwrap();
    let causes: Vec<(&str, i32, Uuid)> =
        dead.iter().map(|p| (p.cause.as_str(), p.attempts, p.partition_key)).collect();
    assert!(
        causes.contains(&("internal", 3, keys[3])) && causes.contains(&("panic", 3, keys[7])),
        "{causes:?}"
    );
    assert!(dead.iter().all(|p| p.detail.contains("poisoned by the test") && p.source == PRODUCER));
    let waiting = ops::list(&world.db, false, 0, 100).await.unwrap();
    assert_eq!(waiting.iter().filter(|p| p.cause == "behind").count(), 6 + 8);

    // Later events of a blocked key queue up behind it, others flow.
    deliver(&bus, vec![event(keys[3], 11, 11), event(keys[4], 11, 11)]).await;
    assert_eq!(effects(&world.db).await[&keys[3]].len(), 3);
    assert_eq!(effects(&world.db).await[&keys[4]].len(), 11);

    // Key 3 is healed and redriven; key 7's event is given up.
    ledger.broken.store(false, Ordering::Relaxed);
    let poisoned = |key: Uuid| dead.iter().find(|p| p.partition_key == key).unwrap().event_id;
    assert_eq!(ops::redrive(&world.db, Some(poisoned(keys[3]))).await.unwrap(), 1);
    ops::skip(&world.db, poisoned(keys[7]), "test").await.unwrap();
    until("everything parked is done", async || ops::list(&world.db, false, 0, 1).await.unwrap().is_empty())
        .await;
    let done = effects(&world.db).await;
    assert_eq!(done[&keys[3]], (1..=11).collect::<Vec<_>>());
    assert_eq!(done[&keys[7]], [&[1], &all[2..]].concat(), "without the skipped second");
    let gone = ops::redrive(&world.db, Some(poisoned(keys[7]))).await;
    assert!(matches!(gone, Err(chassis::Error::NotFound { .. })));
    let figures = ops::statistics(&world.db).await.unwrap();
    assert_eq!((figures.parked, figures.dead), (0, 0));
    running.stop().await;
}

#[tokio::test]
async fn unknown_types_and_broken_bytes_are_parked_not_dropped() {
    let world = world(LEDGER).await;
    let bus = bus(None);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), Arc::default());
    let unknown = Event { r#type: "test.v9.Unheard".into(), ..event(id(), 1, 1) };
    let broken = Event { data: Bytes::from_static(b"\x0a\xff"), ..event(id(), 1, 1) };
    let wrong = Event { data: Bytes::from_static(b"\x0a\x01\xff"), ..event(id(), 1, 1) }; // no UTF-8: the handler notices
    deliver(&bus, vec![unknown.clone(), event(id(), 1, 1), broken.clone(), event(id(), 1, 1), wrong.clone()])
        .await;
    until("attempts run out", async || ops::list(&world.db, true, 0, 10).await.unwrap().len() == 3).await;
    assert_eq!(effects(&world.db).await.len(), 2, "the sound ones went through");
    for (event, cause) in
        [(unknown, ["unknown_type", "internal"]), (broken, ["undecodable"; 2]), (wrong, ["undecodable"; 2])]
    {
        let parked = ops::get(&world.db, event.id).await.unwrap();
        assert!(cause.contains(&parked.cause.as_str()), "{parked:?}");
        assert_eq!(parked.r#type, *event.r#type);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_dead_letters_are_redriven_once_each() {
    let world = world(LEDGER).await;
    let (bus, ledger) = (bus(None), Arc::new(Ledger::default()));
    ledger.broken.store(true, Ordering::Relaxed);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), ledger.clone());
    // Made dead by hand: how they die is shown elsewhere.
    let fill = "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, \
        aggregate_version, correlation_id, data, cause, attempts, dead) \
        SELECT gen_random_uuid(), 'test.v1.Counted', 'producer', 's', now(), gen_random_uuid(), 1, gen_random_uuid(), \
        '\\x'::bytea, 'internal', 3, true FROM generate_series(1, 10000)";
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *world.db.conn().await.unwrap(), fill)
        .await
        .unwrap();
    assert_eq!(ops::statistics(&world.db).await.unwrap().dead, 10_000);
    assert_eq!(ops::redrive(&world.db, None).await.unwrap(), 10_000);
    until("all are done", async || ops::statistics(&world.db).await.unwrap().parked == 0).await;
    assert_eq!(effects(&world.db).await.len(), 10_000);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_bus_misbehaves() {
    let producer = world(PRODUCER).await;
    let ledger_world = world(LEDGER).await;
    let bus = Arc::new(bus(Some(Faults::seeded(42))));
    let ledger = Arc::new(Ledger::default());
    let relay = run_relay(&producer.db, bus.clone(), RelayConfig::default());
    let mut runner = run_ledger(&ledger_world.db, bus.clone(), ledger.clone());
    let keys: Vec<Uuid> = (0..100).map(|_| id()).collect();
    for first in [1, 11, 21] {
        emit(&producer.db, &keys, first..=first + 9).await;
        runner.abort().await; // a consumer dies with deliveries in hand
        runner = run_ledger(&ledger_world.db, bus.clone(), ledger.clone());
    }
    until("the outbox is empty", async || producer.number("SELECT count(*) FROM outbox").await == 0).await;
    let done = effects(&ledger_world.db).await;
    assert_eq!(done.len(), 100);
    assert!(done.values().all(|versions| *versions == (1..=30).collect::<Vec<_>>()), "in order, once each");
    assert!(ledger_world.db.inbox().duplicates_dropped() > 100, "the faults were on");
    until("the counters agree", async || {
        producer.db.outbox().backlog() == 0 && producer.db.outbox().published() == 3_000
    })
    .await;
    runner.stop().await;
    relay.stop().await;
}
