//! Small things apart from cases: blocks of case numbers, counts of open work.

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{Load, OrgId};

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = Integer)]
    taken: i32,
}

/// Takes the next `size` numbers of a district's day; gives the last of them. In a statement of its own, so that
/// nobody waits for it longer than it takes.
pub async fn take_numbers(
    conn: &mut AsyncPgConnection,
    district: &str,
    day: NaiveDate,
    size: i32,
) -> Result<i32> {
    let row: TakenRow = cached(
        "INSERT INTO case_number_blocks AS b (district, day, taken) VALUES ($1, $2, $3) \
         ON CONFLICT (district, day) DO UPDATE SET taken = b.taken + excluded.taken RETURNING taken",
    )
    .bind::<Text, _>(district)
    .bind::<Date, _>(day)
    .bind::<Integer, _>(size)
    .get_result(conn)
    .await?;
    Ok(row.taken)
}

#[derive(QueryableByName)]
struct LoadRow {
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = BigInt)]
    open: i64,
}

/// Open tasks of each organisation that has any; reads the open ones in an index, nothing else.
pub async fn open_tasks(conn: &mut AsyncPgConnection, orgs: &[OrgId]) -> Result<Load> {
    let rows: Vec<LoadRow> = cached(
        "SELECT o.org_id, n.open FROM unnest($1) AS o (org_id) \
         CROSS JOIN LATERAL (SELECT count(*) AS open FROM tasks t WHERE t.org_id = o.org_id AND t.open) n \
         WHERE n.open > 0",
    )
    .bind::<Array<SqlUuid>, _>(orgs.iter().map(|org| org.0).collect::<Vec<_>>())
    .load(conn)
    .await?;
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    Ok(rows.into_iter().map(|row| (OrgId(row.org_id), count(row.open))).collect())
}
