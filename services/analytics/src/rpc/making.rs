//! Digests that take longer than a call may: each is made in a task of its own, and whoever asks again under its id waits for that one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chassis::{Error, Result, ops::ask_again};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::store::digest::Whole;

/// How many are known at most.
const MOST: usize = 8;

/// Held by the one that reads: each reads everything.
pub type Turn = Arc<tokio::sync::Mutex<()>>;

/// The task; none once its outcome has been told.
type Slot = Arc<tokio::sync::Mutex<Option<JoinHandle<Result<Whole>>>>>;

/// Digests that are being made, and those whose asker has not come back.
#[derive(Default)]
pub struct Making {
    by_id: Mutex<HashMap<Uuid, Slot>>,
    turn: Turn,
}

impl Making {
    /// What the task of this id gives, which `begin` starts if there is none. Whoever waits may be cut off: the task goes on.
    ///
    /// # Errors
    /// Those of the task, and `Exhausted` while too many are being made.
    pub async fn get(
        &self,
        id: Uuid,
        begin: impl FnOnce(Turn) -> JoinHandle<Result<Whole>>,
    ) -> Result<Whole> {
        let slot = self.slot(id, begin)?;
        let mut held = slot.lock().await;
        let Some(task) = held.as_mut() else {
            return Err(ask_again()); // it was told to somebody else who waited
        };
        let made = task.await;
        *held = None;
        self.known().remove(&id);
        made.map_err(Error::task)?
    }

    fn slot(&self, id: Uuid, begin: impl FnOnce(Turn) -> JoinHandle<Result<Whole>>) -> Result<Slot> {
        let mut known = self.known();
        if let Some(slot) = known.get(&id) {
            return Ok(slot.clone());
        }
        if known.len() >= MOST {
            known.retain(|_, slot| !is_over(slot));
        }
        if known.len() >= MOST {
            return Err(ask_again());
        }
        let slot = Slot::new(tokio::sync::Mutex::new(Some(begin(self.turn.clone()))));
        known.insert(id, slot.clone());
        Ok(slot)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Slot>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nobody waits and there is nothing to wait for.
fn is_over(slot: &Slot) -> bool {
    slot.try_lock().is_ok_and(|task| task.as_ref().is_none_or(JoinHandle::is_finished))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    fn made(facts: i64) -> Whole {
        Whole { facts, ..Whole::default() }
    }

    #[tokio::test]
    async fn whoever_is_cut_off_gets_the_same_one_later_and_then_another() {
        let (making, id) = (Making::default(), Uuid::from_u128(1));
        let (done, waits) = oneshot::channel();
        let begin = |_| tokio::spawn(async move { waits.await.map_err(Error::internal) });
        assert!(making.get(id, begin).now_or_never().is_none(), "cut off while it is made");
        done.send(made(1)).expect("the task goes on");
        let again = making.get(id, |_| unreachable!("it is being made")).await;
        assert_eq!(again.expect("made").facts, 1);
        let anew = making.get(id, |_| tokio::spawn(async { Ok(made(2)) })).await;
        assert_eq!(anew.expect("made").facts, 2);
    }

    #[tokio::test]
    async fn those_that_nobody_came_back_for_make_room() {
        let making = Making::default();
        let mut ends = Vec::new();
        for n in 0..MOST {
            let (done, waits) = oneshot::channel();
            let begin = |_| tokio::spawn(async move { waits.await.map_err(Error::internal) });
            let cut_off = making.get(Uuid::from_u128(n as u128), begin).now_or_never();
            assert!(cut_off.is_none());
            ends.push(done);
        }
        let id = Uuid::from_u128(1_000);
        let full = making.get(id, |_| unreachable!("there is no room")).await.expect_err("too many");
        assert_eq!(full.code(), "exhausted");
        drop(ends);
        let over = || making.known().values().all(is_over);
        while !over() {
            tokio::task::yield_now().await;
        }
        let made = making.get(id, |_| tokio::spawn(async { Ok(made(3)) })).await;
        assert_eq!(made.expect("there is room").facts, 3);
    }
}
