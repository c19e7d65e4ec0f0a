//! The five arrivals of duties in force: what the duty, the list and the catalogue tell of them, and to whom.

use chassis::{
    auth::Role,
    clock::new_id,
    proto::{
        case_routing::v1::{
            self as pb, ArrivalState, responsibility_service_client::ResponsibilityServiceClient,
        },
        staffing::v1::PostKind,
    },
    testing::Persona,
};
use tonic::{Code, Status};

use crate::{
    duties::{DAY, Duties, LAMP},
    support::request_id,
};

const ARRIVED: (ArrivalState, &str) = (ArrivalState::Arrived, "");

fn says(arrival: Option<&pb::Arrival>) -> (ArrivalState, &str) {
    let arrival = arrival.expect("a verdict");
    (arrival.state(), &arrival.reason_code)
}

async fn get(world: &Duties, persona: &Persona, id: &str) -> Result<pb::DutyArrivals, Status> {
    let request = pb::GetDutyArrivalsRequest { duty_id: id.into() };
    world.client(persona).get_duty_arrivals(request).await.map(|answer| answer.into_inner().arrivals.unwrap())
}

async fn list(world: &Duties, persona: &Persona) -> Vec<pb::DutyArrivals> {
    let request = pb::ListDutyArrivalsRequest::default();
    world.client(persona).list_duty_arrivals(request).await.unwrap().into_inner().arrivals
}

/// A transfer that takes effect on Monday 2026-03-09.
async fn effective(world: &Duties) -> String {
    let id = world.proposed().await.duty_transfer_id;
    world.approve(&id, &world.arbiter()).await.unwrap();
    world.all_legs(&id).await;
    world.d.service.clock().advance(7 * DAY);
    world.becomes(&id, pb::DutyTransferState::Effective).await;
    id
}

