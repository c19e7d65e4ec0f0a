//! Second choices: declines, lapses, rework, workers who leave, heads who pick by hand; and the digests.

use std::time::Duration;

use chassis::{
    auth::Role,
    event::catalogue,
    ops::DigestSource,
    testing::{Persona, TestService},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use proto::{
    case_routing::v1::{CaseCompleted, CaseReworkOrdered, Nature, TaskApproved, TaskReturned},
    staffing::v1::{
        AssignTaskRequest, AssignmentDeclined, AssignmentState::*, AssignmentUnfilled, ListWorkersRequest,
    },
};
use staffing::digest::TaskDigests;
use tonic::Code;
use uuid::Uuid;

use crate::world::*;

async fn station(workers: usize) -> (World, Vec<Hired>, Case) {
    station_in(World::start().await, workers).await
}

async fn station_in(world: World, workers: usize) -> (World, Vec<Hired>, Case) {
    let mut staff = Vec::new();
    for _ in 0..workers {
        staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
    }
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &["patrol"])).await;
    world.sent().await;
    (world, staff, case)
}

async fn active(world: &World, task: Uuid) -> String {
    let digests = TaskDigests::new(world.service.db().clone()).digests("task", None, 100).await.unwrap();
    let found = digests.into_iter().find(|d| d.key == task.to_string());
    found.map(|digest| digest.value).unwrap_or_default()
}

#[tokio::test]
async fn a_declined_task_goes_round_until_nobody_is_left() {
    let (world, staff, case) = station(2).await;
    let (first, offer) = world.holder(case.task, &staff).await;
    let declined = world.decline(first, &offer.assignment_id).await.unwrap();
    assert_eq!((declined.state(), declined.end_reason_code.as_str()), (Declined, "elsewhere"));
    assert_eq!(world.sent().await, ["AssignmentDeclined", "AssignmentOffered"]);
    let (second, offer) = world.holder(case.task, &staff).await;
    assert_ne!(second.persona.actor_ref, first.persona.actor_ref);
    assert_eq!(active(&world, case.task).await, "known;active=1");
    world.decline(second, &offer.assignment_id).await.unwrap();
    let events = world.service.drain_outbox().await;
    let unfilled: AssignmentUnfilled = events[1].decode().unwrap();
    assert_eq!(unfilled.reason_code, "nobody_left");
    assert_eq!(active(&world, case.task).await, "known;active=0");
}

#[tokio::test]
async fn an_offer_that_nobody_answers_goes_to_the_next() {
    let (world, staff, case) = station(2).await;
    let (first, offer) = world.holder(case.task, &staff).await;
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    world.service.wait_for("the next offer", async || world.of_task(case.task).await.len() == 2).await;
    assert_eq!(world.states(case.task).await, [Offered, TimedOut]);
    let events = world.service.drain_outbox().await;
    let declined: AssignmentDeclined = events[0].decode().unwrap();
    assert!(declined.timed_out);
    let status = world.accept(first, &offer.assignment_id).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    // Nobody answers at all: told once, and the sweeper has nothing more to do.
    world.service.clock().advance(Duration::from_secs(86_400));
    world.service.wait_for("the end", async || world.states(case.task).await == [TimedOut, TimedOut]).await;
    assert_eq!(world.sent().await, ["AssignmentDeclined", "AssignmentUnfilled"]);
}

#[tokio::test]
async fn a_machine_whose_time_is_wrong_takes_an_offer_from_nobody() {
    let wrong = TestService::<staffing::App>::builder().machine_ahead_by(Duration::from_secs(120));
    let service = wrong.topology(topology()).start().await;
    let (world, _, case) = station_in(World::around(service), 2).await;
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    let next = async || world.of_task(case.task).await.len() == 2;
    let waited = tokio::time::timeout(Duration::from_secs(1), world.service.wait_for("the next offer", next));
    assert!(waited.await.is_err());
    assert_eq!(world.states(case.task).await, [Offered]);
    world.service.stop().await;
}

