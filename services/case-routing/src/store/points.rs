//! Where cases are, of those alone whose point is known: what lies near is found by its cell ([`super::alike::near`]).

use std::collections::HashMap;

use chassis::{Error, Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{domain::Point, record::CaseRecord};

/// Follows the points: new ones, those that were corrected, and those that are known no more.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let changed = changes.iter().filter_map(|change| {
        let case = &change.after.case;
        let before = change.before.as_ref().and_then(|before| before.case.place.point);
        let point = case.place.point.filter(|point| before != Some(*point))?;
        Some((case.id.0, point))
    });
    let (cases, points): (Vec<Uuid>, Vec<Point>) = changed.unzip();
    let had = |change: &&Change<CaseRecord>| {
        change.before.as_ref().is_some_and(|before| before.case.place.point.is_some())
    };
    let lost = changes.iter().filter(had).filter(|change| change.after.case.place.point.is_none());
    let lost: Vec<Uuid> = lost.map(|change| change.after.case.id.0).collect();
    if !lost.is_empty() {
        cached("DELETE FROM case_points WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(lost)
            .execute(&mut conn)
            .await?;
    }
    if cases.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO case_points (case_id, cell, lon_e6, lat_e6) SELECT unnest($1), unnest($2), unnest($3), \
         unnest($4) \
         ON CONFLICT (case_id) DO UPDATE SET cell = excluded.cell, lon_e6 = excluded.lon_e6, \
         lat_e6 = excluded.lat_e6",
    )
    .bind::<Array<SqlUuid>, _>(cases)
    .bind::<Array<BigInt>, _>(points.iter().map(|point| point.cell()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(points.iter().map(|point| point.longitude_e6()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(points.iter().map(|point| point.latitude_e6()).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Integer)]
    lon_e6: i32,
    #[diesel(sql_type = Integer)]
    lat_e6: i32,
}

/// The points of those of these cases that have one.
pub async fn of(conn: &mut AsyncPgConnection, cases: &[Uuid]) -> Result<HashMap<Uuid, Point>> {
    let rows: Vec<Row> = cached("SELECT case_id, lon_e6, lat_e6 FROM case_points WHERE case_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(cases)
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            let point = Point::new(row.lon_e6, row.lat_e6);
            let point = point.map_err(|_| Error::internal("a case has a point outside the world"))?;
            Ok((row.case_id, point))
        })
        .collect()
}