#[tokio::test]
async fn of_a_transfer_in_effect_staff_tasks_promise_and_money_are_there_with_what_they_rest_on() {
    let world = Duties::start().await;
    let id = effective(&world).await;
    let found = get(&world, &world.dispatcher(), &id).await.unwrap();
    assert_eq!((found.duty_id.as_str(), found.admission), (id.as_str(), false));
    let ids = (found.from_org_id.as_str(), found.to_org_id.as_str(), found.unit_id.as_str());
    let [department, station, community] =
        [world.department, world.d.station, world.d.community].map(|id| id.to_string());
    assert_eq!(ids, (department.as_str(), station.as_str(), community.as_str()));
    assert_eq!((found.since_date.as_str(), found.list_version), ("2026-03-09", 2));

    let staff = found.staff.as_ref().unwrap();
    assert_eq!(says(staff.arrival.as_ref()), ARRIVED);
    let [post] = staff.promised_posts.as_slice() else { panic!("one kind: {staff:?}") };
    assert_eq!((post.kind(), post.count), (PostKind::ServiceWorker, 1));
    assert_eq!(staff.confirmation.as_ref().unwrap().state(), pb::LegState::Confirmed);
    let training = staff.training.as_ref().unwrap();
    assert_eq!((training.state(), training.reference.as_str()), (pb::LegState::Confirmed, "record:lamps-1"));
    assert_eq!(staff.training_codes, ["lamps_basics"]);
    let funds = found.funds.as_ref().unwrap();
    assert_eq!(says(funds.arrival.as_ref()), ARRIVED);
    assert_eq!((funds.promised_fen, funds.allotted_fen), (500_000, Some(500_000)));
    assert_eq!(funds.fund_line_code, "lamps-2026");
    assert_eq!((says(found.tasks.as_ref()), says(found.promise.as_ref())), (ARRIVED, ARRIVED));

    let [item] = found.items.as_slice() else { panic!("one item: {found:?}") };
    assert_eq!((item.item_code.as_str(), item.part()), (LAMP, pb::TaskPart::Lead));
    assert!(item.rule_id.starts_with("DT-") && item.rule_id.ends_with(LAMP), "{}", item.rule_id);
    assert_eq!(item.listed_from, "2026-03-09");
    let known = case_routing::seed::catalogue().items.iter().find(|known| known.item_code == LAMP).unwrap();
    let promised = item.promised_limit.as_ref().unwrap();
    assert_eq!(promised.amount, i32::from(known.promised_limit.value));
    assert_ne!(promised.unit(), pb::LimitUnit::Unspecified);

    // Both sides see it, the district and money's keeper too, alone and in the list.
    let finance = Persona::new(Role::FinanceOfficer, world.d.district);
    let head = Persona::new(Role::StationHead, world.d.community).org(world.d.station);
    for persona in [world.leader(), world.member(), world.arbiter(), world.d.leader(), head, finance] {
        assert_eq!(get(&world, &persona, &id).await.unwrap(), found, "{persona:?}");
        assert_eq!(list(&world, &persona).await, std::slice::from_ref(&found), "{persona:?}");
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_not_in_force_has_no_arrivals_and_a_resumed_duty_counts_from_then_on() {
    let world = Duties::start().await;
    let proposed = world.proposed().await.duty_transfer_id;
    let early = get(&world, &world.dispatcher(), &proposed).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early}");
    assert!(early.message().contains("proposed"), "{early}");
    world.d.service.clock().advance(7 * DAY);
    world.becomes(&proposed, pb::DutyTransferState::RolledBack).await;
    let over = get(&world, &world.dispatcher(), &proposed).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition, "{over}");
    assert!(over.message().contains("rolled_back"), "{over}");
    assert!(list(&world, &world.dispatcher()).await.is_empty());
    world.d.service.stop().await;

    let world = Duties::start().await;
    let id = effective(&world).await;
    let mut lists = ResponsibilityServiceClient::new(world.d.service.call_as(&world.dispatcher()));
    let draft = pb::CreateListVersionRequest {
        request_id: request_id(),
        reason_code: "as_it_was".into(),
        ..Default::default()
    };
    let drafted = lists.create_list_version(draft).await.unwrap().into_inner().version.unwrap();
    let mut arbiter = world.client(&world.arbiter());
    let suspend = pb::SuspendDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "no_money".into(),
        ..Default::default()
    };
    arbiter.suspend_duty_transfer(suspend).await.unwrap();
    let suspended = get(&world, &world.member(), &id).await.unwrap_err();
    assert_eq!(suspended.code(), Code::FailedPrecondition, "{suspended}");
    world.d.service.clock().advance(3 * DAY);
    let resume = pb::ResumeDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    arbiter.resume_duty_transfer(resume).await.unwrap();
    // A list that was drafted before says it has been listed all the time, and is not put in force.
    let mut approver = ResponsibilityServiceClient::new(world.d.service.call_as(&world.arbiter()));
    let activate = pb::ActivateListVersionRequest {
        list_version: drafted.list_version,
        request_id: request_id(),
        ..Default::default()
    };
    let moved = approver.activate_list_version(activate).await.unwrap_err();
    assert_eq!(moved.code(), Code::FailedPrecondition, "{moved}");
    assert_eq!(get(&world, &world.member(), &id).await.unwrap().since_date, "2026-03-12");
    let end = pb::EndDutyTransferRequest {
        duty_transfer_id: id.clone(),
        request_id: request_id(),
        reason_code: "over".into(),
        ..Default::default()
    };
    arbiter.end_duty_transfer(end).await.unwrap();
    assert_eq!(get(&world, &world.member(), &id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert!(list(&world, &world.member()).await.is_empty());
    world.d.service.stop().await;
}

#[tokio::test]
async fn of_an_admission_it_is_said_what_is_not_recorded() {
    let world = Duties::start().await;
    let application = pb::ApplyAdmissionRequest {
        request_id: request_id(),
        from_org_id: world.department.to_string(),
        to_org_id: world.committee.to_string(),
        item_code: LAMP.into(),
        basis_ref: "doc:law-1".into(),
        fund_fen: 20_000,
        posts: Vec::new(),
        training_codes: vec!["lamps_basics".into()],
        effective_on: "2026-03-09".into(),
        ends_on: "2026-03-16".into(),
    };
    let made = world.client(&world.leader()).apply_admission(application).await.unwrap();
    let id = made.into_inner().admission.unwrap().admission_id;
    for persona in [world.d.leader(), world.member()] {
        let request = pb::GiveAdmissionOpinionRequest {
            admission_id: id.clone(),
            request_id: request_id(),
            view: pb::OpinionView::Supports.into(),
            reason_code: "near_to_people".into(),
            ..Default::default()
        };
        world.client(&persona).give_admission_opinion(request).await.unwrap();
    }
    let assess = pb::AssessAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        law_code: "law_found".into(),
        need_code: "seasonal".into(),
        load_code: "bearable".into(),
        alternative_code: "none".into(),
        ..Default::default()
    };
    world.client(&world.dispatcher()).assess_admission(assess).await.unwrap();
    let approve = pb::ApproveAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    world.client(&world.arbiter()).approve_admission(approve).await.unwrap();
    let waiting = get(&world, &world.member(), &id).await.unwrap_err();
    assert_eq!(waiting.code(), Code::FailedPrecondition, "{waiting}");

    world.d.service.clock().advance(7 * DAY);
    let member = world.member();
    world.d.service.wait_for("it is in force", async || get(&world, &member, &id).await.is_ok()).await;
    let found = get(&world, &member, &id).await.unwrap();
    assert!(found.admission);
    let staff = found.staff.as_ref().unwrap();
    assert_eq!(says(staff.arrival.as_ref()), (ArrivalState::Unknown, "not_recorded"));
    assert_eq!(staff.training_codes, ["lamps_basics"]);
    assert!(staff.confirmation.is_none() && staff.training.is_none(), "staffing was not asked");
    let funds = found.funds.as_ref().unwrap();
    assert_eq!(says(funds.arrival.as_ref()), (ArrivalState::Unknown, "not_recorded"));
    assert_eq!((funds.promised_fen, funds.allotted_fen), (20_000, None));
    assert_eq!((says(found.tasks.as_ref()), says(found.promise.as_ref())), (ARRIVED, ARRIVED));
    assert_eq!((found.items[0].part(), found.since_date.as_str()), (pb::TaskPart::Assist, "2026-03-09"));
    assert!(found.items[0].rule_id.starts_with("AD-"), "{}", found.items[0].rule_id);
    world.d.service.stop().await;
}

