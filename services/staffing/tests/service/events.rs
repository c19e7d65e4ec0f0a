//! What events do here. `World::tell` delivers each of them again, also under another id, which changes nothing.

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    event::Event,
    testing::Persona,
};
use chrono::DateTime;
use proto::{
    case_routing::v1::{
        AdmissionRefusedByCommunity, CaseClosed, CaseCompleted, CaseExtended, CaseFacts, CaseResumed,
        CaseWithdrawn, ClockKind, ClockMoved, DispatchMode, Nature, TaskApproved, TaskCancelled,
        TaskDeclined, TaskObjected, TaskPart, TaskReturned,
    },
    staffing::v1::{
        AssignmentAccepted, AssignmentOffered, AssignmentState::*, AssignmentUnfilled, ListWorkersRequest,
    },
};
use uuid::Uuid;

use crate::world::*;

/// A station with two workers, and a case one of them was asked to do.
async fn asked() -> (World, Vec<Hired>, Case) {
    let world = World::start().await;
    let staff = vec![
        world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await,
        world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await,
    ];
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    (world, staff, case)
}

#[tokio::test]
async fn a_signed_task_is_offered_once_and_explained() {
    let (world, staff, case) = asked().await;
    let events = world.service.drain_outbox().await;
    assert_eq!(events.len(), 1);
    let offered: AssignmentOffered = events[0].decode().unwrap();
    assert_eq!(events[0].partition_key, case.id);
    assert_eq!((events[0].unit_id, events[0].line.as_deref()), (Some(COMMUNITY), Some("housing")));
    assert_eq!(offered.org_id, STATION.to_string());

    let (holder, assignment) = world.holder(case.task, &staff).await;
    assert_eq!(holder.persona.actor_ref, offered.worker_ref);
    assert_eq!(assignment.state(), Offered);
    assert_eq!(assignment.reasons, ["skill:1/1", "area:same_community", "shift:on", "load:0"]);

    // Signed for once more: the task is in somebody's hands already.
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    assert_eq!(world.states(case.task).await, [Offered]);
    assert!(world.sent().await.is_empty());
}

#[tokio::test]
async fn several_tasks_of_one_batch_spread_over_the_workers() {
    let (world, staff, _) = asked().await;
    let cases: Vec<Case> = (0..7).map(|_| Case::new()).collect();
    let events =
        cases.iter().map(|c| world.event(c.id, &c.signed(STATION, COMMUNITY, &["patrol"]))).collect();
    world.service.deliver_all(events).await;
    let leader = Persona::new(Role::StreetLeader, STREET);
    let answer = world.workforce(&leader).list_workers(ListWorkersRequest::default()).await.unwrap();
    let loads: Vec<i32> = answer.into_inner().workers.iter().map(|w| w.open_assignments).collect();
    assert_eq!(loads, [4, 4], "eight tasks, {} workers", staff.len());
}

#[tokio::test]
async fn an_organisation_without_workers_is_told_once() {
    let world = World::start().await;
    let case = Case::new();
    world.tell(case.id, &case.signed(WATER, DISTRICT, &[])).await;
    let events = world.service.drain_outbox().await;
    assert_eq!(events.len(), 1);
    let unfilled: AssignmentUnfilled = events[0].decode().unwrap();
    assert_eq!((unfilled.reason_code.as_str(), unfilled.task_id), ("no_workers", case.task.to_string()));
    assert!(world.of_task(case.task).await.is_empty());
}

#[tokio::test]
async fn who_may_refuse_is_not_staffed_from_here() {
    let (world, _, _) = asked().await;
    world.sent().await;
    for mode in [DispatchMode::AssistRequest, DispatchMode::Invitation] {
        let case = Case::new();
        let mut signed = case.signed(STATION, COMMUNITY, &[]);
        signed.set_mode(mode);
        world.tell(case.id, &signed).await;
        assert!(world.of_task(case.task).await.is_empty());
    }
    assert!(world.sent().await.is_empty());
}

