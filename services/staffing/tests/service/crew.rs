//! Tasks that want several workers: as many are asked, each another person; whoever falls out is made up for; never more have
//! a task in hand than are wanted.

use std::time::Duration;

use chassis::{Error, auth::Role, clock::new_id, ops::DigestSource, testing::Persona};
use diesel_async::SimpleAsyncConnection;
use proto::{
    case_routing::v1::{
        CaseClosed, CaseCompleted, TaskApproved, TaskObjected, TaskPart, TaskReturned, TaskSigned,
        TaskSubmitted,
    },
    staffing::v1::{
        AssignTaskRequest, Assignment, AssignmentState::*, AssignmentUnfilled, ListWorkersRequest,
    },
};
use staffing::digest::TaskDigests;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::*;

/// A field check that two people make together.
fn for_two(case: &Case) -> TaskSigned {
    TaskSigned { workers_wanted: 2, ..case.signed(STATION, COMMUNITY, &[]) }
}

/// A station with so many workers, and a field check that two of them were asked to make, as far as there are.
async fn field_check(workers: usize) -> (World, Vec<Hired>, Case) {
    let world = World::start().await;
    let mut staff = Vec::new();
    for _ in 0..workers {
        staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
    }
    let case = Case::new();
    world.tell(case.id, &for_two(&case)).await;
    (world, staff, case)
}

/// Who has the task in hand, newest first.
async fn crew<'a>(world: &World, case: &Case, staff: &'a [Hired]) -> Vec<(&'a Hired, Assignment)> {
    let mut crew = Vec::new();
    for assignment in world.of_task(case.task).await {
        if matches!(assignment.state(), Offered | Accepted | OnSite | Done) {
            let who = staff.iter().find(|hired| hired.persona.actor_ref == assignment.worker_ref);
            crew.push((who.expect("one of the staff"), assignment));
        }
    }
    crew
}

/// Those of the staff who do not have it in hand.
fn others<'a>(staff: &'a [Hired], crew: &[(&Hired, Assignment)]) -> Vec<&'a Hired> {
    let in_hand = |hired: &Hired| crew.iter().any(|(who, _)| who.grant_id == hired.grant_id);
    staff.iter().filter(|hired| !in_hand(hired)).collect()
}

async fn active(world: &World, case: &Case) -> String {
    let digests = TaskDigests::new(world.service.db().clone()).digests("task", None, 100).await.unwrap();
    digests.into_iter().find(|digest| digest.key == case.task.to_string()).unwrap().value
}

#[tokio::test]
async fn of_what_it_does_not_hold_it_lists_no_digests() {
    let world = World::start().await;
    let source = TaskDigests::new(world.service.db().clone());
    let refused = source.digests("tasks", None, 100).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid { field, .. } if field == "subject"), "{refused:?}");
}

#[tokio::test]
async fn a_token_of_another_list_does_not_begin_the_digests_anew() {
    let (world, _, case) = field_check(0).await;
    let source = TaskDigests::new(world.service.db().clone());
    let behind = async |key: &str| source.digests("task", Some(key.to_owned()), 100).await;
    assert!(behind(&case.task.to_string()).await.unwrap().is_empty());
    let foreign = behind("place|item").await.unwrap_err();
    assert!(matches!(&foreign, Error::Invalid { field, .. } if field == "page_token"), "{foreign:?}");
}

/// The station's head gives the task to one of its workers.
async fn give(world: &World, case: &Case, who: &Hired) -> Result<Assignment, Status> {
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let workers = world.workforce(&head).list_workers(ListWorkersRequest::default()).await.unwrap();
    let workers = workers.into_inner().workers;
    let worker = workers.iter().find(|worker| worker.worker_ref == who.persona.actor_ref).unwrap();
    let request = AssignTaskRequest {
        task_id: case.task.to_string(),
        request_id: request_id(),
        worker_id: worker.worker_id.clone(),
        reason_code: "knows_the_place".to_owned(),
    };
    let answer = world.assignments(&head).assign_task(request).await?;
    Ok(answer.into_inner().assignment.expect("an assignment"))
}

