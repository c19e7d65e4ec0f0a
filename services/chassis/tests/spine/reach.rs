//! Replicas that cannot reach the bus: what they had is left to those that can, and an outage for everybody costs nobody more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chassis::{
    Error, Result,
    bus::{
        Confirmation, Confirmations, Delivery, DeliveryTag, EventBus, InProcess, LinkNumber, RabbitConfig,
        RabbitMq, Subscription,
    },
    db::Db,
    event::Event,
    inbox::RunnerConfig,
    outbox::RelayConfig,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    bus::{amqp, rabbit},
    common::*,
};

/// One replica's way to a bus that others share.
struct Route {
    bus: InProcess,
    broken: watch::Sender<bool>,
    /// It is said to be there though it is broken.
    answers: AtomicBool,
    /// It takes what is published, and loses it.
    loses: AtomicBool,
    /// How often it was asked.
    checks: AtomicU64,
}

impl Route {
    fn to(bus: &InProcess) -> Arc<Self> {
        let (broken, [answers, loses]) = (watch::channel(false).0, [false; 2].map(AtomicBool::new));
        Arc::new(Self { bus: bus.clone(), broken, answers, loses, checks: AtomicU64::new(0) })
    }

    fn check_broken(&self) -> Result<()> {
        if *self.broken.borrow() { Err(Error::unavailable("the route is broken")) } else { Ok(()) }
    }
}

#[async_trait]
impl EventBus for Route {
    async fn publish(
        &self,
        events: Vec<(i64, Event)>,
        behind: Option<LinkNumber>,
        confirmations: &Confirmations,
    ) -> Result<LinkNumber> {
        self.check_broken()?;
        if self.loses.load(Ordering::Relaxed) {
            for (seq, _) in events {
                let _ = confirmations.send(Confirmation { seq, taken: false });
            }
            return Ok(0);
        }
        self.bus.publish(events, behind, confirmations).await
    }

    async fn subscribe(&self, service: &str, group: u8) -> Result<Box<dyn Subscription>> {
        self.check_broken()?;
        let subscription = self.bus.subscribe(service, group).await?;
        Ok(Box::new(Wire { subscription, broken: self.broken.subscribe() }))
    }

    async fn check(&self) -> Result<()> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        if self.answers.load(Ordering::Relaxed) { Ok(()) } else { self.check_broken() }
    }

    fn groups(&self) -> u8 {
        self.bus.groups()
    }

    fn shared(&self) -> bool {
        true
    }
}

/// A subscription that ends when the route breaks.
struct Wire {
    subscription: Box<dyn Subscription>,
    broken: watch::Receiver<bool>,
}

async fn breaks(broken: &mut watch::Receiver<bool>) {
    let _ = broken.wait_for(|broken| *broken).await;
}

#[async_trait]
impl Subscription for Wire {
    async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            () = breaks(&mut self.broken) => None,
            delivery = self.subscription.next() => delivery,
        }
    }

    async fn ack(&mut self, last: DeliveryTag) -> Result<()> {
        self.subscription.ack(last).await
    }
}

/// A replica of the producer and one of the ledger, on the same route.
struct Replica {
    producer: Db,
    ledger: Db,
    running: [Running; 2],
}

impl Replica {
    async fn start(worlds: [&World; 2], route: &Arc<Route>, lease: Duration) -> Self {
        Self::with_leases(worlds, route, [lease; 2]).await
    }

    /// With leases of so long for relaying and for groups.
    async fn with_leases(worlds: [&World; 2], route: &Arc<Route>, [lease, of_groups]: [Duration; 2]) -> Self {
        let patience = Duration::from_millis(600);
        let (producer, ledger) = (worlds[0].again().await, worlds[1].again().await);
        let relaying = RelayConfig { lease, patience, ..RelayConfig::default() };
        let taking_in = RunnerConfig { lease: of_groups, patience, ..quick() };
        let relay = run_relay(&producer, route.clone(), relaying);
        let runner = run_ledger_with(&ledger, route.clone(), Arc::default(), taking_in);
        Self { producer, ledger, running: [relay, runner] }
    }

    /// Whether it relays, and how many groups it takes in.
    fn has(&self) -> (bool, u64) {
        let (leased, subscribed) = (self.ledger.inbox().leased(), self.ledger.inbox().subscribed());
        (self.producer.outbox().leading(), leased.min(subscribed))
    }

    async fn stop(self) {
        for part in self.running {
            part.stop().await;
        }
    }
}

