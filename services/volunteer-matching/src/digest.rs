//! What the service holds about offers, for `jianghan reconcile`: `{open|confirmed|completed|withdrawn};records=n`.

use async_trait::async_trait;
use chassis::{
    Result,
    db::Db,
    ops::{Digest, DigestSource, after_id, not_held},
};
use uuid::Uuid;

use crate::{domain::offer::OfferState, store::offers};

/// Reads digests from the service's database.
pub struct Digests(pub Db);

#[async_trait]
impl DigestSource for Digests {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if subject != "offer" {
            return Err(not_held());
        }
        let after = after_id(after.as_deref())?;
        let mut conn = self.0.conn().await?;
        let rows = offers::digests(&mut conn, after, limit).await?;
        let digest = |(id, state, records): (Uuid, OfferState, i64)| {
            Digest::new(id, format!("{};records={records}", holding(state)))
        };
        Ok(rows.into_iter().map(digest).collect())
    }
}

/// What case-routing can know of the state.
fn holding(state: OfferState) -> &'static str {
    match state {
        OfferState::Offered | OfferState::Accepted => "open",
        OfferState::Confirmed => "confirmed",
        OfferState::Completed => "completed",
        OfferState::Declined | OfferState::Expired | OfferState::Withdrawn | OfferState::GivenUp => {
            "withdrawn"
        }
    }
}