#[tokio::test]
async fn two_are_asked_a_third_makes_up_for_a_decline_and_both_cover_the_task() {
    let (world, staff, case) = field_check(4).await;
    assert_eq!(world.sent().await, ["AssignmentOffered", "AssignmentOffered"]);
    let asked = crew(&world, &case, &staff).await;
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].0.grant_id, asked[1].0.grant_id, "two different workers");
    assert_eq!(active(&world, &case).await, "known;active=2");

    let (declines, offer) = &asked[0];
    world.decline(declines, &offer.assignment_id).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentDeclined", "AssignmentOffered"]);
    let now = crew(&world, &case, &staff).await;
    assert_eq!((now.len(), now[0].1.state()), (2, Offered));
    let before = [asked[0].0.grant_id, asked[1].0.grant_id];
    assert!(!before.contains(&now[0].0.grant_id), "a third, who had none of it");
    assert_eq!(now[1].1, asked[1].1, "the other's offer stands");

    for (who, offer) in &now {
        world.accept(who, &offer.assignment_id).await.unwrap();
    }
    assert_eq!(world.sent().await, ["AssignmentAccepted", "AssignmentAccepted"]);
    assert_eq!(world.states(case.task).await, [Accepted, Declined, Accepted]);
    // Signed for once more: covered is covered, though there is a fourth.
    world.tell(case.id, &for_two(&case)).await;
    assert!(world.sent().await.is_empty());
    assert_eq!(world.states(case.task).await, [Accepted, Declined, Accepted]);
    assert_eq!(active(&world, &case).await, "known;active=2");
}

#[tokio::test]
async fn offers_that_nobody_answers_are_made_up_for_as_far_as_there_are_workers() {
    let (world, staff, case) = field_check(3).await;
    world.sent().await;
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    world.service.wait_for("the third", async || world.of_task(case.task).await.len() == 3).await;
    assert_eq!(world.states(case.task).await, [Offered, TimedOut, TimedOut]);
    let told = ["AssignmentDeclined", "AssignmentDeclined", "AssignmentOffered", "AssignmentUnfilled"];
    assert_eq!(world.sent().await, told, "one is missing, which is told once");
    assert_eq!(active(&world, &case).await, "known;active=1");
    // The third has it, nobody is asked twice in a round, and the lack is not told again.
    let third = crew(&world, &case, &staff).await;
    world.decline(third[0].0, &third[0].1.assignment_id).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentDeclined"]);
    assert_eq!(active(&world, &case).await, "known;active=0");
}

#[tokio::test]
async fn whom_the_station_lacks_its_head_adds_and_replaces_only_who_has_not_begun() {
    let (world, mut staff, case) = field_check(1).await;
    let events = world.service.drain_outbox().await;
    let unfilled: AssignmentUnfilled = events[1].decode().unwrap();
    assert_eq!((events.len(), unfilled.reason_code.as_str()), (2, "nobody_left"));
    for _ in 0..2 {
        // Who is given work by hand only.
        staff.push(world.hire(Role::AuxiliaryWorker, COMMUNITY, STATION, "housing").await);
    }
    assert!(world.sent().await.is_empty(), "nobody is asked of themselves");
    let (first, offer) = crew(&world, &case, &staff).await.remove(0);
    let twice = give(&world, &case, first).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition, "nobody has it twice");
    world.accept(first, &offer.assignment_id).await.unwrap();
    world.sent().await;
    let free = others(&staff, &crew(&world, &case, &staff).await);
    let second = give(&world, &case, free[0]).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentOffered"], "somebody was missing: nobody makes way");
    assert_eq!(active(&world, &case).await, "known;active=2");

    world.arrive(first, &offer.assignment_id).await.unwrap();
    let third = give(&world, &case, free[1]).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentOnSite", "AssignmentCancelled", "AssignmentOffered"]);
    let ended = world.of_task(case.task).await;
    let ended = ended.iter().find(|one| one.assignment_id == second.assignment_id).unwrap();
    assert_eq!((ended.state(), ended.end_reason_code.as_str()), (Cancelled, "reassigned"));
    world.accept(free[1], &third.assignment_id).await.unwrap();
    world.arrive(free[1], &third.assignment_id).await.unwrap();
    let refused = give(&world, &case, free[0]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "both are at work");
    assert_eq!(active(&world, &case).await, "known;active=2");
}

