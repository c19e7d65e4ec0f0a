//! A small world: counters that emit `Counted` and a ledger that notes every effect, so that lost, doubled and
//! misplaced effects can be counted.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chassis::{
    Clock, Error, Result, Timestamp,
    auth::Caller,
    bus::EventBus,
    command::{AggregateStore, Change, Decide, Decision, Executor, ExecutorConfig, Meta, Target},
    db::{CHASSIS_MIGRATIONS, Db, Tx, cached},
    event::{Catalogue, Emit, Event},
    inbox::{Consumer, Runner, RunnerConfig},
    outbox::{Relay, RelayConfig},
    testing::TestDb,
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The event of this world.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Counted {
    /// Partition key.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Value after the command.
    #[prost(int64, tag = "2")]
    pub value: i64,
}

impl proto::EventMessage for Counted {
    const TYPE: &'static str = "test.v1.Counted";
}

/// The answer of commands.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// Value after the command.
    #[prost(int64, tag = "1")]
    pub value: i64,
}

pub const PRODUCER: &str = "producer";
pub const LEDGER: &str = "ledger";

pub static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    Arc::new(Catalogue::new(&[PRODUCER, LEDGER], [("test.v1.Counted", "id", vec![LEDGER.to_owned()])]))
});

pub const TABLES: &str = "CREATE TABLE counter (id uuid PRIMARY KEY, value bigint NOT NULL CHECK (value < 1000000), \
     version bigint NOT NULL); \
     CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL, key uuid NOT NULL, \
     version bigint NOT NULL)";

/// A database with the tables of this world.
pub struct World {
    pub test_db: TestDb,
    pub db: Db,
}

pub async fn world(service: &str) -> World {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG=chassis=debug shows what a test did
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let test_db = TestDb::migrated("spine", || CHASSIS_MIGRATIONS).await.unwrap();
    let db = test_db.connect(service, Clock::system()).await.unwrap();
    db.conn().await.unwrap().batch_execute(TABLES).await.unwrap();
    World { test_db, db }
}

impl World {
    /// Another handle to the same database, as another replica or a restarted process has it.
    pub async fn again(&self) -> Db {
        self.test_db.connect(self.db.service(), Clock::system()).await.unwrap()
    }

    pub fn executor(&self) -> Executor<Counters> {
        executor(&self.db)
    }

    /// One number from the database.
    pub async fn number(&self, sql: &str) -> i64 {
        number(&self.db, sql).await
    }
}

pub fn executor(db: &Db) -> Executor<Counters> {
    Executor::new(db.clone(), Counters, ExecutorConfig::default())
}

pub async fn number(db: &Db, sql: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let mut conn = db.conn().await.unwrap();
    let row: Row =
        diesel::sql_query(format!("SELECT ({sql})::bigint AS n")).get_result(&mut *conn).await.unwrap();
    row.n
}

/// Waits until the condition holds; panics with `what` when it does not in time.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[derive(Clone, Debug)]
pub struct Counter {
    pub id: Uuid,
    pub value: i64,
    pub version: i64,
}

pub struct Counters;

impl AggregateStore for Counters {
    type Id = Uuid;
    type Aggregate = Counter;
    const KIND: &'static str = "counter";

