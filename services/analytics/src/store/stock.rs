//! `stock_rollups`: the counters of which the stock at the end of a day is made, by month and in all. What stood then is all that was
//! ever counted, without the months from then on, so that no answer reads what was before. Rows are added to with those of `rollups`.
//!
//! Replicas of a build before write `rollups` alone. Every batch that is in these sums, too, says so (`consumption.stock_revision`);
//! while another is not, the stock is read from all days, until the sums are made anew.

use std::sync::LazyLock;

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::{
    query::{self, Selection},
    rollups::{Cells, sum},
};
use crate::domain::{
    Counter, Counters, Deltas,
    delta::{ALL_MONTHS, month},
};

/// Names of the counters, which are columns of the table, each given to `of`.
fn columns(of: impl Fn(&str) -> String) -> String {
    Counter::STOCK.map(|counter| of(counter.name())).join(", ")
}

static ADD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO stock_rollups AS r (unit_id, line, month, item_code, {}) \
         SELECT unnest($1), unnest($2), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7), unnest($8) \
         ON CONFLICT (unit_id, line, month, item_code) DO UPDATE SET {}",
        columns(str::to_owned),
        columns(|name| format!("{name} = r.{name} + excluded.{name}")),
    )
});

/// Adds the differences, rows in the order of the key; no statement where there are none.
pub(super) async fn add(mut conn: &AsyncPgConnection, deltas: &Deltas) -> Result<()> {
    if deltas.stock.is_empty() {
        return Ok(());
    }
    let cells = Cells::of(deltas.stock.keys());
    let numbers = |n: usize| -> Vec<i64> { deltas.stock.values().map(|sums| sums[n]).collect() };
    cached(ADD.as_str())
        .bind::<Array<SqlUuid>, _>(cells.units)
        .bind::<Array<Text>, _>(cells.lines)
        .bind::<Array<Date>, _>(cells.days)
        .bind::<Array<Text>, _>(cells.items)
        .bind::<Array<BigInt>, _>(numbers(0))
        .bind::<Array<BigInt>, _>(numbers(1))
        .bind::<Array<BigInt>, _>(numbers(2))
        .bind::<Array<BigInt>, _>(numbers(3))
        .execute(&mut conn)
        .await?;
    Ok(())
}

static UNTIL: LazyLock<String> = LazyLock::new(|| {
    let cells = "unit_id = ANY($1) AND line = ANY($2) AND ($3 IS NULL OR item_code = $3)";
    format!(
        "SELECT ARRAY[{}]::bigint[] AS counters FROM ( \
             SELECT CASE month WHEN DATE '{ALL_MONTHS}' THEN 1 ELSE -1 END AS sign, {names} FROM stock_rollups \
             WHERE {cells} AND month >= $4 \
             UNION ALL \
             SELECT 1, {names} FROM rollups WHERE {cells} AND day >= $4 AND day < $5 \
         ) AS parts",
        columns(|name| sum(&format!("sign * {name}"))),
        names = columns(str::to_owned),
    )
});

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = Array<BigInt>)]
    counters: Vec<i64>,
}

/// The counters of the stock over all days before `end`: all there are, without the months from that of `end` on, and with the days
/// of it before `end`.
pub async fn until(conn: &mut AsyncPgConnection, selection: &Selection, end: NaiveDate) -> Result<Counters> {
    let (lines, item) = selection.cells(conn).await?;
    let row: SumRow = cached(UNTIL.as_str())
        .bind::<Array<SqlUuid>, _>(&selection.units)
        .bind::<Array<Text>, _>(lines)
        .bind::<Nullable<Text>, _>(item)
        .bind::<Date, _>(month(end))
        .bind::<Date, _>(end)
        .get_result(conn)
        .await?;
    Ok(Counters::of_stock(&row.counters))
}

/// Every row, as `rollups` has it; as the migration that made the table filled it.
static FILL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO stock_rollups (unit_id, line, month, item_code, {names}) \
         SELECT unit_id, line, m.month, item_code, {} FROM rollups CROSS JOIN LATERAL \
         (VALUES (date_trunc('month', day::timestamp)::date), (DATE '{ALL_MONTHS}')) AS m (month) \
         WHERE num_nonnulls({names}) > 0 GROUP BY unit_id, line, m.month, item_code",
        columns(sum),
        names = columns(str::to_owned),
    )
});

/// Makes the sums anew from `rollups` if a replica of a build before has counted something that is not in them. Consumers wait
/// meanwhile. Whether it did.
pub async fn mend(conn: &mut AsyncPgConnection) -> Result<bool> {
    if query::consumption(conn).await?.stock_kept {
        return Ok(false);
    }
    conn.transaction(async |conn| {
        // Nobody is half-way then, see `event_log::append`. Whoever holds the log for long is not waited for: it is tried again.
        conn.batch_execute(
            "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0; \
             LOCK TABLE ONLY event_log IN SHARE ROW EXCLUSIVE MODE",
        )
        .await?;
        if query::consumption(conn).await?.stock_kept {
            return Ok(false); // another replica was faster
        }
        conn.batch_execute(&format!("DELETE FROM stock_rollups; {}", *FILL)).await?;
        note_kept(conn).await?;
        Ok(true)
    })
    .await
}

/// Notes that everything counted so far is in the sums; nobody may be counting.
pub(super) async fn note_kept(conn: &mut AsyncPgConnection) -> Result<()> {
    cached("UPDATE consumption SET stock_revision = revision WHERE stock_revision <> revision")
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_made_anew_as_the_migration_filled_the_table() {
        let migration = include_str!("../../migrations/20261203000900_stock/up.sql");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(migration).contains(&words(FILL.as_str())), "{}", *FILL);
    }
}
