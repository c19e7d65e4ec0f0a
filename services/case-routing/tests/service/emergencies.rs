//! Emergencies, which nobody has to look at first: handed to their own line when they are registered, when the window finds them, and
//! when another system brings them.

use chassis::{proto::case_routing::v1 as pb, testing::Persona};

use crate::{
    exchange::World,
    support::{District, request_id},
    window::{intake, reason, request},
};

const FIRE: &str = "ZF-0191";

#[tokio::test]
async fn an_emergency_is_handed_off_when_it_is_registered_online_or_offline() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let fire = || pb::RegisterCaseRequest {
        item_code: FIRE.into(),
        channel: pb::Channel::Phone.into(),
        ..request(&d)
    };
    let case = d.cases(&resident).register_case(fire()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::HandedOff, pb::ClosedCode::HandedOff));
    assert_eq!(case.first_receiver_org_id, d.station.to_string(), "who received it stays known");
    let decision = case.routing.clone().unwrap();
    assert_eq!((decision.kind.as_str(), decision.decided_by.as_str()), ("handed_off", "system"));
    assert!(case.clocks.iter().all(|clock| clock.stop_time.is_some()), "{:?}", case.clocks);
    assert_eq!(d.told().await, ["CaseRegistered", "CaseHandedOff"]);
    let told = reason(&d, &resident, &case, "CaseHandedOff").await;
    assert_eq!((told.code.as_str(), told.arguments["line"].as_str()), ("emergency_line", "119"));

    // At the window on somebody's behalf, made offline and sent twice: handed off once.
    let offline = || pb::RegisterCaseRequest {
        requester_id: resident.person_id.to_string(),
        client_ref: "offline-1".into(),
        ..fire()
    };
    let window = d.window();
    let first = d.cases(&window).register_case(offline()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(first.state(), pb::CaseState::HandedOff);
    assert_eq!(d.told().await, ["CaseRegistered", "CaseHandedOff"]);
    let second = d.cases(&window).register_case(offline()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((second.state(), second.case_id), (pb::CaseState::HandedOff, first.case_id));
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn an_emergency_that_the_window_finds_is_handed_off_by_its_triage() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(request(&d)).await.unwrap().into_inner().case.unwrap();
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut desk = intake(&d);
    desk.accept_case(accept).await.unwrap();
    d.told().await;
    let triage = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: FIRE.into(),
        ..Default::default()
    };
    let case = desk.triage_case(triage.clone()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::HandedOff, pb::ClosedCode::HandedOff));
    assert_eq!(case.routing.as_ref().unwrap().decided_by, "system");
    assert!(case.clocks.iter().all(|clock| clock.stop_time.is_some()), "{:?}", case.clocks);
    assert_eq!(d.told().await, ["CaseTriaged", "CaseHandedOff"]);
    // Sent again it says the same and hands nothing over twice.
    let again = desk.triage_case(triage).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again, case);
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn a_ticket_of_another_system_about_an_emergency_is_handed_off_wherever_it_lies() {
    let world = World::start("", pb::ExchangeDirection::In).await;
    let mut mapping = world.mapping();
    mapping.classes.push(pb::ClassRule { class_code: "9119".into(), item_code: FIRE.into() });
    let drafted = world.call(&world.drafter()).draft_mapping(mapping).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
    // With an area that is mapped it is taken in at once, without one it is registered; both ways lead to the line.
    for (number, area) in [("WH-1", "x1"), ("WH-2", "nowhere")] {
        let ticket = pb::PushTicketRequest {
            class_code: "9119".into(),
            area_code: area.into(),
            ..world.ticket(number)
        };
        let receipt = world.pushes(ticket).await.unwrap();
        assert_eq!((receipt.state(), receipt.awaits_triage), (pb::CaseState::HandedOff, false), "{area}");
        assert_eq!(receipt.external_status, "转办");
    }
    world.d.service.stop().await;
}