    fn id_text(id: Uuid) -> String {
        id.to_string()
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Counter>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = SqlUuid)]
            id: Uuid,
            #[diesel(sql_type = BigInt)]
            value: i64,
            #[diesel(sql_type = BigInt)]
            version: i64,
        }
        let rows: Vec<Row> =
            cached("SELECT id, value, version FROM counter WHERE id = ANY($1) ORDER BY id FOR UPDATE")
                .bind::<Array<SqlUuid>, _>(ids)
                .load(&mut conn)
                .await?;
        Ok(rows
            .into_iter()
            .map(|r| (r.id, Counter { id: r.id, value: r.value, version: r.version }))
            .collect())
    }

    async fn save(&self, mut conn: &AsyncPgConnection, changes: Vec<Change<Counter>>) -> Result<()> {
        cached(
            "INSERT INTO counter (id, value, version) SELECT unnest($1), unnest($2), unnest($3) \
             ON CONFLICT (id) DO UPDATE SET value = excluded.value, version = excluded.version",
        )
        .bind::<Array<SqlUuid>, _>(changes.iter().map(|c| c.after.id).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(changes.iter().map(|c| c.after.value).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(changes.iter().map(|c| c.after.version).collect::<Vec<_>>())
        .execute(&mut conn)
        .await?;
        Ok(())
    }

    fn within_reach(&self, _: &Counter, caller: &Caller) -> bool {
        caller.actor_ref != "stranger"
    }
}

/// Adds to a counter, or makes it.
#[derive(Clone, Copy)]
pub struct Add {
    pub id: Uuid,
    pub by: i64,
}

impl Decide<Counter> for Add {
    fn decide(&self, current: Option<&Counter>, _: &Caller, _: Timestamp) -> Result<Decision<Counter>> {
        if self.by == 0 {
            return Err(Error::wrong_state("counter", self.id, "adding nothing"));
        }
        assert!(self.by != i64::MIN, "asked to panic");
        let (value, version) = current.map_or((0, 0), |c| (c.value, c.version));
        let after = Counter { id: self.id, value: value + self.by, version: version + 1 };
        let event = counted(self.id, after.version, after.value);
        Ok(Decision { aggregate: after, events: vec![event] })
    }
}

pub fn counted(id: Uuid, version: i64, value: i64) -> Emit {
    Emit::new(id, version, &Counted { id: id.to_string(), value })
}

/// An event as if it came from the producer.
pub fn event(id: Uuid, version: i64, value: i64) -> Event {
    Event::of(PRODUCER, Clock::system().now(), id, version, &Counted { id: id.to_string(), value })
}

pub fn caller() -> Caller {
    Caller { actor_ref: "actor-1".to_owned(), ..Caller::system("test") }
}

pub fn meta(request_id: Uuid, add: Add) -> Meta {
    let body = Answer { value: add.by };
    Meta::new("Add", &request_id.to_string(), &body).unwrap()
}

pub fn id() -> Uuid {
    chassis::clock::new_id()
}

/// Runs one command under a fresh request id.
pub async fn add(executor: &Executor<Counters>, target: Target, add_by: Add) -> Result<Answer> {
    add_as(executor, &caller(), id(), target, add_by).await
}

pub async fn add_as(
    executor: &Executor<Counters>,
    caller: &Caller,
    request: Uuid,
    target: Target,
    command: Add,
) -> Result<Answer> {
    let respond = |counter: &Counter| Answer { value: counter.value };
    Executor::execute(executor, caller, meta(request, command), command.id, target, command, respond).await
}

/// Notes every event as an effect. Fails on values of `-1` and panics on `-2` while it is broken.
#[derive(Default)]
pub struct Ledger {
    pub broken: AtomicBool,
    pub batches: AtomicU64,
}

#[async_trait]
impl Consumer for Ledger {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        for event in events {
            let counted: Counted = event.decode()?;
            if AtomicBool::load(&self.broken, Ordering::Relaxed) {
                assert!(counted.value != -2, "poisoned by the test");
                if counted.value == -1 {
                    return Err(Error::internal("poisoned by the test"));
                }
            }
        }
        cached("INSERT INTO effect (event_id, key, version) SELECT unnest($1), unnest($2), unnest($3)")
            .bind::<Array<SqlUuid>, _>(events.iter().map(|e| e.id).collect::<Vec<_>>())
            .bind::<Array<SqlUuid>, _>(events.iter().map(|e| e.partition_key).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(events.iter().map(|e| e.aggregate_version).collect::<Vec<_>>())
            .execute(&mut *tx.conn)
            .await?;
        Ok(())
    }
}

/// What the ledger holds, by key, in order of effect.
pub async fn effects(db: &Db) -> BTreeMap<Uuid, Vec<i64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        key: Uuid,
        #[diesel(sql_type = BigInt)]
        version: i64,
        #[diesel(sql_type = SqlUuid)]
        event_id: Uuid,
    }
    let mut conn = db.conn().await.unwrap();
    let rows: Vec<Row> = diesel::sql_query("SELECT key, version, event_id FROM effect ORDER BY n")
        .load(&mut *conn)
        .await
        .unwrap();
    let mut seen = HashSet::new();
    let mut by_key: BTreeMap<Uuid, Vec<i64>> = BTreeMap::new();
    for row in rows {
        assert!(seen.insert(row.event_id), "event {} had two effects", row.event_id);
        by_key.entry(row.key).or_default().push(row.version);
    }
    by_key
}

/// Retries at once, so that tests need not wait.
pub fn quick() -> RunnerConfig {
    RunnerConfig {
        retry_first: Duration::from_millis(5),
        retry_max: Duration::from_millis(20),
        max_attempts: 3,
        lease: Duration::from_millis(900),
        ..RunnerConfig::default()
    }
}

/// A task of the spine that stops when asked.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends it as a crash would, as far as a task can.
    pub async fn abort(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub fn run_relay(db: &Db, bus: Arc<dyn EventBus>, config: RelayConfig) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(Relay::new(db.clone(), bus, config).run(stop.clone()));
    Running { stop, task }
}

pub fn run_ledger(db: &Db, bus: Arc<dyn EventBus>, ledger: Arc<Ledger>) -> Running {
    run_ledger_with(db, bus, ledger, quick())
}

pub fn run_ledger_with(
    db: &Db,
    bus: Arc<dyn EventBus>,
    ledger: Arc<Ledger>,
    config: RunnerConfig,
) -> Running {
    let stop = CancellationToken::new();
    let runner = Runner::new(db.clone(), bus, ledger, config).with_catalogue(CATALOGUE.clone());
    let task = tokio::spawn(runner.run(stop.clone()));
    Running { stop, task }
}

/// Emits `versions` events for each of `keys` in turn, several to a transaction.
pub async fn emit(db: &Db, keys: &[Uuid], versions: std::ops::RangeInclusive<i64>) {
    for version in versions {
        for some in keys.chunks(50) {
            db.transaction(async |tx: &mut Tx<'_>| {
                for key in some {
                    tx.emit(counted(*key, version, version));
                }
                Ok(())
            })
            .await
            .unwrap();
        }
    }
}
