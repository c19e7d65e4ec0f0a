//! Reads sums. The cost of a read grows with units and days asked for, never with the number of cases.

use chassis::{Result, Timestamp, db::cached};
use chrono::{NaiveDate, TimeDelta};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};
use uuid::Uuid;

use super::rollups::sum;
use crate::domain::{Counter, Counters, cohort, delta::ALL, histogram::Clocks};

/// Which cells are summed.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Leaf units.
    pub units: Vec<Uuid>,
    /// Only these lines; `None` for all.
    pub lines: Option<Vec<String>>,
    /// Only this item.
    pub item_code: Option<String>,
}

impl Selection {
    /// Line and item of the cells, as the rollups name them. Items are found under the lines they were seen in.
    pub(super) async fn cells(&self, conn: &mut AsyncPgConnection) -> Result<(Vec<String>, Option<String>)> {
        Ok(match (&self.item_code, &self.lines) {
            (None, None) => (vec![ALL.to_owned()], Some(ALL.to_owned())),
            (None, Some(lines)) => (lines.clone(), None),
            (Some(item), lines) => {
                let mut seen = lines_of(conn, item).await?;
                if let Some(allowed) = lines {
                    seen.retain(|line| allowed.contains(line));
                }
                (seen, Some(item.clone()))
            }
        })
    }
}

/// Every read from here to the end of the transaction sees the same moment. To be its first statement. The lock comes
/// before the view: a rebuild that is just putting its tables in place is waited for, and readers cannot meet it in
/// another order of tables. Rows are found by their keys, on connections for reading, too: a table that has just grown would be
/// read whole there.
pub async fn snapshot(conn: &mut AsyncPgConnection) -> Result<()> {
    isolate(conn).await?;
    conn.batch_execute("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan")
        .await?;
    hold_tables(conn).await
}

/// The first half of [`snapshot`]: the moment is that of the first read.
pub async fn isolate(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    Ok(())
}

/// The second half of [`snapshot`]: no rebuild exchanges the tables before the transaction ends.
pub async fn hold_tables(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("LOCK TABLE case_facts IN ACCESS SHARE MODE").await?;
    Ok(())
}

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn lines_of(conn: &mut AsyncPgConnection, item_code: &str) -> Result<Vec<String>> {
    let rows: Vec<LineRow> =
        cached("SELECT line FROM items WHERE item_code = $1").bind::<Text, _>(item_code).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.line).collect())
}

static SUMS: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<String> = Counter::ALL.iter().map(|c| sum(c.name())).collect();
    format!(
        "SELECT unit_id, ARRAY[{}]::bigint[] AS counters FROM rollups \
         WHERE unit_id = ANY($1) AND line = ANY($2) AND ($3 IS NULL OR item_code = $3) AND day >= $4 AND day < $5 \
         GROUP BY unit_id",
        sums.join(", ")
    )
});

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Array<BigInt>)]
    counters: Vec<i64>,
}

/// Counters of `[start, end)` by leaf unit.
pub async fn sums(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    start: NaiveDate,
    end: NaiveDate,
) -> Result<HashMap<Uuid, Counters>> {
    let (lines, item) = selection.cells(conn).await?;
    let rows: Vec<SumRow> = cached(SUMS.as_str())
        .bind::<Array<SqlUuid>, _>(&selection.units)
        .bind::<Array<Text>, _>(lines)
        .bind::<Nullable<Text>, _>(item)
        .bind::<Date, _>(start)
        .bind::<Date, _>(end)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.unit_id, Counters::from_slice(&row.counters))).collect())
}

#[derive(QueryableByName)]
struct BucketRow {
    #[diesel(sql_type = SmallInt)]
    clock_unit: i16,
    #[diesel(sql_type = SmallInt)]
    bucket: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    seconds: i64,
}

