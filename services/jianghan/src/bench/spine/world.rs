//! What the bench puts through the spine: counters as aggregates, one event of about 300 bytes per command, and a
//! consumer that adds them up, written multi-row as services do. Thrown away with its databases.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use chassis::{
    Error, Result, Timestamp,
    auth::Caller,
    command::{AggregateStore, Change, Decide, Decision},
    db::{Tx, cached},
    event::{Catalogue, Emit, Event},
    inbox::Consumer,
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Emits.
pub const PRODUCER: &str = "producer";
/// Consumes.
pub const LEDGER: &str = "ledger";

/// The producer's own table.
pub const COUNTERS: &str = "CREATE TABLE counter (id uuid PRIMARY KEY, value bigint NOT NULL, version bigint NOT NULL) \
     WITH (fillfactor = 80)";
/// The consumer's own table.
pub const SUMS: &str = "CREATE TABLE sum (slot bigint PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL) \
     WITH (fillfactor = 50)";

/// Bytes that stand for the facts of a case.
const FACTS: usize = 240;
/// Rows of the rollup.
const SLOTS: u128 = 200;

/// The event.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Counted {
    /// Partition key.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What the command added.
    #[prost(int64, tag = "2")]
    pub added: i64,
    /// Weight.
    #[prost(bytes = "vec", tag = "3")]
    pub facts: Vec<u8>,
}

impl proto::EventMessage for Counted {
    const TYPE: &'static str = "jianghan.bench.v1.Counted";
}

/// The answer of a command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    /// Value after it.
    #[prost(int64, tag = "1")]
    pub value: i64,
}

/// Which service gets what.
pub fn catalogue() -> Arc<Catalogue> {
    use proto::EventMessage;
    Arc::new(Catalogue::new(&[PRODUCER, LEDGER], [(Counted::TYPE, "id", vec![LEDGER.to_owned()])]))
}

/// An event of one counter.
pub fn counted(id: Uuid, version: i64, added: i64) -> Emit {
    Emit::new(id, version, &Counted { id: id.to_string(), added, facts: vec![7; FACTS] })
}

/// The aggregate.
#[derive(Clone, Debug)]
pub struct Counter {
    id: Uuid,
    /// Sum of what was added.
    pub value: i64,
    version: i64,
}

/// Stores counters.
pub struct Counters;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = BigInt)]
    value: i64,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl AggregateStore for Counters {
    type Id = Uuid;
    type Aggregate = Counter;
    const KIND: &'static str = "counter";

    fn id_text(id: Uuid) -> String {
        id.to_string()
    }

    async fn load(&self, mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Counter>> {
        let rows: Vec<Row> =
            cached("SELECT id, value, version FROM counter WHERE id = ANY($1) ORDER BY id FOR UPDATE")
                .bind::<Array<SqlUuid>, _>(ids)
                .load(&mut conn)
                .await?;
        Ok(rows.into_iter().map(|Row { id, value, version }| (id, Counter { id, value, version })).collect())
    }

    async fn save(&self, mut conn: &AsyncPgConnection, changes: Vec<Change<Counter>>) -> Result<()> {
        cached(
            "INSERT INTO counter (id, value, version) SELECT unnest($1), unnest($2), unnest($3) \
             ON CONFLICT (id) DO UPDATE SET value = excluded.value, version = excluded.version",
        )
        .bind::<Array<SqlUuid>, _>(changes.iter().map(|c| c.after.id).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(changes.iter().map(|c| c.after.value).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(changes.iter().map(|c| c.after.version).collect::<Vec<_>>())
        .execute(&mut conn)
        .await?;
        Ok(())
    }

    fn within_reach(&self, _: &Counter, _: &Caller) -> bool {
        true
    }
}

/// Adds to a counter, or makes it.
#[derive(Clone, Copy)]
pub struct Add {
    /// Which counter.
    pub id: Uuid,
    /// How much.
    pub by: i64,
}

impl Decide<Counter> for Add {
    fn decide(&self, current: Option<&Counter>, _: &Caller, _: Timestamp) -> Result<Decision<Counter>> {
        let (value, version) = current.map_or((0, 0), |counter| (counter.value, counter.version));
        let aggregate = Counter { id: self.id, value: value + self.by, version: version + 1 };
        let events = vec![counted(self.id, aggregate.version, self.by)];
        Ok(Decision { aggregate, events })
    }
}

/// Adds events up by slot: aggregated in memory, one statement per batch, rows in order.
pub struct Ledger;

#[async_trait]
impl Consumer for Ledger {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let mut sums: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for event in events {
            let counted: Counted = event.decode()?;
            let slot = i64::try_from(event.partition_key.as_u128() % SLOTS).map_err(Error::internal)?;
            let sum = sums.entry(slot).or_default();
            *sum = (sum.0 + 1, sum.1 + counted.added);
        }
        cached(
            "INSERT INTO sum AS s (slot, events, total) SELECT unnest($1), unnest($2), unnest($3) ON CONFLICT (slot) \
             DO UPDATE SET events = s.events + excluded.events, total = s.total + excluded.total",
        )
        .bind::<Array<BigInt>, _>(sums.keys().copied().collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(sums.values().map(|sum| sum.0).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(sums.values().map(|sum| sum.1).collect::<Vec<_>>())
        .execute(&mut *tx.conn)
        .await?;
        Ok(())
    }
}

#[derive(QueryableByName)]
struct Total {
    #[diesel(sql_type = BigInt)]
    events: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
}

/// How many events the consumer has added up, and to what.
pub async fn total(conn: &mut AsyncPgConnection) -> Result<(i64, i64)> {
    let Total { events, total } = diesel::sql_query(
        "SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(total), 0)::bigint AS total FROM sum",
    )
    .get_result(conn)
    .await?;
    Ok((events, total))
}
