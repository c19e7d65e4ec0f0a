//! Where open cases lie, as it is written down: the pass over them finds by it those whose unit went elsewhere.

use chassis::{Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{CaseId, UnitId};

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = SqlUuid)]
    place_unit_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    place_path: Vec<Uuid>,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The units in which open cases lie, each with its path as it was written down; a unit may come with several.
pub async fn of_open_cases(conn: &mut AsyncPgConnection) -> Result<Vec<(UnitId, Vec<UnitId>)>> {
    let rows: Vec<PlaceRow> = cached(
        "SELECT DISTINCT c.place_unit_id, c.place_path FROM agenda a JOIN cases c ON c.case_id = a.case_id \
         WHERE a.open",
    )
    .load(conn)
    .await?;
    let place = |row: PlaceRow| {
        let path: Vec<UnitId> = row.place_path.into_iter().map(UnitId).collect();
        (UnitId(row.place_unit_id), path)
    };
    Ok(rows.into_iter().map(place).collect())
}

/// Open cases after `after` that lie in one of these units themselves, by id. They are not locked.
pub async fn open_cases_at(
    conn: &mut AsyncPgConnection,
    units: &[UnitId],
    after: CaseId,
    most: i64,
) -> Result<Vec<CaseId>> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<IdRow> = cached(
        "SELECT a.case_id FROM agenda a JOIN cases c ON c.case_id = a.case_id \
         WHERE a.open AND c.place_unit_id = ANY ($1) AND a.case_id > $2 ORDER BY a.case_id LIMIT $3",
    )
    .bind::<Array<SqlUuid>, _>(units.iter().map(|unit| unit.0).collect::<Vec<_>>())
    .bind::<SqlUuid, _>(after.0)
    .bind::<BigInt, _>(most)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}
