//! What the service holds, in the order of keys, for reconcile.

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Date, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::case_store::read_doc;
use crate::domain::Case;

/// A case: state, told version, item, place, delivery mode, closed code.
#[derive(Debug, QueryableByName)]
pub struct CaseDigest {
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub told_version: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub item_code: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub delivery_mode: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_code: Option<String>,
}

/// Cases after `after`.
pub async fn cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<CaseDigest>> {
    Ok(cached(
        "SELECT case_id, told_version, state, item_code, place_unit_id, delivery_mode, closed_code FROM cases \
         WHERE case_id > $1 ORDER BY case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// A task that staffing was told of.
#[derive(Debug, QueryableByName)]
pub struct TaskDigest {
    #[diesel(sql_type = SqlUuid)]
    pub task_id: Uuid,
    /// How many workers have it in hand.
    #[diesel(sql_type = Integer)]
    pub active: i32,
}

/// Tasks that were signed for and are staffed by staffing, after `after`.
pub async fn tasks(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<TaskDigest>> {
    Ok(cached(
        "SELECT task_id, CASE WHEN active THEN workers::integer ELSE 0 END AS active FROM tasks \
         WHERE signed AND task_id > $1 ORDER BY task_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// An offer and its state.
#[derive(Debug, QueryableByName)]
pub struct OfferDigest {
    #[diesel(sql_type = SqlUuid)]
    pub offer_id: Uuid,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// Offers after `after`.
pub async fn offers(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<OfferDigest>> {
    Ok(cached("SELECT offer_id, state FROM offers WHERE offer_id > $1 ORDER BY offer_id LIMIT $2")
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?)
}

/// Cases of a place and item registered on a day in Shanghai, and how many of them are closed.
#[derive(Debug, QueryableByName)]
pub struct RollupDigest {
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
    #[diesel(sql_type = BigInt)]
    pub registered: i64,
    #[diesel(sql_type = BigInt)]
    pub closed: i64,
}

/// Recounts everything from the cases.
pub async fn recount(conn: &mut AsyncPgConnection) -> Result<Vec<RollupDigest>> {
    Ok(cached(
        "SELECT place_unit_id, coalesce(item_code, '') COLLATE \"C\" AS item_code, \
         (registered_at AT TIME ZONE 'Asia/Shanghai')::date AS day, count(*) AS registered, \
         count(*) FILTER (WHERE state IN ('closed', 'archived')) AS closed FROM cases \
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )
    .load(conn)
    .await?)
}

/// A recount with its key, as the digests show them.
#[derive(Debug, QueryableByName)]
pub struct Counted {
    #[diesel(sql_type = Text)]
    pub key: String,
    #[diesel(sql_type = Text)]
    pub value: String,
}

/// How cases of a place and item ended, and who did the work of the closed ones: `ended_resolved=2;mode_volunteer=1`.
pub async fn outcomes(conn: &mut AsyncPgConnection) -> Result<Vec<Counted>> {
    Ok(cached(
        "SELECT key, string_agg(what || '=' || n, ';' ORDER BY what COLLATE \"C\") AS value FROM ( \
             SELECT key, what, count(*) AS n FROM ( \
                 SELECT place_unit_id || '|' || coalesce(item_code, '') AS key, 'ended_' || closed_code AS what \
                 FROM cases WHERE NOT open AND closed_code IS NOT NULL \
                 UNION ALL \
                 SELECT place_unit_id || '|' || coalesce(item_code, ''), 'mode_' || delivery_mode \
                 FROM cases WHERE state IN ('closed', 'archived') AND delivery_mode IS NOT NULL \
             ) AS ends GROUP BY key, what \
         ) AS counts GROUP BY key",
    )
    .load(conn)
    .await?)
}

/// How many cases of a place and line stand in which state.
pub async fn states(conn: &mut AsyncPgConnection) -> Result<Vec<Counted>> {
    Ok(cached(
        "SELECT place_unit_id || '|' || coalesce(line, '') || '|' || state AS key, 'count=' || count(*) AS value \
         FROM cases GROUP BY place_unit_id, line, state",
    )
    .load(conn)
    .await?)
}

/// Open cases after `after`.
pub async fn open_cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<Case>> {
    #[derive(QueryableByName)]
    struct Doc {
        #[diesel(sql_type = Text)]
        doc: String,
    }
    let rows: Vec<Doc> = cached(
        "SELECT c.doc FROM agenda a JOIN cases c ON c.case_id = a.case_id \
             WHERE a.open AND a.case_id > $1 ORDER BY a.case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.iter().map(|row| read_doc(&row.doc)).collect()
}
