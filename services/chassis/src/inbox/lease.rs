//! Which replica consumes which groups. Every replica reports that it lives and takes its fair share of the groups;
//! who has more than that gives some back. The broker's single active consumer stands behind this, so a mistake here
//! costs fairness, never order.

use std::{collections::BTreeSet, time::Duration};

use diesel::{
    QueryableByName,
    sql_types::{BigInt, SmallInt, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    Error, Result,
    clock::new_id,
    db::{Db, cached},
};

#[derive(QueryableByName)]
struct Group {
    #[diesel(sql_type = SmallInt)]
    consumer_group: i16,
}

#[derive(QueryableByName)]
struct Members {
    #[diesel(sql_type = BigInt)]
    members: i64,
}

/// The leases of one replica.
pub(super) struct Leases {
    db: Db,
    holder: Uuid,
    groups: u8,
    lease_ms: i64,
}

impl Leases {
    pub(super) fn new(db: Db, groups: u8, lease: Duration) -> Self {
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(3_000);
        db.inbox().lease(groups, lease_ms);
        Self { db, holder: new_id(), groups, lease_ms }
    }

    /// Reports life, renews, takes what is free up to the fair share. Gives the groups to consume; groups beyond the
    /// share are left out and should be released once their consumer has stopped.
    pub(super) async fn renew(&mut self) -> Result<BTreeSet<u8>> {
        let mut conn = self.db.conn().await?;
        cached(
            "INSERT INTO consumer_member (holder, expires_at) VALUES ($1, clock_timestamp() + $2 * interval '1 ms') \
             ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at",
        )
        .bind::<SqlUuid, _>(self.holder)
        .bind::<BigInt, _>(self.lease_ms)
        .execute(&mut *conn)
        .await?;
        cached("DELETE FROM consumer_member WHERE expires_at < clock_timestamp() - interval '1 minute'")
            .execute(&mut *conn)
            .await?;
        let Members { members } =
            cached("SELECT count(*) AS members FROM consumer_member WHERE expires_at >= clock_timestamp()")
                .get_result(&mut *conn)
                .await?;
        let held: Vec<Group> = cached(
            "UPDATE consumer_lease SET expires_at = clock_timestamp() + $2 * interval '1 ms' WHERE holder = $1 \
             RETURNING consumer_group",
        )
        .bind::<SqlUuid, _>(self.holder)
        .bind::<BigInt, _>(self.lease_ms)
        .load(&mut *conn)
        .await?;
        let members = members.max(1);
        let share = (i64::from(self.groups) + members - 1) / members;
        let mut held: BTreeSet<u8> =
            held.into_iter().filter_map(|g| u8::try_from(g.consumer_group).ok()).collect();
        held.retain(|group| *group < self.groups);
        let missing = share - held.len() as i64;
        if missing > 0 {
            let taken: Vec<Group> = cached(
                "INSERT INTO consumer_lease AS held (consumer_group, holder, expires_at) \
                 SELECT g, $1, clock_timestamp() + $2 * interval '1 ms' FROM generate_series(0, $3 - 1) AS g \
                 WHERE NOT EXISTS (SELECT 1 FROM consumer_lease l WHERE l.consumer_group = g \
                 AND l.expires_at >= clock_timestamp()) ORDER BY g LIMIT $4 \
                 ON CONFLICT (consumer_group) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
                 WHERE held.expires_at < clock_timestamp() RETURNING consumer_group",
            )
            .bind::<SqlUuid, _>(self.holder)
            .bind::<BigInt, _>(self.lease_ms)
            .bind::<SmallInt, _>(i16::from(self.groups))
            .bind::<BigInt, _>(missing)
            .load(&mut *conn)
            .await?;
            held.extend(taken.into_iter().filter_map(|g| u8::try_from(g.consumer_group).ok()));
        }
        Ok(held.into_iter().take(usize::try_from(share).unwrap_or(usize::MAX)).collect())
    }

    /// Gives one group back. A failure only means that others wait until the lease runs out.
    pub(super) async fn release(&mut self, group: u8) {
        let Ok(mut conn) = self.db.conn().await else { return };
        let _ = cached("DELETE FROM consumer_lease WHERE consumer_group = $1 AND holder = $2")
            .bind::<SmallInt, _>(i16::from(group))
            .bind::<SqlUuid, _>(self.holder)
            .execute(&mut *conn)
            .await;
    }

    /// Whether no other replica is there.
    pub(super) async fn are_alone(&self) -> bool {
        let count = async {
            let mut conn = self.db.conn().await?;
            let others: Members = cached(
                "SELECT count(*) AS members FROM consumer_member WHERE expires_at >= clock_timestamp() AND holder <> $1",
            )
            .bind::<SqlUuid, _>(self.holder)
            .get_result(&mut *conn)
            .await?;
            Ok::<_, Error>(others.members)
        };
        count.await.is_ok_and(|others| others == 0)
    }

    /// Says that this replica is gone.
    pub(super) async fn leave(&mut self) {
        let Ok(mut conn) = self.db.conn().await else { return };
        let _ = cached("DELETE FROM consumer_member WHERE holder = $1")
            .bind::<SqlUuid, _>(self.holder)
            .execute(&mut *conn)
            .await;
    }
}
