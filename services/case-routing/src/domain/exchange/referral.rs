//! What becomes of a case that was referred to another system: whether the referral gets through, and its way back when that system
//! sends it back or somebody takes it back.

use super::super::{
    case::{Case, Supervision},
    codes::{CaseState, ClockKind, RoutingKind, SupervisionState},
    error::{DomainError, Result},
    event::{DomainEvent, Timestamp},
    reason::Reason,
    state::Trigger,
    work::{Act, Decision, Party, Work, check_code},
};
use super::Reported;

/// Why somebody is reminded of a referral that does not get through, or of words to it that do not.
const UNDELIVERED: &str = "referral_undelivered";

/// The step by which the people of a case learn that its referral is not tried any more.
const GIVEN_UP: &str = "ReferralUndelivered";

/// Whether it is the reminder of a referral that does not get through.
fn is_undelivered(known: &Supervision) -> bool {
    known.reason_code == UNDELIVERED && known.state != SupervisionState::Cleared
}

impl Case {
    /// Another system said how a case that was referred to it stands there, and its people read it in the timeline. The case
    /// stays where it is, unless everybody whom it was referred to has sent it back.
    ///
    /// # Errors
    /// None that can be brought about.
    pub fn referral_reported(
        self,
        system: &str,
        reported: &Reported,
        all_returned: bool,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        if reported.returned && all_returned && work.returnable_line().is_some() {
            work.return_from_referral(system, &reported.status)?;
            return Ok(work.finish());
        }
        let reason = Reason::new("referral_reported").with("system", system).with("status", &reported.status);
        Ok(work.finish_with("ReferralReported", Some(reason)))
    }

    /// Another system still says how a referral stands there that was taken back from it: it is noted, and nothing moves.
    ///
    /// # Errors
    /// None that can be brought about.
    pub fn taken_back_reported(self, system: &str, reported: &Reported, act: &Act<'_>) -> Result<Decision> {
        let work = Work::begin(self, act);
        let reason =
            Reason::new("taken_back_reported").with("system", system).with("status", &reported.status);
        Ok(work.finish_with("ReferralReported", Some(reason)))
    }

    /// What the case was referred by, or what was said of it since, is not delivered, as far as anybody knows, and is not tried any more
    /// until an operator retries it, or waits in vain for its system to take it: its people read that.
    /// Nobody has the case then and no clock runs, so whoever received it is reminded, or where that is complained of whoever
    /// dispatches instead: to have it retried, or to take the case back.
    ///
    /// # Errors
    /// None that can be brought about.
    pub fn referral_undelivered(self, system: &str, waits: bool, act: &Act<'_>) -> Result<Decision> {
        let reminded = self.is_undelivered();
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        if work.case.state == CaseState::HandedOff && !reminded {
            let org = work.stands_in();
            work.supervise_org(0, UNDELIVERED, None, None, Some(org));
        }
        let code = if waits { "referral_not_taken" } else { "referral_given_up" };
        let reason = Reason::new(code).with("system", system);
        Ok(work.finish_with(GIVEN_UP, Some(reason)))
    }

    /// A referral that was given up got through after all: nobody has to see to it any more.
    ///
    /// # Errors
    /// None that can be brought about.
    pub fn referral_arrived(self, act: &Act<'_>) -> Result<Decision> {
        if !self.is_undelivered() {
            return Ok(Decision { case: self, events: Vec::new(), timeline: Vec::new() });
        }
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        work.clear_supervisions(is_undelivered);
        Ok(work.finish())
    }

    /// Whether somebody is reminded of a referral that does not get through.
    #[must_use]
    pub fn is_undelivered(&self) -> bool {
        self.supervisions.iter().any(is_undelivered)
    }

    /// Whether somebody was reminded of it, and that was answered or cleared: of what comes later nobody knows.
    #[must_use]
    pub fn was_undelivered(&self) -> bool {
        let reminders = self.supervisions.iter().filter(|known| known.reason_code == UNDELIVERED);
        let mut reminders = reminders.peekable();
        let waits = |known: &Supervision| {
            matches!(known.state, SupervisionState::Issued | SupervisionState::Acknowledged)
        };
        reminders.peek().is_some() && !reminders.any(waits)
    }

    /// The other system sends back what was referred to it: a dispatcher decides where it goes instead.
    ///
    /// # Errors
    /// `WrongState`; `Guard(emergency_line)` for an emergency, which stays with its line.
    pub fn return_from_referral(self, system: &str, status: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.return_from_referral(system, status)?;
        Ok(work.finish())
    }

