//! How a service runs and stops. One order for every service and both shapes: configuration, telemetry, database and
//! migrations, topology, build, relay and consumers, serve; and back in the order that loses nothing.

mod process;
mod start;
mod tasks;

use std::{future::Future, sync::Arc};

use diesel_migrations::EmbeddedMigrations;
use futures::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    process::{Signals, run, shutdown_signal},
    start::{Running, Wiring, start},
};
use crate::{
    auth::KeySource,
    clock::Clock,
    config::ServiceConfig,
    crypto::Crypto,
    db::Db,
    error::Error,
    grpc::{Peers, RoutesBuilder},
    inbox::Consumer,
    ops::{DigestSource, NoDigests},
    topology,
};

/// A service of the suite. Its library has a `run` that is `chassis::run::<App>()`, compiled once for whoever starts it as a
/// process: its own `main` and `jianghan serve`.
pub trait Service: Sized + Send + 'static {
    /// Name, such as `case-routing`.
    const NAME: &'static str;

    /// Its transactions wait for what others hold as long as a statement may take, instead of two seconds: for one that takes events in
    /// and runs no commands that queue behind each other.
    const PATIENT: bool = false;

    /// The service's own migrations, run after the chassis's: `embed_migrations!("migrations")`.
    fn migrations() -> EmbeddedMigrations;

    /// Wires the service: stores, executors, handlers, consumer, timers. The database is migrated and the topology
    /// loaded; nothing is served or consumed before this has returned.
    fn build(context: Context) -> impl Future<Output = anyhow::Result<Built>> + Send;
}

/// What a service is given to build itself from. Everything is cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// Its configuration.
    pub config: ServiceConfig,
    /// Its database.
    pub db: Db,
    /// Domain and real time.
    pub clock: Clock,
    /// Units, organisations, edges.
    pub topology: Arc<topology::Shared>,
    /// Channels to the other services.
    pub peers: Peers,
    /// Field encryption.
    pub crypto: Crypto,
    /// Keys that verify access tokens. Identity puts its own in with `keys.replace(jwks)`.
    pub keys: KeySource,
    /// For tasks that the service spawns itself; the stop waits for them.
    pub tasks: TaskTracker,
    /// Cancelled when consumers and timers have to end: after the last call, before the last relay pass.
    pub stop: CancellationToken,
}

/// A built service.
pub struct Built {
    /// Its gRPC services. The chassis adds ops, health and reflection.
    pub routes: RoutesBuilder,
    /// Handles its events. The topology is kept fresh without it; it is given every event all the same, and passes
    /// over those it does not know.
    pub consumer: Option<Arc<dyn Consumer>>,
    /// The consumer rather waits a little for larger batches (see [`bulk`](Self::bulk)).
    pub bulk: bool,
    /// Timers and the like. Each ends when `Context::stop` is cancelled; one that fails takes the process down.
    pub background: Vec<BoxFuture<'static, Result<(), Error>>>,
    /// For reconcile.
    pub digests: Arc<dyn DigestSource>,
}

impl Built {
    /// A service with these gRPC services, without consumer, timers or digests.
    pub fn new(routes: RoutesBuilder) -> Self {
        Self { routes, consumer: None, bulk: false, background: Vec::new(), digests: Arc::new(NoDigests) }
    }

    /// With a consumer.
    pub fn consumer(mut self, consumer: impl Consumer) -> Self {
        self.consumer = Some(Arc::new(consumer));
        self
    }

    /// For a consumer that adds up what it is told, to be read by people: larger batches cost it much less per event,
    /// and a fraction of a second more matters to nobody.
    pub fn bulk(mut self) -> Self {
        self.bulk = true;
        self
    }

    /// With one more background task.
    pub fn background(mut self, task: impl Future<Output = Result<(), Error>> + Send + 'static) -> Self {
        self.background.push(Box::pin(task));
        self
    }

    /// With digests for reconcile.
    pub fn digests(mut self, digests: impl DigestSource) -> Self {
        self.digests = Arc::new(digests);
        self
    }
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built")
            .field("consumer", &self.consumer.is_some())
            .field("background", &self.background.len())
            .finish_non_exhaustive()
    }
}
