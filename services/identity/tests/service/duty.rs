//! Authority that transfers of duties ask for: granted by the competent, refused, ended with the transfer.

use crate::world::{World, request_id};
use chassis::{clock::new_id, event::Event};
use proto::{
    EventMessage,
    case_routing::v1::{DutyEffective, DutyRolledBack, DutyTransferProposed},
    identity::v1::{
        DutyAuthority, DutyAuthorityState, GrantDutyAuthorityRequest, ListDutyAuthoritiesRequest,
        RefuseDutyAuthorityRequest,
    },
};
use tonic::{Code, Status};
use uuid::Uuid;

/// Tells it, and tells it again in every way, which changes nothing.
async fn tell<M: EventMessage>(world: &World, id: Uuid, message: &M) {
    let event = Event::of("case-routing", world.service.clock().now(), id, 1, message);
    world.service.deliver_repeatedly(event).await;
}

async fn proposed(world: &World, by: &str) -> Uuid {
    let id = new_id();
    let event = DutyTransferProposed {
        duty_transfer_id: id.to_string(),
        from_org_id: world.org("civil"),
        to_org_id: world.org("station1"),
        item_codes: vec!["MZ-0104".into()],
        line: "civil_affairs".into(),
        proposed_by: by.to_owned(),
        ..Default::default()
    };
    tell(world, id, &event).await;
    id
}

async fn grant(world: &World, login: &str, id: Uuid) -> Result<DutyAuthority, Status> {
    let request = GrantDutyAuthorityRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        basis_ref: "doc:district-7".into(),
    };
    let answer = world.authorities(login).await.grant_duty_authority(request).await;
    answer.map(|answer| answer.into_inner().authority.unwrap())
}

async fn refuse(world: &World, login: &str, id: Uuid) -> Result<DutyAuthority, Status> {
    let request = RefuseDutyAuthorityRequest {
        duty_transfer_id: id.to_string(),
        request_id: request_id(),
        reason_code: "no_competence".into(),
    };
    let answer = world.authorities(login).await.refuse_duty_authority(request).await;
    answer.map(|answer| answer.into_inner().authority.unwrap())
}

async fn sent(world: &World) -> Vec<String> {
    let events = world.service.drain_outbox().await;
    events.iter().filter_map(|event| event.r#type.rsplit('.').next()).map(str::to_owned).collect()
}

async fn seen(world: &World, login: &str) -> Vec<DutyAuthority> {
    let mut client = world.authorities(login).await;
    let request = ListDutyAuthoritiesRequest::default();
    client.list_duty_authorities(request).await.unwrap().into_inner().authorities
}

#[tokio::test]
async fn authority_is_granted_once_and_ends_with_its_transfer() {
    let world = World::start().await;
    let id = proposed(&world, "p-somebody").await;
    assert_eq!(seen(&world, "arbiter").await.len(), 1);
    let granted = grant(&world, "arbiter", id).await.unwrap();
    assert_eq!(
        (granted.state(), granted.basis_ref.as_str()),
        (DutyAuthorityState::Granted, "doc:district-7")
    );
    assert_eq!(grant(&world, "civilleader", id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(sent(&world).await, ["AuthorityGranted"]);

    let over = DutyRolledBack {
        duty_transfer_id: id.to_string(),
        reason_code: "deadline".into(),
        ..Default::default()
    };
    tell(&world, id, &over).await;
    assert_eq!(sent(&world).await, ["AuthorityWithdrawn"], "given back once");
    let ended = &seen(&world, "civilleader").await[0];
    assert_eq!((ended.state(), ended.closed), (DutyAuthorityState::Withdrawn, true));
    assert_eq!(grant(&world, "arbiter", id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(refuse(&world, "arbiter", id).await.unwrap_err().code(), Code::FailedPrecondition);
    world.service.stop().await;
}

#[tokio::test]
async fn it_is_taken_back_only_before_the_transfer_takes_effect() {
    let world = World::start().await;
    let early = proposed(&world, "p-somebody").await;
    grant(&world, "arbiter", early).await.unwrap();
    assert_eq!(refuse(&world, "civilleader", early).await.unwrap().state(), DutyAuthorityState::Refused);
    assert_eq!(sent(&world).await, ["AuthorityGranted", "AuthorityRefused"]);

    let late = proposed(&world, "p-somebody").await;
    grant(&world, "arbiter", late).await.unwrap();
    tell(&world, late, &DutyEffective { duty_transfer_id: late.to_string(), ..Default::default() }).await;
    assert_eq!(refuse(&world, "arbiter", late).await.unwrap_err().code(), Code::FailedPrecondition);
    world.service.stop().await;
}

#[tokio::test]
async fn only_the_competent_decide_and_nobody_on_their_own_proposal() {
    let world = World::start().await;
    let person: Uuid = world.person("civilleader").parse().unwrap();
    let id = proposed(&world, &format!("p-{}", person.simple())).await;
    let own = grant(&world, "civilleader", id).await.unwrap_err();
    assert_eq!(own.code(), Code::FailedPrecondition, "{own}");
    for unknown in [id, new_id()] {
        let foreign = grant(&world, "otherleader", unknown).await.unwrap_err();
        assert_eq!(foreign.code(), Code::NotFound, "{foreign}");
    }
    assert!(seen(&world, "otherleader").await.is_empty());
    assert_eq!(seen(&world, "leader1").await.len(), 1, "the street of the new holder sees it");
    assert!(seen(&world, "leader2").await.is_empty());
    assert!(sent(&world).await.is_empty());
    grant(&world, "arbiter", id).await.unwrap();
    world.service.stop().await;
}
