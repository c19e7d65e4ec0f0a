//! Who waits for something to change. A commit in this process wakes whoever follows a key that it has changed: those of its
//! events, of the aggregates that an executor saved, and whatever [`Tx::changed`](super::Tx::changed) names. A commit elsewhere
//! wakes nobody, so whoever waits looks again from time to time all the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use uuid::Uuid;

/// What is waited for in this process.
#[derive(Debug, Default)]
pub struct News(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    by_key: HashMap<Uuid, watch::Sender<()>>,
    closed: bool,
}

impl News {
    /// Follows a partition key from now on: what is read after this and has changed since is told of.
    pub fn follow(self: &Arc<Self>, key: Uuid) -> Following {
        let mut waiting = self.waiting();
        let told = if waiting.closed {
            watch::channel(()).1 // its sender is gone
        } else {
            waiting.by_key.entry(key).or_insert_with(|| watch::channel(()).0).subscribe()
        };
        Following { news: self.clone(), key, told: Some(told) }
    }

    /// How many follow a key just now.
    pub fn followers(&self) -> usize {
        self.waiting().by_key.values().map(watch::Sender::receiver_count).sum()
    }

    /// Something about these keys has been committed.
    pub(crate) fn tell(&self, keys: &[Uuid]) {
        if keys.is_empty() {
            return;
        }
        let waiting = self.waiting();
        if waiting.by_key.is_empty() {
            return;
        }
        for told in keys.iter().filter_map(|key| waiting.by_key.get(key)) {
            told.send_replace(());
        }
    }

    /// The service stops: nobody waits any longer.
    pub(crate) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.by_key.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one key until it is dropped.
#[derive(Debug)]
pub struct Following {
    news: Arc<News>,
    key: Uuid,
    /// `None` only while it is dropped.
    told: Option<watch::Receiver<()>>,
}

impl Following {
    /// Returns when something has been committed since the last call or, at the first, since it follows. `false` when the
    /// service stops.
    pub async fn changed(&mut self) -> bool {
        match &mut self.told {
            Some(told) => told.changed().await.is_ok(),
            None => false,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut waiting = self.news.waiting();
        self.told = None; // under the lock, so that the last one to go sees that it is the last
        if waiting.by_key.get(&self.key).is_some_and(|told| told.receiver_count() == 0) {
            waiting.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::new_id;

    async fn told(following: &mut Following) -> Option<bool> {
        tokio::time::timeout(Duration::from_millis(20), following.changed()).await.ok()
    }

    #[tokio::test]
    async fn who_follows_a_key_is_told_once_of_it_and_of_no_other() {
        let news = Arc::new(News::default());
        let (key, other) = (new_id(), new_id());
        let (mut first, mut second) = (news.follow(key), news.follow(key));
        news.tell(&[other]);
        assert_eq!(told(&mut first).await, None);
        news.tell(&[other, key, key]);
        assert_eq!((told(&mut first).await, told(&mut second).await), (Some(true), Some(true)));
        assert_eq!(told(&mut first).await, None);
    }

    #[tokio::test]
    async fn what_is_committed_between_following_and_waiting_is_not_missed() {
        let news = Arc::new(News::default());
        let key = new_id();
        let mut following = news.follow(key);
        news.tell(&[key]);
        assert_eq!(told(&mut following).await, Some(true));
    }

    #[tokio::test]
    async fn nothing_is_kept_of_who_has_gone() {
        let news = Arc::new(News::default());
        let key = new_id();
        let (first, second, other) = (news.follow(key), news.follow(key), news.follow(new_id()));
        assert_eq!((news.followers(), news.waiting().by_key.len()), (3, 2));
        drop(first);
        assert_eq!((news.followers(), news.waiting().by_key.len()), (2, 2));
        drop((second, other));
        assert_eq!(news.followers(), 0);
        assert!(news.waiting().by_key.is_empty());
    }

    #[tokio::test]
    async fn a_stop_wakes_who_waits_and_who_comes_later() {
        let news = Arc::new(News::default());
        let mut before = news.follow(new_id());
        news.close();
        let mut after = news.follow(new_id());
        assert_eq!((told(&mut before).await, told(&mut after).await), (Some(false), Some(false)));
    }
}
