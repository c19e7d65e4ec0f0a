//! Compiles only if the spine can be used the way services use it: from spawned tasks and from async traits.

use std::collections::HashMap;

use async_trait::async_trait;
use chassis::{
    Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change, Decide, Decision, Executor, ExecutorConfig, Meta, Target, once},
    db::{Db, Tx, cached},
    event::Event,
    inbox::Consumer,
};
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

struct Things;

#[derive(Clone)]
struct Thing;

impl AggregateStore for Things {
    type Id = Uuid;
    type Aggregate = Thing;
    const KIND: &'static str = "thing";

    fn id_text(id: Uuid) -> String {
        id.to_string()
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Thing>> {
        cached("SELECT $1").bind::<Array<SqlUuid>, _>(ids).execute(&mut conn).await?;
        Ok(ids.iter().map(|id| (*id, Thing)).collect())
    }

    async fn save(&self, mut conn: &AsyncPgConnection, changes: Vec<Change<Thing>>) -> Result<()> {
        cached("SELECT 1").execute(&mut conn).await?;
        drop(changes);
        Ok(())
    }

    fn within_reach(&self, _: &Thing, _: &Caller) -> bool {
        true
    }
}

struct Touch;

impl Decide<Thing> for Touch {
    fn decide(&self, _: Option<&Thing>, _: &Caller, _: Timestamp) -> Result<Decision<Thing>> {
        Ok(Decision { aggregate: Thing, events: Vec::new() })
    }
}

struct Listens(Executor<Things>);

#[async_trait]
impl Consumer for Listens {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let commands =
            events.iter().map(|e| (e.partition_key, Box::new(Touch) as Box<dyn Decide<Thing>>)).collect();
        self.0.apply(tx, &Caller::system("things"), commands).await?;
        cached("SELECT 1").execute(&mut *tx.conn).await?;
        diesel::sql_query("SELECT 1").execute(tx.conn).await?;
        Ok(())
    }
}

fn use_it_all(db: Db, caller: Caller) -> Result<tokio::task::JoinHandle<Result<()>>> {
    let executor = Executor::new(db.clone(), Things, ExecutorConfig::default());
    let meta = Meta::new("Touch", &Uuid::nil().to_string(), &())?;
    let listens = Listens(executor.clone());
    Ok(tokio::spawn(async move {
        let note = String::from("x");
        let () =
            Executor::execute(&executor, &caller, meta, Uuid::nil(), Target::Existing, Touch, |_: &Thing| ())
                .await?;
        let () = once(&db, &caller, meta, async |tx: &mut Tx<'_>| {
            diesel::sql_query(&note).execute(&mut *tx.conn).await?;
            executor.apply(tx, &caller, vec![(Uuid::nil(), Box::new(Touch))]).await?;
            Ok(())
        })
        .await?;
        db.transaction(async |tx: &mut Tx<'_>| {
            listens.handle(tx, &[]).await?;
            AggregateStore::load(listens.0.store(), tx.conn, &[]).await?;
            Ok(())
        })
        .await
    }))
}

#[test]
fn the_spine_is_usable_from_tasks_and_async_traits() {
    let _: fn(Db, Caller) -> Result<tokio::task::JoinHandle<Result<()>>> = use_it_all;
    assert_eq!(Things::KIND, "thing");
}
