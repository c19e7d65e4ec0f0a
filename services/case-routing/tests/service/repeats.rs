//! Whether a case repeats what its requester asked before: told as yes or no, with the first command that comes after item and
//! place are known.

use std::time::Duration;

use chassis::{
    Clock,
    event::Event,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{District, ITEM, request_id};

/// Another matter, which may be asked anonymously: litter.
const OTHER: &str = "CJ-0112";

/// A resident asks; the id of the case.
async fn asks(d: &District, resident: &Persona, item: &str, anonymous: bool) -> String {
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        item_code: item.into(),
        notice_version: "1".into(),
        anonymous,
        ..Default::default()
    };
    d.cases(resident).register_case(request).await.unwrap().into_inner().case.unwrap().case_id
}

/// The latest event of this type about the case, of those not looked at yet.
fn latest<M: chassis::proto::EventMessage>(events: &[Event], case_id: &str) -> M {
    let case_id: Uuid = case_id.parse().unwrap();
    let about = events.iter().rev().find(|event| event.partition_key == case_id && event.is::<M>());
    about.unwrap_or_else(|| panic!("no {}", M::TYPE)).decode().unwrap()
}

/// Takes the case in; whether it is told to repeat another.
async fn accepted(d: &District, case_id: &str) -> bool {
    let request =
        pb::AcceptCaseRequest { case_id: case_id.to_owned(), request_id: request_id(), ..Default::default() };
    IntakeServiceClient::new(d.service.call_as(&d.window())).accept_case(request).await.unwrap();
    let events = d.service.drain_outbox().await;
    latest::<pb::CaseAccepted>(&events, case_id).facts.unwrap().repeats
}

#[tokio::test]
async fn a_case_repeats_an_earlier_one_of_the_same_requester_item_and_place() {
    let d = District::start().await;
    let (resident, neighbour) = (Persona::resident(d.district), Persona::resident(d.district));
    let first = asks(&d, &resident, ITEM, false).await;
    let second = asks(&d, &resident, ITEM, false).await;
    assert!(!accepted(&d, &first).await, "what comes later makes nothing a repeat");
    assert!(accepted(&d, &second).await);
    assert!(!accepted(&d, &asks(&d, &neighbour, ITEM, false).await).await, "somebody else");
    assert!(!accepted(&d, &asks(&d, &resident, OTHER, false).await).await, "another matter");
    for _ in 0..2 {
        assert!(!accepted(&d, &asks(&d, &neighbour, OTHER, true).await).await, "nobody knows who asks");
    }
    // Neither who asked nor what was asked before is in any event.
    let again = asks(&d, &resident, ITEM, false).await;
    let told = d.service.drain_outbox().await;
    let registered = latest::<pb::CaseRegistered>(&told, &again);
    assert!(!registered.facts.unwrap().repeats, "nobody has looked yet");
    for event in &told {
        let text = String::from_utf8_lossy(&event.data);
        assert!(!text.contains(&resident.person_id.to_string()) && !text.contains(&first), "{text}");
    }
    assert!(accepted(&d, &again).await);

    d.service.clock().advance(Duration::from_secs(61 * 86_400));
    let late = asks(&d, &resident, ITEM, false).await;
    assert!(!accepted(&d, &late).await, "more than sixty days later");
    d.service.stop().await;
}

#[tokio::test]
async fn it_is_asked_anew_when_the_matter_becomes_another() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    asks(&d, &resident, ITEM, false).await;
    let case_id = asks(&d, &resident, OTHER, false).await;
    assert!(!accepted(&d, &case_id).await);
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let triage = pb::TriageCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        ..Default::default()
    };
    intake.triage_case(triage).await.unwrap();
    let events = d.service.drain_outbox().await;
    assert!(!latest::<pb::CaseTriaged>(&events, &case_id).facts.unwrap().repeats);
    let dispatch =
        pb::DispatchCaseRequest { case_id: case_id.clone(), request_id: request_id(), ..Default::default() };
    intake.dispatch_case(dispatch).await.unwrap();
    let events = d.service.drain_outbox().await;
    assert!(latest::<pb::CaseDispatched>(&events, &case_id).facts.unwrap().repeats);
    d.service.stop().await;
}

/// Ids are of the machine's time: those of cases many days apart lie side by side.
#[tokio::test]
async fn an_earlier_one_is_found_by_its_days_though_time_was_moved() {
    let ahead = Clock::system().real_now() + TimeDelta::days(200);
    let d = District::at(Clock::fixed(ahead)).await;
    let resident = Persona::resident(d.district);
    assert!(!accepted(&d, &asks(&d, &resident, ITEM, false).await).await);
    for (days, repeats) in [(59, true), (61, false), (1, true)] {
        d.service.clock().advance(Duration::from_secs(days * 86_400));
        let again = asks(&d, &resident, ITEM, false).await;
        assert_eq!(accepted(&d, &again).await, repeats, "{days} days later");
    }
    d.service.stop().await;
}
