//! Replicas that start together: one migrates, the others wait for as long as it takes. Older ones work on beside it.

use chassis::{
    db::{CHASSIS_MIGRATIONS, Db},
    inbox::ops,
};
use diesel_async::SimpleAsyncConnection;

use crate::common::{PRODUCER, World, until, world};

/// Key of the advisory lock of migrations.
const LOCK: i64 = 0x6a69_616e_6768_616e;

/// How many wait for the lock of this database.
async fn waiting(world: &World) -> i64 {
    let locks = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database \
                 WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()";
    world.number(locks).await
}

async fn migrate(db: Db) -> chassis::Result<()> {
    db.migrate(CHASSIS_MIGRATIONS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_waits_for_the_migrations_of_another_and_leaves_the_queue_when_it_dies() {
    let world = world(PRODUCER).await;
    let mut another = world.db.dedicated("").await.unwrap();
    another.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})")).await.unwrap();
    let dies = tokio::spawn(migrate(world.again().await));
    until("it waits", async || waiting(&world).await == 1).await;
    dies.abort();
    until("the server sees that it is gone", async || waiting(&world).await == 0).await;

    let waits = tokio::spawn(migrate(world.again().await));
    until("the next waits", async || waiting(&world).await == 1).await;
    assert!(!waits.is_finished());
    drop(another);
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_older_replica_reads_what_is_parked_beside_a_migration_that_adds_a_column() {
    let world = world(PRODUCER).await;
    let parked = async || ops::list(&world.db, false, 0, 10).await.map(|parked| parked.len());
    assert_eq!(parked().await.unwrap(), 0);
    let added = "ALTER TABLE parked_events ADD COLUMN of_the_next_release integer";
    world.db.conn().await.unwrap().batch_execute(added).await.unwrap();
    assert_eq!(parked().await.unwrap(), 0, "by the statement that was prepared before");
}
