//! `hotspots` and what they are found from. The cost of a day grows with units × lines × weeks, never with cases: every
//! read is a range of the rollups' key.

use std::collections::HashMap;

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use uuid::Uuid;

use crate::domain::hotspot::{
    WINDOW_DAYS,
    detect::{Cell, LeafCount, Verdict},
    watch::Known,
};

/// Key of the advisory lock under which one replica looks at a day (`hotspots` in ASCII).
const LOCK: i64 = 0x686f_7473_706f_7473;

/// Waits for whoever looks for hot spots, until the end of the transaction.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    Ok(())
}

#[derive(QueryableByName)]
struct FirstRow {
    #[diesel(sql_type = Nullable<Date>)]
    first: Option<NaiveDate>,
}

/// The first day of which anything is counted at these units.
pub async fn first_day(conn: &mut AsyncPgConnection, units: &[Uuid]) -> Result<Option<NaiveDate>> {
    let row: FirstRow = cached(
        "SELECT MIN(r.day) AS first FROM unnest($1) AS u (unit_id) CROSS JOIN LATERAL ( \
             SELECT day FROM rollups WHERE unit_id = u.unit_id AND line = '*' ORDER BY day LIMIT 1 \
         ) AS r",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .get_result(conn)
    .await?;
    Ok(row.first)
}

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Text)]
    line: String,
}

/// The line of each of these items in `[from, to]`; of several the one under which it was registered last, on the same day that of
/// most cases.
pub async fn lines(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    items: &[&str],
    (from, to): (NaiveDate, NaiveDate),
) -> Result<HashMap<String, String>> {
    let lines = all_lines(conn).await?;
    let rows: Vec<LineRow> = cached(
        "SELECT DISTINCT ON (item_code) item_code, line FROM ( \
             SELECT item_code, line, day, SUM(registered - COALESCE(registered_above, 0)) AS count FROM rollups \
             WHERE unit_id = ANY($1) AND line = ANY($2) AND day >= $3 AND day <= $4 AND item_code = ANY($5) \
             AND registered > COALESCE(registered_above, 0) GROUP BY item_code, line, day \
         ) AS days ORDER BY item_code, day DESC, count DESC, line",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Array<Text>, _>(lines)
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .bind::<Array<Text>, _>(items)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.item_code, row.line)).collect())
}

/// Every line that was seen.
async fn all_lines(conn: &mut AsyncPgConnection) -> Result<Vec<String>> {
    let rows: Vec<LineRow> =
        cached("SELECT MIN(item_code) AS item_code, line FROM items GROUP BY line").load(conn).await?;
    Ok(rows.into_iter().map(|row| row.line).collect())
}

#[derive(QueryableByName)]
struct WindowRow {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Integer)]
    number: i32,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Cases by leaf, item and window: window 0 ends with `day`. Those started from above are left out: nobody asked.
