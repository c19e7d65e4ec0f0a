//! Units, their history and lineage. Every write of the tree happens under [`lock`], so that parents, paths and codes
//! are seen as they are.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt, on_constraint};
use crate::domain::{
    UnitId,
    unit::{KIND, Unit, UnitKind, UnitState},
};

/// Key of the advisory lock of topology writes.
const TOPOLOGY_LOCK: i64 = 0x746f_706f;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Text)]
    code_system: String,
    #[diesel(sql_type = Integer)]
    code_year: i32,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = Text)]
    name_zh: String,
    #[diesel(sql_type = Text)]
    name_en: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_id: Option<Uuid>,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Timestamptz)]
    valid_from: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    successor_id: Option<Uuid>,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT unit_id, code, code_system, code_year, kind, name_zh, name_en, parent_id, state,
                    valid_from, valid_to, version, successor_id
               FROM units WHERE ",
            $rest
        )
    };
}

impl TryFrom<Row> for Unit {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: UnitId(row.unit_id),
            code: row.code,
            code_system: row.code_system,
            code_year: row.code_year,
            kind: UnitKind::try_from(i32::from(row.kind)).map_err(|_| corrupt("kind of a unit"))?,
            name_zh: row.name_zh,
            name_en: row.name_en,
            parent_id: row.parent_id.map(UnitId),
            state: UnitState::try_from(i32::from(row.state)).map_err(|_| corrupt("state of a unit"))?,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
            successor_id: row.successor_id.map(UnitId),
        })
    }
}

#[derive(QueryableByName)]
struct PathRow {
    #[diesel(sql_type = Array<SqlUuid>)]
    path: Vec<Uuid>,
}

fn all(rows: Vec<Row>) -> Result<Vec<Unit>> {
    rows.into_iter().map(Unit::try_from).collect()
}

/// Serialises every change of units, organisations and edges until the transaction ends. Such changes are rare.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    cached("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(TOPOLOGY_LOCK).execute(conn).await?;
    Ok(())
}

/// Keeps the tree as it is until the transaction ends, beside others who do so: for what is placed at a unit. Taken
/// before anything else is looked at, so that whoever waited for a merger sees it.
pub async fn hold(conn: &mut AsyncPgConnection) -> Result<()> {
    cached("SELECT pg_advisory_xact_lock_shared($1)").bind::<BigInt, _>(TOPOLOGY_LOCK).execute(conn).await?;
    Ok(())
}

/// One unit.
pub async fn get(conn: &mut AsyncPgConnection, id: UnitId) -> Result<Option<Unit>> {
    let row: Option<Row> =
        cached(select!("unit_id = $1")).bind::<SqlUuid, _>(id.0).get_result(conn).await.optional()?;
    row.map(Unit::try_from).transpose()
}

/// Several units, by id; those that do not exist are left out.
pub async fn get_many(conn: &mut AsyncPgConnection, ids: &[UnitId]) -> Result<Vec<Unit>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = cached(select!("unit_id = ANY($1) ORDER BY unit_id"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    all(rows)
}

/// Root → unit; `None` when there is no such unit.
pub async fn path(conn: &mut AsyncPgConnection, id: UnitId) -> Result<Option<Vec<Uuid>>> {
    let row: Option<PathRow> = cached("SELECT path FROM units WHERE unit_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(|r| r.path))
}

/// Units directly below any of `ids`.
pub async fn children(conn: &mut AsyncPgConnection, ids: &[UnitId]) -> Result<Vec<Unit>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = cached(select!("parent_id = ANY($1) ORDER BY unit_id"))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    all(rows)
}

/// Which units to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Directly below this unit.
    pub parent_id: Option<UnitId>,
    /// Of this kind.
    pub kind: Option<UnitKind>,
    /// Also those that have ended.
    pub include_ended: bool,
}

/// Units in force at `at`, and those that had ended by then if the filter has them, by code, after `after`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    at: Timestamp,
    after: Option<(String, Uuid)>,
    limit: Limit,
) -> Result<Vec<Unit>> {
    let (code, id) = after.unwrap_or_default();
    let rows = cached(
        "SELECT unit_id, code, code_system, code_year, kind, name_zh, name_en, parent_id, state, valid_from, valid_to, version,
                CASE WHEN state > 2 THEN (SELECT u.successor_id FROM units u WHERE u.unit_id = h.unit_id) END AS successor_id
           FROM unit_history h
          WHERE during @> $1 AND (state = 2 OR ($7 AND state > 2))
            AND ($2 IS NULL OR parent_id = $2) AND ($3 IS NULL OR kind = $3)
            AND (code, unit_id) > ($4, $5)
          ORDER BY code, unit_id LIMIT $6",
    )
    .bind::<Timestamptz, _>(at)
    .bind::<Nullable<SqlUuid>, _>(filter.parent_id.map(|id| id.0))
    .bind::<Nullable<SmallInt>, _>(filter.kind.map(|k| k as i16))
    .bind::<Text, _>(code)
    .bind::<SqlUuid, _>(id)
    .bind::<BigInt, _>(limit)
    .bind::<Bool, _>(filter.include_ended)
    .load(conn)
    .await?;
    all(rows)
}

