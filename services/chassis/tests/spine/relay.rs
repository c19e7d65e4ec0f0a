//! The relay: one at a time, in order, across takeovers and refusals.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chassis::{
    Error, Result,
    bus::{Confirmation, Confirmations, EventBus, LinkNumber, Subscription},
    config::SpineConfig,
    event::Event,
    outbox::RelayConfig,
};
use diesel_async::SimpleAsyncConnection;
use futures::{FutureExt, StreamExt};
use uuid::Uuid;

use crate::common::*;

/// Remembers what was published, in order, and confirms a little later, as a broker does.
#[derive(Default)]
struct Recorder {
    published: Mutex<Vec<(Uuid, Uuid, i64)>>,
    away: AtomicBool,
    /// The confirmation of the next event of this key gets lost.
    swallow: Mutex<Option<Uuid>>,
    /// The next event of this key is refused, and the bus does not have it.
    refuse: Mutex<Option<Uuid>>,
    /// Later events of a key may go before earlier ones are confirmed.
    pipelined: bool,
    /// How long each confirmation takes after the one before.
    each: Duration,
    link: AtomicU64,
    /// The connection dies with the next events, which is told only when more may have come.
    dies: AtomicBool,
    /// Takes nothing for now, as a broker short of memory.
    holds_up: AtomicBool,
    /// What is confirmed when it goes on, and to whom.
    waiting: Mutex<Vec<(Confirmation, Confirmations)>>,
    resets: AtomicU64,
}

impl Recorder {
    fn count(&self) -> usize {
        self.published.lock().unwrap().iter().map(|(event, ..)| *event).collect::<HashSet<_>>().len()
    }

    /// Versions by key in the order in which consumers with an inbox would see them.
    fn first_seen(&self) -> HashMap<Uuid, Vec<i64>> {
        let (mut seen, mut by_key) = (HashSet::new(), HashMap::<Uuid, Vec<i64>>::new());
        for (event, key, version) in self.published.lock().unwrap().iter() {
            if seen.insert(*event) {
                by_key.entry(*key).or_default().push(*version);
            }
        }
        by_key
    }

    /// Takes what was held up, and what comes.
    fn go_on(&self) {
        self.holds_up.store(false, Ordering::Relaxed);
        for (confirmation, confirmations) in self.waiting.lock().unwrap().drain(..) {
            let _ = confirmations.send(confirmation);
        }
    }
}