pub async fn windows(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    day: NaiveDate,
    windows: usize,
) -> Result<Vec<LeafCount>> {
    let lines = all_lines(conn).await?;
    let days = i32::try_from(WINDOW_DAYS).unwrap_or(7);
    let before = i32::try_from(windows).unwrap_or(i32::MAX).saturating_mul(days);
    let rows: Vec<WindowRow> = cached(
        "SELECT unit_id, item_code, ($3 - day) / $5 AS number, \
         SUM(COALESCE(registered, 0) - COALESCE(registered_above, 0))::bigint AS count FROM rollups \
         WHERE unit_id = ANY($1) AND line = ANY($2) AND day > $3 - $4 AND day <= $3 AND item_code <> '' \
         GROUP BY 1, 2, 3 HAVING SUM(COALESCE(registered, 0) - COALESCE(registered_above, 0)) > 0",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Array<Text>, _>(lines)
    .bind::<Date, _>(day)
    .bind::<Integer, _>(before)
    .bind::<Integer, _>(days)
    .load(conn)
    .await?;
    let leaf = |row: WindowRow| LeafCount {
        unit_id: row.unit_id,
        item_code: row.item_code,
        window: usize::try_from(row.number).unwrap_or(usize::MAX),
        count: row.count,
    };
    Ok(rows.into_iter().map(leaf).collect())
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Cases of an item at leaves in `[from, to]`, as the windows count them.
pub async fn count(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    item_code: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<i64> {
    let row: CountRow = cached(
        "SELECT COALESCE(SUM(COALESCE(registered, 0) - COALESCE(registered_above, 0)), 0)::bigint AS count \
         FROM rollups WHERE unit_id = ANY($1) AND line IN (SELECT line FROM items WHERE item_code = $2) AND day >= $3 AND day <= $4 AND item_code = $2",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Text, _>(item_code)
    .bind::<Date, _>(from)
    .bind::<Date, _>(to)
    .get_result(conn)
    .await?;
    Ok(row.count)
}

/// A hot spot as it is kept.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
#[expect(missing_docs, reason = "the columns are explained in the migration")]
pub struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub hotspot_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Text)]
    pub line: String,
    #[diesel(sql_type = Bool)]
    pub active: bool,
    #[diesel(sql_type = Date)]
    pub start_day: NaiveDate,
    #[diesel(sql_type = Date)]
    pub since_day: NaiveDate,
    #[diesel(sql_type = Date)]
    pub end_day: NaiveDate,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    #[diesel(sql_type = Double)]
    pub expected: f64,
    #[diesel(sql_type = Double)]
    pub p_value: f64,
    #[diesel(sql_type = Integer)]
    pub baseline_windows: i32,
    #[diesel(sql_type = Double)]
    pub dispersion: f64,
    #[diesel(sql_type = Double)]
    pub season: f64,
    #[diesel(sql_type = Integer)]
    pub definition_version: i32,
    #[diesel(sql_type = BigInt)]
    pub revision: i64,
    #[diesel(sql_type = BigInt)]
    pub told_count: i64,
    #[diesel(sql_type = Date)]
    pub told_day: NaiveDate,
    #[diesel(sql_type = Timestamptz)]
    pub detected_at: Timestamp,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub topic_case_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    pub dismissed_reason: Option<String>,
}

impl Row {
    /// A new one.
    pub fn new(
        (hotspot_id, cell, line): (Uuid, Cell, String),
        verdict: &Verdict,
        (start, day): (NaiveDate, NaiveDate),
        definition_version: i32,
        now: Timestamp,
    ) -> Self {
        Self {
            hotspot_id,
            unit_id: cell.unit_id,
            item_code: cell.item_code,
            line,
            active: true,
            start_day: start,
            since_day: start,
            end_day: day,
            count: verdict.count,
            expected: verdict.expected,
            p_value: verdict.p_value,
            baseline_windows: i32::try_from(verdict.windows).unwrap_or(i32::MAX),
            dispersion: verdict.dispersion,
            season: verdict.season,
            definition_version,
            revision: 1,
            told_count: verdict.count,
            told_day: day,
            detected_at: now,
            topic_case_id: None,
            dismissed_reason: None,
        }
    }

    /// As the method knows it, at the unit in which its own goes on.
    pub fn known(&self, unit_id: Uuid) -> Known {
        Known {
            hotspot_id: self.hotspot_id,
            cell: Cell { unit_id, item_code: self.item_code.clone() },
            start: self.since_day,
            end: self.end_day,
            active: self.active,
        }
    }
}

/// Reads [`Row`]s, with what follows the columns.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT hotspot_id, unit_id, item_code, line, active, start_day, since_day, end_day, count, expected, p_value, \
             baseline_windows, dispersion, season, definition_version, revision, told_count, told_day, detected_at, \
             topic_case_id, dismissed_reason FROM hotspots ",
            $rest
        )
    };
}

/// Active ones, and those that ended on `since` or later.
pub async fn known(conn: &mut AsyncPgConnection, since: NaiveDate) -> Result<Vec<Row>> {
    let text = select!("WHERE active OR (NOT active AND end_day >= $1) ORDER BY hotspot_id");
    Ok(cached(text).bind::<Date, _>(since).load(conn).await?)
}

