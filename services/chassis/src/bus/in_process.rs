//! The bus of the all-in-one shape. It keeps nothing: an event is confirmed when every consuming service has
//! acknowledged it, that is, has committed its inbox, so the outbox row outlives a crash and is delivered again.
//! Memory is bounded by the relays' windows. With [`Faults`] it misbehaves as a broker may: it duplicates, delays,
//! reorders across keys and loses acknowledgements, repeatably from a seed.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use super::{Confirmation, Confirmations, Delivery, DeliveryTag, EventBus, LinkNumber, Subscription};
use crate::{
    Error, Result,
    event::{Catalogue, Event, catalogue, group},
};

/// How the bus misbehaves. Shares are between 0 and 1.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// The same seed gives the same decisions.
    pub seed: u64,
    /// Share of events delivered twice.
    pub duplicate: f64,
    /// Share of events held back for up to `delay_ms`, with those behind them of the same key.
    pub delay: f64,
    /// Longest delay in milliseconds.
    pub delay_ms: u64,
    /// Whether events of different keys overtake each other.
    pub reorder: bool,
    /// Share of acknowledgements that get lost, so that everything they covered comes again.
    pub lose_ack: f64,
}

impl Faults {
    /// Everything at once, in a measure that a test survives.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, duplicate: 0.1, delay: 0.05, delay_ms: 20, reorder: true, lose_ack: 0.05 }
    }
}

/// The bus within one process. Cheap to clone.
#[derive(Clone)]
pub struct InProcess(Arc<Inner>);

struct Inner {
    catalogue: Arc<Catalogue>,
    groups: u8,
    queues: HashMap<String, Vec<Arc<Queue>>>,
}

/// Waits for every consumer of one published event.
struct Pending {
    seq: i64,
    left: AtomicUsize,
    confirmations: Confirmations,
}

impl Pending {
    fn acknowledged(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // A relay that is gone publishes the row again after its restart.
            let _ = self.confirmations.send(Confirmation { seq: self.seq, taken: true });
        }
    }
}

#[derive(Clone)]
struct Item {
    /// Shared by the groups that consume it; each gets its own with the delivery.
    event: Arc<Event>,
    /// `None`: a duplicate made by the faults; nobody waits for it.
    pending: Option<Arc<Pending>>,
    not_before: Option<Instant>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Default)]
struct QueueState {
    items: VecDeque<Item>,
    subscribed: bool,
    faults: Option<(Faults, StdRng)>,
}

/// How far a faulty queue looks for something to deliver early.
const LOOK_AHEAD: usize = 32;

impl InProcess {
    /// A bus between these services, each with `groups` consumer groups, by this build's catalogue. Events for a
    /// service that is not named here are not waited for; those for one that is wait until it subscribes.
    pub fn new(services: &[&str], groups: u8) -> Self {
        Self::with(catalogue().clone(), services, groups, None)
    }

    /// As [`new`](Self::new), with faults.
    pub fn faulty(services: &[&str], groups: u8, faults: Faults) -> Self {
        Self::with(catalogue().clone(), services, groups, Some(faults))
    }

    /// With a catalogue of one's own.
    pub fn with(catalogue: Arc<Catalogue>, services: &[&str], groups: u8, faults: Option<Faults>) -> Self {
        let groups = groups.clamp(1, crate::event::PARTITIONS);
        let mut number = 0;
        let mut queue = || {
            number += 1;
            let faults = faults.map(|f| (f, StdRng::seed_from_u64(f.seed.wrapping_add(number))));
            Arc::new(Queue {
                state: Mutex::new(QueueState { faults, ..QueueState::default() }),
                ..Queue::default()
            })
        };
        let queues =
            services.iter().map(|s| ((*s).to_owned(), (0..groups).map(|_| queue()).collect())).collect();
        Self(Arc::new(Inner { catalogue, groups, queues }))
    }
}

