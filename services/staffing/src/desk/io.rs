//! What the desk reads and writes: everything touched is locked and loaded at once, everything changed is written at once.

use std::collections::{BTreeMap, HashMap, HashSet};

use chassis::{Result, db::Tx};
use uuid::Uuid;

use super::{Desk, Setup, Touch, path};
use crate::{
    domain::{Assignment, Task},
    roster,
    store::{assignments, tasks, workers},
};

impl Desk {
    /// Loads and locks what is touched.
    pub async fn open(tx: &mut Tx<'_>, setup: &Setup, touch: Touch) -> Result<Self> {
        let leaving: Vec<Uuid> = touch.leaving.iter().map(|worker| worker.id.0).collect();
        let locked = tasks::lock(tx.conn, &touch.tasks, &touch.cases, &leaving).await?;
        let ids: Vec<Uuid> = locked.iter().map(|task| task.id.0).collect();
        let held =
            if ids.is_empty() { Vec::new() } else { assignments::lock_of_tasks(tx.conn, &ids).await? };
        let orgs: HashSet<Uuid> = touch.orgs.into_iter().chain(locked.iter().map(|t| t.org_id.0)).collect();
        let orgs: Vec<Uuid> = orgs.into_iter().collect();
        let calendar = setup.days.calendar();
        let staff = if touch.offers {
            roster::workers_of(tx.conn, &orgs, tx.now, &calendar).await?
        } else {
            Vec::new()
        };
        let mut desk = Self {
            terms: setup.terms,
            calendar,
            topology: setup.topology.load(),
            now: tx.now,
            tasks: locked.into_iter().map(|task| (task.id, (task, false))).collect(),
            assignments: BTreeMap::new(),
            of_task: HashMap::new(),
            workers: HashMap::new(),
            of_org: HashMap::new(),
            areas: HashMap::new(),
            short: HashSet::new(),
            leaving: touch.leaving.iter().map(|worker| worker.id).collect(),
            emits: Vec::new(),
            cause: None,
        };
        for assignment in held {
            desk.of_task.entry(assignment.task_id).or_default().push(assignment.id);
            desk.assignments.insert(assignment.id, (Some(assignment.clone()), assignment));
        }
        for mut on_roster in staff {
            let worker = &mut on_roster.worker;
            worker.active &= !desk.leaving.contains(&worker.id);
            desk.of_org.entry(worker.org_id).or_default().push(worker.id);
            let area = worker.area_unit_id;
            desk.areas.entry(area).or_insert_with(|| path(&desk.topology, Some(area)));
            desk.workers.insert(worker.id, on_roster);
        }
        Ok(desk)
    }

    /// Writes everything that changed, and sends the events with the commit.
    pub async fn save(self, tx: &mut Tx<'_>) -> Result<()> {
        let changed: Vec<&Task> =
            self.tasks.values().filter(|(_, changed)| *changed).map(|(task, _)| task).collect();
        let changes: Vec<(Option<&Assignment>, &Assignment)> = self
            .assignments
            .values()
            .filter(|(before, now)| before.as_ref().is_none_or(|before| before.version != now.version))
            .map(|(before, now)| (before.as_ref(), now))
            .collect();
        if !self.leaving.is_empty() {
            // All workers in one go, or two transactions could wait for each other.
            let all = changes.iter().map(|(_, a)| a.worker_id).chain(self.leaving.iter().copied());
            workers::hold(tx.conn, &all.collect::<Vec<_>>()).await?;
        }
        let conn = &*tx.conn;
        futures::try_join!(tasks::write(conn, &changed), assignments::write(conn, &changes))?;
        workers::end(tx.conn, &self.leaving, tx.now).await?;
        if !self.short.is_empty() {
            // Whoever comes meanwhile looks for what is unfilled, and does not see this yet. Last, so that nothing is waited for then.
            let orgs: Vec<Uuid> = self.short.iter().map(|org| org.0).collect();
            let read: Vec<_> = self.workers.keys().copied().collect();
            workers::as_read(tx.conn, &orgs, &read).await?;
        }
        for emit in self.emits {
            tx.emit(emit);
        }
        Ok(())
    }
}