#[tokio::test]
async fn a_task_that_ends_takes_the_worker_back_also_from_the_site() {
    let (world, staff, case) = asked().await;
    let (holder, assignment) = world.holder(case.task, &staff).await;
    world.accept(holder, &assignment.assignment_id).await.unwrap();
    world.arrive(holder, &assignment.assignment_id).await.unwrap();
    world.sent().await;

    let cancelled = TaskCancelled {
        case_id: case.id.to_string(),
        task_id: case.task.to_string(),
        ..TaskCancelled::default()
    };
    world.tell(case.id, &cancelled).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);
    assert_eq!(world.states(case.task).await, [Cancelled]);
    // Told in other words: nothing is left to cancel.
    world.tell(case.id, &CaseWithdrawn { case_id: case.id.to_string(), ..Default::default() }).await;
    assert!(world.sent().await.is_empty());
    let status = world.finish(holder, &assignment.assignment_id).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
}

#[tokio::test]
async fn a_withdrawn_or_closed_case_ends_all_its_tasks() {
    let (world, _, case) = asked().await;
    world.sent().await;
    let withdrawn = CaseWithdrawn { case_id: case.id.to_string(), ..CaseWithdrawn::default() };
    world.tell(case.id, &withdrawn).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);

    let other = Case::new();
    world.tell(other.id, &other.signed(STATION, COMMUNITY, &[])).await;
    world.sent().await;
    world.tell(other.id, &CaseClosed { case_id: other.id.to_string(), ..Default::default() }).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);
    assert_eq!(world.of_task(other.task).await[0].end_reason_code, "case_closed");
}

#[tokio::test]
async fn an_approved_result_confirms_what_is_done() {
    let (world, staff, case) = asked().await;
    let (holder, assignment) = world.holder(case.task, &staff).await;
    world.work(holder, &assignment.assignment_id).await;
    assert_eq!(
        world.sent().await,
        ["AssignmentOffered", "AssignmentAccepted", "AssignmentOnSite", "AssignmentDone"]
    );
    let completed =
        CaseCompleted { case_id: case.id.to_string(), task_id: case.task.to_string(), ..Default::default() };
    world.tell(case.id, &completed).await;
    assert_eq!(world.states(case.task).await, [Done]);
    let approved =
        TaskApproved { case_id: case.id.to_string(), task_id: case.task.to_string(), ..Default::default() };
    world.tell(case.id, &approved).await;
    assert_eq!(world.sent().await, ["AssignmentConfirmed"]);
    assert_eq!(world.states(case.task).await, [Confirmed]);
    world.tell(case.id, &CaseClosed { case_id: case.id.to_string(), ..Default::default() }).await;
    assert_eq!(world.states(case.task).await, [Confirmed], "a closed case takes nothing back");
}

#[tokio::test]
async fn a_completed_case_asks_nobody_any_more() {
    let (world, _, case) = asked().await;
    world.sent().await;
    let completed =
        CaseCompleted { case_id: case.id.to_string(), task_id: case.task.to_string(), ..Default::default() };
    world.tell(case.id, &completed).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);
    assert_eq!(world.of_task(case.task).await[0].end_reason_code, "task_submitted");
}

#[tokio::test]
async fn an_objection_rests_the_work_until_somebody_signs_again() {
    let (world, staff, case) = asked().await;
    let (holder, assignment) = world.holder(case.task, &staff).await;
    world.accept(holder, &assignment.assignment_id).await.unwrap();
    let objected =
        TaskObjected { case_id: case.id.to_string(), task_id: case.task.to_string(), ..Default::default() };
    let objection = world.tell(case.id, &objected).await;
    assert_eq!(world.states(case.task).await, [Cancelled]);
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    assert_eq!(world.states(case.task).await, [Offered, Cancelled]);
    let (again, offer) = world.holder(case.task, &staff).await;
    assert_eq!(again.persona.actor_ref, holder.persona.actor_ref);
    assert_eq!(offer.reasons[0], "again:same_worker");
    // The objection comes once more, after the signature that it was resolved by.
    world.sent().await;
    world.service.deliver(Event { id: new_id(), ..objection }).await;
    assert_eq!(world.states(case.task).await, [Offered, Cancelled]);
    assert!(world.sent().await.is_empty());
}

