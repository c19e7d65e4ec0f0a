//! Hot spots that analytics found, and how somebody answered them.

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Where a hot spot is and of which line: by that it is reached.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Spot {
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    /// As it was when it was noted.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub place_path: Vec<Uuid>,
    #[diesel(sql_type = Text)]
    pub line: String,
}

/// A hot spot as it is kept.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Hotspot {
    #[diesel(sql_type = SqlUuid)]
    pub hotspot_id: Uuid,
    #[diesel(embed)]
    pub spot: Spot,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Date)]
    pub start_date: NaiveDate,
    #[diesel(sql_type = Date)]
    pub end_date: NaiveDate,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    #[diesel(sql_type = Double)]
    pub expected: f64,
    #[diesel(sql_type = Double)]
    pub p_value: f64,
    #[diesel(sql_type = Integer)]
    pub definition_version: i32,
    #[diesel(sql_type = Bool)]
    pub ended: bool,
    #[diesel(sql_type = Text)]
    pub answer: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub topic_case_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub reason_code: Option<String>,
    #[diesel(sql_type = Integer)]
    pub linked_count: i32,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub answered_org_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub answered_at: Option<Timestamp>,
    #[diesel(sql_type = Timestamptz)]
    pub noted_at: Timestamp,
}

/// The columns of [`Hotspot`].
macro_rules! columns {
    () => {
        "hotspot_id, unit_id, place_path, line, item_code, start_date, end_date, count, expected, p_value, \
         definition_version, ended, answer, topic_case_id, reason_code, linked_count, answered_org_id, \
         answered_at, noted_at"
    };
}

/// What analytics told of one.
#[derive(Debug, Clone)]
pub struct News {
    pub hotspot_id: Uuid,
    pub unit_id: Uuid,
    pub place_path: Vec<Uuid>,
    pub item_code: String,
    pub line: String,
    pub start_date: NaiveDate,
    pub end_date: NaiveDate,
    pub count: i64,
    pub expected: f64,
    pub p_value: f64,
    pub definition_version: i32,
}

