//! What is counted at a place, twice: as the rollups have it, and made anew from the facts. For reconcile, which goes place by
//! place: what is read and held at once is that of one place, whatever the number of cases.

use std::{sync::LazyLock, time::Instant};

use chassis::{Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{case_facts, mediation_facts, task_facts};
use crate::domain::{
    CaseFact, Counter, Counters, Deltas, MediationFact, TaskFact,
    delta::{Cell, Stock},
    histogram::Clocks,
    process::{Measure, Measures, ProcessCell},
};

/// Facts read at once.
const BATCH: i64 = 1_000;

/// Cases after an id.
pub async fn cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<CaseFact>> {
    case_facts::page(conn, after, limit).await
}

/// Tasks after an id.
pub async fn tasks(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<TaskFact>> {
    task_facts::page(conn, after, limit).await
}

/// Mediations after an id.
pub async fn mediations(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<MediationFact>> {
    mediation_facts::page(conn, after, limit).await
}

/// Everything that the facts of a place count, as far as it has been counted; the nil place is none. Whoever lost patience, or was
/// cut off, goes on from there.
#[derive(Debug)]
pub struct Count {
    place: Uuid,
    /// Which facts are read; `None` when all were.
    of: Option<Facts>,
    /// The last of them that was counted.
    after: Uuid,
    deltas: Deltas,
}

#[derive(Debug, Clone, Copy)]
enum Facts {
    Cases,
    Tasks,
    Mediations,
}

impl Count {
    /// Nothing counted yet.
    pub fn of(place: Uuid) -> Self {
        Self { place, of: Some(Facts::Cases), after: Uuid::nil(), deltas: Deltas::default() }
    }

    /// Counts on until an instant, a batch at least. Gives all of it once everything is counted.
    pub async fn go_on(&mut self, conn: &mut AsyncPgConnection, until: Instant) -> Result<Option<&Deltas>> {
        while let Some(of) = self.of {
            let (place, after, deltas) = (self.place, self.after, &mut self.deltas);
            let last = match of {
                Facts::Cases => {
                    let facts = case_facts::of_place(conn, place, after, BATCH).await?;
                    facts.iter().for_each(|fact| deltas.case(fact, 1));
                    facts.last().map(|last| last.case_id)
                }
                Facts::Tasks => {
                    let facts = task_facts::of_place(conn, place, after, BATCH).await?;
                    facts.iter().for_each(|fact| deltas.task(fact, 1));
                    facts.last().map(|last| last.task_id)
                }
                Facts::Mediations => {
                    let facts = mediation_facts::of_place(conn, place, after, BATCH).await?;
                    facts.iter().for_each(|fact| deltas.mediation(fact, 1));
                    facts.last().map(|last| last.mediation_id)
                }
            };
            self.after = last.unwrap_or_default();
            if last.is_none() {
                self.of = match of {
                    Facts::Cases => Some(Facts::Tasks),
                    Facts::Tasks => Some(Facts::Mediations),
                    Facts::Mediations => None,
                };
            }
            if self.of.is_none() {
                self.deltas = std::mem::take(&mut self.deltas).without_zeros().with_stock();
            } else if Instant::now() >= until {
                return Ok(None);
            }
        }
        Ok(Some(&self.deltas))
    }
}

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    place: Option<Uuid>,
}

/// The smallest id after `$1` in a column of each table; it stands first in an index of the table.
pub(super) fn next(column: &str, tables: &[&str]) -> String {
    let first = |table: &&str| {
        format!("(SELECT {column} FROM {table} WHERE {column} > $1 ORDER BY {column} LIMIT 1)")
    };
    let firsts: Vec<String> = tables.iter().map(first).collect();
    format!("SELECT LEAST({}) AS place", firsts.join(", "))
}

/// The place that such a statement gives.
pub(super) async fn next_place(
    conn: &mut AsyncPgConnection,
    next: &'static str,
    after: Uuid,
) -> Result<Option<Uuid>> {
    let row: PlaceRow = cached(next).bind::<SqlUuid, _>(after).get_result(conn).await?;
    Ok(row.place)
}

/// The next place after one of which there are facts.
pub async fn next_counted(conn: &mut AsyncPgConnection, after: Uuid) -> Result<Option<Uuid>> {
    static NEXT: LazyLock<String> =
        LazyLock::new(|| next("place_unit_id", &["case_facts", "task_facts", "mediation_facts"]));
    next_place(conn, &NEXT, after).await
}

/// The tables of what is kept of places.
const KEPT: [&str; 6] =
    ["rollups", "stock_rollups", "duration_rollups", "state_counts", "open_due", "process_rollups"];

/// The next place after one of which there are rollups.
pub async fn next_kept(conn: &mut AsyncPgConnection, after: Uuid) -> Result<Option<Uuid>> {
    static NEXT: LazyLock<String> = LazyLock::new(|| next("unit_id", &KEPT));
    next_place(conn, &NEXT, after).await
}

/// Everything that the rollups have of a place.
pub async fn kept(conn: &mut AsyncPgConnection, place: Uuid) -> Result<Deltas> {
    let mut deltas = Deltas::default();
    counters(conn, place, &mut deltas).await?;
    stock(conn, place, &mut deltas).await?;
    durations(conn, place, &mut deltas).await?;
    standing(conn, place, &mut deltas).await?;
    processes(conn, place, &mut deltas).await?;
    Ok(deltas.without_zeros())
}

/// Columns as one array, in which nothing is 0.
fn array<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<String> = columns.map(|column| format!("COALESCE({column}, 0)")).collect();
    format!("ARRAY[{}]::bigint[]", columns.join(", "))
}

#[derive(QueryableByName)]
struct CounterRow {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Array<BigInt>)]
    counters: Vec<i64>,
}

