//! Taking events in: once each, in order per key, poison kept apart.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{
    Error, Result,
    bus::{EventBus, Faults, InProcess},
    db::Tx,
    event::{Catalogue, Event},
    inbox::{Consumer, Runner, RunnerConfig, ops},
    outbox::RelayConfig,
};
use diesel_async::SimpleAsyncConnection;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::common::*;

pub fn bus(faults: Option<Faults>) -> InProcess {
    InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, faults)
}

/// Puts events on the bus and waits until they are confirmed, that is, committed by the ledger in some way.
pub async fn deliver(bus: &InProcess, events: Vec<Event>) {
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    let count = events.len();
    bus.publish((0..).zip(events).collect(), None, &sender).await.unwrap();
    for _ in 0..count {
        let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap();
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
async fn whichever_replica_writes_or_takes_in_events_every_other_sees_that_something_moves() {
    let world = world(LEDGER).await;
    let bus = bus(None);
    let other = world.again().await;
    let moved = async || {
        let figures = ops::statistics(&other).await.unwrap();
        assert_eq!((figures.published, figures.consumed), (0, 0), "it does nothing itself");
        figures.progress
    };
    let before = moved().await;
    assert_eq!(moved().await, before);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), Arc::default());
    deliver(&bus, vec![event(id(), 1, 1)]).await;
    let taken_in = moved().await;
    assert!(taken_in > before);
    emit(&world.db, &[id()], 1..=1).await;
    assert!(moved().await > taken_in);
    running.stop().await;
}

/// Takes as long as it is told to.
#[derive(Default)]
struct Lengthy {
    begun: Notify,
    over: Notify,
}

