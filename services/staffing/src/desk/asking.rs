//! Who is asked to do a task: the best of the organisation's workers, as many as are wanted.

use chassis::{Result, clock::new_id, topology::OrganizationKind};
use uuid::Uuid;

use super::{Desk, path};
use crate::{
    domain::{
        Assignment, AssignmentId, Candidate, Level, Need, Ranked, Task, TaskId, TaskState, Worker, WorkerId,
        crew::{self, Known},
        picker::{self, Reason},
    },
    emit,
    store::workers::OnRoster,
};

impl Desk {
    /// A head picks the worker. The caller has checked that the worker may have it and that there is room: where nobody is
    /// missing, somebody who is not at work yet makes way.
    pub fn by_hand(&mut self, id: TaskId, worker: WorkerId, reason_code: &str) -> Result<Option<Assignment>> {
        let Some(task) = self.task(id).cloned() else { return Ok(None) };
        let held = self.held(id);
        if crew::missing(task.wanted(), &held) == 0 {
            let Some(replaced) = crew::to_replace(&held).cloned() else { return Ok(None) };
            let step = replaced.cancel(crew::REASSIGNED, self.now)?;
            self.record(step);
        }
        let weighed = self.weigh(&task, worker);
        let mut reasons = vec![Reason::ByHand(reason_code.to_owned())];
        reasons.extend(weighed.into_iter().flat_map(|ranked| ranked.reasons));
        let given = self.give(&task, worker, &reasons)?;
        self.covered(id);
        Ok(given)
    }

    /// Why a worker may not be given a task.
    pub fn barred(&self, task: &Task, worker: &Worker) -> Option<picker::Barred> {
        picker::barred(&self.need(task, &[], &Known::default()), worker)
    }

    /// Asks the best who were not asked yet, until as many as are wanted have it; tells once that there are not as many, also
    /// where it was handed in and sent back meanwhile.
    pub(super) fn offer(&mut self, id: TaskId) -> Result<()> {
        let Some(task) = self.task(id).cloned() else { return Ok(()) };
        let missing = crew::missing(task.wanted(), &self.held(id));
        let picked = if missing > 0 { self.pick(&task, missing) } else { Vec::new() };
        let found = picked.len();
        for Ranked { worker_id, reasons, .. } in picked {
            self.give(&task, worker_id, &reasons)?;
        }
        if found == missing {
            self.covered(id);
        } else if task.state != TaskState::Unfilled {
            let reason = if self.of_org.contains_key(&task.org_id) { "nobody_left" } else { "no_workers" };
            self.enter(id, TaskState::Unfilled);
            self.short.insert(task.org_id);
            if let Some((task, _)) = self.tasks.get_mut(&id).filter(|(task, _)| !task.lack_told) {
                task.lack_told = true;
                let emit = emit::unfilled(task, reason);
                self.tell(emit);
            }
        }
        Ok(())
    }

    /// As many as are wanted have it now, where nobody was found before.
    fn covered(&mut self, id: TaskId) {
        let complete = |task: &Task| crew::missing(task.wanted(), &self.held(id)) == 0;
        if !self.task(id).is_some_and(complete) {
            return;
        }
        if let Some((task, changed)) = self.tasks.get_mut(&id) {
            *changed |= task.lack_told;
            task.lack_told = false;
            if task.state == TaskState::Unfilled {
                *changed = true;
                task.enter(TaskState::Open);
            }
        }
    }

    fn pick(&self, task: &Task, count: usize) -> Vec<Ranked> {
        let known = self.known(task);
        let staff = self.of_org.get(&task.org_id).map_or(&[][..], Vec::as_slice);
        let place = path(&self.topology, task.place_unit_id);
        let candidates = staff.iter().filter_map(|worker| self.candidate(*worker));
        crew::pick(&self.need(task, &place, &known), candidates, count)
    }

    fn known(&self, task: &Task) -> Known {
        let history: Vec<&Assignment> = self.history(task.id).collect();
        Known::of(&history, task.round, task.wanted())
    }

    fn need<'a>(&self, task: &'a Task, place: &'a [(Uuid, Level)], known: &'a Known) -> Need<'a> {
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
            tried: &known.tried,
            with: &known.with,
            before: &known.before,
        }
    }

    fn candidate(&self, id: WorkerId) -> Option<Candidate<'_>> {
        let OnRoster { worker, on_shift, .. } = self.workers.get(&id)?;
        let area = self.areas.get(&worker.area_unit_id).map_or(&[][..], Vec::as_slice);
        Some(Candidate { worker, on_shift: *on_shift, area })
    }

    fn weigh(&self, task: &Task, worker: WorkerId) -> Option<Ranked> {
        let place = path(&self.topology, task.place_unit_id);
        let known = self.known(task);
        Some(picker::weigh(&self.need(task, &place, &known), &self.candidate(worker)?))
    }

    /// Offers a task; by an agreed rule it may be accepted at once.
    fn give(&mut self, task: &Task, worker: WorkerId, reasons: &[Reason]) -> Result<Option<Assignment>> {
        let Some(worker) = self.worker(worker).cloned() else { return Ok(None) };
        let id = AssignmentId(new_id());
        let slot = crew::free_slot(&self.held(task.id));
        let due = self.terms.due(task.urgent, self.now, &self.calendar);
        let reasons = reasons.iter().map(ToString::to_string).collect();
        let step = Assignment::offer(id, task, &worker, slot, reasons, self.now, due);
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
}
