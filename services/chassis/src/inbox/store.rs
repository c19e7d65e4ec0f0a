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

/// Why an event is parked.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// Stable code.
    pub code: &'static str,
    /// Text of the error.
    pub detail: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Time until the next attempt in milliseconds; `None` for what rests until those before it have gone.
    pub delay_ms: Option<i64>,
}

impl Cause {
    /// Not at fault itself: an earlier event of its key is parked.
    pub(super) fn behind() -> Self {
        Self { code: "behind", detail: String::new(), attempts: 0, delay_ms: None }
    }
}

/// When what rests is due, in SQL: never. What is before it ends its rest when it goes (`parked_next_is_due` in the migrations), by
/// whichever replica. An instant, because earlier builds read it.
macro_rules! rest {
    () => {
        "timestamptz '9999-12-31 00:00:00+00'"
    };
}

/// The year of that instant.
pub(super) const REST: i32 = 9999;

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
    cached(concat!(
        "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version, \
         unit_id, line, correlation_id, causation_id, actor_ref, traceparent, data, cause, detail, attempts, \
         next_attempt_at) \
         SELECT a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, \
         coalesce(clock_timestamp() + r * interval '1 ms', ",
        rest!(),
        ") FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         AS t(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r) ON CONFLICT (event_id) DO NOTHING"
    ))
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
    .bind::<Array<Nullable<BigInt>>, _>(parked.iter().map(|(_, c)| c.delay_ms).collect::<Vec<_>>())
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

