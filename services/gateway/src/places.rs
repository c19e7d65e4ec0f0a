//! Places for what waits, is connected or is held: so many at once, and of them so many for one person, however often they are
//! signed in, or for one address. Whom a token names is read and not checked, for it is only counted by: a token that names somebody else is refused by
//! the service at once, which makes its place free again. Neither tokens, persons nor addresses are kept, only what a key of this
//! process makes of them.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use tokio::sync::Notify;
use uuid::Uuid;

/// Who has how many places.
#[derive(Debug)]
pub struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<HashMap<u64, usize>>,
    /// Somebody has left a place.
    left: Notify,
    digest: RandomState,
}

impl Places {
    /// So many altogether, and so many for one person.
    pub fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        let (taken, left, digest) = (Mutex::default(), Notify::new(), RandomState::new());
        Arc::new(Self { most, most_of_one, taken, left, digest })
    }

    /// A place for whoever has this access token; `None` when there are too many.
    pub fn take(self: &Arc<Self>, token: &str) -> Option<Place> {
        // What names nobody counts by itself.
        match person(token) {
            Some(person) => self.take_as(person),
            None => self.take_as(token),
        }
    }

    /// A place for whoever this stands for; `None` when there are too many.
    pub fn take_as(self: &Arc<Self>, who: impl Hash) -> Option<Place> {
        let who = self.digest.hash_one(who);
        self.add(who, 1).then(|| Place { places: self.clone(), who, count: 1 })
    }

    /// The same; where there are too many, as soon as one leaves, unless that takes too long.
    pub async fn wait_as(self: &Arc<Self>, who: impl Hash + Copy, patience: Duration) -> Option<Place> {
        let waiting = async {
            loop {
                // Before the look: what is left after it wakes.
                let left = self.left.notified();
                if let Some(place) = self.take_as(who) {
                    return place;
                }
                left.await;
            }
        };
        tokio::time::timeout(patience, waiting).await.ok()
    }

    /// Whether there was room for so many more.
    fn add(&self, who: u64, count: usize) -> bool {
        let mut taken = self.taken();
        let own = taken.get(&who).copied().unwrap_or_default();
        if own + count > self.most_of_one || taken.values().sum::<usize>() + count > self.most {
            return false;
        }
        taken.insert(who, own + count);
        true
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place, or more since it grew, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    who: u64,
    count: usize,
}

impl Place {
    /// So many more for the same; whether there was room for them.
    pub fn grow(&mut self, more: usize) -> bool {
        let room = self.places.add(self.who, more);
        if room {
            self.count += more;
        }
        room
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut own) = self.places.taken().entry(self.who) {
            *own.get_mut() -= self.count;
            if *own.get() == 0 {
                own.remove();
            }
        }
        self.places.left.notify_waiters();
    }
}

/// What of an access token is looked at.
#[derive(Deserialize)]
struct Payload {
    sub: Uuid,
}

/// Whom the payload of a JWT names.
pub(crate) fn person(token: &str) -> Option<Uuid> {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok().map(|payload| payload.sub)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// One of the tokens of a person.
    fn token(person: Uuid, n: usize) -> String {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{person}"}}"#));
        format!("e30.{payload}.{n}")
    }

    #[test]
    fn places_are_few_for_a_person_and_altogether_and_free_again_when_they_are_left() {
        let places = Places::new(10, 4);
        let (li, wang) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut own: Vec<_> = (0..4).map(|n| places.take(&token(li, n)).expect("there is room")).collect();
        assert!(places.take(&token(li, 4)).is_none(), "not more of one person, whatever the session");
        drop(own.pop());
        own.push(places.take(&token(li, 4)).expect("one has gone"));
        let mut others = vec![places.take(&token(wang, 0)).expect("somebody else")];
        others.extend((0..5).map_while(|n| places.take(&format!("b{n}"))));
        assert_eq!(own.len() + others.len(), 10);
        assert!(places.take("c").is_none(), "not more altogether");
        drop((own, others));
        assert!(places.taken().is_empty(), "nothing is kept of who has gone");
    }

    #[tokio::test]
    async fn who_waits_gets_a_place_that_is_left_and_does_not_wait_for_ever() {
        let places = Places::new(10, 2);
        let mut held: Vec<_> = (0..2).map(|_| places.take_as("li").expect("there is room")).collect();
        let mut waiting = Box::pin(places.wait_as("li", Duration::from_secs(60)));
        assert!((&mut waiting).now_or_never().is_none(), "there is none");
        drop(held.pop());
        held.push(waiting.await.expect("one has gone"));
        assert!(places.wait_as("li", Duration::from_millis(1)).await.is_none(), "it takes too long");
        assert!(places.wait_as("wang", Duration::ZERO).await.is_some(), "somebody else");
    }

    #[test]
    fn a_place_grows_while_there_is_room_and_is_left_as_a_whole() {
        let places = Places::new(10, 6);
        let mut li = places.take_as("li").expect("there is room");
        assert!(li.grow(5) && !li.grow(1), "not more of one");
        let mut wang = places.take_as("wang").expect("there is room");
        assert!(!wang.grow(4) && wang.grow(3), "not more altogether");
        assert!(places.take_as("zhao").is_none());
        drop(li);
        assert!(wang.grow(2));
        drop(wang);
        assert!(places.taken().is_empty(), "nothing is kept of who has gone");
    }

    #[test]
    fn what_names_nobody_counts_by_itself() {
        let places = Places::new(10, 1);
        let nobody = ["", "access-600", "a.b.c", "..", "e30.e30.e30"];
        let held: Vec<_> = nobody.iter().map(|token| places.take(token).expect("there is room")).collect();
        assert!(nobody.iter().all(|token| person(token).is_none() && places.take(token).is_none()));
        drop(held);
    }
}
