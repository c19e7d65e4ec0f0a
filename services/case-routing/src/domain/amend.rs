//! The same change made to every version of the list that is in force or on its way, at once: a duty comes or goes while a
//! canary runs in one street and another version waits for its day. Each is followed by a version that differs in that alone.

use super::event::Timestamp;
use super::lists::Period;

/// A version and the one that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    pub of: i32,
    pub version: i32,
    /// The old one was a canary or waited: it must not come back as a draft.
    pub retires: bool,
}

/// Gives the periods to store and the versions to make, numbered from `next`.
#[must_use]
pub fn amend(all: &[Period], next: i32, now: Timestamp) -> (Vec<Period>, Vec<Successor>) {
    let mut successors: Vec<Successor> = Vec::new();
    let (mut before, mut after) = (all.to_vec(), Vec::new());
    for period in &mut before {
        let open = period.to.is_none_or(|to| now < to && period.from < to);
        if !open {
            continue;
        }
        let known = successors.iter().find(|known| known.of == period.version).map(|known| known.version);
        let version = known.unwrap_or_else(|| {
            let version = next + i32::try_from(successors.len()).unwrap_or(i32::MAX - next);
            successors.push(Successor { of: period.version, version, retires: false });
            version
        });
        let from = now.max(period.from);
        after.push(Period { version, unit: period.unit, from, to: period.to });
        period.to = Some(from);
    }
    for successor in &mut successors {
        let mut own = before.iter().filter(|period| period.version == successor.of);
        successor.retires =
            !own.any(|period| period.unit.is_none() && period.to.is_none_or(|to| period.from < to));
    }
    before.extend(after);
    (before, successors)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        ListState, ListVersion, UnitId, activate, replaced, roll_back, start_canary, version_at,
    };

    const STREET: UnitId = UnitId(Uuid::from_u128(3));

    fn at(hours: i64) -> Timestamp {
        DateTime::from_timestamp(1_772_413_200, 0).unwrap() + TimeDelta::hours(hours)
    }

    fn version(version: i32, periods: &[Period]) -> ListVersion {
        let periods = periods.iter().filter(|period| period.version == version).cloned().collect();
        ListVersion { version, drafted_by: "p-drafter".into(), withdrawn: false, periods }
    }

    fn first() -> Vec<Period> {
        vec![Period { version: 1, unit: None, from: at(0), to: None }]
    }

    #[test]
    fn the_version_in_force_is_followed_by_one_and_stays_superseded() {
        let (periods, made) = amend(&first(), 2, at(5));
        assert_eq!(made, [Successor { of: 1, version: 2, retires: false }]);
        assert_eq!(version_at(&periods, &[], at(4)), Some(1), "the past is as it was");
        assert_eq!(version_at(&periods, &[], at(5)), Some(2));
        assert_eq!(version(1, &periods).state(at(5)), ListState::Superseded);
        // Twice in one instant: the one between was never in force.
        let (periods, made) = amend(&periods, 3, at(5));
        assert_eq!((made.len(), version_at(&periods, &[], at(5))), (1, Some(3)));
        assert!(made[0].retires);
    }

    #[test]
    fn a_canary_goes_on_and_can_still_be_rolled_back() {
        let periods = start_canary(&version(2, &first()), &first(), STREET, "p-arbiter", at(1)).unwrap();
        let (periods, made) = amend(&periods, 3, at(5));
        let pairs: Vec<_> = made.iter().map(|one| (one.of, one.version, one.retires)).collect();
        assert_eq!(pairs, [(1, 3, false), (2, 4, true)]);
        assert_eq!(version_at(&periods, &[STREET], at(5)), Some(4));
        assert_eq!(version_at(&periods, &[], at(5)), Some(3));
        assert_eq!(version(4, &periods).state(at(5)), ListState::Canary);
        let back = roll_back(&version(4, &periods), &periods, at(6)).unwrap();
        assert_eq!(version_at(&back, &[STREET], at(6)), Some(3));
    }

    #[test]
    fn what_an_amended_version_replaced_is_found_behind_its_amendments() {
        let periods = activate(&version(2, &first()), &first(), at(1), "p-arbiter", at(1)).unwrap();
        let (periods, _) = amend(&periods, 3, at(5));
        let (periods, _) = amend(&periods, 4, at(6));
        assert_eq!(version_at(&periods, &[], at(6)), Some(4));
        assert_eq!(replaced(&[4, 3, 2], &periods), Some(1));
        assert_eq!(replaced(&[1], &periods), None, "the first replaced nothing");
        // A canary that was amended before it was in force everywhere.
        let canary = start_canary(&version(2, &first()), &first(), STREET, "p-arbiter", at(1)).unwrap();
        let (canary, _) = amend(&canary, 3, at(5));
        let everywhere = activate(&version(4, &canary), &canary, at(7), "p-arbiter", at(7)).unwrap();
        assert_eq!(replaced(&[4, 2], &everywhere), Some(3));
    }

    #[test]
    fn a_version_that_waits_for_its_day_waits_with_the_change() {
        let canary = start_canary(&version(2, &first()), &first(), STREET, "p-arbiter", at(1)).unwrap();
        let periods = activate(&version(2, &canary), &canary, at(10), "p-arbiter", at(2)).unwrap();
        let (periods, made) = amend(&periods, 3, at(5));
        assert_eq!(made.len(), 2, "the canary and what it becomes are one version");
        let seen = |hour, place: &[UnitId]| version_at(&periods, place, at(hour));
        assert_eq!((seen(5, &[]), seen(5, &[STREET]), seen(10, &[])), (Some(3), Some(4), Some(4)));
        let back = roll_back(&version(4, &periods), &periods, at(6)).unwrap();
        assert_eq!((version_at(&back, &[STREET], at(6)), version_at(&back, &[], at(11))), (Some(3), Some(3)));
        // It changes again on its day itself.
        let (later, _) = amend(&periods, 5, at(10));
        assert_eq!(version_at(&later, &[], at(10)), Some(5));
    }
}
