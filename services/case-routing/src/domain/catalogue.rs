//! Versions of the catalogue: who may put one in force, from when, and take it back. What a version holds is not looked at here.

use super::codes::ListState;
use super::error::{DomainError, Result};
use super::event::Timestamp;

/// What a version's life is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueVersion {
    pub version: i32,
    /// Pseudonym of who imported it.
    pub drafted_by: String,
    /// How often versions had been put in force or taken back when it was imported.
    pub moves: i32,
    pub approved_at: Option<Timestamp>,
    /// Set with the approval.
    pub valid_from: Option<Timestamp>,
    pub withdrawn_at: Option<Timestamp>,
}

impl CatalogueVersion {
    /// Where it stands at an instant: it changes some items only, so none is superseded as a whole.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> ListState {
        match (self.withdrawn_at, self.valid_from) {
            (Some(_), _) => ListState::Withdrawn,
            (None, None) => ListState::Draft,
            (None, Some(from)) if at < from => ListState::Scheduled,
            (None, Some(_)) => ListState::InForce,
        }
    }

    /// Puts a draft in force from an instant on. `all` are the versions that there are.
    ///
    /// # Errors
    /// `Guard` `catalogue_state` unless it is a draft, `two_persons`, `catalogue_scheduled` while another one waits for its day,
    /// `catalogue_moved` where one was put in force or taken back since it was imported; `Invalid(effective_on)` for the past.
    pub fn activate(&self, all: &[Self], from: Timestamp, by: &str, now: Timestamp) -> Result<()> {
        self.require(&[ListState::Draft], now)?;
        if self.drafted_by == by {
            return Err(DomainError::guard(
                "two_persons",
                "who imported the version does not put it in force",
            ));
        }
        let others = || all.iter().filter(|other| other.version != self.version);
        if others().any(|other| other.state(now) == ListState::Scheduled) {
            let message = "another version waits for its day; roll it back first";
            return Err(DomainError::guard("catalogue_scheduled", message));
        }
        if self.moves != Self::moves(all) {
            return Err(DomainError::guard(
                "catalogue_moved",
                "the catalogue has moved on; import the file anew",
            ));
        }
        if from < now {
            return Err(DomainError::invalid("effective_on", "must not lie in the past"));
        }
        Ok(())
    }

    /// Takes a version back.
    ///
    /// # Errors
    /// `Guard` `catalogue_state` unless it is in force or scheduled, `no_earlier_catalogue` for the first one.
    pub fn roll_back(&self, all: &[Self], now: Timestamp) -> Result<()> {
        self.require(&[ListState::Scheduled, ListState::InForce], now)?;
        if all.iter().all(|other| self.version <= other.version) {
            let message = "there is no version to go back to";
            return Err(DomainError::guard("no_earlier_catalogue", message));
        }
        Ok(())
    }

    /// How often versions were put in force or taken back.
    #[must_use]
    pub fn moves(all: &[Self]) -> i32 {
        let each = |version: &Self| {
            i32::from(version.approved_at.is_some()) + i32::from(version.withdrawn_at.is_some())
        };
        all.iter().map(each).sum()
    }

    fn require(&self, states: &[ListState], now: Timestamp) -> Result<()> {
        if states.contains(&self.state(now)) {
            return Ok(());
        }
        Err(DomainError::guard("catalogue_state", format!("the version is {}", self.state(now))))
    }
}

