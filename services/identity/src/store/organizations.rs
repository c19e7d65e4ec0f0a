//! Organisations.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt, on_constraint};
use crate::domain::{
    OrgId, UnitId,
    organization::{KIND, Organization, OrganizationKind},
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    name_zh: String,
    #[diesel(sql_type = Text)]
    name_en: String,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    valid_from: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT org_id, code, kind, name_zh, name_en, unit_id, line, valid_from, valid_to, version
               FROM organizations WHERE ",
            $rest
        )
    };
}

impl TryFrom<Row> for Organization {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: OrgId(row.org_id),
            code: row.code,
            kind: OrganizationKind::try_from(i32::from(row.kind))
                .map_err(|_| corrupt("kind of an organisation"))?,
            name_zh: row.name_zh,
            name_en: row.name_en,
            unit_id: UnitId(row.unit_id),
            line: row.line,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<Organization>> {
    rows.into_iter().map(Organization::try_from).collect()
}

/// One organisation.
pub async fn get(conn: &mut AsyncPgConnection, id: OrgId) -> Result<Option<Organization>> {
    let row: Option<Row> =
        cached(select!("org_id = $1")).bind::<SqlUuid, _>(id.0).get_result(conn).await.optional()?;
    row.map(Organization::try_from).transpose()
}

/// Organisations in force that sit at any of the units.
pub async fn at_units(conn: &mut AsyncPgConnection, units: &[UnitId]) -> Result<Vec<Organization>> {
    let units: Vec<Uuid> = units.iter().map(|id| id.0).collect();
    let rows = cached(select!("unit_id = ANY($1) AND valid_to IS NULL ORDER BY org_id"))
        .bind::<Array<SqlUuid>, _>(units)
        .load(conn)
        .await?;
    all(rows)
}

/// Organisations in force, by code, after `after`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    unit_id: Option<UnitId>,
    kind: Option<OrganizationKind>,
    after: Option<(String, Uuid)>,
    limit: Limit,
) -> Result<Vec<Organization>> {
    let (code, id) = after.unwrap_or_default();
    let rows = cached(select!(
        "valid_to IS NULL AND ($1 IS NULL OR unit_id = $1) AND ($2 IS NULL OR kind = $2)
            AND (code, org_id) > ($3, $4)
          ORDER BY code, org_id LIMIT $5"
    ))
    .bind::<Nullable<SqlUuid>, _>(unit_id.map(|id| id.0))
    .bind::<Nullable<SmallInt>, _>(kind.map(|k| k as i16))
    .bind::<Text, _>(code)
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

/// Every organisation there ever was, by id, after `after`; for snapshots.
pub async fn scan(conn: &mut AsyncPgConnection, after: Uuid, limit: Limit) -> Result<Vec<Organization>> {
    let rows = cached(select!("org_id > $1 ORDER BY org_id LIMIT $2"))
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    all(rows)
}

/// Adds an organisation.
pub async fn insert(conn: &mut AsyncPgConnection, org: &Organization) -> Result<()> {
    cached(
        "INSERT INTO organizations (org_id, code, kind, name_zh, name_en, unit_id, line, valid_from, valid_to, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind::<SqlUuid, _>(org.id.0)
    .bind::<Text, _>(&org.code)
    .bind::<SmallInt, _>(org.kind as i16)
    .bind::<Text, _>(&org.name_zh)
    .bind::<Text, _>(&org.name_en)
    .bind::<SqlUuid, _>(org.unit_id.0)
    .bind::<Nullable<Text>, _>(org.line.as_deref())
    .bind::<Timestamptz, _>(org.valid_from)
    .bind::<Nullable<Timestamptz>, _>(org.valid_to)
    .bind::<BigInt, _>(org.version)
    .execute(conn)
    .await
    .map_err(|e| on_constraint(e, "organizations_code_in_force", || Error::already_exists(KIND, &org.code)))?;
    Ok(())
}

/// Moves an organisation to another unit.
pub async fn update_unit(conn: &mut AsyncPgConnection, org: &Organization) -> Result<()> {
    let changed =
        cached("UPDATE organizations SET unit_id = $2, version = $3 WHERE org_id = $1 AND version = $3 - 1")
            .bind::<SqlUuid, _>(org.id.0)
            .bind::<SqlUuid, _>(org.unit_id.0)
            .bind::<BigInt, _>(org.version)
            .execute(conn)
            .await?;
    if changed == 1 { Ok(()) } else { Err(Error::stale(KIND, org.id)) }
}
