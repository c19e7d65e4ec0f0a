//! Where cases go, as it depends on what the service sees while it runs: open work, the time, and how sure it is.

use chassis::{
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
    topology::{Changes, Organization},
};
use chrono::TimeDelta;
use tonic::Code;

use crate::support::{District, ITEM, request_id};

/// Led by a department that the district of these tests does not have.
const NOBODYS: &str = "CJ-0101";

fn intake(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

async fn explained(d: &District, item: &str) -> pb::RoutingDecision {
    let request = pb::ExplainRouteRequest {
        item_code: item.into(),
        unit_id: d.community.to_string(),
        ..Default::default()
    };
    intake(d).explain_route(request).await.unwrap().into_inner().decision.unwrap()
}

fn codes(decision: &pb::RoutingDecision) -> Vec<&str> {
    decision.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn office(changes: &mut Changes) -> &mut Organization {
    changes.orgs.iter_mut().find(|org| org.code == "street_office:420103005").unwrap()
}

#[tokio::test]
async fn of_two_equal_offices_the_one_with_less_open_work_gets_the_next_case() {
    let second = chassis::clock::new_id();
    let change = move |changes: &mut Changes| {
        let first = office(changes).clone();
        let leads = changes.edges.iter().find(|edge| edge.to_org_id == first.id).unwrap().clone();
        let edge = chassis::clock::new_id();
        changes.edges.push(chassis::topology::Edge { id: edge, to_org_id: second, ..leads });
        changes.orgs.push(Organization { id: second, code: "street_office:2".into(), ..first });
    };
    let d = District::start_with(change, "load_ms", 20).await;
    let untouched = explained(&d, ITEM).await;
    assert!(codes(&untouched).contains(&"equal_load"), "{:?}", codes(&untouched));
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let first = case.lead_org_id.clone();
    let other = if first == d.office.to_string() { second } else { d.office };
    let moved = async || explained(&d, ITEM).await.lead_org_id == other.to_string();
    d.service.wait_for("the count", moved).await;
    let next = d.taken_in(&Persona::resident(d.district)).await;
    assert_eq!(next.lead_org_id, other.to_string());
    assert!(codes(&next.routing.unwrap()).contains(&"lower_load"));
    d.service.stop().await;
}

#[tokio::test]
async fn an_office_founded_ahead_of_the_clock_takes_cases_from_its_first_instant() {
    let change = |changes: &mut Changes| {
        // The clock of a test stands at 2026-03-02 09:00 in Wuhan.
        let first = "2026-03-02T02:00:00Z".parse().unwrap();
        office(changes).valid_from = Some(first);
    };
    let d = District::start_with(change, "load_ms", 1_000).await;
    let before = explained(&d, ITEM).await;
    assert_ne!(before.lead_org_id, d.office.to_string());
    d.service.clock().advance(TimeDelta::hours(1).to_std().unwrap());
    assert_eq!(explained(&d, ITEM).await.lead_org_id, d.office.to_string());
    assert_eq!(d.taken_in(&Persona::resident(d.district)).await.lead_org_id, d.office.to_string());
    d.service.stop().await;
}

#[tokio::test]
async fn what_nobody_is_competent_for_waits_until_a_human_confirms_the_proposal() {
    let d = District::start().await;
    let request = pb::IntakeCaseRequest {
        item_code: NOBODYS.into(),
        ..d.intake_request(&Persona::resident(d.district))
    };
    let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let proposal = case.routing.clone().unwrap();
    assert_eq!((case.state(), case.lead_org_id.as_str()), (pb::CaseState::Triaged, ""));
    assert_eq!((proposal.kind.as_str(), proposal.decided_by.as_str()), ("proposed", "system"));
    assert!(codes(&proposal).contains(&"needs_human"), "{:?}", codes(&proposal));
    let why = proposal.reasons.iter().find(|reason| reason.code == "needs_human").unwrap();
    assert_eq!(why.arguments["confidence"], proposal.confidence.to_string());
    assert!((1..65).contains(&proposal.confidence), "{}", proposal.confidence);
    assert_eq!(d.told().await, ["CaseRegistered", "CaseAccepted", "CaseTriaged"]);
    let explained = explained(&d, NOBODYS).await;
    assert_eq!((explained.kind, explained.reasons), (proposal.kind.clone(), proposal.reasons.clone()));
    assert_eq!(d.read(&case).await.routing.unwrap(), proposal, "a reader sees what to confirm");

    let dispatch = async |confirm: &str, lead: &str| {
        let request = pb::DispatchCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            confirm_decision_id: confirm.into(),
            lead_org_id: lead.into(),
            reason_code: if lead.is_empty() { String::new() } else { "dispatcher_knows".into() },
            ..Default::default()
        };
        intake(&d).dispatch_case(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    let both = dispatch(&proposal.decision_id, &proposal.lead_org_id).await.unwrap_err();
    assert_eq!(both.code(), Code::InvalidArgument);
    assert!(both.message().starts_with("confirm_decision_id"), "{}", both.message());
    let unknown = dispatch(&request_id(), "").await.unwrap_err();
    assert_eq!(unknown.code(), Code::FailedPrecondition);

    let sent = dispatch(&proposal.decision_id, "").await.unwrap();
    let decided = sent.routing.clone().unwrap();
    assert_eq!((sent.state(), &sent.lead_org_id), (pb::CaseState::Dispatched, &proposal.lead_org_id));
    assert_eq!((decided.kind.as_str(), decided.decided_by.as_str()), ("fallback", "human"));
    assert!(codes(&decided).contains(&"confirmed_by_human"));
    assert_eq!(d.told().await.first().map(String::as_str), Some("CaseDispatched"));
    d.service.stop().await;
}
