//! Adds signed differences to the rollups: one multi-row upsert per table, rows in the order of the key.

use std::sync::LazyLock;

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::sql_types::{Array, BigInt, Date, Integer, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{Counter, Deltas, delta::Cell};

/// A counter of a rollup after an upsert added to it. Zero is NULL.
pub(super) fn added(name: &str) -> String {
    format!("{name} = NULLIF(COALESCE(r.{name}, 0) + COALESCE(excluded.{name}, 0), 0)")
}

/// A counter summed over rollups; 0 of none.
pub(super) fn sum(name: &str) -> String {
    format!("COALESCE(SUM({name}), 0)")
}

/// One row per cell; the counters come as one flat array of small numbers, row after row.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = Counter::ALL.iter().map(|c| c.name()).collect();
    let width = Counter::COUNT;
    let values: Vec<String> =
        (1..=width).map(|n| format!("NULLIF(($5)[(o - 1) * {width} + {n}], 0)")).collect();
    let sums: Vec<String> = names.iter().map(|c| added(c)).collect();
    format!(
        "INSERT INTO rollups AS r (unit_id, line, day, item_code, {}) \
         SELECT u, l, d, i, {} FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS t(u, l, d, i, o) \
         ON CONFLICT (unit_id, line, day, item_code) DO UPDATE SET {}",
        names.join(", "),
        values.join(", "),
        sums.join(", "),
    )
});

/// Cells column by column.
#[derive(Default)]
struct Cells<'a> {
    units: Vec<Uuid>,
    lines: Vec<&'a str>,
    days: Vec<NaiveDate>,
    items: Vec<&'a str>,
}

impl<'a> Cells<'a> {
    fn of(cells: impl Iterator<Item = &'a Cell>) -> Self {
        let mut columns = Self::default();
        for cell in cells {
            columns.units.push(cell.unit_id);
            columns.lines.push(&cell.line);
            columns.days.push(cell.day);
            columns.items.push(&cell.item_code);
        }
        columns
    }
}

/// Adds the differences.
pub async fn add(conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    futures::try_join!(counters(conn, deltas), durations(conn, deltas), standing(conn, deltas))?;
    Ok(())
}

async fn counters(mut conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    if deltas.cells.is_empty() {
        return Ok(());
    }
    let cells = Cells::of(deltas.cells.keys());
    let counters: Vec<i32> = deltas
        .cells
        .values()
        .flat_map(|c| c.values())
        // Within a batch none grows beyond that: the largest are sums of day numbers.
        .map(|n| i32::try_from(*n).unwrap_or(0))
        .collect();
    cached(ADD.as_str())
        .bind::<Array<SqlUuid>, _>(cells.units)
        .bind::<Array<Text>, _>(cells.lines)
        .bind::<Array<Date>, _>(cells.days)
        .bind::<Array<Text>, _>(cells.items)
        .bind::<Array<Integer>, _>(counters)
        .execute(&mut conn)
        .await?;
    Ok(())
}

async fn durations(mut conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    if deltas.durations.is_empty() {
        return Ok(());
    }
    let cells = Cells::of(deltas.durations.keys().map(|(cell, ..)| cell));
    let (units, buckets): (Vec<i16>, Vec<i16>) =
        deltas.durations.keys().map(|(_, unit, bucket)| (*unit, *bucket)).unzip();
    let (counts, seconds): (Vec<i64>, Vec<i64>) =
        deltas.durations.values().map(|clocks| (clocks.count, clocks.seconds)).unzip();
    cached(
        "INSERT INTO duration_rollups AS r (unit_id, line, day, item_code, clock_unit, bucket, count, seconds) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (unit_id, line, day, item_code, clock_unit, bucket) \
         DO UPDATE SET count = r.count + excluded.count, seconds = r.seconds + excluded.seconds",
    )
    .bind::<Array<SqlUuid>, _>(cells.units)
    .bind::<Array<Text>, _>(cells.lines)
    .bind::<Array<Date>, _>(cells.days)
    .bind::<Array<Text>, _>(cells.items)
    .bind::<Array<SmallInt>, _>(units)
    .bind::<Array<SmallInt>, _>(buckets)
    .bind::<Array<BigInt>, _>(counts)
    .bind::<Array<BigInt>, _>(seconds)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// States and open due times, in one statement.
async fn standing(mut conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    if deltas.states.is_empty() && deltas.open_due.is_empty() {
        return Ok(());
    }
    let (states, open) = (&deltas.states, &deltas.open_due);
    cached(
        "WITH states AS (INSERT INTO state_counts AS s (unit_id, line, state, count) \
         SELECT * FROM unnest($1, $2, $3, $4) \
         ON CONFLICT (unit_id, line, state) DO UPDATE SET count = s.count + excluded.count) \
         INSERT INTO open_due AS o (unit_id, line, hour, count) SELECT * FROM unnest($5, $6, $7, $8) \
         ON CONFLICT (unit_id, line, hour) DO UPDATE SET count = o.count + excluded.count",
    )
    .bind::<Array<SqlUuid>, _>(states.keys().map(|(unit, ..)| *unit).collect::<Vec<Uuid>>())
    .bind::<Array<Text>, _>(states.keys().map(|(_, line, _)| line.as_str()).collect::<Vec<&str>>())
    .bind::<Array<SmallInt>, _>(states.keys().map(|(.., state)| *state).collect::<Vec<i16>>())
    .bind::<Array<BigInt>, _>(states.values().copied().collect::<Vec<i64>>())
    .bind::<Array<SqlUuid>, _>(open.keys().map(|(unit, ..)| *unit).collect::<Vec<Uuid>>())
    .bind::<Array<Text>, _>(open.keys().map(|(_, line, _)| line.as_str()).collect::<Vec<&str>>())
    .bind::<Array<Timestamptz>, _>(open.keys().map(|(.., hour)| *hour).collect::<Vec<Timestamp>>())
    .bind::<Array<BigInt>, _>(open.values().copied().collect::<Vec<i64>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Notes lines under which items were seen.
pub async fn note_items(conn: &mut AsyncPgConnection, items: &[(String, String)]) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    cached("INSERT INTO items (item_code, line) SELECT * FROM unnest($1, $2) ON CONFLICT DO NOTHING")
        .bind::<Array<Text>, _>(items.iter().map(|(item, _)| item.as_str()).collect::<Vec<&str>>())
        .bind::<Array<Text>, _>(items.iter().map(|(_, line)| line.as_str()).collect::<Vec<&str>>())
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_a_column_of_the_table_and_the_other_way_round() {
        let migration = include_str!("../../migrations/20261124000200_facts_and_rollups/up.sql");
        let table = migration.split("CREATE TABLE rollups (").nth(1).unwrap().split(") WITH").next().unwrap();
        let columns: Vec<&str> = table
            .lines()
            .filter(|line| line.contains(" integer") || line.contains(" bigint"))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let counters: Vec<&str> = Counter::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(columns, counters);
    }
}
