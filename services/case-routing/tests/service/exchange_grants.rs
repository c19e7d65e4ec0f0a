//! What a client may hand in, also under a number that is known already, and what of that which is referred it hears of.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Code;
use uuid::Uuid;

use crate::{
    exchange::World,
    exchange_reports::{referred, report, says, shown},
    exchange_taken_back::{TAKEN_BACK, acknowledges, kinds, waiting},
    mergers::{comes_under, merged, merged_community},
    support::{ITEM, request_id},
    taken_back::{back, takes_back},
};

/// The client with a grant for a unit only.
fn granted(world: &World, unit: Uuid) -> Persona {
    let granted = Persona::new(Role::IntegrationClient, unit).org(world.d.gov);
    Persona { scopes: granted.scopes, ..world.client.clone() }
}

/// The same, for another street.
fn elsewhere(world: &World) -> Persona {
    granted(world, world.d.other_street)
}

async fn refused(world: &World, by: &Persona, request: pb::PushTicketRequest) -> (Code, String) {
    let refused = world.call(by).push_ticket(request).await.unwrap_err();
    (refused.code(), refused.message().to_owned())
}

#[tokio::test]
async fn a_known_number_is_no_way_past_the_grant_and_nobody_is_told_that_it_is_known() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let first = world.ticket("WH-1");
    world.pushes(first.clone()).await.unwrap();
    let (elsewhere, other_line) = (elsewhere(&world), world.client.clone().line("sanitation"));
    let more =
        |ext_no: &str| pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket(ext_no) };
    let bare = |ext_no: &str| pb::PushTicketRequest {
        request_id: request_id(),
        ext_no: ext_no.into(),
        ..Default::default()
    };
    for caller in [&elsewhere, &other_line] {
        let known = refused(&world, caller, more("WH-1")).await;
        assert_eq!(known.0, Code::PermissionDenied);
        assert_eq!(known, refused(&world, caller, more("WH-9")).await);
        // Nor is a stored answer given again.
        assert_eq!(known, refused(&world, caller, first.clone()).await);
        let ticket =
            pb::Ticket { ext_no: "WH-1".into(), text: "又堆了两辆车".into(), ..Default::default() };
        let request = pb::PushTicketsRequest { request_id: request_id(), tickets: vec![ticket] };
        let answers = world.call(caller).push_tickets(request).await.unwrap().into_inner().answers;
        assert_eq!(answers[0].refusal.as_ref().unwrap().code, "forbidden");
    }
    let hidden = pb::PushTicketRequest { anonymous: true, ..more("WH-1") };
    assert_eq!(refused(&world, &other_line, hidden).await.0, Code::PermissionDenied);
    let known = refused(&world, &elsewhere, bare("WH-1")).await;
    assert_eq!(known.0, Code::PermissionDenied);
    assert_eq!(known, refused(&world, &elsewhere, bare("WH-9")).await);
    let shown = world.tickets(pb::SyncState::Unspecified).await;
    assert_eq!((shown.len(), shown[0].remark_count), (1, 0));
    assert_eq!(world.pushes(more("WH-1")).await.unwrap().outcome(), pb::PushOutcome::Added);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_a_push_says_now_must_be_granted_too() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let mut mapping = world.mapping();
    mapping.areas.push(pb::AreaRule { area_code: "x8".into(), unit_code: "420103008".into() });
    let drafted = world.call(&world.drafter()).draft_mapping(mapping).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
    let here = granted(&world, world.d.street);
    let push = |area: &str, text: &str| pb::PushTicketRequest {
        area_code: area.into(),
        text: text.into(),
        ..world.ticket("WH-1")
    };
    let mut call = world.call(&here);
    call.push_ticket(push("x1", "楼道堆物")).await.unwrap();
    let moved = call.push_ticket(push("x8", "在另一条街")).await.unwrap_err();
    assert_eq!(moved.code(), Code::PermissionDenied);
    for (area, text) in [("", "又堆了两辆车"), ("***", "还堵了门"), ("x1", "请快一点")] {
        let added = call.push_ticket(push(area, text)).await.unwrap().into_inner().receipt.unwrap();
        assert_eq!(added.outcome(), pb::PushOutcome::Added, "{area}");
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_triage_makes_of_it_does_not_cut_a_system_off_from_its_ticket() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let other_line = world.client.clone().line("sanitation");
    let unknown = pb::PushTicketRequest { class_code: "9999".into(), ..world.ticket("WH-1") };
    let mut call = world.call(&other_line);
    call.push_ticket(unknown.clone()).await.unwrap();
    let case_id = world.tickets(pb::SyncState::Unspecified).await.remove(0).case_id;
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.drafter()));
    let accept =
        pb::AcceptCaseRequest { case_id: case_id.clone(), request_id: request_id(), ..Default::default() };
    intake.accept_case(accept).await.unwrap();
    let triage = pb::TriageCaseRequest {
        case_id,
        request_id: request_id(),
        item_code: ITEM.into(),
        ..Default::default()
    };
    intake.triage_case(triage).await.unwrap();
    let more =
        pb::PushTicketRequest { request_id: request_id(), text: "又堆了两辆车".into(), ..unknown };
    let added = call.push_ticket(more).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!(added.outcome(), pb::PushOutcome::Added);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_client_whose_grant_moved_hands_in_by_the_area_of_a_merged_community() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let next = merged_community(&world.d).await;
    let granted = Persona::new(Role::IntegrationClient, next);
    let moved = Persona { scopes: granted.scopes, org_id: None, ..world.client.clone() };
    let mut call = world.call(&moved);
    call.push_ticket(world.ticket("WH-1")).await.unwrap();
    let case = world.case(&world.tickets(pb::SyncState::Unspecified).await.remove(0).case_id).await;
    assert_eq!(case.place_unit_id, next.to_string());
    assert_eq!(case.first_receiver_org_id, world.d.station.to_string(), "the nearest window there");
    let more = pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket("WH-1") };
    let added = call.push_ticket(more.clone()).await.unwrap().into_inner().receipt.unwrap();
    assert_eq!(added.outcome(), pb::PushOutcome::Added);
    let elsewhere = pb::PushTicketRequest { request_id: request_id(), ..more };
    assert_eq!(refused(&world, &self::elsewhere(&world), elsewhere).await.0, Code::PermissionDenied);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_of_a_place_that_is_not_granted_does_not_exist_and_holds_up_nothing_of_other_tickets() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let elsewhere = elsewhere(&world);
    let ticket = referred(&world).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let list = async |by: &Persona, page_size| {
        let request = pb::ListTicketChangesRequest { page_size, ..Default::default() };
        world.call(by).list_ticket_changes(request).await.unwrap().into_inner()
    };
    let all = list(&world.client, 0).await.changes;
    assert_eq!((all.len(), all[0].kind()), (5, pb::TicketChangeKind::Referral));
    let first = list(&elsewhere, 1).await;
    assert_eq!(first.changes, all[1..2], "what it pushed it hears of, wherever that lies");
    assert!(!first.next_page_token.is_empty());
    assert_eq!(list(&elsewhere, 0).await.changes, all[1..]);

    let ack = || pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: all.iter().map(|change| change.change_id.clone()).collect(),
        numbers: vec![pb::ReferralNumber { change_id: all[0].change_id.clone(), ext_no: "OUT-1".into() }],
    };
    let done = world.call(&elsewhere).ack_ticket_changes(ack()).await.unwrap().into_inner();
    assert_eq!(done.acknowledged, 4, "all but the referral");
    let refused = says(&world, &elsewhere, report(&ticket, "R-1", "转办")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(shown(&world, &ticket.case_id).await, ticket, "it waits");
    let done = world.call(&world.client).ack_ticket_changes(ack()).await.unwrap().into_inner();
    assert_eq!(done.acknowledged, 1);
    assert_eq!(shown(&world, &ticket.case_id).await.ext_no, "OUT-1");
    world.d.service.stop().await;
}

