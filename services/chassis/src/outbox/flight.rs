//! What a relay has read and not yet removed: events under way to the bus, and events that wait for one of them. Where a bus
//! may refuse an event and take a later one, only one event of a key is under way at a time, so that no consumer sees the later
//! one first, and the next follows its confirmation. All that is under way goes by one connection: what a lost one had is only
//! found out later, and until then nothing may follow by another.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use crate::{bus::LinkNumber, event::Event};

/// How many events may wait for each that may be under way: one key with many of them must not hold up the others.
const WAITING: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flight {
    one_by_one: bool,
    /// By number: since when, and the key. Others' confirmations say nothing of one that does not come.
    under_way: BTreeMap<i64, (Instant, Uuid)>,
    /// The connection by which they went, once any has gone.
    link: Option<LinkNumber>,
    /// By key that has one under way: those after it, in order.
    behind: HashMap<Uuid, VecDeque<(i64, Event)>>,
    waiting: BTreeSet<i64>,
}

impl Flight {
    /// Nothing yet; `one_by_one` on a bus that may refuse.
    pub(super) fn new(one_by_one: bool) -> Self {
        Self { one_by_one, ..Self::default() }
    }

    /// Nothing is under way, so nothing waits either.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// The connection that whatever follows has to go by, too.
    pub(super) fn link(&self) -> Option<LinkNumber> {
        self.link
    }

    /// What was to go has gone by this connection.
    pub(super) fn went_by(&mut self, link: LinkNumber) {
        self.link = Some(link);
    }

    /// Whether another batch may be read.
    pub(super) fn has_room(&self, batch: usize, window: usize) -> bool {
        self.under_way.len() + batch <= window.max(batch) && self.waiting.len() <= WAITING * window
    }

    /// Numbers above one that need not be read again.
    pub(super) fn above(&self, floor: i64) -> Vec<i64> {
        let under_way = self.under_way.range(floor + 1..).map(|(seq, _)| *seq);
        under_way.chain(self.waiting.range(floor + 1..).copied()).collect()
    }

    /// Whether an event is under way.
    pub(super) fn holds(&self, seq: i64) -> bool {
        self.under_way.contains_key(&seq)
    }

    /// Takes in what was read, and gives what may go at once: it is under way from now on.
    pub(super) fn take_in(&mut self, batch: Vec<(i64, Event)>, now: Instant) -> Vec<(i64, Event)> {
        if self.is_empty() {
            self.link = None; // all of it has arrived: the next may go by any
        }
        let mut go = Vec::with_capacity(batch.len());
        for (seq, event) in batch {
            let key = event.partition_key;
            match self.behind.get_mut(&key) {
                Some(behind) if self.one_by_one => {
                    behind.push_back((seq, event));
                    self.waiting.insert(seq);
                }
                _ => {
                    if self.one_by_one {
                        self.behind.insert(key, VecDeque::new());
                    }
                    self.under_way.insert(seq, (now, key));
                    go.push((seq, event));
                }
            }
        }
        go
    }

    /// These have been confirmed; gives those that waited for them, which are under way from now on.
    pub(super) fn confirmed(&mut self, seqs: &[i64], now: Instant) -> Vec<(i64, Event)> {
        let mut go = Vec::new();
        for seq in seqs {
            let Some((_, key)) = self.under_way.remove(seq) else { continue };
            let Some(behind) = self.behind.get_mut(&key) else { continue };
            match behind.pop_front() {
                Some((next, event)) => {
                    self.waiting.remove(&next);
                    self.under_way.insert(next, (now, key));
                    go.push((next, event));
                }
                None => {
                    self.behind.remove(&key);
                }
            }
        }
        go
    }

    /// Whether one has been under way for longer than this.
    pub(super) fn is_overdue(&self, limit: Duration) -> bool {
        self.under_way.values().any(|(since, _)| since.elapsed() > limit)
    }

