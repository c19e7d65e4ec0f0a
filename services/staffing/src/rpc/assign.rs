//! Commands that touch more than one assignment: a worker declines and the next is asked; a head picks by hand.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    update,
};
use proto::staffing::v1::{
    AssignTaskRequest, AssignTaskResponse, DeclineAssignmentRequest, DeclineAssignmentResponse,
};

use super::{AssignmentRpc, convert, reach};
use crate::{
    desk::{Desk, Touch},
    domain::{AssignmentId, OrgId, Task, TaskId, TaskState, WorkerId, assignment, crew},
    store::{
        lists::{self, AssignmentFilter},
        tasks,
    },
};

/// Name of the kind in errors.
const TASK: &str = "task";

/// Whether a worker may be given a task by hand, as it stands.
fn may_have(desk: &Desk, task: &Task, worker_id: WorkerId) -> Result<()> {
    // A worker of another organisation does not exist for the caller.
    let worker = desk.worker(worker_id).filter(|worker| worker.org_id == task.org_id);
    let worker =
        worker.ok_or_else(|| Error::invalid("worker_id", "is no worker of the task's organisation"))?;
    if let Some(barred) = desk.barred(task, worker) {
        return Err(Error::invalid("worker_id", barred.code()));
    }
    let (kind, held) = (assignment::KIND, desk.held(task.id));
    if let Some(own) = held.iter().find(|held| held.person_id == worker.person_id) {
        return Err(Error::wrong_state(kind, own.id, "the task is with this worker already"));
    }
    match held.first() {
        Some(first) if !crew::has_room(task.wanted(), &held) => {
            Err(Error::wrong_state(kind, first.id, "somebody is at work already"))
        }
        _ => Ok(()),
    }
}

impl AssignmentRpc {
    /// The worker declines; the next best is asked in the same transaction.
    pub(super) async fn decline(
        &self,
        caller: &Caller,
        request: DeclineAssignmentRequest,
    ) -> Result<DeclineAssignmentResponse> {
        let meta = Meta::new("DeclineAssignment", &request.request_id, &request)?;
        let id = AssignmentId(convert::uuid("assignment_id", &request.assignment_id)?);
        let etag = update::etag(&request.etag)?;
        let reason = convert::code("reason_code", &request.reason_code)?;
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let not_found = || Error::not_found(assignment::KIND, id);
            let own = AssignmentFilter {
                person: caller.person_id,
                mine: true,
                id: Some(id.0),
                limit: 1,
                ..AssignmentFilter::default()
            };
            let found = lists::assignments(tx.conn, &own).await?;
            let task = found.as_slice().first().ok_or_else(not_found)?.task_id;
            let touch = Touch { tasks: vec![task.0], offers: true, ..Touch::default() };
            let mut desk = Desk::open(tx, &self.setup, touch).await?;
            let offered = desk.assignment(id).cloned().ok_or_else(not_found)?;
            update::fresh(etag, offered.version, assignment::KIND, id)?;
            desk.declined(&offered, &reason)?;
            let answer = DeclineAssignmentResponse { assignment: desk.assignment(id).map(Into::into) };
            desk.save(tx).await?;
            Ok(answer)
        })
        .await
    }

    /// A head gives a task of an organisation within reach to one of its workers; where as many have it as are wanted, in the
    /// place of one who has not begun.
    pub(super) async fn assign(
        &self,
        caller: &Caller,
        request: AssignTaskRequest,
    ) -> Result<AssignTaskResponse> {
        let meta = Meta::new("AssignTask", &request.request_id, &request)?;
        let id = TaskId(convert::uuid("task_id", &request.task_id)?);
        let worker_id = WorkerId(convert::uuid("worker_id", &request.worker_id)?);
        let reason = convert::code("reason_code", &request.reason_code)?;
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let found = tasks::find(tx.conn, id).await?;
            let topology = self.setup.topology.load();
            found
                .filter(|task| reach::org(caller, &topology, OrgId(task.org_id.0)))
                .ok_or_else(|| Error::not_found(TASK, id))?;
            let touch = Touch { tasks: vec![id.0], offers: true, ..Touch::default() };
            let mut desk = Desk::open(tx, &self.setup, touch).await?;
            let task = desk.task(id).cloned().ok_or_else(|| Error::not_found(TASK, id))?;
            if !matches!(task.state, TaskState::Open | TaskState::Unfilled) {
                return Err(Error::wrong_state(TASK, id, "no worker is wanted any more"));
            }
            may_have(&desk, &task, worker_id)?;
            let given = desk.by_hand(id, worker_id, &reason)?;
            let answer = AssignTaskResponse { assignment: given.as_ref().map(Into::into) };
            desk.save(tx).await?;
            Ok(answer)
        })
        .await
    }
}