#[tokio::test]
async fn that_a_referral_is_taken_back_is_heard_though_its_case_goes_on_where_nothing_is_granted() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let here = granted(&world, world.d.street);
    let (taken, fetched) = (referred(&world).await, referred(&world).await);
    let changes = waiting(&world, &here).await;
    assert_eq!(changes.len(), 2);
    assert_eq!(acknowledges(&world, &here, &changes[..1]).await, 1);
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.drafter()));
    for ticket in [&taken, &fetched] {
        takes_back(&world.d, &world.d.window(), back(&ticket.case_id)).await.unwrap();
        let triage = pb::TriageCaseRequest {
            case_id: ticket.case_id.clone(),
            request_id: request_id(),
            place_unit_id: world.d.other_street.to_string(),
            ..Default::default()
        };
        let case = intake.triage_case(triage).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.place_unit_id, world.d.other_street.to_string());
    }
    let told = waiting(&world, &here).await;
    assert_eq!((kinds(&told), &told[0].ticket_id), (vec![TAKEN_BACK], &taken.ticket_id));
    assert_eq!(acknowledges(&world, &here, &told).await, 1);
    assert_eq!(waiting(&world, &here).await, []);

    // Who acknowledges only now what was fetched before has it, and who reports on it, too.
    acknowledges(&world, &here, &changes[1..]).await;
    let told = waiting(&world, &here).await;
    assert_eq!((kinds(&told), &told[0].ticket_id), (vec![TAKEN_BACK], &fetched.ticket_id));
    let receipt = says(&world, &here, report(&taken, "R-1", "待受理")).await.unwrap();
    assert!(receipt.taken_back);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_client_whose_grant_moved_hears_of_what_was_referred_before_its_unit_went_on_elsewhere() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    let changes = waiting(&world, &world.client).await;
    assert_eq!(changes.len(), 1);
    let there = elsewhere(&world);
    assert_eq!(waiting(&world, &there).await, []);
    let street = merged(&world.d).await;
    assert_eq!(waiting(&world, &granted(&world, street)).await, changes, "of the merged street");
    comes_under(&world.d, world.d.other_street).await;
    assert_eq!(waiting(&world, &there).await, changes, "of the community that is there now");
    let moved = granted(&world, merged_community(&world.d).await);
    assert_eq!(waiting(&world, &moved).await, changes, "of the merged community");
    assert_eq!(acknowledges(&world, &moved, &changes).await, 1);
    let receipt = says(&world, &moved, report(&ticket, "R-1", "待受理")).await.unwrap();
    assert_eq!(receipt.outcome(), pb::ReportOutcome::Moved);
    world.d.service.stop().await;
}
