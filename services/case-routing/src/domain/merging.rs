//! Several requests about one matter (并单): one goes into another that somebody handles, and takes along those that went into
//! it before, so that whoever waits points at the case that is worked on. All of it can be undone.

use super::case::Case;
use super::clock::Clock;
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
        work.end_overdue_offer("case_merged");
        work.cancel_live_tasks("case_merged")?;
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
        Work::begin(self, act).leave(false, false)
    }

    /// The same of a case that went into one which is over for good, where nobody would work for its bad rating
    /// ([`Case::heed_joined`]): one that nobody has judged yet counts as valid, and the case is worked on for itself, with the time
    /// of a rework. `others_rated_bad`: so it is for that of one which comes along ([`Case::come_back_from_over`]).
    ///
    /// # Errors
    /// `WrongState`; `Guard(recused)` for the organisation complained of.
    pub fn unmerge_from_over(self, others_rated_bad: bool, act: &Act<'_>) -> Result<Decision> {
        Work::begin(self, act).leave(true, others_rated_bad)
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
        work.case.merged_unnamed.retain(|id| !others.contains(id));
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
        work.come_back_with(with)?;
        work.forget_rating_of_original()?;
        Ok(work.finish_with(REJOINED, Some(Reason::new("original_unmerged"))))
    }

    /// The same out of a case that is over for good: a bad rating that nobody has judged yet counts as valid, and stands for the
    /// case that this one comes back with, where the work is done for it ([`Case::unmerge_from_over`]).
    ///
    /// # Errors
    /// `WrongState` unless it went along with that one.
    pub fn come_back_from_over(self, with: CaseId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.come_back_with(with)?;
        if !work.hold_rating_valid("original_over") {
            work.forget_rating_of_original()?;
        }
        Ok(work.finish_with(REJOINED, Some(Reason::new("original_unmerged"))))
    }

    /// Whether somebody may rate what came of it: whoever asked for it, or for a case that was merged into it.
    #[must_use]
    pub fn rating_due(&self) -> bool {
        self.callback_due() || self.merged.iter().any(|id| !self.merged_unnamed.contains(id))
    }

    /// Of itself and the cases that were merged into it, those that nobody asked for by name.
    #[must_use]
    pub fn unnamed(&self) -> Vec<CaseId> {
        let own = (!self.callback_due()).then_some(self.id);
        own.into_iter().chain(self.merged_unnamed.iter().copied()).collect()
    }
}

impl Decision {
    /// Of the cases that were taken in, nobody asked for these by name.
    #[must_use]
    pub fn nobody_named(mut self, unnamed: &[CaseId]) -> Self {
        self.case.merged_unnamed.extend(unnamed);
        self
    }
}

impl Work<'_> {
    /// Out of the case that it was merged into.
    fn leave(mut self, original_over: bool, others_rated_bad: bool) -> Result<Decision> {
        self.permit(Trigger::Unmerge)?;
        self.not_complained_of()?;
        let own_bad = original_over && self.hold_rating_valid("original_over");
        let put_right = own_bad || others_rated_bad;
        self.forget_rating_of_original()?;
        // The check of a rating came after the merge.
        let before = self.case.clocks.iter().filter(|clock| clock.kind != ClockKind::Judge);
        let merged_at = before.filter_map(|clock| clock.stopped_at).max();
        let counted = |kind| matches!(kind, ClockKind::Resolve | ClockKind::Rework | ClockKind::Dispatch);
        let rules = self.rules;
        for clock in self.case.clocks.iter_mut().filter(|clock| clock.stopped_at == merged_at) {
            if counted(clock.kind) && clock.task_id.is_none() {
                clock.run_on(rules);
            }
        }
        self.enter(CaseState::Accepted, Trigger::Unmerge)?;
        self.case.merged_into = None;
        self.case.merged_through.clear();
        self.case.closed_code = None;
        self.follow_merger();
        let since = merged_at.unwrap_or(self.now);
        if self.case.accepted_at.is_none() {
            self.start_service(since);
        } else if self.case.clock(ClockKind::Dispatch, None).is_none_or(|clock| !clock.is_open()) {
            self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        }
        if put_right {
            // Nobody worked on it since it was merged: what is put right now has its own time, as any rework.
            let promise = |clock: &&mut Clock| matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework);
            self.case.clocks.iter_mut().filter(promise).for_each(|clock| clock.stop(since, rules));
            self.start_clock(ClockKind::Rework, None, self.sla().rework);
        }
        self.emit(DomainEvent::CaseUnmerged {}, None, None);
        self.renew_supervisions(merged_at);
        if put_right {
            self.supervise(2, "bad_rating", Some(ClockKind::Rework), None);
        }
        Ok(self.finish())
    }

    /// Merged into the case again with which it went along.
    fn come_back_with(&mut self, with: CaseId) -> Result<()> {
        let place = self.case.merged_through.iter().position(|id| *id == with);
        let Some(place) = place.filter(|_| self.case.state == CaseState::Merged) else {
            return Err(self.wrong_state(Trigger::Unmerge));
        };
        self.case.merged_through.truncate(place);
        self.case.merged_into = Some(with);
        Ok(())
    }

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
