//! Reminders and supervision (催办, 督办; domain.md F4): issued by a leader or a clock, answered by the
//! organisation, escalated when it does not answer.

use super::case::{Case, Supervision};
use super::codes::{ClockKind, SupervisionState};
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::*;
use super::reason::Reason;
use super::work::{Act, Decision, Work, check_code};

/// The highest level: the city, or a leader.
pub const TOP_LEVEL: u8 = 3;

impl Case {
    /// A supervisor reminds (level 0) or supervises (1–3) the organisation that has the case or a task.
    ///
    /// # Errors
    /// `NotEntitled` for a machine; `Guard(case_finished)`; `Invalid` level, code or task.
    pub fn supervise(
        self,
        level: u8,
        reason_code: &str,
        task: Option<TaskId>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.human_official()?;
        check_code("reason_code", reason_code)?;
        if level > TOP_LEVEL {
            return Err(DomainError::invalid("level", "0 is a reminder, 1–3 are supervision"));
        }
        if let Some(task) = task {
            work.case.task(task)?;
        }
        if work.case.state.is_finished() {
            return Err(DomainError::guard("case_finished", "a finished case is not supervised"));
        }
        work.supervise(level, reason_code, None, task);
        Ok(work.finish())
    }

    /// The supervised organisation answers.
    ///
    /// # Errors
    /// `Invalid` id or code; `NotEntitled` for another organisation; `Guard(supervision_settled)`.
    pub fn answer_supervision(self, id: SupervisionId, answer_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        check_code("answer_code", answer_code)?;
        let supervision = work.case.supervision(id)?.clone();
        work.acts_for(work.case.supervised(&supervision), "supervised_org")?;
        if matches!(supervision.state, SupervisionState::Answered | SupervisionState::Cleared) {
            return Err(DomainError::guard("supervision_settled", "it was answered or cleared already"));
        }
        let (now, in_time) = (work.now, work.now <= supervision.due_at);
        let found = work.case.supervisions.iter_mut().filter(|supervision| supervision.id == id);
        found.for_each(|supervision| {
            supervision.state = SupervisionState::Answered;
            supervision.answered_at = Some(now);
            answer_code.clone_into(&mut supervision.answer_code);
        });
        let event = DomainEvent::SupervisionAnswered { supervision_id: id, in_time };
        work.emit(event, Some(Reason::new(answer_code)), supervision.task);
        Ok(work.finish())
    }

    /// The supervised organisation has seen it. Its time to answer runs on.
    ///
    /// # Errors
    /// `Invalid` id; `NotEntitled` for another organisation; `Guard(supervision_settled)`.
    pub fn acknowledge_supervision(self, id: SupervisionId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let supervision = work.case.supervision(id)?.clone();
        work.acts_for(work.case.supervised(&supervision), "supervised_org")?;
        if supervision.state != SupervisionState::Issued {
            return Err(DomainError::guard("supervision_settled", "it was acknowledged already"));
        }
        work.set_supervision(id, SupervisionState::Acknowledged);
        let event = DomainEvent::SupervisionAcknowledged { supervision_id: id };
        work.emit(event, None, supervision.task);
        Ok(work.finish())
    }

    /// Somebody reports it one level up before its time: the answer does not do, or the organisation refuses.
    ///
    /// # Errors
    /// `Invalid` id or code; `NotEntitled` for a machine or the supervised organisation; `Guard` `supervision_settled`,
    /// `top_level`.
    pub fn escalate_supervision(
        self,
        id: SupervisionId,
        reason_code: &str,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        check_code("reason_code", reason_code)?;
        let supervision = work.case.supervision(id)?.clone();
        if work.case.supervised(&supervision) == by {
            return Err(DomainError::NotEntitled { code: "supervised_org" });
        }
        if supervision.state == SupervisionState::Cleared {
            return Err(DomainError::guard("supervision_settled", "it was cleared already"));
        }
        if supervision.level >= TOP_LEVEL {
            return Err(DomainError::guard("top_level", "there is no level above"));
        }
        work.set_supervision(id, SupervisionState::Issued);
        work.escalate(id, reason_code);
        Ok(work.finish())
    }

    /// Who has to answer a supervision: whose task it is about, or whoever the clock runs for, else who leads.
    #[must_use]
    pub fn supervised(&self, supervision: &Supervision) -> OrgId {
        let of_task = supervision.task.and_then(|task| self.task(task).ok()).map(|task| task.org);
        let of_clock = match supervision.clock {
            Some(ClockKind::Verify | ClockKind::Judge) => {
                self.verification.as_ref().map(|verification| verification.verifier)
            }
            Some(ClockKind::Ruling) => self.objection.as_ref().and_then(|objection| objection.arbiter),
            _ => None,
        };
        of_task.or(of_clock).or(self.lead_org).unwrap_or(self.first_receiver)
    }

    /// The supervisor is content. What a level issued, or what was raised to it, is for that level and those above to clear;
    /// `highest` is the one that the acting person's grants reach.
    ///
    /// # Errors
    /// `Invalid` id; `NotEntitled` for a machine, below the level of the supervision, and above level 1 for whoever is
    /// supervised; `Guard(supervision_settled)`.
    pub fn clear_supervision(self, id: SupervisionId, highest: u8, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        let supervision = work.case.supervision(id)?.clone();
        if supervision.level > highest {
            return Err(DomainError::NotEntitled { code: "supervision_level" });
        }
        // Its own supervisor may be content with what it issued; what was raised above is for those above.
        if supervision.level > 1 && work.case.supervised(&supervision) == by {
            return Err(DomainError::NotEntitled { code: "supervised_org" });
        }
        if supervision.state == SupervisionState::Cleared {
            return Err(DomainError::guard("supervision_settled", "it was cleared already"));
        }
        work.clear_supervisions(|supervision| supervision.id == id);
        Ok(work.finish())
    }

    fn supervision(&self, id: SupervisionId) -> Result<&Supervision> {
        let found = self.supervisions.iter().find(|supervision| supervision.id == id);
        found.ok_or_else(|| DomainError::invalid("supervision_id", "not a supervision of this case"))
    }
}

impl Work<'_> {
    fn set_supervision(&mut self, id: SupervisionId, state: SupervisionState) {
        let found = self.case.supervisions.iter_mut().filter(|supervision| supervision.id == id);
        found.for_each(|supervision| supervision.state = state);
    }

    /// One level up, with a new time to answer.
    pub(super) fn escalate(&mut self, id: SupervisionId, why: &str) {
        let limit = self.rules.supervision_answer;
        let due_at = self.rules.calendar.add(limit.unit, limit.n, self.now, &self.rules.profile).at;
        let mut told = None;
        for supervision in self.case.supervisions.iter_mut().filter(|supervision| supervision.id == id) {
            supervision.level = (supervision.level + 1).min(TOP_LEVEL);
            supervision.due_at = due_at;
            told = Some((supervision.level, supervision.task));
        }
        if let Some((level, task)) = told {
            let event = DomainEvent::SupervisionEscalated { supervision_id: id, level };
            self.emit(event, Some(Reason::new(why)), task);
        }
    }
}
