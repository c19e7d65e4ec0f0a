//! Cases at hand: those that this process committed or showed last, each as it stood at one version. The document of a case is
//! then neither sent nor parsed again for the next command, answer or list. PostgreSQL alone says which version stands, in the
//! statement that locks or looks; a case at hand only spares the document, and any number of replicas may hold the same one. After a
//! restore, or a fail-over to a replica that was behind, another case may stand at a version that is at hand: it counts only where
//! the time of the change is the row's, too.

use std::{
    fmt::{self, Debug, Formatter},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chassis::Timestamp;
use lru::LruCache;

use super::case_store::{read_doc, write_doc};
use crate::{
    domain::{Case, CaseId, RoutingDecision},
    record::CaseRecord,
};

/// How many cases are kept: what happens in a district within a day. One takes about 8 kB.
const MOST: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

type Cases = LruCache<CaseId, Arc<Held>>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct AtHand(Arc<Mutex<Cases>>);

/// A case at one version.
#[derive(Debug)]
pub struct Held {
    case: Arc<Case>,
    told_version: i64,
    /// Its latest decision with what was looked at; `None` while that has not been read.
    shown: Option<Option<Arc<RoutingDecision>>>,
}

impl Default for AtHand {
    fn default() -> Self {
        Self::of(MOST)
    }
}

impl Debug for AtHand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtHand").field("cases", &self.cases().len()).finish()
    }
}

