//! Month partitions of the event log, made ahead of domain time. A month whose events lie in the default partition
//! already stays there. Also throws away hours of due times that count nothing any more.

use chassis::{Result, Timestamp, db::cached};
use chrono::{Datelike, Days, Months, NaiveDate, TimeDelta};
use diesel::{
    QueryableByName,
    sql_types::{Bool, Timestamptz},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

/// How many months ahead there are partitions.
const AHEAD: u32 = 3;

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    exists: bool,
}

/// Makes the partitions of the month of `now` and of those ahead that are missing. Gives how many it made.
pub async fn ensure(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<usize> {
    let today = now.date_naive();
    let Some(first) = today.checked_sub_days(Days::new(u64::from(today.day0()))) else { return Ok(0) };
    let mut made = 0;
    for ahead in 0..=AHEAD {
        let (Some(from), Some(to)) =
            (first.checked_add_months(Months::new(ahead)), first.checked_add_months(Months::new(ahead + 1)))
        else {
            break;
        };
        made += usize::from(make(conn, from, to).await?);
    }
    Ok(made)
}

async fn make(conn: &mut AsyncPgConnection, from: NaiveDate, to: NaiveDate) -> Result<bool> {
    let name = format!("event_log_{}", from.format("%Y_%m"));
    // Names and bounds are dates made here; nothing comes from outside.
    let taken = format!(
        "SELECT to_regclass('{name}') IS NOT NULL OR EXISTS (SELECT 1 FROM event_log_default \
         WHERE occurred_at >= '{from} 00:00:00+00' AND occurred_at < '{to} 00:00:00+00') AS exists"
    );
    let asked: Exists = diesel::sql_query(&taken).get_result(conn).await?;
    if asked.exists {
        return Ok(false);
    }
    conn.transaction(async |conn| {
        // Nothing may come into the default partition between the look and the making. Whoever reads the log for long
        // is not waited for: it is tried again later.
        conn.batch_execute("SET LOCAL lock_timeout = '2s'; LOCK TABLE event_log IN ACCESS EXCLUSIVE MODE")
            .await?;
        let asked: Exists = diesel::sql_query(&taken).get_result(conn).await?;
        if !asked.exists {
            conn.batch_execute(&format!(
                "CREATE TABLE {name} PARTITION OF event_log \
                 FOR VALUES FROM ('{from} 00:00:00+00') TO ('{to} 00:00:00+00')"
            ))
            .await?;
        }
        Ok(!asked.exists)
    })
    .await
}

/// Throws away hours of the past that hold no due time any more: a case that is late still holds its own.
pub async fn sweep(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<()> {
    cached("DELETE FROM open_due WHERE count = 0 AND hour < $1")
        .bind::<Timestamptz, _>(now - TimeDelta::days(1))
        .execute(conn)
        .await?;
    Ok(())
}
