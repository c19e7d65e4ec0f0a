//! Commands about people of whom identity tells by events. What was told only just now may be under way: it is waited for, and only
//! then refused.

use std::time::Duration;

use tokio::time::sleep;

use crate::{Error, Result};

/// Before each further attempt, in milliseconds.
const PAUSES: [u64; 4] = [50, 150, 400, 900];

/// The refusal of a person of whom identity has told nothing here.
pub const NOT_ANNOUNCED: &str = "not_announced";

/// Carries a command out, and again for a moment as long as it is [`NOT_ANNOUNCED`] that it is refused for.
pub async fn announced<R, F: Future<Output = Result<R>>>(attempt: impl Fn() -> F) -> Result<R> {
    for pause in PAUSES {
        match attempt().await {
            Err(Error::WrongState { code: Some(code), .. }) if code == NOT_ANNOUNCED => {}
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
