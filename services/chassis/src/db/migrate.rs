//! Migrations: the chassis's own tables first, then the service's, under an advisory lock so that replicas which
//! start together do not race. Versions of the chassis start with zeros and never meet those of a service.
//!
//! Until the first release migrations are still changed in place. [`GENERATION`] says so to databases of earlier builds:
//! they are refused with a sentence instead of failing somewhere later.

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::{QueryableByName, sql_types::Bool};
use diesel_async::{
    AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection, async_connection_wrapper::AsyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::Db;
use crate::{Error, Result};

/// The tables every service has.
pub const CHASSIS_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Key of the advisory lock (`jianghan` in ASCII).
const LOCK: i64 = 0x6a69_616e_6768_616e;

/// Raised whenever a migration that was there before is changed in place; 0 is what no row says.
const GENERATION: i32 = 4;

/// Notes the generation of a fresh database; an error where the database is one of another.
const CHECK: &str = "DO $$ BEGIN \
     IF to_regclass('__diesel_schema_migrations') IS NULL THEN \
         CREATE TABLE IF NOT EXISTS schema_generation (generation integer NOT NULL); \
         INSERT INTO schema_generation SELECT {generation} WHERE NOT EXISTS (SELECT 1 FROM schema_generation); \
     ELSIF to_regclass('schema_generation') IS NULL \
         OR NOT EXISTS (SELECT 1 FROM schema_generation WHERE generation = {generation}) THEN \
         RAISE EXCEPTION 'another generation' USING ERRCODE = 'JH001'; \
     END IF; END $$";

/// Waiting for another replica has no limit, its migrations may take long. The server sees when who waits is gone or cut off, as on
/// every connection of ours: it would stay in the queue, get the lock, and keep it from the others.
const WAITING: &str = "-c statement_timeout=0 -c lock_timeout=0";

#[derive(QueryableByName)]
struct Lock {
    #[diesel(sql_type = Bool)]
    had: bool,
}

impl Db {
    /// Applies what is missing of the chassis's and then of the service's migrations. Other replicas wait.
    ///
    /// # Errors
    /// `WrongState` where the database was made by a build whose migrations have been changed since.
    pub async fn migrate<S>(&self, service: S) -> Result<()>
    where
        S: MigrationSource<Pg> + Send + 'static,
    {
        let mut conn = self.dedicated(WAITING).await?;
        let lock: Lock = diesel::sql_query(format!("SELECT pg_try_advisory_lock({LOCK}) AS had"))
            .get_result(&mut conn)
            .await?;
        if !lock.had {
            tracing::info!(service = %self.service(), "waits for the migrations of another replica");
            conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
        }
        conn.batch_execute("SET lock_timeout = '60s'").await?; // for a table
        conn.batch_execute(&CHECK.replace("{generation}", &GENERATION.to_string())).await.map_err(|error| {
            if error.to_string().contains("another generation") {
                return Error::wrong_state(
                    "database",
                    self.service(),
                    "was made by an earlier build and does not fit this one: start with an empty one (for `up`, another \
                     --data-dir)",
                );
            }
            error.into()
        })?;
        // The lock goes with the connection, also when a migration fails.
        tokio::task::spawn_blocking(move || {
            let mut conn: AsyncConnectionWrapper<AsyncPgConnection> = conn.into();
            for result in [
                conn.run_pending_migrations(CHASSIS_MIGRATIONS).map(drop),
                conn.run_pending_migrations(service).map(drop),
            ] {
                result.map_err(Error::internal)?;
            }
            Ok(())
        })
        .await
        .map_err(Error::task)?
    }
}
