//! What staffing does when something happens elsewhere: one function per event. A batch is read, what it touches is
//! loaded once, the events are carried out in order, everything is written at once; where somebody comes after somebody
//! left, what came before that is written first. An event about a task that staffing does not know is fine: not every
//! organisation has workers here.

use async_trait::async_trait;
use chassis::{Result, Timestamp, clock::from_proto, db::Tx, event::Event, inbox::Consumer};
use proto::{
    case_routing::v1::{
        AdmissionRefusedByCommunity, CalendarAmended, CaseClosed, CaseCompleted, CaseExtended, CaseResumed,
        CaseWithdrawn, ClockKind, ClockMoved, DispatchMode, Nature, TaskApproved, TaskCancelled,
        TaskDeclined, TaskObjected, TaskPart, TaskReturned, TaskSigned, TaskSubmitted, Urgency,
    },
    identity::v1::{RoleGranted, RoleRevoked},
};
use uuid::Uuid;

use crate::{
    desk::{Desk, Setup, Touch},
    domain::{CaseId, OrgId, Task, TaskId, TaskState, UnitId},
    duty,
    seed::templates,
    store::{announced, grants, notices, tasks, workers},
    workforce::{self, TAKEN_UP, uuid},
    working_days,
};

/// The consumer of staffing.
#[derive(Debug, Clone)]
pub struct StaffingConsumer {
    setup: Setup,
}

impl StaffingConsumer {
    /// With the topology and the terms of offers.
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }
}

/// An event staffing listens to.
enum News {
    Signed(Box<Task>),
    Objected(TaskId),
    Cancelled(TaskId),
    Declined(TaskId),
    Refused(TaskId),
    Submitted(TaskId),
    Returned(TaskId, Option<prost_types::Timestamp>),
    Approved(TaskId),
    Withdrawn(Uuid),
    Closed(Uuid),
    Due(Due, Timestamp),
}

/// What is due at another time than before.
#[derive(Clone, Copy)]
enum Due {
    /// A task with a limit of its own.
    Task(TaskId),
    /// The task of the organisation that leads a case: it is due when that is.
    Lead(Uuid, OrgId),
}

#[async_trait]
impl Consumer for StaffingConsumer {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        // Before anything else is held: who comes may have to wait for those who find that nobody is there.
        workers::come(tx.conn, &workforce::appointing(events)?).await?;
        for run in runs(events) {
            self.carry_out(tx, run).await?;
        }
        Ok(())
    }
}

/// A batch, cut where somebody comes after somebody left: the seat is free by then, and a transfer that counts on it hears of
/// both.
fn runs(events: &[Event]) -> Vec<&[Event]> {
    let (mut runs, mut rest) = (Vec::new(), events);
    let (mut left, mut at) = (false, 0);
    while let Some(event) = rest.get(at) {
        if left && event.is::<RoleGranted>() {
            let (run, next) = rest.split_at(at);
            runs.push(run);
            (rest, left, at) = (next, false, 0);
        } else {
            left |= event.is::<RoleRevoked>();
            at += 1;
        }
    }
    runs.push(rest);
    runs
}