    /// Somebody takes back what was handed off, also to an emergency line: it went there by mistake, or is not taken there. It
    /// goes on like what another system sends back, but for the time to dispatch: nobody else took that, so it ran on.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine; `Invalid` code; `Guard` `recused` for the organisation complained of,
    /// `handed_off_elsewhere` for what came here as handed off already.
    pub fn take_back(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::ReturnFromReferral)?;
        work.human_official()?;
        work.not_complained_of()?;
        check_code("reason_code", reason_code)?;
        let Some(line) = work.line_handed_to() else {
            let message = "another system handed it off before it came here: register it anew";
            return Err(DomainError::guard("handed_off_elsewhere", message));
        };
        let reason = Reason::new("taken_back").with("line", &line).with("reason", reason_code);
        work.come_back(line, reason, true)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// The line by which the case was handed off.
    fn line_handed_to(&self) -> Option<String> {
        let handed_off = self.case.state == CaseState::HandedOff;
        let decision = self.case.routing.last().filter(|decision| decision.kind == RoutingKind::HandedOff)?;
        decision.reasons.iter().find_map(|reason| reason.args.get("line")).filter(|_| handed_off).cloned()
    }

    /// The same, if another system can send the case back from there.
    fn returnable_line(&self) -> Option<String> {
        self.line_handed_to().filter(|line| !self.routes.is_emergency_line(line, self.now))
    }

    fn return_from_referral(&mut self, system: &str, status: &str) -> Result<()> {
        self.permit(Trigger::ReturnFromReferral)?;
        let Some(line_code) = self.returnable_line() else {
            let message = "an emergency stays with its line";
            return Err(DomainError::guard("emergency_line", message));
        };
        let reason = Reason::new("referral_returned").with("system", system).with("status", status);
        let reason = reason.with("line", &line_code);
        self.come_back(line_code, reason, false)
    }

    /// The case goes on here; by that line, unless it is an emergency line, it does not go again. The time to dispatch begins
    /// anew once another system had the case, and not where somebody here took it back.
    fn come_back(&mut self, line_code: String, reason: Reason, taken_back: bool) -> Result<()> {
        let left_at = self.case.closed_at.take();
        self.case.closed_code = None;
        let known = self.case.item.is_some();
        let to = if known { CaseState::Triaged } else { CaseState::Accepted };
        self.enter(to, Trigger::ReturnFromReferral)?;
        // Its unit may have been merged meanwhile.
        self.follow_merger();
        // What the requester was promised counts on as if the case had never been away (C-3).
        let promised = self.runs_on(left_at, &[ClockKind::Resolve, ClockKind::Rework]);
        if self.case.accepted_at.is_none() {
            let since = left_at.unwrap_or(self.now);
            let now = std::mem::replace(&mut self.now, since);
            self.case.accepted_at = Some(since);
            self.start_resolve();
            self.now = now;
        }
        let dispatch = if taken_back { self.runs_on(left_at, &[ClockKind::Dispatch]) } else { None };
        if dispatch.is_none() {
            self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        }
        if !self.case.returned_lines.contains(&line_code) {
            self.case.returned_lines.push(line_code.clone());
        }
        self.emit(DomainEvent::CaseReturnedFromReferral { line_code }, Some(reason), None);
        // Nobody is reminded of words either: whoever gets the case reads them.
        self.clear_supervisions(|known| is_undelivered(known) || known.is_about_words());
        // The supervision of what was late went with it.
        for (kind, _) in [promised, dispatch].into_iter().flatten().filter(|(_, overdue)| *overdue) {
            self.supervise(if kind == ClockKind::Rework { 2 } else { 1 }, "overdue", Some(kind), None);
        }
        Ok(())
    }

    /// The clock of one of these kinds that stopped when the case left runs on as if it never had. Gives its kind, and whether it
    /// had run out before.
    fn runs_on(&mut self, left_at: Option<Timestamp>, kinds: &[ClockKind]) -> Option<(ClockKind, bool)> {
        let rules = self.rules;
        let clock = self.case.clocks.iter_mut().rfind(|clock| {
            let own = kinds.contains(&clock.kind) && clock.task_id.is_none();
            own && clock.stopped_at.is_some() && clock.stopped_at == left_at
        })?;
        clock.run_on(rules);
        Some((clock.kind, clock.breached_at.is_some()))
    }
}