#[tokio::test]
async fn a_sweep_that_fails_is_made_again_and_ends_nothing() {
    #[derive(diesel::QueryableByName)]
    struct Failures {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        n: i64,
    }
    let (world, _, case) = station(2).await;
    let mut conn = world.service.db().conn().await.unwrap();
    let failures = "SELECT xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()";
    let before: Failures = diesel::sql_query(failures).get_result(&mut *conn).await.unwrap();
    // A defect, not an outage.
    conn.batch_execute("ALTER TABLE assignments RENAME TO hidden").await.unwrap();
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    world
        .service
        .wait_for("the sweep fails", async || {
            let mut conn = world.service.db().conn().await.unwrap();
            let now: Failures = diesel::sql_query(failures).get_result(&mut *conn).await.unwrap();
            now.n > before.n
        })
        .await;
    conn.batch_execute("ALTER TABLE hidden RENAME TO assignments").await.unwrap();
    world.service.wait_for("the next offer", async || world.of_task(case.task).await.len() == 2).await;
    assert_eq!(world.states(case.task).await, [Offered, TimedOut]);
    world.service.stop().await;
}

#[tokio::test]
async fn an_offer_that_cannot_be_passed_on_keeps_no_other_waiting() {
    let (world, _, broken) = station(2).await;
    let sound = Case::new();
    world.tell(sound.id, &sound.signed(STATION, COMMUNITY, &["patrol"])).await;
    let unknown = format!("UPDATE tasks SET state = 99 WHERE task_id = '{}'", broken.task);
    world.service.db().conn().await.unwrap().batch_execute(&unknown).await.unwrap();
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    world.service.wait_for("the next offer", async || world.of_task(sound.task).await.len() == 2).await;
    assert_eq!(world.states(broken.task).await, [Offered]);
    world.service.stop().await;
}

#[tokio::test]
async fn an_offer_whose_task_somebody_holds_keeps_no_other_waiting() {
    let (world, _, held) = station(2).await;
    let free = Case::new();
    world.tell(free.id, &free.signed(STATION, COMMUNITY, &["patrol"])).await;
    // As an operator's open transaction does.
    let endless = "-c idle_in_transaction_session_timeout=0";
    let mut operator = world.service.db().dedicated(endless).await.unwrap();
    let holds = format!("BEGIN; SELECT 1 FROM tasks WHERE task_id = '{}' FOR UPDATE", held.task);
    operator.batch_execute(&holds).await.unwrap();
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    world.service.wait_for("the next offer", async || world.of_task(free.task).await.len() == 2).await;
    assert_eq!(world.states(held.task).await, [Offered]);
    operator.batch_execute("ROLLBACK").await.unwrap();
    world.service.stop().await;
}

#[tokio::test]
async fn rework_goes_first_to_who_did_it() {
    let (world, staff, case) = station(2).await;
    let (holder, offer) = world.holder(case.task, &staff).await;
    world.work(holder, &offer.assignment_id).await;
    world.sent().await;
    let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
    let returned = TaskReturned { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() };
    world.tell(case.id, &returned).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    let (again, offer) = world.holder(case.task, &staff).await;
    assert_eq!(again.persona.actor_ref, holder.persona.actor_ref);
    assert_eq!(offer.reasons[0], "again:same_worker");

    // After approval, too: a late bad rating starts the work over.
    world.work(holder, &offer.assignment_id).await;
    world
        .tell(
            case.id,
            &TaskApproved { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() },
        )
        .await;
    assert_eq!(active(&world, case.task).await, "known;active=0");
    world.tell(case.id, &returned).await;
    assert_eq!(world.states(case.task).await, [Offered, Confirmed, Cancelled]);
    assert_eq!(active(&world, case.task).await, "known;active=1");
}