impl StaffingConsumer {
    /// Carries out events of which no grant follows a revocation.
    async fn carry_out(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        let (mut granted, mut revoked, mut appointing) = (Vec::new(), Vec::new(), None);
        let (mut news, mut touch) = (Vec::new(), Touch::default());
        for event in events {
            if event.is::<RoleGranted>() {
                granted.push(event.decode::<RoleGranted>()?);
                appointing = appointing.or(Some(event));
            } else if event.is::<RoleRevoked>() {
                revoked.push((event, workforce::ended(&event.decode()?)?));
            } else if event.is::<CalendarAmended>() {
                on_calendar_amended(tx, &self.setup, event).await?;
            } else if duty::handle(tx, event).await? {
                // Money and posts of transfers: nothing of it is about tasks.
            } else if let Some(read) = News::read(event, &mut touch)? {
                news.push((event, read));
            }
        }
        announced::add(tx.conn, &workforce::announced(&granted)?).await?;
        let mut unfilled = Vec::new();
        if let Some(event) = appointing {
            let posts = workforce::appoint(tx, &self.setup, &granted).await?;
            let (ids, orgs): (Vec<Uuid>, Vec<Uuid>) =
                posts.iter().map(|post| (post.id.0, post.org_id.0)).unzip();
            tx.caused_by(event);
            duty::held(tx, &ids).await?;
            tx.set_origin(None);
            unfilled = tasks::unfilled(tx.conn, &orgs, TAKEN_UP).await?;
            touch.tasks.extend(&unfilled);
            touch.offers |= !unfilled.is_empty();
        }
        let ends: Vec<announced::Ended> = revoked.iter().map(|(_, end)| *end).collect();
        let ended: Vec<Uuid> = ends.iter().map(|end| end.grant_id.0).collect();
        if !ended.is_empty() {
            announced::end(tx.conn, &ends).await?;
            grants::end(tx.conn, &ended).await?;
            touch.leaving = workers::of_grants(tx.conn, &ended).await?;
            touch.offers |= !touch.leaving.is_empty();
        }
        if !news.is_empty() || !touch.leaving.is_empty() || !unfilled.is_empty() {
            let leaving = touch.leaving.clone();
            let mut desk = Desk::open(tx, &self.setup, touch).await?;
            if let Some((event, _)) = revoked.first() {
                on_role_revoked(&mut desk, event)?;
            }
            for (event, news) in &news {
                on_news(&mut desk, event, news)?;
            }
            if let Some(event) = appointing {
                on_role_granted(&mut desk, event, &unfilled)?;
            }
            desk.save(tx).await?;
            if let Some((event, _)) = revoked.first() {
                tx.caused_by(event);
                duty::left(tx, &leaving).await?;
                tx.set_origin(None);
            }
        }
        // Last: workers are locked after their tasks.
        grants::pass_on(tx.conn, &ended).await
    }
}

/// Carries out what is told about tasks, but for what was told before: that is no news, under whatever id it comes
/// again.
fn on_news(desk: &mut Desk, event: &Event, news: &News) -> Result<()> {
    desk.caused_by(event);
    let about = news.tasks(desk).into_iter();
    let (told, known): (Vec<TaskId>, Vec<TaskId>) =
        about.partition(|id| desk.learns(*id, event.aggregate_version));
    for id in known {
        tracing::warn!(event.id = %event.id, task.id = %id, "dropped: the task knew of this version of its case, or a later one");
    }
    for id in told {
        match news {
            News::Signed(task) => on_task_signed(desk, Task::clone(task))?,
            News::Objected(_) => on_task_objected(desk, id)?,
            News::Cancelled(_) => on_task_cancelled(desk, id)?,
            News::Declined(_) => on_task_declined(desk, id)?,
            News::Refused(_) => on_admission_refused_by_community(desk, id)?,
            News::Submitted(_) => on_task_submitted(desk, id)?,
            News::Returned(_, due) => on_task_returned(desk, id, due.as_ref())?,
            News::Approved(_) => on_task_approved(desk, id)?,
            News::Withdrawn(_) => on_case_withdrawn(desk, id)?,
            News::Closed(_) => on_case_closed(desk, id)?,
            News::Due(_, due) => on_due(desk, id, *due),
        }
    }
    Ok(())
}

/// A year's working days are known, or others than before.
async fn on_calendar_amended(tx: &mut Tx<'_>, setup: &Setup, event: &Event) -> Result<()> {
    let (version, notice) = working_days::notice_of(event.decode()?)?;
    if notices::learn(tx.conn, version, &notice).await? {
        let days = setup.days.clone();
        tx.after_commit(Box::new(move || days.lay(version, &notice)));
    }
    Ok(())
}

/// A worker takes a seat, and is asked for what the organisation found nobody for.
fn on_role_granted(desk: &mut Desk, event: &Event, unfilled: &[Uuid]) -> Result<()> {
    desk.caused_by(event);
    desk.take_up(unfilled)
}

/// The appointment ends; what the worker has in hand goes to somebody else.
fn on_role_revoked(desk: &mut Desk, event: &Event) -> Result<()> {
    desk.caused_by(event);
    desk.hand_over()
}

/// The organisation signed: workers are asked, as many as the task needs.
fn on_task_signed(desk: &mut Desk, task: Task) -> Result<()> {
    desk.signed(task)
}

/// Work rests until the objection is resolved and somebody signs.
fn on_task_objected(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.objected(id)
}

