//! What an operator may ask of parked events: see them, try them again, give them up. Served by the chassis's ops
//! service; `jianghan events dead | show | redrive | skip`.

use chrono::Datelike;
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::store::{self, Row};
use crate::{
    Error, Result, Timestamp,
    db::{Db, cached},
};

/// A parked event as an operator sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parked {
    /// Position; grows in the order of parking.
    pub seq: i64,
    /// The event.
    pub event_id: Uuid,
    /// Full message name.
    pub r#type: String,
    /// Service that emitted it.
    pub source: String,
    /// Its key.
    pub partition_key: Uuid,
    /// Stable code of the cause; `behind` when only an earlier event of the key is at fault.
    pub cause: String,
    /// Text of the last error.
    pub detail: String,
    /// Attempts so far.
    pub attempts: i32,
    /// Whether retries have ended.
    pub dead: bool,
    /// When it was parked, real time.
    pub parked_at: Timestamp,
    /// When it is tried next, real time; `None` where it rests until those before it have gone.
    pub next_attempt_at: Option<Timestamp>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl From<Row> for Parked {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            event_id: row.event_id,
            r#type: row.r#type,
            source: row.source,
            partition_key: row.partition_key,
            cause: row.cause,
            detail: row.detail,
            attempts: row.attempts,
            dead: row.dead,
            parked_at: row.parked_at,
            next_attempt_at: Some(row.next_attempt_at).filter(|at| at.year() < store::REST),
            traceparent: row.traceparent,
        }
    }
}

/// Parked events after position `after`, oldest first.
pub async fn list(db: &Db, dead_only: bool, after: i64, limit: i64) -> Result<Vec<Parked>> {
    let mut conn = db.conn().await?;
    let rows: Vec<Row> =
        cached(store::select!("skipped_at IS NULL AND seq > $1 AND (dead OR NOT $2) ORDER BY seq LIMIT $3"))
            .bind::<BigInt, _>(after)
            .bind::<Bool, _>(dead_only)
            .bind::<BigInt, _>(limit)
            .load(&mut *conn)
            .await?;
    Ok(rows.into_iter().map(Parked::from).collect())
}

/// One parked event, or `NotFound`.
pub async fn get(db: &Db, event_id: Uuid) -> Result<Parked> {
    let mut conn = db.conn().await?;
    let rows: Vec<Row> = cached(store::select!("skipped_at IS NULL AND event_id = $1"))
        .bind::<SqlUuid, _>(event_id)
        .load(&mut *conn)
        .await?;
    rows.into_iter().next().map(Parked::from).ok_or_else(|| Error::not_found("event", event_id))
}

/// Makes one event due at once, or every dead one. Gives how many: none if the one was handled meanwhile, so that asking again is
/// answered, too. `NotFound` if the one was given up or never came.
pub async fn redrive(db: &Db, event_id: Option<Uuid>) -> Result<usize> {
    let mut conn = db.conn().await?;
    let redriven = cached(
        "UPDATE parked_events SET dead = false, next_attempt_at = clock_timestamp() \
         WHERE skipped_at IS NULL AND CASE WHEN $1::uuid IS NULL THEN dead ELSE event_id = $1 END",
    )
    .bind::<Nullable<SqlUuid>, _>(event_id)
    .execute(&mut *conn)
    .await?;
    if let Some(id) = event_id.filter(|_| redriven == 0) {
        return if store::handled(&mut conn, id).await? { Ok(0) } else { Err(Error::not_found("event", id)) };
    }
    db.inbox().ring();
    Ok(redriven)
}

/// Gives one event up for good, so that those behind it flow. One that was given up before stays so, for its first reason.
/// `NotFound` if it is not parked.
pub async fn skip(db: &Db, event_id: Uuid, reason: &str) -> Result<()> {
    let mut conn = db.conn().await?;
    let skipped = cached(
        "UPDATE parked_events SET skipped_at = coalesce(skipped_at, clock_timestamp()), \
         skip_reason = coalesce(skip_reason, $2) WHERE event_id = $1",
    )
    .bind::<SqlUuid, _>(event_id)
    .bind::<Text, _>(reason)
    .execute(&mut *conn)
    .await?;
    if skipped == 0 {
        return Err(Error::not_found("event", event_id));
    }
    db.inbox().ring();
    Ok(())
}

