//! Commands are carried out again where somebody comes or leaves meanwhile, or where the database had to break off one of two that
//! waited for each other: their caller read nothing of that, and has nothing to read anew.

use std::time::Duration;

use chassis::{Error, Result};
use tokio::time::sleep;

use crate::store::workers::{KIND as WORKER, ORGANIZATION};

/// Before each further attempt, in milliseconds: whoever comes takes a transaction.
const PAUSES: [u64; 5] = [20, 40, 80, 160, 320];

/// Carries a command out, a few times if need be. What the caller says to have read of an assignment is not tried again.
pub(super) async fn again<R, F: Future<Output = Result<R>>>(attempt: impl Fn() -> F) -> Result<R> {
    for pause in PAUSES {
        match attempt().await {
            Err(Error::Stale { kind: ORGANIZATION | WORKER, .. }) => {}
            Err(error) if error.is_deadlock() => {}
            outcome => return outcome,
        }
        sleep(Duration::from_millis(pause)).await;
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_somebody_came_between_is_tried_again_and_nothing_else() {
        for (kind, expected) in [(ORGANIZATION, 2), (WORKER, 2), ("assignment", 1)] {
            let attempts = Cell::new(0);
            let outcome = again(|| async {
                attempts.set(attempts.get() + 1);
                if attempts.get() == 1 { Err(Error::stale(kind, "")) } else { Ok(()) }
            });
            assert_eq!((outcome.await.is_ok(), attempts.get()), (expected == 2, expected), "{kind}");
        }
    }
}
