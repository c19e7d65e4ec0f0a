//! Several requests about one matter (并单): one goes into another that somebody handles, and takes along those that went into
//! it before, so that whoever waits points at the case that is worked on. All of it can be undone.

use super::case::Case;
use super::codes::{CaseState, ClockKind, ClosedCode, RoutingKind};
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::CaseId;
use super::rating::unjudged;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Work};

/// The step of the timeline by which a merged case comes to belong to another. No event tells of it: it is merged as before.
const REJOINED: &str = "CaseRejoined";

impl Case {
    /// A human found it to be the same matter as another case, with no new facts. Those that were merged into it go along
    /// ([`Case::go_along`]) and stay known here, to come back with it.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine; `Guard(recused)` for the organisation complained of; `Invalid` when it is the
    /// case itself.
    pub fn merge(self, into: CaseId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Merge)?;
        work.human_official()?;
        work.not_complained_of()?;
        if into == work.case.id {
            return Err(DomainError::invalid("into_case_id", "a case cannot be merged into itself"));
        }
        let in_time = work.end_accept();
        work.enter(CaseState::Merged, Trigger::Merge)?;
        work.stop_all_clocks();
        work.case.merged_into = Some(into);
        work.record_plain_routing(RoutingKind::Ended, Reason::new("merged").with("into", into));
        work.case.closed_code = Some(ClosedCode::Merged);
        work.emit(DomainEvent::CaseMerged { into_case_id: into, in_time }, None, None);
        Ok(work.finish())
    }

    /// The merge was wrong; the clocks run on as if never stopped. Supervisions, which rested, get their time to answer anew.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `recused` for the organisation complained of, which would be so no more where the work is done,
    /// `rating_unjudged`.
    pub fn unmerge(self, act: &Act<'_>) -> Result<Decision> {
        self.leave(false, act)
    }

    /// The same of a case that went into one which is over for good, where nobody would work for its bad rating
    /// ([`Case::heed_joined`]): one that nobody has judged yet counts as valid, and the case is worked on for itself.
    ///
    /// # Errors
    /// `WrongState`; `Guard(recused)` for the organisation complained of.
    pub fn unmerge_from_over(self, act: &Act<'_>) -> Result<Decision> {
        self.leave(true, act)
    }

    fn leave(self, original_over: bool, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Unmerge)?;
        work.not_complained_of()?;
        if original_over {
            work.hold_rating_valid("original_over");
        }
        work.forget_rating_of_original()?;
        // The check of a rating came after the merge.
        let before = work.case.clocks.iter().filter(|clock| clock.kind != ClockKind::Judge);
        let merged_at = before.filter_map(|clock| clock.stopped_at).max();
        let counted = |kind| matches!(kind, ClockKind::Resolve | ClockKind::Rework | ClockKind::Dispatch);
        let rules = work.rules;
        for clock in work.case.clocks.iter_mut().filter(|clock| clock.stopped_at == merged_at) {
            if counted(clock.kind) {
                clock.run_on(rules);
            }
        }
        work.enter(CaseState::Accepted, Trigger::Unmerge)?;
        work.case.merged_into = None;
        work.case.merged_through.clear();
        work.case.closed_code = None;
        work.follow_merger();
        if work.case.accepted_at.is_none() {
            let since = merged_at.unwrap_or(work.now);
            work.start_service(since);
        } else if work.case.clock(ClockKind::Dispatch, None).is_none_or(|clock| !clock.is_open()) {
            work.start_clock(ClockKind::Dispatch, None, work.sla().dispatch);
        }
        work.emit(DomainEvent::CaseUnmerged {}, None, None);
        work.renew_supervisions(merged_at);
        Ok(work.finish())
    }

    /// Other cases were merged into this one, or taken out again; counts are kept. Only a case that somebody still
    /// handles takes others in: a merged one would pass them on or, in a ring, lose them, and what came after the end of
    /// any other, a closed one included, would never be looked at. A closed case is reopened first, which has its own
    /// conditions, or the repeat stands for itself.
    ///
    /// # Errors
    /// `WrongState` when others would come into a finished one.
    pub fn absorb(self, others: &[CaseId], present: bool, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        if present && work.case.state.is_finished() {
            return Err(work.wrong_state(Trigger::Merge));
        }
        work.case.merged.retain(|id| !others.contains(id));
        if present {
            work.case.merged.extend(others);
        } else {
            work.case.forget_complaints(others);
        }
        Ok(work.finish())
    }

    /// The case that this one was merged into goes into another itself and takes this one along.
    ///
    /// # Errors
    /// `WrongState` unless it was merged into that one; `Guard(rating_unjudged)`.
    pub fn go_along(self, with: CaseId, into: CaseId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        if work.case.state != CaseState::Merged || work.case.merged_into != Some(with) {
            return Err(work.wrong_state(Trigger::Merge));
        }
        work.case.merged_through.push(with);
        work.case.merged_into = Some(into);
        work.forget_rating_of_original()?;
        Ok(work.finish_with(REJOINED, Some(Reason::new("original_merged"))))
    }

    /// The case with which this one went along is taken out again, and this one with it.
    ///
    /// # Errors
    /// `WrongState` unless it went along with that one; `Guard(rating_unjudged)`.
    pub fn come_back(self, with: CaseId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let place = work.case.merged_through.iter().position(|id| *id == with);
        let Some(place) = place.filter(|_| work.case.state == CaseState::Merged) else {
            return Err(work.wrong_state(Trigger::Unmerge));
        };
        work.case.merged_through.truncate(place);
        work.case.merged_into = Some(with);
        work.forget_rating_of_original()?;
        Ok(work.finish_with(REJOINED, Some(Reason::new("original_unmerged"))))
    }
}

impl Work<'_> {
    /// What was said of another case's result does not count for one that had no part in it. A bad word is judged first: it is
    /// not put aside by whoever takes the cases apart.
    fn forget_rating_of_original(&mut self) -> Result<()> {
        if self.case.awaits_judgement() {
            return Err(unjudged());
        }
        self.case.rating = None;
        self.case.later_calls.clear();
        self.case.rectified = None;
        Ok(())
    }
}
