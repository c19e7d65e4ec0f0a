//! What becomes of a case that was referred to another system, and its way back when that system sends it back.

use super::super::{
    case::Case,
    codes::{CaseState, ClockKind, RoutingKind},
    error::{DomainError, Result},
    event::DomainEvent,
    reason::Reason,
    state::Trigger,
    work::{Act, Decision, Work},
};
use super::Reported;

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

    /// The other system sends back what was referred to it: a dispatcher decides where it goes instead.
    ///
    /// # Errors
    /// `WrongState`; `Guard(emergency_line)` for an emergency, which stays with its line.
    pub fn return_from_referral(self, system: &str, status: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.return_from_referral(system, status)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// The line by which the case was handed off, if it can come back from there.
    fn returnable_line(&self) -> Option<String> {
        let decision = self.case.routing.last().filter(|decision| decision.kind == RoutingKind::HandedOff)?;
        let line = decision.reasons.iter().find_map(|reason| reason.args.get("line"))?;
        let emergency = self.routes.is_emergency_line(line, self.now);
        (self.case.state == CaseState::HandedOff && !emergency).then(|| line.clone())
    }

    fn return_from_referral(&mut self, system: &str, status: &str) -> Result<()> {
        self.permit(Trigger::ReturnFromReferral)?;
        let Some(line_code) = self.returnable_line() else {
            let message = "an emergency stays with its line";
            return Err(DomainError::guard("emergency_line", message));
        };
        let left_at = self.case.closed_at.take();
        self.case.closed_code = None;
        let known = self.case.item.is_some();
        let to = if known { CaseState::Triaged } else { CaseState::Accepted };
        self.enter(to, Trigger::ReturnFromReferral)?;
        // Its unit may have been merged meanwhile.
        self.follow_merger();
        // What the requester was promised counts on as if the case had never been away (C-3).
        let rules = self.rules;
        let promise = self.case.clocks.iter_mut().rfind(|clock| {
            matches!(clock.kind, ClockKind::Resolve | ClockKind::Rework)
                && clock.stopped_at.is_some()
                && clock.stopped_at == left_at
        });
        if let Some(clock) = promise {
            clock.run_on(rules);
        }
        if self.case.accepted_at.is_none() {
            let since = left_at.unwrap_or(self.now);
            let now = std::mem::replace(&mut self.now, since);
            self.case.accepted_at = Some(since);
            self.start_resolve();
            self.now = now;
        }
        self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        let reason = Reason::new("referral_returned").with("system", system).with("status", status);
        let reason = reason.with("line", &line_code);
        self.case.returned_lines.push(line_code.clone());
        self.emit(DomainEvent::CaseReturnedFromReferral { line_code }, Some(reason), None);
        Ok(())
    }
}
