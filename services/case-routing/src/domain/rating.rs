//! Rating, closure, reopening, archiving. Bad ratings are judged by a third organisation; a late one found
//! valid opens the case again.

use calendar::TimeUnit;

use super::case::{Case, Rating};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::OrgId;
use super::reason::Reason;
use super::rules::Rules;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Standing, Work, check_code};

/// The code under which the timeline tells that an official wrote a rating down.
pub(super) const ON_BEHALF: &str = "rated_on_behalf";

/// What the requester says is not put aside unheard, least of all by whoever it is about.
pub(super) fn unjudged() -> DomainError {
    DomainError::guard("rating_unjudged", "a bad rating awaits judgement")
}

/// Nobody tells what a requester says whom nobody has asked.
pub(super) fn not_reached() -> DomainError {
    let message = "the requester was not reached by a call-back about this result";
    DomainError::guard("requester_not_reached", message)
}

impl Case {
    /// The requester rates; 3 and better closes the case. Late ratings are taken within the reopen window. An official
    /// writes down what the requester said when called back about this result.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a stranger; `Guard` `rated_before`, `rating_too_late`,
    /// `requester_not_reached`; `Invalid` grade.
    pub fn rate(self, grade: u8, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::Rate)?;
        work.rate(grade)?;
        Ok(work.finish())
    }

    /// A third organisation judges a bad rating: valid means rework (or reopening), else the case closes, once the requester was
    /// called about it. The reason may be empty.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a handler or a machine; `Guard` `recused` for the organisation complained of,
    /// `no_bad_rating`, `callback_outstanding`; `Invalid` code.
    pub fn judge_rating(self, valid: bool, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::JudgeRating)?;
        work.judge(valid, reason_code, &work.case.handling_orgs())?;
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

    /// Opens a closed case again for new facts. A late bad rating is judged first; where its requester does not wait for that, it
    /// counts as valid.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a stranger; `Guard` `reopen_window_over`, and `rating_unjudged` for officials; `Invalid`
    /// code.
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
        if !work.is_requester() && work.case.awaits_judgement() {
            return Err(unjudged());
        }
        let bad = work.hold_rating_valid("rating_stands");
        work.reopen(reason_code)?;
        if bad {
            work.supervise(2, "bad_rating", Some(ClockKind::Resolve), None);
        }
        Ok(work.finish())
    }

    /// Until when a closed case may be opened again, and rated; `None` for one that is not closed.
    #[must_use]
    pub fn reopenable_until(&self, rules: &Rules, routes: &RoutingTable) -> Option<Timestamp> {
        let rules = rules.at(routes.path_now(&self.place));
        let item = self.item.as_ref().and_then(|item| routes.item_version(&item.code, item.version));
        let days = rules.sla_for(item.map(std::convert::AsRef::as_ref), self.urgency).reopen_days;
        Some(rules.calendar.add(TimeUnit::CalDay, days, self.closed_at?, &rules.profile).at)
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
    fn rate(&mut self, grade: u8) -> Result<()> {
        if !(1..=5).contains(&grade) {
            return Err(DomainError::invalid("grade", "between 1 and 5"));
        }
        let on_behalf = self.rates_on_behalf(&self.case.handling_orgs())?;
        if self.case.rating.is_some() {
            return Err(DomainError::guard("rated_before", "this result was rated already"));
        }
        let late = self.case.state == CaseState::Closed;
        if late && !self.within_reopen_window() {
            return Err(DomainError::guard("rating_too_late", "the time for late ratings is over"));
        }
        // What was said of an earlier result went with it.
        let call = self.case.verification.as_ref().and_then(|verification| verification.callback.as_ref());
        if on_behalf && call.is_none_or(|call| call.outcome != CallbackOutcome::Reached) {
            return Err(not_reached());
        }
        self.stop_clock(ClockKind::RatingWindow, None);
        let org_id = self.case.lead_org.or(Some(self.case.first_receiver));
        self.rated(Rating { on_behalf, ..Rating::given(grade, self.now, late) }, org_id);
        self.await_judgement(&self.case.handling_orgs());
        if grade >= 3 && !late { self.close("rated_good") } else { Ok(()) }
    }

    /// Whether an official writes down what the requester says. Nobody rates their own work.
    pub(super) fn rates_on_behalf(&self, handlers: &[OrgId]) -> Result<bool> {
        if self.is_requester() {
            return Ok(false);
        }
        let barred = |org: &OrgId| handlers.contains(org) || self.case.complained_of == Some(*org);
        let third = self.by.org.is_some_and(|org| !barred(&org));
        if self.by.standing == Standing::Official && third {
            Ok(true)
        } else {
            Err(DomainError::NotEntitled { code: "requester" })
        }
    }

    /// A rating is given, and told with whether it is in the requester's own hand.
    pub(super) fn rated(&mut self, rating: Rating, org_id: Option<OrgId>) {
        let (grade, on_behalf, anonymous) = (rating.grade, rating.on_behalf, self.case.anonymous);
        self.case.rating = Some(rating);
        self.case.later_calls.clear();
        let reason = on_behalf.then(|| Reason::new(ON_BEHALF));
        self.emit(DomainEvent::RatingReceived { grade, org_id, anonymous, on_behalf }, reason, None);
    }

    /// A bad rating is checked within a limit. Whoever verified what it is about sees to that, else another organisation that
    /// verifies, else the lowest that stands above those who handled it; never the one complained of.
    pub(super) fn await_judgement(&mut self, handlers: &[OrgId]) {
        let (routes, now, aside) = (self.routes, self.now, self.case.complained_of);
        let verifier = self.case.verification.as_ref().map(|verification| verification.verifier);
        let Some(rating) = self.case.rating.as_mut().filter(|rating| rating.awaits_judgement()) else {
            return;
        };
        let barred: Vec<OrgId> = handlers.iter().copied().chain(aside).collect();
        let third = verifier.filter(|org| !barred.contains(org));
        let third = third.or_else(|| routes.verifier_for(&barred, now));
        rating.judge = third.or_else(|| routes.superior_apart(handlers, aside, now));
        self.start_clock(ClockKind::Judge, None, self.rules.judge);
    }

    /// None of those who handled what was rated judges it, nor the organisation complained of.
    pub(super) fn judge(&mut self, valid: bool, reason_code: &str, handlers: &[OrgId]) -> Result<()> {
        let org = self.human_official()?;
        self.not_complained_of()?;
        if handlers.contains(&org) {
            return Err(DomainError::NotEntitled { code: "rating_judge" });
        }
        let why = (!reason_code.is_empty()).then(|| reason_code.to_owned());
        if let Some(code) = &why {
            check_code("reason_code", code)?;
        }
        if !self.case.rating.as_ref().is_some_and(Rating::awaits_judgement) {
            return Err(DomainError::guard("no_bad_rating", "no bad rating awaits judgement"));
        }
        if !valid && self.case.callback_due() && self.later_calls(None).is_none() {
            let message = "the requester was not called enough about the rating yet";
            return Err(DomainError::guard("callback_outstanding", message));
        }
        if let Some(rating) = &mut self.case.rating {
            rating.judge_reason.clone_from(&why);
        }
        self.rating_judged(valid, why.map(Reason::new));
        Ok(())
    }

    /// A bad rating that nobody has judged yet counts as valid, where the work begins anew without that. Gives whether there was
    /// one.
    pub(super) fn hold_rating_valid(&mut self, why: &str) -> bool {
        let unjudged = self.case.awaits_judgement();
        if unjudged {
            self.rating_judged(true, Some(Reason::new(why)));
        }
        unjudged
    }

    fn rating_judged(&mut self, valid: bool, why: Option<Reason>) {
        let callback = self.later_calls(None);
        let Some(rating) = &mut self.case.rating else { return };
        rating.valid = Some(valid);
        rating.callback = callback;
        let grade = rating.grade;
        self.stop_clock(ClockKind::Judge, None);
        self.clear_supervisions(|supervision| supervision.clock == Some(ClockKind::Judge));
        self.emit(DomainEvent::RatingJudged { grade, valid, callback }, why, None);
    }

    pub(super) fn close(&mut self, why: &str) -> Result<()> {
        if self.case.awaits_judgement() {
            return Err(unjudged());
        }
        let complete = !self.case.routing.is_empty() && !self.case.evidence.is_empty();
        if !complete || self.case.delivery_mode.is_none() {
            let message = "a closed case has a routing decision, evidence and a delivery mode";
            return Err(DomainError::guard("incomplete_record", message));
        }
        self.enter(CaseState::Closed, Trigger::Close)?;
        let code = self.case.closed_code.unwrap_or(ClosedCode::Resolved);
        let offer_id = self.case.offer_to_settle().map(|offer| offer.id);
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
        self.case.reopenable_until(self.rules, self.routes).is_some_and(|until| self.now <= until)
    }

    pub(super) fn reopen(&mut self, reason_code: &str) -> Result<()> {
        self.enter(CaseState::Triaged, Trigger::Reopen)?;
        self.follow_merger();
        self.case.reopen_count += 1;
        self.begin_again();
        self.case.closed_at = None;
        self.case.archive_at = None;
        self.case.objection = None;
        self.forget_objections();
        self.case.left_society = true;
        self.case.stages.clear();
        if let Some(offer) = &mut self.case.offer {
            offer.ended_at.get_or_insert(self.now);
        }
        self.release_lead();
        self.start_resolve();
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
        if self.case.awaits_judgement() {
            return Err(unjudged());
        }
        self.enter(CaseState::Archived, Trigger::Archive)?;
        self.case.archive_at = None;
        // What never came is not asked for any more.
        if let Some(face) = &mut self.case.application {
            face.papers_due_at = None;
        }
        self.clear_supervisions(|_| true);
        self.emit(DomainEvent::CaseArchived {}, Some(Reason::new("retention_reached")), None);
        Ok(())
    }
}
