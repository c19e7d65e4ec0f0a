//! Imports: which ids of other systems are known, the ledger of batches, and whose words are still to be noted.

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bytea, Date, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use super::words::{Words, units};
use crate::domain::{CaseId, Place, pairs};

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Bytea)]
    client_key: Vec<u8>,
}

/// Which of these keys stand for a case already.
pub async fn known(conn: &mut AsyncPgConnection, keys: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let rows: Vec<KeyRow> = cached("SELECT client_key FROM client_refs WHERE client_key = ANY($1)")
        .bind::<Array<Bytea>, _>(keys)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| row.client_key).collect())
}

/// Takes keys for cases, in the order of the keys, so that two who take the same ones wait for each other in turn. Gives
/// those that were free.
pub async fn claim(conn: &mut AsyncPgConnection, mut keys: Vec<(&[u8], CaseId)>) -> Result<Vec<Vec<u8>>> {
    keys.sort_unstable();
    let rows: Vec<KeyRow> = cached(
        "INSERT INTO client_refs (client_key, case_id) SELECT unnest($1), unnest($2) \
         ON CONFLICT DO NOTHING RETURNING client_key",
    )
    .bind::<Array<Bytea>, _>(keys.iter().map(|(key, _)| *key).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(keys.iter().map(|(_, case)| case.0).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.client_key).collect())
}

/// Gives back keys that were claimed for cases which are not stored.
pub async fn release(conn: &mut AsyncPgConnection, keys: &[&[u8]]) -> Result<()> {
    cached("DELETE FROM client_refs WHERE client_key = ANY($1)")
        .bind::<Array<Bytea>, _>(keys)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = Text)]
    district: String,
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Integer)]
    taken: i32,
}

/// Takes so many numbers of each district's day; gives the last of each. The days come in order, each once.
pub async fn take_numbers(
    conn: &mut AsyncPgConnection,
    days: &[(String, NaiveDate, i32)],
) -> Result<Vec<((String, NaiveDate), i32)>> {
    let rows: Vec<TakenRow> = cached(
        "INSERT INTO case_number_blocks AS b (district, day, taken) SELECT unnest($1), unnest($2), unnest($3) \
         ON CONFLICT (district, day) DO UPDATE SET taken = b.taken + excluded.taken \
         RETURNING district, day, taken",
    )
    .bind::<Array<Text>, _>(days.iter().map(|(district, ..)| district.as_str()).collect::<Vec<_>>())
    .bind::<Array<Date>, _>(days.iter().map(|(_, day, _)| *day).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(days.iter().map(|(.., size)| *size).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.district, row.day), row.taken)).collect())
}

/// A batch as the ledger keeps it.
#[derive(Debug)]
pub struct Batch<'a> {
    pub batch_id: Uuid,
    pub import_id: Uuid,
    pub source: &'a str,
    pub imported: usize,
    pub duplicates: usize,
    pub problems: usize,
    /// Cases that have a text.
    pub unindexed: Vec<Uuid>,
}

/// Enters a batch.
pub async fn enter(conn: &mut AsyncPgConnection, batch: &Batch<'_>) -> Result<()> {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    cached(
        "INSERT INTO import_batches (batch_id, import_id, source, imported, duplicates, problems, unindexed, \
         unindexed_count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<SqlUuid, _>(batch.batch_id)
    .bind::<SqlUuid, _>(batch.import_id)
    .bind::<Text, _>(batch.source)
    .bind::<Integer, _>(count(batch.imported))
    .bind::<Integer, _>(count(batch.duplicates))
    .bind::<Integer, _>(count(batch.problems))
    .bind::<Array<SqlUuid>, _>(&batch.unindexed)
    .bind::<Integer, _>(count(batch.unindexed.len()))
    .execute(conn)
    .await?;
    Ok(())
}

/// An import, added up. Times are real.
#[derive(Debug, QueryableByName)]
pub struct Sum {
    #[diesel(sql_type = Text)]
    pub source: String,
    #[diesel(sql_type = BigInt)]
    pub batches: i64,
    #[diesel(sql_type = BigInt)]
    pub imported: i64,
    #[diesel(sql_type = BigInt)]
    pub duplicates: i64,
    #[diesel(sql_type = BigInt)]
    pub problems: i64,
    #[diesel(sql_type = BigInt)]
    pub unindexed: i64,
    #[diesel(sql_type = Timestamptz)]
    pub first: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    pub last: Timestamp,
}

