//! Adds signed differences to the rollups: a multi-row upsert per table, rows in the order of the key; of an import, one for each
//! kind of cell.

use std::{collections::BTreeMap, sync::OnceLock};

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::sql_types::{Array, BigInt, Date, Integer, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::stock;
use crate::domain::{Counter, Counters, Deltas, Families, delta::Cell};

/// A counter of a rollup after an upsert added to it. Zero is NULL.
pub(super) fn added(name: &str) -> String {
    format!("{name} = NULLIF(COALESCE(r.{name}, 0) + COALESCE(excluded.{name}, 0), 0)")
}

/// A counter summed over rollups; 0 of none.
pub(super) fn sum(name: &str) -> String {
    format!("COALESCE(SUM({name}), 0)")
}

/// One row per cell with the counters of some families alone, most of which a cell has not: every column of a row costs the
/// server about as much whether something is counted there or not. The counters come as one flat array of small numbers,
/// row after row.
fn add_sql(families: Families) -> &'static str {
    static ALL: [OnceLock<String>; Families::SETS] = [const { OnceLock::new() }; Families::SETS];
    ALL[families.number()].get_or_init(|| {
        let names: Vec<&str> = families.places().map(|place| Counter::ALL[place].name()).collect();
        let width = names.len();
        let values: Vec<String> =
            (1..=width).map(|n| format!("NULLIF(($5)[(o - 1) * {width} + {n}], 0)")).collect();
        let sums: Vec<String> = names.iter().map(|c| added(c)).collect();
        format!(
            "INSERT INTO rollups AS r (unit_id, line, day, item_code, {}) \
             SELECT u, l, d, i, {} FROM (SELECT unnest($1) AS u, unnest($2) AS l, unnest($3) AS d, unnest($4) AS i, \
             generate_series(1, cardinality($1)) AS o) AS t \
             ON CONFLICT (unit_id, line, day, item_code) DO UPDATE SET {}",
            names.join(", "),
            values.join(", "),
            sums.join(", "),
        )
    })
}

/// Cells that are worth a statement of their own.
const OWN_STATEMENT: usize = 256;

/// Cells by the families that they count: those of a kind that has many together, all others together.
fn kinds(cells: &BTreeMap<Cell, Counters>) -> Vec<(Families, Vec<(&Cell, &Counters)>)> {
    let mut kinds: BTreeMap<Families, Vec<(&Cell, &Counters)>> = BTreeMap::new();
    for (cell, counters) in cells {
        kinds.entry(counters.families()).or_default().push((cell, counters));
    }
    let (mut many, few): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|(_, cells)| cells.len() >= OWN_STATEMENT);
    if let Some(families) = few.iter().map(|(families, _)| *families).reduce(Families::and) {
        let mut cells: Vec<_> = few.into_iter().flat_map(|(_, cells)| cells).collect();
        cells.sort_unstable_by_key(|(cell, _)| *cell);
        many.push((families, cells));
    }
    many
}

/// Cells column by column.
#[derive(Default)]
pub(super) struct Cells<'a> {
    pub(super) units: Vec<Uuid>,
    pub(super) lines: Vec<&'a str>,
    pub(super) days: Vec<NaiveDate>,
    pub(super) items: Vec<&'a str>,
}

impl<'a> Cells<'a> {
    pub(super) fn of(cells: impl Iterator<Item = &'a Cell>) -> Self {
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

/// Adds the differences. Who writes `alone` need not take the rows in the order that others take them in; whoever does not
/// writes those of open cases or all, so that the server keeps two plans for it.
pub async fn add(conn: &AsyncPgConnection, deltas: &Deltas, alone: bool) -> Result<()> {
    futures::try_join!(
        counters(conn, deltas, alone),
        durations(conn, deltas),
        standing(conn, deltas),
        stock::add(conn, deltas),
    )?;
    Ok(())
}

async fn counters(conn: &AsyncPgConnection, deltas: &Deltas, alone: bool) -> Result<()> {
    let kinds = match deltas.cells.len() {
        0 => return Ok(()),
        _ if alone => kinds(&deltas.cells),
        _ => {
            let open = deltas.cells.values().all(|counters| Families::OPEN.hold(counters.families()));
            let families = if open { Families::OPEN } else { Families::ALL };
            vec![(families, deltas.cells.iter().collect())]
        }
    };
    futures::future::try_join_all(kinds.iter().map(|(families, cells)| add_some(conn, *families, cells)))
        .await?;
    Ok(())
}

async fn add_some(mut conn: &AsyncPgConnection, families: Families, of: &[(&Cell, &Counters)]) -> Result<()> {
    let cells = Cells::of(of.iter().map(|(cell, _)| *cell));
    let counters =
        of.iter().flat_map(|(_, counters)| families.places().map(|place| counters.values()[place]));
    // Within a batch none grows beyond that: the largest are sums of day numbers.
    let counters: Vec<i32> = counters.map(|n| i32::try_from(n).unwrap_or(0)).collect();
    cached(add_sql(families))
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
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8) \
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
         SELECT unnest($1), unnest($2), unnest($3), unnest($4) \
         ON CONFLICT (unit_id, line, state) DO UPDATE SET count = s.count + excluded.count) \
         INSERT INTO open_due AS o (unit_id, line, hour, count) SELECT unnest($5), unnest($6), unnest($7), unnest($8) \
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
    cached("INSERT INTO items (item_code, line) SELECT unnest($1), unnest($2) ON CONFLICT DO NOTHING")
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
    fn every_cell_is_in_one_kind_which_holds_all_that_it_counts() {
        let counted = |n: u128| match n % 7 {
            0 => vec![Counter::Due],
            1..=3 => vec![Counter::Registered, Counter::Accepted],
            4 if n < 700 => vec![Counter::Closed, Counter::Rated],
            _ => vec![Counter::Registered, Counter::Due, Counter::TasksIssued],
        };
        let day = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let cells: BTreeMap<Cell, Counters> = (0..2_100)
            .map(|n: u128| {
                let mut counters = Counters::default();
                counted(n).into_iter().for_each(|counter| counters[counter] = 1);
                let unit_id = Uuid::from_u128(n);
                (Cell { unit_id, line: String::new(), day, item_code: String::new() }, counters)
            })
            .collect();
        let kinds = kinds(&cells);
        // Of the third there are too few for a statement of their own.
        assert_eq!(kinds.iter().map(|(_, cells)| cells.len()).collect::<Vec<_>>(), [900, 300, 800, 100]);
        for (families, cells) in &kinds {
            assert!(cells.is_sorted_by(|a, b| a.0 < b.0));
            assert!(cells.iter().all(|(_, counters)| families.hold(counters.families())));
        }
        let mut all: Vec<&Cell> =
            kinds.iter().flat_map(|(_, cells)| cells.iter().map(|(cell, _)| *cell)).collect();
        all.sort_unstable();
        assert_eq!(all, cells.keys().collect::<Vec<_>>());
    }

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
