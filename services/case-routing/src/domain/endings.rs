//! The ways in which intake ends a case, or the requester does: declined, handed off, answered, withdrawn. Only a human
//! declines (C-5). For merging see [`super::merging`].

use super::case::Case;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::*;
use super::rating::unjudged;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Work, check_code};

/// How a case is answered at the window.
#[derive(Debug, Clone)]
pub struct AnswerCase {
    /// The answer given, as a stored text or a knowledge-base entry.
    pub explanation_ref: String,
    /// `Explained` for a consultation, `BeyondAuthority` where another channel is told.
    pub closed_code: ClosedCode,
}

/// What other systems have to do with a line by which a case is to go, by the case and by those that were merged into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// None takes what goes by it, or the one alone that the case came from.
    Nobody,
    /// Some system takes it.
    Taken,
    /// What was merged into the case went by it before and came back.
    JoinedReturned,
    /// What was merged into the case came from a system that takes what goes by it.
    JoinedFromThere,
}

impl Elsewhere {
    /// Whether the case goes there.
    fn takes(self) -> Result<()> {
        match self {
            Self::Taken => Ok(()),
            Self::Nobody => {
                let message = "neither an emergency line of the catalogue nor one that another system takes";
                Err(DomainError::invalid("line_code", message))
            }
            Self::JoinedReturned => {
                let message =
                    "what was merged into it came back from this line: choose another, or take it out first";
                Err(DomainError::guard("joined_returned_before", message))
            }
            Self::JoinedFromThere => {
                let message =
                    "what was merged into it came from where this goes: choose another line, or take it out";
                Err(DomainError::guard("joined_from_there", message))
            }
        }
    }
}

impl Case {
    /// A human refuses the case, with a reason, and tells the legal channel (C-5).
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine; `Invalid` codes; `Guard` `recused` for the organisation complained of,
    /// `accepted_by_silence` once the time to decide is over, `others_joined` while other requests are merged into it,
    /// `application_needed` for what has to be applied for.
    pub fn decline(self, reason_code: &str, channel_told: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.decline(reason_code, channel_told)?;
        Ok(work.finish())
    }