#[tokio::test]
async fn what_everybody_declined_is_not_offered_again_by_the_same_signature() {
    let (world, staff, _) = asked().await;
    let case = Case::new();
    let signature = world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    for _ in 0..2 {
        let (holder, offer) = world.holder(case.task, &staff).await;
        world.decline(holder, &offer.assignment_id).await.unwrap();
    }
    world.sent().await;
    let known = world.of_task(case.task).await;
    world.service.deliver(Event { id: new_id(), ..signature }).await;
    assert_eq!(world.of_task(case.task).await, known, "it was carried out");
    // A new one starts the work over.
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    assert_eq!(world.sent().await, ["AssignmentOffered"]);
}

#[tokio::test]
async fn a_task_that_is_due_later_is_so_for_its_worker_too() {
    let (world, staff, case) = asked().await;
    // The station leads, the office assists.
    let officer = world.hire(Role::StreetDispatcher, STREET, STREET_OFFICE, "").await;
    let assist = Case { task: new_id(), ..case };
    let mut signed = assist.signed(STREET_OFFICE, STREET, &[]);
    signed.set_part(TaskPart::Assist);
    world.tell(case.id, &signed).await;
    let (holder, offer) = world.holder(case.task, &staff).await;
    let accepted = world.accept(holder, &offer.assignment_id).await.unwrap();
    world.sent().await;
    let case_id = case.id.to_string();
    let later = |hours: i64| DateTime::from_timestamp(1_773_000_000 + 3_600 * hours, 0).map(to_proto);
    let facts = |hours: i64| {
        let resolve_due_time = later(hours);
        Some(CaseFacts { lead_org_id: STATION.to_string(), resolve_due_time, ..Default::default() })
    };
    let due = async || {
        let (lead, assist) = (world.of_task(case.task).await, world.of_task(assist.task).await);
        (lead[0].due_time, assist[0].due_time)
    };
    assert_eq!(due().await, (later(0), later(0)));

    let extended = CaseExtended {
        case_id: case_id.clone(),
        facts: facts(1),
        resolve_due_time: later(1),
        ..Default::default()
    };
    let extension = world.tell(case.id, &extended).await;
    assert_eq!(due().await, (later(1), later(0)));
    let moved = |clock: ClockKind, hours: i64| ClockMoved {
        case_id: case_id.clone(),
        facts: facts(2),
        clock: clock.into(),
        task_id: assist.task.to_string(),
        due_time: later(hours),
        ..Default::default()
    };
    world.tell(case.id, &moved(ClockKind::Resolve, 2)).await;
    assert_eq!(due().await, (later(2), later(0)));
    world.tell(case.id, &moved(ClockKind::Assist, 3)).await;
    assert_eq!(due().await, (later(2), later(3)));
    // Neither what no task is due by, nor a limit that counts no more, nor what was known before.
    world.tell(case.id, &moved(ClockKind::Verify, 9)).await;
    world.tell(case.id, &moved(ClockKind::Rework, 9)).await;
    world.service.deliver(Event { id: new_id(), ..extension }).await;
    assert_eq!(due().await, (later(2), later(3)));
    world.tell(case.id, &CaseResumed { case_id: case_id.clone(), facts: facts(4) }).await;
    assert_eq!(due().await, (later(4), later(3)));
    let shown = world.of_task(case.task).await.remove(0);
    assert_ne!(shown.etag, accepted.etag, "whoever saw it as it was sees it anew first");

    // Sent back while somebody is at work; whoever takes over is asked for what is due now.
    let returned =
        TaskReturned { case_id, task_id: case.task.to_string(), due_time: later(5), ..Default::default() };
    world.tell(case.id, &returned).await;
    assert_eq!(due().await, (later(5), later(3)));
    assert!(world.sent().await.is_empty());
    world.revoke(holder).await;
    assert_eq!(world.states(case.task).await, [Offered, Cancelled]);
    assert_eq!(due().await, (later(5), later(3)));
    assert_eq!(world.of_task(assist.task).await[0].worker_ref, officer.persona.actor_ref);
}

