//! The imported notices. They are few and read whole; nothing here changes or removes one. Orders about working hours, and moves
//! of units to other hours, are kept likewise, see `hours`.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::calendars::Imported;

#[derive(QueryableByName)]
struct NewestRow {
    #[diesel(sql_type = BigInt)]
    notice: i64,
    #[diesel(sql_type = BigInt)]
    hours: i64,
    #[diesel(sql_type = BigInt)]
    moves: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    notice: String,
    #[diesel(sql_type = Timestamptz)]
    imported_at: Timestamp,
}

/// A notice as it is kept.
pub struct Kept<'a> {
    pub seq: i64,
    pub title_year: i32,
    pub version: u32,
    pub notice: &'a str,
    pub signature: &'a str,
    pub signed_by: String,
    pub imported_at: Timestamp,
    pub imported_by: &'a str,
}

/// Numbers of the newest notice, of the newest order about working hours and of the newest move of a unit to other hours; 0 while
/// there is none.
pub async fn newest(conn: &mut AsyncPgConnection) -> Result<(i64, i64, i64)> {
    let row: NewestRow = cached(
        "SELECT (SELECT coalesce(max(seq), 0) FROM calendar_notices) AS notice, \
         (SELECT coalesce(max(seq), 0) FROM working_hours_orders) AS hours, \
         (SELECT coalesce(max(topology_version), 0) FROM working_hours_moves) AS moves",
    )
    .get_result(conn)
    .await?;
    Ok((row.notice, row.hours, row.moves))
}

/// Every notice, in the order of import.
pub async fn load(conn: &mut AsyncPgConnection) -> Result<Vec<Imported>> {
    let rows: Vec<Row> =
        cached("SELECT seq, notice, imported_at FROM calendar_notices ORDER BY seq").load(conn).await?;
    let read = |row: Row| {
        let notice = calendar::Notice::from_toml(&row.notice).map_err(Error::internal)?;
        Ok(Imported { seq: row.seq, notice, imported_at: row.imported_at })
    };
    rows.into_iter().map(read).collect()
}

/// Keeps others from importing until the end of the transaction.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    Ok(conn.batch_execute("LOCK TABLE calendar_notices IN SHARE ROW EXCLUSIVE MODE").await?)
}

/// Appends a notice.
pub async fn append(conn: &mut AsyncPgConnection, kept: &Kept<'_>) -> Result<()> {
    cached(
        "INSERT INTO calendar_notices \
         (seq, title_year, version, notice, signature, signed_by, imported_at, imported_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<BigInt, _>(kept.seq)
    .bind::<Integer, _>(kept.title_year)
    .bind::<Integer, _>(i32::try_from(kept.version).map_err(Error::internal)?)
    .bind::<Text, _>(kept.notice)
    .bind::<Text, _>(kept.signature)
    .bind::<Text, _>(&kept.signed_by)
    .bind::<Timestamptz, _>(kept.imported_at)
    .bind::<Text, _>(kept.imported_by)
    .execute(conn)
    .await?;
    Ok(())
}