#[async_trait]
impl EventBus for InProcess {
    async fn publish(
        &self,
        events: Vec<(i64, Event)>,
        _behind: Option<LinkNumber>,
        confirmations: &Confirmations,
    ) -> Result<LinkNumber> {
        let mut changed: Vec<&Arc<Queue>> = Vec::new();
        for (seq, event) in events {
            let event = Arc::new(event);
            let group = usize::from(group(event.partition(), self.0.groups));
            let queues: Vec<&Arc<Queue>> = self
                .0
                .catalogue
                .consumers(&event.r#type)
                .iter()
                .filter_map(|service| self.0.queues.get(service)?.get(group))
                .collect();
            let pending = Arc::new(Pending {
                seq,
                left: AtomicUsize::new(queues.len() + 1),
                confirmations: confirmations.clone(),
            });
            for queue in queues {
                queue.push(Item { event: event.clone(), pending: Some(pending.clone()), not_before: None });
                if !changed.iter().any(|known| Arc::ptr_eq(known, queue)) {
                    changed.push(queue);
                }
            }
            pending.acknowledged(); // for the publisher itself, so that an event without consumers is confirmed too
        }
        // Whoever waits is woken once for all of it, not for each event.
        for queue in changed {
            queue.changed.notify_waiters();
        }
        Ok(0) // nothing is lost between here and there
    }

    async fn subscribe(&self, service: &str, group: u8) -> Result<Box<dyn Subscription>> {
        let queue = self.0.queues.get(service).and_then(|groups| groups.get(usize::from(group)));
        let queue = queue
            .ok_or_else(|| Error::internal(format!("no group {group} of {service} on this bus")))?
            .clone();
        loop {
            let changed = queue.changed.notified();
            if !std::mem::replace(&mut queue.lock().subscribed, true) {
                break;
            }
            changed.await;
        }
        Ok(Box::new(LocalSubscription { queue, unacknowledged: VecDeque::new(), last: 0 }))
    }

    fn groups(&self) -> u8 {
        self.0.groups
    }

    fn shared(&self) -> bool {
        false
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // The state is consistent between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event. Whoever waits has to be told.
    fn push(&self, mut item: Item) {
        let mut state = self.lock();
        let mut twice = false;
        if let Some((faults, random)) = &mut state.faults {
            if random.random_bool(faults.delay) {
                let ms = random.random_range(0..=faults.delay_ms);
                item.not_before = Some(Instant::now() + Duration::from_millis(ms));
            }
            twice = random.random_bool(faults.duplicate);
        }
        if twice {
            state.items.push_back(Item { pending: None, ..item.clone() });
        }
        state.items.push_back(item);
    }
}

impl QueueState {
    /// Takes the next item that may be delivered: the first one, or with faults any whose key nobody before it has.
    /// `Err` tells when to look again.
    fn take(&mut self) -> Result<Item, Option<Instant>> {
        let Some((faults, random)) = &mut self.faults else {
            return self.items.pop_front().ok_or(None);
        };
        let now = Instant::now();
        let (mut seen, mut ready, mut soonest) = (HashSet::<Uuid>::new(), Vec::new(), None::<Instant>);
        for (index, item) in self.items.iter().enumerate().take(LOOK_AHEAD) {
            if !seen.insert(item.event.partition_key) {
                continue;
            }
            match item.not_before {
                Some(at) if at > now => soonest = Some(soonest.map_or(at, |s| s.min(at))),
                _ => ready.push(index),
            }
        }
        let chosen = match ready.as_slice() {
            [] => return Err(soonest),
            many if faults.reorder => many[random.random_range(0..many.len())],
            many => many[0],
        };
        self.items.remove(chosen).ok_or(None)
    }
}

struct LocalSubscription {
    queue: Arc<Queue>,
    unacknowledged: VecDeque<(DeliveryTag, Item)>,
    last: DeliveryTag,
}

impl LocalSubscription {
    fn deliver(&mut self, item: Item) -> Delivery {
        self.last += 1;
        let event = Event::clone(&item.event);
        self.unacknowledged.push_back((self.last, item));
        Delivery { tag: self.last, event, defect: None }
    }
}

#[async_trait]
impl Subscription for LocalSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let queue = self.queue.clone();
            let changed = queue.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let taken = queue.lock().take();
            match taken {
                Ok(item) => return Some(self.deliver(item)),
                Err(Some(at)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                Err(None) => changed.await,
            }
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        let taken = self.queue.lock().take();
        taken.ok().map(|item| self.deliver(item))
    }

    async fn ack(&mut self, last: DeliveryTag) -> Result<()> {
        let covered = self.unacknowledged.iter().take_while(|(tag, _)| *tag <= last).count();
        let covered: Vec<Item> = self.unacknowledged.drain(..covered).map(|(_, item)| item).collect();
        let mut state = self.queue.lock();
        let lost = match &mut state.faults {
            Some((faults, random)) => random.random_bool(faults.lose_ack),
            None => false,
        };
        if lost {
            for item in covered.into_iter().rev() {
                state.items.push_front(item);
            }
            return Ok(());
        }
        drop(state);
        for item in covered {
            if let Some(pending) = item.pending {
                pending.acknowledged();
            }
        }
        Ok(())
    }
}

impl Drop for LocalSubscription {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        for (_, item) in self.unacknowledged.drain(..).rev() {
            state.items.push_front(item);
        }
        state.subscribed = false;
        drop(state);
        self.queue.changed.notify_waiters();
    }
}