/// Writes one, new or known; the answer of case-routing is left as it is.
pub async fn save(conn: &mut AsyncPgConnection, row: &Row) -> Result<()> {
    cached(
        "INSERT INTO hotspots (hotspot_id, unit_id, item_code, line, active, start_day, since_day, end_day, count, \
         expected, p_value, baseline_windows, dispersion, season, definition_version, revision, told_count, told_day, \
         detected_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (hotspot_id) DO UPDATE SET active = excluded.active, since_day = excluded.since_day, \
         end_day = excluded.end_day, count = excluded.count, expected = excluded.expected, \
         revision = excluded.revision, told_count = excluded.told_count, told_day = excluded.told_day",
    )
    .bind::<SqlUuid, _>(row.hotspot_id)
    .bind::<SqlUuid, _>(row.unit_id)
    .bind::<Text, _>(&row.item_code)
    .bind::<Text, _>(&row.line)
    .bind::<Bool, _>(row.active)
    .bind::<Date, _>(row.start_day)
    .bind::<Date, _>(row.since_day)
    .bind::<Date, _>(row.end_day)
    .bind::<BigInt, _>(row.count)
    .bind::<Double, _>(row.expected)
    .bind::<Double, _>(row.p_value)
    .bind::<Integer, _>(row.baseline_windows)
    .bind::<Double, _>(row.dispersion)
    .bind::<Double, _>(row.season)
    .bind::<Integer, _>(row.definition_version)
    .bind::<BigInt, _>(row.revision)
    .bind::<BigInt, _>(row.told_count)
    .bind::<Date, _>(row.told_day)
    .bind::<Timestamptz, _>(row.detected_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what case-routing told of the answer.
pub async fn note_answer(
    conn: &mut AsyncPgConnection,
    hotspot_id: Uuid,
    topic_case_id: Option<Uuid>,
    reason: Option<&str>,
) -> Result<()> {
    cached("UPDATE hotspots SET topic_case_id = $2, dismissed_reason = $3 WHERE hotspot_id = $1")
        .bind::<SqlUuid, _>(hotspot_id)
        .bind::<Nullable<SqlUuid>, _>(topic_case_id)
        .bind::<Nullable<Text>, _>(reason)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a day was looked at by this version of the method.
pub async fn has_run(conn: &mut AsyncPgConnection, day: NaiveDate, version: i32) -> Result<bool> {
    let row: CountRow = cached(
        "SELECT COUNT(*)::bigint AS count FROM hotspot_runs WHERE day = $1 AND definition_version = $2",
    )
    .bind::<Date, _>(day)
    .bind::<Integer, _>(version)
    .get_result(conn)
    .await?;
    Ok(row.count > 0)
}

/// Notes that a day was looked at.
pub async fn note_run(
    conn: &mut AsyncPgConnection,
    (day, version): (NaiveDate, i32),
    (tested, rejected): (i32, i32),
    now: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO hotspot_runs (day, definition_version, tested, rejected, ran_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (day, definition_version) DO UPDATE SET tested = excluded.tested, rejected = excluded.rejected, \
         ran_at = excluded.ran_at",
    )
    .bind::<Date, _>(day)
    .bind::<Integer, _>(version)
    .bind::<Integer, _>(tested)
    .bind::<Integer, _>(rejected)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Which hot spots are listed.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Units.
    pub units: &'a [Uuid],
    /// Only these lines; `None` for all.
    pub lines: Option<&'a [String]>,
    /// Only active or only ended ones.
    pub active: Option<bool>,
    /// Only these; `None` for all.
    pub ids: Option<&'a [Uuid]>,
    /// Older than this one.
    pub below: Uuid,
    /// At most so many.
    pub limit: i64,
}

/// A page of hot spots, newest first.
pub async fn list(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<Vec<Row>> {
    Ok(cached(select!(
        "WHERE unit_id = ANY($1) AND ($2 IS NULL OR line = ANY($2)) \
         AND ($3 IS NULL OR active = $3) AND ($4 IS NULL OR hotspot_id = ANY($4)) AND hotspot_id < $5 \
         ORDER BY hotspot_id DESC LIMIT $6"
    ))
    .bind::<Array<SqlUuid>, _>(wanted.units)
    .bind::<Nullable<Array<Text>>, _>(wanted.lines)
    .bind::<Nullable<Bool>, _>(wanted.active)
    .bind::<Nullable<Array<SqlUuid>>, _>(wanted.ids)
    .bind::<SqlUuid, _>(wanted.below)
    .bind::<BigInt, _>(wanted.limit)
    .load(conn)
    .await?)
}

#[derive(QueryableByName)]
struct ClosedRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    closed_at: Timestamp,
}

/// When these cases were closed; those that are not are left out.
pub async fn closings(conn: &mut AsyncPgConnection, cases: &[Uuid]) -> Result<HashMap<Uuid, Timestamp>> {
    let rows: Vec<ClosedRow> =
        cached("SELECT case_id, closed_at FROM case_facts WHERE case_id = ANY($1) AND closed_at IS NOT NULL")
            .bind::<Array<SqlUuid>, _>(cases)
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| (row.case_id, row.closed_at)).collect())
}
