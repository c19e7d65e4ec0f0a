//! Role grants.

use chassis::{Error, Result, Timestamp, auth::Role, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt, on_constraint};
use crate::domain::{
    GrantId, OrgId, PersonId, UnitId,
    grant::{KIND, RoleGrant, RoleGrantState},
    personal,
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    grant_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    role: i16,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    org_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Array<Text>>)]
    purposes: Option<Vec<String>>,
    #[diesel(sql_type = Timestamptz)]
    valid_from: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Array<SqlUuid>)]
    approved_by: Vec<Uuid>,
    #[diesel(sql_type = Bool)]
    told: bool,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl TryFrom<Row> for RoleGrant {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: GrantId(row.grant_id),
            person_id: PersonId(row.person_id),
            role: Role::try_from(i32::from(row.role)).map_err(|_| corrupt("role"))?,
            unit_id: UnitId(row.unit_id),
            line: row.line,
            org_id: row.org_id.map(OrgId),
            purposes: row.purposes.map(|p| p.into_iter().collect()),
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            state: RoleGrantState::try_from(i32::from(row.state)).map_err(|_| corrupt("state of a grant"))?,
            approved_by: row.approved_by.into_iter().map(PersonId).collect(),
            told: row.told,
            version: row.version,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<RoleGrant>> {
    rows.into_iter().map(RoleGrant::try_from).collect()
}

/// A grant whose unit lies below one of `units`, held until the transaction ends.
pub async fn lock_within(
    conn: &mut AsyncPgConnection,
    id: GrantId,
    units: &[Uuid],
) -> Result<Option<RoleGrant>> {
    let row: Option<Row> = cached(
        "SELECT g.* FROM role_grants g JOIN units u ON u.unit_id = g.unit_id
          WHERE g.grant_id = $1 AND u.path && $2 FOR UPDATE OF g",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Array<SqlUuid>, _>(units)
    .get_result(conn)
    .await
    .optional()?;
    row.map(RoleGrant::try_from).transpose()
}

/// Grants of a person that are in force at `now`.
pub async fn in_force(
    conn: &mut AsyncPgConnection,
    person: PersonId,
    now: Timestamp,
) -> Result<Vec<RoleGrant>> {
    let rows = cached(
        "SELECT * FROM role_grants
          WHERE person_id = $1 AND state = 2 AND valid_from <= $2 AND (valid_to IS NULL OR valid_to > $2)
          ORDER BY grant_id",
    )
    .bind::<SqlUuid, _>(person.0)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    all(rows)
}

/// Grants of a person that are requested or active.
pub async fn held(conn: &mut AsyncPgConnection, person: PersonId) -> Result<Vec<RoleGrant>> {
    let rows = cached("SELECT * FROM role_grants WHERE person_id = $1 AND state IN (1, 2) ORDER BY grant_id")
        .bind::<SqlUuid, _>(person.0)
        .load(conn)
        .await?;
    all(rows)
}

/// Requested and active grants over any of the units whose end has not passed at `now`, held until the transaction ends.
pub async fn lock_at(
    conn: &mut AsyncPgConnection,
    units: &[UnitId],
    now: Timestamp,
) -> Result<Vec<RoleGrant>> {
    let units: Vec<Uuid> = units.iter().map(|id| id.0).collect();
    let rows = cached(
        "SELECT * FROM role_grants
          WHERE unit_id = ANY($1) AND state IN (1, 2) AND (valid_to IS NULL OR valid_to > $2)
          ORDER BY grant_id FOR UPDATE",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    all(rows)
}

/// Grants below `units`, of one person or all, by id, after `after`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    person: Option<PersonId>,
    after: Uuid,
    limit: Limit,
) -> Result<Vec<RoleGrant>> {
    let rows = cached(
        "SELECT g.* FROM role_grants g JOIN units u ON u.unit_id = g.unit_id
          WHERE u.path && $1 AND ($2 IS NULL OR g.person_id = $2) AND g.grant_id > $3
          ORDER BY g.grant_id LIMIT $4",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Nullable<SqlUuid>, _>(person.map(|id| id.0))
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

/// Grants that have come into force by `now` and were not told, held until the transaction ends; those another replica
/// holds are left to it.
pub async fn lock_beginning(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    limit: Limit,
) -> Result<Vec<RoleGrant>> {
    let rows = cached(
        "SELECT * FROM role_grants
          WHERE state = 2 AND NOT told AND valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1)
          ORDER BY valid_from LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

/// Requested and active grants whose end has passed at `now`, held until the transaction ends; those another replica holds are left
/// to it.
pub async fn lock_expired(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    limit: Limit,
) -> Result<Vec<RoleGrant>> {
    let rows = cached(
        "SELECT * FROM role_grants WHERE state IN (1, 2) AND valid_to <= $1
          ORDER BY valid_to LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

/// Adds a grant.
pub async fn insert(conn: &mut AsyncPgConnection, grant: &RoleGrant) -> Result<()> {
    let purposes: Option<Vec<&String>> = grant.purposes.as_ref().map(|p| p.iter().collect());
    let approved_by: Vec<Uuid> = grant.approved_by.iter().map(|id| id.0).collect();
    cached(
        "INSERT INTO role_grants (grant_id, person_id, role, unit_id, line, org_id, purposes, valid_from, valid_to, state, approved_by, told, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind::<SqlUuid, _>(grant.id.0)
    .bind::<SqlUuid, _>(grant.person_id.0)
    .bind::<SmallInt, _>(grant.role as i16)
    .bind::<SqlUuid, _>(grant.unit_id.0)
    .bind::<Nullable<Text>, _>(grant.line.as_deref())
    .bind::<Nullable<SqlUuid>, _>(grant.org_id.map(|id| id.0))
    .bind::<Nullable<Array<Text>>, _>(purposes)
    .bind::<Timestamptz, _>(grant.valid_from)
    .bind::<Nullable<Timestamptz>, _>(grant.valid_to)
    .bind::<SmallInt, _>(grant.state as i16)
    .bind::<Array<SqlUuid>, _>(approved_by)
    .bind::<Bool, _>(grant.told)
    .bind::<BigInt, _>(grant.version)
    .execute(conn)
    .await
    .map_err(|e| {
        on_constraint(e, "role_grants_one_administrator", || {
            Error::wrong_state(personal::KIND, grant.person_id, "is an administrator already")
        })
    })?;
    Ok(())
}

/// Writes a changed grant.
pub async fn update(conn: &mut AsyncPgConnection, grant: &RoleGrant) -> Result<()> {
    let approved_by: Vec<Uuid> = grant.approved_by.iter().map(|id| id.0).collect();
    let changed = cached(
        "UPDATE role_grants SET unit_id = $2, state = $3, valid_to = $4, approved_by = $5, told = $6, version = $7
          WHERE grant_id = $1 AND version = $7 - 1",
    )
    .bind::<SqlUuid, _>(grant.id.0)
    .bind::<SqlUuid, _>(grant.unit_id.0)
    .bind::<SmallInt, _>(grant.state as i16)
    .bind::<Nullable<Timestamptz>, _>(grant.valid_to)
    .bind::<Array<SqlUuid>, _>(approved_by)
    .bind::<Bool, _>(grant.told)
    .bind::<BigInt, _>(grant.version)
    .execute(conn)
    .await?;
    if changed == 1 { Ok(()) } else { Err(Error::stale(KIND, grant.id)) }
}