/// The version that decisions cite from each instant on, in order: of those in force the one that came last.
#[must_use]
pub fn cited_catalogues(all: &[CatalogueVersion]) -> Vec<(Timestamp, i32)> {
    let in_force = |at: Timestamp| {
        let covers = |version: &&CatalogueVersion| {
            version.valid_from.is_some_and(|from| from <= at)
                && version.withdrawn_at.is_none_or(|gone| at < gone)
        };
        let last = all.iter().filter(covers).max_by_key(|version| (version.valid_from, version.version));
        last.map(|version| (at, version.version))
    };
    let turns = |version: &CatalogueVersion| version.valid_from.into_iter().chain(version.withdrawn_at);
    let mut instants: Vec<Timestamp> = all.iter().flat_map(turns).collect();
    instants.sort_unstable();
    instants.dedup();
    instants.into_iter().filter_map(in_force).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn now() -> Timestamp {
        "2026-03-02T09:00:00+08:00".parse().unwrap()
    }

    fn version(version: i32) -> CatalogueVersion {
        CatalogueVersion {
            version,
            drafted_by: "drafter".into(),
            moves: 1,
            approved_at: None,
            valid_from: None,
            withdrawn_at: None,
        }
    }

    fn approved(number: i32, hours: i64, from: i64) -> CatalogueVersion {
        let at = |hours| Some(now() + TimeDelta::hours(hours));
        CatalogueVersion { approved_at: at(hours), valid_from: at(from), ..version(number) }
    }

    fn code(refused: Result<()>) -> &'static str {
        match refused {
            Ok(()) => "",
            Err(DomainError::Guard { code, .. }) => code,
            Err(DomainError::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_second_person_puts_a_draft_in_force_that_nothing_has_moved_past() {
        let first = approved(1, -100, -100);
        let (own, all) = (version(2), vec![first.clone(), version(2)]);
        assert_eq!(code(own.activate(&all, now(), "arbiter", now())), "");
        assert_eq!(code(own.activate(&all, now(), "drafter", now())), "two_persons");
        let past = now() - TimeDelta::seconds(1);
        assert_eq!(code(own.activate(&all, past, "arbiter", now())), "effective_on");
        assert_eq!(code(first.activate(&all, now(), "arbiter", now())), "catalogue_state");
        let waits = [first.clone(), approved(3, -50, 10)];
        assert_eq!(code(own.activate(&waits, now(), "arbiter", now())), "catalogue_scheduled");
        let moved = [first.clone(), approved(3, 0, 0)];
        assert_eq!(code(own.activate(&moved, now(), "arbiter", now())), "catalogue_moved");
        let back = CatalogueVersion { withdrawn_at: Some(now()), ..approved(3, -50, -40) };
        assert_eq!(code(own.activate(&[first, back], now(), "arbiter", now())), "catalogue_moved");
    }

    #[test]
    fn decisions_cite_the_version_that_came_last_of_those_in_force() {
        let hours = |found: Vec<(Timestamp, i32)>| -> Vec<(i64, i32)> {
            found.into_iter().map(|(at, version)| ((at - now()).num_hours(), version)).collect()
        };
        let gone = |at: i64, version: CatalogueVersion| CatalogueVersion {
            withdrawn_at: Some(now() + TimeDelta::hours(at)),
            ..version
        };
        let (first, second, third) = (approved(1, -100, -100), approved(2, -20, -10), approved(3, -5, -5));
        assert_eq!(hours(cited_catalogues(&[version(4), first.clone()])), [(-100, 1)], "no draft");
        let all = [second.clone(), first.clone(), third.clone()];
        assert_eq!(hours(cited_catalogues(&all)), [(-100, 1), (-10, 2), (-5, 3)]);
        let all = [first.clone(), second.clone(), gone(-2, third.clone())];
        assert_eq!(hours(cited_catalogues(&all)), [(-100, 1), (-10, 2), (-5, 3), (-2, 2)]);
        let all = [first.clone(), gone(-2, second.clone()), third];
        assert_eq!(hours(cited_catalogues(&all)).last(), Some(&(-2, 3)), "what came after it stays");
        let all = [first, gone(-15, second)];
        let found = hours(cited_catalogues(&all));
        assert!(found.iter().all(|(_, version)| *version == 1), "taken back before its day: {found:?}");
    }

    #[test]
    fn a_version_is_taken_back_once_and_never_the_first() {
        let (first, second) = (approved(1, -100, -100), approved(2, -2, 5));
        let all = [first.clone(), second.clone()];
        let states = [version(3), first.clone(), second.clone()].map(|version| version.state(now()));
        assert_eq!(states, [ListState::Draft, ListState::InForce, ListState::Scheduled]);
        assert_eq!(code(second.roll_back(&all, now())), "");
        assert_eq!(code(first.roll_back(&all, now())), "no_earlier_catalogue");
        assert_eq!(code(version(3).roll_back(&all, now())), "catalogue_state");
        let gone = CatalogueVersion { withdrawn_at: Some(now()), ..second };
        assert_eq!(gone.state(now()), ListState::Withdrawn);
        assert_eq!(code(gone.roll_back(&all, now())), "catalogue_state");
    }
}
