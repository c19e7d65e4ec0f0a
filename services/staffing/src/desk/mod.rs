//! The staffing desk: the tasks, assignments and workers that one transaction touches, held in memory while events or a
//! command are carried out, then written at once. Loads grow in memory as offers are made, so that several tasks of one
//! batch spread over the workers. All decisions are the domain's; this only keeps the books.

mod io;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use calendar::Calendar;
use chassis::{
    Result, Timestamp,
    clock::new_id,
    event::{Emit, Event},
    topology::{OrganizationKind, Shared, Topology, UnitKind},
};
use uuid::Uuid;

use crate::{
    domain::{
        Assignment, AssignmentId, AssignmentState, Candidate, Level, Need, OrgId, Ranked, Step, Task, TaskId,
        TaskState, UnitId, Worker, WorkerId,
        picker::{self, Path, Reason},
        rank,
        terms::OfferTerms,
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

    /// The ids of the known tasks of a case.
    pub fn tasks_of(&self, case: Uuid) -> Vec<TaskId> {
        self.tasks.values().filter(|(task, _)| task.case_id.0 == case).map(|(task, _)| task.id).collect()
    }

    /// The assignment in whose hands a task is.
    pub fn active(&self, task: TaskId) -> Option<&Assignment> {
        self.history(task).rev().find(|assignment| assignment.state.is_active())
    }

    /// An assignment as it is now.
    pub fn assignment(&self, id: AssignmentId) -> Option<&Assignment> {
        self.assignments.get(&id).map(|(_, now)| now)
    }

    /// A worker of one of the organisations at hand.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id).map(|on_roster| &on_roster.worker)
    }

    fn history(&self, task: TaskId) -> impl DoubleEndedIterator<Item = &Assignment> {
        self.of_task.get(&task).into_iter().flatten().filter_map(|id| self.assignment(*id))
    }

    /// An organisation signed: whoever fits best is asked. A task in somebody's hands stays there.
    pub fn signed(&mut self, task: Task) -> Result<()> {
        let id = task.id;
        match self.tasks.get_mut(&id) {
            None => {
                self.tasks.insert(id, (task, true));
            }
            Some((known, changed)) => {
                let moved = known.state != TaskState::Open;
                (known.due_at, known.urgent, known.skills) = (task.due_at, task.urgent, task.skills);
                *changed = true;
                if moved {
                    known.start_over();
                }
            }
        }
        if self.active(id).is_some() { Ok(()) } else { self.offer(id) }
    }

    /// The task ended without a result, or its case did.
    pub fn ended(&mut self, id: TaskId, reason_code: &str) -> Result<()> {
        self.enter(id, TaskState::Ended);
        self.cancel_active(id, reason_code)
    }

    /// The result stands: what is done is confirmed; what was never reported as done ends.
    pub fn approved(&mut self, id: TaskId) -> Result<()> {
        self.enter(id, TaskState::Ended);
        match self.active(id) {
            Some(done) if done.state == AssignmentState::Done => {
                let step = done.confirm(self.now)?;
                self.record(step);
                Ok(())
            }
            Some(_) => self.cancel_active(id, "task_approved"),
            None => Ok(()),
        }
    }

    /// The organisation handed its result in: nobody needs to be asked any more. Who has it in hand may still report.
    pub fn submitted(&mut self, id: TaskId) -> Result<()> {
        self.enter(id, TaskState::Submitted);
        match self.active(id) {
            Some(open) if open.state == AssignmentState::Offered => self.cancel_active(id, "task_submitted"),
            _ => Ok(()),
        }
    }

    /// The organisation says it is not its duty: work rests until somebody signs.
    pub fn objected(&mut self, id: TaskId) -> Result<()> {
        self.enter(id, TaskState::Objected);
        self.cancel_active(id, "task_objected")
    }

    /// The result was sent back: whoever has it in hand goes on; else it is offered anew, first to who did it.
    pub fn returned(&mut self, id: TaskId, due_at: Option<Timestamp>) -> Result<()> {
        if self.active(id).is_some_and(|held| held.state == AssignmentState::Done) {
            self.cancel_active(id, "task_returned")?;
        }
        let in_hand = self.active(id).is_some();
        let Some((task, changed)) = self.tasks.get_mut(&id) else { return Ok(()) };
        *changed = true;
        task.due_at = due_at.or(task.due_at);
        if in_hand {
            task.enter(TaskState::Open);
            return Ok(());
        }
        task.start_over();
        self.offer(id)
    }

    /// The time to answer is over: the next best is asked.
    pub fn timed_out(&mut self, id: TaskId) -> Result<()> {
        match self.active(id) {
            Some(open) if open.state == AssignmentState::Offered && open.offer_due_at < self.now => {
                let step = open.time_out(self.now)?;
                self.record(step);
                self.offer(id)
            }
            _ => Ok(()),
        }
    }

    /// The worker declined: the next best is asked.
    pub fn declined(&mut self, assignment: &Assignment, reason_code: &str) -> Result<()> {
        let step = assignment.decline(reason_code, self.now)?;
        self.record(step);
        self.offer(assignment.task_id)
    }

    /// Those whose appointment ends hand over what they have.
    pub fn hand_over(&mut self) -> Result<()> {
        let left: Vec<TaskId> = self
            .assignments
            .values()
            .map(|(_, now)| now)
            .filter(|a| a.state.is_load() && self.leaving.contains(&a.worker_id))
            .map(|a| a.task_id)
            .collect();
        for id in left {
            self.cancel_active(id, "worker_left")?;
            if self.task(id).is_some_and(|task| task.state == TaskState::Open) {
                self.offer(id)?;
            }
        }
        Ok(())
    }

    /// A head picks the worker. The caller has checked that the worker may have it and nobody is at work yet.
    pub fn by_hand(&mut self, id: TaskId, worker: WorkerId, reason_code: &str) -> Result<Option<Assignment>> {
        self.cancel_active(id, "reassigned")?;
        self.enter(id, TaskState::Open);
        let Some(task) = self.task(id).cloned() else { return Ok(None) };
        let weighed = self.weigh(&task, worker);
        let mut reasons = vec![Reason::ByHand(reason_code.to_owned())];
        reasons.extend(weighed.into_iter().flat_map(|ranked| ranked.reasons));
        self.give(&task, worker, &reasons)
    }

    /// Why a worker may not be given a task.
    pub fn barred(&self, task: &Task, worker: &Worker) -> Option<picker::Barred> {
        picker::barred(&self.need(task, &[], &[]), worker)
    }

    /// Asks the best who was not asked yet; tells once that there is nobody.
    fn offer(&mut self, id: TaskId) -> Result<()> {
        let Some(task) = self.task(id).cloned() else { return Ok(()) };
        let tried: Vec<WorkerId> =
            self.history(id).filter(|a| a.round == task.round).map(|a| a.worker_id).collect();
        let staff = self.of_org.get(&task.org_id).map_or(&[][..], Vec::as_slice);
        let place = path(&self.topology, task.place_unit_id);
        let need = self.need(&task, &place, &tried);
        let candidates = staff.iter().filter_map(|worker| self.candidate(*worker));
        let best = rank(&need, candidates).into_iter().next();
        if let Some(Ranked { worker_id, reasons, .. }) = best {
            self.give(&task, worker_id, &reasons)?;
            return Ok(());
        }
        if task.state != TaskState::Unfilled {
            let reason = if staff.is_empty() { "no_workers" } else { "nobody_left" };
            self.enter(id, TaskState::Unfilled);
            if let Some((task, _)) = self.tasks.get(&id) {
                let emit = emit::unfilled(task, reason);
                self.tell(emit);
            }
        }
        Ok(())
    }

    fn need<'a>(&self, task: &'a Task, place: &'a [(Uuid, Level)], tried: &'a [WorkerId]) -> Need<'a> {
        let managing = [OrganizationKind::ServiceStation, OrganizationKind::StreetOffice];
        Need {
            org_id: task.org_id,
            manages_auxiliaries: self
                .topology
                .org(task.org_id.0)
                .is_some_and(|org| managing.contains(&org.kind)),
            decision: task.decision,
            line: task.line.as_deref(),
            skills: &task.skills,
            place,
            tried,
            before: self.history(task.id).rev().find(|a| a.accepted_at.is_some()).map(|a| a.worker_id),
        }
    }

    fn candidate(&self, id: WorkerId) -> Option<Candidate<'_>> {
        let OnRoster { worker, on_shift, .. } = self.workers.get(&id)?;
        let area = self.areas.get(&worker.area_unit_id).map_or(&[][..], Vec::as_slice);
        Some(Candidate { worker, on_shift: *on_shift, area })
    }

    fn weigh(&self, task: &Task, worker: WorkerId) -> Option<Ranked> {
        let place = path(&self.topology, task.place_unit_id);
        Some(picker::weigh(&self.need(task, &place, &[]), &self.candidate(worker)?))
    }

    /// Offers a task; by an agreed rule it may be accepted at once.
    fn give(&mut self, task: &Task, worker: WorkerId, reasons: &[Reason]) -> Result<Option<Assignment>> {
        let Some(worker) = self.worker(worker).cloned() else { return Ok(None) };
        let id = AssignmentId(new_id());
        let due = self.terms.due(task.urgent, self.now, &self.calendar);
        let reasons = reasons.iter().map(ToString::to_string).collect();
        let step = Assignment::offer(id, task, &worker, reasons, self.now, due);
        let offered = step.0.clone();
        self.of_task.entry(task.id).or_default().push(id);
        self.record(step);
        if !worker.auto_accept {
            return Ok(Some(offered));
        }
        let step = offered.accept(self.now)?;
        let accepted = step.0.clone();
        self.record(step);
        Ok(Some(accepted))
    }

    fn cancel_active(&mut self, id: TaskId, reason_code: &str) -> Result<()> {
        if let Some(active) = self.active(id) {
            let step = active.cancel(reason_code, self.now)?;
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