#[tokio::test]
async fn who_may_not_see_the_duty_finds_no_arrivals_and_a_bad_question_names_its_field() {
    let world = Duties::start().await;
    let id = effective(&world).await;
    let elsewhere = Persona::new(Role::StreetLeader, world.d.other_street).org(world.d.other_office);
    let other_line = Persona::new(Role::DeptLeader, world.d.district).line("housing");
    for stranger in [elsewhere, other_line] {
        let foreign = get(&world, &stranger, &id).await.unwrap_err();
        let missing = get(&world, &stranger, &new_id().to_string()).await.unwrap_err();
        assert_eq!((foreign.code(), missing.code()), (Code::NotFound, Code::NotFound));
        assert!(list(&world, &stranger).await.is_empty());
    }
    let resident = get(&world, &Persona::resident(world.d.district), &id).await.unwrap_err();
    assert_eq!(resident.code(), Code::PermissionDenied);

    let dispatcher = world.dispatcher();
    let wrong = get(&world, &dispatcher, "not-an-id").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().starts_with("duty_id"), "{wrong}");
    let pages = [
        ("page_size", pb::ListDutyArrivalsRequest { page_size: -1, ..Default::default() }),
        ("page_token", pb::ListDutyArrivalsRequest { page_token: "%".into(), ..Default::default() }),
    ];
    for (field, request) in pages {
        let status = world.client(&dispatcher).list_duty_arrivals(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(status.message().starts_with(field), "{field}: {status}");
    }
    world.d.service.stop().await;
}
