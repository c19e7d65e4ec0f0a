//! 回避: whoever belongs to the organisation complained of sends the complaint nowhere by hand, calls it not back and clears no
//! supervision of it. The router goes on, and so do those above.

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::Persona,
};
use tonic::Status;
use uuid::Uuid;

use crate::{
    disputes::{DEPARTMENTS, district},
    recusal::{also_of, complaint, intake, refused},
    support::{District, request_id},
};

/// Led by the station, by its statutory duties.
const STATIONS: &str = "CJ-0143";
/// Led by a department that the district of these tests does not have.
const NOBODYS: &str = "CJ-0101";

fn of_government(d: &District) -> Persona {
    Persona::new(Role::DistrictDispatcher, d.district).org(d.gov)
}

/// Who works at the window, and leads the street office besides.
fn torn(d: &District) -> Persona {
    also_of(d.window(), Role::StreetLeader, d.street, d.office)
}

fn dispatch(case: &pb::Case) -> pb::DispatchCaseRequest {
    pb::DispatchCaseRequest { case_id: case.case_id.clone(), request_id: request_id(), ..Default::default() }
}

fn by_hand(case: &pb::Case, lead: Uuid, assists: &[Uuid]) -> pb::DispatchCaseRequest {
    pb::DispatchCaseRequest {
        lead_org_id: lead.to_string(),
        assist_org_ids: assists.iter().map(ToString::to_string).collect(),
        reason_code: "dispatcher_knows".into(),
        ..dispatch(case)
    }
}

async fn send(d: &District, by: &Persona, request: pb::DispatchCaseRequest) -> Result<pb::Case, Status> {
    Ok(intake(d, by).dispatch_case(request).await?.into_inner().case.unwrap())
}

async fn taken_in(d: &District, item: &str, of: Uuid) -> pb::Case {
    let request = pb::IntakeCaseRequest {
        item_code: item.into(),
        subject_org_id: of.to_string(),
        ..d.intake_request(&Persona::resident(d.district))
    };
    d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap()
}

fn desk(d: &District, by: &Persona) -> VerificationServiceClient<PeerChannel> {
    VerificationServiceClient::new(d.service.call_as(by))
}

#[tokio::test]
async fn whom_a_case_complains_of_leaves_its_dispatch_to_the_router_and_to_those_above() {
    let d = district().await;
    let [housing, lights] = DEPARTMENTS;
    let case = complaint(&d, &Persona::resident(d.district), d.office).await;
    for by in [d.dispatcher(), torn(&d)] {
        refused(send(&d, &by, by_hand(&case, housing, &[lights])).await, "recused");
    }
    assert_eq!(d.read(&case).await.etag, case.etag, "nothing has changed");

    // It may ask the router, which does not know for certain, and then somebody else confirms what that proposes.
    let asked = send(&d, &d.dispatcher(), dispatch(&case)).await.unwrap();
    let proposal = asked.routing.clone().unwrap();
    assert_eq!((asked.state(), proposal.kind.as_str()), (pb::CaseState::Triaged, "proposed"));
    assert_eq!(proposal.lead_org_id, d.gov.to_string(), "the street is passed over");
    let confirm =
        || pb::DispatchCaseRequest { confirm_decision_id: proposal.decision_id.clone(), ..dispatch(&case) };
    for by in [d.dispatcher(), torn(&d)] {
        refused(send(&d, &by, confirm()).await, "recused");
    }
    let sent = send(&d, &of_government(&d), confirm()).await.unwrap();
    assert_eq!((sent.state(), &sent.lead_org_id), (pb::CaseState::Dispatched, &d.gov.to_string()));

    // Nor does it call it back, or others to it.
    let recall = |by: Persona| {
        let request = pb::RecallCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            reason_code: "mis_dispatch".into(),
            ..Default::default()
        };
        let mut desk = intake(&d, &by);
        async move { desk.recall_case(request).await.map(|answer| answer.into_inner().case.unwrap()) }
    };
    let whistle = pb::WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: vec![lights.to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = d.tasks(&d.dispatcher()).whistle_case(whistle).await;
    refused(called.map(|answer| answer.into_inner().case.unwrap()), "recused");
    refused(recall(d.dispatcher()).await, "recused");
    let recalled = recall(of_government(&d)).await.unwrap();
    let again = send(&d, &of_government(&d), by_hand(&recalled, housing, &[lights])).await.unwrap();
    assert_eq!(again.lead_org_id, housing.to_string());
    d.service.stop().await;
}

