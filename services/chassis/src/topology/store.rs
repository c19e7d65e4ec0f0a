//! The copy in the service's database: read whole at start, written by the consumer and by identity's snapshots. Of two
//! versions of a thing the newer wins, whatever the order of arrival.

use std::sync::Arc;

use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Changes, Edge, EdgeKind, Organization, OrganizationKind, Unit, UnitKind, UnitState};
use crate::{
    auth::{LINGER, Revoked},
    clock::Timestamp,
    db::cached,
    error::Result,
};

#[derive(QueryableByName)]
struct UnitRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Text)]
    code_system: String,
    #[diesel(sql_type = Integer)]
    code_year: i32,
    #[diesel(sql_type = Integer)]
    kind: i32,
    #[diesel(sql_type = Text)]
    name_zh: String,
    #[diesel(sql_type = Text)]
    name_en: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    parent_id: Option<Uuid>,
    #[diesel(sql_type = Integer)]
    state: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_from: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    successor_id: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    moved: bool,
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    code: String,
    #[diesel(sql_type = Integer)]
    kind: i32,
    #[diesel(sql_type = Text)]
    name_zh: String,
    #[diesel(sql_type = Text)]
    name_en: String,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_from: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

#[derive(QueryableByName)]
struct EdgeRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    to_org_id: Uuid,
    #[diesel(sql_type = Integer)]
    kind: i32,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_from: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

#[derive(QueryableByName)]
struct RevocationRow {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    at: Timestamp,
}

/// How far the database is, in one count: of everything that is noted, and of the last change of units, organisations or edges.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Noted {
    /// Everything, bars on tokens as well.
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    /// The version of the last change of the tree. What an earlier build has counted may be one.
    #[diesel(sql_type = BigInt)]
    pub tree: i64,
}

/// A change of the tree that was counted.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Step {
    /// The version of the tree before.
    #[diesel(sql_type = BigInt)]
    pub before: i64,
    /// The version with it, of the tree and of everything.
    #[diesel(sql_type = BigInt)]
    pub version: i64,
}

/// How far it is now.
pub(super) async fn noted(conn: &mut AsyncPgConnection) -> Result<Noted> {
    let noted = cached(
        "SELECT version, CASE WHEN counted = version THEN tree_version ELSE version END AS tree \
         FROM topology_version",
    );
    Ok(noted.get_result(conn).await?)
}

/// Counts a change of the tree; other replicas then read everything anew.
pub(super) async fn count_change(conn: &mut AsyncPgConnection) -> Result<Step> {
    let counted = cached(
        "UPDATE topology_version SET \
             tree_before = CASE WHEN counted = version THEN tree_version ELSE version END, \
             tree_version = version + 1, counted = version + 1, version = version + 1 \
         RETURNING tree_before AS before, version",
    );
    Ok(counted.get_result(conn).await?)
}

/// Counts bars on tokens, and gives the version; other replicas then read those.
pub(super) async fn count_bars(conn: &mut AsyncPgConnection) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let counted = cached(
        "UPDATE topology_version SET \
             tree_version = CASE WHEN counted = version THEN tree_version ELSE version END, \
             counted = version + 1, version = version + 1 \
         RETURNING version",
    );
    let row: Row = counted.get_result(conn).await?;
    Ok(row.version)
}

/// Whether a snapshot of identity's is in.
pub(super) async fn has_snapshot(conn: &mut AsyncPgConnection) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        snapshot: bool,
    }
    let row: Row = cached("SELECT snapshot FROM topology_version").get_result(conn).await?;
    Ok(row.snapshot)
}

/// Notes that a snapshot is in.
pub(super) async fn note_snapshot(conn: &mut AsyncPgConnection) -> Result<()> {
    cached("UPDATE topology_version SET snapshot = true WHERE NOT snapshot").execute(conn).await?;
    Ok(())
}

/// Units by id, for [`versions`].
pub(super) const UNITS: &str = "SELECT id, version FROM topology_units WHERE id > $1 ORDER BY id LIMIT $2";
/// Organisations, the same.
pub(super) const ORGS: &str = "SELECT id, version FROM topology_orgs WHERE id > $1 ORDER BY id LIMIT $2";
/// Edges, the same.
pub(super) const EDGES: &str = "SELECT id, version FROM topology_edges WHERE id > $1 ORDER BY id LIMIT $2";

/// Ids with the versions that are held of them, after `after`.
pub(super) async fn versions(
    conn: &mut AsyncPgConnection,
    select: &'static str,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(Uuid, i64)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let rows: Vec<Row> = cached(select).bind::<SqlUuid, _>(after).bind::<BigInt, _>(limit).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.version)).collect())
}

