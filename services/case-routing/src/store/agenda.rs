//! Finds the cases for which something is due.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::CaseId;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// Locks the cases that have been due longest, passing over those that somebody else works on. The case's row is
/// locked first, as commands do, so that no two wait for each other.
pub async fn take_due(conn: &mut AsyncPgConnection, now: Timestamp, most: i64) -> Result<Vec<CaseId>> {
    let rows: Vec<IdRow> = cached(
        "SELECT c.case_id FROM agenda a JOIN cases c ON c.case_id = a.case_id WHERE a.due_at <= $1 \
         ORDER BY a.due_at, a.case_id LIMIT $2 FOR UPDATE OF c SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    let mut ids: Vec<CaseId> = rows.into_iter().map(|row| CaseId(row.case_id)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Puts cases off, so that one that cannot be moved does not keep the others waiting.
pub async fn put_off(conn: &mut AsyncPgConnection, cases: &[CaseId], until: Timestamp) -> Result<()> {
    cached("UPDATE agenda SET due_at = $2 WHERE case_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(cases.iter().map(|case| case.0).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(until)
        .execute(conn)
        .await?;
    Ok(())
}
