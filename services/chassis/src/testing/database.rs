//! A database per test. One private PostgreSQL serves the whole test process; each service's schema is migrated once
//! into a template, from which databases are cloned in about 40 ms. `JIANGHAN_TEST_DATABASE_URL` (an address of a
//! server on which databases may be made) is used instead when set.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use diesel_migrations::EmbeddedMigrations;
use secrecy::SecretString;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    clock::{Clock, new_id},
    config::DbConfig,
    crypto::Crypto,
    db::{Db, Setup},
    embedded::postgres::{self, Options, Postgres},
    outbox::GateConfig,
    pressure::PressureConfig,
};

/// The server of this test process. A static, because tests share nothing else; the reaper ends it with the process.
static SERVER: OnceCell<Server> = OnceCell::const_new();

/// Templates made so far, by service.
static TEMPLATES: Mutex<Option<HashMap<String, Arc<OnceCell<String>>>>> = Mutex::const_new(None);

enum Server {
    Private(Postgres),
    Given(url::Url),
}

impl Server {
    async fn get() -> anyhow::Result<&'static Self> {
        SERVER
            .get_or_try_init(|| async {
                match std::env::var("JIANGHAN_TEST_DATABASE_URL").ok().filter(|url| !url.is_empty()) {
                    Some(url) => Ok(Self::Given(url.parse().context("JIANGHAN_TEST_DATABASE_URL")?)),
                    None => Ok(Self::Private(Postgres::start(Options::throw_away(false)).await?)),
                }
            })
            .await
    }

    fn url(&self, database: &str) -> String {
        match self {
            Self::Private(server) => server.url(database),
            Self::Given(url) => {
                let mut url = url.clone();
                url.set_path(&format!("/{database}"));
                url.to_string()
            }
        }
    }

    /// An address at which databases can be made.
    fn admin(&self) -> String {
        match self {
            Self::Private(server) => server.url("postgres"),
            Self::Given(url) => url.to_string(),
        }
    }
}

/// A database of its own, dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    url: String,
    admin: String,
    given: bool,
}

impl TestDb {
    /// A database with the chassis's and the service's migrations applied.
    ///
    /// # Errors
    /// When PostgreSQL cannot be started or a migration fails.
    pub async fn migrated(service: &str, migrations: fn() -> EmbeddedMigrations) -> anyhow::Result<Self> {
        let server = Server::get().await?;
        if let Server::Given(_) = server {
            let db = Self::create(server, None).await?; // templates would be left behind on a server of others
            migrate(&db.url, service, migrations).await?;
            return Ok(db);
        }
        let cell = {
            let mut templates = TEMPLATES.lock().await;
            templates.get_or_insert_with(HashMap::new).entry(service.to_owned()).or_default().clone()
        };
        let template = cell
            .get_or_try_init(|| async {
                let name = format!("template_{}", service.replace('-', "_"));
                postgres::create_database(&server.admin(), &name, None).await?;
                migrate(&server.url(&name), service, migrations).await?;
                anyhow::Ok(name)
            })
            .await?;
        Self::create(server, Some(template)).await
    }

    /// An empty database.
    ///
    /// # Errors
    /// When PostgreSQL cannot be started.
    pub async fn empty() -> anyhow::Result<Self> {
        Self::create(Server::get().await?, None).await
    }

    async fn create(server: &Server, template: Option<&str>) -> anyhow::Result<Self> {
        let name = format!("t_{}", new_id().simple());
        let admin = server.admin();
        let start = Instant::now();
        loop {
            match postgres::create_database(&admin, &name, template).await {
                Ok(_) => break,
                // The connections that migrated the template take a moment to go.
                Err(_) if template.is_some() && start.elapsed() < Duration::from_secs(60) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            }
        }
        let given = matches!(server, Server::Given(_));
        Ok(Self { url: server.url(&name), name, admin, given })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Configuration of a pool for it, small because many tests run at once.
    pub fn config(&self) -> DbConfig {
        DbConfig { url: SecretString::from(self.url.clone()), max_connections: 8, ..DbConfig::default() }
    }

    /// A handle to it as a service has one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn connect(&self, service: &str, clock: Clock) -> anyhow::Result<Db> {
        open(&self.config(), service, clock).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(postgres::drop_database(&admin, &name)).ok(); // the reaper takes what is left
            }
        });
        if self.given {
            dropping.join().ok();
        }
    }
}

async fn open(config: &DbConfig, service: &str, clock: Clock) -> anyhow::Result<Db> {
    let setup = Setup {
        service: service.to_owned(),
        clock,
        crypto: Crypto::from_keys(vec![[7; 32]]),
        gate: GateConfig::default(),
        pressure: PressureConfig::default(),
        patient: false,
    };
    Ok(Db::connect(config, setup).await?)
}

async fn migrate(url: &str, service: &str, migrations: fn() -> EmbeddedMigrations) -> anyhow::Result<()> {
    let config =
        DbConfig { url: SecretString::from(url.to_owned()), max_connections: 1, ..DbConfig::default() };
    let db = open(&config, service, Clock::system()).await?;
    db.migrate(migrations()).await.map_err(|error| anyhow::anyhow!(error.chain())).context("migrating")
}
