//! What the requester of a merged case keeps: their own case with its number, the news of the case it went into, and
//! their own rating of what came of it. Their word counts like any other.

use super::case::{Case, Rating};
use super::codes::CaseState;
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::{CaseId, OrgId};
use super::state::Trigger;
use super::work::{Act, Decision, Standing, Work};

/// The case that another was merged into, as far as the other's verbs ask for it.
#[derive(Debug, Clone)]
pub struct Original {
    pub id: CaseId,
    pub state: CaseState,
    pub lead: Option<OrgId>,
    /// Who worked on it; they neither rate nor judge their own work.
    pub handlers: Vec<OrgId>,
}

impl Original {
    /// Of the case itself.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        Self { id: case.id, state: case.state, lead: case.lead_org, handlers: case.handling_orgs() }
    }
}

impl Case {
    /// The requester of a merged case rates what came of the matter, once that is resolved or closed.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a stranger; `Guard` `rated_before`, `original_not_resolved`;
    /// `Invalid` grade.
    pub fn rate_merged(self, grade: u8, original: &Original, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::RateMerged)?;
        if work.case.merged_into != Some(original.id) {
            return Err(work.wrong_state(Trigger::RateMerged));
        }
        if !(1..=5).contains(&grade) {
            return Err(DomainError::invalid("grade", "between 1 and 5"));
        }
        let on_behalf = work.by.standing == Standing::Official
            && work.by.org.is_some_and(|org| !original.handlers.contains(&org));
        if !work.is_requester() && !on_behalf {
            return Err(DomainError::NotEntitled { code: "requester" });
        }
        if work.case.rating.is_some() {
            return Err(DomainError::guard("rated_before", "this result was rated already"));
        }
        let late = original.state == CaseState::Closed;
        if !late && original.state != CaseState::Resolved {
            let message = "the case that this one was merged into is not resolved yet";
            return Err(DomainError::guard("original_not_resolved", message));
        }
        work.case.rating =
            Some(Rating { grade, at: work.now, late, valid: None, judge_reason: None, channel: None });
        let (org_id, anonymous) = (original.lead.or(Some(work.case.first_receiver)), work.case.anonymous);
        work.emit(DomainEvent::RatingReceived { grade, org_id, anonymous }, None, None);
        work.await_judgement();
        Ok(work.finish())
    }

    /// A third organisation judges the bad rating of a merged case. If it is valid, the matter was not the same or is not
    /// settled for this requester: intake takes the case out again ([`Case::unmerge`]) and it goes its own way.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a machine; `Guard(no_bad_rating)`; `Invalid` code.
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
        if work.human_official().is_ok_and(|org| original.handlers.contains(&org)) {
            return Err(DomainError::NotEntitled { code: "rating_judge" });
        }
        work.judge(valid, reason_code)?;
        Ok(work.finish())
    }
}
