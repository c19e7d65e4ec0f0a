//! Starting one service and stopping it in order: readiness off, no new calls, calls in hand finished, consumers and
//! timers finished, one last relay pass.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use proto::ops::v1::ops_service_server::OpsServiceServer;
use secrecy::SecretString;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Built, Context, Service,
    tasks::{Crew, Ends},
};
use crate::{
    auth::{Gate, KeySource, RENEW_EVERY, Verifier},
    bus::EventBus,
    clock::Clock,
    config::ServiceConfig,
    crypto::Crypto,
    db::{self, Db, Setup, Tx, domain_clock},
    error::{Error, Result},
    event::Event,
    grpc::{self, GuardLayer, Health, Peers},
    inbox::{Consumer, Runner, RunnerConfig},
    ops::{self, DigestSource, Ops, metrics},
    outbox::{Relay, RelayConfig},
    topology::{Changes, Copied, Feed, Shared},
};

/// How long consumers and timers, and then the relay, may take to end.
pub(super) const FINISH: Duration = Duration::from_secs(4);

/// How long a database that does not answer yet is waited for at start.
const DATABASE: Duration = Duration::from_secs(30);

/// How often the persisted offset of domain time is looked up, where time may be moved.
const CLOCK_POLL: Duration = Duration::from_secs(1);

/// What differs between the shapes and in tests.
pub struct Wiring {
    /// The event bus.
    pub bus: Arc<dyn EventBus>,
    /// Whether this process relays its outbox; tests that look into the outbox do not.
    pub relay: bool,
    /// Take the relay's lease at once: only where nobody else can be running on this database.
    pub take_over: bool,
    /// The clock; its offset is loaded from the database.
    pub clock: Clock,
    /// Keys of access tokens, instead of asking identity.
    pub keys: Option<KeySource>,
    /// Key material, instead of the configured key file.
    pub crypto: Option<Crypto>,
    /// A socket that listens already, instead of the configured address.
    pub listener: Option<TcpListener>,
    /// Topology to put in before the service is built (tests).
    pub topology: Changes,
}

impl Wiring {
    /// As in production, on this bus.
    pub fn new(bus: Arc<dyn EventBus>) -> Self {
        Self {
            bus,
            relay: true,
            take_over: false,
            clock: Clock::system(),
            keys: None,
            crypto: None,
            listener: None,
            topology: Changes::default(),
        }
    }
}

impl std::fmt::Debug for Wiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wiring").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// A service that runs. Dropping it tells it to stop without waiting.
#[derive(Debug)]
pub struct Running {
    /// Name of the service.
    pub name: &'static str,
    /// Address it listens on.
    pub addr: SocketAddr,
    /// What it was built from.
    pub context: Context,
    stop: CancellationToken,
    /// Until its end has been told.
    supervisor: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Running {
    /// Stops in order and waits for the end.
    ///
    /// # Errors
    /// What failed while running or stopping, unless [`ended`](Self::ended) has told it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.ended().await
    }