#[async_trait]
impl Consumer for Lengthy {
    async fn handle(&self, _: &mut Tx<'_>, _: &[Event]) -> Result<()> {
        self.begun.notify_one();
        self.over.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn every_replica_sees_that_a_batch_is_in_hand_however_long_it_takes() {
    let world = world(LEDGER).await;
    let (bus, lengthy) = (bus(None), Arc::new(Lengthy::default()));
    let other = world.again().await;
    let figures = async || {
        let figures = ops::statistics(&other).await.unwrap();
        (figures.in_hand, figures.progress)
    };
    let purge = world.db.transaction(async |tx: &mut Tx<'_>| {
        tx.conn.batch_execute("DELETE FROM inbox WHERE received_at < 'epoch'").await?;
        assert_eq!(figures().await.0, 0, "what takes away is no batch");
        Ok(())
    });
    purge.await.unwrap();
    assert_eq!(figures().await.0, 0);
    let stop = CancellationToken::new();
    let runner = Runner::new(world.db.clone(), Arc::new(bus.clone()), lengthy.clone(), quick());
    let running = tokio::spawn(runner.with_catalogue(CATALOGUE.clone()).run(stop.clone()));
    let seen = async {
        lengthy.begun.notified().await;
        let begun = figures().await;
        assert_eq!(begun.0, 1);
        assert_eq!(figures().await, begun, "nothing else tells that it goes on");
        lengthy.over.notify_one();
    };
    tokio::join!(deliver(&bus, vec![event(id(), 1, 1)]), seen);
    assert_eq!(figures().await.0, 0);
    stop.cancel();
    running.await.unwrap().unwrap();
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
    // What an error says is told; what a panic says may hold data.
    assert!(dead.iter().all(|p| p.detail.contains("poisoned by the test") == (p.cause == "internal")));
    assert!(dead.iter().all(|p| p.source == PRODUCER));
    let waiting = ops::list(&world.db, false, 0, 100).await.unwrap();
    assert_eq!(waiting.iter().filter(|p| p.cause == "behind").count(), 6 + 8);
    let figures = async || {
        let figures = ops::statistics(&world.db).await.unwrap();
        (figures.parked, figures.behind_dead, figures.dead)
    };
    assert_eq!(figures().await, (0, 6 + 8, 2), "nothing of it goes by itself");

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
    // Asked again, both answer: what was handled is not due any more, what was given up stays so, for its first reason.
    assert_eq!(ops::redrive(&world.db, Some(poisoned(keys[3]))).await.unwrap(), 0);
    ops::skip(&world.db, poisoned(keys[7]), "another").await.unwrap();
    let first = "SELECT count(*) FROM parked_events WHERE skip_reason = 'test'";
    assert_eq!(number(&world.db, first).await, 1);
    for event in [poisoned(keys[7]), id()] {
        let gone = ops::redrive(&world.db, Some(event)).await;
        assert!(matches!(gone, Err(chassis::Error::NotFound { .. })), "given up, or never here");
    }
    assert!(matches!(ops::skip(&world.db, id(), "test").await, Err(chassis::Error::NotFound { .. })));
    assert_eq!(figures().await, (0, 0, 0));
    running.stop().await;
}

#[tokio::test]
async fn what_waits_behind_a_retry_and_what_waits_behind_a_dead_one_are_counted_apart() {
    let world = world(LEDGER).await;
    let (tried, dead) = (id(), id());
    // By hand, and nobody tries them: the third of one key is dead, of the other none is; a skipped one counts nowhere.
    let fill = format!(
        "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version, \
         correlation_id, data, cause, dead, skipped_at) \
         SELECT gen_random_uuid(), 'test.v1.Counted', 'producer', 's', now(), key, n, gen_random_uuid(), '\\x'::bytea, \
         'internal', key = '{dead}' AND n IN (1, 3), CASE WHEN n = 1 THEN now() END \
         FROM unnest(ARRAY['{tried}', '{dead}']::uuid[]) key, generate_series(1, 7) n ORDER BY n"
    );
    world.db.conn().await.unwrap().batch_execute(&fill).await.unwrap();
    let figures = ops::statistics(&world.db).await.unwrap();
    assert_eq!((figures.parked, figures.behind_dead, figures.dead), (6 + 1, 4, 1));
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
    for (event, cause) in [(unknown, "unknown_type"), (broken, "undecodable"), (wrong, "undecodable")] {
        let parked = ops::get(&world.db, event.id).await.unwrap();
        assert_eq!((parked.cause.as_str(), parked.attempts), (cause, 3), "{parked:?}");
        assert_eq!(parked.r#type, *event.r#type);
    }
    running.stop().await;
}

/// Passes over every type it does not know, as consumers do, and notes what it was given; while told so, it takes too
/// long over some events.
#[derive(Default)]
struct Indifferent(Mutex<Vec<Event>>, AtomicBool);

#[async_trait]
impl Consumer for Indifferent {
    async fn handle(&self, _: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        self.0.lock().unwrap().extend_from_slice(events);
        let any = |version| events.iter().any(|event| event.aggregate_version == version);
        if any(SLOW) && self.1.load(Ordering::Relaxed) {
            return Err(Error::unavailable("it takes too long"));
        }
        if any(POISON) { Err(Error::internal("poisoned by the test")) } else { Ok(()) }
    }
}

const POISON: i64 = 666;
const SLOW: i64 = 777;

#[tokio::test]
async fn what_the_handler_would_pass_over_is_kept_with_its_cause_until_the_type_is_known() {
    let world = world(LEDGER).await;
    let (bus, seen) = (bus(None), Arc::new(Indifferent::default()));
    let config = RunnerConfig { max_attempts: 5, ..quick() };
    let stop = CancellationToken::new();
    let run = |catalogue: Arc<Catalogue>| {
        let runner = Runner::new(world.db.clone(), Arc::new(bus.clone()), seen.clone(), config.clone());
        tokio::spawn(runner.with_catalogue(catalogue).run(stop.child_token()))
    };
    let old = run(CATALOGUE.clone());
    let key = id();
    let unknown = Event { r#type: NEW.into(), ..event(key, 1, 1) };
    let broken = Event { data: Bytes::from_static(b"\x0a\xff"), ..event(id(), 1, 1) };
    // Behind a poisoned event: of an unknown type, too.
    let poisoned = event(id(), POISON, 1);
    let behind = Event { r#type: NEW.into(), ..event(poisoned.partition_key, POISON + 1, 1) };
    let all = [&unknown, &broken, &poisoned, &behind];
    deliver(&bus, all.into_iter().cloned().chain([event(key, 2, 2)]).collect()).await;
    until("attempts run out", async || ops::list(&world.db, true, 0, 10).await.unwrap().len() == 3).await;
    ops::skip(&world.db, poisoned.id, "test").await.unwrap();
    until("the one behind has its attempts too", async || {
        ops::get(&world.db, behind.id).await.is_ok_and(|parked| parked.dead)
    })
    .await;
    for (event, cause) in [(&unknown, "unknown_type"), (&behind, "unknown_type"), (&broken, "undecodable")] {
        let parked = ops::get(&world.db, event.id).await.unwrap();
        assert_eq!((parked.cause.as_str(), parked.attempts, parked.dead), (cause, 5, true));
    }
    assert!(
        seen.0.lock().unwrap().iter().all(|event| event.id == poisoned.id),
        "nothing else was handed over"
    );
    old.abort();
    let _ = old.await;

    // The new version knows the type: what was kept is handled, in order.
    let declared = ["test.v1.Counted", NEW].map(|name| (name, "id", vec![LEDGER.to_owned()]));
    let new = run(Arc::new(Catalogue::new(&[PRODUCER, LEDGER], declared)));
    ops::redrive(&world.db, None).await.unwrap();
    until("what was kept is handled", async || ops::list(&world.db, false, 0, 10).await.unwrap().len() == 1)
        .await;
    let handled = seen.0.lock().unwrap().clone();
    let of_key: Vec<i64> = handled
        .iter()
        .filter(|event| event.partition_key == key)
        .map(|event| event.aggregate_version)
        .collect();
    assert_eq!(of_key, [1, 2]);
    assert!(handled.iter().any(|event| event.id == behind.id));
    stop.cancel();
    new.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_that_takes_too_long_each_time_holds_up_its_own_key_only_and_never_dies() {
    let world = world(LEDGER).await;
    let (bus, seen) = (bus(None), Arc::new(Indifferent::default()));
    seen.1.store(true, Ordering::Relaxed);
    let stop = CancellationToken::new();
    let runner = Runner::new(world.db.clone(), Arc::new(bus.clone()), seen.clone(), quick());
    let running = tokio::spawn(runner.with_catalogue(CATALOGUE.clone()).run(stop.clone()));
    let slow = event(id(), SLOW, 1);
    let behind = event(slow.partition_key, SLOW + 1, 1);
    deliver(&bus, vec![slow.clone(), behind.clone(), event(id(), 1, 1), event(id(), 1, 1)]).await;
    assert_eq!(world.db.inbox().consumed(), 2, "others went through");
    let tries = || seen.0.lock().unwrap().iter().filter(|event| event.id == slow.id).count();
    let before = tries();
    until("it is tried again", async || tries() > before + 2).await;
    let parked = ops::get(&world.db, slow.id).await.unwrap();
    assert_eq!((parked.cause.as_str(), parked.attempts, parked.dead), ("unavailable", 0, false));
    seen.1.store(false, Ordering::Relaxed);
    until("both are handled", async || ops::list(&world.db, false, 0, 1).await.unwrap().is_empty()).await;
    assert_eq!(seen.0.lock().unwrap().last().unwrap().id, behind.id);
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// A type that only the next version knows.
const NEW: &str = "test.v9.Unheard";

#[tokio::test]
async fn an_event_that_the_database_refuses_is_parked_as_far_as_it_can_be_and_the_service_goes_on() {
    let world = world(LEDGER).await;
    let (bus, ledger) = (bus(None), Arc::new(Ledger::default()));
    ledger.broken.store(true, Ordering::Relaxed);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), ledger.clone());
    let nul = Event {
        r#type: "test.v9\0".into(),
        source: "\0s".to_owned(),
        subject: "a\0b".to_owned(),
        line: Some("\0".to_owned()),
        ..event(id(), 1, 1)
    };
    // Before every time PostgreSQL knows: no statement can take it.
    let ancient = Event { time: chrono::DateTime::<chrono::Utc>::MIN_UTC, ..event(id(), 1, -1) };
    let behind = event(ancient.partition_key, 2, 2);
    deliver(&bus, vec![nul.clone(), ancient.clone(), behind.clone(), event(id(), 1, 1)]).await;
    assert_eq!(effects(&world.db).await.len(), 1, "the sound one went through");
    let parked = ops::get(&world.db, nul.id).await.unwrap();
    assert_eq!((parked.r#type.as_str(), parked.source.as_str()), ("test.v9", "s"));
    assert_eq!(parked.cause, "unknown_type");
    ledger.broken.store(false, Ordering::Relaxed);
    until("attempts run out", async || ops::list(&world.db, true, 0, 10).await.unwrap().len() == 2).await;
    let parked = ops::get(&world.db, ancient.id).await.unwrap();
    assert_eq!((parked.cause.as_str(), parked.partition_key), ("malformed", ancient.partition_key));
    assert!(parked.detail.contains("poisoned by the test"), "{parked:?}");
    assert_eq!(ops::get(&world.db, behind.id).await.unwrap().cause, "behind");
    assert_eq!(effects(&world.db).await.len(), 1, "what is left of it is never handed over");
    running.stop().await;
}

#[tokio::test]
async fn parked_events_outlast_a_database_that_refuses_to_show_them() {
    let world = world(LEDGER).await;
    let (bus, ledger) = (bus(None), Arc::new(Ledger::default()));
    ledger.broken.store(true, Ordering::Relaxed);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), ledger.clone());
    deliver(&bus, vec![event(id(), 1, -1)]).await;
    let operator = world.again().await;
    let act = async |sql: &str| operator.conn().await.unwrap().batch_execute(sql).await.unwrap();
    let failures = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let before = number(&operator, failures).await;
    act("ALTER TABLE parked_events RENAME TO hidden").await;
    until("the retrier fails", async || number(&operator, failures).await > before + 1).await;
    act("ALTER TABLE hidden RENAME TO parked_events").await;
    ledger.broken.store(false, Ordering::Relaxed);
    ops::redrive(&operator, None).await.unwrap();
    until("it goes on", async || effects(&world.db).await.len() == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_statement_that_takes_too_long_passes() {
    let world = world(LEDGER).await;
    let mut conn = world.db.conn().await.unwrap();
    for slow in [
        "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(10)",
        "SET LOCAL statement_timeout = '20ms'; LOCK TABLE parked_events",
        "SET LOCAL lock_timeout = '20ms'; LOCK TABLE parked_events",
        "LOCK TABLE parked_events NOWAIT",
    ] {
        let mut other = world.db.conn().await.unwrap();
        other.batch_execute("BEGIN; LOCK TABLE parked_events").await.unwrap();
        let error = Error::from(conn.batch_execute(&format!("BEGIN; {slow}")).await.unwrap_err());
        assert!(error.retryable(), "{}", error.chain());
        for conn in [&mut conn, &mut other] {
            conn.batch_execute("ROLLBACK").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_beyond_all_measure_is_counted_up_to_a_bound() {
    let world = world(PRODUCER).await;
    let fill = "INSERT INTO outbox (id, type, subject, occurred_at, partition_key, aggregate_version, correlation_id, data) \
        SELECT gen_random_uuid(), 'test.v1.Counted', 's', now(), gen_random_uuid(), 1, gen_random_uuid(), '\\x'::bytea \
        FROM generate_series(1, 100001)";
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *world.db.conn().await.unwrap(), fill)
        .await
        .unwrap();
    assert_eq!(ops::statistics(&world.db).await.unwrap().outbox_backlog, ops::MOST_COUNTED);
    assert_eq!(ops::MOST_COUNTED, 100_000, "as the README says");
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
