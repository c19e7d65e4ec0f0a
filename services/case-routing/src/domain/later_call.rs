//! Calls to the requester once the result was found good: about a bad rating before it is found not valid, so that nobody's
//! word is put aside unheard, and of a merged case about what came of the other. Kept like those of a verification, and by the
//! same limits.

use super::case::Case;
use super::closing::{CALLED_BACK, CallbackAttempt, CallbackReport};
use super::codes::{CallbackOutcome, CaseState};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::OrgId;
use super::joined::Original;
use super::parts::Rating;
use super::state::Trigger;
use super::work::{Act, Decision, Work};

impl Case {
    /// The requester of a merged case is called about what came of the other, or about their own bad rating of it. What calls about
    /// work that was done again for such a rating come to is told.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a machine; `Guard` `original_not_resolved`, `callback_not_due`,
    /// `callback_done`, `callback_too_soon`; `Invalid` grade.
    pub fn call_merged(
        self,
        report: &CallbackReport,
        original: &Original,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::CallMerged)?;
        if work.case.merged_into != Some(original.id) {
            return Err(work.wrong_state(Trigger::CallMerged));
        }
        let awaits = work.case.rating.as_ref().is_some_and(Rating::awaits_judgement);
        if !awaits && !matches!(original.state, CaseState::Resolved | CaseState::Closed) {
            let message = "the case that this one was merged into is not resolved yet";
            return Err(DomainError::guard("original_not_resolved", message));
        }
        // Of an earlier result nothing counts for the present one.
        let since = original.completed_at.filter(|_| !awaits);
        work.call_again(report, since, &work.case.handlers_with(original))?;
        if !awaits {
            work.hear_rectified(original);
            work.called_about_rectified(work.later_calls(since));
        }
        Ok(work.finish_with(CALLED_BACK, None))
    }

    /// Whether a later call reached the requester, since an instant if one is given.
    pub(super) fn reached_since(&self, since: Option<Timestamp>) -> bool {
        self.later_calls_since(since).any(|call| call.reached)
    }

    fn later_calls_since(&self, since: Option<Timestamp>) -> impl Iterator<Item = &CallbackAttempt> {
        self.later_calls.iter().filter(move |call| since.is_none_or(|since| call.at >= since))
    }
}

impl Work<'_> {
    /// The requester is called about the bad rating that awaits its judgement.
    pub(super) fn call_about_rating(&mut self, report: &CallbackReport, handlers: &[OrgId]) -> Result<()> {
        if !self.case.rating.as_ref().is_some_and(Rating::awaits_judgement) {
            return Err(DomainError::guard("no_bad_rating", "no bad rating awaits judgement"));
        }
        self.call_again(report, None, handlers)
    }

    /// A call by somebody who had no part in what it is about.
    fn call_again(
        &mut self,
        report: &CallbackReport,
        since: Option<Timestamp>,
        handlers: &[OrgId],
    ) -> Result<()> {
        if handlers.contains(&self.human_official()?) {
            return Err(DomainError::NotEntitled { code: "caller" });
        }
        self.not_complained_of()?;
        if !self.case.callback_due() {
            return Err(DomainError::guard("callback_not_due", "there is nobody to call back"));
        }
        let answered = match report {
            CallbackReport::Reached { grade, .. } => {
                if grade.is_some_and(|grade| !(1..=5).contains(&grade)) {
                    return Err(DomainError::invalid("callback_grade", "between 1 and 5"));
                }
                true
            }
            CallbackReport::NoAnswer => false,
        };
        match self.later_calls(since) {
            Some(CallbackOutcome::Reached) => {
                return Err(DomainError::guard("callback_done", "the requester was reached already"));
            }
            Some(_) if !answered => {
                return Err(DomainError::guard("callback_done", "the requester counts as unreached already"));
            }
            _ => {}
        }
        let (gap, calendar, profile) = (self.sla().callback_gap, &self.rules.calendar, &self.rules.profile);
        let last = self.case.later_calls_since(since).last().filter(|_| !answered);
        if last.is_some_and(|call| self.now < calendar.add(gap.unit, gap.n, call.at, profile).at) {
            let message = "the last call that nobody answered was too short a time ago";
            return Err(DomainError::guard("callback_too_soon", message));
        }
        self.case.later_calls.push(CallbackAttempt { at: self.now, reached: answered });
        Ok(())
    }

    /// What the later calls came to: reached, unreached once there were as many as the limits ask for; `None` before.
    pub(super) fn later_calls(&self, since: Option<Timestamp>) -> Option<CallbackOutcome> {
        let limit = usize::from(self.sla().callback_attempts);
        if self.case.reached_since(since) {
            Some(CallbackOutcome::Reached)
        } else if self.case.later_calls_since(since).count() >= limit {
            Some(CallbackOutcome::Unreached)
        } else {
            None
        }
    }
}
