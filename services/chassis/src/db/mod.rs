//! The service's database: three pools of connections, transactions that carry events, migrations, and a helper for
//! statement-cached SQL. It knows the spine's tables and no other; every other table belongs to a store.

mod cached;
pub mod domain_clock;
mod given_up;
mod language;
mod migrate;
mod news;
mod pool;
pub mod purge;
pub(crate) mod skew;
mod tx;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};

pub use self::{
    cached::{Cached, With, cached},
    given_up::Abandonable,
    migrate::CHASSIS_MIGRATIONS,
    news::{Following, News},
    pool::Conn,
    tx::{Origin, Tx},
};
use self::{pool::Pool, tx::Effects};
pub use crate::config::DbConfig;
use crate::{
    Clock, Error, Result,
    crypto::Crypto,
    inbox::InboxState,
    outbox::{Gate, GateConfig, OutboxState},
    pressure::{Pressure, PressureConfig},
};

/// The service's database. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    /// For transactions; `reads` and `lists` beside it, so that neither waits for the other.
    writes: Pool,
    reads: Pool,
    lists: Pool,
    config: DbConfig,
    service: Arc<str>,
    clock: Clock,
    crypto: Crypto,
    outbox: Arc<OutboxState>,
    inbox: Arc<InboxState>,
    gate: Gate,
    pressure: Arc<Pressure>,
    news: Arc<News>,
    commands: AtomicU64,
}

/// What a database handle carries besides its connections.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name of the service: source of the events emitted here.
    pub service: String,
    /// Gives `Tx::now`.
    pub clock: Clock,
    /// Seals stored answers.
    pub crypto: Crypto,
    /// Limits of admission.
    pub gate: GateConfig,
    /// When new work is refused.
    pub pressure: PressureConfig,
    /// Transactions wait for what others hold up to the limit of every statement: nobody is kept waiting by that who might have gone on.
    pub patient: bool,
}

/// Settings of connections for transactions, which find rows by key. Without the first, a plan made while a table was
/// nearly empty would scan it for the first minutes of its growth (`SET LOCAL enable_seqscan = on` undoes it). Without
/// the second, the server plans many statements anew at every execution: measured, that was a seventh of its work.
pub const BY_KEY: &str = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan";

/// Besides, of those in the pool unless the service is [`Setup::patient`]: how long a statement waits for what another transaction holds.
/// Whoever waits keeps others waiting: a writer takes one batch after the other (what its waits come to stands beside `HELD_UP` of the
/// batches), and so does a consumer. Advisory locks count. What may wait longer says so (`SET LOCAL lock_timeout = 0`);
/// [`Db::dedicated`] has no such limit.
const NOT_HELD_UP: &str = "-c lock_timeout=2s";

/// Settings of connections for pages of long lists: the page is read in the order of an index, and the reading stops when
/// it is full. What is filtered row by row cannot be estimated, so the planner would rather read everything and sort it.
const IN_ORDER: &str = "-c enable_bitmapscan=off -c enable_sort=off";

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("service", &self.0.service).finish_non_exhaustive()
    }
}

/// Says of the closure of [`Db::transaction`] that its future is `Send`, which `AsyncFnOnce` alone cannot. Never
/// implement it.
pub trait Work<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as Work<A, R>>::Fut {
    /// The future of the closure.
    type Fut: Future<Output = R>;
}

impl<A, R, F, Fut> Work<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

impl Db {
    /// Opens the pool and checks that the server answers, in words that are understood here.
    pub async fn connect(config: &DbConfig, setup: Setup) -> Result<Self> {
        let [writes, reads, lists] = shares(config.max_connections);
        let options = if setup.patient { BY_KEY.to_owned() } else { format!("{BY_KEY} {NOT_HELD_UP}") };
        let writes = pool::open(config, writes, options).await?;
        language::check(&mut *writes.get().await?).await?;
        let reads = pool::open(config, reads, String::new()).await?;
        let lists = pool::open(config, lists, format!("{BY_KEY} {IN_ORDER}")).await?;
        let outbox = Arc::new(OutboxState::default());
        let gate = Gate::new(outbox.clone(), setup.gate);
        Ok(Self(Arc::new(Inner {
            writes,
            reads,
            lists,
            config: config.clone(),
            service: setup.service.into(),
            clock: setup.clock,
            crypto: setup.crypto,
            outbox,
            inbox: Arc::default(),
            gate,
            pressure: Arc::new(Pressure::new(setup.pressure)),
            news: Arc::default(),
            commands: AtomicU64::new(0),
        })))
    }

    /// A connection for reading, outside any transaction. If it is given back while a statement is under way, because whoever
    /// waited for it has gone, it is closed: of a call ([`Abandonable`]) always, elsewhere as long as no row has arrived.
    pub async fn conn(&self) -> Result<Conn> {
        self.take(&self.0.reads).await
    }

    /// A connection for pages of long lists: it reads in the order of an index wherever there is one. Only for statements
    /// whose plan does not depend on their values.
    pub async fn list_conn(&self) -> Result<Conn> {
        self.take(&self.0.lists).await
    }