/// Resolve clocks of cases closed in `[start, end)`, by unit of their limits and bucket.
pub async fn durations(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    start: NaiveDate,
    end: NaiveDate,
) -> Result<BTreeMap<(i16, i16), Clocks>> {
    let (lines, item) = selection.cells(conn).await?;
    let rows: Vec<BucketRow> = cached(
        "SELECT clock_unit, bucket, SUM(count)::bigint AS count, SUM(seconds)::bigint AS seconds \
         FROM duration_rollups WHERE unit_id = ANY($1) AND line = ANY($2) AND ($3 IS NULL OR item_code = $3) \
         AND day >= $4 AND day < $5 \
         GROUP BY clock_unit, bucket HAVING SUM(count) <> 0",
    )
    .bind::<Array<SqlUuid>, _>(&selection.units)
    .bind::<Array<Text>, _>(lines)
    .bind::<Nullable<Text>, _>(item)
    .bind::<Date, _>(start)
    .bind::<Date, _>(end)
    .load(conn)
    .await?;
    let clocks =
        |row: BucketRow| ((row.clock_unit, row.bucket), Clocks { count: row.count, seconds: row.seconds });
    Ok(rows.into_iter().map(clocks).collect())
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// How many cases stand in which state, by leaf unit: `(unit, state, count)`.
pub async fn states(conn: &mut AsyncPgConnection, selection: &Selection) -> Result<Vec<(Uuid, i16, i64)>> {
    let rows: Vec<StateRow> = cached(
        "SELECT unit_id, state, SUM(count)::bigint AS count FROM state_counts \
         WHERE unit_id = ANY($1) AND ($2 IS NULL OR line = ANY($2)) GROUP BY unit_id, state HAVING SUM(count) <> 0",
    )
    .bind::<Array<SqlUuid>, _>(&selection.units)
    .bind::<Nullable<Array<Text>>, _>(selection.lines.as_ref())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.unit_id, row.state, row.count)).collect())
}

#[derive(QueryableByName)]
struct UnitCount {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Open cases whose limit has passed at `now`, by leaf unit: full hours from the counts, the hour in hand from the
/// due times themselves. Right also when time has passed without any event.
pub async fn overdue(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    now: Timestamp,
) -> Result<HashMap<Uuid, i64>> {
    let rows: Vec<UnitCount> = cached(
        "SELECT unit_id, SUM(count)::bigint AS count FROM ( \
             SELECT unit_id, count FROM open_due \
             WHERE unit_id = ANY($1) AND ($2 IS NULL OR line = ANY($2)) AND hour < $3 \
             UNION ALL \
             SELECT place_unit_id, 1 FROM case_facts \
             WHERE open_due_at >= $3 AND open_due_at < $4 AND place_unit_id = ANY($1) \
             AND ($2 IS NULL OR line = ANY($2)) \
         ) AS late GROUP BY unit_id",
    )
    .bind::<Array<SqlUuid>, _>(&selection.units)
    .bind::<Nullable<Array<Text>>, _>(selection.lines.as_ref())
    .bind::<Timestamptz, _>(cohort::hour(now))
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.unit_id, row.count)).collect())
}

#[derive(QueryableByName)]
struct InstantRow {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    at: Option<Timestamp>,
}

/// Until when what [`overdue`] gives at `now` stands if nothing happens: until the next due time, which is looked for in the hour in
/// hand.
pub async fn overdue_stands_until(
    conn: &mut AsyncPgConnection,
    selection: &Selection,
    now: Timestamp,
) -> Result<Timestamp> {
    let end = cohort::hour(now) + TimeDelta::hours(1);
    let row: InstantRow = cached(
        "SELECT MIN(open_due_at) AS at FROM case_facts WHERE open_due_at >= $3 AND open_due_at < $4 \
         AND place_unit_id = ANY($1) AND ($2 IS NULL OR line = ANY($2))",
    )
    .bind::<Array<SqlUuid>, _>(&selection.units)
    .bind::<Nullable<Array<Text>>, _>(selection.lines.as_ref())
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(end)
    .get_result(conn)
    .await?;
    Ok(row.at.unwrap_or(end))
}

/// How far counting has come.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub struct Consumption {
    /// Grows with every commit that counted something.
    #[diesel(sql_type = BigInt)]
    pub revision: i64,
    /// Events counted.
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    /// Real time up to which events are counted.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub watermark: Option<Timestamp>,
    /// Whether all of it is in the sums of the stock, see [`super::stock`].
    #[diesel(sql_type = Bool)]
    pub stock_kept: bool,
}

/// How far counting has come.
pub async fn consumption(conn: &mut AsyncPgConnection) -> Result<Consumption> {
    Ok(cached(
        "SELECT COALESCE(SUM(revision), 0)::bigint AS revision, COALESCE(SUM(events), 0)::bigint AS events, \
         MAX(watermark) AS watermark, COALESCE(bool_and(stock_revision = revision), true) AS stock_kept \
         FROM consumption",
    )
    .get_result(conn)
    .await?)
}
