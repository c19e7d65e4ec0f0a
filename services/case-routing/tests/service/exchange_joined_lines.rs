//! What another system sent back, or handed in, does not go there by way of the case that it was merged into.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::{Code, Status};

use crate::{
    exchange::World,
    exchange_joined::{joined, parts},
    exchange_reports::{referred, registered, report, says},
    joined::merge,
    support::request_id,
    taken_back::{back, hands_off, takes_back},
};

fn is_guarded(refused: &Status, code: &str) {
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(code), "{refused}");
}

#[tokio::test]
async fn by_a_line_from_which_it_came_back_a_matter_does_not_go_with_the_case_that_it_was_merged_into() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let (returned, taken_back) = (referred(&world).await, referred(&world).await);
    says(&world, &world.client, report(&returned, "R-1", "退回")).await.unwrap();
    takes_back(&world.d, &world.d.window(), back(&taken_back.case_id)).await.unwrap();
    for ticket in [&returned, &taken_back] {
        let (merged, original) = (world.case(&ticket.case_id).await, registered(&world).await);
        merge(&world.d, &merged, &original).await.unwrap();
        let before = world.case(&original.case_id).await;
        let refused = hands_off(&world.d, &original.case_id, "12345").await.unwrap_err();
        is_guarded(&refused, "joined_returned_before");
        assert!(!refused.message().contains(&merged.case_id), "whoever asks may not reach it");
        let refused = hands_off(&world.d, &merged.case_id, "12345").await.unwrap_err();
        is_guarded(&refused, "a case that is merged");
        assert_eq!(world.case(&original.case_id).await, before);

        // Taken out again, it is a matter of its own, with its own way.
        parts(&world, ticket).await;
        let refused = hands_off(&world.d, &merged.case_id, "12345").await.unwrap_err();
        is_guarded(&refused, ": returned_before");
        let gone = hands_off(&world.d, &original.case_id, "12345").await.unwrap();
        assert_eq!(gone.state(), pb::CaseState::HandedOff);
        assert_eq!(world.case(&original.case_id).await.external_tickets.len(), 1);
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_line_that_nobody_takes_is_none_whatever_came_back_by_it() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    says(&world, &world.client, report(&ticket, "R-1", "退回")).await.unwrap();
    let (merged, original) = (world.case(&ticket.case_id).await, registered(&world).await);
    merge(&world.d, &merged, &original).await.unwrap();
    world.updates(|change| change.line_codes = vec!["12328".into()]).await.unwrap();
    let refused = hands_off(&world.d, &original.case_id, "12345").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("line_code"), "{refused}");
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_a_system_handed_in_does_not_go_to_it_with_the_case_that_it_was_merged_into() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let client = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let request = pb::CreateExternalSystemRequest {
        system_code: "petition".into(),
        client_id: client.person_id.to_string(),
        line_codes: vec!["12328".into()],
        ..world.system()
    };
    world.call(&world.operator).create_external_system(request).await.unwrap();
    let (here, there) = (registered(&world).await, registered(&world).await);
    joined(&world, "WH-1", &here.case_id).await;
    let pushed = joined(&world, "WH-2", &there.case_id).await;
    for original in [&here, &there] {
        let refused = hands_off(&world.d, &original.case_id, "12345").await.unwrap_err();
        is_guarded(&refused, "joined_from_there");
        assert!(world.case(&original.case_id).await.external_tickets.is_empty());
    }
    // By another line it goes to others, or alone to this one.
    hands_off(&world.d, &here.case_id, "12328").await.unwrap();
    let tickets = world.case(&here.case_id).await.external_tickets;
    let systems: Vec<&str> = tickets.iter().map(|ticket| ticket.system_code.as_str()).collect();
    assert_eq!(systems, ["petition"]);
    parts(&world, &pushed).await;
    hands_off(&world.d, &there.case_id, "12345").await.unwrap();
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_case_that_is_handed_off_again_by_the_same_request_went_once() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let case = registered(&world).await;
    let request = pb::HandOffCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        etag: case.etag.clone(),
        line_code: "12345".into(),
    };
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.d.window()));
    let first = intake.hand_off_case(request.clone()).await.unwrap().into_inner();
    assert_eq!(intake.hand_off_case(request.clone()).await.unwrap().into_inner(), first);
    assert_eq!(world.case(&case.case_id).await.external_tickets.len(), 1);
    let stale = pb::HandOffCaseRequest { request_id: request_id(), ..request.clone() };
    assert_eq!(intake.hand_off_case(stale).await.unwrap_err().code(), Code::Aborted);
    let again = pb::HandOffCaseRequest { request_id: request_id(), etag: String::new(), ..request.clone() };
    is_guarded(&intake.hand_off_case(again).await.unwrap_err(), "a case that is handed_off");

    // Out of reach it does not exist, whatever the line is.
    let elsewhere = Persona::new(Role::StreetDispatcher, world.d.other_street).org(world.d.other_office);
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&elsewhere));
    for line_code in ["12345", "12319"] {
        let unknown = pb::HandOffCaseRequest {
            request_id: request_id(),
            line_code: line_code.into(),
            ..request.clone()
        };
        assert_eq!(intake.hand_off_case(unknown).await.unwrap_err().code(), Code::NotFound);
    }
    world.d.service.stop().await;
}
