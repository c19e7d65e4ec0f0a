//! After the work: verification by a third organisation, call-back, rework, rating, closure, reopening.
//! Silence is never counted as satisfaction.

use serde::{Deserialize, Serialize};

use super::case::{Callback, Case, Verification};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Work, check_code};

/// What an attempt to call the requester back brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackReport {
    /// Reached and answered.
    Reached { resolution: Resolution, grade: Option<u8>, contact_confirmed: bool },
    /// No answer; after the configured number of calls the requester counts as unreached.
    NoAnswer,
}

/// One call, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackAttempt {
    pub at: Timestamp,
    /// Whether somebody answered.
    pub reached: bool,
}

/// The step of the timeline that tells of a call. No event does.
pub(super) const CALLED_BACK: &str = "CallbackRecorded";

/// The verifier's finding.
#[derive(Debug, Clone)]
pub struct VerifyCase {
    pub method: VerifyMethod,
    /// `Resolved` or `PartlyResolved`; what is not resolved goes back as rework.
    pub resolution: Resolution,
    /// Needed when partly resolved, or when the requester says that nothing is.
    pub partly_reason_code: Option<String>,
    /// A call made together with the finding.
    pub callback: Option<CallbackReport>,
    /// What the finding rests on; may be empty.
    pub evidence: Vec<(EvidenceKind, String)>,
}

