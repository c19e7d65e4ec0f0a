//! SQL of the inbox and of parked events.

use std::{borrow::Cow, collections::HashSet};

use bytes::Bytes;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    Result, Timestamp,
    db::cached,
    event::{Event, catalogue},
    outbox::store::Columns,
};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

fn set(rows: Vec<Id>) -> HashSet<Uuid> {
    rows.into_iter().map(|row| row.id).collect()
}

/// Records event ids; gives those that were not there yet. Waits for another transaction that is recording the same. Others see at
/// once that a batch is taken in.
pub(super) async fn claim(mut conn: &AsyncPgConnection, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
    let rows: Vec<Id> = cached(
        "INSERT INTO inbox (event_id) SELECT unnest($1) FROM nextval('inbox_taken') \
         ON CONFLICT DO NOTHING RETURNING event_id AS id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .load(&mut conn)
    .await?;
    Ok(set(rows))
}

/// Which of these keys have parked events. A statement of its own after `claim`, so that it sees what the
/// transaction that `claim` waited for has parked.
pub(super) async fn parked_keys(mut conn: &AsyncPgConnection, keys: &[Uuid]) -> Result<HashSet<Uuid>> {
    let rows: Vec<Id> = cached(
        "SELECT DISTINCT partition_key AS id FROM parked_events WHERE partition_key = ANY($1) AND skipped_at IS NULL",
    )
    .bind::<Array<SqlUuid>, _>(keys)
    .load(&mut conn)
    .await?;
    Ok(set(rows))
}

/// Why an event is parked.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// Stable code.
    pub code: &'static str,
    /// Text of the error.
    pub detail: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Time until the next attempt in milliseconds.
    pub delay_ms: i64,
}

impl Cause {
    /// Not at fault itself: an earlier event of its key is parked.
    pub(super) fn behind() -> Self {
        Self { code: "behind", detail: String::new(), attempts: 0, delay_ms: 0 }
    }
}

/// Code of an event whose envelope could not be read or stored. It is never handed to a handler.
pub(super) const MALFORMED: &str = "malformed";

/// The event as the database takes it: PostgreSQL knows no NUL in a text.
fn storable(event: &Event) -> Cow<'_, Event> {
    let optional = [&event.line, &event.actor_ref, &event.traceparent];
    let mut texts = [&*event.r#type, &event.source, &event.subject]
        .into_iter()
        .chain(optional.into_iter().filter_map(Option::as_deref));
    if !texts.any(|text| text.contains('\0')) {
        return Cow::Borrowed(event);
    }
    let without = |text: &str| text.replace('\0', "");
    Cow::Owned(Event {
        r#type: without(&event.r#type).into(),
        source: without(&event.source),
        subject: without(&event.subject),
        line: event.line.as_deref().map(without),
        actor_ref: event.actor_ref.as_deref().map(without),
        traceparent: event.traceparent.as_deref().map(without),
        ..event.clone()
    })
}

