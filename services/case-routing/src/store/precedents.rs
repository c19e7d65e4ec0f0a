//! Precedents: written once, with the command that makes a ruling final.

use chassis::{Result, Timestamp, command::Change, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    domain::{Case, ObjectionState},
    record::CaseRecord,
};

/// A precedent as it stands in the database.
#[derive(Debug, Clone, QueryableByName)]
pub struct PrecedentRow {
    #[diesel(sql_type = SqlUuid)]
    pub precedent_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = SqlUuid)]
    pub lead_org_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub relieved_org_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub basis_code: String,
    #[diesel(sql_type = Timestamptz)]
    pub final_at: Timestamp,
    #[diesel(sql_type = Date)]
    pub effective_on: NaiveDate,
    #[diesel(sql_type = Nullable<Integer>)]
    pub list_version: Option<i32>,
}

/// The columns of [`PrecedentRow`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT precedent_id, case_id, item_code, lead_org_id, relieved_org_id, basis_code, final_at, \
             effective_on, list_version FROM precedents WHERE ",
            $rest
        )
    };
}

/// The precedent of a case whose ruling is final.
fn made(case: &Case) -> Option<PrecedentRow> {
    let objection = case.objection.as_ref().filter(|objection| objection.state == ObjectionState::Final)?;
    let ruling = objection.ruling.as_ref()?;
    Some(PrecedentRow {
        precedent_id: objection.arbitration_id?.0,
        case_id: case.id.0,
        item_code: case.item.as_ref()?.code.clone(),
        lead_org_id: ruling.lead.0,
        relieved_org_id: (objection.objector != ruling.lead).then_some(objection.objector.0),
        basis_code: ruling.basis_code.clone(),
        final_at: case.updated_at,
        effective_on: ruling.precedent?,
        list_version: None,
    })
}

/// Notes the rulings that these changes made final.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    for change in changes {
        let before = change.before.as_ref().and_then(|before| made(&before.case));
        let Some(row) = made(&change.after.case).filter(|_| before.is_none()) else { continue };
        cached(
            "INSERT INTO precedents (precedent_id, case_id, item_code, lead_org_id, relieved_org_id, basis_code, \
             final_at, effective_on) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        )
        .bind::<SqlUuid, _>(row.precedent_id)
        .bind::<SqlUuid, _>(row.case_id)
        .bind::<Text, _>(row.item_code)
        .bind::<SqlUuid, _>(row.lead_org_id)
        .bind::<Nullable<SqlUuid>, _>(row.relieved_org_id)
        .bind::<Text, _>(row.basis_code)
        .bind::<Timestamptz, _>(row.final_at)
        .bind::<Date, _>(row.effective_on)
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

/// Precedents before an id, newest first.
pub async fn below(conn: &mut AsyncPgConnection, id: Uuid, limit: i64) -> Result<Vec<PrecedentRow>> {
    let rows = cached(select!("precedent_id < $1 ORDER BY precedent_id DESC LIMIT $2"))
        .bind::<SqlUuid, _>(id)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    Ok(rows)
}

/// Those of these ids that exist.
pub async fn by_ids(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<Vec<PrecedentRow>> {
    let rows = cached(select!("precedent_id = ANY ($1)")).bind::<Array<SqlUuid>, _>(ids).load(conn).await?;
    Ok(rows)
}

/// They were drafted into a version.
pub async fn drafted(conn: &mut AsyncPgConnection, ids: &[Uuid], version: i32) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    cached("UPDATE precedents SET list_version = $2 WHERE precedent_id = ANY ($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Integer, _>(version)
        .execute(conn)
        .await?;
    Ok(())
}
