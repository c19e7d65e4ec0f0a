//! Finds the cases for which something is due.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::CaseId;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// What is due in the agenda, and which of the cases that are kept are to be archived.
const DUE: &str = "SELECT c.case_id FROM agenda a JOIN cases c ON c.case_id = a.case_id WHERE a.due_at <= $1 \
     ORDER BY a.due_at, a.case_id LIMIT $2 FOR UPDATE OF c SKIP LOCKED";
const KEPT: &str = "SELECT c.case_id FROM retention r JOIN cases c ON c.case_id = r.case_id WHERE r.archive_at <= $1 \
     ORDER BY r.archive_at, r.case_id LIMIT $2 FOR UPDATE OF c SKIP LOCKED";

/// Locks the cases that have been due longest, passing over those that somebody else works on; those that are only to be archived
/// come behind the others, for nobody waits for that. The case's row is locked first, as commands do, so that no two wait for
/// each other. A case that a command moved between the look and the lock is among them although it is not due any more.
pub async fn take_due(conn: &mut AsyncPgConnection, now: Timestamp, most: i64) -> Result<Vec<CaseId>> {
    let mut ids = take(conn, DUE, now, most).await?;
    let left = most - i64::try_from(ids.len()).unwrap_or(most);
    if left > 0 {
        ids.extend(take(conn, KEPT, now, left).await?);
    }
    ids.sort_unstable();
    // What a command ended between the look and the lock may be in both.
    ids.dedup();
    Ok(ids)
}

/// Locks merged cases after `after` that wait for the work that is done again for their bad ratings and whose originals came to a
/// result, by id; passes over those that somebody else works on.
pub async fn take_rectified(conn: &mut AsyncPgConnection, after: CaseId, most: i64) -> Result<Vec<CaseId>> {
    let rows: Vec<IdRow> = cached(
        "SELECT c.case_id FROM agenda a JOIN cases c ON c.case_id = a.case_id \
         WHERE a.awaits = 'rectification' AND a.case_id > $1 AND EXISTS (SELECT 1 FROM cases o \
         WHERE o.case_id = a.original_id AND o.state IN ('completed', 'verifying', 'resolved', 'closed')) \
         ORDER BY a.case_id LIMIT $2 FOR UPDATE OF c SKIP LOCKED",
    )
    .bind::<SqlUuid, _>(after.0)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}

async fn take(
    conn: &mut AsyncPgConnection,
    text: &'static str,
    now: Timestamp,
    most: i64,
) -> Result<Vec<CaseId>> {
    let rows: Vec<IdRow> =
        cached(text).bind::<Timestamptz, _>(now).bind::<BigInt, _>(most).load(conn).await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}

/// Writes when cases are due next, each where it stands. The caller holds their rows, so that no command's writing is
/// overwritten.
pub async fn set_due(conn: &mut AsyncPgConnection, due: &[(CaseId, Option<Timestamp>)]) -> Result<()> {
    if due.is_empty() {
        return Ok(());
    }
    let texts = [
        "UPDATE agenda AS a SET due_at = t.due_at FROM unnest($1, $2) AS t (case_id, due_at) \
         WHERE a.case_id = t.case_id",
        "UPDATE retention AS r SET archive_at = t.due_at FROM unnest($1, $2) AS t (case_id, due_at) \
         WHERE r.case_id = t.case_id AND t.due_at IS NOT NULL",
        "DELETE FROM retention AS r USING unnest($1, $2) AS t (case_id, due_at) \
         WHERE r.case_id = t.case_id AND t.due_at IS NULL",
    ];
    for text in texts {
        cached(text)
            .bind::<Array<SqlUuid>, _>(due.iter().map(|(case, _)| case.0).collect::<Vec<_>>())
            .bind::<Array<Nullable<Timestamptz>>, _>(due.iter().map(|(_, at)| *at).collect::<Vec<_>>())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Cases after `after` of which something that runs was counted with an older calendar, by id. They are not locked.
pub async fn behind(
    conn: &mut AsyncPgConnection,
    version: u32,
    after: CaseId,
    most: i64,
) -> Result<Vec<CaseId>> {
    let rows: Vec<IdRow> = cached(
        "SELECT case_id FROM agenda WHERE calendar_version < $1 AND case_id > $2 ORDER BY case_id LIMIT $3",
    )
    .bind::<Integer, _>(i32::try_from(version).unwrap_or(i32::MAX))
    .bind::<SqlUuid, _>(after.0)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}