#[tokio::test]
async fn whom_a_case_complains_of_names_no_new_lead_after_an_objection() {
    let d = district().await;
    let [housing, _] = DEPARTMENTS;
    // The router sent it, by the order of the one complained of.
    let case = taken_in(&d, STATIONS, d.office).await;
    let task = &case.tasks[0];
    assert_eq!((&task.org_id, &task.sender_org_id), (&d.station.to_string(), &d.office.to_string()));
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: housing.to_string(),
        evidence_refs: vec!["doc:duty-list".into()],
        ..Default::default()
    };
    let station_head = Persona::new(Role::StationHead, d.community).org(d.station);
    d.tasks(&station_head).object_task(object).await.unwrap();
    let redispatch = || pb::ResolveObjectionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        decision: "redispatch".into(),
        reason_code: "duty_is_clear".into(),
        lead_org_id: housing.to_string(),
        ..Default::default()
    };
    let named = d.tasks(&d.dispatcher()).resolve_objection(redispatch()).await;
    refused(named.map(|answer| answer.into_inner().case.unwrap()), "recused");
    for decision in ["reject", "arbitrate"] {
        let decides = pb::ResolveObjectionRequest {
            decision: decision.into(),
            lead_org_id: String::new(),
            ..redispatch()
        };
        let decided = d.tasks(&d.dispatcher()).resolve_objection(decides).await;
        refused(decided.map(|answer| answer.into_inner().case.unwrap()), "recused");
    }
    let sent = d.tasks(&of_government(&d)).resolve_objection(redispatch()).await.unwrap().into_inner();
    assert_eq!(sent.case.unwrap().lead_org_id, housing.to_string());
    d.service.stop().await;
}

/// Nobody above a district sends single cases: a complaint about it would lie where nobody is on the list.
#[tokio::test]
async fn a_complaint_about_the_district_is_sent_to_another_where_the_router_knows_nobody() {
    let d = district().await;
    let [housing, _] = DEPARTMENTS;
    let routed = complaint(&d, &Persona::resident(d.district), d.gov).await;
    refused(send(&d, &of_government(&d), by_hand(&routed, housing, &[])).await, "recused");
    let sent = send(&d, &of_government(&d), dispatch(&routed)).await.unwrap();
    assert_eq!(sent.lead_org_id, d.office.to_string(), "by the list");

    let unknown = taken_in(&d, NOBODYS, d.gov).await;
    assert_eq!(unknown.state(), pb::CaseState::Triaged);
    refused(send(&d, &of_government(&d), dispatch(&unknown)).await, "no_route");
    refused(send(&d, &of_government(&d), by_hand(&unknown, d.gov, &[])).await, "recused");
    let sent = send(&d, &of_government(&d), by_hand(&unknown, housing, &[])).await.unwrap();
    assert_eq!((sent.state(), &sent.lead_org_id), (pb::CaseState::Dispatched, &housing.to_string()));

    // What it sent so, and what it supervises, is for nobody else either.
    let supervise = pb::SuperviseCaseRequest {
        case_id: sent.case_id.clone(),
        request_id: request_id(),
        level: 2,
        reason_code: "leader".into(),
        ..Default::default()
    };
    let issued = desk(&d, &of_government(&d)).supervise_case(supervise).await.unwrap().into_inner();
    let clear = pb::ClearSupervisionRequest {
        case_id: sent.case_id.clone(),
        request_id: request_id(),
        supervision_id: issued.case.unwrap().supervisions[0].supervision_id.clone(),
        ..Default::default()
    };
    let cleared = desk(&d, &of_government(&d)).clear_supervision(clear).await.unwrap().into_inner();
    assert_eq!(cleared.case.unwrap().supervisions[0].state, "cleared");
    let recall = pb::RecallCaseRequest {
        case_id: sent.case_id.clone(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    let recalled = intake(&d, &of_government(&d)).recall_case(recall).await.unwrap().into_inner();
    assert_eq!(recalled.case.unwrap().state(), pb::CaseState::Triaged);
    d.service.stop().await;
}

#[tokio::test]
async fn whom_a_case_complains_of_clears_no_supervision_of_it() {
    let d = district().await;
    let [housing, _] = DEPARTMENTS;
    let case = complaint(&d, &Persona::resident(d.district), d.office).await;
    send(&d, &of_government(&d), by_hand(&case, housing, &[])).await.unwrap();
    let supervise = pb::SuperviseCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        level: 1,
        reason_code: "leader".into(),
        ..Default::default()
    };
    let issued = desk(&d, &of_government(&d)).supervise_case(supervise).await.unwrap().into_inner();
    let issued = issued.case.unwrap().supervisions[0].clone();
    assert_eq!(issued.org_id, housing.to_string());
    let clear = || pb::ClearSupervisionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        supervision_id: issued.supervision_id.clone(),
        ..Default::default()
    };
    let supervisor = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    // Who supervises for the district, and leads the street office besides.
    let both = also_of(of_government(&d), Role::StreetLeader, d.street, d.office);
    for by in [supervisor, d.leader(), both] {
        let cleared = desk(&d, &by).clear_supervision(clear()).await;
        refused(cleared.map(|answer| answer.into_inner().case.unwrap()), "recused");
    }
    let cleared = desk(&d, &of_government(&d)).clear_supervision(clear()).await.unwrap().into_inner();
    assert_eq!(cleared.case.unwrap().supervisions[0].state, "cleared");
    d.service.stop().await;
}
