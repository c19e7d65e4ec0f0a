//! Who may: a role and a place are not enough. What somebody sends by hand, takes back, decides over or writes down as withdrawn
//! depends on what the organisation that they act for has to do with the case.

use std::time::Duration;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    disputes::{CITY, DEPARTMENTS, below_a_city, district},
    support::{District, request_id},
};

fn intake(d: &District, persona: &Persona) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(persona))
}

fn of_government(d: &District) -> Persona {
    Persona::new(Role::DistrictDispatcher, d.district).org(d.gov)
}

/// Whose grant reaches every case of the district, for an organisation that has sent none of them.
fn of_another(d: &District) -> Persona {
    Persona::new(Role::DistrictDispatcher, d.district).org(d.centre)
}

/// Who acts for that organisation first, and for the government as well.
fn of_two(d: &District) -> Persona {
    let mut both = of_another(d).also(Role::DistrictDispatcher, d.district);
    both.scopes[1].org_id = Some(d.gov);
    both
}

/// Who dispatches for that organisation alone, and is something else for the government.
fn of_another_and_leading(d: &District) -> Persona {
    let mut both = of_another(d).also(Role::DeptLeader, d.district);
    both.scopes[1].org_id = Some(d.gov);
    both
}

async fn recall(d: &District, by: &Persona, case: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    intake(d, by).recall_case(request).await.map(|answer| answer.into_inner().case.unwrap())
}

/// A case of which nobody is the lead any more.
async fn triaged(d: &District) -> pb::Case {
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let recalled = recall(d, &of_government(d), &case).await.unwrap();
    assert_eq!(recalled.state(), pb::CaseState::Triaged);
    recalled
}

async fn send(
    d: &District,
    by: &Persona,
    case: &pb::Case,
    lead: Option<Uuid>,
    assists: &[Uuid],
) -> Result<pb::Case, Status> {
    let request = pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: lead.map(|org| org.to_string()).unwrap_or_default(),
        assist_org_ids: assists.iter().map(ToString::to_string).collect(),
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    intake(d, by).dispatch_case(request).await.map(|answer| answer.into_inner().case.unwrap())
}

/// How the latest task of an organisation was sent, and by whom.
fn sent(case: &pb::Case, org: Uuid) -> (pb::DispatchMode, String) {
    let task = case.tasks.iter().rfind(|task| task.org_id == org.to_string()).expect("a task");
    (task.mode(), task.sender_org_id.clone())
}