#[tokio::test]
async fn who_leaves_hands_over_their_own_part_alone() {
    let (world, staff, case) = field_check(3).await;
    for (who, offer) in crew(&world, &case, &staff).await {
        world.accept(who, &offer.assignment_id).await.unwrap();
    }
    world.sent().await;
    let before = crew(&world, &case, &staff).await;
    let free = others(&staff, &before);
    world.revoke(before[0].0).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    let after = crew(&world, &case, &staff).await;
    assert_eq!(after.len(), 2);
    assert_eq!((after[0].0.grant_id, after[0].1.state()), (free[0].grant_id, Offered));
    assert_eq!(after[1].1, before[1].1, "the other goes on");
}

#[tokio::test]
async fn what_is_sent_back_goes_first_to_who_did_it_and_what_stands_is_confirmed() {
    let (world, staff, case) = field_check(3).await;
    let asked = crew(&world, &case, &staff).await;
    let (done, goes_on) = (&asked[0], &asked[1]);
    world.work(done.0, &done.1.assignment_id).await;
    world.accept(goes_on.0, &goes_on.1.assignment_id).await.unwrap();
    world.sent().await;
    let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
    let returned = TaskReturned { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() };
    world.tell(case.id, &returned).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    let again = crew(&world, &case, &staff).await;
    assert_eq!((again.len(), again[0].0.grant_id), (2, done.0.grant_id));
    assert_eq!(again[0].1.reasons[0], "again:same_worker");
    assert_eq!((again[1].0.grant_id, again[1].1.state()), (goes_on.0.grant_id, Accepted));

    world.work(again[0].0, &again[0].1.assignment_id).await;
    world.sent().await;
    let approved = TaskApproved { case_id: case_id.clone(), task_id, ..Default::default() };
    world.tell(case.id, &approved).await;
    // Each is told for itself, in the order in which they were asked.
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentConfirmed"]);
    assert_eq!(active(&world, &case).await, "known;active=0");
    // Both did it before, and both are asked again when it comes back after all.
    world.tell(case.id, &returned).await;
    assert_eq!(world.sent().await, ["AssignmentOffered", "AssignmentOffered"]);
    let both = crew(&world, &case, &staff).await;
    let mut both: Vec<Uuid> = both.iter().map(|(who, _)| who.grant_id).collect();
    let mut expected = vec![done.0.grant_id, goes_on.0.grant_id];
    both.sort_unstable();
    expected.sort_unstable();
    assert_eq!(both, expected);
    world.tell(case.id, &CaseClosed { case_id, ..Default::default() }).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentCancelled"]);
}

/// The result is handed in, and sent back.
async fn handed_in_and_sent_back(world: &World, case: &Case) {
    let (case_id, task_id) = (case.id.to_string(), case.task.to_string());
    let completed =
        CaseCompleted { case_id: case_id.clone(), task_id: task_id.clone(), ..Default::default() };
    world.tell(case.id, &completed).await;
    world.tell(case.id, &TaskReturned { case_id, task_id, ..Default::default() }).await;
}

#[tokio::test]
async fn whose_offer_ended_with_the_result_is_asked_again_when_that_is_sent_back() {
    let (world, staff, case) = field_check(2).await;
    let asked = crew(&world, &case, &staff).await;
    world.accept(asked[0].0, &asked[0].1.assignment_id).await.unwrap();
    world.sent().await;
    handed_in_and_sent_back(&world, &case).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    let again = crew(&world, &case, &staff).await;
    assert_eq!((again[0].0.grant_id, again[0].1.state()), (asked[1].0.grant_id, Offered));
    assert_eq!((again[1].0.grant_id, again[1].1.state()), (asked[0].0.grant_id, Accepted));
}

