//! Who is where, and under which pseudonym, as identity has told: whoever an organisation registers by hand is one of them.

use chassis::{Result, db::cached};
use diesel::sql_types::{Array, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Grant.
    pub grant_id: Uuid,
    /// Who holds it.
    pub person_id: Uuid,
    /// Pseudonym of the person.
    pub person_ref: String,
    /// Unit that it is for.
    pub unit_id: Option<Uuid>,
    /// Organisation that it is for, if it is for one.
    pub org_id: Option<Uuid>,
}

/// The end of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Grant.
    pub grant_id: Uuid,
    /// Who held it.
    pub person_id: Uuid,
}

/// Keeps grants; one that is known already, also as one that has ended, stays as it is.
pub async fn add(conn: &mut AsyncPgConnection, grants: &[Announced]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO announced_grants (grant_id, person_id, person_ref, unit_id, org_id, ended) \
         SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::text[]), unnest($4::uuid[]), unnest($5::uuid[]), false \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|grant| grant.grant_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|grant| grant.person_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(grants.iter().map(|grant| grant.person_ref.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(grants.iter().map(|grant| grant.unit_id).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(grants.iter().map(|grant| grant.org_id).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Nobody is anywhere by these grants any more, nor by one of them that is told of only afterwards.
pub async fn end(conn: &mut AsyncPgConnection, grants: &[Ended]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    // No statement changes a row twice, and an end may be told twice.
    cached(
        "INSERT INTO announced_grants (grant_id, person_id, ended) \
         SELECT DISTINCT ON (told.grant_id) told.grant_id, told.person_id, true \
         FROM unnest($1::uuid[], $2::uuid[]) AS told (grant_id, person_id) \
         ON CONFLICT (grant_id) DO UPDATE SET ended = true WHERE NOT announced_grants.ended",
    )
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|grant| grant.grant_id).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(grants.iter().map(|grant| grant.person_id).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Where somebody is, as a grant in force says.
#[derive(Clone, Debug, diesel::QueryableByName)]
pub struct Held {
    /// Pseudonym of the person.
    #[diesel(sql_type = Text)]
    pub person_ref: String,
    /// Unit that the grant is for.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub unit_id: Option<Uuid>,
    /// Organisation that it is for.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub org_id: Option<Uuid>,
}

/// What a person holds.
pub async fn of_person(conn: &mut AsyncPgConnection, person: Uuid) -> Result<Vec<Held>> {
    let held = cached(
        "SELECT person_ref, unit_id, org_id FROM announced_grants WHERE person_id = $1 AND NOT ended \
         UNION SELECT volunteer_ref, home_unit_id, org_id FROM volunteers \
         WHERE person_id = $1 AND grant_id IS NOT NULL AND state <> 'left'",
    );
    Ok(held.bind::<SqlUuid, _>(person).load(conn).await?)
}