    /// Somebody hands an emergency over to its own line, at once, or a case to the line by which another system takes it.
    /// Statutory channels are told with an [answer](Self::answer).
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine; `Invalid` line code: no emergency line of the catalogue, nor taken elsewhere;
    /// `Guard` `recused` for the organisation complained of, `returned_before` for a line by which it went before and came back,
    /// `joined_returned_before` for one by which what was merged into it did, `joined_from_there` where that came from a system
    /// which takes the line, `late`, `accepted_by_silence` once the time to decide is over, and of an emergency line `other_item`
    /// for what has an item and `others_joined` while other requests are merged into it. What is of that emergency line by its item
    /// goes there whatever else it is.
    pub fn hand_off(self, line_code: &str, elsewhere: Elsewhere, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::HandOff)?;
        work.human_official()?;
        work.not_complained_of()?;
        check_code("line_code", line_code)?;
        let emergency = work.routes.is_emergency_line(line_code, work.now);
        if !emergency && work.case.returned_lines.iter().any(|line| line == line_code) {
            let message =
                "it was referred by this line and sent back: choose another, or who handles it here";
            return Err(DomainError::guard("returned_before", message));
        }
        if !emergency {
            elsewhere.takes()?;
        }
        work.may_be_handed_off(line_code, emergency)?;
        work.hand_off(line_code)?;
        Ok(work.finish())
    }

    /// Answers a consultation from the knowledge base, or tells another legal channel.
    ///
    /// # Errors
    /// `WrongState`; `Invalid` code or explanation; `NotEntitled` for a requester; `Guard` `recused` for the organisation
    /// complained of, `not_a_consultation` for an explanation of what asks for more.
    pub fn answer(self, command: AnswerCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Answer)?;
        let by = work.human_official()?;
        work.not_complained_of()?;
        work.answer(command, Reason::new("answered_at_window"), by)?;
        Ok(work.finish())
    }

    /// The requester withdraws, or the window that received the case writes down that they do, by a statement of theirs that
    /// can be shown; every open task is cancelled. What is late is withdrawn by the requester alone: nobody who has a case in
    /// hand takes it out of the figures.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for whoever is neither; `Invalid` code or, for the window, statement; `Guard`
    /// `withdrawal_barred` for public safety or third-party rights, `others_joined` while other requests are merged into it;
    /// for the window `nobody_asked`, `late`, `rating_unjudged`, and `recused` where it is complained of itself.
    pub fn withdraw(self, reason_code: &str, statement_ref: Option<&str>, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.withdraw_by_will(reason_code, statement_ref)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// A human does not take the case in.
    pub(super) fn decline(&mut self, reason_code: &str, channel_told: &str) -> Result<()> {
        self.permit(Trigger::Decline)?;
        self.human_official()?;
        self.not_complained_of()?;
        self.not_instead_of_application()?;
        check_code("reason_code", reason_code)?;
        check_code("channel_told", channel_told)?;
        self.still_to_be_accepted()?;
        self.nobody_else_waits()?;
        let in_time = self.end_accept();
        self.enter(CaseState::NotAccepted, Trigger::Decline)?;
        let reason = Reason::new(reason_code).with("channel", channel_told);
        self.record_plain_routing(RoutingKind::Ended, reason.clone());
        self.end(ClosedCode::Declined);
        let event = DomainEvent::CaseDeclined { reason_code: reason_code.to_owned(), in_time };
        self.emit(event, Some(reason), None);
        Ok(())
    }

    /// The organisation complained of does not settle the complaint (回避).
    pub(super) fn not_complained_of(&self) -> Result<()> {
        if self.by.org.is_some() && self.by.org == self.case.complained_of {
            return Err(DomainError::guard("recused", "the organisation complained of steps aside"));
        }
        Ok(())
    }

    /// When the limit to accept is over, silence has accepted the case, also where no timer has been there yet.
    pub(super) fn still_to_be_accepted(&self) -> Result<()> {
        let accept = self.case.clock(ClockKind::Accept, None).filter(|clock| clock.is_running());
        if accept.is_some_and(|clock| clock.due_at < self.now) {
            let message = "the time to decide is over: the case counts as accepted";
            return Err(DomainError::guard("accepted_by_silence", message));
        }
        Ok(())
    }

    /// The requester does not want it any more.
    pub(super) fn withdraw_by_will(&mut self, reason_code: &str, statement_ref: Option<&str>) -> Result<()> {
        self.permit(Trigger::Withdraw)?;
        check_code("reason_code", reason_code)?;
        let statement_ref = statement_ref.filter(|reference| !reference.is_empty());
        let told = self.word_of_requester(reason_code, statement_ref)?;
        self.nobody_else_waits()?;
        if self.concerns_others() {
            let message = "public safety or the rights of others are concerned";
            return Err(DomainError::guard("withdrawal_barred", message));
        }
        if let Some(reference) = statement_ref {
            self.keep_evidence([(EvidenceKind::Document, reference.to_owned())], None, self.by.org);
        }
        self.withdraw(reason_code, told, Trigger::Withdraw)
    }

    /// Public safety, or the rights of others: it is not the requester's to withdraw.
    pub(super) fn concerns_others(&self) -> bool {
        self.item().is_some_and(|item| item.withdrawal_barred) || self.case.urgency == Urgency::Emergency
    }

    /// Who says that the requester withdraws: they themselves, or the window that received the case, by their statement. Gives
    /// what the timeline tells.
    fn word_of_requester(&self, reason_code: &str, statement_ref: Option<&str>) -> Result<Reason> {
        if self.is_requester() {
            return Ok(Reason::new(reason_code));
        }
        let window = self.human_official()?;
        self.not_complained_of()?;
        if window != self.case.first_receiver {
            return Err(DomainError::NotEntitled { code: "first_receiver" });
        }
        if self.case.requester.is_none() && self.case.origin != Origin::BottomUp {
            return Err(DomainError::guard("nobody_asked", "what nobody asked for is not withdrawn"));
        }
        if self.case.awaits_judgement() {
            return Err(unjudged());
        }
        if self.case.was_late(self.now) {
            return Err(DomainError::guard("late", "what is late is withdrawn by the requester alone"));
        }
        let missing = || DomainError::invalid("statement_ref", "by what the requester withdraws in writing");
        let statement = statement_ref.ok_or_else(missing)?;
        let told = Reason::new("withdrawn_at_window").with("reason", reason_code).with("org", window);
        Ok(told.with("statement", statement))
    }

    /// Whoever was merged into this case waits for it: it does not end while they are in it.
    pub(super) fn nobody_else_waits(&self) -> Result<()> {
        if self.case.merged.is_empty() {
            return Ok(());
        }
        let message = "other requests were merged into this one: take them out first";
        Err(DomainError::guard("others_joined", message))
    }

    /// A line is no way out of a case that somebody has in hand: what is late stays here, and an emergency line takes what is of
    /// it by its item, or what nobody has found out about yet.
    fn may_be_handed_off(&self, line_code: &str, emergency: bool) -> Result<()> {
        if self.item().is_some_and(|item| item.emergency_line.as_deref() == Some(line_code)) {
            return Ok(());
        }
        if emergency && self.case.item.is_some() {
            let message = "it is of another item: triage an emergency to its own, and it goes by itself";
            return Err(DomainError::guard("other_item", message));
        }
        if emergency {
            self.nobody_else_waits()?;
        }
        self.still_to_be_accepted()?;
        if self.case.was_late(self.now) {
            return Err(DomainError::guard("late", "what is late is handled here, by whoever leads it"));
        }
        Ok(())
    }

    pub(super) fn hand_off(&mut self, line_code: &str) -> Result<()> {
        let in_time = self.end_accept();
        self.enter(CaseState::HandedOff, Trigger::HandOff)?;
        self.end_overdue_offer("case_handed_off");
        self.cancel_live_tasks("case_handed_off")?;
        let reason = Reason::new("emergency_line").with("line", line_code);
        self.record_plain_routing(RoutingKind::HandedOff, reason.clone());
        self.end(ClosedCode::HandedOff);
        self.emit(
            DomainEvent::CaseHandedOff { line_code: line_code.to_owned(), in_time },
            Some(reason),
            None,
        );
        Ok(())
    }

    /// The answer is what was done about the matter, by that organisation.
    pub(super) fn answer(&mut self, command: AnswerCase, reason: Reason, by: OrgId) -> Result<()> {
        use ClosedCode::{BeyondAuthority, Explained};
        if !matches!(command.closed_code, Explained | BeyondAuthority) {
            return Err(DomainError::invalid("closed_code", "an answer explains, or tells another channel"));
        }
        // Before it has an item nobody but the window knows what it is.
        let consultation = self.case.item.is_none() || self.case.nature == Nature::Consultation;
        if command.closed_code == Explained && !consultation {
            let message = "an explanation ends a consultation; this is dispatched, or told another channel";
            return Err(DomainError::guard("not_a_consultation", message));
        }
        if command.explanation_ref.is_empty() {
            return Err(DomainError::invalid("explanation_ref", "the answer that was given"));
        }
        let in_time = self.end_accept();
        self.stop_clock(ClockKind::Dispatch, None);
        let elapsed_total = self.elapsed_total();
        let done_in_time = self.stop_work_clocks();
        self.clear_supervisions(|_| true);
        self.record_plain_routing(RoutingKind::AnsweredAtWindow, reason.clone());
        self.keep_evidence([(EvidenceKind::Explanation, command.explanation_ref)], None, Some(by));
        self.handled_by(by);
        self.case.delivery_mode = Some(DeliveryMode::GovDirect);
        self.case.closed_code = Some(command.closed_code);
        self.case.completed_at = Some(self.now);
        self.enter(CaseState::Completed, Trigger::Answer)?;
        let process = self.process();
        let event = DomainEvent::CaseAnswered { in_time, process, done_in_time, elapsed_total };
        self.emit(event, Some(reason), None);
        self.begin_verification()
    }

    /// It handled the case without a task, and neither verifies nor judges it (C-4).
    pub(super) fn handled_by(&mut self, org: OrgId) {
        if !self.case.answered_by.contains(&org) {
            self.case.answered_by.push(org);
        }
    }

    /// The same of whoever had a hand in it while others lead, such as a mediator or somebody on patrol. In what is checked already,
    /// as when a court did not confirm the first agreement, it had no part.
    pub(super) fn handled_besides(&mut self, org: OrgId) {
        if self.case.verification.is_none() && self.case.rating.is_none() {
            self.handled_by(org);
        }
    }

    pub(super) fn withdraw(&mut self, reason_code: &str, told: Reason, trigger: Trigger) -> Result<()> {
        let offer_id = self.case.offer_to_settle().map(|offer| offer.id);
        // As long as its clocks stand still.
        self.count_waiting();
        self.enter(CaseState::Withdrawn, trigger)?;
        self.end_open_offer("withdrawn");
        self.cancel_live_tasks("withdrawn")?;
        if self.case.routing.is_empty() {
            self.record_plain_routing(RoutingKind::Ended, Reason::new(reason_code));
        }
        self.end(ClosedCode::Withdrawn);
        let reason_code = reason_code.to_owned();
        self.application_withdrawn(trigger)?;
        self.emit(DomainEvent::CaseWithdrawn { reason_code, offer_id }, Some(told), None);
        self.lapse_objection();
        Ok(())
    }

    /// What entering a terminal state means: nothing runs any more, and nothing is asked for but what is owed all the same when it
    /// closes.
    pub(super) fn end(&mut self, code: ClosedCode) {
        self.stop_all_clocks();
        let closes = self.case.state == CaseState::Closed;
        self.clear_supervisions(|supervision| !closes || !supervision.outlives_the_work());
        self.case.closed_code = Some(code);
        self.case.closed_at = Some(self.now);
    }
}