/// Appends parked events in their order.
pub(super) async fn park(conn: &mut AsyncPgConnection, parked: &[(&Event, Cause)]) -> Result<()> {
    if parked.is_empty() {
        return Ok(());
    }
    let events: Vec<Cow<'_, Event>> = parked.iter().map(|(event, _)| storable(event)).collect();
    let column = Columns::of(events.iter().map(AsRef::as_ref));
    cached(
        "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version, \
         unit_id, line, correlation_id, causation_id, actor_ref, traceparent, data, cause, detail, attempts, \
         next_attempt_at) \
         SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, clock_timestamp() + r * interval '1 ms' \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         AS t(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r) ON CONFLICT (event_id) DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(column.id)
    .bind::<Array<Text>, _>(column.r#type)
    .bind::<Array<Text>, _>(column.source)
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
    .bind::<Array<Text>, _>(parked.iter().map(|(_, c)| c.code).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(parked.iter().map(|(_, c)| c.detail.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(parked.iter().map(|(_, c)| c.attempts).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(parked.iter().map(|(_, c)| c.delay_ms).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// A parked event as stored.
#[derive(Debug, Clone, QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = SqlUuid)]
    pub event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub r#type: String,
    #[diesel(sql_type = Text)]
    pub source: String,
    #[diesel(sql_type = Text)]
    pub subject: String,
    #[diesel(sql_type = Timestamptz)]
    pub occurred_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    pub partition_key: Uuid,
    #[diesel(sql_type = BigInt)]
    pub aggregate_version: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub unit_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub line: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    pub correlation_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub causation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub actor_ref: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub traceparent: Option<String>,
    #[diesel(sql_type = Bytea)]
    pub data: Vec<u8>,
    #[diesel(sql_type = Text)]
    pub cause: String,
    #[diesel(sql_type = Text)]
    pub detail: String,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    pub parked_at: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    pub next_attempt_at: Timestamp,
    #[diesel(sql_type = Bool)]
    pub dead: bool,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, event_id, type, source, subject, occurred_at, partition_key, aggregate_version, unit_id, \
             line, correlation_id, causation_id, actor_ref, traceparent, data, cause, detail, attempts, \
             parked_at, next_attempt_at, dead FROM parked_events p WHERE ",
            $rest
        )
    };
}
pub(super) use select;

impl Row {
    pub(super) fn event(&self) -> Event {
        Event {
            id: self.event_id,
            r#type: catalogue().intern(&self.r#type),
            source: self.source.clone(),
            subject: self.subject.clone(),
            time: self.occurred_at,
            partition_key: self.partition_key,
            aggregate_version: self.aggregate_version,
            unit_id: self.unit_id,
            line: self.line.clone(),
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            actor_ref: self.actor_ref.clone(),
            traceparent: self.traceparent.clone(),
            data: Bytes::copy_from_slice(&self.data),
        }
    }
}

/// Due events that are the first of their key, oldest first.
pub(super) async fn due_heads(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<Row>> {
    Ok(cached(select!(
        "p.skipped_at IS NULL AND NOT p.dead \
         AND p.next_attempt_at <= clock_timestamp() AND NOT EXISTS (SELECT 1 FROM parked_events q \
         WHERE q.partition_key = p.partition_key AND q.skipped_at IS NULL AND q.seq < p.seq) ORDER BY p.seq LIMIT $1"
    ))
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// Locks those of the rows that are still alive and held by nobody else. A head stays the head of its key until its
/// row is gone, so a locked row is still the first.
pub(super) async fn lock(conn: &mut AsyncPgConnection, seqs: &[i64]) -> Result<HashSet<i64>> {
    #[derive(QueryableByName)]
    struct Seq {
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    let rows: Vec<Seq> = cached(
        "SELECT seq FROM parked_events WHERE seq = ANY($1) AND NOT dead AND skipped_at IS NULL \
         ORDER BY seq FOR UPDATE SKIP LOCKED",
    )
    .bind::<Array<BigInt>, _>(seqs)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.seq).collect())
}

/// Whether an event was taken in and waits no longer: it was handled, at once or after it had been parked.
pub(super) async fn handled(conn: &mut AsyncPgConnection, event_id: Uuid) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Handled {
        #[diesel(sql_type = Bool)]
        handled: bool,
    }
    let row: Handled = cached(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE event_id = $1) \
         AND NOT EXISTS (SELECT 1 FROM parked_events WHERE event_id = $1) AS handled",
    )
    .bind::<SqlUuid, _>(event_id)
    .get_result(conn)
    .await?;
    Ok(row.handled)
}

/// Removes parked events that have been handled.
pub(super) async fn unpark(conn: &mut AsyncPgConnection, seqs: &[i64]) -> Result<()> {
    cached("DELETE FROM parked_events WHERE seq = ANY($1)")
        .bind::<Array<BigInt>, _>(seqs)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes a failed attempt; a delay of zero attempts left makes the event dead.
pub(super) async fn failed(conn: &mut AsyncPgConnection, seq: i64, cause: &Cause, dead: bool) -> Result<()> {
    cached(
        "UPDATE parked_events SET cause = $2, detail = $3, attempts = $4, dead = $5, \
         next_attempt_at = clock_timestamp() + $6 * interval '1 ms' WHERE seq = $1 AND skipped_at IS NULL",
    )
    .bind::<BigInt, _>(seq)
    .bind::<Text, _>(cause.code)
    .bind::<Text, _>(&cause.detail)
    .bind::<Integer, _>(cause.attempts)
    .bind::<Bool, _>(dead)
    .bind::<BigInt, _>(cause.delay_ms)
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes up to `limit` inbox records, and skipped events, older than `days`. Gives how many records went.
pub(crate) async fn purge(conn: &mut AsyncPgConnection, days: i64, limit: i64) -> Result<usize> {
    cached("DELETE FROM parked_events WHERE skipped_at < clock_timestamp() - make_interval(days => $1::int)")
        .bind::<BigInt, _>(days)
        .execute(conn)
        .await?;
    Ok(cached(
        "DELETE FROM inbox WHERE event_id IN (SELECT event_id FROM inbox \
         WHERE received_at < clock_timestamp() - make_interval(days => $1::int) LIMIT $2)",
    )
    .bind::<BigInt, _>(days)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?)
}