/// An import by id; `None` when no batch of it is stored.
pub async fn sum(conn: &mut AsyncPgConnection, import_id: Uuid) -> Result<Option<Sum>> {
    let rows: Vec<Sum> = cached(
        "SELECT min(source) AS source, count(*) AS batches, sum(imported)::bigint AS imported, \
         sum(duplicates)::bigint AS duplicates, sum(problems)::bigint AS problems, \
         sum(unindexed_count)::bigint AS unindexed, min(imported_at) AS first, max(imported_at) AS last \
         FROM import_batches WHERE import_id = $1 GROUP BY import_id",
    )
    .bind::<SqlUuid, _>(import_id)
    .load(conn)
    .await?;
    Ok(rows.into_iter().next())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How many imported cases cannot be found by their words yet.
pub async fn unindexed(conn: &mut AsyncPgConnection) -> Result<i64> {
    let row: Count = cached(
        "SELECT coalesce(sum(unindexed_count), 0)::bigint AS n FROM import_batches WHERE unindexed_count > 0",
    )
    .get_result(conn)
    .await?;
    Ok(row.n)
}

#[derive(QueryableByName)]
struct Quiet {
    #[diesel(sql_type = Nullable<BigInt>)]
    newest_ms: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest_ms: Option<i64>,
}

/// How long ago, in milliseconds, the newest and the oldest of the batches came in whose words are not noted; `None` when
/// there are none.
pub async fn waiting(conn: &mut AsyncPgConnection) -> Result<Option<(i64, i64)>> {
    let row: Quiet = cached(
        "SELECT (extract(epoch FROM clock_timestamp() - max(imported_at)) * 1000)::bigint AS newest_ms, \
         (extract(epoch FROM clock_timestamp() - min(imported_at)) * 1000)::bigint AS oldest_ms \
         FROM import_batches WHERE unindexed_count > 0",
    )
    .get_result(conn)
    .await?;
    Ok(row.newest_ms.zip(row.oldest_ms))
}

#[derive(QueryableByName)]
struct Pending {
    #[diesel(sql_type = SqlUuid)]
    batch_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    unindexed: Vec<Uuid>,
}

/// A batch whose words are to be noted, and its cases; it stays locked, and others pass over it.
pub async fn take_unindexed(conn: &mut AsyncPgConnection) -> Result<Option<(Uuid, Vec<Uuid>)>> {
    let rows: Vec<Pending> = cached(
        "SELECT batch_id, unindexed FROM import_batches WHERE unindexed_count > 0 \
         ORDER BY batch_id LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| (row.batch_id, row.unindexed)))
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = SqlUuid)]
    batch_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The first case whose words are to be noted, and its batch; nothing is locked.
pub async fn first_unindexed(conn: &mut AsyncPgConnection) -> Result<Option<(Uuid, Uuid)>> {
    let rows: Vec<First> = cached(
        "SELECT batch_id, unindexed[1] AS case_id FROM import_batches WHERE unindexed_count > 0 \
         ORDER BY batch_id LIMIT 1",
    )
    .load(conn)
    .await?;
    Ok(rows.into_iter().next().map(|row| (row.batch_id, row.case_id)))
}

/// Takes one case out of a batch.
pub async fn forgo_unindexed(conn: &mut AsyncPgConnection, batch_id: Uuid, case: Uuid) -> Result<()> {
    cached(
        "UPDATE import_batches SET unindexed = array_remove(unindexed, $2), \
         unindexed_count = cardinality(array_remove(unindexed, $2)) WHERE batch_id = $1",
    )
    .bind::<SqlUuid, _>(batch_id)
    .bind::<SqlUuid, _>(case)
    .execute(conn)
    .await?;
    Ok(())
}

/// What is left of a batch.
pub async fn leave_unindexed(conn: &mut AsyncPgConnection, batch_id: Uuid, rest: &[Uuid]) -> Result<()> {
    cached("UPDATE import_batches SET unindexed = $2, unindexed_count = cardinality($2) WHERE batch_id = $1")
        .bind::<SqlUuid, _>(batch_id)
        .bind::<Array<SqlUuid>, _>(rest)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Doc {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// By what cases are found, in the order of their ids. The cases stay as they are until the end of the transaction, so that no
/// text is noted which is gone.
pub async fn words(conn: &mut AsyncPgConnection, cases: &[Uuid]) -> Result<Vec<Words>> {
    #[derive(Deserialize)]
    struct Noted {
        text_redacted: String,
        place: Place,
    }
    let rows: Vec<Doc> =
        cached("SELECT case_id, doc FROM cases WHERE case_id = ANY($1) ORDER BY case_id FOR SHARE")
            .bind::<Array<SqlUuid>, _>(cases)
            .load(conn)
            .await?;
    rows.into_iter()
        .map(|row| {
            let noted: Noted = serde_json::from_str(&row.doc).map_err(chassis::Error::internal)?;
            Ok(Words { case: row.case_id, units: units(&noted.place), pairs: pairs(&noted.text_redacted) })
        })
        .collect()
}
