//! Role grants.

use chassis::{Error, Result, Timestamp, auth::Role, db::cached};
use diesel::{
    OptionalExtension, QueryResult, QueryableByName,
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

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT g.grant_id, g.person_id, g.role, g.unit_id, g.line, g.org_id, g.purposes, g.valid_from,
                    g.valid_to, g.state, g.approved_by, g.told, g.version
               FROM role_grants g ",
            $rest
        )
    };
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
    let row: Option<Row> = cached(select!(
        "JOIN units u ON u.unit_id = g.unit_id
          WHERE g.grant_id = $1 AND u.path && $2 FOR UPDATE OF g"
    ))
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
    let rows = cached(select!(
        "WHERE person_id = $1 AND state = 2 AND valid_from <= $2 AND (valid_to IS NULL OR valid_to > $2)
          ORDER BY grant_id"
    ))
    .bind::<SqlUuid, _>(person.0)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    all(rows)
}

/// Grants of a person that are requested or active.
pub async fn held(conn: &mut AsyncPgConnection, person: PersonId) -> Result<Vec<RoleGrant>> {
    let rows = cached(select!("WHERE person_id = $1 AND state IN (1, 2) ORDER BY grant_id"))
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
    let rows = cached(select!(
        "WHERE unit_id = ANY($1) AND state IN (1, 2) AND (valid_to IS NULL OR valid_to > $2)
          ORDER BY grant_id FOR UPDATE"
    ))
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    all(rows)
}

/// Grants that a person asked for and that wait for a second approver, held until the transaction ends.
pub async fn lock_asked_by(conn: &mut AsyncPgConnection, person: PersonId) -> Result<Vec<RoleGrant>> {
    let rows = cached(select!("WHERE state = 1 AND $1 = ANY(approved_by) ORDER BY grant_id FOR UPDATE"))
        .bind::<SqlUuid, _>(person.0)
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
    let rows = cached(select!(
        "JOIN units u ON u.unit_id = g.unit_id
          WHERE u.path && $1 AND ($2 IS NULL OR g.person_id = $2) AND g.grant_id > $3
          ORDER BY g.grant_id LIMIT $4"
    ))
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Nullable<SqlUuid>, _>(person.map(|id| id.0))
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    grant_id: Uuid,
}

/// A grant that has come into force by `$1` and was not told.
macro_rules! beginning {
    () => {
        "g.state = 2 AND NOT g.told AND g.valid_from <= $1 AND (g.valid_to IS NULL OR g.valid_to > $1)"
    };
}

/// A requested or active grant whose end has passed at `$1`. None whose holder has one that begins and was not told: what goes on is
/// told before what has ended.
macro_rules! expired {
    () => {
        "g.state IN (1, 2) AND g.valid_to <= $1
            AND NOT EXISTS (SELECT 1 FROM role_grants n
                             WHERE n.person_id = g.person_id AND n.state = 2 AND NOT n.told AND n.valid_from <= $1
                               AND (n.valid_to IS NULL OR n.valid_to > $1))"
    };
}

/// Grants that have come into force by `now` and were not told, but for some.
pub async fn beginning(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    limit: Limit,
    except: &[Uuid],
) -> Result<Vec<Uuid>> {
    const TEXT: &str = concat!(
        "SELECT g.grant_id FROM role_grants g WHERE ",
        beginning!(),
        " AND g.grant_id <> ALL ($3) ORDER BY g.valid_from LIMIT $2"
    );
    due(conn, TEXT, now, limit, except).await
}

/// Requested and active grants whose end has passed at `now`, but for some.
pub async fn expired(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    limit: Limit,
    except: &[Uuid],
) -> Result<Vec<Uuid>> {
    const TEXT: &str = concat!(
        "SELECT g.grant_id FROM role_grants g WHERE ",
        expired!(),
        " AND g.grant_id <> ALL ($3) ORDER BY g.valid_to LIMIT $2"
    );
    due(conn, TEXT, now, limit, except).await
}

async fn due(
    conn: &mut AsyncPgConnection,
    text: &'static str,
    now: Timestamp,
    limit: Limit,
    except: &[Uuid],
) -> Result<Vec<Uuid>> {
    let rows: Vec<IdRow> = cached(text)
        .bind::<Timestamptz, _>(now)
        .bind::<BigInt, _>(limit)
        .bind::<Array<SqlUuid>, _>(except)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.grant_id).collect())
}

/// Of these grants, those that begin at `now`, held until the transaction ends; those another replica holds are left to it.
pub async fn lock_beginning(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    ids: &[Uuid],
) -> Result<Vec<RoleGrant>> {
    const TEXT: &str = concat!(
        select!("WHERE g.grant_id = ANY ($2) AND "),
        beginning!(),
        " ORDER BY g.valid_from FOR UPDATE SKIP LOCKED"
    );
    lock_due(conn, TEXT, now, ids).await
}

