//! After the work: verification by a third organisation, call-back, rework, rating, closure, reopening.
//! Silence is never counted as satisfaction.

use calendar::TimeUnit;

use super::case::{Callback, Case, Rating, Verification};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::*;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Standing, Work, check_code};

/// What an attempt to call the requester back brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallbackReport {
    /// Reached and answered.
    Reached { resolution: Resolution, grade: Option<u8>, contact_confirmed: bool },
    /// No answer to so many calls; after the configured number the requester counts as unreached.
    NoAnswer { attempts: u8 },
}

/// The verifier's finding.
#[derive(Debug, Clone)]
pub struct VerifyCase {
    pub method: VerifyMethod,
    /// `Resolved` or `PartlyResolved`; what is not resolved goes back as rework.
    pub resolution: Resolution,
    /// Needed when partly resolved.
    pub partly_reason_code: Option<String>,
    /// A call made together with the finding.
    pub callback: Option<CallbackReport>,
}

impl Case {
    /// A third organisation takes the verification, where none was asked by itself.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a requester; `Guard(verifier_is_handler)` (C-4).
    pub fn start_verification(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::StartVerification)?;
        let verifier = work.human_official()?;
        if work.case.handling_orgs().contains(&verifier) {
            return Err(DomainError::guard("verifier_is_handler", "who handled a case does not verify it"));
        }
        work.verify_by(verifier)?;
        Ok(work.finish())
    }

    /// An attempt to call the requester back.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the verifier's; `Guard` `callback_not_due`, `callback_done`;
    /// `Invalid` grade.
    pub fn record_callback(self, report: &CallbackReport, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RecordCallback)?;
        work.verifier()?;
        work.record_callback(report)?;
        Ok(work.finish())
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
            work.judge(true)?;
        } else {
            work.verifier()?;
        }
        work.rework(reason_code)?;
        Ok(work.finish())
    }

    /// The requester rates; 3 and better closes the case. Late ratings are taken within the reopen window.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a stranger; `Guard` `rated_before`, `rating_too_late`;
    /// `Invalid` grade.
    pub fn rate(self, grade: u8, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Rate)?;
        work.rate(grade)?;
        Ok(work.finish())
    }

    /// A third organisation judges a bad rating: valid means rework (or reopening), else the case closes.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a machine; `Guard(no_bad_rating)`.
    pub fn judge_rating(self, valid: bool, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::JudgeRating)?;
        work.judge(valid)?;
        match (work.case.state, valid) {
            (CaseState::Resolved, true) => work.rework("bad_rating")?,
            (CaseState::Resolved, false) => work.close("rating_not_valid")?,
            (_, true) => {
                work.reopen("late_bad_rating")?;
                work.supervise(2, "bad_rating", Some(ClockKind::Resolve), None);
            }
            (_, false) => {}
        }
        Ok(work.finish())
    }

    /// Closes a resolved case once it was rated, or the time for rating is over.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `rating_window_open`, `rating_unjudged`, `incomplete_record` (C-6).
    pub fn close(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Close)?;
        let rated = work.case.rating.is_some();
        let window = work.case.clock(ClockKind::RatingWindow, None).is_some_and(|clock| clock.is_open());
        if !rated && window {
            return Err(DomainError::guard("rating_window_open", "the requester can still rate"));
        }
        work.close(if rated { "rated_good" } else { "rating_window_over" })?;
        Ok(work.finish())
    }

    /// Opens a closed case again for new facts.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a stranger; `Guard(reopen_window_over)`; `Invalid` code.
    pub fn reopen(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Reopen)?;
        check_code("reason_code", reason_code)?;
        if !work.is_requester() && work.by.standing == Standing::Requester {
            return Err(DomainError::NotEntitled { code: "requester" });
        }
        if !work.within_reopen_window() {
            return Err(DomainError::guard(
                "reopen_window_over",
                "the time to reopen is over; register a new case",
            ));
        }
        work.reopen(reason_code)?;
        Ok(work.finish())
    }

    /// Retention takes over.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `retention_not_reached`, `rating_unjudged`.
    pub fn archive(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Archive)?;
        work.archive()?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// Completed: the verify clock starts, and a third organisation is asked if there is one.
    pub(super) fn begin_verification(&mut self) -> Result<()> {
        self.start_clock(ClockKind::Verify, None, self.sla().verify);
        match self.routes.verifier_for(&self.case.handling_orgs()) {
            Some(verifier) => self.verify_by(verifier),
            None => Ok(()),
        }
    }

    fn verify_by(&mut self, verifier: OrgId) -> Result<()> {
        self.enter(CaseState::Verifying, Trigger::StartVerification)?;
        let not_due = Callback {
            outcome: CallbackOutcome::NotDue,
            resolution: None,
            grade: None,
            contact_confirmed: false,
            at: self.now,
        };
        self.case.verification = Some(Verification {
            verifier,
            started_at: self.now,
            attempts: 0,
            callback: (!self.case.callback_due()).then_some(not_due),
            method: None,
            resolution: None,
            verified_at: None,
        });
        let verify_due_at = self.case.clock(ClockKind::Verify, None).map_or(self.now, |clock| clock.due_at);
        self.emit(DomainEvent::VerificationStarted { verifier_org_id: verifier, verify_due_at }, None, None);
        Ok(())
    }

    /// The acting party is of the verifying organisation.
    fn verifier(&self) -> Result<OrgId> {
        let verifier = self.case.verification.as_ref().map(|verification| verification.verifier);
        let verifier =
            verifier.ok_or_else(|| DomainError::guard("no_verifier", "nobody verifies this case"))?;
        if self.human_official()? == verifier {
            Ok(verifier)
        } else {
            Err(DomainError::NotEntitled { code: "verifier" })
        }
    }

    fn record_callback(&mut self, report: &CallbackReport) -> Result<()> {
        let (now, limit) = (self.now, self.sla().callback_attempts);
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
            Some(CallbackOutcome::Unreached) | None => {}
        }
        let made = match report {
            CallbackReport::Reached { .. } => 1,
            CallbackReport::NoAnswer { attempts } => (*attempts).max(1),
        };
        verification.attempts = verification.attempts.saturating_add(made);
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
            CallbackReport::NoAnswer { .. } if verification.attempts >= limit => {
                verification.callback = Some(unreached)
            }
            CallbackReport::NoAnswer { .. } => {}
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
        let now = self.now;
        let outstanding =
            || DomainError::guard("callback_outstanding", "the requester was not called back yet");
        let Some(verification) = self.case.verification.as_mut() else { return Err(outstanding()) };
        let callback = verification.callback.clone().ok_or_else(outstanding)?;
        verification.method = Some(command.method);
        verification.resolution = Some(command.resolution);
        verification.verified_at = Some(now);
        let verifier_org_id = verification.verifier;
        if command.resolution == Resolution::PartlyResolved {
            self.case.closed_code = Some(ClosedCode::PartlyResolved);
        }
        self.stop_clock(ClockKind::Verify, None);
        self.clear_supervisions(|_| true);
        self.enter(CaseState::Resolved, Trigger::Verify)?;
        self.approve_tasks()?;
        let rating_due_at = if self.case.callback_due() {
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
        // Nobody can rate an anonymous case: there is no window to wait for.
        if self.case.callback_due() { Ok(()) } else { self.close("rating_window_over") }
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
    fn rework(&mut self, reason_code: &str) -> Result<()> {
        self.case.rework_count += 1;
        let bad_rating = self.case.state == CaseState::Resolved;
        self.begin_again();
        let lead = self.case.lead().filter(|task| self.routes.org(task.org).is_some_and(|org| org.active));
        let lead = lead.map(|task| (task.id, task.mode));
        let offer_id = self.case.confirmed_offer().map(|offer| offer.id);
        let rework_due_at = self.start_clock(ClockKind::Rework, None, self.sla().rework);
        let task_id = lead.map(|(id, _)| id);
        let told = DomainEvent::CaseReworkOrdered {
            task_id,
            offer_id: offer_id.filter(|_| task_id.is_some()),
            reason_code: reason_code.to_owned(),
            rework_due_at: Some(rework_due_at),
        };
        let reason = Reason::new(reason_code);
        if let Some(id) = task_id {
            self.move_task(id, TaskState::Returned)?;
            self.enter(CaseState::InProgress, Trigger::OrderRework)?;
            self.emit(told, Some(reason), Some(id));
            let due_at = if offer_id.is_some() { self.partner_due() } else { Some(rework_due_at) };
            self.returned(id, due_at, reason_code)?;
        } else {
            self.enter(CaseState::Triaged, Trigger::OrderRework)?;
            self.emit(told, Some(reason), None);
            self.cancel_live_tasks("reworked")?;
            self.release_lead();
            if let Some(offer) = &mut self.case.offer {
                offer.ended_at.get_or_insert(self.now);
            }
            self.case.left_society = true;
            self.reroute()?;
        }
        if bad_rating {
            self.supervise(2, "bad_rating", Some(ClockKind::Rework), task_id);
        }
        Ok(())
    }

    /// What was found and said about the last result does not count for the next one.
    fn begin_again(&mut self) {
        self.stop_clock(ClockKind::Verify, None);
        self.stop_clock(ClockKind::RatingWindow, None);
        self.clear_supervisions(|_| true);
        self.case.verification = None;
        self.case.rating = None;
        self.case.completed_at = None;
        self.case.closed_code = None;
    }

    fn rate(&mut self, grade: u8) -> Result<()> {
        if !(1..=5).contains(&grade) {
            return Err(DomainError::invalid("grade", "between 1 and 5"));
        }
        // An agent may write down what the requester says; nobody rates their own work.
        let on_behalf = self.by.standing == Standing::Official
            && self.by.org.is_some_and(|org| !self.case.handling_orgs().contains(&org));
        if !self.is_requester() && !on_behalf {
            return Err(DomainError::NotEntitled { code: "requester" });
        }
        if self.case.rating.is_some() {
            return Err(DomainError::guard("rated_before", "this result was rated already"));
        }
        let late = self.case.state == CaseState::Closed;
        if late && !self.within_reopen_window() {
            return Err(DomainError::guard("rating_too_late", "the time for late ratings is over"));
        }
        self.stop_clock(ClockKind::RatingWindow, None);
        self.case.rating = Some(Rating { grade, at: self.now, late, valid: None });
        let org_id = self.case.lead_org.or(Some(self.case.first_receiver));
        self.emit(DomainEvent::RatingReceived { grade, org_id, anonymous: self.case.anonymous }, None, None);
        if grade >= 3 && !late { self.close("rated_good") } else { Ok(()) }
    }

    fn judge(&mut self, valid: bool) -> Result<()> {
        let org = self.human_official()?;
        if self.case.handling_orgs().contains(&org) {
            return Err(DomainError::NotEntitled { code: "rating_judge" });
        }
        let bad = self.case.rating.as_mut().filter(|rating| rating.awaits_judgement());
        let rating =
            bad.ok_or_else(|| DomainError::guard("no_bad_rating", "no bad rating awaits judgement"))?;
        rating.valid = Some(valid);
        let grade = rating.grade;
        self.emit(DomainEvent::RatingJudged { grade, valid }, None, None);
        Ok(())
    }

    pub(super) fn close(&mut self, why: &str) -> Result<()> {
        if self.case.rating.as_ref().is_some_and(Rating::awaits_judgement) {
            return Err(DomainError::guard("rating_unjudged", "a bad rating awaits judgement"));
        }
        let complete = !self.case.routing.is_empty() && !self.case.evidence.is_empty();
        if !complete || self.case.delivery_mode.is_none() {
            let message = "a closed case has a routing decision, evidence and a delivery mode";
            return Err(DomainError::guard("incomplete_record", message));
        }
        self.enter(CaseState::Closed, Trigger::Close)?;
        let code = self.case.closed_code.unwrap_or(ClosedCode::Resolved);
        let offer_id = self.case.confirmed_offer().map(|offer| offer.id);
        self.end(code);
        let retention = self.item().and_then(|item| item.retention_days).unwrap_or(self.rules.retention_days);
        self.case.archive_at = Some(self.now + chrono::TimeDelta::days(i64::from(retention)));
        let rated = self.case.rating.is_some();
        self.emit(
            DomainEvent::CaseClosed { closed_at: self.now, rated, offer_id },
            Some(Reason::new(why)),
            None,
        );
        Ok(())
    }

    fn within_reopen_window(&self) -> bool {
        let (days, profile) = (self.sla().reopen_days, &self.rules.profile);
        self.case.closed_at.is_some_and(|closed_at| {
            self.now <= self.rules.calendar.add(TimeUnit::CalDay, days, closed_at, profile).at
        })
    }

    fn reopen(&mut self, reason_code: &str) -> Result<()> {
        self.enter(CaseState::Triaged, Trigger::Reopen)?;
        self.case.reopen_count += 1;
        self.begin_again();
        self.case.closed_at = None;
        self.case.archive_at = None;
        self.case.objection = None;
        self.case.left_society = true;
        if let Some(offer) = &mut self.case.offer {
            offer.ended_at.get_or_insert(self.now);
        }
        self.release_lead();
        self.start_clock(ClockKind::Resolve, None, self.resolve_limit());
        let reason = Reason::new(reason_code);
        self.emit(DomainEvent::CaseReopened { reason_code: reason_code.to_owned() }, Some(reason), None);
        self.reroute()
    }

    pub(super) fn archive(&mut self) -> Result<()> {
        if self.case.archive_at.is_none_or(|at| self.now < at) {
            return Err(DomainError::guard(
                "retention_not_reached",
                "the case is kept until its retention ends",
            ));
        }
        if self.case.rating.as_ref().is_some_and(Rating::awaits_judgement) {
            return Err(DomainError::guard("rating_unjudged", "a bad rating awaits judgement"));
        }
        self.enter(CaseState::Archived, Trigger::Archive)?;
        self.case.archive_at = None;
        self.emit(DomainEvent::CaseArchived {}, Some(Reason::new("retention_reached")), None);
        Ok(())
    }
}