/// Every unit there ever was, by id, after `after`; for snapshots.
pub async fn scan(conn: &mut AsyncPgConnection, after: Uuid, limit: Limit) -> Result<Vec<Unit>> {
    let rows = cached(select!("unit_id > $1 ORDER BY unit_id LIMIT $2"))
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    all(rows)
}

/// Adds a unit below its parent, which is there already.
pub async fn insert(conn: &mut AsyncPgConnection, unit: &Unit) -> Result<()> {
    cached(
        "INSERT INTO units (unit_id, code, code_system, code_year, kind, name_zh, name_en, parent_id, path, state, valid_from, valid_to, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
                 coalesce((SELECT path FROM units WHERE unit_id = $8), '{}') || $1, $9, $10, $11, $12)",
    )
    .bind::<SqlUuid, _>(unit.id.0)
    .bind::<Text, _>(&unit.code)
    .bind::<Text, _>(&unit.code_system)
    .bind::<Integer, _>(unit.code_year)
    .bind::<SmallInt, _>(unit.kind as i16)
    .bind::<Text, _>(&unit.name_zh)
    .bind::<Text, _>(&unit.name_en)
    .bind::<Nullable<SqlUuid>, _>(unit.parent_id.map(|id| id.0))
    .bind::<SmallInt, _>(unit.state as i16)
    .bind::<Timestamptz, _>(unit.valid_from)
    .bind::<Nullable<Timestamptz>, _>(unit.valid_to)
    .bind::<BigInt, _>(unit.version)
    .execute(conn)
    .await
    .map_err(|e| on_constraint(e, "units_code_in_force", || Error::already_exists(KIND, &unit.code)))?;
    remember(conn, unit, unit.valid_from).await
}

/// Writes a changed unit, whose new version holds from `at`. Paths below it follow with [`repath`].
pub async fn update(conn: &mut AsyncPgConnection, unit: &Unit, at: Timestamp) -> Result<()> {
    let changed = cached(
        "UPDATE units SET code = $2, name_zh = $3, name_en = $4, parent_id = $5, state = $6, valid_to = $7, version = $8,
                successor_id = $9
          WHERE unit_id = $1 AND version = $8 - 1",
    )
    .bind::<SqlUuid, _>(unit.id.0)
    .bind::<Text, _>(&unit.code)
    .bind::<Text, _>(&unit.name_zh)
    .bind::<Text, _>(&unit.name_en)
    .bind::<Nullable<SqlUuid>, _>(unit.parent_id.map(|id| id.0))
    .bind::<SmallInt, _>(unit.state as i16)
    .bind::<Nullable<Timestamptz>, _>(unit.valid_to)
    .bind::<BigInt, _>(unit.version)
    .bind::<Nullable<SqlUuid>, _>(unit.successor_id.map(|id| id.0))
    .execute(conn)
    .await
    .map_err(|e| on_constraint(e, "units_code_in_force", || Error::already_exists(KIND, &unit.code)))?;
    if changed != 1 {
        return Err(Error::stale(KIND, unit.id));
    }
    remember(conn, unit, at).await
}

/// Makes the paths of everything below `root` anew.
pub async fn repath(conn: &mut AsyncPgConnection, root: UnitId) -> Result<()> {
    cached(
        "WITH RECURSIVE below (unit_id, path) AS (
             SELECT unit_id, path FROM units WHERE unit_id = $1
             UNION ALL
             SELECT u.unit_id, below.path || u.unit_id FROM units u JOIN below ON u.parent_id = below.unit_id
         ) CYCLE unit_id SET looped USING way
         UPDATE units u SET path = below.path FROM below WHERE u.unit_id = below.unit_id AND u.path <> below.path",
    )
    .bind::<SqlUuid, _>(root.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes where a unit came from.
pub async fn insert_lineage(
    conn: &mut AsyncPgConnection,
    from: UnitId,
    to: UnitId,
    kind: &str,
    at: Timestamp,
) -> Result<()> {
    cached("INSERT INTO unit_lineage (from_unit_id, to_unit_id, kind, effective_at) VALUES ($1, $2, $3, $4)")
        .bind::<SqlUuid, _>(from.0)
        .bind::<SqlUuid, _>(to.0)
        .bind::<Text, _>(kind)
        .bind::<Timestamptz, _>(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// The version in hand ends at `at` (never before its own beginning) and the new one begins there.
async fn remember(conn: &mut AsyncPgConnection, unit: &Unit, at: Timestamp) -> Result<()> {
    cached(
        "UPDATE unit_history SET during = tstzrange(lower(during), greatest($2, lower(during)))
          WHERE unit_id = $1 AND upper_inf(during) AND NOT isempty(during)",
    )
    .bind::<SqlUuid, _>(unit.id.0)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    cached(
        "INSERT INTO unit_history (unit_id, version, code, code_system, code_year, kind, name_zh, name_en, parent_id, state, valid_from, valid_to, during)
         SELECT unit_id, version, code, code_system, code_year, kind, name_zh, name_en, parent_id, state, valid_from, valid_to,
                tstzrange(greatest($2, (SELECT max(upper(during)) FROM unit_history WHERE unit_id = $1)), NULL)
           FROM units WHERE unit_id = $1",
    )
    .bind::<SqlUuid, _>(unit.id.0)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}
