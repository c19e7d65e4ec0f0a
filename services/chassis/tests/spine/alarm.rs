//! A broker that is short of memory or disk takes no events. What it has it gives away nevertheless, and hears that it is done.

use std::{collections::HashMap, io::Write, sync::Arc, time::Duration};

use chassis::{
    bus::{EventBus, RabbitConfig, RabbitMq},
    embedded::rabbitmq,
    outbox::RelayConfig,
};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use crate::{
    bus::rabbit,
    common::{CATALOGUE, LEDGER, PATIENCE, PRODUCER, emit, event, id, run_relay, until, world},
};

/// Bytes, more than any disk has free.
const TOO_MUCH: &str = "1000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn consumers_go_on_while_the_broker_takes_nothing() {
    let options = rabbitmq::Options::throw_away(0);
    let settings = options.dir.join("rabbitmq.conf");
    let mut broker = rabbitmq::RabbitMq::start(options).await.unwrap();
    let url = broker.url("/");
    let key = id();
    let (sender, mut confirmed) = mpsc::unbounded_channel();
    let before = rabbit(&url, "before");
    let events = (1..=2).map(|version| (version, event(key, version, version))).collect();
    before.publish(events, None, &sender).await.unwrap();
    for _ in 0..2 {
        assert!(timeout(PATIENCE, confirmed.recv()).await.expect("in time").unwrap().taken);
    }
    before.close().await;

    // The alarm is raised when the broker starts.
    let mut settings = std::fs::OpenOptions::new().append(true).open(settings).unwrap();
    settings.write_all(format!("disk_free_limit.absolute = {TOO_MUCH}\n").as_bytes()).unwrap();
    drop(settings);
    broker.restart().await.unwrap();

    // The second event comes when the broker knows that the first is done.
    let one = RabbitConfig { groups: 2, prefetch: 1, ..RabbitConfig::default() };
    let bus = RabbitMq::with_catalogue(&url, "after", one, CATALOGUE.clone()).unwrap();
    let more = [3, 4].map(|version| (version, event(key, version, version)));
    let group = chassis::event::group(more[0].1.partition(), bus.groups());
    bus.publish(more.to_vec(), None, &sender).await.unwrap();
    let both = async {
        for _ in 0..2 {
            confirmed.recv().await;
        }
    };
    assert!(timeout(Duration::from_secs(2), both).await.is_err(), "there is no alarm");
    let subscribe = async {
        loop {
            // A queue elects its leader a moment after the broker takes connections.
            if let Ok(subscription) = bus.subscribe(LEDGER, group).await {
                break subscription;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut subscription = timeout(PATIENCE, subscribe).await.expect("in time");
    for version in 1..=2 {
        let arrived = timeout(PATIENCE, subscription.next()).await.expect("in time").unwrap();
        assert_eq!((arrived.event.partition_key, arrived.event.aggregate_version), (key, version));
        subscription.ack(arrived.tag).await.unwrap();
    }
    drop(subscription);
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_keeps_its_connection_through_an_alarm_and_everything_follows_once() {
    let broker = rabbitmq::RabbitMq::start(rabbitmq::Options::throw_away(0)).await.unwrap();
    let producer = world(PRODUCER).await;
    let bus = Arc::new(rabbit(&broker.url("/"), PRODUCER));
    let confirm_deadline = Duration::from_secs(4);
    let config = RelayConfig { confirm_deadline, ..RelayConfig::default() };
    let relay = run_relay(&producer.db, bus.clone(), config);
    let drained = async || producer.number("SELECT count(*) FROM outbox").await == 0;
    emit(&producer.db, &[id()], 1..=1).await;
    until("events flow", async || drained().await).await;
    let (sender, _confirmed) = mpsc::unbounded_channel();
    let link = bus.publish(Vec::new(), None, &sender).await.unwrap();
    assert!(!bus.held_up(link));

    broker.ctl(&["set_disk_free_limit", TOO_MUCH]).await.unwrap();
    let keys: Vec<Uuid> = (0..20).map(|_| id()).collect();
    emit(&producer.db, &keys, 1..=10).await;
    until("the broker holds it up", async || bus.held_up(link)).await;
    tokio::time::sleep(3 * confirm_deadline).await;
    assert!(bus.held_up(link) && !drained().await);
    assert_eq!(bus.publish(Vec::new(), None, &sender).await.unwrap(), link, "it stays where it is");
    assert!(!producer.db.outbox().flowing());

    broker.ctl(&["set_disk_free_limit", "1"]).await.unwrap();
    until("the rest follows", async || drained().await).await;
    assert_eq!(bus.publish(Vec::new(), None, &sender).await.unwrap(), link, "by the same connection");
    relay.stop().await;
    let mut arrived: HashMap<Uuid, Vec<i64>> = HashMap::new();
    let once: Vec<i64> = (1..=10).collect();
    for group in 0..bus.groups() {
        let here = |key: &&Uuid| chassis::event::group(event(**key, 1, 1).partition(), bus.groups()) == group;
        let mut subscription = bus.subscribe(LEDGER, group).await.unwrap();
        loop {
            // Until everything is there, and then for as long as a second one would take.
            let come = |key: &Uuid| arrived.get(key).is_some_and(|versions| versions.len() >= once.len());
            let longest = if keys.iter().filter(here).all(come) { Duration::from_secs(3) } else { PATIENCE };
            let Ok(Some(delivery)) = timeout(longest, subscription.next()).await else { break };
            arrived.entry(delivery.event.partition_key).or_default().push(delivery.event.aggregate_version);
            subscription.ack(delivery.tag).await.unwrap();
        }
    }
    assert!(keys.iter().all(|key| arrived[key] == once), "{arrived:?}");
    bus.close().await;
}