#[tokio::test]
async fn nobody_is_asked_for_an_assist_that_was_handed_in_until_it_is_sent_back() {
    let (world, mut staff, lead) = field_check(1).await;
    let assist = Case { task: new_id(), ..lead };
    let mut signed = for_two(&assist);
    signed.set_part(TaskPart::Assist);
    world.tell(lead.id, &signed).await;
    world.sent().await;
    let (case_id, task_id) = (lead.id.to_string(), assist.task.to_string());
    let submitted = TaskSubmitted {
        case_id: case_id.clone(),
        task_id: task_id.clone(),
        part: TaskPart::Assist.into(),
        ..TaskSubmitted::default()
    };
    world.tell(lead.id, &submitted).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled"]);
    let ended = world.of_task(assist.task).await;
    assert_eq!((ended.len(), ended[0].end_reason_code.as_str()), (1, "task_submitted"));
    assert_eq!(world.states(lead.task).await, [Offered], "the lead's is another one");

    // Neither whoever comes, nor by hand, nor when the time to answer is over.
    staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
    assert_eq!(world.sent().await, ["AssignmentOffered"], "for the lead's alone");
    let refused = give(&world, &assist, &staff[1]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    world.service.clock().advance(Duration::from_secs(2 * 3600 + 1));
    let ran_out = async || world.states(lead.task).await == [TimedOut, TimedOut];
    world.service.wait_for("the lead's offers run out", ran_out).await;
    assert_eq!(world.of_task(assist.task).await, ended);
    assert_eq!(active(&world, &assist).await, "known;active=0");

    world.tell(lead.id, &TaskReturned { case_id, task_id, ..TaskReturned::default() }).await;
    assert_eq!(crew(&world, &assist, &staff).await.len(), 2);
}

#[tokio::test]
async fn that_somebody_is_missing_is_not_told_again_when_the_result_is_sent_back() {
    let (world, staff, case) = field_check(1).await;
    assert_eq!(world.sent().await, ["AssignmentOffered", "AssignmentUnfilled"]);
    let (first, offer) = crew(&world, &case, &staff).await.remove(0);
    world.accept(first, &offer.assignment_id).await.unwrap();
    world.sent().await;
    handed_in_and_sent_back(&world, &case).await;
    world.tell(case.id, &for_two(&case)).await;
    assert!(world.sent().await.is_empty(), "the round is the same, and so is the lack");
    assert_eq!(active(&world, &case).await, "known;active=1");
}

#[tokio::test]
async fn who_declines_is_not_asked_by_their_other_post() {
    let (world, staff, case) = field_check(1).await;
    let second_post = Hired { persona: staff[0].persona.clone(), grant_id: new_id() };
    let granted = granted(&second_post, Role::StationHead, COMMUNITY, STATION, "");
    world.tell(second_post.persona.person_id, &granted).await;
    let (first, offer) = crew(&world, &case, &staff).await.remove(0);
    world.sent().await;
    world.decline(first, &offer.assignment_id).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentDeclined"], "that somebody is missing was told");
    assert_eq!(active(&world, &case).await, "known;active=0");
}

#[tokio::test]
async fn an_objection_takes_it_from_both_and_a_new_signature_asks_as_many_again() {
    let (world, staff, case) = field_check(2).await;
    let (first, offer) = crew(&world, &case, &staff).await.remove(0);
    world.accept(first, &offer.assignment_id).await.unwrap();
    world.sent().await;
    let objected =
        TaskObjected { case_id: case.id.to_string(), task_id: case.task.to_string(), ..Default::default() };
    world.tell(case.id, &objected).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentCancelled"]);
    world.tell(case.id, &for_two(&case)).await;
    assert_eq!(world.sent().await, ["AssignmentOffered", "AssignmentOffered"]);
    assert_eq!(world.states(case.task).await, [Offered, Offered, Cancelled, Cancelled]);
}

#[tokio::test]
async fn the_tables_themselves_hold_no_slot_and_no_person_twice() {
    let (world, _, case) = field_check(2).await;
    let mut conn = world.service.db().conn().await.unwrap();
    let copy = |change: &str| {
        let (id, task) = (new_id(), case.task);
        format!(
            "INSERT INTO assignments
             SELECT (jsonb_populate_record(a, jsonb_build_object('assignment_id', '{id}', {change}))).*
               FROM assignments a WHERE a.task_id = '{task}' AND a.slot = 1"
        )
    };
    let other = new_id();
    assert!(conn.batch_execute(&copy("'slot', 3")).await.is_err(), "the same person once more");
    assert!(conn.batch_execute(&copy(&format!("'person_id', '{other}'"))).await.is_err(), "the same slot");
    conn.batch_execute(&copy(&format!("'person_id', '{other}', 'slot', 3"))).await.unwrap();
    assert_eq!(active(&world, &case).await, "known;active=3", "what reconcile would find too many");
}
