//! Commands are carried out again where somebody comes to an organisation that has too few workers meanwhile: their caller read
//! nothing of that, and has nothing to read anew.

use std::time::Duration;

use chassis::{Error, Result};
use tokio::time::sleep;

use crate::store::workers::ORGANIZATION;

/// Before each further attempt, in milliseconds: whoever comes takes a transaction.
const PAUSES: [u64; 5] = [20, 40, 80, 160, 320];

/// Carries a command out, a few times if need be.
pub(super) async fn again<R, F: Future<Output = Result<R>>>(attempt: impl Fn() -> F) -> Result<R> {
    for pause in PAUSES {
        match attempt().await {
            Err(Error::Stale { kind: ORGANIZATION, .. }) => sleep(Duration::from_millis(pause)).await,
            outcome => return outcome,
        }
    }
    attempt().await
}
