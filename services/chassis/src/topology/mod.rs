//! The unit tree, organisations and authority edges, and the bars on tokens: owned by identity, copied by every
//! service. The copy is fed by identity's events, kept in the service's database and held in memory whole; a service
//! that starts empty asks identity for a snapshot. Services only read it.

mod feed;
mod model;
mod store;
mod tree;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::{
    feed::Feed,
    model::{Edge, EdgeKind, Organization, OrganizationKind, Unit, UnitKind, UnitState},
    tree::{Changes, Topology},
};
use crate::{auth::Revocations, db::Db, error::Result};

/// The topology in force, shared by everything in the service.
#[derive(Debug, Default)]
pub struct Shared {
    topology: ArcSwap<Topology>,
    revocations: Arc<Revocations>,
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

    /// Reads everything from the database.
    ///
    /// # Errors
    /// `Unavailable` or `Internal` from the database.
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let mut conn = db.conn().await?;
        // The version first: a change in between is read again at the next poll, never missed.
        let version = store::version(&mut conn).await?;
        let (all, revoked) = store::load(&mut conn).await?;
        self.topology.store(Arc::new(Topology::build(all, version)));
        self.revocations.replace(revoked);
        Ok(())
    }

    /// Writes changes to the database and to memory in a transaction of their own: the first snapshot, seeds, tests.
    ///
    /// # Errors
    /// `Unavailable` or `Internal` from the database.
    pub async fn install(self: &Arc<Self>, db: &Db, changes: Changes) -> Result<()> {
        let changes = changes.newest();
        let shared = self.clone();
        db.transaction(async move |tx: &mut crate::db::Tx<'_>| {
            store::save(tx.conn, &changes).await?;
            let version = store::bump(tx.conn).await?;
            tx.after_commit(Box::new(move || shared.apply(changes, version)));
            Ok(())
        })
        .await
    }

    /// Applies committed changes in memory.
    fn apply(&self, changes: Changes, version: i64) {
        self.topology.rcu(|topology| {
            // If a change of another replica lies between, keep the old count: the poll then reads everything.
            let next = if topology.version() + 1 == version { version } else { topology.version() };
            topology.with(changes.clone(), next)
        });
    }
}
