//! Lasting benefits and their re-checks. A benefit changes with the case that is decided, when its re-check begins, or when it is
//! ended outside of one; a row that is not as a decision on a re-check took it to be is a defect, and nothing is written.

use chassis::{Error, Result, Timestamp, command::Change, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domain::{BenefitChange, BenefitNews, CaseId},
    record::CaseRecord,
};

/// Writes what decisions made of benefits; no statement where they made nothing.
pub async fn save(conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    for change in changes {
        let (case, at) = (change.after.case.id, change.after.case.updated_at);
        let Some(moved) = &change.after.pending.benefit else { continue };
        match &moved.news {
            BenefitNews::Granted { review_at, calendar_version, .. } => {
                begin(conn, moved, at, (*review_at, *calendar_version)).await?;
            }
            BenefitNews::Renewed { review_at, calendar_version } => {
                renew(conn, moved, case, (*review_at, *calendar_version)).await?;
            }
            // The papers that began it end it: no re-check did.
            BenefitNews::Ended { reason_code } if case == moved.benefit => {
                end_outside(conn, moved, at, reason_code).await?;
            }
            BenefitNews::Ended { reason_code } => end(conn, moved, case, at, reason_code).await?,
        }
    }
    Ok(())
}

async fn begin(
    mut conn: &AsyncPgConnection,
    moved: &BenefitChange,
    since: Timestamp,
    (review_at, calendar): (Timestamp, u32),
) -> Result<()> {
    cached(
        "INSERT INTO benefits (benefit_id, tag_code, since, review_at, case_id, due_at, version, calendar_version) \
         VALUES ($1, $2, $3, $4, $1, $4, $5, $6)",
    )
    .bind::<SqlUuid, _>(moved.benefit.0)
    .bind::<Text, _>(&moved.tag_code)
    .bind::<Timestamptz, _>(since)
    .bind::<Timestamptz, _>(review_at)
    .bind::<BigInt, _>(moved.version)
    .bind::<Integer, _>(number(calendar))
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// A version of the calendar.
pub(super) fn number(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

async fn renew(
    mut conn: &AsyncPgConnection,
    moved: &BenefitChange,
    recheck: CaseId,
    (review_at, calendar): (Timestamp, u32),
) -> Result<()> {
    let written = cached(
        "UPDATE benefits SET review_at = $4, due_at = $4, case_id = $2, recheck_case_id = NULL, version = $3, \
         calendar_version = $5 WHERE benefit_id = $1 AND recheck_case_id = $2 AND version = $3 - 1",
    )
    .bind::<SqlUuid, _>(moved.benefit.0)
    .bind::<SqlUuid, _>(recheck.0)
    .bind::<BigInt, _>(moved.version)
    .bind::<Timestamptz, _>(review_at)
    .bind::<Integer, _>(number(calendar))
    .execute(&mut conn)
    .await?;
    decided(conn, moved, recheck, written, "renewed").await
}

async fn end(
    mut conn: &AsyncPgConnection,
    moved: &BenefitChange,
    recheck: CaseId,
    at: Timestamp,
    reason_code: &str,
) -> Result<()> {
    let written = cached(
        "UPDATE benefits SET ended_at = $4, end_reason = $5, recheck_case_id = NULL, version = $3 \
         WHERE benefit_id = $1 AND recheck_case_id = $2 AND version = $3 - 1",
    )
    .bind::<SqlUuid, _>(moved.benefit.0)
    .bind::<SqlUuid, _>(recheck.0)
    .bind::<BigInt, _>(moved.version)
    .bind::<Timestamptz, _>(at)
    .bind::<Text, _>(reason_code)
    .execute(&mut conn)
    .await?;
    decided(conn, moved, recheck, written, "ended").await
}

/// A re-check that is open ends with it.
async fn end_outside(
    mut conn: &AsyncPgConnection,
    moved: &BenefitChange,
    at: Timestamp,
    reason_code: &str,
) -> Result<()> {
    let written = cached(
        "UPDATE benefits SET ended_at = $3, end_reason = $4, due_at = NULL, recheck_case_id = NULL, \
         version = $2 WHERE benefit_id = $1 AND ended_at IS NULL AND version = $2 - 1",
    )
    .bind::<SqlUuid, _>(moved.benefit.0)
    .bind::<BigInt, _>(moved.version)
    .bind::<Timestamptz, _>(at)
    .bind::<Text, _>(reason_code)
    .execute(&mut conn)
    .await?;
    if written != 1 {
        // Between the look and here a re-check began, or was decided.
        return Err(Error::stale("benefit", moved.benefit));
    }
    cached("UPDATE benefit_rechecks SET outcome = 'ended' WHERE benefit_id = $1 AND outcome = 'open'")
        .bind::<SqlUuid, _>(moved.benefit.0)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// A re-check was decided, if the benefit was waiting for that one.
async fn decided(
    mut conn: &AsyncPgConnection,
    moved: &BenefitChange,
    recheck: CaseId,
    written: usize,
    outcome: &str,
) -> Result<()> {
    if written != 1 {
        return Err(Error::internal(format!(
            "benefit {} does not wait for re-check {recheck} in version {}",
            moved.benefit,
            moved.version - 1
        )));
    }
    cached("UPDATE benefit_rechecks SET outcome = $2 WHERE case_id = $1")
        .bind::<SqlUuid, _>(recheck.0)
        .bind::<Text, _>(outcome)
        .execute(&mut conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = SqlUuid)]
    benefit_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The benefit whose re-check has been due longest, passing over those that somebody works on, with the application that it
/// rests on. It is not held: the lock ends with the statement.
pub async fn longest_due(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<Option<(CaseId, CaseId)>> {
    let row: Option<DueRow> = cached(
        "SELECT benefit_id, case_id FROM benefits WHERE due_at <= $1 ORDER BY due_at, benefit_id LIMIT 1 \
         FOR UPDATE SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(|row| (CaseId(row.benefit_id), CaseId(row.case_id))))
}

/// A benefit.
#[derive(Debug, Clone, QueryableByName)]
pub struct Benefit {
    #[diesel(sql_type = SqlUuid)]
    pub benefit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub tag_code: String,
    #[diesel(sql_type = Timestamptz)]
    pub since: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    pub review_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub recheck_case_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<Timestamp>,
    #[diesel(sql_type = Text)]
    pub end_reason: String,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = Integer)]
    pub calendar_version: i32,
}

/// Locks a benefit whose re-check is due; `None` when somebody else works on it, or did.
pub async fn take_due(
    conn: &mut AsyncPgConnection,
    benefit: CaseId,
    now: Timestamp,
) -> Result<Option<Benefit>> {
    let found = cached(
        "SELECT benefit_id, tag_code, since, review_at, case_id, recheck_case_id, ended_at, end_reason, \
         version, calendar_version FROM benefits WHERE benefit_id = $1 AND due_at <= $2 FOR UPDATE SKIP LOCKED",
    )
    .bind::<SqlUuid, _>(benefit.0)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?;
    Ok(found)
}

/// The re-check of a benefit that the caller holds has begun: the only one of this review.
pub async fn begin_recheck(
    conn: &mut AsyncPgConnection,
    benefit: &Benefit,
    recheck: CaseId,
    at: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE benefits SET recheck_case_id = $2, due_at = NULL, version = version + 1 \
         WHERE benefit_id = $1",
    )
    .bind::<SqlUuid, _>(benefit.benefit_id)
    .bind::<SqlUuid, _>(recheck.0)
    .execute(&mut *conn)
    .await?;
    cached(
        "INSERT INTO benefit_rechecks (benefit_id, review_at, case_id, begun_at, outcome) \
         VALUES ($1, $2, $3, $4, 'open')",
    )
    .bind::<SqlUuid, _>(benefit.benefit_id)
    .bind::<Timestamptz, _>(benefit.review_at)
    .bind::<SqlUuid, _>(recheck.0)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts one whose re-check could not begin off, unless it is not due any more.
pub async fn put_off(
    conn: &mut AsyncPgConnection,
    benefit: CaseId,
    now: Timestamp,
    until: Timestamp,
) -> Result<()> {
    cached("UPDATE benefits SET due_at = $3 WHERE benefit_id = $1 AND due_at <= $2")
        .bind::<SqlUuid, _>(benefit.0)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(until)
        .execute(conn)
        .await?;
    Ok(())
}

/// A re-check of a benefit.
#[derive(Debug, Clone, QueryableByName)]
pub struct BegunRecheck {
    #[diesel(sql_type = Timestamptz)]
    pub review_at: Timestamp,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub begun_at: Timestamp,
    #[diesel(sql_type = Text)]
    pub outcome: String,
}

/// A benefit as it stands, with its re-checks, oldest first.
pub async fn get(
    conn: &mut AsyncPgConnection,
    benefit: CaseId,
) -> Result<Option<(Benefit, Vec<BegunRecheck>)>> {
    let found: Option<Benefit> = cached(
        "SELECT benefit_id, tag_code, since, review_at, case_id, recheck_case_id, ended_at, end_reason, \
         version, calendar_version FROM benefits WHERE benefit_id = $1",
    )
    .bind::<SqlUuid, _>(benefit.0)
    .get_result(&mut *conn)
    .await
    .optional()?;
    let Some(found) = found else { return Ok(None) };
    let rechecks = cached(
        "SELECT review_at, case_id, begun_at, outcome FROM benefit_rechecks WHERE benefit_id = $1 \
         ORDER BY review_at",
    )
    .bind::<SqlUuid, _>(benefit.0)
    .load(conn)
    .await?;
    Ok(Some((found, rechecks)))
}
