//! Real time here and at the database's server, which every replica shares. A machine whose time is ahead would find due what is
//! not, and close, end or archive it for good; leases go by the server's time, so nothing else would notice.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::{QueryableByName, sql_types::Timestamptz};
use diesel_async::RunQueryDsl;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Db, cached};
use crate::{Result, Timestamp};

/// How often they are compared.
const EVERY: Duration = Duration::from_secs(60);

/// From how much on a warning is logged.
const WARNED: TimeDelta = TimeDelta::seconds(5);

#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = Timestamptz)]
    at: Timestamp,
}

/// Compares them every minute until `stop`.
///
/// # Errors
/// None: what cannot be compared stays as it was found the last time.
pub(crate) async fn watch(db: Db, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        compare(&db).await;
    }
    Ok(())
}

/// Compares them once; the clock knows the outcome.
pub(crate) async fn compare(db: &Db) {
    match ahead(db).await {
        Ok(skew) => {
            db.clock().compared(skew);
            if skew.abs() > WARNED {
                tracing::warn!(
                    service = %db.service(),
                    seconds = skew.num_seconds(),
                    waits = db.clock().is_astray(),
                    "this machine's time is not that of the database's server"
                );
            }
        }
        Err(error) => tracing::warn!(error = %error.chain(), "real time could not be compared"),
    }
}

/// How far real time here is ahead of the server's.
async fn ahead(db: &Db) -> Result<TimeDelta> {
    let mut conn = db.conn().await?;
    let (before, asked) = (db.clock().real_now(), Instant::now());
    let There { at } = cached("SELECT clock_timestamp() AS at").get_result(&mut *conn).await?;
    Ok(certain(before, asked.elapsed(), at))
}

/// How far time here is ahead at the least, where the server said `there` at some moment of the round trip that began at `before`.
fn certain(before: Timestamp, round_trip: Duration, there: Timestamp) -> TimeDelta {
    let half = TimeDelta::from_std(round_trip / 2).unwrap_or_default();
    let ahead = before + half - there;
    let least = (ahead.abs() - half).max(TimeDelta::zero());
    if ahead < TimeDelta::zero() { -least } else { least }
}

#[cfg(test)]
mod tests {
    use diesel_migrations::{EmbeddedMigrations, embed_migrations};

    use super::*;
    use crate::{Clock, testing::TestDb};

    fn none() -> EmbeddedMigrations {
        embed_migrations!("src/testing/no_migrations")
    }

    #[tokio::test]
    async fn a_machine_whose_time_is_wrong_is_found_out_whatever_its_domain_time_is() {
        let test_db = TestDb::migrated("skew", none).await.unwrap();
        for fixed in [false, true] {
            let right = if fixed { Clock::fixed(chrono::DateTime::UNIX_EPOCH) } else { Clock::system() };
            right.advance(Duration::from_secs(86_400)); // domain time may be anything
            let wrong = right.ahead_by(Duration::from_secs(3_600));
            for (clock, astray) in [(right, false), (wrong, true)] {
                let db = test_db.connect("skew", clock.clone()).await.unwrap();
                compare(&db).await;
                assert_eq!(clock.is_astray(), astray, "{:?}", clock.skew());
            }
        }
    }

    #[test]
    fn half_of_the_round_trip_is_nobodys_fault() {
        let at = |seconds: i64| chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap();
        for (before, took, there, expected) in [
            (0, 0, 0, 0),
            (10, 0, 0, 10),
            (0, 0, 10, -10),
            (0, 4, 0, 0),
            (0, 4, 4, 0),
            (9, 2, 0, 9),
            (0, 2, 9, -7),
        ] {
            let skew = certain(at(before), Duration::from_secs(took), at(there));
            assert_eq!(skew, TimeDelta::seconds(expected), "{before} {took} {there}");
        }
    }
}
