//! The persisted offset of domain time. It only moves forward, and every replica reads it from here.

use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;

use super::cached;
use crate::Result;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    offset_micros: i64,
}

impl Row {
    fn offset(&self) -> Duration {
        Duration::from_micros(self.offset_micros.unsigned_abs())
    }
}

/// The offset in force.
pub async fn load(conn: &mut AsyncPgConnection) -> Result<Duration> {
    let row: Row = cached("SELECT offset_micros FROM domain_clock").get_result(conn).await?;
    Ok(row.offset())
}

/// Moves the offset to `offset` unless it is there or further already. Gives the offset in force afterwards.
pub async fn advance(conn: &mut AsyncPgConnection, offset: Duration) -> Result<Duration> {
    let row: Row =
        cached("UPDATE domain_clock SET offset_micros = GREATEST(offset_micros, $1) RETURNING offset_micros")
            .bind::<BigInt, _>(i64::try_from(offset.as_micros()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4))
            .get_result(conn)
            .await?;
    Ok(row.offset())
}
