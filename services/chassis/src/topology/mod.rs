//! The unit tree, organisations and authority edges, and the bars on tokens: owned by identity, copied by every
//! service. The copy is fed by identity's events, kept in the service's database and held in memory whole; at each start
//! identity is asked for a snapshot, which has what no event told or will tell. Services only read it.

mod digest;
mod feed;
mod mergers;
mod model;
mod store;
mod tree;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use arc_swap::ArcSwap;
use diesel_async::AsyncPgConnection;

pub(crate) use self::digest::Copied;
pub use self::{
    feed::Feed,
    model::{Edge, EdgeKind, Organization, OrganizationKind, Unit, UnitKind, UnitState},
    tree::{Changes, Topology},
};
use crate::{auth::Revocations, db::Db, error::Result, inbox::Consumer};

/// The topology in force, shared by everything in the service.
#[derive(Debug, Default)]
pub struct Shared {
    topology: ArcSwap<Topology>,
    revocations: Arc<Revocations>,
    /// Up to which version of the database the bars are known.
    barred: AtomicI64,
}

impl Shared {
    /// The topology now. Hold it for one request, not longer.
    pub fn load(&self) -> Arc<Topology> {
        self.topology.load_full()
    }

    /// The bars on tokens.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Reads everything from the database and adds it to what is in memory: a consumer may have committed more since
    /// the rows were read, and neither things nor bars on tokens ever leave by a change.
    ///
    /// # Errors
    /// `Unavailable` or `Internal` from the database.
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        // The version first: a change in between is read again at the next poll, never missed.
        let noted = store::noted(&mut conn).await?;
        let all = store::load(&mut conn).await?;
        self.topology.rcu(|topology| topology.with(all.clone(), topology.version().max(noted.tree)));
        self.take_bars(&mut conn, noted).await
    }

    /// Looks whether other replicas have noted something, and reads what it is: the bars, which are few, without the tree.
    async fn follow(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        let noted = store::noted(&mut conn).await?;
        if noted.tree != self.load().version() {
            drop(conn);
            return self.reload(db).await;
        }
        if noted.version != self.barred.load(Ordering::Acquire) {
            self.take_bars(&mut conn, noted).await?;
        }
        Ok(())
    }

    /// Reads every bar, as of at least that version.
    async fn take_bars(&self, conn: &mut AsyncPgConnection, noted: store::Noted) -> Result<()> {
        self.revocations.merge(&store::load_revoked(conn).await?);
        self.barred.fetch_max(noted.version, Ordering::AcqRel);
        Ok(())
    }

    /// Writes what stands for a snapshot in tests, before there is anybody to learn of it.
    ///
    /// # Errors
    /// `Unavailable` or `Internal` from the database.
    pub async fn install(self: &Arc<Self>, db: &Db, changes: Changes) -> Result<()> {
        self.catch_up(db, changes, None).await.map(drop)
    }

    /// Writes what a snapshot has newer to the database and to memory, and that one is in, in a transaction of its own with what the
    /// consumer does about it. Gives how much was news to the database: where nothing was, as when another replica was
    /// faster, nothing changes and nobody is told.
    async fn catch_up(
        self: &Arc<Self>,
        db: &Db,
        changes: Changes,
        consumer: Option<Arc<dyn Consumer>>,
    ) -> Result<usize> {
        let changes = changes.newest();
        let shared = self.clone();
        db.transaction(async move |tx: &mut crate::db::Tx<'_>| {
            let saved = store::save(tx.conn, &changes).await?;
            store::note_snapshot(tx.conn).await?;
            if saved > 0 {
                let step = store::count_change(tx.conn).await?;
                if let Some(consumer) = consumer {
                    consumer.caught_up(tx, &changes).await?;
                }
                tx.after_commit(Box::new(move || shared.apply(changes, step)));
            }
            Ok(saved)
        })
        .await
    }

    /// Applies committed changes in memory.
    fn apply(&self, changes: Changes, step: store::Step) {
        self.topology.rcu(|topology| {
            // If a change of another replica lies between, keep the old count: the poll then reads everything.
            let next = if topology.version() == step.before { step.version } else { topology.version() };
            topology.with(changes.clone(), next)
        });
        self.has_barred(step.version);
    }

    /// Notes that the bars of a version are in memory, where those of the version before were: else the poll reads them.
    fn has_barred(&self, version: i64) {
        self.barred.compare_exchange(version - 1, version, Ordering::AcqRel, Ordering::Acquire).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Revoked,
        clock::{Clock, new_id},
    };

    fn none() -> diesel_migrations::EmbeddedMigrations {
        diesel_migrations::embed_migrations!("src/testing/no_migrations")
    }

    #[tokio::test]
    async fn a_reload_takes_nothing_away_that_was_committed_while_it_read() {
        let test_db = crate::testing::TestDb::migrated("topology", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let (shared, now) = (Shared::default(), Clock::system().real_now());
        let (session, person, unit) = (new_id(), new_id(), new_id());
        // In memory, and not among the rows that a reload has read.
        shared.revocations().bar_session(session, now);
        shared.revocations().bar_persons(&[person], now);
        let unit = Unit::try_from(proto::identity::v1::Unit {
            unit_id: unit.to_string(),
            version: 1,
            ..Default::default()
        });
        let unit = unit.unwrap();
        let step = store::Step { before: 0, version: 1 };
        shared.apply(Changes { units: vec![unit.clone()], ..Changes::default() }, step);
        shared.reload(&db).await.unwrap();
        let revoked = shared.revocations().load();
        assert_eq!((revoked.sessions.get(&session), revoked.persons.get(&person)), (Some(&now), Some(&now)));
        assert!(shared.load().unit(unit.id).is_some());
        assert_eq!(shared.load().version(), 1);
    }

    #[tokio::test]
    async fn a_bar_on_a_session_is_kept_for_as_long_as_its_last_token_is_taken() {
        let test_db = crate::testing::TestDb::migrated("topology", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let mut conn = db.conn().await.unwrap();
        let until = Clock::system().real_now();
        let revoked = Revoked { sessions: [(new_id(), until)].into(), ..Revoked::default() };
        store::save_revoked(&mut conn, &revoked).await.unwrap();
        for (seconds, kept) in [(5, 1), (60, 0)] {
            store::prune_revoked(&mut conn, until + chrono::TimeDelta::seconds(seconds)).await.unwrap();
            let revoked = store::load_revoked(&mut conn).await.unwrap();
            assert_eq!(revoked.sessions.len(), kept, "{seconds} s");
        }
    }

    #[tokio::test]
    async fn a_copy_from_before_learns_what_a_unit_was_merged_into() {
        let test_db = crate::testing::TestDb::migrated("topology", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let shared = Arc::new(Shared::default());
        let (unit_id, next) = (new_id(), new_id());
        let unit = |successor: &str| {
            let unit = proto::identity::v1::Unit {
                unit_id: unit_id.to_string(),
                version: 2,
                successor_id: successor.to_owned(),
                ..Default::default()
            };
            Changes { units: vec![Unit::try_from(unit).unwrap()], ..Changes::default() }
        };
        let known = || shared.load().unit(unit_id).and_then(|unit| unit.successor_id);
        shared.install(&db, unit("")).await.unwrap();
        assert_eq!(known(), None);
        // The same version, as a snapshot tells it that is asked for again; nothing takes it away after that.
        for told in [next.to_string(), String::new()] {
            shared.install(&db, unit(&told)).await.unwrap();
            assert_eq!(known(), Some(next), "in memory");
            let again = Shared::default();
            again.reload(&db).await.unwrap();
            assert_eq!(again.load().unit(unit_id).and_then(|unit| unit.successor_id), Some(next), "kept");
        }
    }

    #[tokio::test]
    async fn a_copy_keeps_whether_a_unit_came_under_another_parent() {
        let test_db = crate::testing::TestDb::migrated("topology", none).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        let shared = Arc::new(Shared::default());
        let (unit_id, first, second) = (new_id(), new_id(), new_id());
        let told = [(first, "甲", false), (first, "乙", false), (second, "乙", true), (second, "丙", true)];
        for (version, (parent, name, moved)) in (1..).zip(told) {
            let unit = proto::identity::v1::Unit {
                unit_id: unit_id.to_string(),
                parent_id: parent.to_string(),
                name_zh: name.to_owned(),
                version,
                ..Default::default()
            };
            let unit = Unit::try_from(unit).unwrap();
            shared.install(&db, Changes { units: vec![unit], ..Changes::default() }).await.unwrap();
            assert_eq!(shared.load().has_moved(unit_id), moved, "in memory, version {version}");
            let again = Shared::default();
            again.reload(&db).await.unwrap();
            assert_eq!(again.load().has_moved(unit_id), moved, "kept, version {version}");
        }
    }
}
