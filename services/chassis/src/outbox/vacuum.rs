//! Clears the outbox of the rows that were removed, beside the relay: what is committed meanwhile does not wait for it.

use std::sync::Arc;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::{Result, db::Db};

/// Vacuums when it is told to, one at a time, on a connection of its own; ends when it is dropped.
pub(super) struct Vacuum {
    due: Arc<Notify>,
    _at_work: AbortOnDropHandle<()>,
}

impl Vacuum {
    pub(super) fn of(db: Db) -> Self {
        let due = Arc::new(Notify::new());
        let at_work = tokio::spawn(work(db, due.clone()));
        Self { due, _at_work: AbortOnDropHandle::new(at_work) }
    }

    /// There is enough to clear away.
    pub(super) fn due(&self) {
        self.due.notify_one();
    }
}

async fn work(db: Db, due: Arc<Notify>) {
    let mut conn = None;
    loop {
        due.notified().await;
        if let Err(error) = vacuum(&db, &mut conn).await {
            conn = None;
            tracing::warn!(error = %error.chain(), service = %db.service(), "the outbox could not be vacuumed");
        }
    }
}

async fn vacuum(db: &Db, conn: &mut Option<AsyncPgConnection>) -> Result<()> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(db.dedicated("-c synchronous_commit=off").await?),
    };
    Ok(conn.batch_execute("VACUUM (TRUNCATE off) outbox").await?)
}