async fn counters(conn: &mut AsyncPgConnection, place: Uuid, deltas: &mut Deltas) -> Result<()> {
    static OF_PLACE: LazyLock<String> = LazyLock::new(|| {
        let counters = array(Counter::ALL.iter().map(|counter| counter.name()));
        format!("SELECT line, day, item_code, {counters} AS counters FROM rollups WHERE unit_id = $1")
    });
    let rows: Vec<CounterRow> = cached(OF_PLACE.as_str()).bind::<SqlUuid, _>(place).load(conn).await?;
    deltas.cells.extend(rows.into_iter().map(|row| {
        let cell = Cell { unit_id: place, line: row.line, day: row.day, item_code: row.item_code };
        (cell, Counters::from_slice(&row.counters))
    }));
    Ok(())
}

#[derive(QueryableByName)]
struct StockRow {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = Date)]
    month: NaiveDate,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Array<BigInt>)]
    counters: Vec<i64>,
}

async fn stock(conn: &mut AsyncPgConnection, place: Uuid, deltas: &mut Deltas) -> Result<()> {
    static OF_PLACE: LazyLock<String> = LazyLock::new(|| {
        let counters = array(Counter::STOCK.iter().map(|counter| counter.name()));
        format!("SELECT line, month, item_code, {counters} AS counters FROM stock_rollups WHERE unit_id = $1")
    });
    let rows: Vec<StockRow> = cached(OF_PLACE.as_str()).bind::<SqlUuid, _>(place).load(conn).await?;
    deltas.stock.extend(rows.into_iter().map(|row| {
        let cell = Cell { unit_id: place, line: row.line, day: row.month, item_code: row.item_code };
        let sums: Stock = std::array::from_fn(|n| row.counters.get(n).copied().unwrap_or_default());
        (cell, sums)
    }));
    Ok(())
}

#[derive(QueryableByName)]
struct DurationRow {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = SmallInt)]
    clock_unit: i16,
    #[diesel(sql_type = SmallInt)]
    bucket: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
    #[diesel(sql_type = BigInt)]
    seconds: i64,
}

async fn durations(conn: &mut AsyncPgConnection, place: Uuid, deltas: &mut Deltas) -> Result<()> {
    let rows: Vec<DurationRow> = cached(
        "SELECT line, day, item_code, clock_unit, bucket, count, seconds FROM duration_rollups WHERE unit_id = $1",
    )
    .bind::<SqlUuid, _>(place)
    .load(conn)
    .await?;
    deltas.durations.extend(rows.into_iter().map(|row| {
        let cell = Cell { unit_id: place, line: row.line, day: row.day, item_code: row.item_code };
        ((cell, row.clock_unit, row.bucket), Clocks { count: row.count, seconds: row.seconds })
    }));
    Ok(())
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct DueRow {
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = Timestamptz)]
    hour: Timestamp,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn standing(conn: &mut AsyncPgConnection, place: Uuid, deltas: &mut Deltas) -> Result<()> {
    let rows: Vec<StateRow> = cached("SELECT line, state, count FROM state_counts WHERE unit_id = $1")
        .bind::<SqlUuid, _>(place)
        .load(conn)
        .await?;
    deltas.states.extend(rows.into_iter().map(|row| ((place, row.line, row.state), row.count)));
    let rows: Vec<DueRow> = cached("SELECT line, hour, count FROM open_due WHERE unit_id = $1")
        .bind::<SqlUuid, _>(place)
        .load(conn)
        .await?;
    deltas.open_due.extend(rows.into_iter().map(|row| ((place, row.line, row.hour), row.count)));
    Ok(())
}

#[derive(QueryableByName)]
struct ProcessRow {
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Text)]
    process_version: String,
    #[diesel(sql_type = Text)]
    line: String,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Array<BigInt>)]
    measures: Vec<i64>,
}

async fn processes(conn: &mut AsyncPgConnection, place: Uuid, deltas: &mut Deltas) -> Result<()> {
    static OF_PLACE: LazyLock<String> = LazyLock::new(|| {
        let measures = array(Measure::ALL.iter().map(|measure| measure.name()));
        format!(
            "SELECT day, process_version, line, item_code, {measures} AS measures FROM process_rollups WHERE unit_id = $1"
        )
    });
    let rows: Vec<ProcessRow> = cached(OF_PLACE.as_str()).bind::<SqlUuid, _>(place).load(conn).await?;
    deltas.processes.extend(rows.into_iter().map(|row| {
        let cell = ProcessCell {
            unit_id: place,
            day: row.day,
            process_version: row.process_version,
            line: row.line,
            item_code: row.item_code,
        };
        (cell, Measures::from_slice(&row.measures))
    }));
    Ok(())
}