#[tokio::test]
async fn a_case_is_sent_by_hand_only_where_the_own_organisation_may_send_it() {
    let d = district().await;
    let [housing, lights] = DEPARTMENTS;
    let case = triaged(&d).await;
    let station_head = Persona::new(Role::StationHead, d.community).org(d.station);
    let window_of_street = Persona::new(Role::ServiceWorker, d.street).org(d.office);
    for (by, lead, assists) in [
        (d.window(), Some(housing), vec![]),
        (d.window(), None, vec![housing]),
        (station_head.clone(), Some(housing), vec![]),
        (station_head, Some(d.office), vec![lights]),
        (window_of_street.clone(), Some(housing), vec![]),
        (d.dispatcher(), Some(d.other_office), vec![]),
        (of_another(&d), Some(housing), vec![]),
    ] {
        let refused = send(&d, &by, &case, lead, &assists).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    assert_eq!(d.read(&case).await.etag, case.etag, "nothing has changed");

    // Where the router would send it, anybody at a window may, by hand as well.
    let by_window = send(&d, &window_of_street, &case, Some(d.office), &[]).await.unwrap();
    assert_eq!(sent(&by_window, d.office), (pb::DispatchMode::Order, d.gov.to_string()));
    // The street calls departments, the district orders them.
    let case = triaged(&d).await;
    let by_street = send(&d, &d.dispatcher(), &case, None, &[housing, lights]).await.unwrap();
    assert_eq!(by_street.lead_org_id, d.office.to_string());
    for department in DEPARTMENTS {
        assert_eq!(sent(&by_street, department), (pb::DispatchMode::Whistle, d.office.to_string()));
    }
    let case = triaged(&d).await;
    let by_district = send(&d, &of_government(&d), &case, Some(housing), &[lights]).await.unwrap();
    for department in DEPARTMENTS {
        assert_eq!(sent(&by_district, department), (pb::DispatchMode::Order, d.gov.to_string()));
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_partner_that_is_named_by_hand_is_asked_and_only_if_the_requester_agrees() {
    let d = district().await;
    let case = triaged(&d).await;
    let refused = send(&d, &of_government(&d), &case, Some(d.volunteers), &[]).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("lead_org_id"), "{refused}");
    let triage = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        agrees_to_society: true,
        ..Default::default()
    };
    intake(&d, &of_government(&d)).triage_case(triage).await.unwrap();
    d.told().await;
    let asked = send(&d, &of_government(&d), &case, Some(d.volunteers), &[]).await.unwrap();
    assert_eq!(d.told().await, ["CaseOffered"]);
    assert_eq!((asked.state(), asked.lead_org_id.as_str()), (pb::CaseState::OfferedToSociety, ""));
    assert_eq!(asked.offer.unwrap().partner_org_id, d.volunteers.to_string());
    d.service.stop().await;
}

#[tokio::test]
async fn who_sent_a_case_takes_it_back_and_decides_over_the_objection() {
    let d = district().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    // The street has it by the district's order.
    for by in [d.dispatcher(), of_another(&d)] {
        assert_eq!(recall(&d, &by, &case).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: DEPARTMENTS[0].to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(sign).await.unwrap();
    let objected = d.tasks(&d.leader()).object_task(object).await.unwrap().into_inner().case.unwrap();
    assert!(objected.tasks[0].signed_time.is_some());
    let resolve = async |by: &Persona, decision: &str| {
        let request = pb::ResolveObjectionRequest {
            case_id: objected.case_id.clone(),
            request_id: request_id(),
            task_id: objected.objection.as_ref().unwrap().task_id.clone(),
            decision: decision.into(),
            reason_code: "duty_is_clear".into(),
            ..Default::default()
        };
        d.tasks(by).resolve_objection(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    for decision in ["reject", "redispatch", "arbitrate"] {
        for by in [d.dispatcher(), of_another(&d), of_another_and_leading(&d)] {
            let refused = resolve(&by, decision).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{decision}: {refused}");
        }
    }
    // One of the own organisations sent it, whichever comes first.
    let kept = resolve(&of_two(&d), "reject").await.unwrap();
    assert_eq!(kept.state(), pb::CaseState::Dispatched);
    assert_eq!(kept.tasks[0].signed_time, None, "to be signed for anew");
    assert_eq!(recall(&d, &of_two(&d), &kept).await.unwrap().state(), pb::CaseState::Triaged);
    d.service.stop().await;
}

/// What is chosen by hand is chosen for the organisation that decides.
#[tokio::test]
async fn a_new_lead_is_chosen_for_the_organisation_that_decides_over_the_objection() {
    let d = district().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: DEPARTMENTS[0].to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    d.tasks(&d.leader()).object_task(object).await.unwrap();
    let redispatch = pb::ResolveObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        decision: "redispatch".into(),
        reason_code: "duty_is_clear".into(),
        lead_org_id: DEPARTMENTS[0].to_string(),
        ..Default::default()
    };
    let answer = d.tasks(&of_two(&d)).resolve_objection(redispatch).await.unwrap().into_inner();
    assert_eq!(sent(&answer.case.unwrap(), DEPARTMENTS[0]), (pb::DispatchMode::Order, d.gov.to_string()));
    d.service.stop().await;
}

/// Above a district nobody dispatches single cases: an arbiter decides.
#[tokio::test]
async fn over_the_districts_objection_to_helping_by_its_own_order_an_arbiter_of_the_city_decides() {
    let d = District::start_with(below_a_city, "sweep_ms", 1_000).await;
    let district = of_government(&d);
    let city = d.service.context.topology.load().unit_by_code("4201").unwrap().id;
    // Received at the district's own window, and sent to the street with its own help.
    let request = d.intake_request(&Persona::resident(d.district));
    let case = d.cases(&district).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let case = recall(&d, &district, &case).await.unwrap();
    let case = send(&d, &district, &case, Some(d.office), &[d.gov]).await.unwrap();
    assert_eq!(sent(&case, d.gov), (pb::DispatchMode::Order, d.gov.to_string()));
    let own = case.tasks.iter().rfind(|task| task.org_id == d.gov.to_string()).unwrap();
    assert_eq!(own.part(), pb::TaskPart::Assist);
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: own.task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: d.office.to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let head = Persona::new(Role::DeptLeader, d.district).org(d.gov);
    d.tasks(&head).object_task(object).await.unwrap();
    let accept = async |by: &Persona| {
        let request = pb::ResolveObjectionRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: own.task_id.clone(),
            decision: "accept".into(),
            reason_code: "duty_is_clear".into(),
            ..Default::default()
        };
        d.tasks(by).resolve_objection(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    for by in [&district, &Persona::new(Role::Arbiter, d.district).org(d.gov)] {
        assert_eq!(accept(by).await.unwrap_err().code(), Code::PermissionDenied, "its own objection");
    }
    let freed = accept(&Persona::new(Role::Arbiter, city).org(CITY)).await.unwrap();
    let task = freed.tasks.iter().find(|task| task.task_id == own.task_id).unwrap();
    assert_eq!(task.state(), pb::TaskState::Cancelled);
    d.service.stop().await;
}

async fn withdraw(d: &District, by: &Persona, case: &pb::Case, statement: &str) -> Result<pb::Case, Status> {
    let request = pb::WithdrawCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "solved_itself".into(),
        statement_ref: statement.into(),
        ..Default::default()
    };
    d.cases(by).withdraw_case(request).await.map(|answer| answer.into_inner().case.unwrap())
}

#[tokio::test]
async fn officials_only_write_down_that_the_requester_withdraws_and_nothing_that_is_late() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let statement = "doc:statement-7";
    for by in [d.dispatcher(), of_government(&d)] {
        let refused = withdraw(&d, &by, &case, statement).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "it received nothing");
    }
    let unsaid = withdraw(&d, &d.window(), &case, "").await.unwrap_err();
    assert_eq!(unsaid.code(), Code::InvalidArgument);
    assert!(unsaid.message().starts_with("statement_ref"), "{unsaid}");
    let gone = withdraw(&d, &d.window(), &case, statement).await.unwrap();
    assert_eq!(gone.state(), pb::CaseState::Withdrawn);
    // The requester reads who wrote it down, and by what.
    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    let steps = d.cases(&resident).get_timeline(request).await.unwrap().into_inner().entries;
    let step = steps.iter().find(|step| step.event == "CaseWithdrawn").unwrap();
    assert_eq!(step.org_id, d.station.to_string());
    let reason = step.reason.as_ref().unwrap();
    assert_eq!(reason.code, "withdrawn_at_window");
    assert_eq!(reason.arguments["statement"], statement);
    assert!(reason.text_zh.contains(statement), "{}", reason.text_zh);
    // No event tells of the paper.
    for event in d.service.drain_outbox().await {
        assert!(!String::from_utf8_lossy(&event.data).contains(statement), "{}", event.r#type);
    }

    // Whoever asked withdraws for themselves, whatever else they are.
    let both = Persona::resident(d.district).also(Role::StreetDispatcher, d.street).org(d.office);
    let own = d.taken_in(&both).await;
    assert_eq!(withdraw(&d, &both, &own, "").await.unwrap().state(), pb::CaseState::Withdrawn);

    let late = d.taken_in(&resident).await;
    d.service.clock().advance(Duration::from_secs(60 * 86_400));
    let hidden = withdraw(&d, &d.window(), &late, statement).await.unwrap_err();
    assert_eq!(hidden.code(), Code::FailedPrecondition);
    assert!(hidden.message().contains("late"), "{hidden}");
    assert_eq!(withdraw(&d, &resident, &late, "").await.unwrap().state(), pb::CaseState::Withdrawn);
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_belongs_to_the_organisation_complained_of_writes_down_no_withdrawal() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    // Who works at the window, and leads the street office besides.
    let mut torn = d.window().also(Role::StreetLeader, d.street);
    torn.scopes[1].org_id = Some(d.office);
    for (of, by) in [(d.station, d.window()), (d.office, torn)] {
        let register = pb::RegisterCaseRequest {
            request_id: request_id(),
            text: "工作人员态度恶劣".into(),
            place_unit_id: d.community.to_string(),
            notice_version: "1".into(),
            subject_org_id: of.to_string(),
            ..Default::default()
        };
        let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.first_receiver_org_id, d.station.to_string());
        let refused = withdraw(&d, &by, &case, "doc:statement-7").await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("recused"), "{refused}");
        // Whoever asked does for themselves, wherever they work.
        let mut colleague = resident.clone().also(Role::ServiceWorker, d.community);
        colleague.scopes[1].org_id = Some(of);
        assert_eq!(withdraw(&d, &colleague, &case, "").await.unwrap().state(), pb::CaseState::Withdrawn);
    }
    d.service.stop().await;
}
