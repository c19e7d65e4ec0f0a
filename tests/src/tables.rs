//! Looking into the services' databases, for checks only: what was stored, what is under way.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls, Row, types::ToSql};
use uuid::Uuid;

use crate::{World, wait::eventually};

/// Services with a database.
pub const SERVICES: [&str; 5] = jianghan::suite::SERVICES;

/// A reader's connection to one service's database.
pub struct Tables(Client);

impl Tables {
    /// Connects.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn of(world: &World, service: &str) -> Result<Self> {
        let url = {
            let launched = world.launched.lock().await;
            let server = launched.postgres.as_ref().context("the world has its own PostgreSQL")?;
            server.url(&service.replace('-', "_"))
        };
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// Rows of a query.
    ///
    /// # Panics
    /// When the query fails: it is the test's own.
    pub async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.0.query(sql, values).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// One number.
    pub async fn count(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> i64 {
        self.rows(sql, values).await[0].get(0)
    }

    /// Writes a row by hand: only for what no API can bring about, such as an event that cannot be decoded, or a row that is lost
    /// and comes back.
    pub async fn forge(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) {
        self.0.execute(sql, values).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// Connections to every database, to follow what a command sets off.
pub struct Ledger(Vec<(&'static str, Tables)>);

impl Ledger {
    /// Connects to all.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn open(world: &World) -> Result<Self> {
        let mut all = Vec::new();
        for service in SERVICES {
            all.push((service, Tables::of(world, service).await?));
        }
        Ok(Self(all))
    }

    /// One service's tables.
    pub fn of(&self, service: &str) -> &Tables {
        &self.0.iter().find(|(name, _)| *name == service).expect("a service of the suite").1
    }

    /// Waits until everything that a command (by its `request_id`) set off has been handled by all its consumers.
    pub async fn handled(&self, correlation: Uuid) {
        eventually("the events of a command to be handled everywhere", async || {
            let before = self.logged(correlation).await;
            (self.unsent(correlation).await == 0
                && self.taken_in(&before).await
                && self.unsent(correlation).await == 0
                && self.logged(correlation).await.len() == before.len())
            .then_some(())
        })
        .await;
    }

    async fn logged(&self, correlation: Uuid) -> Vec<(Uuid, String)> {
        let sql = "SELECT id, type FROM event_log WHERE correlation_id = $1";
        let rows = self.of("analytics").rows(sql, &[&correlation]).await;
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn unsent(&self, correlation: Uuid) -> i64 {
        let mut unsent = 0;
        for (_, tables) in &self.0 {
            unsent +=
                tables.count("SELECT count(*) FROM outbox WHERE correlation_id = $1", &[&correlation]).await;
        }
        unsent
    }

    async fn taken_in(&self, events: &[(Uuid, String)]) -> bool {
        for (id, event_type) in events {
            for consumer in chassis::event::catalogue().consumers(event_type) {
                if self.of(consumer).count("SELECT count(*) FROM inbox WHERE event_id = $1", &[id]).await == 0
                {
                    return false;
                }
            }
        }
        true
    }
}

/// How far the events of the case that a message names have come, for the report of a failure.
pub async fn how_far(world: &World, message: &str) -> String {
    let id = message.split([' ', ':']).find_map(|word| word.parse::<Uuid>().ok());
    let (Some(id), Ok(ledger)) = (id, Ledger::open(world).await) else { return String::new() };
    let mut told = String::new();
    for (service, tables) in &ledger.0 {
        let unsent = tables.count("SELECT count(*) FROM outbox WHERE partition_key = $1", &[&id]).await;
        let parked =
            tables.count("SELECT count(*) FROM parked_events WHERE partition_key = $1", &[&id]).await;
        told.push_str(&format!("  {service}: {unsent} unsent, {parked} parked\n"));
    }
    let held = "SELECT 'task ' || row_to_json(t)::text FROM tasks t WHERE case_id = $1
        UNION ALL SELECT 'assignment ' || row_to_json(a)::text FROM assignments a WHERE case_id = $1";
    for row in ledger.of("staffing").rows(held, &[&id]).await {
        told.push_str(&format!("  staffing holds {}\n", row.get::<_, String>(0)));
    }
    let sql = "SELECT id, type, aggregate_version FROM event_log WHERE partition_key = $1 ORDER BY seq";
    for row in ledger.of("analytics").rows(sql, &[&id]).await {
        let (event, event_type, version): (Uuid, String, i64) = (row.get(0), row.get(1), row.get(2));
        told.push_str(&format!("  v{version} {event_type} {event}:"));
        for consumer in chassis::event::catalogue().consumers(&event_type) {
            let taken = "SELECT count(*) FROM inbox WHERE event_id = $1";
            let mark = if ledger.of(consumer).count(taken, &[&event]).await == 0 { "MISSING" } else { "in" };
            told.push_str(&format!(" {consumer} {mark}"));
        }
        told.push('\n');
    }
    told
}
