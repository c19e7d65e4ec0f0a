//! Tickets of cases that were merged into others: they hear how the matter ends, until the merge is undone.

use chassis::{
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
};

use crate::{exchange::World, support::request_id};

pub async fn ticket(world: &World, ext_no: &str) -> pb::ExternalTicket {
    let tickets = world.tickets(pb::SyncState::Unspecified).await;
    tickets.into_iter().find(|ticket| ticket.ext_no == ext_no).unwrap()
}

/// A ticket that no mapping knows waits for a human, who finds that it is the same matter.
pub async fn joined(world: &World, ext_no: &str, into: &str) -> pb::ExternalTicket {
    let unknown = pb::PushTicketRequest { class_code: "9999".into(), ..world.ticket(ext_no) };
    world.pushes(unknown).await.unwrap();
    let ticket = ticket(world, ext_no).await;
    let request = pb::MergeCaseRequest {
        case_id: ticket.case_id.clone(),
        into_case_id: into.into(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(world).merge_case(request).await.unwrap();
    ticket
}

pub async fn parts(world: &World, ticket: &pb::ExternalTicket) {
    let request = pb::UnmergeCaseRequest {
        case_id: ticket.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(world).unmerge_case(request).await.unwrap();
}

fn intake(world: &World) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(world.d.service.call_as(&world.drafter()))
}

async fn heard(world: &World, ext_no: &str) -> Vec<(i32, pb::CaseState, pb::ClosedCode)> {
    let request = pb::ListTicketChangesRequest::default();
    let waiting = world.call(&world.client).list_ticket_changes(request).await.unwrap().into_inner();
    assert_eq!(waiting.next_page_token, "");
    let changes = waiting.changes.into_iter().filter(|change| change.ext_no == ext_no);
    changes.map(|change| (change.number, change.state(), change.closed_code())).collect()
}

#[tokio::test]
async fn a_merged_ticket_hears_how_the_matter_ends_until_the_merge_is_undone() {
    use pb::{CaseState as S, ClosedCode as C};
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let original = world.case(&ticket(&world, "WH-1").await.case_id).await;
    let kept = joined(&world, "WH-2", &original.case_id).await;
    let parted = joined(&world, "WH-3", &original.case_id).await;
    parts(&world, &parted).await;
    world.d.resolve(&original).await;

    let (taken, merged) = ((1, S::Registered, C::Unspecified), (2, S::Merged, C::Merged));
    let resolved = (3, S::Resolved, C::Resolved);
    assert_eq!(heard(&world, "WH-2").await, [taken, merged, resolved]);
    assert_eq!(heard(&world, "WH-3").await, [taken, merged, (3, S::Accepted, C::Unspecified)]);
    let own = heard(&world, "WH-1").await;
    assert_eq!(own.iter().filter(|(_, state, _)| *state == S::Resolved).count(), 1, "{own:?}");

    // What its own case tells then comes behind what it heard of the other.
    parts(&world, &kept).await;
    let apart = (4, S::Accepted, C::Unspecified);
    assert_eq!(heard(&world, "WH-2").await, [taken, merged, resolved, apart]);
    assert_eq!(ticket(&world, "WH-2").await.waiting_count, 4);
    world.d.service.stop().await;
}