    /// Tells it to stop; [`ended`](Self::ended) then tells when it has.
    pub fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Resolves when the service has ended: with an error when it failed, which is told once. Cancel safe.
    ///
    /// # Errors
    /// What failed.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(supervisor) = &mut self.supervisor else { return Ok(()) };
        let ended = supervisor.await;
        self.supervisor = None;
        ended.map_err(Error::task).context("the supervisor")?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts a service and gives back once it takes calls.
///
/// # Errors
/// Whatever keeps it from starting, with what was being done.
pub async fn start<S: Service>(config: ServiceConfig, wiring: Wiring) -> anyhow::Result<Running> {
    let name = S::NAME;
    let (listener, addr) = match wiring.listener {
        Some(listener) => {
            let addr = listener.local_addr().context("the address listened on")?;
            (listener, addr)
        }
        None => grpc::bind(config.listen).await?,
    };
    let crypto = match wiring.crypto {
        Some(crypto) => crypto,
        None => Crypto::load(&config.key_file)?,
    };
    let clock = wiring.clock;
    let db = connect::<S>(&config, &clock, &crypto).await?;
    db.migrate(S::migrations()).await.with_context(|| format!("migrating the database of {name}"))?;
    clock.set_offset(domain_clock::load(&mut *db.conn().await?).await?);
    db::skew::compare(&db).await; // before anything falls due by it

    let secret = SecretString::from(crypto.service_secret(name));
    let peers = Peers::new(name, &config.addresses, secret, clock.clone())?;
    let keys = match wiring.keys {
        Some(keys) => keys,
        None if name == "identity" => KeySource::local(),
        None => KeySource::remote(peers.fetch_keys()?),
    };
    let topology = Arc::new(Shared::default());
    topology.reload(&db).await.context("loading the topology")?;
    if !wiring.topology.is_empty() {
        topology.install(&db, wiring.topology).await.context("installing the topology")?;
    }

    let context = Context {
        config: config.clone(),
        db,
        clock: clock.clone(),
        topology: topology.clone(),
        peers,
        crypto,
        keys: keys.clone(),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
    };
    if config.telemetry.otlp_endpoint.is_some() {
        metrics::register(&context.db);
    }
    let built = S::build(context.clone()).await.with_context(|| format!("building {name}"))?;

    let verifier = Verifier::new(keys, clock, &config.auth);
    let gate = Gate::new(verifier, topology.revocations().clone());
    let layer = GuardLayer::new(&config, gate, context.db.pressure().clone());
    // Identity gives what it owns itself.
    let digests: Arc<dyn DigestSource> = match name {
        "identity" => built.digests.clone(),
        _ => Arc::new(Copied::new(context.db.clone(), built.digests.clone())),
    };
    let ops = Ops::new(context.db.clone(), digests, config.allow_time_travel);
    let mut routes = built.routes.clone();
    routes.add_service(OpsServiceServer::new(ops));
    let (routes, health) = grpc::with_health_and_reflection(routes).await?;

    let stop = CancellationToken::new();
    let relay = wiring.relay.then(|| {
        let config = RelayConfig { take_over: wiring.take_over, ..RelayConfig::from(&config.spine) };
        Relay::new(context.db.clone(), wiring.bus.clone(), config)
    });
    let house = House::new(&context, built, wiring.bus, relay);
    let served = Served { listener, routes, layer, health };
    let supervisor = tokio::spawn(house.supervise(served, stop.clone()));
    tracing::info!(service = name, %addr, "ready");
    Ok(Running { name, addr, context, stop, supervisor: Some(supervisor) })
}

/// Connects, and waits for a database that is just starting.
async fn connect<S: Service>(config: &ServiceConfig, clock: &Clock, crypto: &Crypto) -> anyhow::Result<Db> {
    let start = std::time::Instant::now();
    loop {
        let setup = Setup {
            service: config.service.clone(),
            clock: clock.clone(),
            crypto: crypto.clone(),
            gate: (&config.spine).into(),
            pressure: (&config.grpc).into(),
            patient: S::PATIENT,
        };
        match Db::connect(&config.database, setup).await {
            Ok(db) => return Ok(db),
            Err(Error::Unavailable { .. }) if start.elapsed() < DATABASE => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                return Err(anyhow::anyhow!(error.chain()))
                    .with_context(|| format!("connecting to the database of {}", config.service));
            }
        }
    }
}

/// What takes calls.
struct Served {
    listener: TcpListener,
    routes: tonic::service::Routes,
    layer: GuardLayer,
    health: Health,
}

/// Everything of a service that runs.
struct House {
    context: Context,
    workers: Crew,
    relays: Crew,
    stop_relay: CancellationToken,
}

impl House {
    fn new(context: &Context, built: Built, bus: Arc<dyn EventBus>, relay: Option<Relay>) -> Self {
        let mut workers = Crew::default();
        let stop = &context.stop;
        let feed = Feed::new(context.topology.clone());
        let consumer: Arc<dyn Consumer> = Arc::new(WithTopology { feed: feed.clone(), own: built.consumer });
        let config = RunnerConfig::from(&context.config.spine);
        let config = if built.bulk { config.bulk() } else { config };
        let runner = Runner::new(context.db.clone(), bus, consumer.clone(), config);
        workers.spawn("consumer", Ends::WhenTold, whole(runner.run(stop.clone())));
        let watch = feed.clone().watch(context.db.clone(), context.clock.clone(), stop.clone());
        workers.spawn("topology poll", Ends::WhenTold, whole(watch));
        if context.config.service != "identity" {
            let fill = feed.fill(context.db.clone(), context.peers.clone(), consumer, stop.clone());
            workers.spawn("topology snapshot", Ends::Freely, whole(fill));
        }
        if context.config.allow_time_travel {
            let follow = follow_clock(context.db.clone(), context.clock.clone(), stop.clone());
            workers.spawn("clock poll", Ends::WhenTold, whole(follow));
        }
        let compared = db::skew::watch(context.db.clone(), stop.clone());
        workers.spawn("comparison of clocks", Ends::WhenTold, whole(compared));
        let renew = context.keys.clone().renew(RENEW_EVERY, stop.clone());
        workers.spawn("keys of tokens", Ends::WhenTold, whole(renew));
        let pressure = context.db.pressure().clone().watch(stop.clone());
        workers.spawn("pressure", Ends::WhenTold, whole(pressure));
        if context.config.telemetry.otlp_endpoint.is_some() {
            let every = Duration::from_millis(context.config.telemetry.metric_interval_ms.max(100));
            let gauges = ops::tell(context.db.clone(), every, stop.clone());
            workers.spawn("gauges", Ends::WhenTold, whole(gauges));
        }
        let purge = db::purge::run(context.db.clone(), context.config.spine.keep_days, stop.clone());
        workers.spawn("purge", Ends::Freely, whole(purge));
        for task in built.background {
            workers.spawn("background task", Ends::Freely, whole(task));
        }
        let stop_relay = CancellationToken::new();
        let mut relays = Crew::default();
        if let Some(relay) = relay {
            relays.spawn("relay", Ends::WhenTold, whole(relay.run(stop_relay.clone())));
        }
        Self { context: context.clone(), workers, relays, stop_relay }
    }

