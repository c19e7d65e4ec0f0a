//! SQL of the outbox. Rows are read by number without those in flight, and removed by number: a "last number"
//! cursor would skip rows, because PostgreSQL commits out of order.

use bytes::Bytes;
use chrono::SubsecRound;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    Error, Result, Timestamp,
    db::cached,
    event::{Event, catalogue},
    inbox::ops::MOST_COUNTED,
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Appends events, numbered in their order, in one statement. Gives them with their numbers, as they will be read.
pub(crate) async fn insert(mut conn: &AsyncPgConnection, events: Vec<Event>) -> Result<Vec<(i64, Event)>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let column = Columns::of(&events);
    let numbers: Vec<Number> = cached(
        "INSERT INTO outbox (id, type, subject, occurred_at, partition_key, aggregate_version, unit_id, line, \
         correlation_id, causation_id, actor_ref, traceparent, data) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10), unnest($11), unnest($12), unnest($13) RETURNING seq, id",
    )
    .bind::<Array<SqlUuid>, _>(column.id)
    .bind::<Array<Text>, _>(column.r#type)
    .bind::<Array<Text>, _>(column.subject)
    .bind::<Array<Timestamptz>, _>(column.time)
    .bind::<Array<SqlUuid>, _>(column.partition_key)
    .bind::<Array<BigInt>, _>(column.aggregate_version)
    .bind::<Array<Nullable<SqlUuid>>, _>(column.unit_id)
    .bind::<Array<Nullable<Text>>, _>(column.line)
    .bind::<Array<SqlUuid>, _>(column.correlation_id)
    .bind::<Array<Nullable<SqlUuid>>, _>(column.causation_id)
    .bind::<Array<Nullable<Text>>, _>(column.actor_ref)
    .bind::<Array<Nullable<Text>>, _>(column.traceparent)
    .bind::<Array<Bytea>, _>(column.data)
    .load(&mut conn)
    .await?;
    if !numbers.iter().map(|number| number.id).eq(events.iter().map(|event| event.id)) {
        return Err(Error::internal("events were not written in their order"));
    }
    // The table keeps microseconds.
    let kept = |event: Event| Event { time: event.time.trunc_subsecs(6), ..event };
    Ok(numbers.iter().map(|number| number.seq).zip(events.into_iter().map(kept)).collect())
}

/// The envelope column by column, for `unnest`. The inbox's parked events use it too.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    pub id: Vec<Uuid>,
    pub r#type: Vec<&'a str>,
    pub source: Vec<&'a str>,
    pub subject: Vec<&'a str>,
    pub time: Vec<Timestamp>,
    pub partition_key: Vec<Uuid>,
    pub aggregate_version: Vec<i64>,
    pub unit_id: Vec<Option<Uuid>>,
    pub line: Vec<Option<&'a str>>,
    pub correlation_id: Vec<Uuid>,
    pub causation_id: Vec<Option<Uuid>>,
    pub actor_ref: Vec<Option<&'a str>>,
    pub traceparent: Vec<Option<&'a str>>,
    pub data: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut all = Self::default();
        for event in events {
            all.id.push(event.id);
            all.r#type.push(&event.r#type);
            all.source.push(&event.source);
            all.subject.push(&event.subject);
            all.time.push(event.time);
            all.partition_key.push(event.partition_key);
            all.aggregate_version.push(event.aggregate_version);
            all.unit_id.push(event.unit_id);
            all.line.push(event.line.as_deref());
            all.correlation_id.push(event.correlation_id);
            all.causation_id.push(event.causation_id);
            all.actor_ref.push(event.actor_ref.as_deref());
            all.traceparent.push(event.traceparent.as_deref());
            all.data.push(&event.data);
        }
        all
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    r#type: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    partition_key: Uuid,
    #[diesel(sql_type = BigInt)]
    aggregate_version: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    unit_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    correlation_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    causation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    actor_ref: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    traceparent: Option<String>,
    #[diesel(sql_type = Bytea)]
    data: Vec<u8>,
}

/// The next unsent events by number, without those in flight, above `floor`.
pub(crate) async fn read(
    conn: &mut AsyncPgConnection,
    source: &str,
    floor: i64,
    in_flight: &[i64],
    limit: i64,
) -> Result<Vec<(i64, Event)>> {
    // A set, which is hashed: `<> ALL ($1)` of a generic plan compares every row with every number.
    let rows: Vec<Row> = cached(
        "SELECT seq, id, type, subject, occurred_at, partition_key, aggregate_version, unit_id, line, \
         correlation_id, causation_id, actor_ref, traceparent, data FROM outbox \
         WHERE seq > $3 AND seq NOT IN (SELECT unnest($1::bigint[])) ORDER BY seq LIMIT $2",
    )
    .bind::<Array<BigInt>, _>(in_flight)
    .bind::<BigInt, _>(limit)
    .bind::<BigInt, _>(floor)
    .load(conn)
    .await?;
    let catalogue = catalogue();
    let events = rows
        .into_iter()
        .map(|row| {
            let event = Event {
                id: row.id,
                r#type: catalogue.intern(&row.r#type),
                source: source.to_owned(),
                subject: row.subject,
                time: row.occurred_at,
                partition_key: row.partition_key,
                aggregate_version: row.aggregate_version,
                unit_id: row.unit_id,
                line: row.line,
                correlation_id: row.correlation_id,
                causation_id: row.causation_id,
                actor_ref: row.actor_ref,
                traceparent: row.traceparent,
                data: Bytes::from(row.data),
            };
            (row.seq, event)
        })
        .collect();
    Ok(events)
}

/// Removes confirmed rows.
pub(crate) async fn delete(conn: &mut AsyncPgConnection, seqs: &[i64]) -> Result<()> {
    cached("DELETE FROM outbox WHERE seq = ANY($1)").bind::<Array<BigInt>, _>(seqs).execute(conn).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
    #[diesel(sql_type = BigInt)]
    ended: i64,
    #[diesel(sql_type = BigInt)]
    next: i64,
}

/// How far the transactions of the server are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    /// All below this one have ended.
    pub ended: i64,
    /// The one that begins next.
    pub next: i64,
}

/// How many rows wait, the number of the oldest, and how far transactions are. The first [`MOST_COUNTED`] rows are counted; what
/// lies beyond is told by the numbers from there to the newest, of which some may have no row.
pub(crate) async fn count(conn: &mut AsyncPgConnection) -> Result<(i64, Option<i64>, Horizon)> {
    let row: Count = cached(
        "SELECT count(*) + coalesce((SELECT max(seq) FROM outbox) - max(seq), 0) AS count, min(seq) AS oldest, \
         pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS ended, \
         pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next \
         FROM (SELECT seq FROM outbox ORDER BY seq LIMIT $1) AS counted",
    )
    .bind::<BigInt, _>(MOST_COUNTED)
    .get_result(conn)
    .await?;
    Ok((row.count, row.oldest, Horizon { ended: row.ended, next: row.next }))
}
