//! A batch of events applied to the facts they concern: what changed, and what that means for the rollups.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{CaseEvent, CaseFact, Change, Deltas, MediationEvent, MediationFact, TaskFact, Worked};

/// Facts under change.
#[derive(Debug, Default)]
pub struct History {
    cases: BTreeMap<Uuid, Held<CaseFact>>,
    tasks: BTreeMap<Uuid, Held<TaskFact>>,
    mediations: BTreeMap<Uuid, Held<MediationFact>>,
}

#[derive(Debug)]
struct Held<F> {
    before: Option<F>,
    after: Option<F>,
}

impl<F> Default for Held<F> {
    fn default() -> Self {
        Self { before: None, after: None }
    }
}

/// What a batch changed. Facts are in the order of their ids.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Cases to write.
    pub cases: Vec<CaseFact>,
    /// Tasks to write.
    pub tasks: Vec<TaskFact>,
    /// Mediations to write.
    pub mediations: Vec<MediationFact>,
    /// Differences to add to the rollups.
    pub deltas: Deltas,
}

impl History {
    /// Starts from the facts that are stored.
    pub fn new(cases: Vec<CaseFact>, tasks: Vec<TaskFact>) -> Self {
        let held_case = |f: CaseFact| (f.case_id, Held { after: Some(f.clone()), before: Some(f) });
        let held_task = |f: TaskFact| (f.task_id, Held { after: Some(f.clone()), before: Some(f) });
        Self {
            cases: cases.into_iter().map(held_case).collect(),
            tasks: tasks.into_iter().map(held_task).collect(),
            mediations: BTreeMap::new(),
        }
    }

    /// With mediations that are stored.
    pub fn with_mediations(mut self, mediations: Vec<MediationFact>) -> Self {
        let held = |f: MediationFact| (f.mediation_id, Held { after: Some(f.clone()), before: Some(f) });
        self.mediations = mediations.into_iter().map(held).collect();
        self
    }

    /// Applies one event about a mediation.
    pub fn mediate(&mut self, event: &MediationEvent) {
        let held = self.mediations.entry(event.mediation_id).or_default();
        held.after = Some(MediationFact::apply(held.after.take(), event));
    }

    /// Applies one event.
    pub fn apply(&mut self, event: &CaseEvent) {
        let case = self.cases.entry(event.case_id).or_default();
        case.after = Some(CaseFact::apply(case.after.take(), event));
        if let Change::Task { task_id, change } = event.change {
            let task = self.tasks.entry(task_id).or_default();
            task.after = Some(TaskFact::apply(task.after.take(), task_id, change, event));
        }
    }

    /// Adds confirmed work to a case that is known.
    pub fn work(&mut self, worked: &Worked) {
        let case = self.cases.get_mut(&worked.case_id).and_then(|held| held.after.as_mut());
        if let Some(case) = case {
            case.work(worked.minutes);
        }
    }

    /// What has changed since the start.
    pub fn finish(self) -> Changes {
        let mut changes = Changes::default();
        for Held { before, after } in self.cases.into_values() {
            if before == after {
                continue;
            }
            if let Some(fact) = &before {
                changes.deltas.case(fact, -1);
            }
            if let Some(fact) = after {
                changes.deltas.case(&fact, 1);
                changes.cases.push(fact);
            }
        }
        for Held { before, after } in self.tasks.into_values() {
            if before == after {
                continue;
            }
            if let Some(fact) = &before {
                changes.deltas.task(fact, -1);
            }
            if let Some(fact) = after {
                changes.deltas.task(&fact, 1);
                changes.tasks.push(fact);
            }
        }
        for Held { before, after } in self.mediations.into_values() {
            if before == after {
                continue;
            }
            if let Some(fact) = &before {
                changes.deltas.mediation(fact, -1);
            }
            if let Some(fact) = after {
                changes.deltas.mediation(&fact, 1);
                changes.mediations.push(fact);
            }
        }
        changes.deltas = changes.deltas.without_zeros().with_stock();
        changes
    }
}

/// The rollups as they must be for these facts: the recount.
pub fn recount<'a>(
    cases: impl IntoIterator<Item = &'a CaseFact>,
    tasks: impl IntoIterator<Item = &'a TaskFact>,
) -> Deltas {
    let mut deltas = Deltas::default();
    cases.into_iter().for_each(|fact| deltas.case(fact, 1));
    tasks.into_iter().for_each(|fact| deltas.task(fact, 1));
    deltas.without_zeros().with_stock()
}