/// Of these grants, those that end at `now`, held until the transaction ends; those another replica holds are left to it.
pub async fn lock_expired(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    ids: &[Uuid],
) -> Result<Vec<RoleGrant>> {
    const TEXT: &str = concat!(
        select!("WHERE g.grant_id = ANY ($2) AND "),
        expired!(),
        " ORDER BY g.valid_to FOR UPDATE OF g SKIP LOCKED"
    );
    lock_due(conn, TEXT, now, ids).await
}

async fn lock_due(
    conn: &mut AsyncPgConnection,
    text: &'static str,
    now: Timestamp,
    ids: &[Uuid],
) -> Result<Vec<RoleGrant>> {
    let rows = cached(text).bind::<Timestamptz, _>(now).bind::<Array<SqlUuid>, _>(ids).load(conn).await?;
    all(rows)
}

/// Adds a grant.
pub async fn insert(conn: &mut AsyncPgConnection, grant: &RoleGrant) -> Result<()> {
    insert_rows(conn, std::slice::from_ref(grant)).await.map_err(|e| {
        on_constraint(e, "role_grants_one_administrator", || {
            Error::wrong_state(personal::KIND, grant.person_id, "is an administrator already")
        })
    })
}

/// Adds grants, in one statement.
pub async fn insert_all(conn: &mut AsyncPgConnection, grants: &[RoleGrant]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    Ok(insert_rows(conn, grants).await?)
}

async fn insert_rows(conn: &mut AsyncPgConnection, grants: &[RoleGrant]) -> QueryResult<()> {
    cached(
        "INSERT INTO role_grants (grant_id, person_id, role, unit_id, line, org_id, purposes,
                                  valid_from, valid_to, state, approved_by, told, version)
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6),
                string_to_array(unnest($7), ','), unnest($8), unnest($9), unnest($10), unnest($11)::uuid[],
                unnest($12), unnest($13)",
    )
    .bind::<Array<SqlUuid>, _>(column(grants, |g| g.id.0))
    .bind::<Array<SqlUuid>, _>(column(grants, |g| g.person_id.0))
    .bind::<Array<SmallInt>, _>(column(grants, |g| g.role as i16))
    .bind::<Array<SqlUuid>, _>(column(grants, |g| g.unit_id.0))
    .bind::<Array<Nullable<Text>>, _>(column(grants, |g| g.line.clone()))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(grants, |g| g.org_id.map(|id| id.0)))
    .bind::<Array<Nullable<Text>>, _>(column(grants, purposes))
    .bind::<Array<Timestamptz>, _>(column(grants, |g| g.valid_from))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(grants, |g| g.valid_to))
    .bind::<Array<SmallInt>, _>(column(grants, |g| g.state as i16))
    .bind::<Array<Text>, _>(column(grants, approvers))
    .bind::<Array<Bool>, _>(column(grants, |g| g.told))
    .bind::<Array<BigInt>, _>(column(grants, |g| g.version))
    .execute(conn)
    .await
    .map(drop)
}

/// Writes a changed grant.
pub async fn update(conn: &mut AsyncPgConnection, grant: &RoleGrant) -> Result<()> {
    update_all(conn, std::slice::from_ref(grant)).await
}

/// Writes changed grants, in one statement.
pub async fn update_all(conn: &mut AsyncPgConnection, grants: &[RoleGrant]) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    let changed = cached(
        "UPDATE role_grants AS g
            SET unit_id = t.unit_id, state = t.state, valid_to = t.valid_to, approved_by = t.approved_by,
                told = t.told, version = t.version
           FROM (SELECT unnest($1) AS grant_id, unnest($2) AS unit_id, unnest($3) AS state,
                        unnest($4) AS valid_to, unnest($5)::uuid[] AS approved_by, unnest($6) AS told,
                        unnest($7) AS version) AS t
          WHERE g.grant_id = t.grant_id AND g.version = t.version - 1",
    )
    .bind::<Array<SqlUuid>, _>(column(grants, |g| g.id.0))
    .bind::<Array<SqlUuid>, _>(column(grants, |g| g.unit_id.0))
    .bind::<Array<SmallInt>, _>(column(grants, |g| g.state as i16))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(grants, |g| g.valid_to))
    .bind::<Array<Text>, _>(column(grants, approvers))
    .bind::<Array<Bool>, _>(column(grants, |g| g.told))
    .bind::<Array<BigInt>, _>(column(grants, |g| g.version))
    .execute(conn)
    .await?;
    match grants {
        _ if changed == grants.len() => Ok(()),
        [grant] => Err(Error::stale(KIND, grant.id)),
        _ => Err(Error::internal(format!("{} grants to write, {changed} written", grants.len()))),
    }
}

fn column<V>(grants: &[RoleGrant], value: impl Fn(&RoleGrant) -> V) -> Vec<V> {
    grants.iter().map(value).collect()
}

/// The purposes in one text; no code of a purpose has a comma.
fn purposes(grant: &RoleGrant) -> Option<String> {
    let codes = grant.purposes.as_ref()?;
    Some(codes.iter().map(String::as_str).collect::<Vec<_>>().join(","))
}

/// Who approved, as an array in text.
fn approvers(grant: &RoleGrant) -> String {
    let ids: Vec<String> = grant.approved_by.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}