/// No more rows of the outbox are counted: figures are collected every few seconds by every replica, and the more wait the
/// less time there is for that. The relay, which has to know more for the gate, estimates what lies beyond.
pub const MOST_COUNTED: i64 = 100_000;

/// The spine of one service in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Rows of the outbox, up to [`MOST_COUNTED`].
    pub outbox_backlog: i64,
    /// Confirmed to this process since its start.
    pub published: u64,
    /// Handled by this process since its start.
    pub consumed: u64,
    /// Second deliveries this process dropped.
    pub duplicates_dropped: u64,
    /// Parked events that wait for a retry, or behind one that does.
    pub parked: i64,
    /// Parked events behind a dead one of their key: nothing but an operator moves them.
    pub behind_dead: i64,
    /// Parked events that are dead.
    pub dead: i64,
    /// Rises whenever any replica writes an event or begins to take a batch in.
    pub progress: i64,
    /// Batches that replicas are taking in: a number of `inbox_taken` locks it until its transaction ends.
    pub in_hand: i64,
    /// Groups that no replica is known to take in, where they are leased. A lease is renewed every third of its time: half of it
    /// without that is too long.
    pub unattended: i64,
}

/// Counts the tables and adds the process's counters.
pub async fn statistics(db: &Db) -> Result<Statistics> {
    #[derive(QueryableByName)]
    struct Counts {
        #[diesel(sql_type = BigInt)]
        backlog: i64,
        #[diesel(sql_type = BigInt)]
        waiting: i64,
        #[diesel(sql_type = BigInt)]
        behind_dead: i64,
        #[diesel(sql_type = BigInt)]
        dead: i64,
        #[diesel(sql_type = BigInt)]
        progress: i64,
        #[diesel(sql_type = BigInt)]
        in_hand: i64,
        #[diesel(sql_type = BigInt)]
        unattended: i64,
    }
    let (groups, lease_ms) = db.inbox().leases();
    let mut conn = db.conn().await?;
    let counts: Counts = cached(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS waiting) AS backlog, \
         (SELECT last_value + is_called::integer FROM outbox_seq_seq) \
             + (SELECT last_value + is_called::integer FROM inbox_taken) AS progress, \
         (SELECT count(*) FROM pg_locks WHERE relation = 'inbox_taken'::regclass AND mode = 'RowExclusiveLock' \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS in_hand, \
         greatest(0, $2 - (SELECT count(*) FROM consumer_lease WHERE consumer_group < $2 \
             AND expires_at > clock_timestamp() + $3 * interval '1 ms')) AS unattended, \
         count(*) FILTER (WHERE NOT dead AND behind_dead IS NOT TRUE) AS waiting, \
         count(*) FILTER (WHERE NOT dead AND behind_dead) AS behind_dead, count(*) FILTER (WHERE dead) AS dead FROM ( \
         SELECT dead, seq > min(seq) FILTER (WHERE dead) OVER (PARTITION BY partition_key) AS behind_dead \
         FROM parked_events WHERE skipped_at IS NULL) parked",
    )
    .bind::<BigInt, _>(MOST_COUNTED)
    .bind::<SmallInt, _>(i16::from(groups))
    .bind::<BigInt, _>(lease_ms / 2)
    .get_result(&mut *conn)
    .await?;
    Ok(Statistics {
        outbox_backlog: counts.backlog,
        published: db.outbox().published(),
        consumed: db.inbox().consumed(),
        duplicates_dropped: db.inbox().duplicates_dropped(),
        parked: counts.waiting,
        behind_dead: counts.behind_dead,
        dead: counts.dead,
        progress: counts.progress,
        in_hand: counts.in_hand,
        unattended: counts.unattended,
    })
}