fn shared_bus() -> InProcess {
    InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, None)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_reach_the_bus_leaves_relaying_and_groups_to_who_can() {
    let lease = Duration::from_millis(600);
    for answers in [false, true] {
        let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
        let (bus, keys) = (shared_bus(), (0..20).map(|_| id()).collect::<Vec<Uuid>>());
        let route = Route::to(&bus);
        let first = Replica::start([&producer, &ledger], &route, lease).await;
        until("it has everything", async || first.has() == (true, 2)).await;
        route.answers.store(answers, Ordering::Relaxed);
        route.broken.send_replace(true);
        emit(&producer.db, &keys, 1..=5).await;
        let other = Replica::start([&producer, &ledger], &Route::to(&bus), lease).await;
        until("another relays, and takes both groups in", async || other.has() == (true, 2)).await;
        emit(&producer.db, &keys, 6..=10).await;
        let all: Vec<i64> = (1..=10).collect();
        until("all arrive", async || {
            let done = effects(&ledger.db).await;
            keys.iter().all(|key| done.get(key).is_some_and(|versions| *versions == all))
        })
        .await;
        first.stop().await;
        other.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_publishes_are_taken_and_lost_leaves_relaying_to_another() {
    let lease = Duration::from_millis(600);
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let (bus, key) = (shared_bus(), id());
    let route = Route::to(&bus);
    let first = Replica::start([&producer, &ledger], &route, lease).await;
    until("it relays", async || first.has().0).await;
    route.loses.store(true, Ordering::Relaxed);
    emit(&producer.db, &[key], 1..=3).await;
    let other = Replica::start([&producer, &ledger], &Route::to(&bus), lease).await;
    until("another relays", async || other.has().0).await;
    until("all arrive", async || effects(&ledger.db).await.get(&key).is_some_and(|all| *all == [1, 2, 3]))
        .await;
    first.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_was_away_for_everybody_is_at_work_again_as_soon_as_it_is_back() {
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let bus = shared_bus();
    let routes = [Route::to(&bus), Route::to(&bus)];
    // Whoever stands aside for others leaves relaying for one lease and groups for ten of them: for more than 20 seconds. Whether the
    // bus is there is asked three times in one.
    let leases = [21, 10].map(Duration::from_secs);
    let mut replicas = Vec::new();
    for route in &routes {
        replicas.push(Replica::with_leases([&producer, &ledger], route, leases).await);
    }
    let any_leads = || replicas.iter().any(|replica| replica.has().0);
    let groups = || replicas.iter().map(|replica| replica.has().1).sum::<u64>();
    until("everything is taken", async || any_leads() && groups() == 2).await;
    for route in &routes {
        route.broken.send_replace(true);
    }
    let gone = async || !any_leads() && replicas.iter().all(|replica| replica.ledger.inbox().leased() == 0);
    until("nobody keeps what is of no use", gone).await;
    until("nothing waits, and nothing flows", async || {
        replicas.iter().all(|replica| !replica.producer.outbox().flowing())
    })
    .await;
    let key = id();
    emit(&producer.db, &[key], 1..=3).await;

    let back = Instant::now();
    for route in &routes {
        route.broken.send_replace(false);
    }
    until("all arrive", async || effects(&ledger.db).await.get(&key).is_some_and(|all| all.len() == 3)).await;
    assert!(back.elapsed() < Duration::from_secs(14), "{:?}", back.elapsed());
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_reached_the_bus_yet_takes_nothing_from_who_has() {
    let lease = Duration::from_millis(300);
    let (producer, ledger) = (world(PRODUCER).await, world(LEDGER).await);
    let (bus, good) = (shared_bus(), Route::to(&shared_bus()));
    let bad = Route::to(&bus);
    bad.broken.send_replace(true);
    let mistaken = Replica::start([&producer, &ledger], &bad, lease).await;
    until("both of its parts have asked again", async || bad.checks.load(Ordering::Relaxed) > 6).await;
    assert_eq!(producer.number("SELECT count(*) FROM relay_lease").await, 0, "not even what is free");
    let right = Replica::start([&producer, &ledger], &good, lease).await;
    until("another has everything", async || right.has() == (true, 2)).await;
    let asked = bad.checks.load(Ordering::Relaxed);
    until("it has asked again", async || bad.checks.load(Ordering::Relaxed) > asked + 6).await;
    assert_eq!((right.has(), mistaken.has()), ((true, 2), (false, 0)));
    assert_eq!(ledger.number("SELECT count(*) FROM consumer_member").await, 1);
    mistaken.stop().await;
    right.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_another_number_of_groups_takes_none_from_the_others() {
    let url = amqp().await;
    let ledger = world(LEDGER).await;
    let (right, right_db) = (Arc::new(rabbit(&url, LEDGER)), ledger.again().await);
    let running = run_ledger(&right_db, right.clone(), Arc::default());
    until("it has both", async || right_db.inbox().subscribed() == 2).await;
    let config = RabbitConfig { groups: 8, ..RabbitConfig::default() };
    let other = Arc::new(RabbitMq::with_catalogue(&url, "other", config, CATALOGUE.clone()).unwrap());
    let (other_db, begun) = (ledger.again().await, Instant::now());
    let mistaken = run_ledger(&other_db, other.clone(), Arc::default());
    until("it has been refused", async || {
        other.check().await.is_err() && begun.elapsed() > Duration::from_secs(2)
    })
    .await;
    assert_eq!((right_db.inbox().subscribed(), other_db.inbox().leased()), (2, 0));
    assert_eq!(ledger.number("SELECT count(*) FROM consumer_member").await, 1);
    for part in [mistaken, running] {
        part.stop().await;
    }
    for bus in [right, other] {
        bus.close().await;
    }
}
