//! What analytics holds, for `jianghan reconcile`: cases, rollups, what the board is made of, what each case, task and
//! mediation counts, and every cell of the rollups beside its recount.

mod cells;
mod places;

use std::time::Duration;

use async_trait::async_trait;
use chassis::{
    Result,
    db::Db,
    ops::{Digest, DigestSource, after_id, not_held},
};

use self::places::{List, Places};
use crate::{
    domain::tally,
    store::{
        digest::{self, Listed},
        recount,
    },
};

/// How long a list is made for one call, which has to be answered within ten seconds.
const PATIENCE: Duration = Duration::from_secs(4);

/// Reads digests.
#[derive(Debug)]
pub struct Digests {
    db: Db,
    lists: [(&'static str, Places); 7],
}

impl Digests {
    /// From this database.
    pub fn new(db: Db) -> Self {
        Self::within(db, PATIENCE)
    }

    /// The same; whatever cannot be listed within such a time is to be asked for again.
    pub fn within(db: Db, time: Duration) -> Self {
        let places = |list| Places::new(db.clone(), list, time);
        let lists = [
            ("cell", places(List::Kept)),
            ("cell_recount", places(List::Counted)),
            ("rollup", places(List::Sums(Listed::Rollup))),
            ("outcome", places(List::Sums(Listed::Outcome))),
            ("state", places(List::Sums(Listed::State))),
            ("open_due", places(List::Sums(Listed::OpenDue))),
            ("due", places(List::Due)),
        ];
        Self { db, lists }
    }
}

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if let Some((_, list)) = self.lists.iter().find(|(name, _)| *name == subject) {
            return list.page(after, limit).await;
        }
        let after = after_id(after.as_deref())?;
        let mut conn = self.db.conn().await?;
        match subject {
            "case" => {
                let cases = digest::cases(&mut conn, after, limit).await?;
                Ok(cases.into_iter().map(|(id, value)| Digest::new(id, value)).collect())
            }
            "case_counts" => {
                let facts = recount::cases(&mut conn, after, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.case_id, tally::case(fact))).collect())
            }
            "task_counts" => {
                let facts = recount::tasks(&mut conn, after, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.task_id, tally::task(fact))).collect())
            }
            "mediation_counts" => {
                let facts = recount::mediations(&mut conn, after, limit).await?;
                Ok(facts.iter().map(|fact| Digest::new(fact.mediation_id, tally::mediation(fact))).collect())
            }
            _ => Err(not_held()),
        }
    }
}