    /// Runs until told to stop or until something fails, then stops in order.
    async fn supervise(mut self, served: Served, told: CancellationToken) -> anyhow::Result<()> {
        let name = self.context.db.service().clone();
        let stop_serving = CancellationToken::new();
        let mut server = Crew::default();
        let grpc_config = self.context.config.grpc.clone();
        let stop = stop_serving.clone();
        server.spawn("gRPC server", Ends::WhenTold, async move {
            grpc::serve(served.listener, served.routes, served.layer, &grpc_config, stop).await.map(drop)
        });
        let mut astray = self.context.clock.astray();
        let failure = loop {
            // Who does not know what time it is answers, but others are to be asked.
            let ready = !*astray.borrow_and_update();
            served.health.set_ready(ready).await;
            tokio::select! {
                () = told.cancelled() => break None,
                error = server.failure() => break Some(error),
                error = self.workers.failure() => break Some(error),
                error = self.relays.failure() => break Some(error),
                Ok(()) = astray.changed() => {}
            }
        };
        if let Some(error) = &failure {
            tracing::error!(service = %name, error = format!("{error:#}"), "a task died; the service stops");
        }
        served.health.set_ready(false).await;
        stop_serving.cancel();
        self.context.db.news().close(); // calls that wait are answered now
        let limit = Duration::from_millis(self.context.config.grpc.stop_timeout_ms) + Duration::from_secs(1);
        let calls = server.finish(limit).await;
        self.context.stop.cancel();
        self.context.tasks.close();
        let work = self.workers.finish(FINISH).await;
        if tokio::time::timeout(FINISH, self.context.tasks.wait()).await.is_err() {
            tracing::warn!(service = %name, "tasks of the service did not end in time");
        }
        self.stop_relay.cancel();
        let relayed = self.relays.finish(FINISH).await;
        tracing::info!(service = %name, "stopped");
        match failure {
            Some(error) => Err(error.context(format!("{name} failed"))),
            None => calls.and(work).and(relayed).with_context(|| format!("stopping {name}")),
        }
    }
}

async fn whole(task: impl Future<Output = Result<()>>) -> anyhow::Result<()> {
    task.await.map_err(|error| anyhow::anyhow!(error.chain()))
}

/// Follows the persisted offset, which another replica may have moved.
async fn follow_clock(db: Db, clock: Clock, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(CLOCK_POLL)).await.is_some() {
        let offset = async { domain_clock::load(&mut *db.conn().await?).await };
        match offset.await {
            Ok(offset) => {
                clock.set_offset(offset);
            }
            Err(error) => tracing::warn!(error = %error.chain(), "the clock could not be looked up"),
        }
    }
    Ok(())
}

/// The service's consumer with the part that keeps the topology fresh before it, in one transaction.
struct WithTopology {
    feed: Feed,
    own: Option<Arc<dyn Consumer>>,
}

#[async_trait]
impl Consumer for WithTopology {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        self.feed.handle(tx, events).await?;
        match &self.own {
            Some(own) => own.handle(tx, events).await,
            None => Ok(()),
        }
    }

    async fn waiting(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        self.feed.bar(tx, events).await?;
        match &self.own {
            Some(own) => own.waiting(tx, events).await,
            None => Ok(()),
        }
    }

    async fn caught_up(&self, tx: &mut Tx<'_>, changes: &Changes) -> Result<()> {
        match &self.own {
            Some(own) => own.caught_up(tx, changes).await,
            None => Ok(()),
        }
    }
}
