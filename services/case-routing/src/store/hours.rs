//! The imported orders about working hours, and when units came under other hours by being put under another unit. They are few
//! and read whole; nothing here changes or removes one.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use crate::calendars::Ordered;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Text)]
    content: String,
    #[diesel(sql_type = Timestamptz)]
    imported_at: Timestamp,
}

/// An order as it is kept.
pub struct Kept<'a> {
    pub seq: i64,
    pub unit_id: Uuid,
    pub version: u32,
    pub content: &'a str,
    pub signature: &'a str,
    pub signed_by: String,
    pub imported_at: Timestamp,
    pub imported_by: &'a str,
}

/// Every order, in the order of import.
pub async fn load(conn: &mut AsyncPgConnection) -> Result<Vec<Ordered>> {
    let rows: Vec<Row> =
        cached("SELECT seq, unit_id, content, imported_at FROM working_hours_orders ORDER BY seq")
            .load(conn)
            .await?;
    let read = |row: Row| {
        let order = calendar::HoursOrder::from_toml(&row.content).map_err(Error::internal)?;
        Ok(Ordered { seq: row.seq, unit: row.unit_id, order, imported_at: row.imported_at })
    };
    rows.into_iter().map(read).collect()
}

#[derive(QueryableByName)]
struct MoveRow {
    #[diesel(sql_type = BigInt)]
    topology_version: i64,
}

/// The versions of the topology with which units came under other hours, in order.
pub async fn moves(conn: &mut AsyncPgConnection) -> Result<Vec<i64>> {
    let rows: Vec<MoveRow> =
        cached("SELECT topology_version FROM working_hours_moves ORDER BY topology_version")
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| row.topology_version).collect())
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The version of the topology before what this transaction has noted of it.
pub async fn version_before(conn: &mut AsyncPgConnection) -> Result<i64> {
    let row: VersionRow =
        cached("SELECT tree_before AS version FROM topology_version").get_result(conn).await?;
    Ok(row.version)
}

/// Notes that units come under other hours with the version of the topology that this transaction makes. It holds that version's
/// row, so that versions are committed in their order. Which units they are is kept for audit only: what runs is found by its version.
pub async fn note_moves(conn: &mut AsyncPgConnection, units: &[Uuid], at: Timestamp) -> Result<()> {
    cached(
        "INSERT INTO working_hours_moves (topology_version, unit_ids, moved_at) \
         SELECT tree_version, $1, $2 FROM topology_version",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps others from importing until the end of the transaction.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    Ok(conn.batch_execute("LOCK TABLE working_hours_orders IN SHARE ROW EXCLUSIVE MODE").await?)
}

/// Appends an order.
pub async fn append(conn: &mut AsyncPgConnection, kept: &Kept<'_>) -> Result<()> {
    cached(
        "INSERT INTO working_hours_orders \
         (seq, unit_id, version, content, signature, signed_by, imported_at, imported_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<BigInt, _>(kept.seq)
    .bind::<SqlUuid, _>(kept.unit_id)
    .bind::<Integer, _>(i32::try_from(kept.version).map_err(Error::internal)?)
    .bind::<Text, _>(kept.content)
    .bind::<Text, _>(kept.signature)
    .bind::<Text, _>(&kept.signed_by)
    .bind::<Timestamptz, _>(kept.imported_at)
    .bind::<Text, _>(kept.imported_by)
    .execute(conn)
    .await?;
    Ok(())
}
