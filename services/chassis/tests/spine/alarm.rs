//! A broker that is short of memory or disk takes no events. What it has it gives away nevertheless, and hears that it is done.

use std::{io::Write, time::Duration};

use chassis::{
    bus::{EventBus, RabbitConfig, RabbitMq},
    embedded::rabbitmq,
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    bus::rabbit,
    common::{CATALOGUE, LEDGER, event, id},
};

const SOON: Duration = Duration::from_secs(30);

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
        assert!(timeout(SOON, confirmed.recv()).await.expect("in time").unwrap().taken);
    }
    before.close().await;

    // More than any disk has free: the alarm is raised when the broker starts.
    let mut settings = std::fs::OpenOptions::new().append(true).open(settings).unwrap();
    settings.write_all(b"disk_free_limit.absolute = 1000000000000000\n").unwrap();
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
    let mut subscription = timeout(SOON, subscribe).await.expect("in time");
    for version in 1..=2 {
        let arrived = timeout(SOON, subscription.next()).await.expect("in time").unwrap();
        assert_eq!((arrived.event.partition_key, arrived.event.aggregate_version), (key, version));
        subscription.ack(arrived.tag).await.unwrap();
    }
    drop(subscription);
    bus.close().await;
}
