//! Parked events that wait behind another: they rest until that has gone, and go on whoever let it go.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use chassis::{event::Event, inbox::ops};
use diesel_async::SimpleAsyncConnection;

use crate::{
    common::*,
    inbox::{bus, deliver},
};

/// When what rests is due, and when what does not.
const REST: &str = "'9999-12-31 00:00:00+00'";
const DUE: &str = "now()";

/// How many parked events rest.
async fn resting(world: &World) -> i64 {
    world.number(&format!("SELECT count(*) FROM parked_events WHERE next_attempt_at = {REST}")).await
}

/// Parks an event by hand, as if it were behind another.
async fn park(world: &World, event: &Event, due: &str, dead: bool) {
    world.db.conn().await.unwrap().batch_execute(&row_of(event, due, dead)).await.unwrap();
}

fn row_of(event: &Event, due: &str, dead: bool) -> String {
    let Event { id, partition_key, aggregate_version, .. } = event;
    format!(
        "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version, \
         correlation_id, data, cause, next_attempt_at, dead) VALUES ('{id}', 'test.v1.Counted', 'producer', 's', now(), \
         '{partition_key}', {aggregate_version}, gen_random_uuid(), '\\x'::bytea, 'behind', {due}, {dead})"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_dead_event_rests_and_is_handled_in_order_when_that_has_gone() {
    let world = world(LEDGER).await;
    let (bus, ledger) = (bus(None), Arc::new(Ledger::default()));
    ledger.broken.store(true, Ordering::Relaxed);
    let running = run_ledger(&world.db, Arc::new(bus.clone()), ledger.clone());
    let key = id();
    let first = event(key, 1, -1);
    deliver(&bus, vec![first.clone()]).await;
    until("it is dead", async || ops::statistics(&world.db).await.unwrap().dead == 1).await;
    deliver(&bus, (2..=1_001).map(|version| event(key, version, version)).collect()).await;
    assert_eq!(resting(&world).await, 1_000);
    let parked = ops::list(&world.db, false, 0, 2_000).await.unwrap();
    let told: Vec<bool> = parked.iter().map(|parked| parked.next_attempt_at.is_some()).collect();
    assert!(told.len() == 1_001 && told[0] && !told[1..].contains(&true), "they wait for no instant");
    let figures = ops::statistics(&world.db).await.unwrap();
    assert_eq!((figures.parked, figures.behind_dead, figures.dead), (0, 1_000, 1));

    ledger.broken.store(false, Ordering::Relaxed);
    assert_eq!(ops::redrive(&world.db, Some(first.id)).await.unwrap(), 1);
    // More come while those before them go.
    deliver(&bus, (1_002..=1_100).map(|version| event(key, version, version)).collect()).await;
    until("all is handled", async || {
        effects(&world.db).await.get(&key).is_some_and(|all| all.len() == 1_100)
    })
    .await;
    assert_eq!(effects(&world.db).await[&key], (1..=1_100).collect::<Vec<_>>());
    assert_eq!(world.number("SELECT count(*) FROM parked_events").await, 0);
    running.stop().await;
}

#[tokio::test]
async fn what_rests_behind_nothing_goes_on_and_what_earlier_builds_parked_comes_to_rest() {
    let world = world(LEDGER).await;
    let (stray, dead) = (id(), id());
    // The process that parked it saw one before it, and was gone before it could see that one go.
    park(&world, &event(stray, 1, 1), REST, false).await;
    park(&world, &event(stray, 2, 2), DUE, false).await;
    park(&world, &event(dead, 1, 1), DUE, true).await;
    for version in 2..=4 {
        park(&world, &event(dead, version, version), DUE, false).await;
    }
    let running = run_ledger(&world.db, Arc::new(bus(None)), Arc::default());
    until("the stray ones are handled", async || {
        effects(&world.db).await.get(&stray).is_some_and(|all| *all == [1, 2])
    })
    .await;
    until("the others rest", async || resting(&world).await == 3).await;
    let figures = ops::statistics(&world.db).await.unwrap();
    assert_eq!((figures.parked, figures.behind_dead, figures.dead), (0, 3, 1));
    running.stop().await;
}

#[tokio::test]
async fn what_a_commit_parked_whose_answer_was_lost_goes_on_when_it_is_delivered_again() {
    let world = world(LEDGER).await;
    let bus = bus(None);
    let (stray, second) = (event(id(), 1, 1), event(id(), 2, 2));
    park(&world, &stray, REST, false).await;
    let running = run_ledger(&world.db, Arc::new(bus.clone()), Arc::default());
    let handled = async |event: &Event| effects(&world.db).await.contains_key(&event.partition_key);
    until("the first patrol is over", async || handled(&stray).await).await;
    // What was before it has gone meanwhile, and who parked it does not know that it did.
    park(&world, &second, REST, false).await;
    let taken_in = format!("INSERT INTO inbox (event_id) VALUES ('{}')", second.id);
    world.db.conn().await.unwrap().batch_execute(&taken_in).await.unwrap();
    let again = Instant::now();
    deliver(&bus, vec![second.clone()]).await;
    until("it is handled", async || handled(&second).await).await;
    assert!(again.elapsed() < Duration::from_secs(15), "before the next patrol");
    running.stop().await;
}

#[tokio::test]
async fn what_comes_with_an_event_that_somebody_else_is_parking_waits_behind_it() {
    let world = world(LEDGER).await;
    let (other, bus, key) = (world.again().await, bus(None), id());
    let (first, second) = (event(key, 1, 1), event(key, 2, 2));
    // The consumer before this one has not ended yet.
    let mut before = other.conn().await.unwrap();
    let taken_in = format!("BEGIN; INSERT INTO inbox (event_id) VALUES ('{}')", first.id);
    before.batch_execute(&taken_in).await.unwrap();
    before.batch_execute(&row_of(&first, DUE, true)).await.unwrap();
    let running = run_ledger(&world.db, Arc::new(bus.clone()), Arc::default());
    let ends = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        until("the batch waits for it", async || world.number(waits).await == 1).await;
        before.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(deliver(&bus, vec![first.clone(), second.clone()]), ends);
    assert_eq!(ops::get(&world.db, second.id).await.unwrap().cause, "behind");
    assert!(effects(&world.db).await.is_empty(), "nothing has overtaken it");
    ops::redrive(&world.db, Some(first.id)).await.unwrap();
    until("both are handled", async || effects(&world.db).await.get(&key).is_some_and(|all| *all == [1, 2]))
        .await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_skipped_while_the_one_before_it_goes_stays_so_and_the_one_after_it_is_due() {
    let world = world(LEDGER).await;
    let (other, key) = (world.again().await, id());
    park(&world, &event(key, 1, 1), DUE, false).await;
    for version in 2..=3 {
        park(&world, &event(key, version, version), REST, false).await;
    }
    let mut operator = world.db.conn().await.unwrap();
    let skip = "BEGIN; UPDATE parked_events SET skipped_at = now() WHERE aggregate_version = 2";
    operator.batch_execute(skip).await.unwrap();
    let goes = async {
        let mut conn = other.conn().await.unwrap();
        conn.batch_execute("DELETE FROM parked_events WHERE aggregate_version = 1").await.unwrap();
    };
    let skipped = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        until("who lets the first go waits", async || world.number(waits).await == 1).await;
        operator.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(goes, skipped);
    assert_eq!(resting(&world).await, 1, "the skipped one");
    let due = "SELECT aggregate_version FROM parked_events WHERE next_attempt_at <= now()";
    assert_eq!(world.number(due).await, 3);
}
