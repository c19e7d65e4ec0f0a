//! Grants for work that somebody does already: the worker goes on as long as one of them is in force.

use chassis::{Result, db::cached};
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{GrantId, UnitId, WorkerId};

/// A grant besides the one that a worker stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Further {
    /// Grant.
    pub grant_id: GrantId,
    /// Worker.
    pub worker_id: WorkerId,
    /// Unit subtree that it is for.
    pub area_unit_id: UnitId,
}

/// Keeps further grants; none of them is known.
pub async fn add(conn: &mut AsyncPgConnection, grants: &[Further]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO worker_grants (grant_id, worker_id, area_unit_id, ended)
         SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::uuid[]), false",
    )
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.grant_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.worker_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.area_unit_id.0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody goes on by these grants any more.
pub async fn end(conn: &mut AsyncPgConnection, grants: &[Uuid]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    cached("UPDATE worker_grants SET ended = true WHERE grant_id = ANY($1) AND NOT ended")
        .bind::<Array<SqlUuid>, _>(grants)
        .execute(conn)
        .await?;
    Ok(())
}

/// Who stood on one of these grants, which have ended, stands from then on upon the latest of the further ones that are
/// in force, and serves its area.
pub async fn pass_on(conn: &mut AsyncPgConnection, grants: &[Uuid]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    cached(
        "WITH latest AS (
             SELECT w.worker_id, w.grant_id AS ended_id, w.area_unit_id AS ended_area,
                    g.grant_id, g.area_unit_id
               FROM workers w
              CROSS JOIN LATERAL (SELECT f.grant_id, f.area_unit_id FROM worker_grants f
                                   WHERE f.worker_id = w.worker_id AND NOT f.ended
                                   ORDER BY f.grant_id DESC LIMIT 1) AS g
              WHERE w.grant_id = ANY($1) AND w.active
              ORDER BY w.worker_id FOR UPDATE OF w),
              known AS (INSERT INTO worker_grants (grant_id, worker_id, area_unit_id, ended)
                        SELECT ended_id, worker_id, ended_area, true FROM latest
                        ON CONFLICT DO NOTHING)
         UPDATE workers w SET grant_id = latest.grant_id, area_unit_id = latest.area_unit_id
           FROM latest WHERE w.worker_id = latest.worker_id",
    )
    .bind::<Array<SqlUuid>, _>(grants)
    .execute(conn)
    .await?;
    Ok(())
}