    async fn take(&self, pool: &Pool) -> Result<Conn> {
        let mut broken = 0;
        loop {
            let mut conn = pool.get_owned().await?;
            // bb8 hands out idle connections unseen (no ping); one that the server has closed is thrown away here.
            if !pool::is_broken(&mut conn) || broken > self.0.config.max_connections {
                return Ok(conn);
            }
            broken += 1;
        }
    }

    /// A connection beside the pool, for leases and LISTEN. `options` are server settings such as
    /// `-c synchronous_commit=off`.
    pub async fn dedicated(&self, options: &str) -> Result<AsyncPgConnection> {
        pool::establish(&self.0.config, options).await.map_err(|error| {
            tracing::warn!(error = %error, "no database connection");
            Error::unavailable("the database is not reachable")
        })
    }

    /// Runs `work` in one transaction (READ COMMITTED). Its events are written to the outbox in one statement just
    /// before the commit. An error rolls everything back. If the future is dropped half-way, the connection is closed
    /// rather than given back inside a transaction, and the server ends what it was at within a second or so. It waits two
    /// seconds for what others hold, and ten for the next statement: nothing outside the database is to be waited for.
    pub async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        for<'r, 'c> F:
            AsyncFnOnce(&'r mut Tx<'c>) -> Result<T> + Work<&'r mut Tx<'c>, Result<T>, Fut: Send> + Send,
        T: Send,
    {
        let mut conn = self.take(&self.0.writes).await?;
        self.transaction_on(&mut conn, work).await
    }

    /// As [`transaction`](Self::transaction), on a connection the caller keeps ([`dedicated`](Self::dedicated) with
    /// [`BY_KEY`]).
    pub async fn transaction_on<T, F>(&self, conn: &mut AsyncPgConnection, work: F) -> Result<T>
    where
        for<'r, 'c> F:
            AsyncFnOnce(&'r mut Tx<'c>) -> Result<T> + Work<&'r mut Tx<'c>, Result<T>, Fut: Send> + Send,
        T: Send,
    {
        AnsiTransactionManager::begin_transaction_sql(&mut *conn, "BEGIN").await?;
        let mut effects = Effects::new(self.0.service.clone());
        let outcome = match work(&mut Tx::new(&mut *conn, self.0.clock.now(), &mut effects)).await {
            Ok(value) => effects.write(&*conn).await.map(|()| value),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => {
                AnsiTransactionManager::commit_transaction(&mut *conn).await?;
                effects.committed(&self.0.outbox, &self.0.news);
                Ok(value)
            }
            Err(error) => {
                // If the rollback fails too, the connection is broken and the pool drops it. Else what was sent together with
                // the statement that failed, and given up for it, has been answered before the rollback.
                if AnsiTransactionManager::rollback_transaction(&mut *conn).await.is_ok() {
                    pool::all_answered(conn);
                }
                Err(error)
            }
        }
    }

    /// Name of the service, as in events' source.
    pub fn service(&self) -> &Arc<str> {
        &self.0.service
    }

    /// The clock behind `Tx::now`.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// What the process knows of its outbox.
    pub fn outbox(&self) -> &Arc<OutboxState> {
        &self.0.outbox
    }

    /// What the process knows of its inbox.
    pub fn inbox(&self) -> &Arc<InboxState> {
        &self.0.inbox
    }

    /// Admission of commands.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// How long commands wait, and who may still begin something new.
    pub fn pressure(&self) -> &Arc<Pressure> {
        &self.0.pressure
    }

    /// What is waited for.
    pub fn news(&self) -> &Arc<News> {
        &self.0.news
    }

    /// Commands committed since the process started.
    pub fn commands(&self) -> u64 {
        AtomicU64::load(&self.0.commands, Ordering::Relaxed)
    }

    pub(crate) fn count_commands(&self, committed: u64) {
        self.0.commands.fetch_add(committed, Ordering::Relaxed);
    }

    pub(crate) fn crypto(&self) -> &Crypto {
        &self.0.crypto
    }
}

/// How many connections transactions, reads and lists may have out of so many; at least one each.
fn shares(max: u32) -> [u32; 3] {
    let (reads, lists) = ((max / 4).max(1), (max / 8).max(1));
    [max.saturating_sub(reads + lists).max(1), reads, lists]
}

#[cfg(test)]
mod tests {
    use super::*;
    use diesel_async::RunQueryDsl;

    /// Compiles only if a transaction that borrows from its surroundings may be spawned.
    #[expect(dead_code, reason = "it is there to be compiled")]
    fn transactions_are_send(db: Db) {
        tokio::spawn(async move {
            let text = String::from("SELECT 1");
            let n: Result<usize> = db
                .transaction(async |tx: &mut Tx<'_>| {
                    let n = diesel::sql_query(&text).execute(tx.conn).await?;
                    step(tx).await?;
                    Ok(n)
                })
                .await;
            n
        });
    }

    async fn step(tx: &mut Tx<'_>) -> Result<()> {
        cached("SELECT $1").bind::<diesel::sql_types::Integer, _>(1).execute(&mut *tx.conn).await?;
        Ok(())
    }
}
