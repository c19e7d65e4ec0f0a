//! What a service's copy of the topology holds, for reconcile: the versions of units, organisations and edges, in the form in which
//! identity gives those of its own. Whatever a copy keeps beside them came with them.

use std::sync::Arc;

use async_trait::async_trait;

use super::store;
use crate::{
    db::Db,
    error::Result,
    ops::{Digest, DigestSource, after_id},
};

/// Gives the versions in the copy, and what the service has of its own.
pub(crate) struct Copied {
    db: Db,
    own: Arc<dyn DigestSource>,
}

impl Copied {
    /// Of the copy in this database.
    pub(crate) fn new(db: Db, own: Arc<dyn DigestSource>) -> Self {
        Self { db, own }
    }
}

#[async_trait]
impl DigestSource for Copied {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let select = match subject {
            "unit" => store::UNITS,
            "organization" => store::ORGS,
            "edge" => store::EDGES,
            _ => return self.own.digests(subject, after, limit).await,
        };
        let after = after_id(after.as_deref())?;
        let held = store::versions(&mut *self.db.conn().await?, select, after, limit).await?;
        Ok(held.into_iter().map(|(id, version)| Digest::new(id, version.to_string())).collect())
    }
}
