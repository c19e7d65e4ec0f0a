//! What staffing holds, for reconcile: the tasks it was told of, and how many active assignments each has.

use async_trait::async_trait;
use chassis::{
    Result,
    db::Db,
    ops::{Digest, DigestSource, after_id, not_held},
};

use crate::store::lists;

/// Digests of subject `task`: `known;active={n}`, for every task that was signed for. One that nobody was found for is
/// `known;active=0`, so that it differs from one that was never heard of. However many are active are told: case-routing holds
/// against it no more than the task needs.
#[derive(Debug, Clone)]
pub struct TaskDigests {
    db: Db,
}

impl TaskDigests {
    /// Over the service's database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

#[async_trait]
impl DigestSource for TaskDigests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if subject != "task" {
            return Err(not_held());
        }
        let after = after_id(after.as_deref())?;
        let mut conn = self.db.conn().await?;
        let rows = lists::active_by_task(&mut conn, after, limit).await?;
        Ok(rows
            .into_iter()
            .map(|(task, active)| Digest::new(task, format!("known;active={active}")))
            .collect())
    }
}
