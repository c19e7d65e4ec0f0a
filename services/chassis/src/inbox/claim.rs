//! The claim of a batch: which of its events are new, and of which of their keys something is parked. Nearly always all are new, and
//! one statement tells both; where some have come before, another one looks again, because whoever took them in may have parked them.

use std::collections::HashSet;

use diesel::{
    QueryableByName,
    sql_types::{Array, Nullable, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{Result, db::cached};

/// What a transaction may take in.
#[derive(Debug, PartialEq)]
pub(super) struct Claim {
    /// The events that are new. `None`: all are, and none is there twice.
    pub fresh: Option<HashSet<Uuid>>,
    /// Those of the keys that have parked events.
    pub parked: HashSet<Uuid>,
}

impl Claim {
    /// Records events, of these keys. Waits for another transaction that is recording the same. Others see at once that a batch is
    /// taken in.
    pub(super) async fn of(mut conn: &AsyncPgConnection, ids: &[Uuid], keys: &[Uuid]) -> Result<Self> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Nullable<Array<SqlUuid>>)]
            fresh: Option<Vec<Uuid>>,
            #[diesel(sql_type = Array<SqlUuid>)]
            parked: Vec<Uuid>,
        }
        // All of it sees the same: what is parked as the statement begins. With every event new that is enough: an earlier event of
        // its key is in this batch, new as well, or was committed before the batch was delivered or tried.
        let row: Row = cached(
            "WITH claimed AS (INSERT INTO inbox (event_id) SELECT unnest($1) FROM nextval('inbox_taken') \
             ON CONFLICT DO NOTHING RETURNING event_id) \
             SELECT nullif(coalesce(array_agg(event_id), '{}'), $1) AS fresh, \
             ARRAY(SELECT DISTINCT partition_key FROM parked_events WHERE partition_key = ANY($2) \
             AND skipped_at IS NULL) AS parked FROM claimed",
        )
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<SqlUuid>, _>(keys)
        .get_result(&mut conn)
        .await?;
        Ok(match row.fresh {
            None => Self { fresh: None, parked: row.parked.into_iter().collect() },
            Some(fresh) => {
                Self { fresh: Some(fresh.into_iter().collect()), parked: parked_keys(conn, keys).await? }
            }
        })
    }
}

/// Which of these keys have parked events. A statement of its own after the claim, so that it sees what the transaction that the
/// claim waited for has parked.
async fn parked_keys(mut conn: &AsyncPgConnection, keys: &[Uuid]) -> Result<HashSet<Uuid>> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = SqlUuid)]
        key: Uuid,
    }
    let rows: Vec<Key> = cached(
        "SELECT DISTINCT partition_key AS key FROM parked_events WHERE partition_key = ANY($1) AND skipped_at IS NULL",
    )
    .bind::<Array<SqlUuid>, _>(keys)
    .load(&mut conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.key).collect())
}

#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;
    use diesel_migrations::{EmbeddedMigrations, embed_migrations};

    use super::*;
    use crate::{
        Clock,
        clock::new_id,
        db::{BY_KEY, Db},
        testing::TestDb,
    };

    fn none() -> EmbeddedMigrations {
        embed_migrations!("src/testing/no_migrations")
    }

    async fn claim(db: &Db, ids: &[Uuid], keys: &[Uuid]) -> Claim {
        let conn = db.dedicated(BY_KEY).await.unwrap(); // as those of transactions are
        Claim::of(&conn, ids, keys).await.unwrap()
    }

    /// An event of the key is parked, or has been and was given up.
    async fn park(db: &Db, key: Uuid, skipped: bool) {
        let row = format!(
            "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version, \
             correlation_id, data, cause, skipped_at) VALUES (gen_random_uuid(), 't', 's', 's', now(), '{key}', 1, \
             gen_random_uuid(), '\\x'::bytea, 'internal', CASE WHEN {skipped} THEN now() END)"
        );
        db.conn().await.unwrap().batch_execute(&row).await.unwrap();
    }

    #[tokio::test]
    async fn all_are_new_unless_one_has_come_before_and_what_is_parked_is_told_with_either() {
        let test_db = TestDb::migrated("inbox", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let [a, b, c, d, e, f] = [(); 6].map(|()| new_id());
        let (free, blocked, given_up) = (new_id(), new_id(), new_id());
        let keys = [free, blocked, given_up];
        let claimed = |fresh: Option<&[Uuid]>, parked: &[Uuid]| Claim {
            fresh: fresh.map(|ids| ids.iter().copied().collect()),
            parked: parked.iter().copied().collect(),
        };
        assert_eq!(claim(&db, &[a, b], &keys).await, claimed(None, &[]));
        park(&db, blocked, false).await;
        park(&db, blocked, false).await;
        park(&db, given_up, true).await;
        assert_eq!(claim(&db, &[c, d], &keys).await, claimed(None, &[blocked]));
        assert_eq!(claim(&db, &[e], &[free, given_up]).await, claimed(None, &[]));
        assert_eq!(claim(&db, &[a, f, d], &keys).await, claimed(Some(&[f]), &[blocked]));
        assert_eq!(claim(&db, &[a, b], &[free]).await, claimed(Some(&[]), &[]));
        let twice = new_id();
        assert_eq!(
            claim(&db, &[twice, twice], &[free]).await,
            claimed(Some(&[twice]), &[]),
            "within a batch"
        );
    }
}