/// Notes a hot spot; news of a known one brings its figures up to date and leaves its answer.
pub async fn note(conn: &mut AsyncPgConnection, news: &News, now: Timestamp) -> Result<()> {
    cached(
        "INSERT INTO hotspots (hotspot_id, unit_id, place_path, item_code, line, start_date, end_date, count, expected, \
         p_value, definition_version, ended, answer, linked_count, noted_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, false, 'open', 0, $12) \
         ON CONFLICT (hotspot_id) DO UPDATE SET end_date = excluded.end_date, count = excluded.count, \
         expected = excluded.expected, ended = false",
    )
    .bind::<SqlUuid, _>(news.hotspot_id)
    .bind::<SqlUuid, _>(news.unit_id)
    .bind::<Array<SqlUuid>, _>(&news.place_path)
    .bind::<Text, _>(&news.item_code)
    .bind::<Text, _>(&news.line)
    .bind::<Date, _>(news.start_date)
    .bind::<Date, _>(news.end_date)
    .bind::<BigInt, _>(news.count)
    .bind::<Double, _>(news.expected)
    .bind::<Double, _>(news.p_value)
    .bind::<Integer, _>(news.definition_version)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that one is over.
pub async fn note_end(conn: &mut AsyncPgConnection, id: Uuid, end_date: NaiveDate) -> Result<()> {
    cached("UPDATE hotspots SET ended = true, end_date = $2 WHERE hotspot_id = $1")
        .bind::<SqlUuid, _>(id)
        .bind::<Date, _>(end_date)
        .execute(conn)
        .await?;
    Ok(())
}

/// One; reach is the caller's affair.
pub async fn get(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Hotspot>> {
    Ok(cached(concat!("SELECT ", columns!(), " FROM hotspots WHERE hotspot_id = $1"))
        .bind::<SqlUuid, _>(id)
        .get_result(conn)
        .await
        .optional()?)
}

/// One, locked until the end of the transaction. Hot spots are locked before cases.
pub async fn lock(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Hotspot>> {
    Ok(cached(concat!("SELECT ", columns!(), " FROM hotspots WHERE hotspot_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(id)
        .get_result(conn)
        .await
        .optional()?)
}

/// Which are listed.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Units, each with a line.
    pub units: &'a [Uuid],
    pub lines: &'a [String],
    /// Only with this answer.
    pub answer: Option<&'a str>,
    pub below: Uuid,
    pub limit: i64,
}

/// Where there are hot spots, and of which lines.
pub async fn spots(conn: &mut AsyncPgConnection) -> Result<Vec<Spot>> {
    Ok(cached("SELECT DISTINCT unit_id, place_path, line FROM hotspots").load(conn).await?)
}

/// A page, newest first.
pub async fn list(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<Vec<Hotspot>> {
    Ok(cached(concat!(
        "SELECT ",
        columns!(),
        " FROM hotspots WHERE (unit_id, line) IN (SELECT unit_id, line FROM unnest($1, $2) AS s (unit_id, line)) \
         AND ($3 IS NULL OR answer = $3) AND hotspot_id < $4 ORDER BY hotspot_id DESC LIMIT $5"
    ))
    .bind::<Array<SqlUuid>, _>(wanted.units)
    .bind::<Array<Text>, _>(wanted.lines)
    .bind::<Nullable<Text>, _>(wanted.answer)
    .bind::<SqlUuid, _>(wanted.below)
    .bind::<BigInt, _>(wanted.limit)
    .load(conn)
    .await?)
}

/// How one was answered, and by whom.
#[derive(Debug)]
pub struct Answer<'a> {
    pub topic_case_id: Option<Uuid>,
    pub reason_code: Option<&'a str>,
    pub linked_count: i32,
    pub by: &'a str,
    pub org: Option<Uuid>,
}

/// Notes the answer; gives the hot spot after it.
pub async fn answer(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    answer: &Answer<'_>,
    now: Timestamp,
) -> Result<Hotspot> {
    Ok(cached(concat!(
        "UPDATE hotspots SET answer = CASE WHEN $2 IS NULL THEN 'dismissed' ELSE 'topic' END, topic_case_id = $2, \
         reason_code = $3, linked_count = $4, answered_by = $5, answered_org_id = $6, answered_at = $7 \
         WHERE hotspot_id = $1 RETURNING ",
        columns!()
    ))
    .bind::<SqlUuid, _>(id)
    .bind::<Nullable<SqlUuid>, _>(answer.topic_case_id)
    .bind::<Nullable<Text>, _>(answer.reason_code)
    .bind::<Integer, _>(answer.linked_count)
    .bind::<Text, _>(answer.by)
    .bind::<Nullable<SqlUuid>, _>(answer.org)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await?)
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// Cases a hot spot stands for, the newest first: of its item, at or below one of the places, in one of the streets, registered in
/// its days, and not ended without being handled. Topic cases are none. Of each street the newest 20,000 cases are looked
/// through, so that the cost does not grow with the years.
pub async fn members(
    conn: &mut AsyncPgConnection,
    hotspot: &Hotspot,
    (streets, places): (&[Uuid], &[Uuid]),
    (from, to): (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<Uuid>> {
    let rows: Vec<IdRow> = cached(
        "SELECT c.case_id FROM unnest($1) AS s (street_id) CROSS JOIN LATERAL ( \
             SELECT case_id, item_code, place_path, registered_at, state FROM cases WHERE street_id = s.street_id \
             ORDER BY case_id DESC LIMIT 20000 \
         ) AS c WHERE c.item_code = $2 AND c.place_path && $3 AND c.registered_at >= $4 AND c.registered_at < $5 \
         AND c.state NOT IN ('withdrawn', 'not_accepted', 'handed_off', 'archived') \
         AND NOT EXISTS (SELECT 1 FROM hotspots h WHERE h.topic_case_id = c.case_id) \
         ORDER BY c.case_id DESC LIMIT $6",
    )
    .bind::<Array<SqlUuid>, _>(streets)
    .bind::<Text, _>(&hotspot.item_code)
    .bind::<Array<SqlUuid>, _>(places)
    .bind::<Timestamptz, _>(from)
    .bind::<Timestamptz, _>(to)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.case_id).collect())
}
