//! Stages of the work on an item (分段处置): a burst pipe is fenced off, repaired, and the surface restored, each against a
//! limit of its own. They follow one another; one is in hand exactly while the case is in progress or waits.
//!
//! Rework does not repeat what was done: it has its own limit. A case that is opened again goes through them anew. An ending
//! that only explains (nothing was found to be broken) needs no further stage.

use calendar::Limit;
use chrono::serde::{ts_microseconds, ts_microseconds_option};
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::{CaseState, ClockKind, EvidenceKind};
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::state::Trigger;
use super::work::{Act, Decision, Work};

/// Most stages of an item.
pub const MOST_STAGES: usize = 12;

/// A stage of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Short, of safe characters: it stands in events.
    pub code: String,
    pub name_zh: String,
    pub name_en: String,
    /// From its own beginning.
    pub limit: Limit,
}

/// A stage that a case began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    pub code: String,
    #[serde(with = "ts_microseconds")]
    pub started_at: Timestamp,
    /// Unset while it is in hand.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub done_at: Option<Timestamp>,
    /// Once it is done: whether within its limit.
    #[serde(default)]
    pub in_time: bool,
}

impl Case {
    /// The stage that is being worked on.
    #[must_use]
    pub fn stage_in_hand(&self) -> Option<&StageRun> {
        self.stages.iter().find(|run| run.done_at.is_none())
    }

    /// The lead has done the stage in hand; the next one begins.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the lead; `Guard(no_stage)` where none is in hand; `Invalid` for another stage or
    /// wrong evidence.
    pub fn complete_stage(
        self,
        code: &str,
        evidence: Vec<(EvidenceKind, String)>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::CompleteStage)?;
        let (task_id, org) = work.lead()?;
        work.acts_for(org, "lead_org")?;
        match work.case.stage_in_hand() {
            None => return Err(DomainError::guard("no_stage", "no stage of the work is in hand")),
            Some(run) if run.code != code => {
                return Err(DomainError::invalid("stage_code", "is not the stage in hand"));
            }
            Some(_) => {}
        }
        if !evidence.is_empty() {
            work.add_evidence(evidence, Some(task_id))?;
        }
        let in_time = work.stop_clock(ClockKind::Stage, None).unwrap_or(true);
        let now = work.now;
        for run in work.case.stages.iter_mut().filter(|run| run.done_at.is_none()) {
            (run.done_at, run.in_time) = (Some(now), in_time);
        }
        work.clear_supervisions(|supervision| supervision.clock == Some(ClockKind::Stage));
        let next_due_at = work.begin_stage();
        let next_stage_code = work.case.stage_in_hand().map(|run| run.code.clone());
        let stage_code = code.to_owned();
        let event =
            DomainEvent::CaseStageCompleted { task_id, stage_code, in_time, next_stage_code, next_due_at };
        work.emit(event, None, Some(task_id));
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// After every move of the case: a stage is in hand while work goes on, and its clock runs then.
    pub(super) fn keep_stages(&mut self, from: Option<CaseState>, to: CaseState) {
        let works = |state| matches!(state, CaseState::InProgress | CaseState::Suspended);
        match (from.is_some_and(works), works(to)) {
            (false, true) => {
                self.begin_stage();
            }
            (true, false) => self.leave_stage(),
            _ => {}
        }
    }

    /// Begins the first stage that is not done, if there is one. Gives when it is due.
    fn begin_stage(&mut self) -> Option<Timestamp> {
        let begun = |code: &String| self.case.stages.iter().any(|run| run.code == *code);
        let next = self.item()?.stages.iter().find(|stage| !begun(&stage.code))?;
        let run = StageRun { code: next.code.clone(), started_at: self.now, done_at: None, in_time: false };
        self.case.stages.push(run);
        Some(self.start_clock(ClockKind::Stage, None, next.limit))
    }

    /// What was begun and not done is not done; whoever works on the case next begins it again.
    fn leave_stage(&mut self) {
        self.case.stages.retain(|run| run.done_at.is_some());
        self.stop_clock(ClockKind::Stage, None);
        self.clear_supervisions(|supervision| supervision.clock == Some(ClockKind::Stage));
    }
}
