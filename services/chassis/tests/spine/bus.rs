//! Both buses keep the same promises, checked by the same test; then RabbitMQ's own.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    bus::{EventBus, Faults, InProcess, RabbitConfig, RabbitMq},
    db::Tx,
    embedded::rabbitmq,
    event::{Catalogue, Event},
    inbox::ops,
    outbox::RelayConfig,
};
use diesel_async::SimpleAsyncConnection;
use tokio::sync::{Mutex, OnceCell, mpsc};
use uuid::Uuid;

use crate::common::*;

/// One broker for all tests here that do not kill it, with a virtual host for each.
static BROKER: OnceCell<rabbitmq::RabbitMq> = OnceCell::const_new();
static VHOST: AtomicUsize = AtomicUsize::new(0);

/// Address of an unused virtual host.
pub async fn amqp() -> String {
    let start = || rabbitmq::RabbitMq::start(rabbitmq::Options::throw_away(18));
    let broker = BROKER.get_or_try_init(start).await.unwrap();
    broker.url(&format!("v{}", VHOST.fetch_add(1, Ordering::Relaxed)))
}

pub fn rabbit(url: &str, name: &str) -> RabbitMq {
    RabbitMq::with_catalogue(
        url,
        name,
        RabbitConfig { groups: 2, ..RabbitConfig::default() },
        CATALOGUE.clone(),
    )
    .unwrap()
}

