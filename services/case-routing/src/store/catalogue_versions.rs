//! Versions of the catalogue. Whoever changes one locks the state row first, as for the lists.

use chassis::{Error, Result, Timestamp, db::cached};
use chrono::NaiveTime;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::catalogue::{read, write};
use crate::{
    cataloguing::{Change, Draft},
    domain::CatalogueVersion,
    seed,
};

/// A version with who made it what it is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct VersionRow {
    #[diesel(sql_type = Integer)]
    pub catalogue_version: i32,
    #[diesel(sql_type = Integer)]
    pub item_count: i32,
    #[diesel(sql_type = Integer)]
    pub moves: i32,
    #[diesel(sql_type = Text)]
    pub reason_code: String,
    #[diesel(sql_type = Text)]
    pub drafted_by: String,
    #[diesel(sql_type = Timestamptz)]
    pub drafted_at: Timestamp,
    #[diesel(sql_type = Nullable<Text>)]
    pub approved_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub approved_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub valid_from: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    pub withdrawn_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub withdrawn_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    pub withdrawn_reason: Option<String>,
}

impl VersionRow {
    /// As the domain judges it.
    pub fn version(&self) -> CatalogueVersion {
        CatalogueVersion {
            version: self.catalogue_version,
            drafted_by: self.drafted_by.clone(),
            moves: self.moves,
            approved_at: self.approved_at,
            valid_from: self.valid_from,
            withdrawn_at: self.withdrawn_at,
        }
    }
}

macro_rules! versions {
    ($rest:literal) => {
        concat!(
            "SELECT catalogue_version, item_count, moves, reason_code, drafted_by, drafted_at, approved_by, approved_at, \
             valid_from, withdrawn_by, withdrawn_at, withdrawn_reason FROM catalogue_versions ",
            $rest
        )
    };
}

/// One version.
pub async fn version(mut conn: &AsyncPgConnection, number: i32) -> Result<Option<VersionRow>> {
    let rows: Vec<VersionRow> =
        cached(versions!("WHERE catalogue_version = $1")).bind::<Integer, _>(number).load(&mut conn).await?;
    Ok(rows.into_iter().next())
}

/// Versions below a number, newest first.
pub async fn versions(conn: &mut AsyncPgConnection, below: i32, limit: i64) -> Result<Vec<VersionRow>> {
    Ok(cached(versions!("WHERE catalogue_version < $1 ORDER BY catalogue_version DESC LIMIT $2"))
        .bind::<Integer, _>(below)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?)
}

/// Versions that were put in force, those that were taken back since among them.
pub async fn put_in_force(mut conn: &AsyncPgConnection) -> Result<Vec<CatalogueVersion>> {
    let rows: Vec<VersionRow> =
        cached(versions!("WHERE valid_from IS NOT NULL ORDER BY catalogue_version")).load(&mut conn).await?;
    Ok(rows.iter().map(VersionRow::version).collect())
}

#[derive(QueryableByName)]
struct NextRow {
    #[diesel(sql_type = Integer)]
    next: i32,
}

/// Lets no other change of catalogue and lists happen before the commit, tells every replica of this one, and gives the number
/// of the next version.
pub async fn lock(mut conn: &AsyncPgConnection) -> Result<i32> {
    cached("UPDATE catalogue_state SET revision = revision + 1").execute(&mut conn).await?;
    let row: NextRow =
        cached("SELECT coalesce(max(catalogue_version), 0) + 1 AS next FROM catalogue_versions")
            .get_result(&mut conn)
            .await?;
    Ok(row.next)
}

/// Stores a draft; each of its items gets the number after the highest that was ever given.
pub async fn insert_draft(mut conn: &AsyncPgConnection, row: &VersionRow, draft: &Draft) -> Result<()> {
    insert_version(conn, row).await?;
    let all = &draft.0;
    let content = all.values().map(|change| change.item.as_ref().map(write).transpose());
    let base = all.values().map(|change| change.base.as_ref().map(|base| base.version as i32));
    cached(
        "INSERT INTO service_items (item_code, version, catalogue_version, base_version, content) \
         SELECT code, next, $1, base, jsonb_set(content, '{version}', to_jsonb(next)) \
         FROM unnest($2, $3, $4) AS t (code, base, content), LATERAL \
         (SELECT coalesce(max(i.version), 0) + 1 AS next FROM service_items i WHERE i.item_code = code) n",
    )
    .bind::<Integer, _>(row.catalogue_version)
    .bind::<Array<Text>, _>(all.keys().map(String::as_str).collect::<Vec<_>>())
    .bind::<Array<Nullable<Integer>>, _>(base.collect::<Vec<_>>())
    .bind::<Array<Nullable<Jsonb>>, _>(content.collect::<Result<Vec<_>>>()?)
    .execute(&mut conn)
    .await?;
    Ok(())
}

