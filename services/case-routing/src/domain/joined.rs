//! What the requester of a merged case keeps: their own case with its number, the news of the case it went into, and
//! their own rating of what came of it. Their word counts like any other: if a bad one is valid, the work is done again.

use super::case::{Case, Rating, Supervision};
use super::codes::{CaseState, ClockKind};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::{CaseId, OrgId};
use super::rating::not_reached;
use super::reason::Reason;
use super::rules::Rules;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work};

/// The step of the timeline by which the people of a case learn what a joined requester's rating was found to be.
const HEEDED: &str = "JoinedRatingValid";

/// The case that another was merged into, as far as the other's verbs ask for it.
#[derive(Debug, Clone)]
pub struct Original {
    pub id: CaseId,
    pub state: CaseState,
    pub lead: Option<OrgId>,
    /// Who worked on it or is complained of; they neither rate nor judge it.
    pub handlers: Vec<OrgId>,
    /// Since when there is the result that can be rated.
    pub completed_at: Option<Timestamp>,
    /// Until when a closed one can be opened again, and so be rated.
    pub reopenable_until: Option<Timestamp>,
    /// When its work was done, each time, and whether that was in time.
    pub results: Vec<(Timestamp, bool)>,
}

impl Original {
    /// Of the case itself.
    #[must_use]
    pub fn of(case: &Case, rules: &Rules, routes: &RoutingTable) -> Self {
        // Of one instant the clock of the rework counts, as for the case itself.
        let kinds = [ClockKind::Rework, ClockKind::Resolve].into_iter();
        let clocks = kinds.flat_map(|kind| case.clocks.iter().filter(move |clock| clock.kind == kind));
        let results = clocks.filter_map(|clock| clock.stopped_at.map(|at| (at, clock.in_time(at))));
        Self {
            id: case.id,
            state: case.state,
            lead: case.lead_org,
            handlers: case.kept_from_checks(),
            completed_at: case.completed_at,
            reopenable_until: case.reopenable_until(rules, routes),
            results: results.collect(),
        }
    }

    /// Whether a rating is about the result that there is now.
    fn is_rated_by(&self, rating: &Rating) -> bool {
        self.completed_at.is_none_or(|at| rating.at >= at)
    }

    /// Whether the work that was done again after a rating was done in time, the first time since; `None`: it is not done.
    pub(super) fn rectified_after(&self, rated_at: Timestamp) -> Option<bool> {
        self.completed_at.filter(|at| *at > rated_at)?;
        let first = self.results.iter().filter(|(at, _)| *at > rated_at).min_by_key(|(at, _)| *at);
        Some(first.is_none_or(|(_, in_time)| *in_time))
    }
}

impl Case {
    /// The requester of a merged case rates what came of the matter, once that is resolved or closed; anew when the work was
    /// done again since.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a stranger; `Guard` `rated_before`, `original_not_resolved`,
    /// `rating_too_late`, `requester_not_reached`; `Invalid` grade.
    pub fn rate_merged(self, grade: u8, original: &Original, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::RateMerged)?;
        if work.case.merged_into != Some(original.id) {
            return Err(work.wrong_state(Trigger::RateMerged));
        }
        if !(1..=5).contains(&grade) {
            return Err(DomainError::invalid("grade", "between 1 and 5"));
        }
        let on_behalf = work.rates_on_behalf(&work.case.handlers_with(original))?;
        let counts = |rating: &Rating| rating.awaits_judgement() || original.is_rated_by(rating);
        if work.case.rating.as_ref().is_some_and(counts) {
            return Err(DomainError::guard("rated_before", "this result was rated already"));
        }
        let late = original.state == CaseState::Closed;
        if !late && original.state != CaseState::Resolved {
            let message = "the case that this one was merged into is not resolved yet";
            return Err(DomainError::guard("original_not_resolved", message));
        }
        if late && original.reopenable_until.is_some_and(|until| work.now > until) {
            return Err(DomainError::guard("rating_too_late", "the time for late ratings is over"));
        }
        if on_behalf && !work.case.reached_since(original.completed_at) {
            return Err(not_reached());
        }
        // Of the result before this is told as long as that is known.
        work.hear_rectified(original);
        if grade <= 2 {
            work.case.rectified = None;
        }
        let org_id = original.lead.or(Some(work.case.first_receiver));
        work.rated(Rating { on_behalf, ..Rating::given(grade, work.now, late) }, org_id);
        work.await_judgement(&work.case.handlers_with(original));
        Ok(work.finish())
    }

    /// A third organisation judges the bad rating of a merged case. What follows from a valid one is for the case that it was
    /// merged into ([`Case::heed_joined`]).
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a machine; `Guard` `no_bad_rating`, `callback_outstanding`; `Invalid` code.
    pub fn judge_merged(
        self,
        valid: bool,
        reason_code: &str,
        original: &Original,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::JudgeMerged)?;
        if work.case.merged_into != Some(original.id) {
            return Err(work.wrong_state(Trigger::JudgeMerged));
        }
        work.judge(valid, reason_code, &work.case.handlers_with(original))?;
        Ok(work.finish())
    }

    /// Who worked on the case that this one was merged into, or on this one before, or is complained of. Whoever only received
    /// this one had no part in what is rated.
    #[must_use]
    pub fn handlers_with(&self, original: &Original) -> Vec<OrgId> {
        self.acting_orgs().chain(self.complained_of).chain(original.handlers.iter().copied()).collect()
    }

    /// Whether the work is being done again, and nobody was supervised for a bad rating since then.
    fn works_unsupervised_since(&self, at: Timestamp) -> bool {
        let told = |known: &Supervision| known.reason_code == "bad_rating" && known.issued_at >= at;
        let works = !self.state.is_finished() && self.completed_at.is_none();
        works && !self.supervisions.iter().any(told)
    }

    /// The bad rating of a case that was merged into this one is found valid, as if it were the own one: the work is done again,
    /// or a closed case opened again. An own bad one that nobody has judged yet counts as valid with it. Where that has begun
    /// since it was given, its people read of it; they are supervised for it if they are not yet, so that nobody whom it is about
    /// puts it aside by opening the case first.
    ///
    /// # Errors
    /// `NotEntitled` for a handler or a machine; `Guard(original_over)` where nothing can be done in it any more.
    pub fn heed_joined(self, rated_at: Timestamp, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let judge = work.human_official()?;
        if work.case.kept_from_checks().contains(&judge) {
            return Err(DomainError::NotEntitled { code: "rating_judge" });
        }
        let about_this = work.case.completed_at.is_none_or(|at| rated_at >= at);
        match work.case.state {
            CaseState::Resolved if about_this => {
                work.hold_rating_valid("joined_bad_rating");
                work.rework("bad_rating")?;
            }
            CaseState::Closed if about_this => {
                work.hold_rating_valid("joined_bad_rating");
                work.reopen("late_bad_rating")?;
                work.supervise(2, "bad_rating", Some(ClockKind::Resolve), None);
            }
            state if state.is_terminal() => {
                let message = "the case is over for good: take the other out of it, and it goes its own way";
                return Err(DomainError::guard("original_over", message));
            }
            _ if work.case.works_unsupervised_since(rated_at) => {
                let promise = work.case.resolve_clock().map_or(ClockKind::Resolve, |clock| clock.kind);
                work.supervise(2, "bad_rating", Some(promise), None);
            }
            _ => {}
        }
        Ok(work.finish_with(HEEDED, Some(Reason::new("joined_bad_rating"))))
    }
}