impl Case {
    /// A third organisation takes the verification, where none was asked by itself.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a requester; `Guard` `verifier_is_handler` and, for the organisation complained of,
    /// `recused` (C-4).
    pub fn start_verification(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::StartVerification)?;
        let verifier = work.human_official()?;
        work.not_complained_of()?;
        if work.case.handling_orgs().contains(&verifier) {
            return Err(DomainError::guard("verifier_is_handler", "who handled a case does not verify it"));
        }
        work.verify_by(verifier)?;
        Ok(work.finish())
    }

    /// An attempt to call the requester back, made now: by the verifier, or once it is resolved by a third organisation, about a
    /// bad rating that awaits judgement.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the verifier's, or a third's; `Guard` `callback_not_due`, `callback_done`,
    /// `callback_too_soon`, `no_bad_rating`; `Invalid` grade.
    pub fn record_callback(self, report: &CallbackReport, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::RecordCallback)?;
        if work.case.state == CaseState::Verifying {
            work.verifier()?;
            work.record_callback(report)?;
        } else {
            work.call_about_rating(report, &work.case.handling_orgs())?;
        }
        Ok(work.finish_with(CALLED_BACK, None))
    }

    /// The verifier confirms the work, on evidence and after the call-back.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard(callback_outstanding)`; `Invalid` resolution, reason or grade.
    pub fn verify(self, command: &VerifyCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Verify)?;
        work.verifier()?;
        work.verify(command)?;
        Ok(work.finish())
    }

    /// The work goes back: the verification failed, or a bad rating is found valid.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the verifier's (or, once resolved, a third organisation's);
    /// `Guard(no_bad_rating)`; `Invalid` code.
    pub fn order_rework(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::OrderRework)?;
        check_code("reason_code", reason_code)?;
        if work.case.state == CaseState::Resolved {
            work.judge(true, reason_code, &work.case.handling_orgs())?;
        } else {
            work.verifier()?;
        }
        work.rework(reason_code)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// Completed: the verify clock starts, and a third organisation is asked if there is one.
    pub(super) fn begin_verification(&mut self) -> Result<()> {
        self.start_clock(ClockKind::Verify, None, self.sla().verify);
        match self.routes.verifier_for(&self.case.kept_from_checks(), self.now) {
            Some(verifier) => self.verify_by(verifier),
            None => Ok(()),
        }
    }

    fn verify_by(&mut self, verifier: OrgId) -> Result<()> {
        self.enter(CaseState::Verifying, Trigger::StartVerification)?;
        self.case.verification = Some(self.begun_by(verifier));
        let verify_due_at = self.case.clock(ClockKind::Verify, None).map_or(self.now, |clock| clock.due_at);
        self.emit(DomainEvent::VerificationStarted { verifier_org_id: verifier, verify_due_at }, None, None);
        Ok(())
    }

    /// A verification in which nothing was found and nobody called yet.
    fn begun_by(&self, verifier: OrgId) -> Verification {
        let not_due = Callback {
            outcome: CallbackOutcome::NotDue,
            resolution: None,
            grade: None,
            contact_confirmed: false,
            at: self.now,
        };
        Verification {
            verifier,
            started_at: self.now,
            attempts: 0,
            calls: Vec::new(),
            callback: (!self.case.callback_due()).then_some(not_due),
            method: None,
            resolution: None,
            evidence_refs: Vec::new(),
            verified_at: None,
        }
    }

    /// The acting party is of the verifying organisation. Where that is the one complained of, whoever had no part in the case
    /// begins anew, as where nobody was asked.
    fn verifier(&mut self) -> Result<OrgId> {
        let verifier = self.case.verification.as_ref().map(|verification| verification.verifier);
        let verifier =
            verifier.ok_or_else(|| DomainError::guard("no_verifier", "nobody verifies this case"))?;
        let org = self.human_official()?;
        self.not_complained_of()?;
        if org == verifier {
            return Ok(verifier);
        }
        if self.case.complained_of == Some(verifier) && !self.case.handling_orgs().contains(&org) {
            self.case.verification = Some(self.begun_by(org));
            return Ok(org);
        }
        Err(DomainError::NotEntitled { code: "verifier" })
    }

    fn record_callback(&mut self, report: &CallbackReport) -> Result<()> {
        let (now, limit, gap) = (self.now, self.sla().callback_attempts, self.sla().callback_gap);
        let (calendar, profile) = (&self.rules.calendar, &self.rules.profile);
        let answered = matches!(report, CallbackReport::Reached { .. });
        let Some(verification) = self.case.verification.as_mut() else {
            return Err(DomainError::guard("no_verifier", "nobody verifies this case"));
        };
        match verification.callback.as_ref().map(|callback| callback.outcome) {
            Some(CallbackOutcome::NotDue) => {
                return Err(DomainError::guard("callback_not_due", "there is nobody to call back"));
            }
            Some(CallbackOutcome::Reached) => {
                return Err(DomainError::guard("callback_done", "the requester was reached already"));
            }
            Some(CallbackOutcome::Unreached) if !answered => {
                return Err(DomainError::guard("callback_done", "the requester counts as unreached already"));
            }
            Some(CallbackOutcome::Unreached) | None => {}
        }
        let last = verification.calls.last().filter(|call| !answered && !call.reached);
        if last.is_some_and(|call| now < calendar.add(gap.unit, gap.n, call.at, profile).at) {
            let message = "the last call that nobody answered was too short a time ago";
            return Err(DomainError::guard("callback_too_soon", message));
        }
        verification.attempts = verification.attempts.saturating_add(1);
        verification.calls.push(CallbackAttempt { at: now, reached: answered });
        let unreached = Callback {
            outcome: CallbackOutcome::Unreached,
            resolution: None,
            grade: None,
            contact_confirmed: false,
            at: now,
        };
        match report {
            CallbackReport::Reached { resolution, grade, contact_confirmed } => {
                if grade.is_some_and(|grade| !(1..=5).contains(&grade)) {
                    return Err(DomainError::invalid("callback_grade", "between 1 and 5"));
                }
                verification.callback = Some(Callback {
                    outcome: CallbackOutcome::Reached,
                    resolution: Some(*resolution),
                    grade: *grade,
                    contact_confirmed: *contact_confirmed,
                    ..unreached
                });
            }
            CallbackReport::NoAnswer if verification.attempts >= limit => {
                verification.callback = Some(unreached);
            }
            CallbackReport::NoAnswer => {}
        }
        Ok(())
    }

    fn verify(&mut self, command: &VerifyCase) -> Result<()> {
        if let Some(report) = &command.callback {
            self.record_callback(report)?;
        }
        match (command.resolution, &command.partly_reason_code) {
            (Resolution::NotResolved, _) => {
                return Err(DomainError::invalid("resolution", "what is not resolved goes back as rework"));
            }
            (Resolution::PartlyResolved, None) => {
                return Err(DomainError::invalid("partly_reason_code", "say why it is only partly resolved"));
            }
            (_, Some(code)) => check_code("partly_reason_code", code)?,
            (_, None) => {}
        }
        let said = self.case.verification.as_ref().and_then(|found| found.callback.as_ref()?.resolution);
        if said == Some(Resolution::NotResolved) && command.partly_reason_code.is_none() {
            let message = "the requester says that it is not resolved: say why it counts as such";
            return Err(DomainError::invalid("partly_reason_code", message));
        }
        let now = self.now;
        let outstanding =
            || DomainError::guard("callback_outstanding", "the requester was not called back enough yet");
        if !command.evidence.is_empty() {
            self.add_evidence(command.evidence.clone(), None)?;
        }
        let Some(verification) = self.case.verification.as_mut() else { return Err(outstanding()) };
        let callback = verification.callback.clone().ok_or_else(outstanding)?;
        verification.method = Some(command.method);
        verification.resolution = Some(command.resolution);
        verification.evidence_refs =
            command.evidence.iter().map(|(_, reference)| reference.clone()).collect();
        verification.verified_at = Some(now);
        let verifier_org_id = verification.verifier;
        // What its requester does not find put right is no success of whoever handled it, whatever the verifier finds. An
        // ending that only explains never claims to be one.
        let explained = self.case.closed_code.is_some_and(ClosedCode::is_explanation);
        let doubted = !explained && said.is_some_and(|said| said != Resolution::Resolved);
        if doubted || command.resolution == Resolution::PartlyResolved {
            self.case.closed_code = Some(ClosedCode::PartlyResolved);
        }
        self.stop_clock(ClockKind::Verify, None);
        self.clear_supervisions(|supervision| !supervision.outlives_the_work());
        self.enter(CaseState::Resolved, Trigger::Verify)?;
        self.approve_tasks()?;
        let rating_due_at = if self.case.rating_due() {
            self.start_clock(ClockKind::RatingWindow, None, self.sla().rating_window)
        } else {
            now
        };
        let event = DomainEvent::CaseVerified {
            verifier_org_id,
            resolution: command.resolution,
            callback: callback.outcome,
            callback_grade: callback.grade,
            contact_confirmed: callback.contact_confirmed,
            callback_resolution: callback.resolution,
            verified_at: now,
            rating_due_at,
        };
        let reason = command.partly_reason_code.as_ref().map(Reason::new);
        self.emit(event, reason, None);
        // Where nobody asked by name, nobody can rate it: there is no window to wait for.
        if self.case.rating_due() { Ok(()) } else { self.close("rating_window_over") }
    }

    fn approve_tasks(&mut self) -> Result<()> {
        let submitted = self.case.tasks.iter().filter(|task| task.state == TaskState::Submitted);
        let submitted: Vec<(TaskId, OrgId)> = submitted.map(|task| (task.id, task.org)).collect();
        for (task_id, org_id) in submitted {
            self.move_task(task_id, TaskState::Approved)?;
            self.emit(DomainEvent::TaskApproved { task_id, org_id }, None, Some(task_id));
        }
        Ok(())
    }

    /// Back to the lead, with the rework clock; without a lead that can do it, routed afresh.
    pub(super) fn rework(&mut self, reason_code: &str) -> Result<()> {
        self.case.rework_count += 1;
        let bad_rating = self.case.state == CaseState::Resolved;
        self.begin_again();
        let works = |org| self.routes.org(org).is_some_and(|org| org.in_force(self.now));
        let lead = self.case.lead().filter(|task| works(task.org));
        let lead = lead.map(|task| (task.id, task.mode));
        let offer = self.case.confirmed_offer().map(|offer| (offer.id, offer.partner));
        let rework_due_at = self.start_clock(ClockKind::Rework, None, self.sla().rework);
        let task_id = lead.map(|(id, _)| id);
        let told = DomainEvent::CaseReworkOrdered {
            task_id,
            offer_id: offer.map(|(id, _)| id).filter(|_| task_id.is_some()),
            reason_code: reason_code.to_owned(),
            rework_due_at: Some(rework_due_at),
        };
        let reason = Reason::new(reason_code);
        if let Some(id) = task_id {
            self.move_task(id, TaskState::Returned)?;
            self.enter(CaseState::InProgress, Trigger::OrderRework)?;
            self.emit(told, Some(reason), Some(id));
            let due_at = if offer.is_some() { self.partner_due() } else { Some(rework_due_at) };
            self.returned(id, due_at, reason_code)?;
        } else {
            self.enter(CaseState::Triaged, Trigger::OrderRework)?;
            self.emit(told, Some(reason), None);
            // It is asked for no other hours, and those for what does not stand do not count.
            if let Some((offer_id, partner)) = offer {
                self.tell_withdrawn(offer_id, partner, "reworked");
            }
            self.cancel_with_lead("reworked")?;
            self.release_lead();
            if let Some(offer) = &mut self.case.offer {
                offer.ended_at.get_or_insert(self.now);
            }
            self.case.left_society = true;
            self.reroute()?;
        }
        if bad_rating {
            self.supervise(2, "bad_rating", Some(ClockKind::Rework), task_id);
        } else if self.case.rework_count > self.sla().rework_max {
            self.supervise(2, "reworked_often", Some(ClockKind::Rework), task_id);
        }
        Ok(())
    }

    /// What was found and said about the last result does not count for the next one.
    pub(super) fn begin_again(&mut self) {
        self.stop_clock(ClockKind::Verify, None);
        self.stop_clock(ClockKind::RatingWindow, None);
        self.stop_clock(ClockKind::Judge, None);
        self.clear_supervisions(|supervision| !supervision.outlives_the_work());
        self.case.verification = None;
        self.case.rating = None;
        self.case.later_calls.clear();
        self.case.completed_at = None;
        self.case.closed_code = None;
        self.case.solved_on_spot = false;
    }
}