#[async_trait]
impl EventBus for Recorder {
    async fn publish(
        &self,
        events: Vec<(i64, Event)>,
        behind: Option<LinkNumber>,
        confirmations: &Confirmations,
    ) -> Result<LinkNumber> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::unavailable("away"));
        }
        let link = self.link.load(Ordering::Relaxed);
        if behind.is_some_and(|number| number != link) {
            return Err(Error::unavailable("another connection"));
        }
        let dies = self.dies.swap(false, Ordering::Relaxed);
        if dies {
            self.link.store(link + 1, Ordering::Relaxed);
        }
        let mut seqs = Vec::new();
        {
            let mut published = self.published.lock().unwrap();
            let mut swallow = self.swallow.lock().unwrap();
            let mut refuse = self.refuse.lock().unwrap();
            for (seq, event) in events {
                if dies || refuse.take_if(|key| *key == event.partition_key).is_some() {
                    seqs.push((seq, false));
                    continue;
                }
                published.push((event.id, event.partition_key, event.aggregate_version));
                if swallow.take_if(|key| *key == event.partition_key).is_none() {
                    seqs.push((seq, true));
                }
            }
        }
        if self.holds_up.load(Ordering::Relaxed) {
            let told = seqs.into_iter().map(|(seq, taken)| Confirmation { seq, taken });
            self.waiting.lock().unwrap().extend(told.map(|one| (one, confirmations.clone())));
            return Ok(link);
        }
        let (confirmations, each) = (confirmations.clone(), self.each);
        tokio::spawn(async move {
            // A broker's latency, or the time until it is seen that nobody is there any more.
            tokio::time::sleep(Duration::from_millis(if dies { 100 } else { 3 })).await;
            for (seq, taken) in seqs {
                tokio::time::sleep(each).await;
                let _ = confirmations.send(Confirmation { seq, taken });
            }
        });
        Ok(link)
    }

    async fn subscribe(&self, _: &str, _: u8) -> Result<Box<dyn Subscription>> {
        Err(Error::unavailable("only records"))
    }

    fn groups(&self) -> u8 {
        1
    }

    fn shared(&self) -> bool {
        true
    }

    fn may_overtake(&self) -> bool {
        !self.pipelined
    }

    fn held_up(&self, link: LinkNumber) -> bool {
        link == self.link.load(Ordering::Relaxed) && self.holds_up.load(Ordering::Relaxed)
    }

    async fn reset(&self, _: LinkNumber) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_never_invert() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder::default());
    let config =
        RelayConfig { lease: Duration::from_millis(300), batch: 20, window: 60, ..RelayConfig::default() };
    let relays = [
        run_relay(&world.db, bus.clone(), config.clone()),
        run_relay(&world.again().await, bus.clone(), config.clone()),
        run_relay(&world.again().await, bus.clone(), config),
    ];
    let keys: Vec<Uuid> = (0..40).map(|_| id()).collect();
    let usurper = world.again().await;
    let mut version = 0;
    while world.number("SELECT coalesce(max(epoch), 0) FROM relay_lease").await < 8 {
        version += 1;
        emit(&world.db, &keys, version..=version).await;
        if version % 4 == 0 {
            // The holder loses its lease in the middle of its work, and another takes over.
            let steal = "UPDATE relay_lease SET expires_at = '-infinity', holder = gen_random_uuid()";
            usurper.conn().await.unwrap().batch_execute(steal).await.unwrap();
        }
        assert!(version < 2_000, "no takeover happens");
    }
    until("the outbox is empty", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    assert_eq!(bus.first_seen().len(), keys.len());
    for versions in bus.first_seen().values() {
        assert_eq!(*versions, (1..=version).collect::<Vec<_>>());
    }
    for relay in relays {
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_holder_is_replaced_within_five_seconds() {
    // A machine that stands still for a second holds one of them up, but not each.
    let mut took = Vec::new();
    while took.len() < 3 && took.last().is_none_or(|last| *last >= Duration::from_secs(5)) {
        took.push(a_frozen_holder_is_replaced().await);
    }
    assert!(took.iter().any(|one| *one < Duration::from_secs(5)), "{took:?}");
}

/// How long it took.
async fn a_frozen_holder_is_replaced() -> Duration {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder::default());
    emit(&world.db, &[id()], 1..=10).await;
    // A holder that is frozen: it has the lease, for as long as replicas have it, and does nothing any more.
    let config = RelayConfig::from(&SpineConfig::default());
    let until_then = format!("clock_timestamp() + interval '{} ms'", config.lease.as_millis());
    let freeze = format!("INSERT INTO relay_lease VALUES ('outbox', gen_random_uuid(), 1, {until_then})");
    let mut conn = world.db.conn().await.unwrap();
    let (frozen, lease) = (Instant::now(), config.lease);
    conn.batch_execute(&freeze).await.unwrap();
    let relay = run_relay(&world.db, bus.clone(), config);
    until("the successor publishes", async || bus.count() == 10).await;
    let took = frozen.elapsed();
    assert!(took > lease * 5 / 6, "not before the lease ran out");
    relay.stop().await;
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_on_while_the_bus_is_away_and_everything_follows() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder::default());
    bus.away.store(true, Ordering::Relaxed);
    let relay = run_relay(&world.db, bus.clone(), RelayConfig::default());
    let keys: Vec<Uuid> = (0..200).map(|_| id()).collect();
    emit(&world.db, &keys, 1..=10).await; // 2,000 events: over the gate's limit
    world.db.gate().admit().now_or_never().expect("no delay while nothing flows").unwrap();
    assert_eq!(bus.count(), 0);
    bus.away.store(false, Ordering::Relaxed);
    until("the backlog drains", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    assert!(bus.first_seen().values().all(|versions| *versions == (1..=10).collect::<Vec<_>>()));
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_never_comes_is_overdue_though_others_flow() {
    let world = world(PRODUCER).await;
    let (bus, key) = (Arc::new(Recorder::default()), id());
    *bus.swallow.lock().unwrap() = Some(key);
    let config = RelayConfig { confirm_deadline: Duration::from_secs(3), ..RelayConfig::default() };
    let relay = run_relay(&world.db, bus.clone(), config);
    emit(&world.db, &[key], 1..=1).await;
    let stuck = format!("SELECT count(*) FROM outbox WHERE partition_key = '{key}'");
    until("it is handed over", async || bus.count() == 1).await;
    assert_eq!(world.number(&stuck).await, 1, "its confirmation is lost");
    let (other, mut version) = (id(), 0);
    until("it is published again and confirmed", async || {
        version += 1;
        emit(&world.db, &[other], version..=version).await; // confirmations go on and on
        world.number(&stuck).await == 0
    })
    .await;
    assert!(version > 5, "others flowed meanwhile");
    relay.stop().await;
    assert_eq!(bus.first_seen()[&other], (1..=version).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_confirms_slowly_is_not_given_everything_again() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder { pipelined: true, each: Duration::from_millis(80), ..Recorder::default() });
    let config = RelayConfig { confirm_deadline: Duration::from_secs(2), ..RelayConfig::default() };
    let keys: Vec<Uuid> = (0..40).map(|_| id()).collect(); // 3.2 seconds for all
    emit(&world.db, &keys, 1..=1).await;
    let relay = run_relay(&world.db, bus.clone(), config);
    until("all are confirmed", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    assert_eq!(bus.published.lock().unwrap().len(), keys.len(), "each once");
    assert_eq!(bus.resets.load(Ordering::Relaxed), 0);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_held_up_waits_without_publishing_again_or_hanging_up() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder { pipelined: true, ..Recorder::default() });
    bus.holds_up.store(true, Ordering::Relaxed);
    let deadline = Duration::from_millis(500);
    let config = RelayConfig { confirm_deadline: deadline, ..RelayConfig::default() };
    let relay = run_relay(&world.db, bus.clone(), config);
    emit(&world.db, &[id()], 1..=1).await;
    until("it is handed over", async || bus.count() == 1).await;
    emit(&world.db, &[id()], 1..=5).await;
    tokio::time::sleep(8 * deadline).await;
    assert_eq!(bus.published.lock().unwrap().len(), 1, "not again, and nothing behind it");
    assert_eq!(bus.resets.load(Ordering::Relaxed), 0);
    assert!(!world.db.outbox().flowing());
    bus.go_on();
    until("the rest follows", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    assert_eq!(bus.count(), 6);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_event_is_not_overtaken_by_later_ones_of_its_key() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder::default());
    let keys: Vec<Uuid> = (0..20).map(|_| id()).collect();
    let relay = run_relay(&world.db, bus.clone(), RelayConfig { batch: 50, ..RelayConfig::default() });
    for (round, key) in (0..10_i64).zip(&keys) {
        *bus.refuse.lock().unwrap() = Some(*key);
        emit(&world.db, &keys, 5 * round + 1..=5 * round + 5).await; // later ones of the key in the same batch
        until("it was refused", async || bus.refuse.lock().unwrap().is_none()).await;
    }
    until("the outbox is empty", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    relay.stop().await;
    assert_eq!(bus.first_seen().len(), keys.len());
    for versions in bus.first_seen().values() {
        assert_eq!(*versions, (1..=50).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_took_along_is_not_overtaken_by_the_next_one() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder { pipelined: true, ..Recorder::default() });
    let keys: Vec<Uuid> = (0..20).map(|_| id()).collect();
    let relay = run_relay(&world.db, bus.clone(), RelayConfig::default());
    for round in 0..10_i64 {
        bus.dies.store(true, Ordering::Relaxed);
        emit(&world.db, &keys, 5 * round + 1..=5 * round + 1).await;
        until("the connection is lost", async || !bus.dies.load(Ordering::Relaxed)).await;
        // Nobody has been told yet what became of the first.
        emit(&world.db, &keys, 5 * round + 2..=5 * round + 5).await;
    }
    until("the outbox is empty", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    relay.stop().await;
    assert_eq!(bus.first_seen().len(), keys.len());
    for versions in bus.first_seen().values() {
        assert_eq!(*versions, (1..=50).collect::<Vec<_>>());
    }
}

/// Longer than any test goes on: such a relay publishes what it is told of.
const ONLY_WHEN_TOLD: Duration = Duration::from_secs(3_600);

/// A relay that looks at the table so often.
fn looking(poll: Duration) -> RelayConfig {
    RelayConfig { poll, ..RelayConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_s_commit_wakes_the_relay() {
    let world = world(PRODUCER).await;
    let bus = Arc::new(Recorder::default());
    let holder = run_relay(&world.db, bus.clone(), looking(ONLY_WHEN_TOLD));
    until("the first has the lease", async || world.db.outbox().leading()).await;
    let replica = world.again().await;
    let other = run_relay(&replica, bus.clone(), looking(Duration::from_millis(100)));
    for round in 1..=5 {
        emit(&replica, &[id()], 1..=1).await;
        until("it is published", async || bus.count() == round).await;
    }
    assert!(!replica.outbox().leading());
    // The holder goes in good order: the other takes over at once, and the last pass left nothing behind.
    emit(&world.db, &[id()], 1..=50).await;
    holder.stop().await;
    assert_eq!(world.number("SELECT count(*) FROM outbox").await, 0);
    emit(&replica, &[id()], 1..=1).await;
    until("the other goes on", async || bus.count() == 56).await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_replica_has_committed_is_told_at_once_and_once() {
    let world = world(PRODUCER).await;
    let mut conn = world.db.dedicated("").await.unwrap();
    conn.batch_execute("LISTEN jianghan_outbox").await.unwrap();
    let mut heard = std::pin::pin!(conn.notifications_stream());
    let bus = Arc::new(Recorder::default());
    let holder = run_relay(&world.db, bus.clone(), looking(ONLY_WHEN_TOLD));
    until("the first has the lease", async || world.db.outbox().leading()).await;
    // With this it has had its first look at the table.
    emit(&world.db, &[id()], 1..=1).await;
    until("the first one is published", async || bus.count() == 1).await;
    let mut told_until = async |last: &str| {
        let mut told: Vec<String> = Vec::new();
        world
            .db
            .conn()
            .await
            .unwrap()
            .batch_execute(&format!("NOTIFY jianghan_outbox, '{last}'"))
            .await
            .unwrap();
        while told.last().is_none_or(|payload| payload != last) {
            let next = tokio::time::timeout(PATIENCE, heard.next()).await.expect("in time");
            told.push(next.unwrap().unwrap().payload);
        }
        told
    };
    told_until("the first").await;
    let replica = world.again().await;
    emit(&replica, &[id()], 1..=20).await; // a transaction each, before its relay looks
    let other = run_relay(&replica, bus.clone(), looking(Duration::from_millis(100)));
    until("all are published", async || bus.count() == 21).await;
    other.stop().await;
    holder.stop().await;
    // Whatever was told before comes before this.
    assert_eq!(told_until("the last").await, ["", "the last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_count_is_slow_drains_all_the_same() {
    let world = world(PRODUCER).await;
    // What only the count asks for takes longer than the time from one count to the next.
    let slow = "CREATE FUNCTION public.pg_snapshot_xmin(pg_snapshot) RETURNS xid8 LANGUAGE sql AS \
        'SELECT pg_catalog.pg_snapshot_xmin($1) FROM pg_catalog.pg_sleep(1.2)'; \
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$";
    world.db.conn().await.unwrap().batch_execute(slow).await.unwrap();
    let bus = Arc::new(Recorder::default());
    let relay = run_relay(&world.db, bus.clone(), RelayConfig::default());
    let keys: Vec<Uuid> = (0..300).map(|_| id()).collect();
    emit(&world.db, &keys, 1..=10).await;
    until("the outbox is empty", async || world.number("SELECT count(*) FROM outbox").await == 0).await;
    assert_eq!(bus.count(), 3_000);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_beyond_all_measure_is_counted_up_to_a_bound_and_estimated_beyond() {
    let world = world(PRODUCER).await;
    let sql = async |sql: &str| world.db.conn().await.unwrap().batch_execute(sql).await.unwrap();
    let fill = |rows: u32| {
        format!(
            "INSERT INTO outbox (id, type, subject, occurred_at, partition_key, aggregate_version, correlation_id, \
             data) SELECT gen_random_uuid(), 'test.v1.Counted', 's', now(), gen_random_uuid(), 1, gen_random_uuid(), \
             '\\x'::bytea FROM generate_series(1, {rows})"
        )
    };
    let roll_back = "SELECT count(nextval('outbox_seq_seq')) FROM generate_series(1, 10)";
    sql(&fill(1)).await;
    sql(roll_back).await;
    sql(&fill(100_000)).await;
    sql(roll_back).await;
    sql(&fill(1)).await;
    let bus = Arc::new(Recorder::default());
    bus.away.store(true, Ordering::Relaxed);
    let relay = run_relay(&world.db, bus.clone(), RelayConfig::default());
    // A hundred thousand, and from there to the newest one row, ten numbers without one, and another row.
    until("what is beyond is estimated", async || world.db.outbox().backlog() == 100_012).await;
    sql("DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT 5)").await;
    until("what is within is counted", async || world.db.outbox().backlog() == 99_997).await;
    relay.stop().await;
}