/// The task ended without a result, also while a worker is on site.
fn on_task_cancelled(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.ended(id, "task_cancelled")
}

/// An organisation that may refuse did, perhaps after it had signed for it.
fn on_task_declined(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.ended(id, "task_declined")
}

/// The community sent the work back, perhaps after it had signed for it.
fn on_admission_refused_by_community(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.ended(id, "not_admitted")
}

/// The organisation handed its result in, be it an assist's or the lead's.
fn on_task_submitted(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.submitted(id)
}

/// Rework: those who did it are asked first.
fn on_task_returned(desk: &mut Desk, id: TaskId, due: Option<&prost_types::Timestamp>) -> Result<()> {
    desk.returned(id, due.and_then(from_proto))
}

/// The result stands.
fn on_task_approved(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.approved(id, "task_approved")
}

/// The requester withdrew the case, perhaps while a worker is on site.
fn on_case_withdrawn(desk: &mut Desk, id: TaskId) -> Result<()> {
    desk.ended(id, "case_withdrawn")
}

/// The case ended: what is done stands, what is open ends.
fn on_case_closed(desk: &mut Desk, id: TaskId) -> Result<()> {
    let over = desk.task(id).is_some_and(|task| task.state == TaskState::Ended);
    if over { Ok(()) } else { desk.approved(id, "case_closed") }
}

/// Its limit was extended, is counted anew, or goes on after a rest.
fn on_due(desk: &mut Desk, id: TaskId, due: Timestamp) {
    desk.due(id, due);
}

impl Due {
    /// Of an event about a limit; `None` where no task is due by that.
    fn read(event: &Event) -> Result<Option<(Self, Timestamp)>> {
        let (facts, due) = if event.is::<CaseExtended>() {
            let extended: CaseExtended = event.decode()?;
            (extended.facts, extended.resolve_due_time)
        } else if event.is::<CaseResumed>() {
            let facts = event.decode::<CaseResumed>()?.facts;
            let due = facts.as_ref().and_then(|facts| facts.resolve_due_time);
            (facts, due)
        } else {
            let moved: ClockMoved = event.decode()?;
            match moved.clock() {
                ClockKind::Assist => {
                    let task = TaskId(uuid("task_id", &moved.task_id)?);
                    let due = moved.due_time.as_ref().and_then(from_proto);
                    return Ok(due.map(|due| (Self::Task(task), due)));
                }
                ClockKind::Resolve | ClockKind::Rework => {
                    // Only the one that counts now: the first limit is past when the work is done again.
                    let counts = moved.facts.as_ref().and_then(|facts| facts.resolve_due_time);
                    (moved.facts, moved.due_time.filter(|due| counts == Some(*due)))
                }
                _ => return Ok(None),
            }
        };
        let lead = facts.and_then(|facts| Uuid::try_parse(&facts.lead_org_id).ok());
        let due = due.as_ref().and_then(from_proto);
        Ok(lead.zip(due).map(|(lead, due)| (Self::Lead(event.partition_key, OrgId(lead)), due)))
    }
}

impl News {
    /// The tasks that it is about; of a case those that are known.
    fn tasks(&self, desk: &Desk) -> Vec<TaskId> {
        match self {
            Self::Signed(task) => vec![task.id],
            Self::Objected(id)
            | Self::Cancelled(id)
            | Self::Declined(id)
            | Self::Refused(id)
            | Self::Submitted(id)
            | Self::Returned(id, _)
            | Self::Approved(id) => vec![*id],
            Self::Withdrawn(case) | Self::Closed(case) => desk.tasks_of(*case),
            Self::Due(Due::Task(id), _) => vec![*id],
            Self::Due(Due::Lead(case, org), _) => {
                // An organisation that has handed an assist in may lead later: that was signed last.
                let of_org = |id: &TaskId| desk.task(*id).filter(|task| task.org_id == *org);
                let going_on = |id: &TaskId| of_org(id).is_some_and(|task| task.state != TaskState::Ended);
                let going_on = desk.tasks_of(*case).into_iter().filter(going_on);
                going_on.max_by_key(|id| of_org(id).map(|task| task.case_version)).into_iter().collect()
            }
        }
    }

