//! What residents call urgent, before somebody has looked at it.

use chassis::{
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Code;

use crate::support::{District, ITEM, request_id};

/// 火警, an emergency by its item.
const FIRE: &str = "ZF-0191";

fn emergency(d: &District) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "水管爆了".into(),
        place_unit_id: d.community.to_string(),
        urgency: pb::Urgency::Emergency.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_notice_is_shown_before_a_resident_calls_something_an_emergency() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let refused = d.cases(&resident).register_case(emergency(&d)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("notice_version"), "{refused}");
    // What is one by its item does not wait for it, nor what the window finds to be one.
    let fire = pb::RegisterCaseRequest { item_code: FIRE.into(), ..emergency(&d) };
    let fire = d.cases(&resident).register_case(fire).await.unwrap().into_inner().case.unwrap();
    assert_eq!((fire.state(), fire.urgency()), (pb::CaseState::HandedOff, pb::Urgency::Emergency));
    let told = pb::RegisterCaseRequest { requester_id: resident.person_id.to_string(), ..emergency(&d) };
    let told = d.cases(&d.window()).register_case(told).await.unwrap().into_inner().case.unwrap();
    assert_eq!((told.urgency(), told.claimed_urgency()), (pb::Urgency::Emergency, pb::Urgency::Unspecified));
    d.service.stop().await;
}

#[tokio::test]
async fn what_a_resident_calls_an_emergency_is_shown_to_the_window_which_confirms_it() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let mut own = d.cases(&resident);
    let plain = pb::RegisterCaseRequest { urgency: 0, notice_version: "1".into(), ..emergency(&d) };
    let plain = own.register_case(plain).await.unwrap().into_inner().case.unwrap();
    assert_eq!(plain.claimed_urgency(), pb::Urgency::Unspecified);
    let claimed = pb::RegisterCaseRequest { notice_version: "1".into(), ..emergency(&d) };
    let case = own.register_case(claimed).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.urgency(), case.claimed_urgency()), (pb::Urgency::Normal, pb::Urgency::Emergency));
    assert_eq!(case.clocks[0].limit, plain.clocks[0].limit, "no less time than others have");

    let list = pb::ListCasesRequest::default();
    let listed = d.cases(&d.window()).list_cases(list).await.unwrap().into_inner().cases;
    let listed = listed.iter().find(|listed| listed.case_id == case.case_id).unwrap();
    assert_eq!((listed.urgency(), listed.claimed_urgency()), (pb::Urgency::Normal, pb::Urgency::Emergency));

    let mut window = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    window.accept_case(accept).await.unwrap();
    let confirm = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        urgency: pb::Urgency::Emergency.into(),
        ..Default::default()
    };
    let found = window.triage_case(confirm).await.unwrap().into_inner().case.unwrap();
    assert_eq!((found.urgency(), found.claimed_urgency()), (pb::Urgency::Emergency, pb::Urgency::Emergency));
    d.service.stop().await;
}
