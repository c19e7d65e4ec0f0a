//! The whistle and reporting in (吹哨报到; domain.md F4): a street calls several departments to one case, or sends it to them
//! along the same edge. Each has a task, a limit to report in and a sign-off of its own; who does not come is reported to the
//! district. Afterwards both sides judge each other once (双考核): was it needed, was it solved.

use calendar::Limit;
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::clock::Clock;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::router::Choice;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work, check_code};

/// Whom a street calls.
#[derive(Debug, Clone)]
pub struct WhistleCase {
    /// Each of them gets a task without which the case cannot be completed.
    pub orgs: Vec<OrgId>,
    /// The time to report in; the rules' where unset.
    pub report_within: Option<Limit>,
    pub reason_code: String,
}

/// How a whistle went, as both sides judge it; unset: not judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhistleScore {
    /// Whether the department reported in within its limit; unset before.
    pub reported_in_time: Option<bool>,
    /// By the street: what the department was called for was solved.
    pub solved: Option<bool>,
    /// By the department: its coming was needed.
    pub needed: Option<bool>,
}

impl Case {
    /// Whether an organisation may call all of these: it coordinates each.
    #[must_use]
    pub fn may_whistle(&self, by: OrgId, orgs: &[OrgId], routes: &RoutingTable, at: Timestamp) -> bool {
        orgs.iter().all(|org| self.coordinates(by, *org, routes, at))
    }

    fn coordinates(&self, by: OrgId, id: OrgId, routes: &RoutingTable, at: Timestamp) -> bool {
        let own = routes.org(id).and_then(|org| org.line.as_deref());
        let line = own.or_else(|| self.item.as_ref()?.line.as_deref());
        routes.edge(by, id, line, at) == Some(EdgeKind::Coordinates)
    }

    /// A street calls departments it coordinates to a case that is being dealt with.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for a machine; `Guard` `no_authority_edge`, `recused`, `takes_part`, `excluded` also for who was
    /// relieved of helping, `negative_list`; `Invalid` list, limit or code.
    pub fn whistle(self, command: &WhistleCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::Whistle)?;
        let sender = work.human_official()?;
        work.not_complained_of()?;
        check_code("reason_code", &command.reason_code)?;
        if command.orgs.is_empty() || command.orgs.len() > 20 {
            return Err(DomainError::invalid("org_ids", "1–20 organisations"));
        }
        if command.report_within.is_some_and(|limit| limit.n == 0 || limit.n > 366) {
            return Err(DomainError::invalid("report_within", "between 1 and 366 units"));
        }
        let limit = command.report_within.unwrap_or(work.rules.report_in);
        for org in &command.orgs {
            let choice = work.called(sender, *org)?;
            let (task_id, issued) = work.make_called(TaskPart::Assist, &choice, false, limit);
            work.emit(issued, Some(Reason::new(&command.reason_code)), Some(task_id));
        }
        Ok(work.finish())
    }

    /// The department is there: it works from now on; one that leads, from its first contact with the requester on, which says
    /// the same.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for another organisation; `Guard` `not_whistled`, `task_state` before it has signed and
    /// once it is there.
    pub fn report_in(self, task_id: TaskId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::ReportIn)?;
        let task = work.case.task(task_id)?.clone();
        work.acts_for(task.org, "task_org")?;
        let Some(score) = task.whistle else {
            return Err(DomainError::guard("not_whistled", "only who was called by a whistle reports in"));
        };
        if task.state != TaskState::Signed || score.reported_in_time.is_some() {
            return Err(DomainError::guard("task_state", "a department reports in once, after signing"));
        }
        if task.part == TaskPart::Assist {
            work.move_task(task_id, TaskState::Working)?;
        }
        work.reported(task_id)?;
        Ok(work.finish())
    }

    /// One side of a whistle judges the other, once, when the department has handed in its result.
    ///
    /// # Errors
    /// `NotEntitled` unless of the street that called or the department; `Guard` `not_whistled`, `not_submitted`,
    /// `appraised_before`.
    pub fn appraise_whistle(self, task_id: TaskId, positive: bool, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        let task = work.case.task(task_id)?.clone();
        let Some(mut score) = task.whistle else {
            return Err(DomainError::guard("not_whistled", "the task came by no whistle"));
        };
        if !matches!(task.state, TaskState::Submitted | TaskState::Approved) {
            return Err(DomainError::guard("not_submitted", "judged is what was handed in"));
        }
        let by_sender = by == task.sender;
        let given = match (by_sender, by == task.org) {
            (true, _) => &mut score.solved,
            (false, true) => &mut score.needed,
            (false, false) => return Err(DomainError::NotEntitled { code: "whistle_side" }),
        };
        if given.replace(positive).is_some() {
            return Err(DomainError::guard("appraised_before", "each side judges once"));
        }
        work.task_mut(task_id)?.whistle = Some(score);
        let event = DomainEvent::TaskAppraised { task_id, org_id: task.org, by_sender, positive };
        work.emit(event, None, Some(task_id));
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// A department that the street coordinates, and that does not take part yet.
    fn called(&self, sender: OrgId, id: OrgId) -> Result<Choice> {
        let org = self.routes.org(id).filter(|org| org.in_force(self.now));
        let org = org.ok_or_else(|| DomainError::invalid("org_ids", "no such organisation"))?;
        if self.case.complained_of == Some(id) {
            return Err(DomainError::guard("recused", "the organisation complained of steps aside"));
        }
        if self.case.tasks.iter().any(|task| task.org == id && task.state.is_live()) {
            return Err(DomainError::guard("takes_part", "the organisation holds a task already"));
        }
        if !self.case.coordinates(sender, id, self.routes, self.now) {
            let message = "a whistle calls those whom the street coordinates";
            return Err(DomainError::guard("no_authority_edge", message));
        }
        self.may_be_called(id)?;
        self.lists_let_assist(id)?;
        let (unit, mode) = (org.unit, DispatchMode::Whistle);
        Ok(Choice { org: id, unit, sender, mode, mandatory: true, rule_id: None })
    }

    /// Notes that a department is there, if it was called and had not come yet. A limit that ran out before an objection that
    /// failed stays missed.
    pub(super) fn reported(&mut self, task_id: TaskId) -> Result<()> {
        if self.stop_clock(ClockKind::Report, Some(task_id)).is_none() {
            return Ok(());
        }
        let own = |clock: &&Clock| clock.kind == ClockKind::Report && clock.task_id == Some(task_id);
        let mut limits = self.case.clocks.iter().filter(own);
        let in_time = limits.all(|clock| clock.in_time(clock.stopped_at.unwrap_or(self.now)));
        self.clear_supervisions(|supervision| {
            supervision.task == Some(task_id) && supervision.clock == Some(ClockKind::Report)
        });
        let task = self.task_mut(task_id)?;
        if let Some(score) = &mut task.whistle {
            score.reported_in_time = Some(in_time);
        }
        let org_id = task.org;
        self.emit(DomainEvent::TaskReported { task_id, org_id, in_time }, None, Some(task_id));
        Ok(())
    }
}
