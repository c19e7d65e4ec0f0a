//! Work that communities sent back: written with the case, read by the district.

use chassis::{Result, Timestamp, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::record::CaseRecord;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Refusal {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub task_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub sender_org_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Text)]
    pub reason_code: String,
    #[diesel(sql_type = Timestamptz)]
    pub refused_at: Timestamp,
}

/// Appends the refusals among the changes; no statement where there is none.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let mut refused = Vec::new();
    for change in changes {
        for entry in change.after.pending.timeline.iter().flatten() {
            if entry.event == "AdmissionRefusedByCommunity" {
                refused.push((&change.after.case, entry));
            }
        }
    }
    for (case, entry) in refused {
        let Some(task) = entry.task_id.and_then(|id| case.task(id).ok()) else { continue };
        cached(
            "INSERT INTO admission_refusals (case_id, task_id, org_id, sender_org_id, item_code, reason_code, refused_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind::<SqlUuid, _>(case.id.0)
        .bind::<SqlUuid, _>(task.id.0)
        .bind::<SqlUuid, _>(task.org.0)
        .bind::<SqlUuid, _>(task.sender.0)
        .bind::<Text, _>(case.item.as_ref().map(|item| item.code.as_str()).unwrap_or_default())
        .bind::<Text, _>(entry.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default())
        .bind::<Timestamptz, _>(entry.at)
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

/// Refusals, newest first: all, or those that concern some organisations.
pub async fn list(
    conn: &mut AsyncPgConnection,
    orgs: Option<&[Uuid]>,
    below: i64,
    limit: i64,
) -> Result<Vec<Refusal>> {
    Ok(cached(
        "SELECT seq, case_id, task_id, org_id, sender_org_id, item_code, reason_code, refused_at FROM admission_refusals \
         WHERE ($1 OR org_id = ANY($2) OR sender_org_id = ANY($2)) AND seq < $3 ORDER BY seq DESC LIMIT $4",
    )
    .bind::<Bool, _>(orgs.is_none())
    .bind::<Array<SqlUuid>, _>(orgs.unwrap_or_default())
    .bind::<BigInt, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}
