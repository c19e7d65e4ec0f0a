//! What begins in the field: a matter that its finder put right on the spot, also where its case is open already, or found again, and
//! cases that a topic case stands for.

use super::case::Case;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::*;
use super::intake::{IntakeCase, registered};
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Work};

/// The step of an open case whose matter a patrol put right.
const PUT_RIGHT: &str = "CasePutRightOnPatrol";

/// The step of an open case whose matter a patrol found again.
const FOUND_AGAIN: &str = "CaseFoundAgainOnPatrol";

/// What was done on the spot.
#[derive(Debug, Clone)]
pub struct OnTheSpot {
    /// How it was and how it is now: kind and reference.
    pub evidence: Vec<(EvidenceKind, String)>,
    /// Drawn for a check by another organisation.
    pub sampled: bool,
}

impl Case {
    /// Registers, accepts and triages what was found, and closes it as put right by its finder, or has it checked by a
    /// third organisation where it was drawn for that.
    ///
    /// # Errors
    /// As for the single steps.
    pub fn intake_solved(command: IntakeCase, done: &OnTheSpot, act: &Act<'_>) -> Result<Decision> {
        let mut work = registered(command.register, act)?;
        work.accept(false)?;
        work.triage(&command.triage)?;
        work.solve_on_spot(done)?;
        Ok(work.finish())
    }

    /// Its finder put it right on the spot. Nobody verifies himself: by sampling, another organisation does.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine or a requester; `Guard(not_found_on_patrol)`; `Invalid` evidence.
    pub fn solve_on_spot(self, done: &OnTheSpot, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.solve_on_spot(done)?;
        Ok(work.finish())
    }

    /// Somebody on patrol put the matter right while the case is open. Its people read the step and see the references, which
    /// are evidence from now on; no state, no clock and no event moves by it. The lead completes the case, and it is verified,
    /// like any other.
    ///
    /// # Errors
    /// `NotEntitled` for a machine or a requester; `Invalid` evidence; `Guard` `case_archived`, `too_many_remarks`.
    pub fn put_right_on_patrol(
        self,
        before: Vec<(EvidenceKind, String)>,
        after: Vec<(EvidenceKind, String)>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let org = work.human_official()?;
        work.handled_besides(org);
        let reason = Reason::new("put_right_on_patrol")
            .with("before", references(&before))
            .with("after", references(&after));
        work.add_evidence(before.into_iter().chain(after).collect(), None)?;
        work.remark()?;
        Ok(work.finish_with(PUT_RIGHT, Some(reason)))
    }

    /// Somebody on patrol found the matter again while the case is open, and it is not put right. Its people read the step and how
    /// urgent the finder calls it, and see the references, which are evidence from now on; no state, no clock and no event moves by
    /// it. Whoever verifies the case decides by it.
    ///
    /// # Errors
    /// `NotEntitled` for a machine or a requester; `Invalid` evidence; `Guard` `case_archived`, `too_many_remarks`.
    pub fn found_again_on_patrol(
        self,
        before: Vec<(EvidenceKind, String)>,
        urgency: Urgency,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.human_official()?;
        let reason =
            Reason::new("found_again_on_patrol").with("before", references(&before)).with("urgency", urgency);
        work.add_evidence(before, None)?;
        work.remark()?;
        Ok(work.finish_with(FOUND_AGAIN, Some(reason)))
    }

    /// A topic case stands for this one and others from now on. Its state is no matter, and it goes its own way; one that
    /// has a topic keeps it.
    ///
    /// # Errors
    /// `Invalid` when it is the topic case itself.
    pub fn link_to_topic(self, topic: CaseId, act: &Act<'_>) -> Result<Decision> {
        if topic == self.id {
            return Err(DomainError::invalid("topic_case_id", "a case is not its own topic"));
        }
        if self.parent_case.is_some() {
            return Ok(Decision { case: self, events: Vec::new(), timeline: Vec::new() });
        }
        let mut work = Work::begin(self, act);
        work.case.parent_case = Some(topic);
        let reason = Reason::new("linked_to_topic");
        work.emit(DomainEvent::CaseLinkedToTopic { topic_case_id: topic }, Some(reason), None);
        Ok(work.finish())
    }
}

fn references(evidence: &[(EvidenceKind, String)]) -> String {
    let all: Vec<&str> = evidence.iter().map(|(_, reference)| reference.as_str()).collect();
    all.join(", ")
}

impl Work<'_> {
    pub(super) fn solve_on_spot(&mut self, done: &OnTheSpot) -> Result<()> {
        self.permit(Trigger::SolveOnSpot)?;
        let finder = self.human_official()?;
        if self.case.origin != Origin::Patrol {
            let message = "only what was found on patrol is put right by its finder";
            return Err(DomainError::guard("not_found_on_patrol", message));
        }
        let in_time = self.end_accept();
        for kind in [ClockKind::Dispatch, ClockKind::Resolve, ClockKind::Rework] {
            self.stop_clock(kind, None);
        }
        self.clear_supervisions(|_| true);
        let reason = Reason::new("solved_on_spot");
        self.record_plain_routing(RoutingKind::SolvedOnSpot, reason.clone());
        self.add_evidence(done.evidence.clone(), None)?;
        self.handled_by(finder);
        let own = self.routes.org(finder).map(|org| org.kind);
        let by_residents = matches!(own, Some(OrgKind::Committee | OrgKind::SelfGovGroup));
        self.case.delivery_mode =
            Some(if by_residents { DeliveryMode::SelfGovernance } else { DeliveryMode::GovDirect });
        self.case.closed_code = Some(ClosedCode::Resolved);
        self.case.completed_at = Some(self.now);
        self.case.solved_on_spot = true;
        let to = if done.sampled { CaseState::Completed } else { CaseState::Resolved };
        self.enter(to, Trigger::SolveOnSpot)?;
        let event = DomainEvent::CaseSolvedOnSpot { in_time, sampled: done.sampled };
        self.emit(event, Some(reason), None);
        if done.sampled { self.begin_verification() } else { self.close("not_sampled") }
    }
}