#[tokio::test]
async fn work_that_the_community_sends_back_ends() {
    let (world, _, case) = asked().await;
    world.sent().await;
    let refused = AdmissionRefusedByCommunity {
        case_id: case.id.to_string(),
        task_id: case.task.to_string(),
        ..Default::default()
    };
    world.tell(case.id, &refused).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);
    assert_eq!(world.of_task(case.task).await[0].end_reason_code, "not_admitted");
}

#[tokio::test]
async fn work_that_its_organisation_declines_ends_whatever_its_workers_do() {
    let (world, staff, _) = asked().await;
    let (accepts, arrives) = (Case::new(), Case::new());
    for case in [accepts, arrives] {
        let mut signed = case.signed(STATION, COMMUNITY, &[]);
        signed.set_mode(DispatchMode::WorkOrder);
        world.tell(case.id, &signed).await;
        let (holder, offer) = world.holder(case.task, &staff).await;
        world.accept(holder, &offer.assignment_id).await.unwrap();
        if case.task == arrives.task {
            world.arrive(holder, &offer.assignment_id).await.unwrap();
        }
        world.sent().await;
        let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
        world.tell(case.id, &TaskDeclined { case_id, task_id, ..Default::default() }).await;
        assert_eq!(world.sent().await, ["AssignmentCancelled"]);
        let ended = world.of_task(case.task).await;
        assert_eq!((ended[0].state(), ended[0].end_reason_code.as_str()), (Cancelled, "task_declined"));
    }
}

#[tokio::test]
async fn an_event_of_an_unknown_task_is_fine() {
    let world = World::start().await;
    let case = Case::new();
    let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
    world
        .tell(
            case.id,
            &TaskCancelled { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() },
        )
        .await;
    world.tell(case.id, &TaskApproved { case_id: case_id.clone(), task_id, ..Default::default() }).await;
    world.tell(case.id, &CaseClosed { case_id, ..Default::default() }).await;
    assert!(world.sent().await.is_empty());
    let mut conn = world.service.db().conn().await.unwrap();
    let statistics = staffing::store::lists::active_by_task(&mut conn, Uuid::nil(), 10).await.unwrap();
    assert!(statistics.is_empty());
}

#[tokio::test]
async fn what_ends_in_a_decision_goes_to_who_may_decide() {
    let world = World::start().await;
    let grid = world.hire(Role::GridWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    let mut signed = case.signed(STATION, COMMUNITY, &[]);
    signed.facts.as_mut().unwrap().nature = Nature::Application.into();
    world.tell(case.id, &signed).await;
    assert_eq!(world.sent().await, ["AssignmentUnfilled"], "{} may not decide", grid.persona.actor_ref);
    let head = world.hire(Role::StationHead, COMMUNITY, STATION, "").await;
    let other = Case::new();
    let mut signed = other.signed(STATION, COMMUNITY, &[]);
    signed.facts.as_mut().unwrap().nature = Nature::Application.into();
    world.tell(other.id, &signed).await;
    assert_eq!(world.of_task(other.task).await[0].worker_ref, head.persona.actor_ref);
}

#[tokio::test]
async fn a_worker_may_accept_by_rule() {
    let service = chassis::testing::TestService::<staffing::App>::builder()
        .topology(topology())
        .configure(|config| {
            let section = [("auto_accept".to_owned(), true.into())].into_iter().collect();
            config.services.insert("staffing".to_owned(), section);
        })
        .start()
        .await;
    let world = World::around(service);
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    let events = world.service.drain_outbox().await;
    assert!(events[0].is::<AssignmentOffered>() && events[1].is::<AssignmentAccepted>());
    assert!(events[0].aggregate_version < events[1].aggregate_version);
    let accepted: AssignmentAccepted = events[1].decode().unwrap();
    assert_eq!(accepted.worker_ref, worker.persona.actor_ref);
    assert_eq!(world.states(case.task).await, [Accepted]);
}