/// Order per key, confirmation of everything, redelivery of what was not acknowledged, and of nothing else.
async fn keeps_its_promises(bus: Arc<dyn EventBus>) {
    let keys: Vec<Uuid> = (0..30).map(|_| id()).collect();
    let mut events = Vec::new();
    for version in 1..=20 {
        events.extend(keys.iter().map(|key| event(*key, version, version)));
    }
    let sent = events.clone();
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    bus.publish((0..).zip(events).collect(), None, &sender).await.unwrap();

    // One consumer takes some and goes without acknowledging.
    let mut careless = bus.subscribe(LEDGER, 0).await.unwrap();
    for _ in 0..50 {
        assert!(careless.next().await.is_some());
    }
    drop(careless);

    let (found, mut received) = mpsc::unbounded_channel();
    let consumers: Vec<_> = (0..bus.groups())
        .map(|group| {
            let (bus, found) = (bus.clone(), found.clone());
            tokio::spawn(async move {
                let mut subscription = bus.subscribe(LEDGER, group).await.unwrap();
                while let Some(delivery) = subscription.next().await {
                    subscription.ack(delivery.tag).await.unwrap();
                    found.send(delivery).unwrap();
                }
            })
        })
        .collect();
    let mut seen = HashSet::new();
    let mut by_key: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    while seen.len() < sent.len() {
        let delivery = tokio::time::timeout(PATIENCE, received.recv()).await.expect("in time").unwrap();
        assert_eq!(delivery.defect, None);
        if seen.insert(delivery.event.id) {
            by_key.entry(delivery.event.partition_key).or_default().push(delivery.event.aggregate_version);
            let original = sent.iter().find(|e| e.id == delivery.event.id).unwrap();
            assert_eq!(delivery.event, *original, "nothing of the envelope is lost");
        }
    }
    assert!(by_key.values().all(|versions| *versions == (1..=20).collect::<Vec<_>>()), "in order per key");
    let mut taken = HashSet::new();
    while taken.len() < sent.len() {
        let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap();
        assert!(one.taken && taken.insert(one.seq), "one confirmation each");
    }
    for consumer in consumers {
        consumer.abort();
        let _ = consumer.await;
    }

    // What comes next is what is sent next, but for acknowledgements that a closing channel may lose.
    let next = event(keys[0], 21, 21);
    bus.publish(vec![(1_000, next.clone())], None, &sender).await.unwrap();
    let group = chassis::event::group(next.partition(), bus.groups());
    let mut subscription = bus.subscribe(LEDGER, group).await.unwrap();
    loop {
        let arrived = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("in time").unwrap();
        subscription.ack(arrived.tag).await.unwrap();
        if arrived.event.id == next.id {
            break;
        }
        assert!(seen.contains(&arrived.event.id));
    }
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_in_process_keeps_its_promises() {
    keeps_its_promises(Arc::new(InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, None))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bus_in_process_keeps_order_while_it_misbehaves() {
    let faults = Faults { duplicate: 0.0, lose_ack: 0.0, ..Faults::seeded(7) };
    keeps_its_promises(Arc::new(InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, Some(faults)))).await;
}

#[tokio::test]
async fn what_is_there_already_is_taken_without_a_wait_and_comes_again_as_long_as_it_is_not_acknowledged() {
    let bus = InProcess::with(CATALOGUE.clone(), &[LEDGER], 1, None);
    let key = id();
    let events: Vec<Event> = (1..=3).map(|version| event(key, version, version)).collect();
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    let mut subscription = bus.subscribe(LEDGER, 0).await.unwrap();
    assert!(subscription.ready().is_none());
    bus.publish((0..).zip(events.clone()).collect(), None, &sender).await.unwrap();
    let first = subscription.next().await.unwrap();
    assert_eq!(first.event, events[0]);
    for event in &events[1..] {
        assert_eq!(subscription.ready().unwrap().event, *event);
    }
    assert!(subscription.ready().is_none());
    subscription.ack(first.tag).await.unwrap();
    drop(subscription);

    let mut again = bus.subscribe(LEDGER, 0).await.unwrap();
    for event in &events[1..] {
        let delivery = again.ready().unwrap();
        assert_eq!(delivery.event, *event);
        again.ack(delivery.tag).await.unwrap();
    }
    for seq in 0..3 {
        assert_eq!(confirmed.recv().await.unwrap().seq, seq, "each once all of it is acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_its_promises() {
    keeps_its_promises(Arc::new(rabbit(&amqp().await, "conformance"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_keeps_its_promises_with_one_queue_a_service() {
    let one = RabbitConfig { groups: 1, ..RabbitConfig::default() };
    let bus = RabbitMq::with_catalogue(&amqp().await, "conformance", one, CATALOGUE.clone()).unwrap();
    keeps_its_promises(Arc::new(bus)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_many_frames_arrives_whole() {
    let bus = rabbit(&amqp().await, "large");
    let key = id();
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[(n % 4) as usize]).collect();
    let large = Event { data: data.into(), ..event(key, 2, 2) };
    let sent = [event(key, 1, 1), large, event(key, 3, 3)];
    let (sender, _confirmed) = mpsc::unbounded_channel();
    bus.publish((0..).zip(sent.clone()).collect(), None, &sender).await.unwrap();
    let group = chassis::event::group(sent[0].partition(), bus.groups());
    let mut subscription = bus.subscribe(LEDGER, group).await.unwrap();
    for event in &sent {
        let arrived = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("in time");
        assert!(arrived.unwrap().event == *event, "whole, and in order");
    }
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_no_queue_takes_is_not_confirmed() {
    let nobody = Arc::new(Catalogue::new(&[LEDGER], Vec::<(String, String, Vec<String>)>::new()));
    let bus = RabbitMq::with_catalogue(&amqp().await, "nobody", RabbitConfig::default(), nobody).unwrap();
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    bus.publish(vec![(1, event(id(), 1, 1))], None, &sender).await.unwrap();
    let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap();
    assert!(!one.taken);
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_nobody_declared_goes_to_who_consumes_everything() {
    for groups in [1, 3] {
        let known = Catalogue::new(&[LEDGER, "analytics"], [("t.A", "id", vec![LEDGER.to_owned()])]);
        let config = RabbitConfig { groups, ..RabbitConfig::default() };
        let bus = RabbitMq::with_catalogue(&amqp().await, "older", config, Arc::new(known)).unwrap();
        let (sender, mut confirmed) = mpsc::unbounded_channel();
        let heard = Event { r#type: "t.A".into(), ..event(id(), 1, 1) };
        let key = heard.partition_key;
        let unheard = Event { r#type: "t.New".into(), ..event(key, 2, 2) };
        let sent =
            [&heard, &unheard, &Event { r#type: "t.New".into(), ..event(key, 3, 3) }].map(Clone::clone);
        bus.publish((0..).zip(sent.clone()).collect(), None, &sender).await.unwrap();
        for _ in 0..sent.len() {
            let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await;
            assert!(one.expect("in time").unwrap().taken);
        }
        let group = chassis::event::group(heard.partition(), groups);
        let mut all = bus.subscribe("analytics", group).await.unwrap();
        for event in &sent {
            let arrived = tokio::time::timeout(PATIENCE, all.next()).await.expect("in time");
            assert_eq!(arrived.unwrap().event, *event, "in order, also what is not known");
        }
        let mut ledger = bus.subscribe(LEDGER, group).await.unwrap();
        let first = tokio::time::timeout(PATIENCE, ledger.next()).await.expect("in time");
        assert_eq!(first.unwrap().event.id, heard.id);
        let more = tokio::time::timeout(Duration::from_millis(500), ledger.next()).await;
        assert!(more.is_err(), "only what it declared");
        bus.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_groups_is_refused_before_it_changes_anything() {
    let url = amqp().await;
    let first = rabbit(&url, "first");
    first.check().await.unwrap();
    let other = RabbitMq::with_catalogue(
        &url,
        "other",
        RabbitConfig { groups: 1, ..RabbitConfig::default() },
        CATALOGUE.clone(),
    )
    .unwrap();
    assert!(other.check().await.is_err());
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    assert!(other.publish(vec![(1, event(id(), 1, 1))], None, &sender).await.is_err());
    assert!(other.subscribe(LEDGER, 0).await.is_err());

    first.publish(vec![(2, event(id(), 1, 1))], None, &sender).await.unwrap();
    let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap();
    assert!(one.taken && one.seq == 2);
    let again = rabbit(&url, "again");
    again.check().await.unwrap();
    for bus in [first, other, again] {
        bus.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_builds_declared_besides_is_taken_away() {
    use lapin::{ExchangeKind, options::*, types::FieldTable};
    let url = amqp().await;
    let config = || RabbitConfig { groups: 1, ..RabbitConfig::default() };
    let bus = |name: &str| RabbitMq::with_catalogue(&url, name, config(), CATALOGUE.clone()).unwrap();
    let before = bus("before");
    before.check().await.unwrap();
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let former = format!("jianghan.events.{LEDGER}");
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel
        .exchange_declare(former.as_str().into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .unwrap();
    let (options, none) = (ExchangeBindOptions::default(), FieldTable::default());
    channel
        .exchange_bind(former.as_str().into(), "jianghan.events".into(), "#".into(), options, none.clone())
        .await
        .unwrap();
    let (queue, options) = (format!("{LEDGER}.g0"), QueueBindOptions::default());
    channel
        .queue_bind(queue.as_str().into(), former.as_str().into(), "#".into(), options, none)
        .await
        .unwrap();

    let after = bus("after");
    after.check().await.unwrap();
    let passive = ExchangeDeclareOptions { passive: true, ..durable };
    let there = channel
        .exchange_declare(former.as_str().into(), ExchangeKind::Topic, passive, FieldTable::default())
        .await;
    assert!(there.is_err(), "it is gone");
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    before.publish(vec![(1, event(id(), 1, 1))], None, &sender).await.unwrap();
    let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time");
    assert!(one.unwrap().taken, "and its queue has what it had");
    for bus in [before, after] {
        bus.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_the_catalogue_finds_its_queues() {
    let url = amqp().await;
    let _logs = world(PRODUCER).await;
    // The queues of every service take a slow broker a while to make.
    let config = || RabbitConfig { connect_timeout: PATIENCE, ..RabbitConfig::default() };
    for attempt in 0..2 {
        let bus = RabbitMq::new(&url, "catalogue", config()).unwrap();
        let started = std::time::Instant::now();
        bus.check().await.unwrap();
        tracing::info!(attempt, elapsed_ms = started.elapsed().as_millis(), "the whole topology is declared");
        let (sender, mut confirmed) = mpsc::unbounded_channel();
        let mut events = Vec::new();
        for (seq, kind) in (0..).zip(chassis::event::catalogue().types()) {
            events.push((seq, Event { r#type: kind.name.clone(), ..event(id(), 1, 1) }));
        }
        let count = events.len();
        assert!(count > 0, "the protos declare events");
        bus.publish(events, None, &sender).await.unwrap();
        for _ in 0..count {
            let one = tokio::time::timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap();
            assert!(one.taken);
        }
        bus.close().await;
    }

    // As the broker itself tells them: on disk, held by a majority, in order for one consumer at a time.
    let vhost = url.rsplit('/').next().unwrap();
    let asked = ["list_queues", "--vhost", vhost, "name", "durable", "arguments"];
    let told = BROKER.get().unwrap().ctl(&asked).await.unwrap();
    let wanted = BTreeMap::from([
        ("x-delivery-limit", "1000000000"),
        ("x-queue-type", "quorum"),
        ("x-single-active-consumer", "true"),
    ]);
    for service in chassis::event::catalogue().services() {
        for group in 0..config().groups {
            let queue = format!("{service}.g{group}\ttrue\t");
            let held = told.lines().find_map(|line| line.strip_prefix(queue.as_str()));
            let held = held.unwrap_or_else(|| panic!("no durable {service}.g{group}: {told}"));
            // Pairs in Erlang's spelling: `[{"x-queue-type","quorum"},…]`.
            let words = held.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
            let arguments: BTreeMap<_, _> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            assert_eq!(arguments, wanted, "{service}.g{group}: {held}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_broker_is_killed() {
    let mut broker = rabbitmq::RabbitMq::start(rabbitmq::Options::throw_away(0)).await.unwrap();
    let url = broker.url("/");
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let publishing = Arc::new(rabbit(&url, PRODUCER));
    let relay = run_relay(&producer.db, publishing.clone(), RelayConfig::default());
    let consuming = Arc::new(rabbit(&url, LEDGER));
    let runner = run_ledger(&ledger.db, consuming.clone(), Arc::default());
    let keys: Vec<Uuid> = (0..100).map(|_| id()).collect();
    let arrived = async || effects(&ledger.db).await.values().map(Vec::len).sum::<usize>();
    emit(&producer.db, &keys, 1..=10).await;
    until("the first arrive", async || arrived().await > 0).await;
    // First in good order: RabbitMQ loses a queue altogether when it is killed within half a second of making it.
    for (from, kill) in [(11, false), (21, true), (31, true)] {
        let emitting = tokio::spawn({
            let (db, keys) = (producer.db.clone(), keys.clone());
            async move { emit(&db, &keys, from..=from + 9).await }
        });
        if kill {
            broker.kill9().await.unwrap();
        } else {
            broker.stop().await.unwrap();
        }
        emitting.await.unwrap(); // commands go on without a broker
        broker.restart().await.unwrap();
        until("the outbox drains", async || producer.number("SELECT count(*) FROM outbox").await == 0).await;
    }
    until("all arrive", async || arrived().await == 4_000).await;
    assert!(effects(&ledger.db).await.values().all(|versions| *versions == (1..=40).collect::<Vec<_>>()));
    relay.stop().await;
    runner.stop().await;
    publishing.close().await;
    consuming.close().await;
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_groups_and_order_survives_their_coming_and_going() {
    let url = amqp().await;
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let relay = run_relay(&producer.db, Arc::new(rabbit(&url, PRODUCER)), RelayConfig::default());
    let replicas = Mutex::new(Vec::new());
    let join = async || {
        let (db, handled) = (ledger.again().await, Arc::new(Ledger::default()));
        let running = run_ledger(&db, Arc::new(rabbit(&url, LEDGER)), handled.clone());
        replicas.lock().await.push((running, handled));
    };
    join().await;
    let keys: Vec<Uuid> = (0..60).map(|_| id()).collect();
    emit(&producer.db, &keys, 1..=5).await;
    join().await;
    until("both hold a group", async || {
        ledger
            .number("SELECT count(DISTINCT holder) FROM consumer_lease WHERE expires_at > clock_timestamp()")
            .await
            == 2
    })
    .await;
    emit(&producer.db, &keys, 6..=15).await;
    let (first, handled) = replicas.lock().await.remove(0);
    first.abort().await; // as a crash: its leases run out, its deliveries come again
    until("the other holds both", async || {
        let holders = "SELECT count(DISTINCT holder) * 10 + count(*) FROM consumer_lease";
        ledger.number(&format!("{holders} WHERE expires_at > clock_timestamp()")).await == 12
    })
    .await;
    let gone_at = handled.batches.load(Ordering::Relaxed);
    emit(&producer.db, &keys, 16..=20).await;
    until("all arrive", async || effects(&ledger.db).await.values().map(Vec::len).sum::<usize>() == 60 * 20)
        .await;
    assert!(effects(&ledger.db).await.values().all(|versions| *versions == (1..=20).collect::<Vec<_>>()));
    assert_eq!(handled.batches.load(Ordering::Relaxed), gone_at, "nothing of what is gone works on");
    for (running, _) in replicas.into_inner() {
        running.stop().await;
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_nobody_is_known_to_take_in_are_told() {
    let ledger = world(LEDGER).await;
    let unattended = async || ops::statistics(&ledger.db).await.unwrap().unattended;
    assert_eq!(unattended().await, 0, "it leases none");
    let bus = Arc::new(rabbit(&amqp().await, LEDGER));
    let running = run_ledger(&ledger.db, bus.clone(), Arc::default());
    until("both are taken in", async || {
        ledger.number("SELECT count(*) FROM consumer_lease").await == 2 && unattended().await == 0
    })
    .await;
    running.abort().await; // as a crash
    until("nobody renews them", async || unattended().await == 2).await;
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_for_a_group_holds_nothing_of_it() {
    let url = amqp().await;
    let (bus, key) = (rabbit(&url, LEDGER), id());
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    bus.publish(vec![(1, event(key, 1, 1))], None, &sender).await.unwrap();
    assert!(confirmed.recv().await.unwrap().taken);
    // The event is in one of the two groups; whoever asks for either goes at any stage of it.
    let asked = tokio::time::Instant::now();
    drop(bus.subscribe(LEDGER, 0).await.unwrap());
    let whole = asked.elapsed().min(Duration::from_millis(300));
    for fiftieth in 0..60 {
        for group in [0, 1] {
            let asking = bus.subscribe(LEDGER, group);
            let _ = tokio::time::timeout(whole * fiftieth / 50, asking).await;
        }
    }
    let (mut one, mut other) =
        (bus.subscribe(LEDGER, 0).await.unwrap(), bus.subscribe(LEDGER, 1).await.unwrap());
    let arrived = async {
        tokio::select! { delivery = one.next() => delivery, delivery = other.next() => delivery }
    };
    let arrived = tokio::time::timeout(PATIENCE, arrived).await.expect("the event arrives");
    assert_eq!(arrived.unwrap().event.partition_key, key);
    drop((one, other));
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_per_key_survives_relays_replicas_and_poison_at_once() {
    let url = amqp().await;
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let config =
        RelayConfig { lease: Duration::from_millis(300), batch: 20, window: 60, ..RelayConfig::default() };
    let relays = [
        run_relay(&producer.db, Arc::new(rabbit(&url, PRODUCER)), config.clone()),
        run_relay(&producer.again().await, Arc::new(rabbit(&url, PRODUCER)), config),
    ];
    let book = Arc::new(Ledger::default());
    book.broken.store(true, Ordering::Relaxed);
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let bus = Arc::new(rabbit(&url, LEDGER));
        replicas.push((run_ledger(&ledger.again().await, bus.clone(), book.clone()), bus));
    }
    let holders = "SELECT count(DISTINCT holder) FROM consumer_lease WHERE expires_at > clock_timestamp()";
    until("two of three hold a group", async || ledger.number(holders).await == 2).await;

    let keys: Vec<Uuid> = (0..40).map(|_| id()).collect();
    let (poisoned, sound) = keys.split_first().unwrap();
    let usurper = producer.again().await;
    let (fatal, mut version) = (4, 0);
    while version < 30 || producer.number("SELECT coalesce(max(epoch), 0) FROM relay_lease").await < 6 {
        version += 1;
        emit(&producer.db, sound, version..=version).await;
        let value = if version == fatal { -1 } else { version };
        let tell = async |tx: &mut Tx<'_>| {
            tx.emit(counted(*poisoned, version, value));
            Ok(())
        };
        producer.db.transaction(tell).await.unwrap();
        if version % 4 == 0 {
            let steal = "UPDATE relay_lease SET expires_at = '-infinity', holder = gen_random_uuid()";
            usurper.conn().await.unwrap().batch_execute(steal).await.unwrap();
        }
        if version == 10 {
            // Without a word: it is cut off with deliveries in hand, and its leases run out.
            let (running, bus) = replicas.remove(0);
            running.abort().await;
            bus.close().await;
        }
        assert!(version < 2_000, "no takeover happens");
    }
    let all: Vec<i64> = (1..=version).collect();
    let arrived = async || effects(&ledger.db).await;
    until("the sound ones arrive", async || {
        let done = arrived().await;
        sound.iter().all(|key| done.get(key).is_some_and(|versions| versions.len() == all.len()))
    })
    .await;
    until("the poison is dead and the rest of its key behind it", async || {
        let parked = ops::list(&ledger.db, false, 0, 5_000).await.unwrap();
        parked.len() == all.len() - 3 && parked[0].dead
    })
    .await;
    let done = arrived().await;
    assert_eq!(done[poisoned], [1, 2, 3]);
    assert!(sound.iter().all(|key| done[key] == all), "in order, nothing lost or doubled");

    book.broken.store(false, Ordering::Relaxed);
    assert_eq!(ops::redrive(&ledger.db, None).await.unwrap(), 1);
    until("what was parked is done", async || ledger.number("SELECT count(*) FROM parked_events").await == 0)
        .await;
    emit(&producer.db, &keys, version + 1..=version + 1).await; // and the key flows again
    until("the outbox is empty", async || producer.number("SELECT count(*) FROM outbox").await == 0).await;
    let all: Vec<i64> = (1..=version + 1).collect();
    until("the last arrive", async || arrived().await.values().all(|versions| versions.len() == all.len()))
        .await;
    let done = arrived().await;
    assert!(
        keys.iter().all(|key| done[key] == all),
        "in order, nothing lost or doubled, behind the poison too"
    );
    for (running, _) in replicas {
        running.stop().await;
    }
    for relay in relays {
        relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_database_refuses_parks_its_event_and_no_more() {
    let url = amqp().await;
    let ledger = world(LEDGER).await;
    let bus = Arc::new(rabbit(&url, LEDGER));
    let running = run_ledger(&ledger.db, bus.clone(), Arc::default());
    let nul = || "a\0b".to_owned();
    let bad = [
        Event { subject: nul(), ..event(id(), 1, 1) },
        Event { source: nul(), ..event(id(), 1, 1) },
        Event { line: Some(nul()), ..event(id(), 1, 1) },
        Event { actor_ref: Some(nul()), ..event(id(), 1, 1) },
        Event { traceparent: Some(nul()), ..event(id(), 1, 1) },
    ];
    let sound = event(id(), 1, 1);
    let (sender, _confirmed) = mpsc::unbounded_channel();
    let all = bad.iter().cloned().chain([sound.clone()]);
    bus.publish((0..).zip(all).collect(), None, &sender).await.unwrap();
    until("the sound one arrives", async || effects(&ledger.db).await.contains_key(&sound.partition_key))
        .await;
    until("the others are dead", async || ops::list(&ledger.db, true, 0, 10).await.unwrap().len() == 5).await;
    for event in &bad {
        let parked = ops::get(&ledger.db, event.id).await.unwrap();
        assert_eq!((parked.cause.as_str(), parked.partition_key), ("malformed", event.partition_key));
    }
    assert_eq!(effects(&ledger.db).await.len(), 1, "no malformed event is handed over, on no attempt");
    running.stop().await;
    bus.close().await;
}
