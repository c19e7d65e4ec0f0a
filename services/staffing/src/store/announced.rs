//! Who acts for which organisation, and under which pseudonym, as identity has told: whoever is put on a post by hand is one of them.

use chassis::{Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{GrantId, OrgId, PersonId};

/// A grant for an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Grant.
    pub grant_id: GrantId,
    /// Who holds it.
    pub person_id: PersonId,
    /// Pseudonym of the person.
    pub person_ref: String,
    /// The organisation.
    pub org_id: OrgId,
}

/// The end of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Grant.
    pub grant_id: GrantId,
    /// Who held it.
    pub person_id: PersonId,
}

/// Keeps grants; one that is known already, also as one that has ended, stays as it is.
pub async fn add(conn: &mut AsyncPgConnection, grants: &[Announced]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO announced_grants (grant_id, person_id, person_ref, org_id, ended)
         SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::uuid[]), false
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.grant_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.person_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(grants.iter().map(|g| g.person_ref.as_str()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.org_id.0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody acts for an organisation by these grants any more, nor by one of them that is told of only afterwards.
pub async fn end(conn: &mut AsyncPgConnection, grants: &[Ended]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    // No statement changes a row twice, and an end may be told twice.
    cached(
        "INSERT INTO announced_grants (grant_id, person_id, ended)
         SELECT DISTINCT ON (told.grant_id) told.grant_id, told.person_id, true
           FROM unnest($1::uuid[], $2::uuid[]) AS told (grant_id, person_id)
         ON CONFLICT (grant_id) DO UPDATE SET ended = true WHERE NOT announced_grants.ended",
    )
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.grant_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|g| g.person_id.0).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// The organisations that a person acts for, each with the pseudonym.
pub async fn of_person(conn: &mut AsyncPgConnection, person: PersonId) -> Result<Vec<(OrgId, String)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        org_id: Uuid,
        #[diesel(sql_type = Text)]
        person_ref: String,
    }
    let rows: Vec<Row> = cached(
        "SELECT org_id, person_ref FROM announced_grants WHERE person_id = $1 AND NOT ended
         UNION SELECT org_id, worker_ref FROM workers WHERE person_id = $1 AND grant_id IS NOT NULL AND active",
    )
    .bind::<SqlUuid, _>(person.0)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (OrgId(row.org_id), row.person_ref)).collect())
}