async fn insert_version(mut conn: &AsyncPgConnection, row: &VersionRow) -> Result<()> {
    cached(
        "INSERT INTO catalogue_versions (catalogue_version, item_count, moves, reason_code, drafted_by, drafted_at, \
         approved_by, approved_at, valid_from) VALUES ($1, $2, $9, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<Integer, _>(row.catalogue_version)
    .bind::<Integer, _>(row.item_count)
    .bind::<Text, _>(&row.reason_code)
    .bind::<Text, _>(&row.drafted_by)
    .bind::<Timestamptz, _>(row.drafted_at)
    .bind::<Nullable<Text>, _>(row.approved_by.as_deref())
    .bind::<Nullable<Timestamptz>, _>(row.approved_at)
    .bind::<Nullable<Timestamptz>, _>(row.valid_from)
    .bind::<Integer, _>(row.moves)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Stores the shipped catalogue as the first version, in force from its day on.
pub async fn insert_shipped(
    conn: &mut AsyncPgConnection,
    catalogue: &seed::CatalogueFile,
    now: Timestamp,
) -> Result<()> {
    let row = VersionRow {
        catalogue_version: catalogue.catalogue_version,
        item_count: i32::try_from(catalogue.items.len()).unwrap_or(i32::MAX),
        moves: 0,
        reason_code: "shipped".to_owned(),
        drafted_by: "system".to_owned(),
        drafted_at: now,
        approved_by: Some("system".to_owned()),
        approved_at: Some(now),
        valid_from: Some(calendar::instant(catalogue.valid_from, NaiveTime::MIN)),
        withdrawn_by: None,
        withdrawn_at: None,
        withdrawn_reason: None,
    };
    insert_version(conn, &row).await?;
    let items = &catalogue.items;
    cached(
        "INSERT INTO service_items (item_code, version, catalogue_version, content) \
         SELECT code, version, $3, content FROM unnest($1, $2, $4) AS t (code, version, content)",
    )
    .bind::<Array<Text>, _>(items.iter().map(|item| item.item_code.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(items.iter().map(|item| item.version as i32).collect::<Vec<_>>())
    .bind::<Integer, _>(row.catalogue_version)
    .bind::<Array<Jsonb>, _>(items.iter().map(write).collect::<Result<Vec<_>>>()?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes who put a version in force, and from when.
pub async fn approve(
    conn: &mut AsyncPgConnection,
    number: i32,
    by: &str,
    from: Timestamp,
    at: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE catalogue_versions SET approved_by = $2, approved_at = $3, valid_from = $4 WHERE catalogue_version = $1",
    )
    .bind::<Integer, _>(number)
    .bind::<Text, _>(by)
    .bind::<Timestamptz, _>(at)
    .bind::<Timestamptz, _>(from)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes who took a version back, and why.
pub async fn withdraw(
    conn: &mut AsyncPgConnection,
    number: i32,
    by: &str,
    reason_code: &str,
    at: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE catalogue_versions SET withdrawn_by = $2, withdrawn_reason = $3, withdrawn_at = $4 \
         WHERE catalogue_version = $1",
    )
    .bind::<Integer, _>(number)
    .bind::<Text, _>(by)
    .bind::<Text, _>(reason_code)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct ItemRow {
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    content: Option<serde_json::Value>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    before: Option<serde_json::Value>,
}

/// What a version makes of items, and what they were before.
pub async fn changes(conn: &mut AsyncPgConnection, number: i32, limit: i64) -> Result<Draft> {
    let rows: Vec<ItemRow> = cached(
        "SELECT i.item_code, i.content, b.content AS before FROM service_items i \
         LEFT JOIN service_items b ON b.item_code = i.item_code AND b.version = i.base_version \
         WHERE i.catalogue_version = $1 ORDER BY i.item_code LIMIT $2",
    )
    .bind::<Integer, _>(number)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let item = |content: Option<serde_json::Value>| content.map(read::<seed::Item>).transpose();
    let rows = rows.into_iter().map(|row| {
        Ok::<_, Error>((row.item_code, Change { base: item(row.before)?, item: item(row.content)? }))
    });
    rows.collect::<Result<_>>().map(Draft)
}
