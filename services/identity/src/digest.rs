//! What identity holds, for reconcile: units, organisations and edges with their versions, which every copy must share. The chassis
//! lists a service's copy in the same form.

use async_trait::async_trait;
use chassis::{
    Result,
    db::Db,
    ops::{Digest, DigestSource, after_id, not_held},
};
use uuid::Uuid;

use crate::store::{edges, organizations, units};

/// Gives the versions of the topology.
#[derive(Clone, Debug)]
pub struct Digests {
    db: Db,
}

impl Digests {
    /// Over this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        let after = after_id(after.as_deref())?;
        let mut conn = self.db.conn().await?;
        let digest = |id: Uuid, version: i64| Digest::new(id, version.to_string());
        Ok(match subject {
            "unit" => units::scan(&mut conn, after, limit)
                .await?
                .iter()
                .map(|u| digest(u.id.0, u.version))
                .collect(),
            "organization" => organizations::scan(&mut conn, after, limit)
                .await?
                .iter()
                .map(|o| digest(o.id.0, o.version))
                .collect(),
            "edge" => edges::scan(&mut conn, after, limit)
                .await?
                .iter()
                .map(|e| digest(e.id.0, e.version))
                .collect(),
            _ => return Err(not_held()),
        })
    }
}
