//! `event_log`: append-only. Written by the consumer, read by a rebuild.

use chassis::{
    Result, Timestamp,
    db::cached,
    event::{Event, catalogue},
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bytea, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

/// Appends events in their order and notes how far counting has come, in one statement. It is the first statement of
/// a consumer's transaction: whoever locks the log out has then no transaction half-way.
pub async fn append(conn: &mut AsyncPgConnection, events: &[Event]) -> Result<()> {
    fn column<'a, T>(events: &'a [Event], of: impl FnMut(&'a Event) -> T) -> Vec<T> {
        events.iter().map(of).collect()
    }
    let Some(slot) = events.iter().map(|e| i16::from(e.partition())).min() else { return Ok(()) };
    cached(
        "WITH noted AS (INSERT INTO consumption AS c (slot, revision, stock_revision, events, watermark) \
         VALUES ($15, 1, 1, $16, clock_timestamp()) ON CONFLICT (slot) DO UPDATE \
         SET revision = c.revision + 1, stock_revision = c.stock_revision + 1, \
         events = c.events + excluded.events, watermark = excluded.watermark) \
         INSERT INTO event_log (id, type, source, subject, occurred_at, partition_key, aggregate_version, unit_id, \
         line, correlation_id, causation_id, actor_ref, traceparent, data) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10), unnest($11), unnest($12), unnest($13), unnest($14)",
    )
    .bind::<Array<SqlUuid>, _>(column(events, |e| e.id))
    .bind::<Array<Text>, _>(column(events, |e| &*e.r#type))
    .bind::<Array<Text>, _>(column(events, |e| e.source.as_str()))
    .bind::<Array<Text>, _>(column(events, |e| e.subject.as_str()))
    .bind::<Array<Timestamptz>, _>(column(events, |e| e.time))
    .bind::<Array<SqlUuid>, _>(column(events, |e| e.partition_key))
    .bind::<Array<BigInt>, _>(column(events, |e| e.aggregate_version))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(events, |e| e.unit_id))
    .bind::<Array<Nullable<Text>>, _>(column(events, |e| e.line.as_deref()))
    .bind::<Array<SqlUuid>, _>(column(events, |e| e.correlation_id))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(events, |e| e.causation_id))
    .bind::<Array<Nullable<Text>>, _>(column(events, |e| e.actor_ref.as_deref()))
    .bind::<Array<Nullable<Text>>, _>(column(events, |e| e.traceparent.as_deref()))
    .bind::<Array<Bytea>, _>(column(events, |e| &*e.data))
    .bind::<SmallInt, _>(slot)
    .bind::<BigInt, _>(i64::try_from(events.len()).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
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
    source: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Timestamptz)]
    occurred_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    partition_key: Uuid,
    #[diesel(sql_type = BigInt)]
    aggregate_version: i64,
    #[diesel(sql_type = Bytea)]
    data: Vec<u8>,
}

/// Waits until no transaction is appending, and lets none begin until this one ends. All events of a case have one key and are taken
/// in one after the other, but an import has a key of its own: without this it could meet an event of one of its cases in
/// another transaction, and the order of the log would not be the one in which facts changed.
pub async fn alone(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("LOCK TABLE ONLY event_log IN SHARE ROW EXCLUSIVE MODE").await?;
    Ok(())
}

/// Bytes of messages in a page, but for its last event: an import's is large.
const MOST_BYTES: i64 = 4 << 20;

/// Events after `after` up to and including `until`, in their order, at most `limit` and not much more than
/// `MOST_BYTES`; with the last number read. Only what facts are made of is filled in.
pub async fn page(
    conn: &mut AsyncPgConnection,
    after: i64,
    until: i64,
    limit: i64,
) -> Result<(Option<i64>, Vec<Event>)> {
    let rows: Vec<Row> = cached(
        "SELECT seq, id, type, source, subject, occurred_at, partition_key, aggregate_version, data FROM ( \
             SELECT *, sum(octet_length(data)) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING \
             AND 1 PRECEDING) AS before FROM ( \
                 SELECT seq, id, type, source, subject, occurred_at, partition_key, aggregate_version, data \
                 FROM event_log WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) AS page) AS summed \
         WHERE before IS NULL OR before < $4 ORDER BY seq",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(until)
    .bind::<BigInt, _>(limit)
    .bind::<BigInt, _>(MOST_BYTES)
    .load(conn)
    .await?;
    let last = rows.last().map(|row| row.seq);
    Ok((last, rows.into_iter().map(Event::from).collect()))
}

impl From<Row> for Event {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            r#type: catalogue().intern(&row.r#type),
            source: row.source,
            subject: row.subject,
            time: row.occurred_at,
            partition_key: row.partition_key,
            aggregate_version: row.aggregate_version,
            unit_id: None,
            line: None,
            correlation_id: row.id,
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            data: row.data.into(),
        }
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The greatest number given so far; 0 for an empty log.
pub async fn last(conn: &mut AsyncPgConnection) -> Result<i64> {
    let row: Number =
        cached("SELECT COALESCE(MAX(seq), 0) AS number FROM event_log").get_result(conn).await?;
    Ok(row.number)
}
