//! Any interleaving of changes, deliveries that fail, succeed unheard or are cut off, acknowledgements and retries ends with the
//! other system having seen every change of a ticket in order.

use proptest::prelude::*;

use super::{Backoff, Failure, Sync, SyncState};
use crate::domain::Timestamp;

const BACKOFF: Backoff = Backoff { first_ms: 1_000, most_ms: 60_000, attempts: 3 };

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many states at once.
    Change(u8),
    /// The other system takes it and says so.
    Deliver,
    /// It takes it, and the answer is lost.
    Unheard,
    /// It does not take it.
    Fail,
    /// It wants no more of it.
    Gone,
    /// The sender dies before it notes the answer.
    Cut,
    /// The operator wants it tried again.
    Retry,
    /// It has fetched so many and acknowledges them, whatever is being delivered or was given up.
    Ack(u8),
    /// It acknowledges so many while a delivery is in hand, which then fails.
    AckThenFail(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1u8..4).prop_map(Step::Change),
        4 => Just(Step::Deliver),
        1 => Just(Step::Unheard),
        3 => Just(Step::Fail),
        1 => Just(Step::Gone),
        1 => Just(Step::Cut),
        1 => Just(Step::Retry),
        1 => (1u8..4).prop_map(Step::Ack),
        1 => (0u8..4).prop_map(Step::AckThenFail),
    ]
}

/// One ticket, its sender, and the system that listens.
struct World {
    sync: Sync,
    told: u32,
    delivered: u32,
    /// What arrived, repeats included.
    heard: Vec<u32>,
    now: Timestamp,
}

impl World {
    fn attempt(&mut self, step: Step) {
        // A sender only takes what is due; time passes until it is.
        let Some(due) = self.sync.due_at else { return };
        self.now = self.now.max(due);
        let first = self.delivered + 1;
        assert!(first <= self.told, "something waits whenever something is due");
        if matches!(step, Step::Deliver | Step::Unheard | Step::Cut) {
            self.heard.push(first);
        }
        let failure = |code: &str, gone| Failure { code: code.into(), gone, wait_ms: None };
        if let Step::AckThenFail(most) = step {
            self.acknowledges(most);
        }
        let sync = self.sync.clone();
        self.sync = match step {
            Step::Deliver => {
                self.delivered = first;
                sync.delivered(1, self.now)
            }
            Step::Unheard => sync.failed(&failure("timeout", false), self.now, &BACKOFF, 7),
            Step::Fail => sync.failed(&failure("http_503", false), self.now, &BACKOFF, 7),
            Step::Gone => sync.failed(&failure("http_410", true), self.now, &BACKOFF, 7),
            // Noted only of a change that still waits.
            Step::AckThenFail(_) if self.delivered < first => {
                sync.failed(&failure("timeout", false), self.now, &BACKOFF, 7)
            }
            // Its lease runs out and the next sender finds it as it was.
            _ => sync,
        };
    }

    /// It has fetched so many of those that wait, in order, and says so.
    fn acknowledges(&mut self, most: u8) {
        let count = u32::from(most).min(self.told - self.delivered);
        if count == 0 {
            return;
        }
        self.heard.extend(self.delivered + 1..=self.delivered + count);
        self.delivered += count;
        self.sync = self.sync.clone().delivered(i32::try_from(count).unwrap(), self.now);
    }

    fn check(&self) {
        assert_eq!(self.sync.waiting, i32::try_from(self.told - self.delivered).unwrap());
        assert_eq!(self.sync.state == SyncState::Synced, self.sync.waiting == 0);
        let sends_itself = matches!(self.sync.state, SyncState::Pending | SyncState::Retrying);
        assert_eq!(self.sync.due_at.is_some(), sends_itself, "{:?}", self.sync);
        assert_eq!(self.sync.state == SyncState::Retrying, sends_itself && self.sync.attempts > 0);
    }
}

