//! After the agreement: in effect, confirmed by the court or not, performed or not. What time brings by itself.

use super::super::case::Evidence;
use super::super::codes::{DeliveryMode, EvidenceKind, OrgKind, UnitKind};
use super::super::error::{DomainError, Result};
use super::super::ids::OrgId;
use super::super::reason::Reason;
use super::super::work::{Act, Party, check_code};
use super::case::CaseMove;
use super::codes::{ConfirmationState as C, DeadlineKind as D, MediationState as S, MediationVerb as V, *};
use super::deadline::{COURT_ACCEPTS, COURT_DECIDES, COURT_DECIDES_EXTENDED, Deadline, REQUEST_CONFIRMATION};
use super::work::{MediationDecision, MediationEvent, Work};
use super::{Confirmation, Mediation, remedy};

/// A party may say so before the day has come.
const REFUSED_TO_PERFORM: &str = "refused_to_perform";

/// What the court said, and under which number.
#[derive(Debug, Clone)]
pub struct CourtAnswered {
    pub answer: CourtAnswer,
    pub court_ref: Option<String>,
}

impl Mediation {
    /// A follow-up found the agreement performed.
    ///
    /// # Errors
    /// `Guard(mediation_state)`; `NotEntitled` unless the mediator's organisation; `Invalid` without evidence.
    pub fn perform(self, evidence: Vec<(EvidenceKind, String)>, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Perform)?;
        work.mediator()?;
        let now = work.now;
        if evidence.is_empty() {
            return Err(DomainError::invalid("evidence_refs", "name what the follow-up found"));
        }
        let found = evidence.into_iter().map(|(kind, reference)| Evidence {
            kind,
            reference,
            at: now,
            task_id: None,
            org_id: act.by.org,
        });
        work.mediation.evidence = found.collect();
        let in_time = work.deadline(D::Performance).is_none_or(|deadline| deadline.in_time(now));
        work.meet(D::Performance);
        work.meet(D::FollowUp);
        work.meet(D::RequestConfirmation);
        work.mediation.performed_at = Some(now);
        work.mediation.remedy = None;
        work.enter(S::Performed, V::Perform, None, None)?;
        let days = work.days_in_effect();
        work.tell(MediationEvent::MediationPerformed { in_time, days });
        Ok(work.finish())
    }

    /// The agreement is not performed; the parties are told of the court.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `not_due_yet` before its day, unless a party says that it will not; `NotEntitled`;
    /// `Invalid` code.
    pub fn breach(self, reason_code: &str, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Breach)?;
        check_code("reason_code", reason_code)?;
        work.mediator()?;
        let now = work.now;
        let due_yet = work.deadline(D::Performance).is_none_or(|deadline| !deadline.in_time(now));
        if !due_yet && reason_code != REFUSED_TO_PERFORM {
            let message = "the day of performance has not come, and no party refuses to perform";
            return Err(DomainError::guard("not_due_yet", message));
        }
        work.meet(D::Performance);
        work.meet(D::FollowUp);
        work.meet(D::RequestConfirmation);
        work.enter(S::Breached, V::Breach, None, Some(Reason::new(reason_code)))?;
        let confirmation = work.mediation.confirmation.as_ref().map(|confirmation| confirmation.state);
        let told = remedy::court(reason_code, confirmation);
        work.mediation.remedy = Some(told.clone());
        let (confirmed, days) = (confirmation == Some(C::Confirmed), work.days_in_effect());
        let reason_code = reason_code.to_owned();
        work.tell(MediationEvent::MediationBreached { reason_code, confirmed, days });
        work.enter(S::ToldOfCourt, V::TellCourt, None, Some(told))?;
        Ok(work.finish())
    }

    /// All parties together ask the court to confirm the agreement.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `confirmation_state`, `confirmation_too_late`; `NotEntitled`.
    pub fn request_confirmation(self, court_ref: Option<String>, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::RequestConfirmation)?;
        work.mediator()?;
        let now = work.now;
        work.confirmation_becomes(C::Requested)?;
        if !work.deadline(D::RequestConfirmation).is_some_and(|deadline| deadline.in_time(now)) {
            let message = "confirmation is asked for within 30 days of the agreement's effect";
            return Err(DomainError::guard("confirmation_too_late", message));
        }
        work.meet(D::RequestConfirmation);
        work.mediation.confirmation = Some(Confirmation {
            state: C::Requested,
            requested_at: now,
            accepted_at: None,
            decided_at: None,
            extended: false,
            court_ref,
        });
        let deadline = Deadline::counted(D::CourtAccepts, COURT_ACCEPTS, now, work.rules);
        work.mediation.deadlines.push(deadline);
        work.stay(V::RequestConfirmation, None, None)?;
        Ok(work.finish())
    }

    /// What the court answered.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `confirmation_state`, `extended_before`; `NotEntitled`.
    pub fn court_answers(self, command: CourtAnswered, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::CourtAnswer)?;
        work.mediator()?;
        let (now, rules) = (work.now, work.rules);
        let to = match command.answer {
            CourtAnswer::Accepted | CourtAnswer::Extended => C::Accepted,
            CourtAnswer::NotAccepted => C::NotAccepted,
            CourtAnswer::Confirmed => C::Confirmed,
            CourtAnswer::NotConfirmed => C::NotConfirmed,
        };
        let known = work.mediation.confirmation.as_ref().map(|confirmation| confirmation.state);
        let again = known == Some(C::Accepted) && command.answer == CourtAnswer::Accepted;
        if again || (known == Some(C::Requested) && command.answer == CourtAnswer::Extended) {
            let message = "the court takes the request first, once; then it may extend its time";
            return Err(DomainError::guard("confirmation_state", message));
        }
        work.confirmation_becomes(to)?;
        let Some(confirmation) = work.mediation.confirmation.as_mut() else {
            return Err(work.wrong_state(V::CourtAnswer));
        };
        if command.court_ref.is_some() {
            confirmation.court_ref = command.court_ref;
        }
        match command.answer {
            CourtAnswer::Accepted => {
                confirmation.accepted_at = Some(now);
                work.meet(D::CourtAccepts);
                let deadline = Deadline::counted(D::CourtDecides, COURT_DECIDES, now, rules);
                work.mediation.deadlines.push(deadline);
            }
            CourtAnswer::Extended if confirmation.extended => {
                return Err(DomainError::guard("extended_before", "the court's time is extended once"));
            }
            CourtAnswer::Extended => {
                confirmation.extended = true;
                if let Some(deadline) = work.deadline(D::CourtDecides) {
                    deadline.extend(COURT_DECIDES_EXTENDED, rules);
                    deadline.passed_at = None;
                }
            }
            CourtAnswer::NotAccepted | CourtAnswer::NotConfirmed => {
                confirmation.decided_at = Some(now);
                work.meet(D::CourtAccepts);
                work.meet(D::CourtDecides);
                // Who was told of the court already knows more.
                if work.mediation.state == S::Effective {
                    work.mediation.remedy = Some(remedy::not_confirmed(to));
                }
            }
            CourtAnswer::Confirmed => {
                confirmation.decided_at = Some(now);
                work.meet(D::CourtDecides);
            }
        }
        work.stay(V::CourtAnswer, None, Some(Reason::new(command.answer.as_str())))?;
        Ok(work.finish())
    }

    /// Begins anew after the court did not confirm the agreement; every party is asked again.
    ///
    /// # Errors
    /// `Guard` `mediation_state`, `agreement_stands`; `NotEntitled`.
    pub fn remediate(self, act: &Act<'_>) -> Result<MediationDecision> {
        let mut work = Work::begin(self, act);
        work.permit(V::Remediate)?;
        work.mediator()?;
        work.not_confirmed()?;
        work.begin_anew()?;
        Ok(work.finish())
    }

    /// Counts the days that are waited for with the calendar in force. `None`: they are already.
    #[must_use]
    pub fn follow_calendar(self, act: &Act<'_>) -> Option<MediationDecision> {
        self.is_behind(act.rules).then(|| Work::begin(self, act).finish())
    }

    /// Notes the days that went by, in their order. `None`: none did.
    #[must_use]
    pub fn tick(self, act: &Act<'_>) -> Option<MediationDecision> {
        if self.next_timer_at().is_none_or(|at| at > act.now) {
            return None;
        }
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        let (now, rules) = (work.now, work.rules);
        if let Some(since) = work.mediation.never_followed_up() {
            let follow_up = Deadline::counted(D::FollowUp, rules.mediation_follow_up, since, rules);
            work.mediation.deadlines.push(follow_up);
        }
        let mut over: Vec<_> = work.mediation.deadlines.iter_mut().collect();
        over.retain(|deadline| deadline.is_open() && deadline.due_at <= now);
        over.sort_by_key(|deadline| deadline.due_at);
        let kinds: Vec<D> = over
            .into_iter()
            .map(|deadline| {
                deadline.passed_at = Some(now);
                deadline.kind
            })
            .collect();
        if kinds.contains(&D::Talks) {
            work.case_move = Some(CaseMove::Overdue);
        }
        let awaited = kinds.iter().any(|kind| *kind != D::RequestConfirmation);
        work.missed = awaited && work.mediation.overdue_since().is_some();
        for kind in kinds {
            work.note("deadline_passed", None, Some(Reason::new("deadline_over").with("deadline", kind)));
        }
        Some(work.finish())
    }
}

