//! What a question costs: the rows that are read for it, which say more than a clock does.

use std::collections::BTreeMap;

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

/// Rows by table.
pub type RowsRead = BTreeMap<String, i64>;

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Runs `work` in a transaction and tells how many rows of which tables it read. A table of a few pages is read whole whatever is asked
/// of it; here it is as if it were large.
///
/// # Panics
/// When the database fails.
pub async fn rows_read<T>(
    conn: &mut AsyncPgConnection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> T,
) -> (T, RowsRead) {
    conn.batch_execute("BEGIN; SET LOCAL enable_seqscan = off").await.expect("a transaction begins");
    let before = so_far(conn).await;
    let done = work(&mut *conn).await;
    let mut read = so_far(conn).await;
    conn.batch_execute("COMMIT").await.expect("and ends");
    for (table, rows) in before {
        *read.entry(table).or_default() -= rows;
    }
    read.retain(|_, rows| *rows != 0);
    (done, read)
}

/// What the connection has read since its figures were last collected, which is between transactions.
async fn so_far(conn: &mut AsyncPgConnection) -> RowsRead {
    let tables: Vec<Table> = diesel::sql_query(
        "SELECT relname::text AS name, (COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))::bigint AS rows \
         FROM pg_stat_xact_user_tables WHERE schemaname = 'public'",
    )
    .load(conn)
    .await
    .expect("the figures are read");
    tables.into_iter().map(|table| (table.name, table.rows)).collect()
}
