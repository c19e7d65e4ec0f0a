//! Reminders and supervision (催办, 督办; domain.md F4): issued by a leader or a clock, answered by the
//! organisation, escalated when it does not answer.

use super::case::{Case, Supervision};
use super::codes::SupervisionState;
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
    /// `Invalid` id; `NotEntitled` for another organisation; `Guard(supervision_settled)`.
    pub fn answer_supervision(self, id: SupervisionId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let supervision = work.case.supervision(id)?.clone();
        let answers = match supervision.task {
            Some(task) => work.case.task(task)?.org,
            None => work.case.lead_org.unwrap_or(work.case.first_receiver),
        };
        work.acts_for(answers, "supervised_org")?;
        if supervision.state != SupervisionState::Issued {
            return Err(DomainError::guard("supervision_settled", "it was answered or cleared already"));
        }
        let (now, in_time) = (work.now, work.now <= supervision.due_at);
        let found = work.case.supervisions.iter_mut().filter(|supervision| supervision.id == id);
        found.for_each(|supervision| {
            supervision.state = SupervisionState::Answered;
            supervision.answered_at = Some(now);
        });
        work.emit(DomainEvent::SupervisionAnswered { supervision_id: id, in_time }, None, supervision.task);
        Ok(work.finish())
    }

    /// The supervisor is content.
    ///
    /// # Errors
    /// `Invalid` id; `NotEntitled` for a machine; `Guard(supervision_settled)`.
    pub fn clear_supervision(self, id: SupervisionId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.human_official()?;
        if work.case.supervision(id)?.state == SupervisionState::Cleared {
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
    /// Not answered in time: one level up, with a new time to answer.
    pub(super) fn escalate(&mut self, id: SupervisionId) {
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
            self.emit(event, Some(Reason::new("no_answer")), task);
        }
    }
}
