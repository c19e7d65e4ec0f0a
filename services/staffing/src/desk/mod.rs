//! The staffing desk: the tasks, assignments and workers that one transaction touches, held in memory while events or a
//! command are carried out, then written at once. Loads grow in memory as offers are made, so that several tasks of one
//! batch spread over the workers. All decisions are the domain's; this only keeps the books.

mod asking;
mod io;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use calendar::Calendar;
use chassis::{
    Result, Timestamp,
    event::{Emit, Event},
    topology::{Shared, Topology, UnitKind},
};
use uuid::Uuid;

use crate::{
    domain::{
        Assignment, AssignmentId, AssignmentState, Level, OrgId, Step, Task, TaskId, TaskState, UnitId,
        Worker, WorkerId, crew, picker::Path, terms::OfferTerms,
    },
    emit,
    store::workers::OnRoster,
    working_days::WorkingDays,
};

/// What the desk works with, the same for every transaction.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Units and organisations.
    pub topology: Arc<Shared>,
    /// Time to answer an offer.
    pub terms: OfferTerms,
    /// Working days.
    pub days: WorkingDays,
    /// Workers made by grants accept at once.
    pub auto_accept: bool,
}

/// What a transaction touches.
#[derive(Clone, Debug, Default)]
pub struct Touch {
    /// Tasks by id.
    pub tasks: Vec<Uuid>,
    /// All tasks of cases.
    pub cases: Vec<Uuid>,
    /// Workers whose appointments end, with what they have in hand.
    pub leaving: Vec<Worker>,
    /// Organisations that want workers, besides those of the tasks.
    pub orgs: Vec<Uuid>,
    /// Something may have to be offered: workers are needed. Without it nothing may be.
    pub offers: bool,
}

/// See the module.
pub struct Desk {
    terms: OfferTerms,
    calendar: Arc<Calendar>,
    topology: Arc<Topology>,
    now: Timestamp,
    tasks: BTreeMap<TaskId, (Task, bool)>,
    /// As loaded (`None` when new) and as it is now.
    assignments: BTreeMap<AssignmentId, (Option<Assignment>, Assignment)>,
    /// Oldest first.
    of_task: HashMap<TaskId, Vec<AssignmentId>>,
    workers: HashMap<WorkerId, OnRoster>,
    of_org: HashMap<OrgId, Vec<WorkerId>>,
    areas: HashMap<UnitId, Path>,
    /// Organisations that not as many were found of as one of their tasks wants.
    short: HashSet<OrgId>,
    leaving: Vec<WorkerId>,
    emits: Vec<Emit>,
    cause: Option<Event>,
}

impl Desk {
    /// What happens from now on is caused by an event.
    pub fn caused_by(&mut self, event: &Event) {
        self.cause = Some(event.clone());
    }

