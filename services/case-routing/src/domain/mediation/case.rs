//! What a mediation makes of its case. An agreement in effect completes it; talks that failed, and any mediation that
//! society led, give it back to the public service. A case that is not in progress, or that a department works on while
//! nobody has talked yet, stays where it is: somebody handles it already. So does one whose partner has done its part.

use serde::{Deserialize, Serialize};

use super::super::case::{Case, Supervision};
use super::super::codes::{CaseState, ClosedCode, DeliveryMode, EvidenceKind, Nature, SupervisionState};
use super::super::completion::CompleteCase;
use super::super::error::{DomainError, Result};
use super::super::event::DomainEvent;
use super::super::ids::*;
use super::super::reason::Reason;
use super::super::state::Trigger;
use super::super::work::{Act, Decision, Work};

/// The code under which a case leaves a mediation that came to nothing.
const FAILED: &str = "mediation_failed";
/// The step of the timeline by which the lead need not wait for the parties any more, and its reason.
const OVERDUE: &str = "MediationOverdue";
const TALKS_OVERDUE: &str = "mediation_overdue";

/// Reason of the reminder that a day of a mediation went by.
pub(in super::super) const DAY_PASSED: &str = "mediation_day_passed";

/// The latest mediation of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediationLink {
    pub id: MediationId,
    /// The parties are still to agree: the lead does not complete the case over their heads. Also of a mediation begun
    /// anew while the case is verified: it may come back into the lead's hands.
    pub open: bool,
    /// The day by which they were to agree went by: they may still, but the lead does not wait for them.
    #[serde(default)]
    pub overdue: bool,
    /// Whose mediator has it; unset while nobody does, and until the next step of what an earlier release left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mediator: Option<OrgId>,
}

impl MediationLink {
    /// Whether the lead waits for the parties.
    #[must_use]
    pub const fn is_waited_for(self) -> bool {
        self.open && !self.overdue
    }
}

/// What becomes of the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseMove {
    /// The talks begin, for the first time or anew.
    Open,
    /// The day by which the parties were to agree went by.
    Overdue,
    /// An agreement is in effect.
    Settle {
        /// Whose mediator brought it about.
        org: OrgId,
        delivery_mode: Option<DeliveryMode>,
    },
    /// It ended without one.
    Return {
        /// A session was held: talks have failed.
        talked: bool,
    },
}

impl CaseState {
    /// Whether a case ended otherwise than by being handled: there is nothing left to mediate. What is closed can be
    /// mediated anew when the court does not confirm the agreement.
    #[must_use]
    pub const fn leaves_nothing_to_mediate(self) -> bool {
        matches!(self, Self::NotAccepted | Self::HandedOff | Self::Merged | Self::Withdrawn)
    }
}

impl Case {
    /// Whether a mediation of this case may begin.
    ///
    /// # Errors
    /// `Guard` `not_a_dispute`, `case_state`, `mediation_open`.
    pub fn admits_mediation(&self) -> Result<()> {
        use CaseState::{Dispatched, InProgress, Objected, OfferedToSociety, Signed, Suspended, Triaged};
        if self.nature != Nature::Dispute {
            return Err(DomainError::guard("not_a_dispute", "only disputes are mediated"));
        }
        let handled = matches!(
            self.state,
            Triaged | OfferedToSociety | Dispatched | Objected | Signed | InProgress | Suspended
        );
        if !handled {
            let message = format!("a case that is {} is not mediated", self.state);
            return Err(DomainError::guard("case_state", message));
        }
        if self.mediation.is_some_and(|link| link.open) {
            return Err(DomainError::guard("mediation_open", "the parties are still talking in another one"));
        }
        Ok(())
    }

    /// Whether whoever leads the case has it in hand.
    #[must_use]
    pub const fn is_taken_up(&self) -> bool {
        matches!(self.state, CaseState::InProgress | CaseState::Suspended)
    }

    /// Follows a mediation that ends, or begins. `None`: it moves nothing.
    ///
    /// # Errors
    /// `Guard(mediation_open)` while another one is open.
    pub fn follow_mediation(
        self,
        id: MediationId,
        case_move: CaseMove,
        act: &Act<'_>,
    ) -> Result<Option<Decision>> {
        let other = self.mediation.is_some_and(|link| link.open && link.id != id);
        let own = self.mediation.is_some_and(|link| link.open && link.id == id);
        match case_move {
            CaseMove::Open if other => Err(DomainError::guard("mediation_open", "another one is open")),
            CaseMove::Open => {
                let mut work = Work::begin(self, act);
                work.case.mediation = Some(MediationLink { id, open: true, overdue: false, mediator: None });
                Ok(Some(work.finish()))
            }
            CaseMove::Overdue | CaseMove::Settle { .. } | CaseMove::Return { .. } if !own => Ok(None),
            CaseMove::Overdue => {
                let mut work = Work::begin(self, act);
                work.case.mediation = work.case.mediation.map(|link| MediationLink { overdue: true, ..link });
                Ok(Some(work.finish_with(OVERDUE, Some(Reason::new(TALKS_OVERDUE)))))
            }
            CaseMove::Settle { org, delivery_mode } => {
                let mut work = Work::begin(self, act);
                work.mediation_ended(id);
                work.handled_besides(org);
                if work.case.is_taken_up() {
                    work.settle_dispute(id, delivery_mode)?;
                }
                Ok(Some(work.finish()))
            }
            CaseMove::Return { talked } => {
                let mut work = Work::begin(self, act);
                work.mediation_ended(id);
                // What a partner has done is not taken from it: the case waits for the others only.
                let in_hand = work.case.is_taken_up() && !work.case.partner_is_done();
                if in_hand && (talked || work.led_by_society()) {
                    work.return_from_mediation()?;
                }
                Ok(Some(work.finish()))
            }
        }
    }

