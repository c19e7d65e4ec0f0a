//! Tables beside the ones in use, filled from the log and then put in their place. The connection's search path
//! begins with `rebuild`, so that the consumer's own statements fill them.

use chassis::{Result, db::cached};
use diesel::{QueryableByName, sql_types::Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::stock;

/// Settings of a connection that rebuilds: its tables first, no limit of time, no wait for the disk (a crash throws
/// the work away anyway; the commit that counts is the last one, which is made durable).
pub const OPTIONS: &str =
    "-c search_path=rebuild,public -c statement_timeout=0 -c synchronous_commit=off -c enable_seqscan=off";

/// Key of the advisory lock that lets one rebuild run at a time (`rebuild` in ASCII).
const LOCK: i64 = 0x72_6562_7569_6c64;

/// The tables made anew, with the storage settings that `LIKE` does not copy.
const TABLES: [(&str, u8); 10] = [
    ("case_facts", 70),
    ("task_facts", 80),
    ("mediation_facts", 80),
    ("rollups", 70),
    ("stock_rollups", 70),
    ("duration_rollups", 80),
    ("state_counts", 50),
    ("open_due", 80),
    ("items", 100),
    ("process_rollups", 70),
];

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Whether this connection may rebuild; it keeps that right until it [releases](release) it or is closed.
pub async fn claim(conn: &mut AsyncPgConnection) -> Result<bool> {
    let row: Taken =
        diesel::sql_query(format!("SELECT pg_try_advisory_lock({LOCK}) AS taken")).get_result(conn).await?;
    Ok(row.taken)
}

/// Gives the right back.
pub async fn release(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})")).await?;
    Ok(())
}

/// Makes the tables, empty. What an aborted rebuild left is thrown away.
pub async fn make_tables(conn: &mut AsyncPgConnection) -> Result<()> {
    for (table, fillfactor) in TABLES {
        conn.batch_execute(&format!(
            "DROP TABLE IF EXISTS rebuild.{table}; \
             CREATE TABLE rebuild.{table} (LIKE public.{table} INCLUDING ALL) WITH (fillfactor = {fillfactor})"
        ))
        .await?;
    }
    Ok(())
}

/// Waits until no transaction is appending to the log, and lets none begin until this one ends.
pub async fn lock_log(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("LOCK TABLE ONLY public.event_log IN SHARE MODE").await?;
    Ok(())
}

/// As [`lock_log`], and no transaction reads the tables in use, nor can one begin to. Whoever is at them for long is not waited for:
/// consumers and readers would wait behind this one. `case_facts` comes first: readers lock it before all others (`query::snapshot`).
pub async fn lock_all(conn: &mut AsyncPgConnection) -> Result<()> {
    let tables = TABLES.map(|(table, _)| format!("public.{table}")).join(", ");
    conn.batch_execute("SET LOCAL lock_timeout = '2s'").await?;
    lock_log(conn).await?;
    conn.batch_execute(&format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE; SET LOCAL lock_timeout = 0"))
        .await?;
    Ok(())
}

/// Puts the tables in the place of the ones in use, under [`lock_all`]. Readers and consumers see the change with the commit. Lines
/// that items were seen under stay: consumers note each once as long as they run, and what was seen in passing is not seen where many
/// events are replayed at once.
pub async fn swap(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute(
        "SET LOCAL synchronous_commit = on; \
         INSERT INTO rebuild.items (item_code, line) SELECT item_code, line FROM public.items \
         ON CONFLICT DO NOTHING",
    )
    .await?;
    for (table, _) in TABLES {
        conn.batch_execute(&format!(
            "DROP TABLE public.{table}; ALTER TABLE rebuild.{table} SET SCHEMA public; ANALYZE public.{table}"
        ))
        .await?;
    }
    cached(
        "INSERT INTO consumption AS c (slot, revision, events, watermark) VALUES (-1, 1, 0, clock_timestamp()) \
         ON CONFLICT (slot) DO UPDATE SET revision = c.revision + 1",
    )
    .execute(conn)
    .await?;
    stock::note_kept(conn).await
}