    /// What is under way has been so since now only, as far as deadlines go: it could not arrive before.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.under_way.values_mut().for_each(|(since, _)| *since = now);
    }

    /// Forgets all: it is read again.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.one_by_one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_id;

    fn event(key: Uuid) -> Event {
        let now = chrono::DateTime::UNIX_EPOCH;
        Event {
            id: new_id(),
            r#type: "test".into(),
            source: "test".into(),
            subject: String::new(),
            time: now,
            partition_key: key,
            aggregate_version: 1,
            unit_id: None,
            line: None,
            correlation_id: key,
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            data: bytes::Bytes::new(),
        }
    }

    fn seqs(events: &[(i64, Event)]) -> Vec<i64> {
        events.iter().map(|(seq, _)| *seq).collect()
    }

    #[test]
    fn of_a_key_one_is_under_way_and_the_next_follows_its_confirmation() {
        let (a, b, now) = (new_id(), new_id(), Instant::now());
        let mut flight = Flight::new(true);
        let go = flight.take_in([a, a, b, a].into_iter().zip(1..).map(|(k, n)| (n, event(k))).collect(), now);
        assert_eq!(seqs(&go), [1, 3]);
        assert_eq!(flight.above(1), [3, 2, 4]);
        assert_eq!(flight.take_in(vec![(5, event(a))], now).len(), 0);
        assert_eq!(seqs(&flight.confirmed(&[1, 3], now)), [2]);
        assert_eq!(seqs(&flight.confirmed(&[2], now)), [4]);
        assert_eq!(seqs(&flight.take_in(vec![(6, event(b))], now)), [6], "b is free again");
        assert_eq!(seqs(&flight.confirmed(&[4, 6], now)), [5]);
        assert!(flight.confirmed(&[5], now).is_empty() && flight.is_empty() && flight.above(0).is_empty());
    }

    #[test]
    fn a_bus_that_refuses_nothing_takes_all_at_once() {
        let (key, now) = (new_id(), Instant::now());
        let mut flight = Flight::new(false);
        assert_eq!(flight.take_in((1..=3).map(|n| (n, event(key))).collect(), now).len(), 3);
        assert!(flight.confirmed(&[2], now).is_empty() && flight.len() == 2 && !flight.holds(2));
    }

    #[test]
    fn what_follows_goes_by_the_same_connection_until_all_before_has_arrived() {
        let (key, now) = (new_id(), Instant::now());
        let mut flight = Flight::new(false);
        flight.take_in(vec![(1, event(key)), (2, event(key))], now);
        assert_eq!(flight.link(), None, "none has gone yet");
        flight.went_by(7);
        flight.confirmed(&[2], now);
        flight.take_in(vec![(3, event(key))], now);
        assert_eq!(flight.link(), Some(7), "the first is still under way");
        flight.confirmed(&[1, 3], now);
        flight.take_in(vec![(4, event(key))], now);
        assert_eq!(flight.link(), None);
        flight.went_by(8);
        flight.clear();
        assert_eq!(flight.link(), None, "it begins again");
    }

    #[test]
    fn what_could_not_arrive_is_given_its_time_anew() {
        let (limit, now) = (Duration::from_millis(1), Instant::now());
        let mut flight = Flight::new(false);
        flight.take_in(vec![(1, event(new_id())), (2, event(new_id()))], now);
        std::thread::sleep(2 * limit);
        assert!(flight.is_overdue(limit));
        flight.put_off(now + Duration::from_secs(60));
        assert!(!flight.is_overdue(limit) && flight.len() == 2);
    }

    #[test]
    fn one_busy_key_leaves_room_for_others_up_to_a_limit() {
        let (key, now) = (new_id(), Instant::now());
        let mut flight = Flight::new(true);
        flight.take_in((1..=101).map(|n| (n, event(key))).collect(), now);
        assert!(flight.has_room(5, 10));
        flight.take_in((102..=200).map(|n| (n, event(key))).collect(), now);
        assert!(!flight.has_room(5, 10));
        flight.clear();
        assert!(flight.has_room(10, 10) && flight.is_empty());
    }
}
