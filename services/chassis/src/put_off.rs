//! What failed by itself, and is left alone for a while: the longest due is taken first, so it would keep everything else waiting.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::Result;

/// How long it is left alone. What was to blame may be gone then; until somebody sees to it, it is told of in the log as often.
const REST: Duration = Duration::from_secs(60);

/// What is left alone, and until when. Only in memory: another process, or the next one, fails at each once, which changes nothing.
#[derive(Debug, Default)]
pub struct PutOff(HashMap<Uuid, Instant>);

impl PutOff {
    /// Leaves it alone for a minute.
    fn add(&mut self, id: Uuid) {
        self.0.insert(id, Instant::now() + REST);
    }

    /// What is left alone now.
    pub fn ids(&mut self) -> Vec<Uuid> {
        let now = Instant::now();
        self.0.retain(|_, until| *until > now);
        self.0.keys().copied().collect()
    }

    /// Has `act` do all of `what` in one transaction. Where that fails and one of them may be to blame, it does one after the other:
    /// what fails by itself then is left alone, and keeps no other waiting. Gives the sum of what `act` gave.
    ///
    /// # Errors
    /// What none of them is to blame for, such as an outage.
    pub async fn each<F: Future<Output = Result<usize>>>(
        &mut self,
        what: &'static str,
        ids: Vec<Uuid>,
        act: impl Fn(Vec<Uuid>) -> F,
    ) -> Result<usize> {
        if ids.is_empty() {
            return Ok(0);
        }
        let error = match act(ids.clone()).await {
            Err(error) if error.is_particular() => error,
            done => return done,
        };
        tracing::warn!(error = %error.chain(), what, "they are tried one by one");
        let mut sum = 0;
        for id in ids {
            match act(vec![id]).await {
                Err(error) if error.is_particular() => {
                    tracing::error!(%id, what, error = %error.chain(), "it fails by itself and is put off");
                    self.add(id);
                }
                done => sum += done?,
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, sync::Mutex};

    use super::*;
    use crate::Error;

    #[tokio::test]
    async fn one_that_fails_is_put_off_and_the_others_are_done() {
        let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let calls = Mutex::new(Vec::new());
        let act = |asked: Vec<Uuid>| {
            calls.lock().expect("nobody panicked").push(asked.len());
            let unreadable = asked.contains(&ids[1]);
            ready(if unreadable { Err(Error::internal("it cannot be read")) } else { Ok(asked.len()) })
        };
        let mut put_off = PutOff::default();
        assert_eq!(put_off.each("things", ids.clone(), act).await.expect("the others are done"), 2);
        assert_eq!(*calls.lock().expect("nobody panicked"), [3, 1, 1, 1]);
        assert_eq!(put_off.ids(), [ids[1]]);
    }

    #[tokio::test]
    async fn an_outage_is_nobodys_fault_and_ends_the_round() {
        let ids: Vec<Uuid> = (1..=2).map(Uuid::from_u128).collect();
        let calls = Mutex::new(0);
        let act = |_| {
            *calls.lock().expect("nobody panicked") += 1;
            ready(Err(Error::unavailable("the database is away")))
        };
        let mut put_off = PutOff::default();
        assert!(put_off.each("things", ids, act).await.is_err());
        assert_eq!(*calls.lock().expect("nobody panicked"), 1);
        assert!(put_off.ids().is_empty());
    }
}
