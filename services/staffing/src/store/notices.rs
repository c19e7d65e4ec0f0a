//! The notices that case-routing told of. They are few and read whole; nothing here changes or removes one.

use calendar::{HolidayGroup, YearNotice};
use chassis::{Error, Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    title_year: i32,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Array<Text>)]
    off_days: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    work_days: Vec<String>,
}

/// How many there are; it grows with each.
pub async fn count(conn: &mut AsyncPgConnection) -> Result<i64> {
    let row: CountRow = cached("SELECT count(*) AS count FROM calendar_notices").get_result(conn).await?;
    Ok(row.count)
}

/// Each with its version, a year's newest last.
pub async fn load(conn: &mut AsyncPgConnection) -> Result<Vec<(u32, YearNotice)>> {
    let rows: Vec<Row> = cached(
        "SELECT title_year, version, off_days, work_days FROM calendar_notices ORDER BY title_year, version",
    )
    .load(conn)
    .await?;
    let notice = |Row { title_year, version, off_days, work_days }| {
        let days = HolidayGroup { name: String::new(), off: off_days, work: work_days };
        let notice = YearNotice { title_year, papers: Vec::new(), holidays: vec![days] };
        (u32::try_from(version).unwrap_or_default(), notice)
    };
    Ok(rows.into_iter().map(notice).collect())
}

/// Keeps a notice, unless it is known already. Gives whether it was new.
pub async fn learn(conn: &mut AsyncPgConnection, version: u32, notice: &YearNotice) -> Result<bool> {
    let days = |of: fn(&HolidayGroup) -> &Vec<String>| -> Vec<String> {
        notice.holidays.iter().flat_map(of).cloned().collect()
    };
    let new = cached(
        "INSERT INTO calendar_notices (title_year, version, off_days, work_days) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Integer, _>(notice.title_year)
    .bind::<Integer, _>(i32::try_from(version).map_err(Error::internal)?)
    .bind::<Array<Text>, _>(days(|group| &group.off))
    .bind::<Array<Text>, _>(days(|group| &group.work))
    .execute(conn)
    .await?;
    Ok(new == 1)
}
