//! Commands are carried out again where somebody comes or leaves meanwhile, or where the database had to break off one of two that
//! waited for each other: their caller read nothing of that, and has nothing to read anew.

use std::time::Duration;

use chassis::{Error, Result};
use tokio::time::sleep;

use crate::store::workers::{KIND as WORKER, ORGANIZATION};

/// Before each further attempt, in milliseconds: whoever comes takes a transaction.
const PAUSES: [u64; 5] = [20, 40, 80, 160, 320];

/// Before each further look for what identity has told only just now, in milliseconds.
const TOLD: [u64; 4] = [50, 150, 400, 900];

/// The refusal of a person of whom identity has told nothing here.
pub(super) const NOT_ANNOUNCED: &str = "not_announced";

/// Carries a command out, and again for a moment while it is refused for a person who was not announced: that may be under way.
pub(super) async fn announced<R, F: Future<Output = Result<R>>>(attempt: impl Fn() -> F) -> Result<R> {
    for pause in TOLD {
        match attempt().await {
            Err(Error::WrongState { code: Some(code), .. }) if code == NOT_ANNOUNCED => {}
            outcome => return outcome,
        }
        sleep(Duration::from_millis(pause)).await;
    }
    attempt().await
}

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

    #[tokio::test]
    async fn who_is_announced_meanwhile_is_not_refused_and_other_refusals_stand() {
        for (code, expected) in [(NOT_ANNOUNCED, 2), ("recused", 1)] {
            let attempts = Cell::new(0);
            let outcome = announced(|| async {
                attempts.set(attempts.get() + 1);
                if attempts.get() == 1 { Err(Error::barred("person", "", code, "")) } else { Ok(()) }
            });
            assert_eq!((outcome.await.is_ok(), attempts.get()), (expected == 2, expected), "{code}");
        }
    }
}
