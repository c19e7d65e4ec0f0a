//! Words that were added to cases.

use chassis::{Result, Timestamp, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domain::CaseId,
    record::{CaseRecord, NewRemark},
};

/// Words as they are kept.
#[derive(Debug, Clone, QueryableByName)]
pub struct Remark {
    #[diesel(sql_type = SqlUuid)]
    pub remark_id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub case_version: i64,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub actor_ref: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub org_id: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    pub at: Timestamp,
    #[diesel(sql_type = Text)]
    pub redacted: String,
    #[diesel(sql_type = Bytea)]
    pub sealed: Vec<u8>,
    /// Of the kind `joined`: in which case they were said, where that was kept.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub source_case_id: Option<Uuid>,
}

/// Stores what was added.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let all: Vec<(Uuid, &NewRemark)> = changes
        .iter()
        .flat_map(|change| {
            let case = change.after.case.id.0;
            change.after.pending.remarks.iter().map(move |remark| (case, remark))
        })
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO case_remarks (remark_id, case_id, case_version, kind, actor_ref, org_id, at, redacted, sealed, \
         source_case_id) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10)",
    )
    .bind::<Array<SqlUuid>, _>(all.iter().map(|(_, remark)| remark.id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(all.iter().map(|(case, _)| *case).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(all.iter().map(|(_, remark)| remark.step.case_version).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all.iter().map(|(_, remark)| remark.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all.iter().map(|(_, remark)| remark.step.actor.0.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(
        all.iter().map(|(_, remark)| remark.step.org.map(|org| org.0)).collect::<Vec<_>>(),
    )
    .bind::<Array<Timestamptz>, _>(all.iter().map(|(_, remark)| remark.step.at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all.iter().map(|(_, remark)| remark.redacted.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bytea>, _>(all.iter().map(|(_, remark)| remark.sealed.as_slice()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(
        all.iter().map(|(_, remark)| remark.from.map(|case| case.0)).collect::<Vec<_>>(),
    )
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// What was added to a case, oldest first.
pub async fn of_case(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Vec<Remark>> {
    let rows: Vec<Remark> = cached(
        "SELECT remark_id, case_version, kind, actor_ref, org_id, at, redacted, sealed, source_case_id FROM case_remarks \
         WHERE case_id = $1 ORDER BY case_version",
    )
    .bind::<SqlUuid, _>(id.0)
    .load(conn)
    .await?;
    Ok(rows)
}