    /// What an event means here, and what has to be loaded for it.
    fn read(event: &Event, touch: &mut Touch) -> Result<Option<Self>> {
        let mut task = |id: &str| -> Result<TaskId> {
            let id = uuid("task_id", id)?;
            touch.tasks.push(id);
            Ok(TaskId(id))
        };
        let news = if event.is::<TaskSigned>() {
            let Some(signed) = signed(event.decode()?, event.aggregate_version)? else { return Ok(None) };
            touch.tasks.push(signed.id.0);
            touch.orgs.push(signed.org_id.0);
            touch.offers = true;
            Self::Signed(Box::new(signed))
        } else if event.is::<TaskObjected>() {
            Self::Objected(task(&event.decode::<TaskObjected>()?.task_id)?)
        } else if event.is::<TaskCancelled>() {
            Self::Cancelled(task(&event.decode::<TaskCancelled>()?.task_id)?)
        } else if event.is::<TaskDeclined>() {
            Self::Declined(task(&event.decode::<TaskDeclined>()?.task_id)?)
        } else if event.is::<AdmissionRefusedByCommunity>() {
            Self::Refused(task(&event.decode::<AdmissionRefusedByCommunity>()?.task_id)?)
        } else if event.is::<TaskSubmitted>() {
            Self::Submitted(task(&event.decode::<TaskSubmitted>()?.task_id)?)
        } else if event.is::<TaskReturned>() {
            let returned: TaskReturned = event.decode()?;
            let id = task(&returned.task_id)?;
            touch.offers = true;
            Self::Returned(id, returned.due_time)
        } else if event.is::<TaskApproved>() {
            Self::Approved(task(&event.decode::<TaskApproved>()?.task_id)?)
        } else if event.is::<CaseCompleted>() {
            // Tells of the lead's task once more what `TaskSubmitted` told.
            let completed: CaseCompleted = event.decode()?;
            if completed.task_id.is_empty() {
                return Ok(None);
            }
            Self::Submitted(task(&completed.task_id)?)
        } else if event.is::<CaseWithdrawn>() {
            touch.cases.push(event.partition_key);
            Self::Withdrawn(event.partition_key)
        } else if event.is::<CaseClosed>() {
            touch.cases.push(event.partition_key);
            Self::Closed(event.partition_key)
        } else if event.is::<CaseExtended>() || event.is::<CaseResumed>() || event.is::<ClockMoved>() {
            let Some((due, at)) = Due::read(event)? else { return Ok(None) };
            match due {
                Due::Task(id) => touch.tasks.push(id.0),
                Due::Lead(case, _) => touch.cases.push(case),
            }
            Self::Due(due, at)
        } else {
            return Ok(None);
        };
        Ok(Some(news))
    }
}

/// The task of a signature; `None` when the mode leaves the work to the organisation itself: who may refuse is not
/// staffed from here.
fn signed(event: TaskSigned, case_version: i64) -> Result<Option<Task>> {
    if !matches!(event.mode(), DispatchMode::Order | DispatchMode::Whistle | DispatchMode::WorkOrder) {
        return Ok(None);
    }
    let (part, urgency) = (event.part(), event.urgency());
    let facts = event.facts.unwrap_or_default();
    let nature = facts.nature();
    let templates = templates();
    Ok(Some(Task {
        id: TaskId(uuid("task_id", &event.task_id)?),
        case_id: CaseId(uuid("case_id", &event.case_id)?),
        org_id: OrgId(uuid("org_id", &event.org_id)?),
        unit_id: UnitId(uuid("unit_id", &event.unit_id)?),
        line: Some(facts.line).filter(|line| !line.is_empty()),
        place_unit_id: Uuid::try_parse(&facts.place_unit_id).ok().map(UnitId),
        skills: event.skill_codes,
        weight: templates.weight(&facts.item_code, nature),
        weight_version: templates.workload_version,
        item_code: facts.item_code,
        urgent: matches!(urgency, Urgency::Urgent | Urgency::Emergency),
        decision: part == TaskPart::Lead && nature == Nature::Application,
        workers_wanted: event.workers_wanted.max(1),
        due_at: event.due_time.as_ref().and_then(from_proto),
        state: TaskState::Open,
        lack_told: false,
        round: 1,
        case_version,
        version: 1,
    }))
}
