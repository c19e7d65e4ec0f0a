//! Connections to RabbitMQ that are lost while the broker stays: what they had is sent again, in order, and nothing of the
//! same key overtakes it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{bus::EventBus, outbox::RelayConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{
    bus::{amqp, rabbit},
    common::*,
};

/// What is done to connections, by their number: to all below.
#[derive(Clone, Copy, Default)]
struct Orders {
    cut: u64,
    hold: u64,
}

/// Stands before the broker, to keep back what clients send, and to cut their connections.
struct Proxy {
    url: String,
    orders: watch::Sender<Orders>,
    opened: Arc<AtomicU64>,
    withheld: Arc<AtomicU64>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Before the broker at `url`, which is on this machine.
    async fn before(url: &str) -> Self {
        let (user, address) = url.split_once("@127.0.0.1:").unwrap();
        let (port, vhost) = address.split_once('/').unwrap();
        let broker = SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>().unwrap()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (orders, follow) = watch::channel(Orders::default());
        let (opened, withheld) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let accepting = tokio::spawn({
            let (opened, withheld) = (opened.clone(), withheld.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let number = opened.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(between(client, broker, number, follow.clone(), withheld.clone()));
                }
            }
        });
        Self {
            url: format!("{user}@127.0.0.1:{own}/{vhost}"),
            orders,
            opened,
            withheld,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Keeps back what is sent by the connections that there are now.
    fn hold(&self) {
        let below = self.opened.load(Ordering::Relaxed);
        self.withheld.store(0, Ordering::Relaxed);
        self.orders.send_modify(|orders| orders.hold = below);
    }

    /// Lets go what was kept back, of connections that are still there.
    fn release(&self) {
        self.orders.send_modify(|orders| orders.hold = 0);
    }

    /// Cuts the connections that there are now.
    fn cut(&self) {
        let below = self.opened.load(Ordering::Relaxed);
        self.orders.send_modify(|orders| orders.cut = below);
    }

    /// Bytes that are kept back.
    fn withheld(&self) -> u64 {
        self.withheld.load(Ordering::Relaxed)
    }
}

async fn between(
    client: TcpStream,
    broker: SocketAddr,
    number: u64,
    mut orders: watch::Receiver<Orders>,
    withheld: Arc<AtomicU64>,
) {
    let Ok(server) = TcpStream::connect(broker).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut held = orders.clone();
    let up = async {
        let (mut buffer, mut kept) = (vec![0_u8; 1 << 16], Vec::new());
        loop {
            tokio::select! {
                read = from_client.read(&mut buffer) => match read {
                    Ok(n) if n > 0 => kept.extend_from_slice(&buffer[..n]),
                    _ => {
                        let _ = held.wait_for(|orders| orders.hold <= number).await;
                        let _ = to_server.write_all(&kept).await; // the last words of one who is gone
                        return;
                    }
                },
                changed = held.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let holding = held.borrow_and_update().hold > number;
            if holding {
                withheld.store(kept.len() as u64, Ordering::Relaxed);
            } else {
                if to_server.write_all(&kept).await.is_err() {
                    return;
                }
                kept.clear();
            }
        }
    };
    let down = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    let cut = async {
        let _ = orders.wait_for(|orders| orders.cut > number).await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = cut => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_by_another_connection_until_the_publisher_begins_again() {
    let bus = rabbit(&amqp().await, "links");
    let (sender, _confirmed) = mpsc::unbounded_channel();
    let one = |seq: i64| vec![(seq, event(id(), seq, seq))];
    let first = bus.publish(one(1), None, &sender).await.unwrap();
    assert_eq!(bus.publish(one(2), Some(first), &sender).await.unwrap(), first);
    bus.reset(first).await;
    for _ in 0..2 {
        assert!(bus.publish(one(3), Some(first), &sender).await.is_err());
        bus.check().await.unwrap(); // a connection is there, but it is another
    }
    let second = bus.publish(one(1), None, &sender).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(bus.publish(one(3), Some(second), &sender).await.unwrap(), second);
    bus.reset(first).await; // by one who was late to find it silent
    assert_eq!(bus.publish(one(4), Some(second), &sender).await.unwrap(), second, "the new one stays");
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_overtakes_one_that_a_lost_connection_had() {
    let url = amqp().await;
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let (before_relay, before_runner) = (Proxy::before(&url).await, Proxy::before(&url).await);
    let publishing = Arc::new(rabbit(&before_relay.url, PRODUCER));
    let config = RelayConfig { batch: 20, window: 400, ..RelayConfig::default() };
    let relay = run_relay(&producer.db, publishing.clone(), config);
    let consuming = Arc::new(rabbit(&before_runner.url, LEDGER));
    let runner = run_ledger(&ledger.db, consuming.clone(), Arc::default());
    let keys: Vec<Uuid> = (0..40).map(|_| id()).collect();
    let drained = async || producer.number("SELECT count(*) FROM outbox").await == 0;
    let mut version = 0_i64;
    for round in 0..6 {
        version += 1;
        emit(&producer.db, &keys, version..=version).await;
        until("the first drain", async || drained().await).await; // there is a connection, and it works

        // The relay has handed over what never arrives in time, and its connection goes. Then it has more to hand over.
        before_relay.hold();
        emit(&producer.db, &keys, version + 1..=version + 1).await;
        until("events are on their way", async || before_relay.withheld() > 2_000).await;
        if round % 2 == 0 {
            // As a subscription does that is not answered: by the number of the connection that it has.
            let (sender, _confirmed) = mpsc::unbounded_channel();
            let link = publishing.publish(Vec::new(), None, &sender).await.unwrap();
            publishing.reset(link).await;
        } else {
            before_relay.cut();
        }
        emit(&producer.db, &keys, version + 2..=version + 4).await;
        until("the next drain", async || drained().await).await;
        before_relay.release(); // what the old connection still has comes late
        version += 4;

        // Under load, on both sides.
        let emitting = tokio::spawn({
            let (db, keys) = (producer.db.clone(), keys.clone());
            async move { emit(&db, &keys, version + 1..=version + 20).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        before_relay.cut();
        before_runner.cut();
        emitting.await.unwrap();
        version += 20;
        until("the rest drains", async || drained().await).await;
    }
    let count = version * i64::try_from(keys.len()).unwrap();
    until("all arrive", async || ledger.number("SELECT count(*) FROM effect").await == count).await;
    // In the order in which each was first seen.
    let all: Vec<i64> = (1..=version).collect();
    assert!(effects(&ledger.db).await.values().all(|versions| *versions == all));
    relay.stop().await;
    runner.stop().await;
    publishing.close().await;
    consuming.close().await;
}
