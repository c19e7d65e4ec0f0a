//! What of a case stands in rows besides its document, computed from the aggregate alone.

use chassis::{Timestamp, clock::to_micros};
use chrono::{DateTime, TimeZone, Utc};
use uuid::Uuid;

use crate::domain::{
    Case, CaseId, CaseState, Clock, ClockKind, DispatchMode, OrgId, Task, TaskState, UnitId,
};

/// Stands for "never due", so that a list can be ordered by it.
pub fn never() -> Timestamp {
    Utc.with_ymd_and_hms(9999, 1, 1, 0, 0, 0).single().unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A task's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub task_id: Uuid,
    pub org_id: Uuid,
    pub state: &'static str,
    pub open: bool,
    pub due_at: Timestamp,
    pub signed: bool,
    /// Somebody has it in hand …
    pub active: bool,
    /// … and how many do, of those it needs.
    pub workers: i16,
    /// Of the case.
    pub running_due_at: Option<Timestamp>,
}

impl TaskRow {
    pub fn of(case: &Case, task: &Task) -> Self {
        let case_ended = case.state.is_finished();
        let ended = matches!(task.state, TaskState::Approved | TaskState::Cancelled | TaskState::Declined);
        let workers = if ended || case_ended { 0 } else { i16::from(task.workers()) };
        Self {
            task_id: task.id.0,
            org_id: task.org.0,
            state: task.state.as_str(),
            open: task.state.is_open() && !case_ended,
            due_at: task.due_at.unwrap_or_else(never),
            signed: staffed(case, task),
            active: workers > 0,
            workers,
            running_due_at: running_due_at(case),
        }
    }
}

/// Whether the organisation has signed for a task for which staffing is to find somebody: who may refuse staffs it
/// itself, and a partner's task came by an offer, without a limit for signing.
fn staffed(case: &Case, task: &Task) -> bool {
    let ordered = matches!(task.mode, DispatchMode::Order | DispatchMode::Whistle | DispatchMode::WorkOrder);
    let to_sign = |clock: &Clock| clock.kind == ClockKind::Sign && clock.task_id == Some(task.id);
    ordered && task.signed_at.is_some() && case.clocks.iter().any(to_sign)
}

/// A case's row in the agenda; `None` when it has ended, nobody is asked for anything, and nothing is to happen, or nothing but
/// what [`kept_until`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgendaRow {
    pub due_at: Option<Timestamp>,
    pub awaits: Option<&'static str>,
    /// Of a merged case that awaits something of the other: which one that is.
    pub original: Option<CaseId>,
    /// Lowest version of the calendar that something which runs was counted with: a clock, supervision, notice or papers.
    pub calendar_version: Option<i32>,
    pub running_due_at: Option<Timestamp>,
    pub open: bool,
    pub state: &'static str,
    pub street: Option<UnitId>,
    pub requester: Option<Uuid>,
    /// The first receiver, whoever has a task, and those who are asked.
    pub orgs: Vec<OrgId>,
    /// Those who are asked for something and have no task ([`Case::asked_orgs`]).
    pub asked: Vec<OrgId>,
}

impl AgendaRow {
    pub fn of(case: &Case) -> Option<Self> {
        let calendar_version = case.counted_with().and_then(|version| i32::try_from(version).ok());
        let asked = case.asked_orgs();
        let awaits = awaits(case);
        let row = Self {
            due_at: case.next_timer_at(),
            awaits,
            original: case.merged_into.filter(|_| matches!(awaits, Some("rectification" | "callback"))),
            calendar_version,
            running_due_at: running_due_at(case),
            open: !case.state.is_finished(),
            state: case.state.as_str(),
            street: case.place.street,
            requester: requester(case),
            orgs: orgs(case, &asked),
            asked,
        };
        let due = row.due_at.is_some() && kept_until(case).is_none();
        let waits = due || row.awaits.is_some() || !row.asked.is_empty();
        (!case.state.is_finished() || waits).then_some(row)
    }
}

/// Until when an ended case is kept, where nobody is asked for anything and nothing is to happen with it but that it is archived
/// then. Such cases are most of a history: they stand apart from the agenda.
pub fn kept_until(case: &Case) -> Option<Timestamp> {
    let waited_for =
        || awaits(case).is_some() || case.counted_with().is_some() || !case.asked_orgs().is_empty();
    let rests = case.state.is_finished() && !waited_for();
    case.archive_at.filter(|at| rests && case.next_timer_at() == Some(*at))
}

/// The id of the requester, unless the case is anonymous.
pub fn requester(case: &Case) -> Option<Uuid> {
    case.requester.as_ref().and_then(|requester| requester.0.parse().ok())
}

fn orgs(case: &Case, asked: &[OrgId]) -> Vec<OrgId> {
    let mut orgs: Vec<OrgId> = case.tasks.iter().map(|task| task.org).collect();
    orgs.extend(asked.iter().copied());
    orgs.push(case.first_receiver);
    orgs.sort_unstable();
    orgs.dedup();
    orgs
}

/// What a third organisation has to do with the case, or what is to be told of it once another case is done.
pub fn awaits(case: &Case) -> Option<&'static str> {
    match case.state {
        CaseState::Completed | CaseState::Verifying => Some("verification"),
        _ if case.awaits_judgement() => Some("judgement"),
        _ if case.awaits_rectification() => Some("rectification"),
        _ if case.awaits_later_call() => Some("callback"),
        _ => None,
    }
}

/// When the requester's clock is due, while it runs.
pub fn running_due_at(case: &Case) -> Option<Timestamp> {
    crate::domain::running_due_at(case.state, &case.clocks)
}

/// The due time that can still be missed, by the reading of analytics: the case is open and not completed; while it is
/// suspended, only one that had passed before. What is overdue at an instant is what lies before it.
pub fn open_due_at(case: &Case) -> Option<Timestamp> {
    use CaseState::{Completed, Resolved, Suspended, Verifying};
    if case.state.is_finished() || matches!(case.state, Completed | Verifying | Resolved) {
        return None;
    }
    let due = case.resolve_clock().map(|clock| clock.due_at);
    match &case.suspension {
        Some(pause) if case.state == Suspended => {
            pause.due_before.or(due).filter(|due| to_micros(*due) <= to_micros(pause.since))
        }
        _ => due,
    }
}
