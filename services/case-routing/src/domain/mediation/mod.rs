//! Mediation (人民调解) of a case whose nature is a dispute: voluntary at every step, and free (C-10): nothing in here
//! knows of a price. An aggregate of its own, saved together with its case, which it moves when it ends.
//! Names, terms and notes are sealed elsewhere; here stands only where.

mod after;
mod case;
mod codes;
mod deadline;
mod remedy;
mod table;
mod talks;
#[cfg(test)]
mod tests;
mod work;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::after::CourtAnswered;
pub(super) use self::case::DAY_PASSED;
pub use self::case::{CaseMove, MediationLink};
pub use self::codes::*;
pub use self::deadline::Deadline;
pub use self::remedy::TEXTS;
pub use self::table::{CONFIRMATION_TRANSITIONS, MEDIATION_TRANSITIONS};
pub use self::talks::{AgreementReached, OpenMediation, PartyNamed, Signatures};
pub use self::work::{MediationDecision, MediationEvent};
use super::case::Evidence;
use super::event::Timestamp;
use super::ids::*;
use super::reason::Reason;
use super::rules::Rules;

/// A party. It is known by its number, 1 being the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediationParty {
    pub kind: PartyKind,
    /// A registered person, who may consent and refuse by themselves.
    pub person: Option<Uuid>,
    pub org: Option<OrgId>,
    /// Name and contact, sealed.
    pub text_id: Option<Uuid>,
    /// Consents to the present mediator, having been told the rights.
    pub consented_at: Option<Timestamp>,
    pub signed_at: Option<Timestamp>,
}

/// Who mediates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mediator {
    /// Pseudonym.
    pub person: PersonRef,
    pub org: OrgId,
}

/// A sitting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub held_at: Timestamp,
    /// Notes, sealed.
    pub text_id: Option<Uuid>,
}

/// What the parties agreed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    pub kind: AgreementKind,
    pub agreed_at: Timestamp,
    /// Set when it takes effect.
    pub effective_at: Option<Timestamp>,
    /// Unset: at once.
    pub performance_due_at: Option<Timestamp>,
    /// The mediator signed, and the seal is on it.
    pub sealed_at: Option<Timestamp>,
    /// The terms, sealed.
    pub text_id: Uuid,
}

/// 司法确认.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    pub state: ConfirmationState,
    pub requested_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    pub decided_at: Option<Timestamp>,
    pub extended: bool,
    /// The court's number of the matter.
    pub court_ref: Option<String>,
}

/// A report to the police.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    pub reported_at: Timestamp,
    pub ground_code: String,
}

/// One step, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediationStep {
    /// Version of the mediation after the step.
    pub version: i64,
    /// The verb's code; `deadline_passed` for time, `deadline_moved` for another calendar.
    pub step: String,
    pub state: MediationState,
    pub actor: PersonRef,
    pub org: Option<OrgId>,
    pub at: Timestamp,
    /// Number of the party it is about.
    pub party: Option<u32>,
    pub reason: Option<Reason>,
}

/// A dispute before a mediator. Only the verbs change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mediation {
    pub id: MediationId,
    pub case_id: CaseId,
    /// Grows with every change.
    pub version: i64,
    pub state: MediationState,
    pub origin: MediationOrigin,
    /// 1, and one more each time it is mediated anew.
    pub round: u32,
    pub parties: Vec<MediationParty>,
    pub mediator: Option<Mediator>,
    pub sessions: Vec<Session>,
    pub agreement: Option<Agreement>,
    pub confirmation: Option<Confirmation>,
    pub deadlines: Vec<Deadline>,
    pub escalations: Vec<Escalation>,
    /// Which way is open now, as the parties were told.
    pub remedy: Option<Reason>,
    pub steps: Vec<MediationStep>,
    pub opened_at: Timestamp,
    pub performed_at: Option<Timestamp>,
    /// What the follow-up found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    pub closed_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

impl Mediation {
    /// Whether a registered person is a party.
    #[must_use]
    pub fn has_party(&self, person: Uuid) -> bool {
        self.parties.iter().any(|party| party.person == Some(person))
    }

    /// The lowest version of the calendar that a day which is waited for was counted with; a pass finds mediations by it.
    #[must_use]
    pub fn counted_with(&self) -> Option<u32> {
        self.deadlines.iter().filter_map(Deadline::counted_with).min()
    }

    /// Whether a day that is waited for was counted with an older calendar.
    #[must_use]
    pub fn is_behind(&self, rules: &Rules) -> bool {
        self.deadlines.iter().any(|deadline| deadline.is_behind(rules))
    }

    /// The next instant at which [`Mediation::tick`] has something to do.
    #[must_use]
    pub fn next_timer_at(&self) -> Option<Timestamp> {
        let days = self.deadlines.iter().filter(|deadline| deadline.is_open());
        days.map(|deadline| deadline.due_at).chain(self.never_followed_up()).min()
    }

    /// Since when something is waited for in vain, as long as it has not ended. That nobody asked the court to confirm an
    /// agreement is no delay: they may, within their days.
    #[must_use]
    pub fn overdue_since(&self) -> Option<Timestamp> {
        let missed = self.of_present_agreement().filter(|deadline| {
            let waited_for = deadline.kind != DeadlineKind::RequestConfirmation && deadline.met_at.is_none();
            waited_for && deadline.passed_at.is_some()
        });
        missed.map(|deadline| deadline.due_at).min().filter(|_| !self.state.is_end())
    }

    /// Since when an agreement of an earlier release is in effect that nobody would ever ask after.
    fn never_followed_up(&self) -> Option<Timestamp> {
        let since = self.agreement.as_ref().and_then(|agreement| agreement.effective_at)?;
        let asks = |kind| matches!(kind, DeadlineKind::Performance | DeadlineKind::FollowUp);
        let asked = self.of_present_agreement().any(|deadline| asks(deadline.kind));
        (self.state == MediationState::Effective && !asked).then_some(since)
    }

    /// Its days, but for those of an agreement before the one in effect.
    fn of_present_agreement(&self) -> impl Iterator<Item = &Deadline> {
        let since = self.agreement.as_ref().and_then(|agreement| agreement.effective_at);
        self.deadlines.iter().filter(move |deadline| since.is_none_or(|since| deadline.started_at >= since))
    }
}
