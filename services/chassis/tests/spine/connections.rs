//! Statements that are given up before they are answered, and the connections they were on.

use std::time::{Duration, Instant};

use chassis::{
    Result,
    db::{Abandonable, Db, Tx},
};
use diesel::{
    QueryableByName,
    sql_types::{Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::task::JoinHandle;

use crate::common::{PRODUCER, number, until, world};

/// Longer than anything here takes, and shorter than the time after which the server itself ends a statement.
const SLEEP: &str = "SELECT pg_sleep(25)";

/// How many sleep in this database.
const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity \
     WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'";

async fn run(mut conn: &AsyncPgConnection, sql: &'static str) -> Result<()> {
    diesel::sql_query(sql).execute(&mut conn).await?;
    Ok(())
}

/// Gives up what sleeps once it does, and expects that the server ends it soon. Gives what it took until `db` answered again.
async fn give_up(sleeps: JoinHandle<Result<()>>, db: &Db, watch: &Db) -> Duration {
    until("it sleeps", async || number(watch, SLEEPING).await == 1).await;
    sleeps.abort();
    assert!(sleeps.await.unwrap_err().is_cancelled());
    let given_up = Instant::now();
    assert_eq!(number(db, "SELECT 1").await, 1);
    let answered = given_up.elapsed();
    until("the server sees that it is gone", async || number(watch, SLEEPING).await == 0).await;
    assert!(given_up.elapsed() < Duration::from_secs(15), "{:?}", given_up.elapsed());
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_given_up_holds_up_no_other_and_ends_at_the_server() {
    let world = world(PRODUCER).await;
    let (db, watch) = (world.db.clone(), world.again().await);
    let sleeps = tokio::spawn(async move {
        let conn = db.conn().await?;
        run(&conn, SLEEP).await
    });
    let answered = give_up(sleeps, &world.db, &watch).await;
    assert!(answered < Duration::from_secs(10), "the next one did not wait behind it: {answered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_given_up_half_way_holds_up_no_other_and_ends_at_the_server() {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        _text: String,
    }
    let world = world(PRODUCER).await;
    let (db, watch) = (world.db.clone(), world.again().await);
    // The first row is more than the server keeps back, so that it has been sent by the time of the second.
    let rows = "SELECT repeat('x', 20000) || pg_sleep(CASE n WHEN 1 THEN 0 ELSE 25 END)::text AS _text \
                FROM generate_series(1, 2) AS n";
    let sleeps: JoinHandle<Result<()>> = tokio::spawn(Abandonable::new(async move {
        let mut conn = db.list_conn().await?;
        diesel::sql_query(rows).load::<Row>(&mut *conn).await?;
        Ok(())
    }));
    until("it sleeps", async || number(&watch, SLEEPING).await == 1).await;
    sleeps.abort();
    assert!(sleeps.await.is_err());
    let given_up = Instant::now();
    let conn = world.db.list_conn().await.unwrap();
    run(&conn, "SELECT 1").await.unwrap();
    assert!(given_up.elapsed() < Duration::from_secs(10), "it waited behind it: {:?}", given_up.elapsed());
    until("the server sees that it is gone", async || number(&watch, SLEEPING).await == 0).await;
    assert!(given_up.elapsed() < Duration::from_secs(15), "{:?}", given_up.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_given_up_ends_at_the_server() {
    let world = world(PRODUCER).await;
    let (db, watch) = (world.db.clone(), world.again().await);
    let sleeps =
        tokio::spawn(
            async move { db.transaction(async |tx: &mut Tx<'_>| run(&*tx.conn, SLEEP).await).await },
        );
    give_up(sleeps, &world.db, &watch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_goes_on_with_loses_its_locks() {
    let world = world(PRODUCER).await;
    let db = world.db.clone();
    let left = tokio::spawn(async move {
        db.transaction(async |tx: &mut Tx<'_>| {
            run(&*tx.conn, "LOCK TABLE counter").await?;
            std::future::pending::<Result<()>>().await
        })
        .await
    });
    let held = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database \
        WHERE datname = current_database() AND relation = 'counter'::regclass \
        AND mode = 'AccessExclusiveLock'";
    until("it holds the table", async || world.number(held).await == 1).await;
    let since = Instant::now();
    until("the server ends it", async || world.number(held).await == 0).await;
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    left.abort();
}

async fn process(conn: &mut AsyncPgConnection) -> Result<i32> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        process: i32,
    }
    let row: Row = diesel::sql_query("SELECT pg_backend_pid() AS process").get_result(conn).await?;
    Ok(row.process)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_statements_are_all_answered_is_used_again() {
    let world = world(PRODUCER).await;
    let reads = async || process(&mut *world.db.conn().await?).await;
    let first = reads().await.unwrap();
    {
        let conn = world.db.conn().await.unwrap();
        let (one, failed, two) =
            futures::join!(run(&conn, "SELECT 1"), run(&conn, "SELECT 1 / 0"), run(&conn, "SELECT 2"));
        assert!(one.is_ok() && failed.is_err() && two.is_ok(), "sent together, each answered");
    }
    assert_eq!(reads().await.unwrap(), first);

    let writes = async || world.db.transaction(async |tx: &mut Tx<'_>| process(tx.conn).await).await.unwrap();
    let first = writes().await;
    let failed = world
        .db
        .transaction(async |tx: &mut Tx<'_>| {
            let conn = &*tx.conn;
            // The first fails, the second is not waited for; the rollback comes behind both.
            futures::try_join!(run(conn, "SELECT 1 / 0"), run(conn, "SELECT 1")).map(drop)
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(writes().await, first);
}
