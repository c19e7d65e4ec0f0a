//! The classifiers: parts of their files as they are brought, the versions made of them, and which one is in force.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Bytea, Integer, Jsonb, Nullable, SmallInt, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

/// A version, without its file.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct ModelRow {
    #[diesel(sql_type = Integer)]
    pub model_version: i32,
    #[diesel(sql_type = Text)]
    pub sha256: String,
    #[diesel(sql_type = BigInt)]
    pub size_bytes: i64,
    #[diesel(sql_type = Integer)]
    pub label_count: i32,
    #[diesel(sql_type = Integer)]
    pub item_count: i32,
    #[diesel(sql_type = Jsonb)]
    pub label_items: serde_json::Value,
    #[diesel(sql_type = Text)]
    pub installed_by: String,
    #[diesel(sql_type = Timestamptz)]
    pub installed_at: Timestamp,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Keeps others from changing which version is in force until the end of the transaction.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    Ok(conn.batch_execute("LOCK TABLE model_changes IN SHARE ROW EXCLUSIVE MODE").await?)
}

/// Keeps a part, and throws away what was brought more than a day ago and made into nothing. Gives the bytes brought so far.
/// Parts of a version that is installed are left as they are.
pub async fn put_part(
    conn: &mut AsyncPgConnection,
    sha256: &str,
    part: i16,
    data: &[u8],
    now: Timestamp,
) -> Result<i64> {
    cached(
        "DELETE FROM model_parts p WHERE put_at < $1 AND sha256 <> $2 \
         AND NOT EXISTS (SELECT FROM models m WHERE m.sha256 = p.sha256)",
    )
    .bind::<Timestamptz, _>(now - chrono::TimeDelta::days(1))
    .bind::<Text, _>(sha256)
    .execute(conn)
    .await?;
    cached(
        "INSERT INTO model_parts AS p (sha256, part, data, put_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (sha256, part) DO UPDATE SET data = excluded.data, put_at = excluded.put_at \
         WHERE NOT EXISTS (SELECT FROM models m WHERE m.sha256 = p.sha256)",
    )
    .bind::<Text, _>(sha256)
    .bind::<SmallInt, _>(part)
    .bind::<Bytea, _>(data)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    let size: Number =
        cached("SELECT coalesce(sum(length(data)), 0)::bigint AS number FROM model_parts WHERE sha256 = $1")
            .bind::<Text, _>(sha256)
            .get_result(conn)
            .await?;
    Ok(size.number)
}

#[derive(QueryableByName)]
struct PartRow {
    #[diesel(sql_type = Bytea)]
    data: Vec<u8>,
}

/// The parts of a file put together; they do not change until the end of the transaction.
pub async fn file(conn: &mut AsyncPgConnection, sha256: &str) -> Result<Vec<u8>> {
    let parts: Vec<PartRow> =
        cached("SELECT data FROM model_parts WHERE sha256 = $1 ORDER BY part FOR SHARE")
            .bind::<Text, _>(sha256)
            .load(conn)
            .await?;
    let mut file = Vec::with_capacity(parts.iter().map(|part| part.data.len()).sum());
    parts.iter().for_each(|part| file.extend_from_slice(&part.data));
    Ok(file)
}

/// Stores a version.
pub async fn insert(conn: &mut AsyncPgConnection, row: &ModelRow) -> Result<()> {
    cached(
        "INSERT INTO models (model_version, sha256, size_bytes, label_count, item_count, label_items, installed_by, \
         installed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<Integer, _>(row.model_version)
    .bind::<Text, _>(&row.sha256)
    .bind::<BigInt, _>(row.size_bytes)
    .bind::<Integer, _>(row.label_count)
    .bind::<Integer, _>(row.item_count)
    .bind::<Jsonb, _>(&row.label_items)
    .bind::<Text, _>(&row.installed_by)
    .bind::<Timestamptz, _>(row.installed_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Puts a version in force, or none.
pub async fn change(
    conn: &mut AsyncPgConnection,
    version: Option<i32>,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO model_changes (seq, model_version, changed_by, changed_at) \
         SELECT coalesce(max(seq), 0) + 1, $1, $2, $3 FROM model_changes",
    )
    .bind::<Nullable<Integer>, _>(version)
    .bind::<Text, _>(by)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether there is a version.
pub async fn exists(conn: &mut AsyncPgConnection, version: i32) -> Result<bool> {
    let row: Found = cached("SELECT EXISTS (SELECT FROM models WHERE model_version = $1) AS found")
        .bind::<Integer, _>(version)
        .get_result(conn)
        .await?;
    Ok(row.found)
}

/// The number for the next version.
pub async fn next(conn: &mut AsyncPgConnection) -> Result<i32> {
    let row: Number = cached("SELECT coalesce(max(model_version), 0)::bigint + 1 AS number FROM models")
        .get_result(conn)
        .await?;
    i32::try_from(row.number).map_err(chassis::Error::internal)
}

#[derive(QueryableByName)]
struct InForceRow {
    #[diesel(sql_type = Nullable<Integer>)]
    model_version: Option<i32>,
}

/// The version in force.
pub async fn in_force(conn: &mut AsyncPgConnection) -> Result<Option<i32>> {
    let rows: Vec<InForceRow> =
        cached("SELECT model_version FROM model_changes ORDER BY seq DESC LIMIT 1").load(conn).await?;
    Ok(rows.into_iter().next().and_then(|row| row.model_version))
}

/// One version.
pub async fn version(conn: &mut AsyncPgConnection, version: i32) -> Result<Option<ModelRow>> {
    Ok(versions(conn, version.saturating_add(1), 1)
        .await?
        .into_iter()
        .find(|row| row.model_version == version))
}

/// Versions below a number, newest first.
pub async fn versions(conn: &mut AsyncPgConnection, below: i32, limit: i64) -> Result<Vec<ModelRow>> {
    Ok(cached(
        "SELECT model_version, sha256, size_bytes, label_count, item_count, label_items, installed_by, installed_at \
         FROM models WHERE model_version < $1 ORDER BY model_version DESC LIMIT $2",
    )
    .bind::<Integer, _>(below)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}
