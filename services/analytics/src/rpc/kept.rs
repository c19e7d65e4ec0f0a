//! Answers that are kept for as long as nothing more is counted: whoever asks again costs a look at the revision, and those who ask
//! at once are answered by one reading. An answer is known by all that was asked, the reach included, so that nobody gets one that
//! was made for another reach.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::Result;

/// Answers by what was asked, the last to each question.
pub struct Kept<K, V> {
    /// How many questions are known at most; the one that was asked longest ago goes.
    most: usize,
    questions: Mutex<Questions<K, V>>,
}

struct Questions<K, V> {
    by_key: HashMap<K, Question<V>>,
    /// How often anything was asked: those who ask are numbered by it.
    asked: u64,
}

struct Question<V> {
    /// The number of who asked last.
    asked: u64,
    slot: Slot<V>,
}

/// Held by whoever reads, so that others wait for the answer.
type Slot<V> = Arc<tokio::sync::Mutex<Option<Last<V>>>>;

struct Last<V> {
    answer: Arc<V>,
    /// What had been counted.
    revision: i64,
    /// It was right after all of these had asked.
    seen: u64,
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    /// Keeps the answers to so many questions at most.
    pub fn new(most: usize) -> Self {
        Self { most, questions: Mutex::new(Questions { by_key: HashMap::new(), asked: 0 }) }
    }

    /// The answer that was given before, if it still `holds` and the revision is what it was; else what `read` gives, with the revision
    /// that it was read at.
    ///
    /// # Errors
    /// Those of the futures, of which one at most is waited for at a time.
    pub async fn get(
        &self,
        key: K,
        holds: impl Fn(&V) -> bool,
        revision: impl Future<Output = Result<i64>>,
        read: impl Future<Output = Result<(i64, V)>>,
    ) -> Result<Arc<V>> {
        let (number, slot) = self.ask(key);
        let mut held = slot.lock().await;
        let seen = self.questions().asked;
        if let Some(last) = held.as_mut()
            && holds(&last.answer)
        {
            if last.seen >= number {
                return Ok(last.answer.clone());
            }
            if revision.await? == last.revision {
                last.seen = seen;
                return Ok(last.answer.clone());
            }
        }
        let (revision, answer) = read.await?;
        let answer = Arc::new(answer);
        *held = Some(Last { answer: answer.clone(), revision, seen });
        Ok(answer)
    }

    /// The number of who asks, and where the answer is.
    fn ask(&self, key: K) -> (u64, Slot<V>) {
        let mut questions = self.questions();
        questions.asked += 1;
        let asked = questions.asked;
        if let Some(known) = questions.by_key.get_mut(&key) {
            known.asked = asked;
            return (asked, known.slot.clone());
        }
        if questions.by_key.len() >= self.most {
            let oldest = questions.by_key.iter().min_by_key(|(_, question)| question.asked);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                questions.by_key.remove(&oldest);
            }
        }
        let slot = Slot::default();
        questions.by_key.insert(key, Question { asked, slot: slot.clone() });
        (asked, slot)
    }

    fn questions(&self) -> MutexGuard<'_, Questions<K, V>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::future::join_all;

    use super::*;

    /// What is counted, and how often somebody looked at the revision and read.
    #[derive(Default)]
    struct Source {
        revision: Cell<i64>,
        looked: Cell<u32>,
        read: Cell<u32>,
    }

    impl Source {
        async fn revision(&self) -> Result<i64> {
            tokio::task::yield_now().await;
            self.looked.set(self.looked.get() + 1);
            Ok(self.revision.get())
        }

        async fn read(&self, what: &'static str) -> Result<(i64, &'static str)> {
            let revision = self.revision.get();
            tokio::task::yield_now().await;
            self.read.set(self.read.get() + 1);
            Ok((revision, what))
        }

        async fn ask(&self, kept: &Kept<&'static str, &'static str>, key: &'static str) -> &'static str {
            *kept.get(key, |_| true, self.revision(), self.read(key)).await.unwrap()
        }

        fn counts(&self) -> (u32, u32) {
            (self.looked.get(), self.read.get())
        }
    }

    #[tokio::test]
    async fn those_who_ask_at_once_are_answered_by_one_reading() {
        let (kept, source) = (Kept::new(4), Source::default());
        let answers = join_all((0..50).map(|_| source.ask(&kept, "a"))).await;
        assert_eq!(answers, ["a"; 50]);
        // The first reads; of the others, who came while it did, one looks whether that is still right, for all of them.
        assert_eq!(source.counts(), (1, 1));
        source.ask(&kept, "a").await;
        source.ask(&kept, "a").await;
        assert_eq!(source.counts(), (3, 1), "later on everybody looks, and nobody reads");
    }

    #[tokio::test]
    async fn what_is_counted_shows_to_whoever_asks_after_it() {
        let (kept, source) = (Kept::new(4), Source::default());
        for revision in 1..4 {
            source.revision.set(i64::from(revision));
            source.ask(&kept, "a").await;
            source.ask(&kept, "a").await;
            assert_eq!(source.read.get(), revision);
        }
        kept.get("a", |_| false, source.revision(), source.read("a")).await.unwrap();
        assert_eq!(source.read.get(), 4, "nothing was counted, but it does not hold any more");
    }

    #[tokio::test]
    async fn who_asks_otherwise_is_answered_otherwise_and_what_is_kept_has_a_bound() {
        let (kept, source) = (Kept::new(2), Source::default());
        for (key, read) in [("a", 1), ("b", 2), ("a", 2), ("c", 3), ("a", 3), ("b", 4)] {
            assert_eq!(source.ask(&kept, key).await, key);
            assert_eq!(source.read.get(), read, "{key}");
            assert!(kept.questions().by_key.len() <= 2);
        }
    }

    #[tokio::test]
    async fn a_reading_that_fails_or_is_given_up_keeps_nobody_from_the_next() {
        let (kept, source) = (Kept::new(2), Source::default());
        let fails = std::future::ready(Err(chassis::Error::unavailable("away")));
        assert!(kept.get("a", |_| true, source.revision(), fails).await.is_err());
        let given_up = kept.get("a", |_| true, source.revision(), std::future::pending());
        assert!(futures::FutureExt::now_or_never(given_up).is_none());
        assert_eq!(source.ask(&kept, "a").await, "a");
        assert_eq!(source.counts(), (0, 1));
    }
}
