//! A whole service under test: real gRPC on port 0, a database of its own, a clock that stands still, and an event bus
//! that the test holds in its hands.

use std::{marker::PhantomData, net::SocketAddr, sync::Arc, time::Duration};

use chrono::DateTime;
use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use http::HeaderValue;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};

use super::{Persona, TestDb, TestKeys};
use crate::{
    bus::{EventBus, InProcess},
    clock::{Clock, Timestamp, new_id},
    config::ServiceConfig,
    crypto::Crypto,
    db::Db,
    event::{Event, catalogue},
    grpc::{Credential, PeerChannel},
    lifecycle::{Context, Running, Service, Wiring, start},
    outbox::store,
    topology::Changes,
};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running service under test. Its outbox is not relayed: [`drain_outbox`](Self::drain_outbox) reads it.
pub struct TestService<S> {
    /// What the service was built from: database, clock, topology, ….
    pub context: Context,
    /// Signs tokens the service accepts.
    pub keys: TestKeys,
    channel: Channel,
    bus: Arc<InProcess>,
    running: Option<Running>,
    _db: TestDb,
    _service: PhantomData<S>,
}

/// A change of the configuration.
type Change = Box<dyn FnOnce(&mut ServiceConfig) + Send>;

/// What a test may change before the service starts.
pub struct Builder<S> {
    clock: Clock,
    topology: Changes,
    configure: Vec<Change>,
    _service: PhantomData<S>,
}

impl<S: Service> TestService<S> {
    /// Starts with defaults: the clock stands at 2026-03-02 09:00 in Wuhan (a Monday), the topology is empty.
    ///
    /// # Panics
    /// When the service does not start, with the reason.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// For another clock, topology or configuration.
    pub fn builder() -> Builder<S> {
        Builder {
            clock: Clock::fixed(monday()),
            topology: Changes::default(),
            configure: Vec::new(),
            _service: PhantomData,
        }
    }

