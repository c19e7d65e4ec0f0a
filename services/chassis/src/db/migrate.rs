//! Migrations: the chassis's own tables first, then the service's, under an advisory lock so that replicas which
//! start together do not race. Versions of the chassis start with zeros and never meet those of a service.

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection, async_connection_wrapper::AsyncConnectionWrapper,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::Db;
use crate::{Error, Result};

/// The tables every service has.
pub const CHASSIS_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Key of the advisory lock (`jianghan` in ASCII).
const LOCK: i64 = 0x6a69_616e_6768_616e;

impl Db {
    /// Applies what is missing of the chassis's and then of the service's migrations. Other replicas wait.
    pub async fn migrate<S>(&self, service: S) -> Result<()>
    where
        S: MigrationSource<Pg> + Send + 'static,
    {
        let mut conn = self.dedicated("-c statement_timeout=0 -c lock_timeout=60s").await?;
        conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
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
        .map_err(Error::internal)?
    }
}