    /// A task, if it is known.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|(task, _)| task)
    }

    /// Whether what comes with this version of its case is news about a task; of one that is not known anything is.
    pub fn learns(&mut self, id: TaskId, case_version: i64) -> bool {
        self.tasks.get_mut(&id).is_none_or(|(task, _)| task.learns(case_version))
    }

    /// The ids of the known tasks of a case.
    pub fn tasks_of(&self, case: Uuid) -> Vec<TaskId> {
        self.tasks.values().filter(|(task, _)| task.case_id.0 == case).map(|(task, _)| task.id).collect()
    }

    /// The assignments in whose hands a task is, in the order in which they were offered.
    pub fn held(&self, task: TaskId) -> Vec<&Assignment> {
        self.history(task).filter(|assignment| assignment.state.is_active()).collect()
    }

    /// An assignment as it is now.
    pub fn assignment(&self, id: AssignmentId) -> Option<&Assignment> {
        self.assignments.get(&id).map(|(_, now)| now)
    }

    /// A worker of one of the organisations at hand.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id).map(|on_roster| &on_roster.worker)
    }

    fn history(&self, task: TaskId) -> impl Iterator<Item = &Assignment> {
        self.of_task.get(&task).into_iter().flatten().filter_map(|id| self.assignment(*id))
    }

    /// An organisation signed: those who fit best are asked, as many as are wanted. In whose hands a task is, it stays.
    pub fn signed(&mut self, task: Task) -> Result<()> {
        let id = task.id;
        let held = self.held(id).len();
        match self.tasks.get_mut(&id) {
            None => {
                self.tasks.insert(id, (task, true));
            }
            Some((known, changed)) => {
                let moved = known.state != TaskState::Open;
                (known.due_at, known.urgent, known.skills) = (task.due_at, task.urgent, task.skills);
                // Nobody is sent away where fewer are wanted than before.
                known.workers_wanted = task.workers_wanted.max(i32::try_from(held).unwrap_or(i32::MAX));
                *changed = true;
                match (moved, held) {
                    (true, 0) => known.start_over(),
                    (true, _) => known.enter(TaskState::Open),
                    (false, _) => {}
                }
            }
        }
        self.carry_due(id);
        self.offer(id)
    }

    /// A task is due at another time than before.
    pub fn due(&mut self, id: TaskId, due_at: Timestamp) {
        let going_on = |(task, _): &&mut (Task, bool)| task.state != TaskState::Ended;
        let Some((task, changed)) = self.tasks.get_mut(&id).filter(going_on) else { return };
        *changed |= task.due_at != Some(due_at);
        task.due_at = Some(due_at);
        self.carry_due(id);
    }

    /// Who has a task in hand sees when it is due now.
    fn carry_due(&mut self, id: TaskId) {
        let Some(due_at) = self.task(id).map(|task| task.due_at) else { return };
        let held: Vec<AssignmentId> = self.held(id).into_iter().map(|held| held.id).collect();
        for id in held {
            if let Some((_, now)) = self.assignments.get_mut(&id) {
                now.fall_due(due_at);
            }
        }
    }

    /// The task ended without a result, or its case did.
    pub fn ended(&mut self, id: TaskId, reason_code: &str) -> Result<()> {
        self.enter(id, TaskState::Ended);
        self.cancel_held(id, reason_code, |_| true)
    }

    /// The result stands, or its case is closed: what is done is confirmed; what was never reported as done ends.
    pub fn approved(&mut self, id: TaskId, reason_code: &str) -> Result<()> {
        self.enter(id, TaskState::Ended);
        let held: Vec<Assignment> = self.held(id).into_iter().cloned().collect();
        for held in held {
            let done = held.state == AssignmentState::Done;
            let step = if done { held.confirm(self.now)? } else { held.cancel(reason_code, self.now)? };
            self.record(step);
        }
        Ok(())
    }

    /// The organisation handed its result in: nobody needs to be asked any more. Who has it in hand may still report.
    pub fn submitted(&mut self, id: TaskId) -> Result<()> {
        self.enter(id, TaskState::Submitted);
        self.cancel_held(id, "task_submitted", |held| held.state == AssignmentState::Offered)
    }

    /// The organisation says it is not its duty: work rests until somebody signs.
    pub fn objected(&mut self, id: TaskId) -> Result<()> {
        self.enter(id, TaskState::Objected);
        self.cancel_held(id, "task_objected", |_| true)
    }

    /// The result was sent back: whoever has it in hand goes on; the others are asked anew, first those who did it.
    pub fn returned(&mut self, id: TaskId, due_at: Option<Timestamp>) -> Result<()> {
        self.cancel_held(id, crew::RETURNED, |held| held.state == AssignmentState::Done)?;
        let in_hand = !self.held(id).is_empty();
        let Some((task, changed)) = self.tasks.get_mut(&id) else { return Ok(()) };
        *changed = true;
        task.due_at = due_at.or(task.due_at);
        if in_hand {
            task.enter(TaskState::Open);
        } else {
            task.start_over();
        }
        self.carry_due(id);
        self.offer(id)
    }

    /// The time to answer is over: the next best is asked.
    pub fn timed_out(&mut self, id: TaskId) -> Result<()> {
        let late =
            |held: &&Assignment| held.state == AssignmentState::Offered && held.offer_due_at < self.now;
        let late: Vec<Assignment> = self.held(id).into_iter().filter(late).cloned().collect();
        if late.is_empty() {
            return Ok(());
        }
        for offered in late {
            let step = offered.time_out(self.now)?;
            self.record(step);
        }
        self.offer(id)
    }

    /// The worker declined: the next best is asked.
    pub fn declined(&mut self, assignment: &Assignment, reason_code: &str) -> Result<()> {
        let step = assignment.decline(reason_code, self.now)?;
        self.record(step);
        self.offer(assignment.task_id)
    }

    /// Those whose appointment ends hand over what they have.
    pub fn hand_over(&mut self) -> Result<()> {
        let left: Vec<Assignment> = self
            .assignments
            .values()
            .map(|(_, now)| now)
            .filter(|a| a.state.is_load() && self.leaving.contains(&a.worker_id))
            .cloned()
            .collect();
        for held in left {
            let step = held.cancel(crew::LEFT, self.now)?;
            self.record(step);
            let wanted = |task: &Task| matches!(task.state, TaskState::Open | TaskState::Unfilled);
            if self.task(held.task_id).is_some_and(wanted) {
                self.offer(held.task_id)?;
            }
        }
        Ok(())
    }

    /// Somebody came: whoever can be found now is asked for what lacked workers.
    pub fn take_up(&mut self, ids: &[Uuid]) -> Result<()> {
        for id in ids.iter().copied().map(TaskId) {
            if self.task(id).is_some_and(|task| task.state == TaskState::Unfilled) {
                self.offer(id)?;
            }
        }
        Ok(())
    }

    /// Ends those assignments in hand of a task that are so.
    fn cancel_held(
        &mut self,
        id: TaskId,
        reason_code: &str,
        which: impl Fn(&Assignment) -> bool,
    ) -> Result<()> {
        let ending: Vec<Assignment> = self.held(id).into_iter().filter(|held| which(held)).cloned().collect();
        for held in ending {
            let step = held.cancel(reason_code, self.now)?;
            self.record(step);
        }
        Ok(())
    }

    fn enter(&mut self, id: TaskId, state: TaskState) {
        if let Some((task, changed)) = self.tasks.get_mut(&id) {
            *changed |= task.state != state;
            task.enter(state);
        }
    }

    /// Keeps the books of one step: the assignment, the worker's load, the event.
    fn record(&mut self, (after, fact): Step) {
        let emit = emit::of(&after, &fact);
        self.tell(emit);
        let before = self.assignment(after.id);
        let change = i32::from(after.state.is_load()) - i32::from(before.is_some_and(|a| a.state.is_load()));
        let created = before.is_none();
        if let Some(on_roster) = self.workers.get_mut(&after.worker_id) {
            let worker = &mut on_roster.worker;
            worker.open_count += change;
            worker.open_minutes += i64::from(change) * i64::from(after.weight);
            if created {
                worker.last_offered_at = Some(self.now);
            }
        }
        match self.assignments.get_mut(&after.id) {
            Some((_, now)) => *now = after,
            None => {
                self.assignments.insert(after.id, (None, after));
            }
        }
    }

    fn tell(&mut self, emit: Emit) {
        let emit = match &self.cause {
            Some(event) => emit.caused_by(event),
            None => emit,
        };
        self.emits.push(emit);
    }
}

/// Units from the root to one, with their depth; empty when it is not known.
fn path(topology: &Topology, unit: Option<UnitId>) -> Path {
    let ids = unit.and_then(|unit| topology.path(unit.0));
    let levels = ids.iter().flat_map(|ids| ids.iter()).filter_map(|id| {
        let level = match topology.unit(*id)?.kind {
            UnitKind::City | UnitKind::Unspecified => Level::City,
            UnitKind::District => Level::District,
            UnitKind::Street => Level::Street,
            UnitKind::Community => Level::Community,
            UnitKind::Courtyard => Level::Courtyard,
            UnitKind::Doorway => Level::Doorway,
        };
        Some((*id, level))
    });
    levels.collect()
}