/// Every unit, organisation and edge.
pub(super) async fn load(conn: &mut AsyncPgConnection) -> Result<Changes> {
    let units: Vec<UnitRow> = cached(
        "SELECT id, code, code_system, code_year, kind, name_zh, name_en, parent_id, state, valid_from, valid_to, version, \
         successor_id, moved FROM topology_units",
    )
    .load(conn)
    .await?;
    let orgs: Vec<OrgRow> = cached(
        "SELECT id, code, kind, name_zh, name_en, unit_id, line, valid_from, valid_to, version FROM topology_orgs",
    )
    .load(conn)
    .await?;
    let edges: Vec<EdgeRow> = cached(
        "SELECT id, from_org_id, to_org_id, kind, line, valid_from, valid_to, version FROM topology_edges",
    )
    .load(conn)
    .await?;
    Ok(Changes {
        units: units.into_iter().map(Unit::from).collect(),
        orgs: orgs.into_iter().map(Organization::from).collect(),
        edges: edges.into_iter().map(Edge::from).collect(),
    })
}

/// Every bar on tokens.
pub(super) async fn load_revoked(conn: &mut AsyncPgConnection) -> Result<Revoked> {
    let rows: Vec<RevocationRow> = cached("SELECT kind, id, at FROM revocations").load(conn).await?;
    let mut revoked = Revoked::default();
    for row in rows {
        match row.kind.as_str() {
            "session" => revoked.sessions.insert(row.id, row.at),
            _ => revoked.persons.insert(row.id, row.at),
        };
    }
    Ok(revoked)
}

/// Writes what is newer than what is there, and gives how much that is. `changes` holds each thing once.
pub(super) async fn save(conn: &mut AsyncPgConnection, changes: &Changes) -> Result<usize> {
    let units = save_units(conn, &changes.units).await?;
    let orgs = save_orgs(conn, &changes.orgs).await?;
    let edges = save_edges(conn, &changes.edges).await?;
    Ok(units + orgs + edges)
}

async fn save_units(conn: &mut AsyncPgConnection, units: &[Unit]) -> Result<usize> {
    if units.is_empty() {
        return Ok(0);
    }
    let saved = cached(
        "INSERT INTO topology_units (id, code, code_system, code_year, kind, name_zh, name_en, parent_id, state, \
             valid_from, valid_to, version, successor_id) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10), unnest($11), unnest($12), unnest($13) \
         ON CONFLICT (id) DO UPDATE SET code = excluded.code, code_system = excluded.code_system, \
             code_year = excluded.code_year, kind = excluded.kind, name_zh = excluded.name_zh, \
             name_en = excluded.name_en, parent_id = excluded.parent_id, state = excluded.state, \
             valid_from = excluded.valid_from, valid_to = excluded.valid_to, version = excluded.version, \
             successor_id = excluded.successor_id, \
             moved = topology_units.moved OR topology_units.parent_id IS DISTINCT FROM excluded.parent_id \
         WHERE topology_units.version < excluded.version \
             OR (topology_units.version = excluded.version AND topology_units.successor_id IS NULL \
                 AND excluded.successor_id IS NOT NULL)",
    )
    .bind::<Array<SqlUuid>, _>(column(units, |u| u.id))
    .bind::<Array<Text>, _>(column(units, |u| u.code.clone()))
    .bind::<Array<Text>, _>(column(units, |u| u.code_system.clone()))
    .bind::<Array<Integer>, _>(column(units, |u| u.code_year))
    .bind::<Array<Integer>, _>(column(units, |u| u.kind as i32))
    .bind::<Array<Text>, _>(column(units, |u| u.name_zh.clone()))
    .bind::<Array<Text>, _>(column(units, |u| u.name_en.clone()))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(units, |u| u.parent_id))
    .bind::<Array<Integer>, _>(column(units, |u| u.state as i32))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(units, |u| u.valid_from))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(units, |u| u.valid_to))
    .bind::<Array<BigInt>, _>(column(units, |u| u.version))
    .bind::<Array<Nullable<SqlUuid>>, _>(column(units, |u| u.successor_id))
    .execute(conn)
    .await?;
    Ok(saved)
}