proptest! {
    #[test]
    fn every_change_arrives_in_order_whatever_happens(steps in prop::collection::vec(step(), 1..80)) {
        let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
        let mut world = World { sync: Sync::new(), told: 0, delivered: 0, heard: Vec::new(), now };
        for step in steps {
            match step {
                Step::Change(more) => {
                    world.told += u32::from(more);
                    world.sync = world.sync.clone().told(i32::from(more), world.now);
                }
                Step::Retry => {
                    if let Some(sync) = world.sync.clone().retried(world.now) {
                        world.sync = sync;
                    }
                }
                Step::Ack(most) => world.acknowledges(most),
                other => world.attempt(other),
            }
            world.check();
        }
        // The other system is well again, and the operator looks after what was given up.
        if let Some(sync) = world.sync.clone().retried(world.now) {
            world.sync = sync;
        }
        while world.sync.waiting > 0 {
            world.attempt(Step::Deliver);
            world.check();
        }
        prop_assert_eq!(world.sync.state, SyncState::Synced);
        let mut seen = Vec::new();
        for number in world.heard {
            if seen.last() != Some(&number) {
                seen.push(number);
            }
        }
        prop_assert_eq!(seen, (1..=world.told).collect::<Vec<_>>(), "each once it is told apart by its number, in order");
    }

    #[test]
    fn waits_double_within_their_bounds(failures in 1i32..60, jitter in any::<u64>()) {
        let wait = BACKOFF.wait_ms(failures, jitter);
        let whole = 1_000i64.saturating_mul(1 << (failures - 1).min(30)).min(60_000);
        prop_assert!((whole / 2..=whole).contains(&wait), "{} of {}", wait, whole);
    }
}

#[test]
fn it_is_given_up_after_so_many_attempts_and_not_before() {
    let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let failure = Failure { code: "http_503".into(), gone: false, wait_ms: Some(30_000) };
    let mut sync = Sync::new().told(2, now);
    for attempt in 1..=2 {
        sync = sync.failed(&failure, now, &BACKOFF, 0);
        assert_eq!((sync.state, sync.attempts), (SyncState::Retrying, attempt));
        let wait = sync.due_at.unwrap() - now;
        assert!(wait.num_milliseconds() >= 30_000, "as long as was asked for: {wait}");
    }
    sync = sync.failed(&failure, now, &BACKOFF, 0);
    assert_eq!((sync.state, sync.due_at, sync.last_error.as_str()), (SyncState::Failed, None, "http_503"));
    let more = sync.clone().told(1, now);
    assert_eq!((more.state, more.waiting, more.due_at), (SyncState::Failed, 3, None), "it goes on waiting");
    assert_eq!(more.retried(now).unwrap().state, SyncState::Pending);
    assert_eq!(Sync::new().retried(now), None);
}

#[test]
fn what_was_sent_and_not_answered_may_have_arrived() {
    let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    for (code, may_have_arrived) in [
        ("timeout", true),
        ("broken_off", true),
        ("http_502", true),
        ("http_504", true),
        ("connect_timeout", false),
        ("connect_refused", false),
        ("http_503", false),
        ("http_410", false),
        ("internal", false),
    ] {
        let failure = Failure { code: code.into(), gone: false, wait_ms: None };
        let sync = Sync::new().told(1, now).failed(&failure, now, &BACKOFF, 0);
        assert_eq!(failure.may_have_arrived(), may_have_arrived, "{code}");
        assert_eq!(sync.maybe_there, may_have_arrived, "{code}");
        let refused = Failure { code: "http_503".into(), gone: false, wait_ms: None };
        let sync = sync.failed(&refused, now, &BACKOFF, 0).retried(now).unwrap();
        assert_eq!(sync.maybe_there, may_have_arrived, "{code}, then refused");
        assert!(!sync.delivered(1, now).maybe_there);
    }
}

#[test]
fn a_failure_of_what_was_acknowledged_meanwhile_is_none() {
    let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let failure = Failure { code: "http_410".into(), gone: true, wait_ms: None };
    let sync = Sync::new().told(1, now).delivered(1, now);
    let after = sync.clone().failed(&failure, now, &BACKOFF, 0);
    assert_eq!((after.state, &after), (SyncState::Synced, &sync));
}
