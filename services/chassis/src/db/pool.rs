//! Connections: how they are opened, and the pools that keep them. A statement whose caller has gone (by a deadline, or with
//! its client) runs on at the server, and the next one on its connection would wait behind it. So such a connection is thrown
//! away instead of handed out, and the server looks every second whether the one it works for is still there.
//!
//! A process that dies with its machine closes nothing, and its open transactions keep their locks. So the server ends a
//! transaction that nobody goes on with, and asks by itself whether the other end still answers.

use std::time::Duration;

use bb8::{ManageConnection, QueueStrategy};
use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel_async::{
    AsyncConnection, AsyncPgConnection,
    pooled_connection::{PoolError, PoolableConnection},
};
use secrecy::ExposeSecret;

use super::{DbConfig, given_up::giving_up};

/// For all connections. Within a transaction of ours a statement follows soon upon the other: nothing outside the database is waited
/// for there. Whoever has to must say so (`SET LOCAL`). What is said of TCP means nothing to a Unix socket.
const WATCHED: &str = "-c idle_in_transaction_session_timeout=10s -c client_connection_check_interval=1s \
     -c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 -c tcp_user_timeout=15s";

/// Connections with the same settings.
pub(super) type Pool = bb8::Pool<Manager>;

/// A pooled connection that may outlive the borrow of its [`Db`](super::Db).
pub type Conn = bb8::PooledConnection<'static, Manager>;

/// Opens the connections of a pool, and says which of them are not to be kept.
pub struct Manager {
    config: DbConfig,
    options: String,
}

impl ManageConnection for Manager {
    type Connection = AsyncPgConnection;
    type Error = PoolError;

    async fn connect(&self) -> Result<AsyncPgConnection, PoolError> {
        establish(&self.config, &self.options).await.map_err(PoolError::ConnectionError)
    }

    async fn is_valid(&self, _: &mut AsyncPgConnection) -> Result<(), PoolError> {
        Ok(()) // a ping per checkout costs a round trip
    }

    fn has_broken(&self, conn: &mut AsyncPgConnection) -> bool {
        std::thread::panicking() || giving_up() || is_broken(conn)
    }
}

/// How many statements of a connection have begun and not been answered. The future of one that is dropped before its answer
/// begins never ends it; of one whose rows have begun to arrive, see [`super::Abandonable`].
#[derive(Default)]
struct Unfinished(u32);

impl Instrumentation for Unfinished {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { .. } => self.0 += 1,
            InstrumentationEvent::FinishQuery { .. } => self.0 = self.0.saturating_sub(1),
            _ => {}
        }
    }
}

fn unfinished(conn: &mut AsyncPgConnection) -> Option<&mut Unfinished> {
    conn.instrumentation().downcast_mut::<Unfinished>()
}

/// Whether it is closed, within a transaction, or at work on a statement that was given up.
pub(super) fn is_broken(conn: &mut AsyncPgConnection) -> bool {
    PoolableConnection::is_broken(conn) || unfinished(conn).is_some_and(|statements| statements.0 > 0)
}

/// Nothing is under way, though statements were given up: the server answers in order, and has answered a later one.
pub(super) fn all_answered(conn: &mut AsyncPgConnection) {
    if let Some(statements) = unfinished(conn) {
        statements.0 = 0;
    }
}

/// A pool of at most `size` connections with these settings besides those that all have.
pub(super) async fn open(config: &DbConfig, size: u32, options: String) -> Result<Pool, PoolError> {
    Pool::builder()
        .max_size(size)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms.max(1)))
        .max_lifetime(None)
        .idle_timeout(Some(Duration::from_secs(600)))
        // The one used last is used next: its server process has plans and tables at hand, in the processor's caches too.
        .queue_strategy(QueueStrategy::Lifo)
        .test_on_check_out(false) // see `Db::take`
        .build(Manager { config: config.clone(), options })
        .await
}

/// Opens one connection with the configured limits.
pub(super) async fn establish(
    config: &DbConfig,
    options: &str,
) -> diesel::ConnectionResult<AsyncPgConnection> {
    let bad = |error: tokio_postgres::Error| diesel::ConnectionError::BadConnection(error.to_string());
    let mut pg: tokio_postgres::Config = config.url.expose_secret().parse().map_err(bad)?;
    let limit = config.connect_timeout();
    let statement = config.statement_timeout_ms;
    let given = pg.get_options().unwrap_or_default();
    pg.options(format!("{given} -c statement_timeout={statement}ms {WATCHED} -c jit=off {options}"));
    if pg.get_connect_timeout().is_none() {
        pg.connect_timeout(limit);
    }
    if pg.get_application_name().is_none() {
        pg.application_name("jianghan");
    }
    pg.tcp_user_timeout(Duration::from_secs(15));
    // A connection that lies unused must not be found dead by a call, ten minutes later.
    pg.keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3);
    let (client, connection) = tokio::time::timeout(limit, pg.connect(tokio_postgres::NoTls))
        .await
        .map_err(|_| diesel::ConnectionError::BadConnection("the server did not answer in time".to_owned()))?
        .map_err(bad)?;
    let mut conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    conn.set_instrumentation(Unfinished::default());
    Ok(conn)
}
