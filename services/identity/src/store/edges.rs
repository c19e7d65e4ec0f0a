//! Authority edges.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt, on_constraint};
use crate::domain::{
    EdgeId, OrgId,
    edge::{AuthorityEdge, EdgeKind, KIND},
    organization::OrganizationKind,
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    edge_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    from_org_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    from_kind: i16,
    #[diesel(sql_type = SqlUuid)]
    to_org_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    to_kind: i16,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
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
            "SELECT edge_id, from_org_id, from_kind, to_org_id, to_kind, kind, line, valid_from, valid_to,
                    version
               FROM authority_edges WHERE ",
            $rest
        )
    };
}

impl TryFrom<Row> for AuthorityEdge {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let org_kind = |kind: i16| {
            OrganizationKind::try_from(i32::from(kind)).map_err(|_| corrupt("kind of an organisation"))
        };
        Ok(Self {
            id: EdgeId(row.edge_id),
            from: OrgId(row.from_org_id),
            from_kind: org_kind(row.from_kind)?,
            to: OrgId(row.to_org_id),
            to_kind: org_kind(row.to_kind)?,
            kind: EdgeKind::try_from(i32::from(row.kind)).map_err(|_| corrupt("kind of an edge"))?,
            line: row.line,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            version: row.version,
        })
    }
}

fn all(rows: Vec<Row>) -> Result<Vec<AuthorityEdge>> {
    rows.into_iter().map(AuthorityEdge::try_from).collect()
}

/// One edge.
pub async fn get(conn: &mut AsyncPgConnection, id: EdgeId) -> Result<Option<AuthorityEdge>> {
    let row: Option<Row> =
        cached(select!("edge_id = $1")).bind::<SqlUuid, _>(id.0).get_result(conn).await.optional()?;
    row.map(AuthorityEdge::try_from).transpose()
}

/// Edges in force, by id, after `after`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    from: Option<OrgId>,
    to: Option<OrgId>,
    after: Uuid,
    limit: Limit,
) -> Result<Vec<AuthorityEdge>> {
    let rows = cached(select!(
        "valid_to IS NULL AND ($1 IS NULL OR from_org_id = $1) AND ($2 IS NULL OR to_org_id = $2)
            AND edge_id > $3
          ORDER BY edge_id LIMIT $4"
    ))
    .bind::<Nullable<SqlUuid>, _>(from.map(|id| id.0))
    .bind::<Nullable<SqlUuid>, _>(to.map(|id| id.0))
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    all(rows)
}

/// Every edge there ever was, by id, after `after`; for snapshots.
pub async fn scan(conn: &mut AsyncPgConnection, after: Uuid, limit: Limit) -> Result<Vec<AuthorityEdge>> {
    let rows = cached(select!("edge_id > $1 ORDER BY edge_id LIMIT $2"))
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    all(rows)
}

/// Adds an edge.
pub async fn insert(conn: &mut AsyncPgConnection, edge: &AuthorityEdge) -> Result<()> {
    cached(
        "INSERT INTO authority_edges (edge_id, from_org_id, from_kind, to_org_id, to_kind, kind, line, valid_from, valid_to, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind::<SqlUuid, _>(edge.id.0)
    .bind::<SqlUuid, _>(edge.from.0)
    .bind::<SmallInt, _>(edge.from_kind as i16)
    .bind::<SqlUuid, _>(edge.to.0)
    .bind::<SmallInt, _>(edge.to_kind as i16)
    .bind::<SmallInt, _>(edge.kind as i16)
    .bind::<Nullable<Text>, _>(edge.line.as_deref())
    .bind::<Timestamptz, _>(edge.valid_from)
    .bind::<Nullable<Timestamptz>, _>(edge.valid_to)
    .bind::<BigInt, _>(edge.version)
    .execute(conn)
    .await
    .map_err(|e| on_constraint(e, "authority_edges_in_force", || Error::already_exists(KIND, edge.id)))?;
    Ok(())
}

/// Writes the end of an edge.
pub async fn update_end(conn: &mut AsyncPgConnection, edge: &AuthorityEdge) -> Result<()> {
    let changed = cached(
        "UPDATE authority_edges SET valid_to = $2, version = $3 WHERE edge_id = $1 AND version = $3 - 1",
    )
    .bind::<SqlUuid, _>(edge.id.0)
    .bind::<Nullable<Timestamptz>, _>(edge.valid_to)
    .bind::<BigInt, _>(edge.version)
    .execute(conn)
    .await?;
    if changed == 1 { Ok(()) } else { Err(Error::stale(KIND, edge.id)) }
}
