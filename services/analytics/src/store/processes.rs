//! `process_rollups`: how cases went, by process version.

use std::{collections::HashMap, sync::LazyLock};

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::rollups::{added, sum};
use crate::domain::{
    Deltas,
    process::{Measure, Measures},
};

/// One row per cell; the measures come as one flat array, row after row.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
    let width = Measure::COUNT;
    let values: Vec<String> =
        (1..=width).map(|n| format!("NULLIF(($6)[(o - 1) * {width} + {n}], 0)")).collect();
    let sums: Vec<String> = names.iter().map(|c| added(c)).collect();
    format!(
        "INSERT INTO process_rollups AS r (unit_id, day, process_version, line, item_code, {}) \
         SELECT u, d, p, l, i, {} FROM (SELECT unnest($1) AS u, unnest($2) AS d, unnest($3) AS p, unnest($4) AS l, \
         unnest($5) AS i, generate_series(1, cardinality($1)) AS o) AS t \
         ON CONFLICT (unit_id, day, process_version, line, item_code) DO UPDATE SET {}",
        names.join(", "),
        values.join(", "),
        sums.join(", "),
    )
});

/// Adds the differences, rows in the order of the key; no statement where there are none.
pub async fn add(mut conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    let cells = &deltas.processes;
    if cells.is_empty() {
        return Ok(());
    }
    let measures: Vec<i64> = cells.values().flat_map(|measures| measures.0).collect();
    cached(ADD.as_str())
        .bind::<Array<SqlUuid>, _>(cells.keys().map(|cell| cell.unit_id).collect::<Vec<Uuid>>())
        .bind::<Array<Date>, _>(cells.keys().map(|cell| cell.day).collect::<Vec<NaiveDate>>())
        .bind::<Array<Text>, _>(cells.keys().map(|cell| cell.process_version.as_str()).collect::<Vec<&str>>())
        .bind::<Array<Text>, _>(cells.keys().map(|cell| cell.line.as_str()).collect::<Vec<&str>>())
        .bind::<Array<Text>, _>(cells.keys().map(|cell| cell.item_code.as_str()).collect::<Vec<&str>>())
        .bind::<Array<BigInt>, _>(measures)
        .execute(&mut conn)
        .await?;
    Ok(())
}

/// Which cells are summed.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Leaf units.
    pub units: Vec<Uuid>,
    /// Only these lines; `None` for all.
    pub lines: Option<Vec<String>>,
    /// A process version or the beginning of one up to a dot; `None` for any.
    pub process: Option<String>,
    /// Only this item.
    pub item_code: Option<String>,
    /// First day.
    pub start: NaiveDate,
    /// The day after the last.
    pub end: NaiveDate,
}

static SUMS: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<String> = Measure::ALL.iter().map(|measure| sum(measure.name())).collect();
    format!(
        "SELECT unit_id, item_code, ARRAY[{}]::bigint[] AS measures FROM process_rollups \
         WHERE unit_id = ANY($1) AND day >= $2 AND day < $3 AND ($4 IS NULL OR line = ANY($4)) \
         AND ($5 IS NULL OR starts_with(process_version || '.', $5 || '.')) AND ($6 IS NULL OR item_code = $6) \
         GROUP BY unit_id, item_code",
        sums.join(", ")
    )
});

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Array<BigInt>)]
    measures: Vec<i64>,
}

/// Sums by leaf unit and item.
pub async fn sums(
    conn: &mut AsyncPgConnection,
    wanted: &Wanted,
) -> Result<HashMap<(Uuid, String), Measures>> {
    let rows: Vec<SumRow> = cached(SUMS.as_str())
        .bind::<Array<SqlUuid>, _>(&wanted.units)
        .bind::<Date, _>(wanted.start)
        .bind::<Date, _>(wanted.end)
        .bind::<Nullable<Array<Text>>, _>(wanted.lines.as_ref())
        .bind::<Nullable<Text>, _>(wanted.process.as_ref())
        .bind::<Nullable<Text>, _>(wanted.item_code.as_ref())
        .load(conn)
        .await?;
    let summed = rows.into_iter();
    Ok(summed.map(|row| ((row.unit_id, row.item_code), Measures::from_slice(&row.measures))).collect())
}

/// A process version at a leaf unit.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Seen {
    #[diesel(sql_type = Text)]
    pub process_version: String,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    /// First and last day on which a case was decided with it; unset where none was.
    #[diesel(sql_type = Nullable<Date>)]
    pub first_day: Option<NaiveDate>,
    #[diesel(sql_type = Nullable<Date>)]
    pub last_day: Option<NaiveDate>,
    #[diesel(sql_type = BigInt)]
    pub decided: i64,
    #[diesel(sql_type = BigInt)]
    pub closed: i64,
}

/// The process versions of a period.
pub async fn versions(conn: &mut AsyncPgConnection, wanted: &Wanted) -> Result<Vec<Seen>> {
    Ok(cached(
        "SELECT process_version, unit_id, min(day) FILTER (WHERE decided > 0) AS first_day, \
         max(day) FILTER (WHERE decided > 0) AS last_day, COALESCE(SUM(decided), 0)::bigint AS decided, \
         COALESCE(SUM(closed), 0)::bigint AS closed FROM process_rollups \
         WHERE unit_id = ANY($1) AND day >= $2 AND day < $3 AND ($4 IS NULL OR line = ANY($4)) \
         AND process_version <> '' GROUP BY process_version, unit_id",
    )
    .bind::<Array<SqlUuid>, _>(&wanted.units)
    .bind::<Date, _>(wanted.start)
    .bind::<Date, _>(wanted.end)
    .bind::<Nullable<Array<Text>>, _>(wanted.lines.as_ref())
    .load(conn)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_is_a_column_of_the_table_and_the_other_way_round() {
        let migration = include_str!("../../migrations/20261126000131_processes/up.sql");
        let table = migration.split("CREATE TABLE process_rollups (").nth(1).unwrap();
        let table = table.split(") WITH").next().unwrap();
        let columns: Vec<&str> = table
            .lines()
            .filter(|line| line.contains(" integer") || line.contains(" bigint"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let measures: Vec<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
        assert_eq!(columns, measures);
    }
}