impl AtHand {
    /// Keeps so many cases at most; the one goes first that was longest asked for by nobody.
    fn of(most: NonZeroUsize) -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(most))))
    }

    /// What is held of a case.
    pub fn get(&self, id: CaseId) -> Option<Arc<Held>> {
        self.cases().get(&id).cloned()
    }

    /// What to keep of a case once it is committed.
    pub fn held_of(&self, record: &CaseRecord) -> Held {
        let latest = record.case.routing.last();
        let before = self.get(record.case.id);
        let shown = match (record.pending.decisions.last(), before) {
            (Some(decision), _) => Some(Some(decision.clone())),
            (None, _) if latest.is_none() => Some(None),
            (None, Some(before)) if before.case.routing.last() == latest => before.shown.clone(),
            _ => None,
        };
        Held { case: record.case.clone(), told_version: record.told_version, shown }
    }

    /// Keeps a case as it was read to be shown.
    pub fn keep_read(&self, record: &CaseRecord) {
        let shown = Some(record.shown.clone());
        self.keep(Held { case: record.case.clone(), told_version: record.told_version, shown });
    }

    /// Keeps a case. An older version never replaces a newer one.
    pub fn keep(&self, held: Held) {
        debug_assert!(held.is_as_read(), "a case differs from what is read of it: {:?}", held.case);
        let id = held.case.id;
        let held = Arc::new(held);
        let mut cases = self.cases();
        match cases.get_mut(&id) {
            Some(known) if known.no_less_than(&held) => {}
            Some(known) => *known = held,
            None => drop(cases.push(id, held)),
        }
    }

    fn cases(&self) -> MutexGuard<'_, Cases> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Whether it is newer than the other, or the same and can be shown.
    fn no_less_than(&self, other: &Self) -> bool {
        let same = other.stands_at(self.version(), self.updated_at());
        self.version() > other.version() || (same && self.shown.is_some())
    }

    /// Whether it is what a row with this version and time of change holds. Rows tell microseconds.
    pub fn stands_at(&self, version: i64, updated_at: Timestamp) -> bool {
        self.version() == version && self.updated_at().timestamp_micros() == updated_at.timestamp_micros()
    }

    /// The version that it stands at.
    pub fn version(&self) -> i64 {
        self.case.version
    }

    /// When it was changed last.
    pub fn updated_at(&self) -> Timestamp {
        self.case.updated_at
    }

    /// The version that it can be shown at: with its latest decision.
    pub fn shown_version(&self) -> Option<i64> {
        self.shown.is_some().then_some(self.case.version)
    }

    /// The case, for what only looks at it.
    pub fn case(&self) -> &Case {
        &self.case
    }

    /// The case to work on; whether it repeats another is told by the row.
    pub fn record(&self, repeats: Option<bool>) -> CaseRecord {
        let mut case = self.case.clone();
        if case.repeats != repeats {
            Arc::make_mut(&mut case).repeats = repeats;
        }
        CaseRecord::loaded(case, self.told_version)
    }

    /// The case to be shown, with its latest decision.
    pub fn to_show(&self) -> CaseRecord {
        let shown = self.shown.clone().flatten();
        CaseRecord { shown, ..CaseRecord::loaded(self.case.clone(), self.told_version) }
    }

    /// Whether it is what would be read from its document.
    fn is_as_read(&self) -> bool {
        let read = write_doc(&self.case).and_then(|doc| read_doc(&doc));
        read.is_ok_and(|read| Case { repeats: self.case.repeats, ..read } == *self.case)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::tests::world::World;

    fn routed(world: &mut World) -> CaseRecord {
        CaseRecord::after(None, world.intake("street_light")).0
    }

    /// The same case, so many versions later.
    fn later(record: &CaseRecord, versions: i64) -> CaseRecord {
        let case = Case { version: record.case.version + versions, ..Case::clone(&record.case) };
        CaseRecord::loaded(case, record.told_version)
    }

    fn commit(at_hand: &AtHand, record: &CaseRecord) {
        at_hand.keep(at_hand.held_of(record));
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let at_hand = AtHand::default();
        let first = routed(&mut World::new());
        let (second, third) = (later(&first, 1), later(&first, 2));
        for record in [&first, &third, &second, &first] {
            commit(&at_hand, record);
        }
        at_hand.keep_read(&second);
        assert_eq!(at_hand.get(first.case.id).unwrap().version(), third.case.version);
    }

    #[test]
    fn of_two_at_one_version_the_later_read_counts_and_each_for_its_own_row() {
        let at_hand = AtHand::default();
        let first = routed(&mut World::new());
        commit(&at_hand, &first);
        let (version, at) = (first.case.version, first.case.updated_at);
        let (finer, later) = (at + TimeDelta::nanoseconds(1), at + TimeDelta::microseconds(1));
        let held = at_hand.get(first.case.id).unwrap();
        assert!(held.stands_at(version, at) && held.stands_at(version, finer));
        assert!(!held.stands_at(version, later) && !held.stands_at(version + 1, at));
        let restored = Case { updated_at: later, ..Case::clone(&first.case) };
        at_hand.keep_read(&CaseRecord::loaded(restored, first.told_version));
        assert!(at_hand.get(first.case.id).unwrap().stands_at(version, later));
    }

    #[test]
    fn a_decision_is_shown_with_what_was_looked_at_until_there_is_another() {
        let at_hand = AtHand::default();
        let first = routed(&mut World::new());
        let decision = first.pending.decisions.last().expect("an intake decides");
        assert!(!decision.candidates.is_empty() && first.case.routing[0].candidates.is_empty());
        commit(&at_hand, &first);
        commit(&at_hand, &later(&first, 1));
        let held = at_hand.get(first.case.id).unwrap();
        assert_eq!(held.shown_version(), Some(first.case.version + 1));
        assert_eq!(held.to_show().latest_decision(), Some(&**decision));
        // A replica that holds the version before last does not know what was looked at since.
        let mut decided = Case::clone(&later(&first, 3).case);
        decided.routing[0].rule_ids.push("another".into());
        commit(&at_hand, &CaseRecord::loaded(decided, first.told_version));
        assert_eq!(at_hand.get(first.case.id).unwrap().shown_version(), None);
    }

    #[test]
    fn whether_a_case_repeats_another_is_what_its_row_says() {
        let at_hand = AtHand::default();
        let first = routed(&mut World::new());
        commit(&at_hand, &first);
        let held = at_hand.get(first.case.id).unwrap();
        for repeats in [None, Some(true), Some(false)] {
            assert_eq!(held.record(repeats).case.repeats, repeats);
        }
        assert_eq!(held.case().repeats, first.case.repeats, "and the one at hand stays as it is");
    }

    #[test]
    fn the_one_that_nobody_asked_for_longest_goes_first() {
        let at_hand = AtHand::of(NonZeroUsize::new(2).unwrap());
        let mut world = World::new();
        let (first, second, third) = (routed(&mut world), routed(&mut world), routed(&mut world));
        commit(&at_hand, &first);
        commit(&at_hand, &second);
        assert!(at_hand.get(first.case.id).is_some());
        commit(&at_hand, &third);
        let held = [&first, &second, &third].map(|record| at_hand.get(record.case.id).is_some());
        assert_eq!(held, [true, false, true]);
    }
}
