//! The review days of lasting benefits as they follow the calendar. Only of those that wait for one: while a re-check is open
//! nothing is due, and what has ended is reviewed no more.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::benefits::number;
use crate::domain::CaseId;

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    benefit_id: Uuid,
}

/// Benefits after `after` whose review day was counted with an older calendar, by id. They are not locked.
pub async fn behind(
    conn: &mut AsyncPgConnection,
    version: u32,
    after: CaseId,
    most: i64,
) -> Result<Vec<CaseId>> {
    let rows: Vec<IdRow> = cached(
        "SELECT benefit_id FROM benefits WHERE due_at IS NOT NULL AND calendar_version < $1 AND benefit_id > $2 \
         ORDER BY benefit_id LIMIT $3",
    )
    .bind::<Integer, _>(number(version))
    .bind::<SqlUuid, _>(after.0)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.benefit_id)).collect())
}

/// A benefit that waits for its review day, and where the case is that it rests on.
#[derive(Debug, Clone, QueryableByName)]
pub struct Waiting {
    #[diesel(sql_type = SqlUuid)]
    pub benefit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub tag_code: String,
    #[diesel(sql_type = Timestamptz)]
    pub review_at: Timestamp,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub line: Option<String>,
}

/// Locks those of these that are behind, passing over what somebody else works on: that is looked for again.
pub async fn take_behind(conn: &mut AsyncPgConnection, version: u32, ids: &[CaseId]) -> Result<Vec<Waiting>> {
    Ok(cached(
        "SELECT b.benefit_id, b.tag_code, b.review_at, b.version, c.place_unit_id, c.line FROM benefits b \
         JOIN cases c ON c.case_id = b.case_id WHERE b.benefit_id = ANY($1) AND b.due_at IS NOT NULL \
         AND b.calendar_version < $2 ORDER BY b.benefit_id FOR UPDATE OF b SKIP LOCKED",
    )
    .bind::<Array<SqlUuid>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind::<Integer, _>(number(version))
    .load(conn)
    .await?)
}

/// Writes the review days of benefits that the caller holds, as they stand by a version of the calendar. A re-check that was put
/// off stays so.
pub async fn counted(conn: &mut AsyncPgConnection, version: u32, benefits: &[Waiting]) -> Result<()> {
    if benefits.is_empty() {
        return Ok(());
    }
    cached(
        "UPDATE benefits AS b SET review_at = t.review_at, due_at = GREATEST(b.due_at, t.review_at), \
         version = t.version, calendar_version = $4 FROM unnest($1, $2, $3) AS t (benefit_id, review_at, version) \
         WHERE b.benefit_id = t.benefit_id",
    )
    .bind::<Array<SqlUuid>, _>(benefits.iter().map(|one| one.benefit_id).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(benefits.iter().map(|one| one.review_at).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(benefits.iter().map(|one| one.version).collect::<Vec<_>>())
    .bind::<Integer, _>(number(version))
    .execute(conn)
    .await?;
    Ok(())
}