    /// Address of the service.
    pub fn addr(&self) -> SocketAddr {
        self.running.as_ref().map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |running| running.addr)
    }

    /// Its database.
    pub fn db(&self) -> &Db {
        &self.context.db
    }

    /// Its clock; `clock().advance(…)` moves domain time.
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// A channel that calls as a person: `CaseServiceClient::new(service.call_as(&dispatcher))`.
    pub fn call_as(&self, persona: &Persona) -> PeerChannel {
        self.call_with(&self.keys.token(persona))
    }

    /// A channel that calls as a service of the suite.
    pub fn call_as_service(&self, service: &str) -> PeerChannel {
        self.call_with(&self.keys.service_token(service))
    }

    /// A channel that calls with this token.
    ///
    /// # Panics
    /// When the token cannot be a header.
    pub fn call_with(&self, token: &str) -> PeerChannel {
        let header = HeaderValue::try_from(format!("Bearer {token}")).expect("a token fits a header");
        PeerChannel::new(self.channel.clone(), Credential::Bearer(header))
    }

    /// A channel without a token.
    pub fn call_anonymously(&self) -> PeerChannel {
        PeerChannel::new(self.channel.clone(), Credential::None)
    }

    /// Takes everything out of the outbox, in order, as the relay would.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn drain_outbox(&self) -> Vec<Event> {
        let mut conn = self.db().conn().await.expect("a connection");
        let rows = store::read(&mut conn, self.context.config.service.as_str(), 0, &[], i64::MAX).await;
        let (seqs, events): (Vec<i64>, Vec<Event>) = rows.expect("the outbox is read").into_iter().unzip();
        store::delete(&mut conn, &seqs).await.expect("the outbox is emptied");
        events
    }

    /// Adds a column to every table, as a migration of the next release does while this one still runs.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn add_columns(&self) {
        #[derive(QueryableByName)]
        struct Table {
            #[diesel(sql_type = Text)]
            name: String,
        }
        let mut conn = self.db().conn().await.expect("a connection");
        let tables: Vec<Table> = diesel::sql_query(
            "SELECT oid::regclass::text AS name FROM pg_class \
             WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace",
        )
        .load(&mut *conn)
        .await
        .expect("the tables are listed");
        for table in tables {
            let change = format!("ALTER TABLE {} ADD COLUMN of_the_next_release integer", table.name);
            conn.batch_execute(&change).await.expect("a column is added");
        }
    }

    /// Delivers an event to the service's consumer and waits until it is handled or parked.
    ///
    /// # Panics
    /// When the service does not consume this type, or does not answer in time.
    pub async fn deliver(&self, event: Event) {
        self.deliver_all(vec![event]).await;
    }

    /// Delivers an event, the same once more, and the same fact as another event: the inbox stops the second, and nothing but
    /// the handler the third. None but the first may change anything.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_repeatedly(&self, event: Event) {
        let told_again = Event { id: new_id(), ..event.clone() };
        for delivered in [event.clone(), event, told_again] {
            self.deliver(delivered).await;
        }
    }

    /// Delivers several events in order, as one batch if they come fast enough.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_all(&self, events: Vec<Event>) {
        let service = self.context.config.service.as_str();
        for event in &events {
            let consumers = catalogue().consumers(&event.r#type);
            assert!(consumers.iter().any(|c| c == service), "{service} does not consume {}", event.r#type);
        }
        let (confirmations, mut confirmed) = mpsc::unbounded_channel();
        let left = events.len();
        let numbered = (1..).zip(events).collect();
        self.bus.publish(numbered, None, &confirmations).await.expect("the bus takes events");
        let all = async {
            for _ in 0..left {
                assert!(confirmed.recv().await.is_some_and(|c| c.taken), "the bus loses nothing");
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the event is handled in time");
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it does not hold in time.
    pub async fn wait_for(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !condition().await {
            assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the service in order.
    ///
    /// # Panics
    /// When something failed while it ran or stopped.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.expect("an orderly stop");
        }
    }
}

impl<S: Service> Builder<S> {
    /// With another clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// On a machine whose time is ahead of the true one by so much; domain time is not.
    pub fn machine_ahead_by(mut self, error: Duration) -> Self {
        self.clock = self.clock.ahead_by(error);
        self
    }

    /// With this topology in place before the service is built.
    pub fn topology(mut self, topology: Changes) -> Self {
        self.topology = topology;
        self
    }

    /// With a changed configuration.
    pub fn configure(mut self, change: impl FnOnce(&mut ServiceConfig) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Starts the service.
    ///
    /// # Panics
    /// When it does not start, with the reason.
    pub async fn start(self) -> TestService<S> {
        self.try_start().await.unwrap_or_else(|error| panic!("{} does not start: {error:#}", S::NAME))
    }

    async fn try_start(self) -> anyhow::Result<TestService<S>> {
        let db = TestDb::migrated(S::NAME, S::migrations).await?;
        let keys = TestKeys::new();
        let mut config = ServiceConfig::for_service(S::NAME);
        config.database = db.config();
        config.allow_time_travel = true;
        config.spine.consume_linger_ms = 0;
        config.spine.retry_first_ms = 20;
        config.grpc.stop_timeout_ms = 2_000;
        for change in self.configure {
            change(&mut config);
        }
        let bus = Arc::new(InProcess::new(&[S::NAME], 1));
        let wiring = Wiring {
            relay: false,
            clock: self.clock,
            keys: Some(keys.source()),
            crypto: Some(Crypto::from_keys(vec![[7; 32]])),
            topology: self.topology,
            ..Wiring::new(bus.clone())
        };
        let running = start::<S>(config, wiring).await?;
        let channel =
            Endpoint::from_shared(format!("http://{}", running.addr))?.timeout(PATIENCE).connect_lazy();
        let context = running.context.clone();
        Ok(TestService {
            context,
            keys,
            channel,
            bus,
            running: Some(running),
            _db: db,
            _service: PhantomData,
        })
    }
}

impl<S> std::fmt::Debug for TestService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestService").field("running", &self.running).finish_non_exhaustive()
    }
}

impl<S> std::fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

/// 2026-03-02 09:00 in Wuhan.
fn monday() -> Timestamp {
    DateTime::from_timestamp(1_772_413_200, 0).unwrap_or_default()
}