impl Work<'_> {
    /// The court said no to the agreement: only then is it given up.
    pub(super) fn not_confirmed(&self) -> Result<()> {
        match &self.mediation.confirmation {
            Some(confirmation) if confirmation.state == C::NotConfirmed => Ok(()),
            _ => Err(DomainError::guard("agreement_stands", "the agreement is in effect: perform it")),
        }
    }

    /// The agreement is in effect: what is due from now on, and the case is done.
    pub(super) fn take_effect(&mut self) -> Result<()> {
        self.enter(S::Effective, V::TakeEffect, None, None)?;
        self.meet(D::Talks);
        let (now, rules) = (self.now, self.rules);
        let org = self.mediator()?;
        let wrong = self.wrong_state(V::TakeEffect);
        let agreement = self.mediation.agreement.as_mut().ok_or(wrong)?;
        agreement.effective_at = Some(now);
        let (kind, performance_due_at) = (agreement.kind, agreement.performance_due_at);
        let confirm = Deadline::counted(D::RequestConfirmation, REQUEST_CONFIRMATION, now, rules);
        self.mediation.deadlines.push(confirm);
        // Somebody asks after what is to be done at once, too.
        self.mediation.deadlines.push(match performance_due_at {
            Some(due_at) => Deadline::on(D::Performance, now, due_at.max(now)),
            None => Deadline::counted(D::FollowUp, rules.mediation_follow_up, now, rules),
        });
        let unit = self.routes.org(org).map(|org| org.unit);
        let level = unit.and_then(|unit| self.routes.unit(unit)).map(|unit| unit.kind);
        let event = MediationEvent::MediationAgreed {
            kind,
            mediator_org: org,
            mediator_unit: unit,
            within_community: level.is_some_and(|level| level >= UnitKind::Community),
            performance_due_at,
            days: self.days_since(self.mediation.opened_at),
            session_count: self.session_count(),
            round: self.mediation.round,
        };
        self.tell(event);
        self.case_move = Some(CaseMove::Settle { org, delivery_mode: self.delivery_mode(org) });
        Ok(())
    }

    /// A committee's or group's own mediation is self-governance; else it is as the case's lead delivers.
    fn delivery_mode(&self, org: OrgId) -> Option<DeliveryMode> {
        let kind = self.routes.org(org).map(|org| org.kind)?;
        matches!(kind, OrgKind::Committee | OrgKind::SelfGovGroup).then_some(DeliveryMode::SelfGovernance)
    }

    fn days_in_effect(&self) -> u32 {
        let since = self.mediation.agreement.as_ref().and_then(|agreement| agreement.effective_at);
        since.map_or(0, |since| self.days_since(since))
    }
}
