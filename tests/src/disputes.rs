//! F3 and F4 across services: whose duty it is, and who comes when a street calls.

use proto::{
    analytics::v1::QueryIndicatorsRequest,
    case_routing::v1::{Case, CaseState, DispatchMode, ListPrecedentsRequest, Task, TaskState},
};

use crate::{
    World,
    journeys::{COMMUNITY, LAMP},
};

/// Help with a shared building: led by the street.
const STAIRS: &str = "CJ-0142";

async fn dispatched(world: &World, item: &str) -> Case {
    let resident = world.resident(3);
    let case = resident.registers("楼道堆物，几家单位都说不归自己管。", &world.unit(COMMUNITY)).await;
    let window = world.window(COMMUNITY);
    let case = window.accepts(&case).await;
    let case = window.triages(&case, item, false).await;
    let case = window.dispatches(&case).await;
    assert_eq!(case.state(), CaseState::Dispatched);
    case
}

/// F3: objected to, arbitrated between the parties, ruled on by their superior; the requester's day stands, and the ruling
/// waits for the next list.
pub async fn turf_dispute(world: &World) {
    let case = dispatched(world, LAMP).await;
    let (objector, named) = (case.lead_org_id.clone(), world.org("dept:construction"));
    let promised = case.resolve_due_time;
    let case = world.leader_of(&objector).objects(&case, &named).await;
    let case = world.dispatcher().arbitrates(&case).await;
    let objection = case.objection.clone().expect("an objection");
    assert_eq!(objection.party_org_ids, [objector.clone(), named.clone()]);
    assert_eq!(objection.arbiter_org_id, world.org("gov:420103"), "the lowest that stands above both");
    // Each says that it is the other's.
    let case = world.leader_of(&objector).takes_position(&case, &named).await;
    let case = world.leader_of(&named).takes_position(&case, &objector).await;
    let case = world.anyone("arbiter", 0).rules(&case, &named).await;
    assert_eq!((case.state(), &case.lead_org_id), (CaseState::Dispatched, &named));
    assert_eq!((case.resolve_due_time, case.lead_change_count), (promised, 1));
    let case = world.leader_of(&named).signs(&case).await;
    assert_eq!(case.objection.as_ref().map(|known| known.state.as_str()), Some("final"));

    let request =
        world.dispatcher().asks(ListPrecedentsRequest { page_size: 200, ..Default::default() }).await;
    let precedents =
        world.patient.responsibilities().list_precedents(request).await.expect("precedents").into_inner();
    let own = precedents.precedents.iter().find(|known| known.case_id == case.case_id).expect("this one");
    assert_eq!((own.lead_org_id.as_str(), own.relieved_org_id.as_str()), (named.as_str(), objector.as_str()));
    crate::eventually("the ruling in the figures of the item", async || {
        let request = QueryIndicatorsRequest {
            codes: vec!["I-14-upheld".into()],
            unit_ids: vec![world.unit(COMMUNITY)],
            item_code: LAMP.into(),
            ..Default::default()
        };
        let answer =
            world.patient.indicators().query_indicators(world.dispatcher().asks(request).await).await;
        answer.ok()?.into_inner().values.iter().any(|value| value.numerator > 0).then_some(())
    })
    .await;
}

/// F4: the street leads and calls two departments; each signs, reports in and hands in by itself; the street is supervised,
/// answers, and both sides judge.
pub async fn whistle(world: &World) {
    let case = dispatched(world, STAIRS).await;
    let street = case.lead_org_id.clone();
    assert_eq!(street, world.org("street_office:420103005"));
    let leader = world.leader_of(&street);
    let case = leader.signs(&case).await;
    let case = world.handler_of(&street).contacts(&case).await;
    let departments = [world.org("dept:housing"), world.org("dept:construction")];
    let mut case = leader.whistles(&case, &departments).await;
    for org in &departments {
        let task = called(&case, org);
        assert_eq!((task.mode(), &task.sender_org_id), (DispatchMode::Whistle, &street));
        let head = world.leader_of(org);
        head.signs_for(&case, &task.task_id).await;
        head.reports_in(&case, &task.task_id).await;
        head.submits(&case, &task.task_id).await;
        head.appraises(&case, &task.task_id, true).await;
        case = leader.appraises(&case, &task.task_id, true).await;
        let task = called(&case, org);
        let score = task.whistle.expect("a score");
        assert!(score.reported_in_time && score.solved && score.needed, "{score:?}");
        assert_eq!(task.state(), TaskState::Submitted);
    }
    let case = world.dispatcher().supervises(&case, 2).await;
    assert_eq!(case.supervisions[0].org_id, street);
    let case = leader.answers(&case).await;
    let case = world.dispatcher().clears(&case).await;
    assert_eq!(case.supervisions[0].state, "cleared");
    let case = world.handler_of(&street).completes(&case).await;
    let case = world.verifier().verifies(&case, 4).await;
    assert_eq!(case.state(), CaseState::Resolved, "one outcome for the requester");
}

fn called(case: &Case, org: &str) -> Task {
    let tasks = case.tasks.iter();
    tasks.rev().find(|task| task.org_id == org).expect("a task of the department").clone()
}