async fn save_orgs(conn: &mut AsyncPgConnection, orgs: &[Organization]) -> Result<usize> {
    if orgs.is_empty() {
        return Ok(0);
    }
    let saved = cached(
        "INSERT INTO topology_orgs (id, code, kind, name_zh, name_en, unit_id, line, valid_from, valid_to, version) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8), \
         unnest($9), unnest($10) \
         ON CONFLICT (id) DO UPDATE SET code = excluded.code, kind = excluded.kind, name_zh = excluded.name_zh, \
             name_en = excluded.name_en, unit_id = excluded.unit_id, line = excluded.line, \
             valid_from = excluded.valid_from, valid_to = excluded.valid_to, version = excluded.version \
         WHERE topology_orgs.version < excluded.version",
    )
    .bind::<Array<SqlUuid>, _>(column(orgs, |o| o.id))
    .bind::<Array<Text>, _>(column(orgs, |o| o.code.clone()))
    .bind::<Array<Integer>, _>(column(orgs, |o| o.kind as i32))
    .bind::<Array<Text>, _>(column(orgs, |o| o.name_zh.clone()))
    .bind::<Array<Text>, _>(column(orgs, |o| o.name_en.clone()))
    .bind::<Array<SqlUuid>, _>(column(orgs, |o| o.unit_id))
    .bind::<Array<Nullable<Text>>, _>(column(orgs, |o| o.line.clone()))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(orgs, |o| o.valid_from))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(orgs, |o| o.valid_to))
    .bind::<Array<BigInt>, _>(column(orgs, |o| o.version))
    .execute(conn)
    .await?;
    Ok(saved)
}

async fn save_edges(conn: &mut AsyncPgConnection, edges: &[Edge]) -> Result<usize> {
    if edges.is_empty() {
        return Ok(0);
    }
    let saved = cached(
        "INSERT INTO topology_edges (id, from_org_id, to_org_id, kind, line, valid_from, valid_to, version) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8) \
         ON CONFLICT (id) DO UPDATE SET from_org_id = excluded.from_org_id, to_org_id = excluded.to_org_id, \
             kind = excluded.kind, line = excluded.line, valid_from = excluded.valid_from, \
             valid_to = excluded.valid_to, version = excluded.version \
         WHERE topology_edges.version < excluded.version",
    )
    .bind::<Array<SqlUuid>, _>(column(edges, |e| e.id))
    .bind::<Array<SqlUuid>, _>(column(edges, |e| e.from_org_id))
    .bind::<Array<SqlUuid>, _>(column(edges, |e| e.to_org_id))
    .bind::<Array<Integer>, _>(column(edges, |e| e.kind as i32))
    .bind::<Array<Nullable<Text>>, _>(column(edges, |e| e.line.clone()))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(edges, |e| e.valid_from))
    .bind::<Array<Nullable<Timestamptz>>, _>(column(edges, |e| e.valid_to))
    .bind::<Array<BigInt>, _>(column(edges, |e| e.version))
    .execute(conn)
    .await?;
    Ok(saved)
}

/// Writes bars on tokens; of two for one session or person the later holds.
pub(super) async fn save_revoked(conn: &mut AsyncPgConnection, revoked: &Revoked) -> Result<()> {
    let sessions = revoked.sessions.iter().map(|(id, at)| ("session", *id, *at));
    let persons = revoked.persons.iter().map(|(id, at)| ("person", *id, *at));
    let mut rows: Vec<(&str, Uuid, Timestamp)> = sessions.chain(persons).collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable();
    cached(
        "INSERT INTO revocations (kind, id, at) SELECT unnest($1), unnest($2), unnest($3) \
         ON CONFLICT (kind, id) DO UPDATE SET at = greatest(revocations.at, excluded.at)",
    )
    .bind::<Array<Text>, _>(column(&rows, |r| r.0))
    .bind::<Array<SqlUuid>, _>(column(&rows, |r| r.1))
    .bind::<Array<Timestamptz>, _>(column(&rows, |r| r.2))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes bars that bar nothing any more at `now` (real time).
pub(super) async fn prune_revoked(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<()> {
    cached(
        "DELETE FROM revocations WHERE (kind = 'session' AND at < $2) \
             OR (kind = 'person' AND at < $1 - interval '1 hour')",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(now - LINGER)
    .execute(conn)
    .await?;
    Ok(())
}

fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

impl From<UnitRow> for Unit {
    fn from(row: UnitRow) -> Self {
        Self {
            id: row.id,
            code: row.code,
            code_system: row.code_system,
            code_year: row.code_year,
            kind: UnitKind::try_from(row.kind).unwrap_or_default(),
            name_zh: row.name_zh,
            name_en: row.name_en,
            parent_id: row.parent_id,
            state: UnitState::try_from(row.state).unwrap_or_default(),
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
            successor_id: row.successor_id,
            moved: row.moved,
            path: Arc::from([row.id]),
        }
    }
}

impl From<OrgRow> for Organization {
    fn from(row: OrgRow) -> Self {
        Self {
            id: row.id,
            code: row.code,
            kind: OrganizationKind::try_from(row.kind).unwrap_or_default(),
            name_zh: row.name_zh,
            name_en: row.name_en,
            unit_id: row.unit_id,
            line: row.line,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
        }
    }
}

impl From<EdgeRow> for Edge {
    fn from(row: EdgeRow) -> Self {
        Self {
            id: row.id,
            from_org_id: row.from_org_id,
            to_org_id: row.to_org_id,
            kind: EdgeKind::try_from(row.kind).unwrap_or_default(),
            line: row.line,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
        }
    }
}