#[tokio::test]
async fn rework_that_nobody_can_do_is_told_once() {
    let (world, _, case) = station(0).await;
    let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
    let completed =
        CaseCompleted { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() };
    world.tell(case.id, &completed).await;
    assert!(world.sent().await.is_empty());
    // One order of rework as case-routing tells it, and of it what the bus brings here.
    let ordered =
        CaseReworkOrdered { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() };
    let returned = TaskReturned { case_id, task_id, ..Default::default() };
    let mut told = vec![world.event(case.id, &ordered), world.event(case.id, &returned)];
    told.retain(|event| catalogue().consumers(&event.r#type).iter().any(|service| service == "staffing"));
    world.service.deliver_all(told).await;
    assert_eq!(world.sent().await, ["AssignmentUnfilled"]);
}

#[tokio::test]
async fn a_signed_task_that_nobody_was_found_for_is_known_all_the_same() {
    let (world, _, case) = station(0).await;
    assert_eq!(active(&world, case.task).await, "known;active=0");
    assert_eq!(active(&world, Case::new().task).await, "", "a signature that was lost shows");
}

#[tokio::test]
async fn who_leaves_hands_over() {
    let (world, staff, case) = station(2).await;
    let (holder, offer) = world.holder(case.task, &staff).await;
    world.accept(holder, &offer.assignment_id).await.unwrap();
    world.sent().await;
    world.revoke(holder).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    let (other, _) = world.holder(case.task, &staff).await;
    assert_ne!(other.persona.actor_ref, holder.persona.actor_ref);
    let leader = Persona::new(Role::StreetLeader, STREET);
    let workers =
        world.workforce(&leader).list_workers(ListWorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!(workers.workers.len(), 1);
    assert_eq!(workers.workers[0].open_assignments, 1);
}

#[tokio::test]
async fn a_head_picks_by_hand_until_somebody_is_at_work() {
    let (world, staff, case) = station(2).await;
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let leader = Persona::new(Role::StreetLeader, STREET);
    let workers =
        world.workforce(&leader).list_workers(ListWorkersRequest::default()).await.unwrap().into_inner();
    let id_of = |r: &str| workers.workers.iter().find(|w| w.worker_ref == r).unwrap().worker_id.clone();
    let (holder, _) = world.holder(case.task, &staff).await;
    let other = staff.iter().find(|h| h.persona.actor_ref != holder.persona.actor_ref).unwrap();
    let pick = |worker: &Hired| AssignTaskRequest {
        task_id: case.task.to_string(),
        request_id: request_id(),
        worker_id: id_of(&worker.persona.actor_ref),
        reason_code: "knows_the_place".to_owned(),
    };
    let status = world.assignments(&head).assign_task(pick(holder)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "it is with this worker already");

    let request = pick(other);
    let given = world.assignments(&head).assign_task(request.clone()).await.unwrap().into_inner();
    let again = world.assignments(&head).assign_task(request).await.unwrap().into_inner();
    assert_eq!(given, again, "a repeated request answers the same");
    let given = given.assignment.unwrap();
    assert_eq!(given.reasons[..2], ["by_hand:knows_the_place", "skill:1/1"]);
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    assert_eq!(world.states(case.task).await, [Offered, Cancelled]);

    world.accept(other, &given.assignment_id).await.unwrap();
    world.arrive(other, &given.assignment_id).await.unwrap();
    let status = world.assignments(&head).assign_task(pick(holder)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);

    let stranger = Persona::new(Role::StationHead, OTHER_COMMUNITY).org(OTHER_STATION);
    let status = world.assignments(&stranger).assign_task(pick(holder)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn auxiliary_workers_are_given_work_by_hand_only_and_never_a_decision() {
    let world = World::start().await;
    let auxiliary = world.hire(Role::AuxiliaryWorker, COMMUNITY, STATION, "housing").await;
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let workers =
        world.workforce(&head).list_workers(ListWorkersRequest::default()).await.unwrap().into_inner();
    let worker_id = workers.workers[0].worker_id.clone();
    let pick = |case: &Case| AssignTaskRequest {
        task_id: case.task.to_string(),
        request_id: request_id(),
        worker_id: worker_id.clone(),
        reason_code: "patrol".to_owned(),
    };
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    assert_eq!(world.sent().await, ["AssignmentUnfilled"]);
    let given =
        world.assignments(&head).assign_task(pick(&case)).await.unwrap().into_inner().assignment.unwrap();
    assert_eq!(given.worker_ref, auxiliary.persona.actor_ref);

    let decision = Case::new();
    let mut signed = decision.signed(STATION, COMMUNITY, &[]);
    signed.facts.as_mut().unwrap().nature = Nature::Application.into();
    world.tell(decision.id, &signed).await;
    let status = world.assignments(&head).assign_task(pick(&decision)).await.unwrap_err();
    assert_eq!(fields(&status), ["worker_id"]);

    let elsewhere = Case::new();
    world.tell(elsewhere.id, &elsewhere.signed(HOUSING, DISTRICT, &[])).await;
    let chief = Persona::new(Role::DeptLeader, DISTRICT).line("housing").org(HOUSING);
    let status = world.assignments(&chief).assign_task(pick(&elsewhere)).await.unwrap_err();
    assert_eq!(
        fields(&status),
        ["worker_id"],
        "a department has no private channel to the station's workers"
    );
}