/// Due events that are the first of their key, the longest due first. By `now()`, which an index takes: outside of a transaction it
/// is the present.
pub(super) async fn due_heads(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<Row>> {
    Ok(cached(select!(
        "p.skipped_at IS NULL AND NOT p.dead AND p.next_attempt_at <= now() \
         AND p.seq = (SELECT q.seq FROM parked_events q WHERE q.partition_key = p.partition_key \
         AND q.skipped_at IS NULL ORDER BY q.seq LIMIT 1) ORDER BY p.next_attempt_at, p.seq LIMIT $1"
    ))
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// Makes due what rests though it is the first of one of these keys: it was parked while what is gone was there.
pub(super) async fn wake(conn: &mut AsyncPgConnection, keys: &[Uuid]) -> Result<usize> {
    Ok(cached(concat!(
        "UPDATE parked_events SET next_attempt_at = clock_timestamp() WHERE seq IN (SELECT p.seq FROM parked_events p \
         WHERE p.seq IN (SELECT (SELECT q.seq FROM parked_events q WHERE q.partition_key = key \
         AND q.skipped_at IS NULL ORDER BY q.seq LIMIT 1) FROM unnest($1) AS key) \
         AND NOT p.dead AND p.skipped_at IS NULL AND p.next_attempt_at = ",
        rest!(),
        " ORDER BY p.seq FOR UPDATE)"
    ))
    .bind::<Array<SqlUuid>, _>(keys)
    .execute(conn)
    .await?)
}

/// Lets rest what is due though it waits behind another, up to `limit`: replicas of a build before rest park it so.
pub(super) async fn lay_to_rest(conn: &mut AsyncPgConnection, limit: i64) -> Result<usize> {
    Ok(cached(concat!(
        "UPDATE parked_events SET next_attempt_at = ",
        rest!(),
        " WHERE seq IN (SELECT p.seq FROM parked_events p WHERE p.skipped_at IS NULL AND NOT p.dead \
         AND p.next_attempt_at <= now() AND p.cause = 'behind' AND p.seq > (SELECT q.seq FROM parked_events q \
         WHERE q.partition_key = p.partition_key AND q.skipped_at IS NULL ORDER BY q.seq LIMIT 1) \
         ORDER BY p.next_attempt_at, p.seq LIMIT $1 FOR UPDATE SKIP LOCKED)"
    ))
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?)
}

/// Keys of which something is parked, in order from this one on, up to `limit`: one look at the index for each.
pub(super) async fn keys(conn: &mut AsyncPgConnection, from: Uuid, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<Id> = cached(
        "WITH RECURSIVE found AS ((SELECT partition_key AS id, 1::bigint AS n FROM parked_events \
         WHERE skipped_at IS NULL AND partition_key >= $1 ORDER BY partition_key, seq LIMIT 1) \
         UNION ALL SELECT q.partition_key, found.n + 1 FROM found, LATERAL (SELECT p.partition_key FROM parked_events p \
         WHERE p.skipped_at IS NULL AND p.partition_key > found.id ORDER BY p.partition_key, p.seq LIMIT 1) AS q \
         WHERE found.n < $2) SELECT id FROM found ORDER BY n",
    )
    .bind::<SqlUuid, _>(from)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
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

/// Notes a failed attempt at what is the first of its key; a delay of zero attempts left makes the event dead.
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
    .bind::<BigInt, _>(cause.delay_ms.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use diesel_migrations::{EmbeddedMigrations, embed_migrations};

    use super::*;
    use crate::{Clock, clock::new_id, testing::TestDb};

    fn none() -> EmbeddedMigrations {
        embed_migrations!("src/testing/no_migrations")
    }

    fn event(key: Uuid) -> Event {
        Event {
            id: new_id(),
            r#type: "test".into(),
            source: "test".into(),
            subject: String::new(),
            time: Clock::system().now(),
            partition_key: key,
            aggregate_version: 1,
            unit_id: None,
            line: None,
            correlation_id: key,
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            data: Bytes::new(),
        }
    }

    async fn read(conn: &mut AsyncPgConnection) -> i64 {
        #[derive(QueryableByName)]
        struct Read {
            #[diesel(sql_type = BigInt)]
            rows: i64,
        }
        let read: Read = cached(
            "SELECT seq_tup_read + idx_tup_fetch AS rows FROM pg_stat_xact_user_tables WHERE relname = 'parked_events'",
        )
        .get_result(conn)
        .await
        .unwrap();
        read.rows
    }

    /// What is due, and whether few rows were read for it each time: after a few the server may keep to one plan. The transaction is
    /// for its figures alone, and sets nothing: who asks reads by the planner's choice.
    async fn due(conn: &mut AsyncPgConnection) -> (usize, bool) {
        conn.batch_execute("BEGIN").await.unwrap();
        let (mut found, mut few, mut before) = (0, true, read(conn).await);
        for _ in 0..8 {
            found = due_heads(conn, 64).await.unwrap().len();
            let after = read(conn).await;
            few &= after - before < 20;
            before = after;
        }
        conn.batch_execute("COMMIT").await.unwrap();
        (found, few)
    }

    #[tokio::test]
    async fn a_look_at_what_is_due_passes_over_nothing_that_waits_behind_another() {
        let test_db = TestDb::migrated("inbox", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let key = new_id();
        let events: Vec<Event> = (0..1_001).map(|_| event(key)).collect();
        let first = Cause { code: "internal", delay_ms: Some(0), ..Cause::behind() };
        let causes = std::iter::once(first).chain(std::iter::repeat(Cause::behind()));
        let mut conn = db.conn().await.unwrap(); // as the retrier has it
        park(&mut conn, &events.iter().zip(causes).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(due(&mut conn).await, (1, true), "the first, and those behind it are not looked at");
        for sql in ["UPDATE parked_events SET dead = true WHERE seq = 1", "ANALYZE parked_events"] {
            conn.batch_execute(sql).await.unwrap();
        }
        assert_eq!(due(&mut conn).await, (0, true));
        conn.batch_execute("DELETE FROM parked_events WHERE seq = 1").await.unwrap();
        assert_eq!(due(&mut conn).await, (1, true), "the next");
        conn.batch_execute("UPDATE parked_events SET skipped_at = now() WHERE seq = 2").await.unwrap();
        assert_eq!(due(&mut conn).await, (1, true), "and the next");
        assert_eq!(wake(&mut conn, &[key, new_id()]).await.unwrap(), 0, "none rests that should not");
    }

    #[tokio::test]
    async fn keys_are_gone_through_in_turn() {
        let test_db = TestDb::migrated("inbox", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let mut all: Vec<Uuid> = (0..5).map(|_| new_id()).collect();
        all.sort_unstable();
        let events: Vec<Event> = all.iter().flat_map(|key| [event(*key), event(*key)]).collect();
        let mut conn = db.conn().await.unwrap();
        let parked: Vec<_> = events.iter().map(|event| (event, Cause::behind())).collect();
        park(&mut conn, &parked).await.unwrap();
        assert_eq!(keys(&mut conn, Uuid::nil(), 3).await.unwrap(), all[..3]);
        assert_eq!(keys(&mut conn, all[2], 10).await.unwrap(), all[2..]);
        assert_eq!(wake(&mut conn, &all).await.unwrap(), 5, "the first of each");
        assert_eq!(due_heads(&mut conn, 64).await.unwrap().len(), 5);
    }
}