    /// A mediation of it went on without moving it. Nobody is told, and the step stands with the mediation; but who reads the case
    /// sees its mediation with it, so the version grows, by which they wait.
    #[must_use]
    pub fn mediation_went_on(self, act: &Act<'_>) -> Decision {
        Work::begin(self, act).finish()
    }

    /// Whose mediator has its latest mediation: while that is open, no complaint about them comes in by a merger.
    #[must_use]
    pub fn mediated_by(mut self, id: MediationId, mediator: Option<OrgId>) -> Self {
        if let Some(link) = self.mediation.as_mut().filter(|link| link.id == id) {
            link.mediator = mediator;
        }
        self
    }

    /// A day of one of its mediations [went by](super::MediationDecision::missed): whoever mediates, else whoever has the case, is
    /// reminded, unless they were and have not answered yet; nobody of a case that is over. Where whoever mediates is complained of,
    /// the lowest that stands above hears of it: another mediator has to take it over. The reminder stands, also when the
    /// case is closed or merged, as long as one of them is `overdue`. `None`: nothing changes.
    #[must_use]
    pub fn remind_of_mediation(
        self,
        mediator: Option<OrgId>,
        missed: bool,
        overdue: bool,
        act: &Act<'_>,
    ) -> Option<Decision> {
        let stands =
            |known: &Supervision| known.reason_code == DAY_PASSED && known.state != SupervisionState::Cleared;
        let subject = |org: OrgId| self.complained_of == Some(org);
        let unanswered = |known: &Supervision| {
            stands(known) && known.state != SupervisionState::Answered && !subject(self.supervised(known))
        };
        let reminds = missed && !self.state.is_terminal();
        if reminds && !self.supervisions.iter().any(unanswered) {
            let mediator = match mediator {
                Some(org) if subject(org) => act.routes.superior_apart(&[org], Some(org), act.now),
                other => other,
            };
            let mut work = Work::begin(self, act);
            work.supervise_org(0, DAY_PASSED, None, None, mediator);
            return Some(work.finish());
        }
        if overdue || !self.supervisions.iter().any(stands) {
            return None;
        }
        let mut work = Work::begin(self, act);
        work.clear_supervisions(stands);
        Some(work.finish())
    }

    /// The public service has it again.
    ///
    /// # Errors
    /// `WrongState`.
    #[cfg(test)]
    pub(in super::super) fn return_from_mediation(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::ReturnFromMediation)?;
        work.return_from_mediation()?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    fn mediation_ended(&mut self, id: MediationId) {
        self.case.mediation = Some(MediationLink { id, open: false, overdue: false, mediator: None });
    }

    /// The agreement is what was done about the matter, and its evidence; whatever else was asked for is not needed.
    fn settle_dispute(&mut self, id: MediationId, delivery_mode: Option<DeliveryMode>) -> Result<()> {
        if self.case.state == CaseState::Suspended {
            self.resume(Some(Reason::new("mediated")))?;
        }
        if delivery_mode.is_some() {
            self.case.delivery_mode = delivery_mode;
        }
        let assists = self.case.tasks.iter().filter(|task| task.state.is_open());
        let waived = assists.map(|task| task.id).filter(|id| Some(*id) != self.case.lead_task).collect();
        let evidence = vec![(EvidenceKind::Document, format!("mediation:{id}"))];
        self.completed(CompleteCase { evidence, closed_code: Some(ClosedCode::Mediated), waived })
    }

    fn led_by_society(&self) -> bool {
        let lead = self.case.lead_org.and_then(|org| self.routes.org(org));
        self.case.confirmed_offer().is_some() || lead.is_some_and(|lead| lead.kind.is_society())
    }

    /// Nobody is left in a queue: the case is routed afresh. What society could do was tried.
    fn return_from_mediation(&mut self) -> Result<()> {
        if self.case.confirmed_offer().is_some() {
            return self.return_from_society(FAILED);
        }
        self.end_suspension();
        self.enter(CaseState::Triaged, Trigger::ReturnFromMediation)?;
        self.cancel_with_lead(FAILED)?;
        let lead = self.case.lead_org.and_then(|org| self.routes.org(org));
        if let Some(lead) = lead.filter(|lead| lead.kind.is_society()) {
            self.exclude(lead.id);
        }
        self.release_lead();
        self.case.left_society = true;
        self.emit(DomainEvent::CaseTriaged { decision: None }, Some(Reason::new(FAILED)), None);
        self.reroute()
    }
}
